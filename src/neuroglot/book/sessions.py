"""Chapters in Jupyter: which finished run one goes on with."""

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.display import Markdown, display

from ..base.errors import NeuroglotError
from ..base.files import read_json
from ..base.tables import ARTIFACTS
from . import charts
from .chapters import CHAPTERS, Chapter, executed, is_finished, project_root, run_folder
from .charts import live
from .markup import myst
from .pages import parameters_of
from .presets import preset_of

# What Jupyter Server (JupyterLab, Notebook) and Colab say to a kernel; VS Code gives it a variable.
_SAID = ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG")
_VS_CODE = "__vsc_ipynb_file__"

# Not taken from a run: whoever works in a notebook says by themselves that a file may be replaced.
_OWN = ("overwrite",)


class NotRunError(NeuroglotError):
    """There is no run yet that a chapter could go on with; a notebook shows the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def is_live(namespace: Mapping[str, Any]) -> bool:
    """Whether somebody works in this notebook, and no papermill has given it parameters.

    Args:
        namespace: the notebook's ``globals()``.
    """
    if any(cell.startswith("# Parameters\n") for cell in namespace.get("In", ())):
        return False
    return _VS_CODE in namespace or any(name in os.environ for name in _SAID)


def begin(chapter: str, namespace: dict[str, Any], run: str | None = "newest") -> None:
    """Make a notebook ready: in the project's folder, with the book's charts, in Jupyter with a finished run's files.

    In Jupyter, a parameter that stands in the first cell as it came is taken from the run, so that *Run All* reads what
    is there; one that was changed is kept, and ``overwrite`` always is. Where other files are read than the run's, all
    parameters are taken as they stand. Papermill's are never touched.

    Args:
        chapter: the notebook's name.
        namespace: its ``globals()``, where parameters are set.
        run: name of a folder under ``runs/``; ``"newest"`` the one that was finished last, of those with this chapter
            if there are any; ``None`` to take all parameters as they stand.

    Raises:
        NotRunError: no such run, or one without what the chapter reads.
        NeuroglotError: other files are read than the run's, and the chapter would still write the run's.
    """
    root = project_root()
    os.chdir(root)
    charts.enable()
    if not is_live(namespace):
        return
    live.enable()
    if run is not None:
        own = next(one for one in CHAPTERS if one.name == chapter)
        taken = resumed(own, namespace, run, root)
        if taken:
            name, parameters = taken
            namespace.update(parameters)
            display(Markdown(gone_on_with(name, preset_of(run_folder(root, name)))))
        if missing := [name for name in own.reads if not _there(root, namespace[name])]:
            raise NotRunError(
                f"Chapter {chapter} reads {namespace[missing[0]]}, and no run here has it: run `make book` in the "
                "project's folder first (some 40 minutes; `make quick`, 13, with little text), or name the file "
                f"in the first cell ({missing[0]})."
            )


def _there(root: Path, value: Any) -> bool:
    return all((root / path).exists() for path in ([value] if isinstance(value, str) else value))


def gone_on_with(run: str, preset: str) -> str:
    """What is said of a run that a notebook goes on with."""
    how = f", made with the {preset} preset" if preset else ""
    return (
        f"*This goes on with the run {myst(run)}{how}. What it has measured is read; after a change of the parameters "
        "above, `overwrite = True` measures anew, in place of it.*"
    )


def resumed(chapter: Chapter, namespace: Mapping[str, Any], run: str, root: Path) -> tuple[str, dict[str, Any]] | None:
    """A run's name and, of a chapter's parameters that stand as they came, its values.

    Args:
        chapter, namespace, run: as for :func:`begin`.
        root: the project.

    Returns:
        ``None`` where there is no run, or other files are read than its own.

    Raises:
        NeuroglotError: other files are read, and the chapter would still write the run's.
    """
    folder = _newest(chapter, root) if run == "newest" else run_folder(root, run)
    if folder is None or not folder.is_dir():
        return None
    given: dict[str, Any] = {}
    for one in (*CHAPTERS, chapter):  # the chapter's own last
        if is_finished(folder, one.name):
            given |= parameters_of(read_json(executed(folder, one.name)))
    given |= {name: f"runs/{folder.name}/{file}" for name, file in ARTIFACTS.items() if name not in given}
    own = executed(folder, chapter.name)
    source = own if is_finished(folder, chapter.name) else root / "notebooks" / own.name
    asis = [name for name, value in defaults(source).items() if name not in _OWN and namespace[name] == value]
    if others := [name for name in chapter.reads if name not in asis]:
        if left := [name for name in chapter.writes if name in asis]:
            raise NeuroglotError(
                f"{others[0]} names another file, and {left[0]} is still the run's, which would be written over; name "
                f"files for what this chapter writes, too: {', '.join(left)}."
            )
        return None
    return folder.name, {name: given[name] for name in asis if name in given}


def _newest(chapter: Chapter, root: Path) -> Path | None:
    """The run that has this chapter, most of the chapters, and was finished last."""
    folders = [folder for folder in (root / "runs").glob("*") if (folder / "chapters").is_dir()]

    def order(folder: Path) -> tuple[bool, int, int]:
        done = [one.name for one in CHAPTERS if is_finished(folder, one.name)]
        last = max((executed(folder, name).with_suffix(".json").stat().st_mtime_ns for name in done), default=0)
        return chapter.name in done, len(done), last

    return max((folder for folder in folders if order(folder)[1]), key=order, default=None)


def defaults(notebook: Path) -> dict[str, Any]:
    """The parameters of a notebook and the values that its first cell gives them."""
    cells = read_json(notebook)["cells"]
    source = next("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
    lines = [line for line in ast.parse(source).body if isinstance(line, ast.Assign)]
    return {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in lines}
