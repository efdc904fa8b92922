"""How the chapters' notebooks are written: a finding first, words that are explained, text for any thresholds."""

import ast
import re
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest

from neuroglot import ActivationStats, NeuronTypes

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.md"))


def cells_of(path):
    return nbformat.read(path, as_version=4).cells


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_opens_with_its_finding_and_a_figure(path):
    cells = cells_of(path)
    opening = [cell for cell in cells if "opening" in cell.metadata.get("tags", [])]
    finding, *figures = opening
    assert all(cell.cell_type == "code" and "hide-input" in cell.metadata.tags for cell in opening)
    assert "Markdown(" in finding.source and "**" in finding.source
    assert figures and all("charts." in cell.source or cell.source.startswith("show") for cell in figures)
    # What the page moves to its top leaves no heading with nothing under it.
    left = [cell for cell in cells if cell not in opening]
    for cell, following in zip(left, [*left[1:], None], strict=True):
        if cell.cell_type == "markdown" and cell.source.strip().splitlines()[-1].startswith("#"):
            assert following is not None and following.cell_type == "code", cell.source


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


def put_into_text(node, within=False):
    """Names in the places of f-strings, but those that go through ``markup`` or only say which of some."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("markup.", "name")):
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


# MyST takes a line that begins with % for a comment and one with +++ for a break; IPython takes %, ! and ? for its own.
SWALLOWED = {"markdown": re.compile(r"^\s*(?:%|\+\+\+)", re.M), "code": re.compile(r"^\s*[%!?]", re.M)}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PAGES], ids=lambda path: path.stem)
def test_no_line_is_swallowed(path):
    parts = [("markdown", path.read_text(encoding="utf-8"))]
    if path.suffix == ".ipynb":
        parts = [(cell.cell_type, cell.source) for cell in cells_of(path)]
    assert parts and [text for kind, text in parts if SWALLOWED[kind].search(text)] == []


def said(path):
    """Everything that an executed notebook says in words."""
    data = [out.get("data", {}) for cell in cells_of(path) if cell.cell_type == "code" for out in cell.outputs]
    return "\n".join(one["text/markdown"] for one in data if "text/markdown" in one)


def test_tables_beside_leave_out_what_no_lambda_fits(tmp_path):
    """At the chapter's own lambda all is well; at the top rates beside it every selection has a general neuron."""
    rng = np.random.default_rng(0)
    counts = rng.integers(40, 61, size=(4, 4, 40, 3))  # active everywhere, about alike
    tokens = np.full((4, 3), 100)
    stats, types = tmp_path / "counts.safetensors", tmp_path / "types.safetensors"
    ActivationStats(counts, tokens, ("de", "en", "ru")).save(stats)
    own = {"stats": str(stats), "types": str(types)}
    settings = {"top_rate": 0.2, "lam": 0.1, "quantile": 0.01}
    words = {}
    for name, parameters in {
        "02-identification": own | settings,
        "03-layers": own | {"layers": str(tmp_path / "layers.json"), "draws": 3},
    }.items():
        out = tmp_path / f"{name}.ipynb"
        source = str(ROOT / "notebooks" / f"{name}.ipynb")
        papermill.execute_notebook(
            source, str(out), parameters, cwd=str(ROOT), kernel_name="python3", progress_bar=False
        )
        words[name] = said(out)
    assert NeuronTypes.load(types).lam == 0.1
    for text in words.values():
        assert re.search(r"No lambda keeps general neurons out at a top rate of .*10\.0%, .*20\.0%: left out", text)
