"""The reference: what the full run found, kept in the repository, and whether another run's numbers agree with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..base.files import read_json, write_json
from ..base.provenance import versions
from ..base.records import content_hash
from ..base.tables import ARTIFACTS, read_tables, tables_if_any, write_tables
from ..counts.activations import ActivationStats
from ..effects.removals import AS_IT_IS, BOTH, Removal
from ..model.likelihood import Losses
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from .chapters import CHAPTERS, executed, is_finished, project_root, run_folder
from .headlines import HEADLINES, of
from .presets import PRESETS, preset_of

#: How a number of this run and one of the reference stand to each other.
AGREES, DIFFERS = "agrees", "differs"

# Where it is kept, below the project's root; a folder for each run.
_PLACE = Path("book") / "reference"

# What decides its numbers.
_DECIDE = ("python", "torch", "transformers", "numpy", "scipy")

# What a run must share with a reference to be set beside it.
_SAME = ("weights_sha256", "corpus", "languages")

# In which a run may differ from the reference that it adds to: found on more or less of the text, by the same rule.
_AMOUNT = ("settings", "corpus_options", "tokens")
_RULE = ("top_rate", "quantile", "scaled", "solved", "min_tokens")


def beside(artifact: str, path: str | Path, types: NeuronTypes, *, root: Path | None = None) -> pd.DataFrame | None:
    """The main numbers of a chapter, and the same of the reference.

    Two numbers agree if they are no farther apart than the root of the sum of the squares of both intervals' half
    widths (one that has no interval adds nothing; of two that have none nothing is said).

    Args:
        artifact: what the chapter writes, as in :data:`neuroglot.book.headlines.HEADLINES`.
        path: what it wrote.
        types: of this run; they say which model and text the reference must be of.
        root: the project; default: :func:`neuroglot.book.chapters.project_root`.

    Returns:
        ``what``, ``value``, ``low``, ``high`` (of this run), ``reference``, ``reference_low``, ``reference_high`` and
        ``verdict`` (:data:`AGREES`, :data:`DIFFERS`, missing); ``None`` where there is no reference of this model on
        this text, and for neurons that were found elsewhere.
    """
    if "outside" in types.provenance:
        return None
    folder = _found(types, root or project_root())
    if folder is None or not (folder / ARTIFACTS[artifact]).is_file():
        return None
    theirs = of(artifact, read_tables(folder / ARTIFACTS[artifact])).set_index("what").add_prefix("reference_")
    found = of(artifact, read_tables(path)).merge(
        theirs.rename(columns={"reference_value": "reference"}), on="what", how="left"
    )
    halves = [found[f"{whose}high"].sub(found[f"{whose}low"]) / 2 for whose in ("", "reference_")]
    width = np.sqrt(sum(half.fillna(0) ** 2 for half in halves))
    known = found["value"].notna() & found["reference"].notna() & ~(halves[0].isna() & halves[1].isna())
    near = (found["value"] - found["reference"]).abs() <= width
    said = [(AGREES if close else DIFFERS) if sure else None for close, sure in zip(near, known, strict=True)]
    return found.assign(verdict=pd.Series(said, found.index, dtype=object))


def kept(artifact: str, types: NeuronTypes, *, root: Path | None = None) -> dict[str, pd.DataFrame]:
    """The tables of a chapter in the reference of this model, text and languages; none where there is no such.

    Args:
        artifact, types, root: as of :func:`beside`.
    """
    folder = None if "outside" in types.provenance else _found(types, root or project_root())
    return {} if folder is None else tables_if_any(folder / ARTIFACTS[artifact])


def _found(types: NeuronTypes, root: Path) -> Path | None:
    """The folder of the reference of this model, text and languages."""
    mine = _identity(types)
    for about in sorted((root / _PLACE).glob("*/about.json")):
        said = read_json(about)
        if {name: said.get(name) for name in _SAME} == mine:
            return about.parent
    return None


def _identity(types: NeuronTypes) -> dict[str, Any]:
    said = {name: types.provenance.get(name) for name in _SAME}
    return said | {"languages": list(types.languages)}


def keep(run: str, *, root: Path | None = None) -> Path:
    """Keep the tables of a finished full run as the reference of its model and text, with what they were made of.

    Beside the tables lies a sample of its losses, with the neurons and the text they are of, for a test to compute
    again. A run of some chapters, without the losses of chapter 05, adds its tables to a reference that is there; where
    it was counted on another amount of the text, that stands beside what it made.

    Args:
        run: the name of its folder under ``runs/``.
        root: the project; default: :func:`neuroglot.book.chapters.project_root`.

    Returns:
        The folder.

    Raises:
        NeuroglotError: no such run, one that is not of the full preset, one that is not finished, losses of other
            documents than that preset's, or tables to add to a reference of another model, text or rule.
    """
    root = root or project_root()
    source = run_folder(root, run)
    if preset_of(source) != "full":
        raise NeuroglotError(f"runs/{run} holds no run with the full preset; make one: neuroglot book --full")
    types = NeuronTypes.load(source / ARTIFACTS["types"])
    folder = root / _PLACE / f"{types.provenance.get('model')}-{types.provenance.get('corpus')}"
    about, kept = _about(source, types), folder / "about.json"
    there = read_json(kept) if kept.is_file() else {}
    other = [name for name in about if there.get(name) != about[name]]
    made = {name: _made(source, name) for name in HEADLINES if (source / ARTIFACTS[name]).is_file()}
    if (source / ARTIFACTS["losses"]).is_file():
        write_json(folder / "sample.json", _sample(source, types))
    elif not _by_the_same_rule(about, there):
        raise NeuroglotError(
            f"runs/{run} has no losses of chapter 05, and {folder} is no reference of the same model, text and rule to "
            f"add its tables to ({other[0]} differs); run that chapter too."
        )
    else:
        made = {name: one | {what: about[what] for what in other} for name, one in made.items()}
        about, other = {name: there[name] for name in about}, []
    for artifact in there.get("made", {}) if other else ():
        (folder / ARTIFACTS[artifact]).unlink(missing_ok=True)
    for artifact in made:
        write_tables(folder / ARTIFACTS[artifact], read_tables(source / ARTIFACTS[artifact]))
    made = ({} if other else there.get("made", {})) | made
    write_json(kept, about | {"made": dict(sorted(made.items()))})
    return folder


def _by_the_same_rule(about: dict[str, Any], there: dict[str, Any]) -> bool:
    """Whether two runs differ at most in how much of the text neurons were found on."""
    if any(about[name] != there.get(name) for name in about if name not in _AMOUNT):
        return False
    return all(about["settings"].get(name) == there["settings"].get(name) for name in _RULE)


def _about(source: Path, types: NeuronTypes) -> dict[str, Any]:
    """The model, the text, and which neurons are of which type by which settings."""
    about = _identity(types) | {"model": types.provenance.get("model"), "settings": types.settings()}
    about |= {name: types.provenance.get(name) for name in ("revision", "corpus_source", "corpus_options")}
    stats = ActivationStats.load(source / ARTIFACTS["stats"])
    return about | {"tokens": dict(zip(stats.languages, stats.tokens.tolist(), strict=True))}


def _made(source: Path, artifact: str) -> dict[str, Any]:
    """The chapter that wrote a table, what the preset gave it, as it was run, and by which versions."""
    chapter = next(chapter.name for chapter in CHAPTERS if artifact in chapter.writes)
    if not is_finished(source, chapter):
        raise NeuroglotError(f"chapter {chapter} of {source} was not run to its end; run it again.")
    given = read_json(executed(source, chapter))["metadata"]["papermill"]["parameters"]
    own = {name: value for name, value in given.items() if name in PRESETS["full"]}
    return {"chapter": chapter, "parameters": own, "versions": versions(*_DECIDE)}


def _sample(source: Path, types: NeuronTypes, languages: int = 2, units: int = 3) -> dict[str, Any]:
    """Some losses of the run, on a few held-out wordings, as the model is and without some languages' neurons."""
    losses = Losses.load(source / ARTIFACTS["losses"])
    held = Corpus.load(source / ARTIFACTS["held_out"]).spread(PRESETS["full"]["documents"])
    if {example.unit for example in held.examples} != set(losses.units):
        raise NeuroglotError(f"{source / ARTIFACTS['losses']} is not of the documents that the full preset takes.")
    chosen = sorted(types.languages, key=lambda code: -sum(map(len, types.neurons(code, ("specific", "related")))))
    rows = []
    for code in chosen[:languages]:
        removal = Removal(BOTH, code, types.neurons(code, ("specific", "related")))
        k = losses.languages.index(code)
        at = [u for u in range(len(losses.units)) if losses.tokens[k, u] > 0][:units]
        for name, what in ((AS_IT_IS, None), (removal.name, removal)):
            nll = losses.nll[losses.rows.index(name), k]
            for unit in at:
                texts = [e for e in held.examples if e.language == code and e.unit == losses.units[unit]]
                rows.append(
                    {
                        "language": code,
                        "removed": what is not None,
                        "texts": [[e.id, e.prompt, e.response] for e in texts],
                        "tokens": int(losses.tokens[k, unit]),
                        "nll": float(nll[unit]),
                    }
                )
    neurons = {code: [index.tolist() for index in types.neurons(code, ("specific", "related"))] for code in chosen}
    said = {"neurons": {code: neurons[code] for code in chosen[:languages]}, "losses": rows}
    said["response_tokens"] = losses.provenance.get("settings", {}).get("response_tokens")
    return said | {"sha256": content_hash(said)}


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:]:
        print(keep(name))
