"""Text from outside comes back from HTML and from Markdown as it was."""

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser

from neuroglot.book import markup
from neuroglot.text import languages

from ..test_project import ROOT

_EXTENSIONS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["parse"]["myst_enable_extensions"]
#: As cells' outputs are read, as pages are, and as in GitHub and in editors.
PARSERS = {
    "outputs": create_md_parser(MdParserConfig(commonmark_only=True), DocutilsRenderer),
    "pages": create_md_parser(MdParserConfig(enable_extensions=set(_EXTENSIONS)), DocutilsRenderer),
    "elsewhere": MarkdownIt("gfm-like"),
}
# What no text has: control characters but ends of lines, and halves of characters.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t*_`$<>&|[](){}#:-.+!~\\=^@%\"'/ 1"),
    min_size=1,
)
MARKS = (
    "<script>window.x=1</script>",
    "if a <b and c> d",
    "&lt;",
    "$x$ \\(y\\) $$z$$",
    "{{ 7*7 }}",
    "{raw}`html` (t)=",
    "\n\n# h\n> q\n- i\n1. n\n:::{raw} html\n```{include} x",
    "[l](javascript:x) ![i](x) [^f] www.example.com a@example.com https://example.com",
    "**a** __b__ ~~c~~ ---",
    "    code",
    " - a ",
    "- [ ] task",
    "% comment",
)


def examples(test):
    """With every mark, and no deadline: the machine may be busy."""
    for text in MARKS:
        test = example(text)(test)
    return settings(deadline=None)(test)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("sentence", ["{}", "**{}**.", "- *{}*, b\n- c", "A ({}) b.", "# {}", "| a |\n| - |\n| {} |"])
@given(text=TEXT)
@examples
def test_markdown_gives_the_text_back(parser, sentence, text):
    if sentence.startswith("|") and parser == "outputs":
        return  # they have no tables
    tokens = PARSERS[parser].parse(sentence.format(markup.myst(text)))
    plain = PARSERS[parser].parse(sentence.format("word"))
    inside, expected = ([child for t in all_ for child in t.children or ()] for all_ in (tokens, plain))
    said = "".join(child.content for child in inside)
    assert said == "".join(child.content for child in expected).replace("word", text)
    assert [token.type for token in tokens] == [token.type for token in plain]
    assert {child.type for child in inside} <= {child.type for child in expected} | {"text"}


def parsed(html):
    """Text of nothing but spaces is kept, of which BeautifulSoup else makes one."""
    return BeautifulSoup(html, "html.parser", preserve_whitespace_tags={"p", "blockquote", "th", "td"})


@given(TEXT)
@examples
def test_html_gives_the_text_back_and_stays_on_its_line(text):
    made = markup.html(text)
    place = parsed(f'<p title="{made}">{made}</p>').p
    assert place["title"] == place.get_text() == text
    assert "\n" not in made and not place.find_all(True)


@given(TEXT)
@examples
def test_a_quotation_has_all_its_lines(text):
    (place,) = parsed(markup.quotation(text).data).contents
    assert place.name == "blockquote" and place.get_text() == text and not place.find_all(True)
    assert "white-space: pre-line" in place["style"] and "tex2jax_ignore" in place["class"]


@given(TEXT)
@examples
def test_a_table_shows_cells_and_names_as_they_are(text):
    assume(text not in ("list", "n"))  # names of its columns differ
    frame = pd.DataFrame({text: [text], "list": [[text]], "n": [0.5]}, index=[f"{text} row"])
    made = parsed(markup.table(frame, {"n": "{:.0%}"}, index=True).to_html())
    shown = [cell.get_text() for cell in made.find_all(["th", "td"])][1:]
    assert shown == [text, "list", "n", f"{text} row", text, str([text]), "50%"]
    assert {tag.name for tag in made.find_all(True)} <= {"style", "table", "thead", "tbody", "tr", "th", "td"}
    assert "tex2jax_ignore" in made.table["class"]


def test_zero_has_no_minus_in_a_table():
    frame = pd.DataFrame({"a": [-0.0001, -0.5], "b": [-0.001, 2.0], "c": ["-0.00", "x"]})
    made = parsed(markup.table(frame, {"a": "{:+.2f}"}, precision=1).to_html())
    assert [cell.get_text() for cell in made.find_all("td")] == ["0.00", "0.0", "-0.00", "-0.50", "2.0", "x"]


def test_a_table_is_as_pandas_makes_it_else():
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": pd.Series([None, 3], dtype=object), "c": ["x", "y\nz"]})
    for options in ({}, {"precision": 2, "na_rep": ""}):
        made, own = (
            [cell.get_text() for cell in BeautifulSoup(style.to_html(), "html.parser").find_all(["th", "td"])]
            for style in (markup.table(frame, **options), frame.style.hide().format(**options))
        )
        assert made == own
    assert "#T_t_row1_col2" in markup.table(frame, lines=["c"]).to_html(table_uuid="t").partition("pre-line")[0]
    assert markup.table(pd.DataFrame()).to_html()


def test_a_language_has_its_name_or_its_code():
    assert markup.language("de") == "German" == languages.language_name("de")
    assert markup.language("<b>") == markup.myst("<b>") != "<b>"


def test_names_can_be_read_in_the_source():
    assert markup.myst("gemma3-270m on problems") == "gemma3-270m on problems"
