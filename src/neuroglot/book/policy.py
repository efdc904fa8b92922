"""What a page of the book may load, run and ask: its content security policy, which is written into the page.

Whatever a page shows, only the book's own files, and the few lines that the theme has within its pages, run as code;
no page is framed, embeds anything, or sends anything anywhere. Styles within a page are allowed: charts place their
marks by them, and they run nothing. Vega reads its formulas without making code of them (``ast`` in ``charts.js``).
"""

import base64
import hashlib
import html
import re
from collections.abc import Iterable

#: What the theme and Sphinx write into their pages as scripts, whole; another script within a page does not run.
_OF_THE_THEME = (
    r"""\s*document\.documentElement\.dataset\.mode = localStorage\.getItem\("mode"\) \|\| "\w*";"""
    r"""\s*document\.documentElement\.dataset\.theme = localStorage\.getItem\("theme"\) \|\| "\w*";\s*""",
    r"""DOCUMENTATION_OPTIONS\.pagename = '[\w/.-]*';""",
    r"""DOCUMENTATION_OPTIONS\.search_as_you_type = (?:true|false);""",
    r"""window\.MathJax = \{"options": \{"processHtmlClass": "[\w|]*"\}\}""",
    r"""\s*// Activate the search field on page load\s*"""
    r"""let searchInput = document\.querySelector\("form\.bd-search input"\);\s*if \(searchInput\) \{"""
    r"""(?:\s*(?:searchInput\.\w+\(\)|console\.log\("[^"\\]*"\));)*\s*\}\s*""",
)
_SCRIPT = re.compile(r"<script\b[^>]*>(.*?)</script\s*>", re.S | re.I)
#: The theme's two buttons, which ``pages.js`` listens to instead.
_BUTTONS = re.compile(r'(<button)\s+onclick="(?:window\.print|toggleFullScreen)\(\)"')
_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
_CHARSET = re.compile(r"""<meta\s+charset=["']utf-8["']\s*/?>""", re.I)


def policy(scripts: Iterable[str] = (), *, files: bool = True, reads: bool = False) -> str:
    """A content security policy (W3C, Content Security Policy Level 3).

    Args:
        scripts: the texts of scripts within the page that run.
        files: whether the page has files beside it.
        reads: whether its scripts read other pages of the book, as the search does for its summaries.
    """
    own = ["'self'"] if files else []
    rules = {
        "default-src": ["'none'"],
        "script-src": [*own, *dict.fromkeys(map(_hashed, scripts))] or ["'none'"],
        "style-src": [*own, "'unsafe-inline'"],
        "img-src": [*own, "data:"],
        "font-src": own or ["'none'"],
        "connect-src": ["'self'" if reads else "'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": own or ["'none'"],
    }
    return "; ".join(" ".join([name, *sources]) for name, sources in rules.items())


def _hashed(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def meta(text: str) -> str:
    """The element that gives a page this policy; it stands before all that the policy is about."""
    return f'<meta http-equiv="Content-Security-Policy" content="{html.escape(text, quote=False)}">'


def guarded(page: str, *, reads: bool = False) -> str:
    """A page of the book with its policy, by which the theme's own scripts within it run and no others do.

    Args:
        page: HTML, made by Jupyter Book or :func:`neuroglot.book.printing.one_page`.
        reads: as for :func:`policy`.
    """
    page = _BUTTONS.sub(r"\1", _META.sub("", page))
    inline = [script for script in _SCRIPT.findall(page) if any(re.fullmatch(one, script) for one in _OF_THE_THEME)]
    own = meta(policy(inline, reads=reads))
    # The letters' encoding is looked for in the first kilobyte only, so it stays in front.
    place = _CHARSET.search(page) or re.search(r"<head\b[^>]*>", page, re.I)
    if place is None:  # the first page of some books is nothing but the way to another
        return own + page
    return page[: place.end()] + own + page[place.end() :]


def policy_of(page: str) -> str | None:
    """The policy that a page has."""
    found = _META.search(page)
    return html.unescape(found[1]) if found else None
