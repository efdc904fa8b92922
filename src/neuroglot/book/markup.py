"""Text from outside (a corpus, a model's answer, the name of a file) on a page: shown as it is, and never markup."""

import html as _html
import re
from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from ..base.records import content_hash
from ..base.words import no_minus_zero
from ..text.languages import language_name

if TYPE_CHECKING:
    from IPython.display import HTML

#: Tells MathJax, in the book's pages and in Jupyter, to leave what is in an element alone.
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"

# A hyphen or space within a name stays, so that the source can be read; every other letter may begin a mark, such as
# a dot that makes a link of an address without a scheme.
_MARK = re.compile(r"(?!(?<=[0-9A-Za-z])[ -](?=[0-9A-Za-z]))(?:[^0-9A-Za-z\x80-\U0010ffff]|\s)")


def html(text: object) -> str:
    """Text for HTML, in an element or in a quoted attribute, on one line: a line's end ends no block of Markdown."""
    return _html.escape(str(text)).replace("\n", "&#10;").replace("\r", "&#13;")


def myst(text: object) -> str:
    """Text for a sentence in Markdown of any kind, MyST with every extension and Jupyter's own included.

    A reference to a character (``&#42;``) is never a mark, at the beginning of a line neither.
    """
    return _MARK.sub(lambda found: f"&#{ord(found[0])};", str(text))


def language(code: str) -> str:
    """:func:`neuroglot.text.languages.language_name` for a sentence in Markdown."""
    return myst(language_name(code))


def quotation(text: object) -> "HTML":
    """Text as a quotation in a cell's output; its lines are kept."""
    from IPython.display import HTML

    return HTML(f'<blockquote class="{NO_FORMULAS}" style="white-space: pre-line">{html(text)}</blockquote>')


def table(
    frame: pd.DataFrame,
    formats: Any = None,
    *,
    index: bool = False,
    lines: Sequence[str] = (),
    **options: Any,
) -> "Styler":
    """A table in a cell's output, its cells and the names of its rows and columns shown as they are.

    Args:
        frame: what to show.
        formats: for each column, or for all, as for :meth:`pandas.io.formats.style.Styler.format`.
        index: whether the rows' names are shown.
        lines: columns of text whose lines are kept.
        **options: ``na_rep``, ``precision``, of the same.
    """
    plain, precision = _plain(frame), options.pop("precision", pd.get_option("styler.format.precision"))
    # pandas names a table by chance; the same table is the same HTML.
    named = content_hash([list(map(str, plain)), plain.astype(str).to_numpy().tolist()])[:12]
    shown = Styler(plain, uuid=named, cell_ids=False).format(
        _formats(plain, formats, precision), escape="html", precision=precision, **options
    )
    for axis in (0, 1):
        shown = shown.format_index(escape="html", axis=axis)
    shown = shown.set_table_attributes(f'class="{NO_FORMULAS}"')
    if lines:
        shown = shown.set_properties(subset=list(lines), **{"white-space": "pre-line", "text-align": "left"})
    return shown if index else shown.hide()


def _formats(frame: pd.DataFrame, formats: Any, precision: int) -> dict[Any, Any]:
    """A function for each column with numbers, that writes them by their format, zero without a minus."""
    given = formats if isinstance(formats, dict) else dict.fromkeys(frame, formats)
    usual = {name: f"{{:.{precision}f}}" for name in frame if frame[name].dtype.kind == "f"}
    return {
        name: (lambda value, form=form: no_minus_zero(form.format(value))) if isinstance(form, str) else form
        for name, form in {**usual, **{name: form for name, form in given.items() if form is not None}}.items()
    }


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """With text for what is neither text nor a number: pandas escapes text only."""
    plain = frame.copy()
    for place in (number for number, dtype in enumerate(frame.dtypes) if dtype.kind == "O"):
        cells = [
            cell if cell is None or isinstance(cell, str | Number | np.generic) else str(cell)
            for cell in frame.iloc[:, place]
        ]
        plain.isetitem(place, pd.Series(cells, frame.index, dtype=object))  # type: ignore[arg-type] # stubs forget Series
    return plain
