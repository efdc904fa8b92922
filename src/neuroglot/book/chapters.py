"""The chapters: which there are, run by papermill, each again only when what it depends on has changed."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from ..base.errors import NeuroglotError, in_a_line, quoted
from ..base.files import atomic, plain_name, read_json, sha256_file, write_json
from ..base.locks import alone
from ..base.tables import ARTIFACTS
from . import manifest
from .presets import keep, preset_of, with_preset
from .runs import COMPARED


@dataclasses.dataclass(frozen=True)
class Chapter:
    """One notebook, and the artefacts it reads and writes (names of its parameters; ``runs`` are folders).

    What it ``sees`` it reads where that is there.
    """

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()


#: The chapters in the order they are run; the book's own order is that of ``_toc.yml``.
CHAPTERS = (
    Chapter("01-activations", writes=("stats", "counted", "held_out", "asked", "solved")),
    Chapter("02-identification", reads=("stats",), writes=("types",)),
    Chapter("03-layers", reads=("stats", "types"), writes=("layers",)),
    Chapter("00-introduction", reads=("stats", "types")),
    Chapter(
        "04-neurons",
        reads=("stats", "types", "layers", "counted", "held_out"),
        writes=("contexts", "values", "written"),
    ),
    Chapter("05-deactivation", reads=("stats", "types", "held_out", "solved"), writes=("effects",)),
    Chapter("06-steering", reads=("stats", "types", "held_out"), writes=("steered", "steering")),
    Chapter(
        "07-alignment",
        reads=("stats", "types", "counted", "held_out", "asked", "solved"),
        writes=("variants", "changes"),
    ),
    Chapter(
        "08-spontaneous",
        reads=("stats", "types", "held_out", "asked", "solved", "variants"),
        writes=("spontaneous",),
    ),
    Chapter("09-stability", reads=("stats", "types", "variants"), writes=("stability",)),
    Chapter(
        "10-detectors",
        reads=("stats", "types", "counted", "held_out"),
        writes=("detectors_found",),
        sees=("variants",),
    ),
    Chapter("11-models", reads=("runs",)),
    Chapter("12-published"),
    Chapter("index", reads=("stats", "types", "layers"), sees=("written", "effects", "stability", "detectors_found")),
)

#: What a run that is only set beside another one needs.
BESIDE = tuple(chapter for chapter in CHAPTERS if set(chapter.writes) & set(COMPARED))


def beside(preset: str) -> tuple[Chapter, ...]:
    """The chapters of a run that is set beside another one: in full it also switches neurons off."""
    more = {"05-deactivation", "10-detectors"} if preset == "full" else set()
    return tuple(chapter for chapter in CHAPTERS if chapter in BESIDE or chapter.name in more)


#: The default book: its leading run, and the one beside it, on the same text.
DEFAULT_RUNS: tuple[dict[str, Any], ...] = ({"model": "gemma3-270m"}, {"model": "smollm2-135m"})


def chosen(only: Sequence[str] = (), first: str | None = None, last: str | None = None) -> tuple[Chapter, ...]:
    """Some of :data:`CHAPTERS`, named in full or by number (``"05-deactivation"``, ``"05"``), as they are run.

    Args:
        only: just these.
        first, last: or all from this one on, up to this one.

    Raises:
        NeuroglotError: no such chapter, both ways at once, or none between.
    """

    def place(name: str) -> int:
        for number, chapter in enumerate(CHAPTERS):
            if name and name in (chapter.name, chapter.name.partition("-")[0]):
                return number
        raise NeuroglotError(
            f"there is no chapter {quoted(name)}; there are, as they are run, "
            f"{', '.join(chapter.name for chapter in CHAPTERS)}."
        )

    if only:
        if first is not None or last is not None:
            raise NeuroglotError("--only names each chapter; leave out --from and --to, or leave out --only.")
        return tuple(CHAPTERS[number] for number in sorted(set(map(place, only))))
    begin = place(first) if first is not None else 0
    end = place(last) if last is not None else len(CHAPTERS) - 1
    if begin > end:
        raise NeuroglotError(
            f"chapter {CHAPTERS[begin].name} is run after {CHAPTERS[end].name}; turn --from and --to round."
        )
    return CHAPTERS[begin : end + 1]


def after(artifact: str) -> list[str]:
    """The chapters that another file of this kind makes out of date, in the order they are run."""
    changed, found = {artifact} | ({"runs"} if artifact in COMPARED else set()), []
    for chapter in CHAPTERS:
        if changed & {*chapter.reads, *chapter.sees}:
            found.append(chapter.name)
            changed.update(chapter.writes)
    return found


def executed(folder: Path, chapter: str) -> Path:
    """Where a run's folder has a chapter, run; its record, as JSON, lies beside it."""
    return folder / "chapters" / f"{chapter}.ipynb"


def is_finished(folder: Path, chapter: str) -> bool:
    """Whether a chapter's record says that it was run to its end."""
    return _said(executed(folder, chapter).with_suffix(".json")).get("key") is not None


def project_root(start: str | Path = ".") -> Path:
    """The folder with ``_toc.yml`` at or above ``start``; ``start`` itself where there is none.

    Paths in the chapters are relative to it, so that they run from anywhere in the project.
    """
    start = Path(start).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "_toc.yml").is_file()), start)


def text_options(corpus: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a chapter's corpus: those given, or 60 of the packaged problems and all of any other text."""
    if options is not None:
        return dict(options)
    return {"n": 60} if corpus == "problems" else {}


def run_name(parameters: Mapping[str, Any], *, preset: str = "") -> str:
    """Folder name of a run: model and corpus in words, and a hash of whatever else decides the counts.

    ``gemma3-270m-problems`` for the defaults; thresholds do not count, since chapters that only
    classify share the counts. That of a preset ends in its name, as in ``-quick``.
    """
    _require_words(parameters)
    options = dict(parameters.get("model_options") or {})
    parts = [parameters["model"], options.pop("revision", None), parameters["corpus"]]
    words = "-".join(re.sub(r"[^\w.]+", "-", str(part)).strip("-.") for part in parts if part)
    others = {key: value for key, value in parameters.items() if key in _COUNTING and value is not None}
    if options := {name: value for name, value in options.items() if name not in _ELSEWHERE}:
        others["model_options"] = options
    places = [part for part in parts if part and re.search(r"[^\w.:-]", str(part))]
    end = f"-{preset}" if preset else ""
    if not others and not places and len(words) <= 100:
        return words + end
    digest = hashlib.sha256(json.dumps([places, others], sort_keys=True).encode()).hexdigest()
    return f"{words[-80:].strip('-.')}-{digest[:8]}{end}"


_COUNTING = (
    *("languages", "corpus_options", "held_out_share", "sampling", "shards", "batch_tokens", "max_tokens"),
    *("quantity", "above", "moments"),
)

#: Options of a model that decide where and how it is run, not what it computes.
_ELSEWHERE = ("device_map", "trust_remote_code")


def run_models(
    runs: Sequence[Mapping[str, Any]],
    *,
    root: Path | None = None,
    run: str | None = None,
    force: bool = False,
    preset: str = "",
    wait: bool = True,
    chapters: Sequence[Chapter] = CHAPTERS,
) -> tuple[str, dict[str, float]]:
    """Run all chapters for the first of several runs, and for the others those that make them comparable.

    Args:
        runs: parameters of each, as for :func:`run_chapters`. The others' models are asked no
            questions unless their parameters say so.
        root, force, wait: as for :func:`run_chapters`.
        run: folder name of the first run.
        preset: one of :data:`neuroglot.book.presets.PRESETS`, added to their parameters; the runs are marked with it.
        chapters: which of them, from :func:`chosen`.

    Returns:
        That name, and the seconds that the chapters took, over all runs.

    Raises:
        NeuroglotError: as for :func:`run_chapters`; a model that is asked for twice, or a folder
            that holds a run with another preset than the one that is wanted.
    """
    root = root or project_root()
    lead, *others = runs = _presets(runs, preset)
    seconds: dict[str, float] = {}
    names = _names(runs, run, preset)
    folders = sorted(run_folder(root, name) for name in names)  # in one order, so that no two books wait for each other
    for one in runs:
        _known(root, one)
    compared, of_others = [f"runs/{name}" for name in names[1:]], beside(preset)
    with contextlib.ExitStack() as held:
        for folder in folders:
            held.enter_context(alone(folder, wait=wait))
        _keep_apart(root, names, lead.get("runs") or (), preset)
        for name, other in zip(names[1:], others, strict=True):
            some = [chapter for chapter in of_others if chapter in chapters]
            taken = run_chapters(other, root=root, run=name, force=force, chapters=some) if some else {}
            seconds |= {f"{name} {chapter}": time_ for chapter, time_ in taken.items()}
        own = run_chapters(lead, root=root, run=names[0], force=force, beside=compared, chapters=chapters)
        return names[0], seconds | own


def _presets(runs: Sequence[Mapping[str, Any]], preset: str) -> list[dict[str, Any]]:
    """The parameters of several runs; those beside the first one are asked no questions unless theirs say so."""
    runs = [with_preset(one, preset, beside=place > 0) for place, one in enumerate(runs)]
    return [{"accuracy_questions": 0, **one} if place else dict(one) for place, one in enumerate(runs)]


def _names(runs: Sequence[Mapping[str, Any]], run: str | None, preset: str) -> list[str]:
    """Of their folders, all different."""
    names = [run if run is not None and not place else run_name(one, preset=preset) for place, one in enumerate(runs)]
    if twice := [one["model"] for one, name in zip(runs, names, strict=True) if names.count(name) > 1]:
        raise NeuroglotError(f"the model {twice[0]} is asked for twice; name different ones.")
    if len(runs) > 1 and (named := [name for name in ARTIFACTS if name in runs[0]]):
        raise NeuroglotError(f"{named[0]} names one file, and there are {len(runs)} runs; leave it out.")
    return names


def outdated(
    runs: Sequence[Mapping[str, Any]],
    *,
    root: Path | None = None,
    run: str | None = None,
    force: bool = False,
    preset: str = "",
    chapters: Sequence[Chapter] = CHAPTERS,
) -> list[tuple[dict[str, Any], list[str]]]:
    """What :func:`run_models` would run: of each run its parameters, and its chapters that are not up to date.

    Raises:
        NeuroglotError: as that would before it begins.
    """
    root = root or project_root()
    runs = _presets(runs, preset)
    names = _names(runs, run, preset)
    folders = [f"runs/{name}" for name in names[1:]]
    made: set[Path] = set()
    remade: set[Path] = set()
    found = []
    for one, name in reversed(list(zip(runs, names, strict=True))):  # the first one is run last
        lead = name == names[0]
        some = [chapter for chapter in chapters if lead or chapter in beside(preset)]
        steps = _steps(one, root, run_folder(root, name), _known(root, one), folders if lead else (), some)
        made |= _require_inputs(root, steps, made)
        stale = []
        for step in steps:
            if force or remade & {*step.inputs(root), *step.seen(root)} or not step.is_up_to_date(root):
                stale.append(step.chapter.name)
                remade.update(step.outputs)
        found.append((one, stale))
    return found[::-1]


def run_folder(root: Path, run: str) -> Path:
    """A run's folder, which lies in ``runs/`` whatever its name."""
    return root / "runs" / plain_name(run, "the run's name (--run)")


def _keep_apart(root: Path, names: Sequence[str], compared: Sequence[str], preset: str) -> None:
    """Mark the folders of runs with their preset; refuse to mix what has one with what has another, or none."""
    for name in names:
        folder = root / "runs" / name
        if (folder / "chapters").is_dir() and (kept := preset_of(folder)) != preset:
            there = f"with the {kept} preset" if kept else f"without the {preset} preset"
            raise NeuroglotError(f"runs/{name} holds a run {there}; name another folder (--run).")
    if preset != "quick" and (small := [folder for folder in compared if preset_of(root / folder) == "quick"]):
        raise NeuroglotError(f"{small[0]} holds a run with the quick preset; only a quick run is set beside it.")
    for name in names:
        keep(root / "runs" / name, preset)


def run_chapters(
    parameters: Mapping[str, Any],
    *,
    root: Path | None = None,
    run: str | None = None,
    force: bool = False,
    beside: Sequence[str] = (),
    chapters: Sequence[Chapter] = CHAPTERS,
    wait: bool = True,
) -> dict[str, float]:
    """Run every chapter whose notebook, parameters, inputs or package have changed.

    Args:
        parameters: values for the chapters' ``parameters`` cells; each chapter takes those it has. Paths among
            them may lead anywhere; what is not named is kept in the run's folder.
        root: the project; default: :func:`project_root`.
        run: folder name under ``runs/``, no path; default: :func:`run_name`.
        force: run all of them again.
        beside: folders of finished runs to set beside this one.
        chapters: which of them.
        wait: for another process that writes to the folder; otherwise it is refused.

    Returns:
        Seconds per chapter; 0 for one that was up to date.

    Raises:
        NeuroglotError: a name that is none, a parameter that no chapter has, a file named to be written that holds
            something else, a chapter that failed (with the cell), or one whose inputs changed while it ran.
    """
    root = root or project_root()
    run = run if run is not None else run_name(parameters)
    known = _known(root, parameters)
    folder = run_folder(root, run)
    with alone(folder, wait=wait):
        return _run_chapters(parameters, root, folder, known, force, beside, chapters)


def _run_chapters(
    parameters: Mapping[str, Any],
    root: Path,
    folder: Path,
    known: Mapping[str, tuple[str, ...]],
    force: bool,
    beside: Sequence[str],
    chapters: Sequence[Chapter],
) -> dict[str, float]:
    steps = _steps(parameters, root, folder, known, beside, chapters)
    _require_inputs(root, steps)
    print(f"run {folder.name}: {', '.join(f'{key}={value}' for key, value in parameters.items())}", flush=True)
    seconds = {}
    for step in steps:
        chapter, source, output, own, outputs = step.chapter, step.source, step.output, step.own, step.outputs
        key, record = _key(root, chapter, source, own), step.record
        if not force and _up_to_date(root, record, key, outputs):
            print(f"  {chapter.name}: up to date", flush=True)
            seconds[chapter.name] = 0.0
            continue
        print(f"  {chapter.name}: running", flush=True)
        # Until it is done the record only says which files this chapter writes.
        theirs = _said(record).get("outputs", {})
        named = [own[name] for name in chapter.writes if name in parameters and name != "stats"]
        if foreign := [name for name in named if (root / name).exists() and _relative(name, root) not in theirs]:
            raise NeuroglotError(f"{foreign[0]} is there and not of this run; name another file, or remove it.")
        write_json(record, {"key": None, "outputs": dict.fromkeys(_relative(path, root) for path in outputs)})
        start = time.perf_counter()
        _execute(source, output, own, root)
        if _key(root, chapter, source, own) != key:
            raise NeuroglotError(
                f"chapter {chapter.name}: what it reads was changed while it ran; its result is not used, run it again."
            )
        read = {
            _relative(path, root): sha256_file(path)
            for path in {*step.inputs(root), *step.seen(root)}
            if path.is_file()
        }
        done = {"key": key, "outputs": _hashes(root, outputs), "inputs": dict(sorted(read.items()))}
        write_json(record, done | {"versions": _versions(*_DECIDING)})
        seconds[chapter.name] = time.perf_counter() - start
        print(f"  {chapter.name}: {seconds[chapter.name]:.1f} s", flush=True)
    manifest.write(folder, preset_of(folder), _finished(folder))
    return seconds


def _finished(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each chapter that was run to its end what it was given, read and wrote, and the versions it was run by."""
    found = {}
    for chapter in (chapter.name for chapter in CHAPTERS if is_finished(folder, chapter.name)):
        said = _said(executed(folder, chapter).with_suffix(".json"))
        with contextlib.suppress(NeuroglotError, KeyError, TypeError):  # a chapter that is damaged is run again
            given = read_json(executed(folder, chapter))["metadata"]["papermill"]["parameters"]
            found[chapter] = {"parameters": given} | {name: said.get(name, {}) for name in _TOLD}
    return found


# What a chapter's record tells the manifest.
_TOLD = ("inputs", "outputs", "versions")


@dataclasses.dataclass(frozen=True)
class _Step:
    """A chapter of a run: its notebook, its own parameters, and the files that it writes."""

    chapter: Chapter
    source: Path
    own: dict[str, Any]
    output: Path
    outputs: list[Path]

    @property
    def record(self) -> Path:
        return self.output.with_suffix(".json")

    def inputs(self, root: Path) -> dict[Path, str]:
        """The files that it reads, and which artefact each is."""
        files = [_input_files(self.own[name], name) for name in self.chapter.reads]
        return {root / file: kind for each in files for file, kind in each.items()}

    def seen(self, root: Path) -> set[Path]:
        """The files that it reads where they are there."""
        return {root / self.own[name] for name in self.chapter.sees if name in self.own}

    def is_up_to_date(self, root: Path) -> bool:
        with contextlib.suppress(NeuroglotError):  # of inputs that are not there yet
            return _up_to_date(root, self.record, _key(root, self.chapter, self.source, self.own), self.outputs)
        return False


def _steps(
    parameters: Mapping[str, Any],
    root: Path,
    folder: Path,
    known: Mapping[str, tuple[str, ...]],
    beside: Sequence[str],
    chapters: Sequence[Chapter],
) -> list[_Step]:
    run = folder.name
    # The run's own folder is the book's to write; a file that the caller names is not.
    own_files = {name: f"runs/{run}/{file}" for name, file in ARTIFACTS.items()}
    given: dict[str, Any] = {**own_files, "overwrite": "stats" not in parameters, "runs": [f"runs/{run}", *beside]}
    given["released"] = None  # whose page then says nothing of the run
    given |= parameters
    steps = []
    for chapter in chapters:
        output = executed(folder, chapter.name)
        own = {name: given[name] for name in known[chapter.name] if name in given}
        outputs = [output, *(root / given[name] for name in chapter.writes)]
        steps.append(_Step(chapter, root / "notebooks" / output.name, own, output, outputs))
    return steps


def _require_inputs(root: Path, steps: Sequence[_Step], made: Collection[Path] = ()) -> set[Path]:
    """All that is made then, if what each chapter reads is there, or made before."""
    made = set(made)
    for step in steps:
        for file, kind in step.inputs(root).items():
            if file not in made and not file.is_file():
                maker = next(chapter.name for chapter in CHAPTERS if kind in chapter.writes)
                raise NeuroglotError(
                    f"chapter {step.chapter.name} reads {_relative(file, root)}, which is not there; chapter {maker} "
                    f"makes it: run that first (--only {maker}), or all from it on (--from {maker})."
                )
        made.update(step.outputs)
    return made


def _execute(source: Path, output: Path, parameters: Mapping[str, Any], root: Path) -> None:
    """Run one notebook in the interpreter that runs this.

    Raises:
        NeuroglotError: a cell failed (the notebook up to it is kept as ``.failed.ipynb``), or the interpreter died.
    """
    import papermill
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class OwnKernel(AsyncKernelManager):
        """Without a folder to search, the kernel is ipykernel's own, of this interpreter."""

        @default("kernel_spec_manager")
        def _own(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

    chapter, failed = source.stem, output.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with atomic(output) as part:
        try:
            papermill.execute_notebook(
                str(source),
                str(part),
                parameters=dict(parameters),
                cwd=str(root),
                kernel_name="python3",
                kernel_manager_class=OwnKernel,
                stderr_file=sys.stderr,
                extra_arguments=["--IPKernelApp.log_level=40"],
            )
        except papermill.PapermillExecutionError as error:
            shutil.copyfile(part, failed)
            raise NeuroglotError(
                f"chapter {chapter}, cell {error.cell_index}: {error.ename}: {error.evalue} (see {failed})."
            ) from error
        except RuntimeError as error:  # nbclient's, of a kernel that died or never answered
            reason = in_a_line(error, 100) or "no message"
            raise NeuroglotError(
                f"chapter {chapter}: its process ended ({reason}), perhaps for want of memory; run it again."
            ) from error


def _known(root: Path, parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The parameters of each chapter.

    Raises:
        NeuroglotError: no notebooks, or a parameter that no chapter has.
    """
    known = {chapter.name: _parameters(root, chapter) for chapter in CHAPTERS}
    if unknown := [name for name in parameters if not any(name in names for names in known.values())]:
        raise NeuroglotError(f"no chapter has the parameter {quoted(unknown[0])}; see the first cell of each notebook.")
    _require_words(parameters)
    return known


#: Parameters that hold something else than a word or none, where not every chapter would say so.
_MAPPINGS = ("model_options", "corpus_options", "sampling", "domains", "practice_options", "recipe")
_LISTS = ("runs", "checkpoints")


def _require_words(parameters: Mapping[str, Any]) -> None:
    """Names that files can have, and options by name, before any chapter is run with them.

    Raises:
        NeuroglotError: others.
    """
    for name, value in parameters.items():
        words = value if name in _LISTS and isinstance(value, list | tuple) else [value]
        named = name in (*ARTIFACTS, *_LISTS) or (name in _NAMES and value is not None)
        if named and not all(isinstance(word, str) and word and "\0" not in word for word in words):
            raise NeuroglotError(f"{name}={quoted(value)}: give a name, or a list of names where it takes several.")
        if name in _MAPPINGS and value is not None and not isinstance(value, Mapping):
            raise NeuroglotError(f'{name}={quoted(value)}: give options by name, as in {{"n": 12}}.')


_NAMES = ("model", "corpus", "neurons", "released", "after", "adapter", "scorer", "judge", "candidates", "practice")


def _parameters(root: Path, chapter: Chapter) -> tuple[str, ...]:
    import papermill

    path = root / "notebooks" / f"{chapter.name}.ipynb"
    if not path.is_file():
        raise NeuroglotError(f"there is no notebook {path}; run this in a clone of neuroglot.")
    return tuple(papermill.inspect_notebook(str(path)))


# Libraries that decide what a chapter computes or shows.
_DECIDING = (
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "gguf"),
    *("numpy", "scipy", "pandas", "ruptures", "pyarrow"),
    *("lingua-language-detector", "langcodes", "language_data", "uroman", "budoux"),
    *("altair", "vl-convert-python", "anywidget"),
)


def _key(root: Path, chapter: Chapter, source: Path, parameters: Mapping[str, Any]) -> str:
    """Hash of everything a chapter's output depends on.

    Of a hub's models that is the commit, as :func:`neuroglot.model.loading.hub_commit` knows it.
    """
    from ..model.loading import hub_commit, require_name

    package = Path(str(package_files("neuroglot")))
    code = file_hashes(package, ("*.py", "*.toml", "*.js", "*.css"))
    there = [name for name in chapter.sees if name in parameters and (root / parameters[name]).is_file()]
    inputs = {name: _input_hashes(root, parameters[name]) for name in (*chapter.reads, *there)}
    versions = _versions(*_DECIDING)
    if {"recipe", "variants"} & set(_parameters(root, chapter)):
        versions |= _versions("trl", "peft", "datasets")
    # Text that is files may change under its name, and so may a scorer, and neurons and counts from elsewhere.
    domains = parameters.get("domains") or {}
    sources = [parameters.get(name) for name in ("corpus", "practice", "candidates", "scorer", "judge")]
    named = [str(source) for source in (*sources, *domains) if ":" in str(source)]
    text = {source: file_hashes(root / source.partition(":")[2], ("*",)) for source in named}
    for name in ("neurons", "released"):
        if outside := parameters.get(name):
            text[name] = file_hashes(root / str(outside), ("*",))
    # So may a local model's; its files are too large to be read for this.
    models = [parameters.get(name) for name in ("model", "after", "adapter")] + list(
        parameters.get("checkpoints") or ()
    )
    names = list(map(str, filter(None, models)))
    for name in names:
        require_name(name)
    weights = {name: _file_stamps(root / name) for name in names}
    # A hub's may move under its name.
    scorers = [source.partition(":")[2] for source in named if source.startswith("translation:")]
    revisions = dict.fromkeys([*weights, *scorers]) | {
        parameters.get("model"): (parameters.get("model_options") or {}).get("revision")
    }
    commits = {name: hub_commit(name, at) for name, at in revisions.items() if name and not (root / name).exists()}
    kept = tuple(ARTIFACTS[name] for name in chapter.writes if ARTIFACTS[name].endswith(".json"))
    reference = file_hashes(root / "book" / "reference", (*kept, "about.json")) if kept else {}
    everything = [sha256_file(source), dict(parameters), code, text, weights, commits, inputs, versions, reference]
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _versions(*names: str) -> dict[str, str]:
    """Of those libraries that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _file_stamps(place: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of a file, or of those in a folder; of nothing where nothing is."""
    files = [place] if place.is_file() else sorted(path for path in place.glob("*") if path.is_file())
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def _input_files(named: str | Sequence[str], name: str = "") -> dict[str, str]:
    """The file of an artefact, or those of several runs, and which artefact each is."""
    if isinstance(named, str):
        return {named: name}
    return {f"{run}/{ARTIFACTS[each]}": each for run in named for each in COMPARED}


def _input_hashes(root: Path, named: str | Sequence[str]) -> dict[str, str]:
    """Of an artefact, or of those of several runs."""
    files = _input_files(named)
    if missing := [file for file in files if not (root / file).is_file()]:
        raise NeuroglotError(f"there is no file {missing[0]}; run the chapter that writes it first.")
    return {file: sha256_file(root / file) for file in files}


def file_hashes(place: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Of a file, or of the files anywhere in a folder; of nothing where nothing is."""
    if place.is_file():
        return {place.name: sha256_file(place)}
    files = {path for pattern in patterns for path in place.rglob(pattern) if path.is_file()}
    return {path.relative_to(place).as_posix(): sha256_file(path) for path in sorted(files)}


def _up_to_date(root: Path, record: Path, key: str, outputs: list[Path]) -> bool:
    """Whether a chapter was run with this key and its outputs are still the ones it wrote."""
    said = _said(record)
    whole = said.get("key") == key and all(path.is_file() for path in outputs)
    return whole and said.get("outputs") == _hashes(root, outputs)


def _said(record: Path) -> dict[str, Any]:
    """What the record of a chapter says; nothing where there is none."""
    with contextlib.suppress(NeuroglotError):
        said = read_json(record)
        if isinstance(said, dict) and isinstance(said.get("outputs"), dict):
            return said
    return {}


def _hashes(root: Path, paths: list[Path]) -> dict[str, str]:
    return {_relative(path, root): sha256_file(path) for path in paths}


def _relative(path: str | Path, root: Path) -> str:
    return os.path.relpath(root / path, root)
