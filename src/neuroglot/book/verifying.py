"""Whether a run's folder is as it was written, and whether some of it, measured anew, comes out the same."""

import contextlib
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import listed, quoted, require_whole
from ..base.files import read_json
from ..base.provenance import differing
from ..base.tables import ARTIFACTS
from ..base.words import counted
from ..counts.activations import ActivationStats
from ..counts.collecting import Collection
from ..effects.asking import as_in
from ..effects.removals import BOTH, Removal, zeroing
from ..model.likelihood import Losses, losses
from ..model.loading import load_model
from ..model.sampling import read_rows, sample_rows
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from . import manifest
from .chapters import executed, project_root, run_folder
from .checking import FAILED, OK, UNKNOWN, Finding
from .estimate import defaults
from .pages import parameters_of

#: How far losses may be from those of other batches, in nats per token, by the numbers' type (others: 0.05).
LOSS_ROUNDING = {"float32": 1e-3}

#: How far a count may be from that of other versions of the libraries, as a share of the tokens.
COUNT_ROUNDING = 1e-3


def verify(
    run: str, again: int = 0, *, seed: int = 0, like: str | None = None, root: Path | None = None
) -> list[Finding]:
    """Check a run's folder against its manifest, and some of its numbers against the model.

    Args:
        run: the name of its folder under ``runs/``.
        again: how many parts of the counts, losses and answers are measured anew, each drawn at random; 0 for none.
        seed: of the draws.
        like: another run, whose files and chapters' outputs must be the same, times and versions aside.
        root: the project; default: :func:`neuroglot.book.chapters.project_root`.

    Returns:
        A finding for each file, input of a chapter and number that differs, and one for each kind that does not.

    Raises:
        NeuroglotError: no such run, or one without a manifest; a number that is none.
    """
    root = (root or project_root()).resolve()
    require_whole("again", again, 0)
    folder = run_folder(root, run)
    said = manifest.read(folder)
    found = [*_files(folder, said), *_chain(folder, said)]
    if again and any(finding.verdict == FAILED for finding in found):
        found.append(Finding("measured again", UNKNOWN, "nothing, since files are not as they were written."))
    elif again:
        with contextlib.chdir(root):  # a model and text that are files are named from there
            found += Again(folder, root, said, again, random.Random(seed)).findings()
    if like is not None:
        found += _compared(folder, said, run_folder(root, like))
    return found


# --- files ---------------------------------------------------------------------------------------


def _files(folder: Path, said: Mapping[str, Any]) -> Iterator[Finding]:
    """Each file that is not as the manifest has it."""
    there, known = manifest.files_of(folder), said["files"]
    wrong = {name: "is not there" for name in known if name not in there}
    wrong |= {name: "was changed" for name in known if name in there and there[name] != known[name]}
    wrong |= {name: "is not in the manifest" for name in there if name not in known}
    for name, what in sorted(wrong.items()):
        yield Finding("file", FAILED, f"{quoted(name)} {what}.")
    if not wrong:
        yield Finding("files", OK, f"{counted(len(known), 'file')} as they were written.")


def _chain(folder: Path, said: Mapping[str, Any]) -> Iterator[Finding]:
    """Each input of a chapter that is not what is there now, or not what the chapter that wrote it says."""
    written = {file: (name, value) for name, own in said["chapters"].items() for file, value in own["outputs"].items()}
    wrong = [
        f"chapter {name} read another {quoted(Path(file).name)} than chapter {written[file][0]} wrote"
        for name, own in said["chapters"].items()
        for file, value in own["inputs"].items()
        if file in written and written[file][1] != value
    ]
    for sentence in wrong:
        yield Finding("chapters", FAILED, f"{sentence}; run it again.")
    if not wrong:
        each = counted(len(said["chapters"]), "chapter")
        yield Finding("chapters", OK, f"{each} read what the others wrote.")


# --- beside another run --------------------------------------------------------------------------


def _compared(folder: Path, said: Mapping[str, Any], other: Path) -> Iterator[Finding]:
    """What differs from another run: files, and outputs of chapters."""
    beside = manifest.read(other)
    mine, theirs = said["files"], beside["files"]
    results = {name for name in (*mine, *theirs) if Path(name).parts[0] != "chapters"}
    wrong = sorted(name for name in results if mine.get(name) != theirs.get(name))
    for name in wrong:
        yield Finding("other run", FAILED, f"{quoted(name)} differs, or is in one of the two alone.")
    for name in sorted({*said["chapters"]} & {*beside["chapters"]}):
        cells = [list(outputs(read_json(executed(each, name)))) for each in (folder, other)]
        for number, (one, two) in enumerate(itertools.zip_longest(*cells)):
            if one != two:
                wrong.append(name)
                yield Finding("other run", FAILED, f"chapter {name}: the outputs of code cell {number} differ.")
    if not wrong:
        yield Finding("other run", OK, f"{counted(len(results), 'file')} and the outputs of all chapters are the same.")


#: The tag of a cell whose outputs say how long something took.
TIMED = "timed"


def outputs(notebook: Mapping[str, Any]) -> Iterator[Any]:
    """What a reader sees of each code cell of an executed chapter: no progress, no widget's own name, no times."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            timed = TIMED in cell["metadata"].get("tags", ())
            yield [] if timed else [_seen(output) for output in cell["outputs"] if output["output_type"] != "stream"]


def _seen(output: Mapping[str, Any]) -> Any:
    data = {
        kind: text for kind, text in output.get("data", {}).items() if "widget" not in kind and kind != "text/plain"
    }
    return data or output.get("text")


# --- measured again ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Again:
    """Some numbers of a run, measured anew.

    Attributes:
        folder, root: of the run, and the project.
        said: its manifest.
        number: of each kind.
        draw: what is drawn by.
    """

    folder: Path
    root: Path
    said: Mapping[str, Any]
    number: int
    draw: random.Random

    def findings(self) -> Iterator[Finding]:
        """One for each kind that the run has."""
        yield from self.counts()
        yield from self.losses()
        yield from self.answers()

    @cached_property
    def loaded(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model, as chapter 01 loaded it."""
        given = self._given("01-activations")
        return load_model(given["model"], **(given.get("model_options") or {}))

    def counts(self) -> Iterator[Finding]:
        """Shards that are batched together, counted anew: the same to the last count by the same versions."""
        stats = ActivationStats.load(self._path("stats"))
        text = Corpus.load(self._path("counted"))
        rule = {name: value for name, value in stats.provenance["settings"].items() if name in _RULE}
        collection = Collection(*self.loaded, text, **rule)
        changed = differing(collection.provenance, stats.provenance)
        if {*changed} - {"versions"}:
            yield Finding("counts", FAILED, f"they are of other input than is there ({listed(changed)} differ).")
            return
        portions = self.draw.sample(collection.portions, min(self.number, len(collection.portions)))
        cells, apart, most = 0, 0, 0.0
        for portion in sorted(portions, key=lambda each: each.shards[0]):
            mine = collection.recounted(portion)
            there = stats.shard_counts[portion.shards].astype(np.int64)
            cells, apart = cells + mine.size, apart + int((mine != there).sum())
            most = max(most, float(np.abs(mine - there).max(initial=0) / max(int(stats.shard_tokens.max()), 1)))
        what = f"{cells:,} counts of {counted(sum(len(each.shards) for each in portions), 'shard')}"
        if not apart:
            yield Finding("counts", OK, f"{what} are the same.")
        else:
            rounding = changed and most <= COUNT_ROUNDING
            why = ", by other versions" if changed else ""
            yield Finding(
                "counts", OK if rounding else FAILED, f"{apart:,} of {what} differ{why}, by {most:.2%} at most."
            )

    def losses(self) -> Iterator[Finding]:
        """Losses of held-out texts, as the model is and without a language's own neurons."""
        if not self._has("losses", "05-deactivation"):
            return
        there, types = Losses.load(self._path("losses")), NeuronTypes.load(self._path("types"))
        given = self._given("05-deactivation")
        held = Corpus.load(self._path("held_out")).spread(given["documents"])
        cells = [(k, u) for k, u in np.argwhere(there.tokens > 0).tolist() if there.languages[k] in types.languages]
        how = {name: given[name] for name in ("positions", "response_tokens", "batch_tokens")}
        apart, scored = 0.0, 0
        for k, u in self.draw.sample(cells, min(self.number, len(cells))):
            code, unit = there.languages[k], there.units[u]
            texts = held.keep((e.language, e.document) for e in held.examples if (e.language, e.unit) == (code, unit))
            changes = zeroing([Removal(BOTH, code, types.neurons(code, ("specific", "related")))])
            new = losses(*self.loaded, texts, changes, progress=False, **how)
            for row in (name for name in new.rows if name in there.rows):
                old, now = there.nll[there.rows.index(row), k, u], new.nll[new.rows.index(row)].sum()
                if not np.isnan(old):
                    apart, scored = max(apart, float(abs(now - old)) / there.tokens[k, u]), scored + 1
        limit = LOSS_ROUNDING.get(there.provenance.get("dtype", ""), 0.05)
        said = (
            f"{counted(scored, 'cell')} measured anew, at most {apart:.1e} nats per token away ({limit:g} is rounding)."
        )
        yield Finding("losses", OK if apart <= limit else FAILED, said)

    def answers(self) -> Iterator[Finding]:
        """Answers to questions of chapter 01, which are the likeliest words and so are not drawn."""
        if not self._has("solved", "01-activations") or not (rows := read_rows(self._path("solved"))):
            return
        chosen = self.draw.sample(rows, min(self.number, len(rows)))
        asked = Corpus.load(self._path("asked"))
        some = asked.keep((row["language"], row["id"].partition("#")[0]) for row in chosen)
        new, _ = sample_rows(*self.loaded, some, progress=False, **as_in(self._path("solved")))
        said = {(row["language"], row["id"]): row["response"] for row in new}
        other = [row["id"] for row in chosen if said[row["language"], row["id"]] != row["response"]]
        words = f"{counted(len(chosen), 'question')} asked anew"
        if not other:
            yield Finding("answers", OK, f"{words}: the same answers to the letter.")
        else:
            yield Finding(
                "answers",
                UNKNOWN,
                f"{words}: {len(other)} answered in other words ({listed(other)}); two words may be so nearly as "
                "likely that other batches turn them.",
            )

    def _given(self, chapter: str) -> dict[str, Any]:
        """The parameters of a chapter as it was run."""
        return defaults(self.root) | parameters_of(read_json(executed(self.folder, chapter)))

    def _has(self, artifact: str, chapter: str) -> bool:
        return chapter in self.said["chapters"] and self._path(artifact).is_file()

    def _path(self, artifact: str) -> Path:
        return self.folder / ARTIFACTS[artifact]


_RULE = ("quantity", "above", "moments", "gather", "shards", "batch_tokens", "max_tokens", "share_prefixes", "pack")
