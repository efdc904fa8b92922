"""How the chapters' notebooks are written: a finding first, words that are explained, text for any thresholds."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from neuroglot.book import chapters

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.md"))
FINDINGS = sorted((ROOT / "src" / "neuroglot" / "book" / "findings").glob("*.py"))

FIGURE = re.compile(r"\bcharts\.(?!enable)|\bng\.(?:NeuronBrowser|Playground|ThresholdExplorer|book\.lookup\.\w+)\(")


def cells_of(path):
    return nbformat.read(path, as_version=4).cells


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_opens_with_its_finding_and_a_figure(path):
    cells = cells_of(path)
    opening = [cell for cell in cells if "opening" in cell.metadata.get("tags", [])]
    finding, *figures = opening
    assert all(cell.cell_type == "code" for cell in opening)
    assert "Markdown(" in finding.source and "findings." in finding.source
    assert figures and all(FIGURE.search(cell.source) or cell.source.startswith("show") for cell in figures)
    # What the page moves to its top leaves no heading with nothing under it.
    left = [cell for cell in cells if cell not in opening]
    for cell, following in zip(left, [*left[1:], None], strict=True):
        if cell.cell_type == "markdown" and cell.source.strip().splitlines()[-1].startswith("#"):
            assert following is not None and following.cell_type == "code", cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_thin(path):
    """Parameters, one set-up cell, then what is shown: the package computes, and cells only say what."""
    parameters, setup, *others = [cell for cell in cells_of(path) if cell.cell_type == "code"]
    assert parameters.metadata.tags == ["parameters", "remove-cell"] and setup.metadata.tags == ["remove-cell"]
    for cell in (setup, *others):
        assert len(cell.source.splitlines()) <= 12, cell.source
        parts = list(ast.walk(ast.parse(cell.source)))
        assert not [part for part in parts if isinstance(part, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.Try)]
        held = [item for part in parts if isinstance(part, ast.With) for item in part.items]
        assert all("progress" in ast.unparse(item) for item in held), cell.source
        assert (cell is setup) == any(isinstance(part, ast.Import | ast.ImportFrom) for part in parts), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_figures_are_folded(path):
    """A page shows no code but a figure's, which is folded; other cells leave what they show, or nothing."""
    for cell in cells_of(path):
        if cell.cell_type == "code":
            (how,) = set(cell.metadata.tags) - {"parameters", "opening", "needs-released", "timed"}
            assert how in ("hide-input", "remove-input", "remove-cell"), how
            assert (how == "hide-input") == bool(FIGURE.search(cell.source)), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_shown_goes_through_markup(path):
    """Names and text may come from anywhere; ``neuroglot.book.markup`` has the ways to show them."""
    code = "\n".join(cell.source for cell in cells_of(path) if cell.cell_type == "code")
    assert not re.findall(r".*(?:\.style\b|to_html|\bHTML\(|languages\.language_name).*", code)
    bare = r".*\{(?:error|corpus|model|run\.name|one\.name|row\.model|text\.name)\}.*"
    assert not [line for line in re.findall(bare, code) if "Markdown(" in line or "notes" in line]
    assert not [name for name in put_into_text(ast.parse(code)) if name in ("code", "codes", "error")]
    last = [ast.parse(cell.source).body[-1] for cell in cells_of(path) if cell.cell_type == "code"]
    assert not [ast.unparse(one) for one in last if isinstance(one, ast.Expr) and ast.unparse(one).startswith("pd.")]


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_what_is_found_goes_through_markup(path):
    outside = ("code", "codes", "corpus", "error", "model", "reason", "run")
    assert not [name for name in put_into_text(ast.parse(path.read_text("utf-8"))) if name in outside]


def put_into_text(node, within=False):
    """Names in the places of f-strings, but those that go through ``markup`` or only say which of some."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("markup.", "myst", "language", "name")):
        return
    within = within or isinstance(node, ast.FormattedValue)
    if within and isinstance(node, ast.Name):
        yield node.id
    for child in [node.value] if isinstance(node, ast.Subscript) else ast.iter_child_nodes(node):
        yield from put_into_text(child, within)


def test_every_term_is_in_the_glossary():
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    entries = glossary.split("```{glossary}\n")[1].split("\n```")[0].split("\n\n")
    terms = [entry.splitlines()[0] for entry in entries]
    assert len(set(terms)) == len(terms) and not [entry for entry in entries if len(entry.splitlines()) < 2]
    texts = {path: path.read_text(encoding="utf-8") for path in PAGES}
    texts |= {path: "\n".join(c.source for c in cells_of(path) if c.cell_type == "markdown") for path in NOTEBOOKS}
    used = {
        " ".join(term.split()): path.name
        for path, text in texts.items()
        for term in re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", text)
    }
    assert len(used) > 10 and {term: name for term, name in used.items() if term not in terms} == {}


# Links in what a cell writes stay as they are: those of the pages' own text are resolved, by the name of the notebook.
@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_what_is_found_links_to_pages(path):
    linked = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    pages = {f"{name}.html" for name in (*(path.stem for path in NOTEBOOKS), *(path.stem for path in PAGES), "{file}")}
    assert [to for to in linked if to not in pages] == []


def test_findings_have_links():
    assert sum(path.read_text(encoding="utf-8").count(".html)") for path in FINDINGS) > 5


# MyST takes a line that begins with % for a comment and one with +++ for a break; IPython takes %, ! and ? for its own.
SWALLOWED = {"markdown": re.compile(r"^\s*(?:%|\+\+\+)", re.M), "code": re.compile(r"^\s*[%!?]", re.M)}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PAGES], ids=lambda path: path.stem)
def test_no_line_is_swallowed(path):
    parts = [("markdown", path.read_text(encoding="utf-8"))]
    if path.suffix == ".ipynb":
        parts = [(cell.cell_type, cell.source) for cell in cells_of(path)]
    assert parts and [text for kind, text in parts if SWALLOWED[kind].search(text)] == []


def test_a_text_is_read_as_asked_or_in_the_books_own_size():
    assert chapters.text_options("problems", None) == {"n": 60} and chapters.text_options("udhr", None) == {}
    assert chapters.text_options("problems", {}) == {} and chapters.text_options("udhr", {"n": 3}) == {"n": 3}
