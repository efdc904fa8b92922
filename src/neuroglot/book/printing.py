"""The built book on one page, for paper: every chapter with its pictures, and a PDF of it."""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag

from ..base.errors import NeuroglotError
from ..base.files import atomic, write_bytes
from .markup import html as escape

PRINT = "print.html"

#: What paper has no use for: code, scripts, links to a place on a screen, live widgets.
_LEFT_OUT = (
    "script, .cell_input, details.above-input, a.headerlink, .neuroglot-screen, .prev-next-area, .neuroglot-launch"
)


def one_page(html: Path) -> Path:
    """Write ``print.html``: all pages of a built book in their order, charts as their static pictures, code left out.

    Links between pages lead to their places on the one page. The same book gives the same bytes.

    Raises:
        NeuroglotError: there is no book in that folder.
    """
    soups = {name: _read(html / name) for name in _in_order(html)}
    first = next(iter(soups.values()))
    head = [str(link) for link in first.select('link[rel="stylesheet"], link[rel="icon"], script[src*="pages.js"]')]
    with_math = next((soup for soup in soups.values() if soup.select_one("script[src*=mathjax]")), None)
    if with_math:
        scripts = with_math.find_all("script", string=re.compile(r"window\.MathJax"))
        head += map(str, [*scripts, *with_math.select("script[src*=mathjax]")])
    banner = "".join(map(str, first.select("aside.bd-header-announcement")))
    assert first.title is not None
    title = escape(first.title.get_text().partition("—")[2].strip())
    places = {name: _place(name) for name in soups}
    parts = [_part(soup, name, places) for name, soup in soups.items()]
    contents = "".join(
        f'<li><a href="#{places[name]}">{escape(_text(soup.select_one("h1")))}</a></li>' for name, soup in soups.items()
    )
    text = f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{chr(10).join(_from_root(line) for line in head)}
</head>
<body class="neuroglot-print">
{banner}
<main class="bd-main"><div class="bd-content"><div class="bd-article-container"><article class="bd-article">
<nav aria-label="Contents"><p class="neuroglot-print-title">{title}</p><ol>{contents}</ol></nav>
{chr(10).join(parts)}
</article></div></div></main>
</body>
</html>
"""
    write_bytes(html / PRINT, text.encode())
    return html / PRINT


def _read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _text(tag: Tag | None) -> str:
    if tag is None:
        return ""
    return "".join(piece for piece in tag.strings if piece != "#").strip()


def _in_order(html: Path) -> Iterator[str]:
    """The pages that ``index.html`` leads to, each followed by its next one."""
    if not (html / "index.html").is_file():
        raise NeuroglotError(f"there is no book in {html}; run: make book")
    to = re.search(r'http-equiv="Refresh"[^>]*url=([^"\s>]+)', (html / "index.html").read_text(), re.I)
    name: str | None = to[1] if to else "index.html"
    seen: set[str] = set()
    while name and name not in seen:
        seen.add(name)
        yield name
        after = re.search(r'<link rel="next"[^>]*href="([^"#]+)', (html / name).read_text(encoding="utf-8"))
        name = after and posixpath.normpath(posixpath.join(posixpath.dirname(name), after[1]))


def _place(name: str) -> str:
    return re.sub(r"\W+", "-", name.removesuffix(".html"))


def _from_root(line: str) -> str:
    """A line of the head of some page, for a page at the root."""
    return re.sub(r'((?:href|src)=")(?:\.\./)+', r"\1", line)


def _part(soup: BeautifulSoup, name: str, places: dict[str, str]) -> str:
    """One page's article, its anchors made its own."""
    article = soup.select_one("article.bd-article")
    assert article is not None, name
    for tag in article.select(_LEFT_OUT):
        tag.decompose()
    for tag in article.select("details"):
        tag["open"] = ""
    for cell in article.select("div.cell"):
        if not cell.get_text(strip=True) and not cell.select("svg, img"):
            cell.decompose()
    place = places[name]
    for number, picture in enumerate(article.select("svg")):
        _make_own(picture, f"{place}-{number}-")
    for tag in article.select("[id]"):
        if not tag.find_parents("svg") and tag.name != "svg":
            tag["id"] = f"{place}--{tag['id']}"
    for attribute in ("for", "aria-labelledby", "aria-describedby"):
        for tag in article.select(f"[{attribute}]"):
            if not tag.find_parents("svg"):
                tag[attribute] = " ".join(f"{place}--{one}" for one in tag.get_attribute_list(attribute))
    for link in article.select("a[href]"):
        _lead(link, name, places)
    for picture in article.select("img[src]"):
        if not urlsplit(source := str(picture["src"])).scheme:
            picture["src"] = posixpath.normpath(posixpath.join(posixpath.dirname(name), source))
    return f'<section class="neuroglot-part" id="{place}">\n{article.decode_contents()}\n</section>'


def _make_own(picture: Tag, prefix: str) -> None:
    """Prefix the ids in a picture, and what points to them: in each picture they are counted anew.

    Where the whole has a description, its parts need none.
    """
    described = picture.get("role") == "img"
    for tag in (picture, *picture.find_all(True)):
        if described and tag is not picture:
            tag.attrs = {key: value for key, value in tag.attrs.items() if key != "role" and key[:5] != "aria-"}
        for key, value in list(tag.attrs.items()):
            if key == "id":
                tag[key] = f"{prefix}{value}"
            elif key.endswith("href") and str(value).startswith("#"):
                tag[key] = f"#{prefix}{value[1:]}"
            elif key.endswith("href") and not str(value).startswith("data:"):
                del tag[key]  # a page that paper has not
            elif "url(#" in str(value):
                tag[key] = str(value).replace("url(#", f"url(#{prefix}")


def _lead(link: Tag, name: str, places: dict[str, str]) -> None:
    to = urlsplit(str(link["href"]))
    if to.scheme:
        return
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), to.path)) if to.path else name
    if target in places:
        link["href"] = f"#{places[target]}--{to.fragment}" if to.fragment else f"#{places[target]}"
    else:  # a file beside the pages, which paper has not
        del link["href"]


# --- PDF -----------------------------------------------------------------------------------------

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str | None:
    """Path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def pdf(html: Path, out: Path) -> Path:
    """Print ``print.html`` to a PDF through headless Chromium.

    Raises:
        NeuroglotError: there is no such page or no Chromium, or it wrote nothing.
    """
    page = html / PRINT
    if not page.is_file():
        raise NeuroglotError(f"there is no {page}; run: make book")
    browser = chromium()
    if browser is None:
        raise NeuroglotError(f"there is no Chromium on the path; install it, or open {page} and print it.")
    with atomic(out) as part:
        command = [
            browser,
            "--headless=new",
            "--disable-gpu",
            "--no-pdf-header-footer",
            # Mathematics is typeset after the page has loaded.
            "--virtual-time-budget=20000",
            f"--user-data-dir={part.parent / 'profile'}",
            f"--print-to-pdf={part}",
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            page.resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not part.is_file():
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NeuroglotError(f"{Path(browser).name} printed nothing ({said}); open {page} and print it.")
    return out


def main() -> int:
    """Print the project's book to ``_build/neuroglot.pdf``; 2 is the exit code of an error that is explained."""
    from .chapters import project_root

    build = project_root() / "_build"
    try:
        print(f"wrote {pdf(build / 'html', build / 'neuroglot.pdf')}")
    except NeuroglotError as error:
        print(f"neuroglot: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
