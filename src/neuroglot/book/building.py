"""The pages: executed chapters and prose assembled by Jupyter Book, readable without a network."""

import hashlib
import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import NeuroglotError
from ..base.files import atomic, read_json, sha256_file, write_bytes, write_json
from ..base.locks import alone
from ..base.npm import npm_package
from ..base.records import is_marked, kept_folder, mark_whole
from .api import api_page, tidied
from .chapters import CHAPTERS, executed, file_hashes, project_root, run_folder
from .pages import facts_of, page, parameters_of
from .policy import guarded
from .presets import QUICK_BANNER, preset_of
from .printing import one_page

_NPM = {
    "mathjax": (
        "3.2.2",
        "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
    ),
}


def vendor(folder: Path) -> None:
    """Put every script the pages need into ``folder``, so that they ask no other host.

    The explorer and the neuron browser are the package's own; Vega comes with the pinned vl-convert, MathJax from npm.
    """
    import vl_convert

    own = Path(str(package_files(__package__))) / "frontend"
    pins = [_NPM, version("vl-convert-python"), sha256_file(__file__), file_hashes(own, ("*",))]
    key = hashlib.sha256(json.dumps(pins).encode()).hexdigest()
    kept = is_marked(folder) and kept_folder(folder, "neuroglot book")
    if kept and (folder / "key").read_text() == key:
        return
    shutil.rmtree(folder, ignore_errors=True)
    package = {name: npm_package(name, *pin) for name, pin in _NPM.items()}
    with atomic(folder) as part:
        part.mkdir()
        shutil.copyfile(package["mathjax"] / "es5" / "tex-svg-full.js", part / "mathjax.js")
        for script in sorted(own.iterdir()):
            shutil.copyfile(script, part / script.name)
        # The bundle must not see an AMD loader, or it would register itself instead of Vega.
        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg] # no snippet is needed
        (part / "vega.js").write_text(f"(function(define,module,exports){{{bundle}\n}})();", encoding="utf-8")
        (part / "key").write_text(key)
        mark_whole(part, "neuroglot book")


def not_run(run: str, *, root: Path | None = None) -> list[str]:
    """The chapters of a run that are not there yet, so that no pages can be built of it."""
    return [name for name, path in _executed(run_folder(root or project_root(), run)).items() if not path.is_file()]


def _executed(folder: Path) -> dict[str, Path]:
    return {chapter.name: executed(folder, chapter.name) for chapter in CHAPTERS}


def build(run: str, *, root: Path | None = None, wait: bool = True) -> Path:
    """Assemble the executed chapters of a run and the prose pages into ``_build/html``.

    Each page of a quick run has :data:`neuroglot.book.presets.QUICK_BANNER` above it. ``print.html`` is all of them on
    one page.

    Args:
        run: folder name under ``runs/``.
        root: the project; default: :func:`neuroglot.book.chapters.project_root`.
        wait: for another process that builds pages, or writes to the run's folder; otherwise it is refused.

    Raises:
        NeuroglotError: a chapter has not been run, or Jupyter Book stopped.
    """
    root = root or project_root()
    folder = run_folder(root, run)
    with alone(folder, wait=wait), alone(root / "_build", wait=wait):
        return _build(folder, root)


def _build(folder: Path, root: Path) -> Path:
    run = folder.name
    vendor(root / "book" / "vendor")
    executed = _executed(folder)
    if missing := [path for path in executed.values() if not path.is_file()]:
        raise NeuroglotError(f"there is no {missing[0]}; run the chapters first (neuroglot book).")
    notebooks = {name: read_json(path) for name, path in executed.items()}
    files = {
        name: given[name] for given in map(parameters_of, notebooks.values()) for name in _COUNTED if name in given
    }
    config = _config(root, folder, files)
    settings: dict[str, Any] = {
        "run": run,
        "root": root,
        "preset": preset_of(folder),
        "repository": config.get("repository"),
    }
    for name, notebook in notebooks.items():
        write_json(root / "book" / "chapters" / f"{name}.ipynb", page(notebook, name, files=files, **settings))
    write_bytes(root / "book" / "chapters" / "api.md", api_page().encode())
    # Kept doctrees can lose the widgets' state, so every page is made anew; it takes seconds.
    shutil.rmtree(root / "_build", ignore_errors=True)
    write_json(folder / "build.yml", config)  # which is YAML, too
    log = folder / "build.log"
    command = [
        str(Path(sysconfig.get_path("scripts")) / "jupyter-book"),
        "build",
        str(root),
        "-W",
        "-n",
        "--keep-going",
        "--config",
        str(folder / "build.yml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    log.write_text(done.stdout + done.stderr)
    first = root / "_build" / "html" / "index.html"
    if done.returncode or not first.is_file():
        said = re.findall(r"^.*(?:WARNING|ERROR|Error):.*$", done.stdout + done.stderr, re.M)
        raise NeuroglotError(f"Jupyter Book stopped ({(said or ['no message'])[0].strip()}); see {log}.")
    page_of_names = first.parent / "book" / "chapters" / "api.html"
    write_bytes(page_of_names, tidied(page_of_names.read_text(encoding="utf-8")).encode())
    finished(first.parent)
    return first


def finished(html: Path) -> Path:
    """The folder of a built book, with the page to print, and each page with its policy."""
    one_page(html)
    for made in html.rglob("*.html"):
        if "_static" not in made.relative_to(html).parts:
            text = guarded(made.read_text(encoding="utf-8"), reads=made == html / "search.html")
            write_bytes(made, text.encode())
    return html


#: What the pages say of a run is read from these.
_COUNTED = ("stats", "types")


def _config(root: Path, folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """The project's ``_config.yml`` with the model in the title, and the banner of a quick run.

    Paths in it stay those from ``root``.
    """
    config: dict[str, Any] = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    if model := dict(facts_of(files, run=folder.name, root=root)).get("model"):
        config["title"] = f"{config['title']}: {model}"
    if preset_of(folder) == "quick":
        config["sphinx"]["config"]["html_theme_options"]["announcement"] = QUICK_BANNER
    return config
