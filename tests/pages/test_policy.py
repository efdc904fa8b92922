"""A small book: its pages obey their own policy, served and from disk, and nothing that they show breaks it."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import altair as alt
import nbformat
import pandas as pd
import pytest

from neuroglot import ThresholdExplorer
from neuroglot.book import building, policy
from neuroglot.book.charts import theme

from ..book.test_frontend import counts
from ..book.test_policy import MADE, REFUSED, SENT, TRIED, elsewhere, tried  # noqa: F401 # a fixture
from .conftest import ROOT, serving

#: What a page would hold if some text had become HTML.
BECAME = "<p>here</p><script>window.__owned = 1</script><img src='data:,' alt='' onerror='window.__owned = 2'>"


def chart():
    """One with a choice and formulas in it, which Vega would make code of."""
    rows = pd.DataFrame({"x": [1, 2, 3], "y": [3, 1, 2], "kind": list("aba")})
    chosen = alt.param("kind_", value="a", bind=alt.binding_select(options=["a", "b"], name="kind "))
    shown = alt.Chart(rows, width=400).mark_point().encode(x="x:Q", y="y:Q", tooltip=["x:Q"]).add_params(chosen)
    return theme.embed(shown.transform_filter("datum.kind == kind_ || datum.x < 2").to_dict())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("chapters", "vendor"))
    building.vendor(root / "book" / "vendor")
    explorer = ThresholdExplorer(counts(2, 100)).html()
    cells = [nbformat.v4.new_markdown_cell("# A page\n\nIt says $x^2$.")]
    for data in (chart(), {"text/html": explorer}, {"text/html": BECAME}):
        cells.append(nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data=data)]))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "book" / "page.ipynb")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/rerun\nchapters: [{file: book/page}]\n")
    command = [str(Path(sysconfig.get_path("scripts")) / "jupyter-book"), "build", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    return building.finished(root / "_build" / "html")


@pytest.fixture(scope="module")
def addresses(built):
    with serving(built) as address:
        yield {"served": address, "from disk": built.as_uri()}


@pytest.fixture
def opened(browser, addresses):
    """Opens a page, and remembers all that its console said."""
    contexts = []

    def go(way, name):
        contexts.append(browser.new_context(color_scheme="light"))
        page = contexts[-1].new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(f"{addresses[way]}/{name}")
        return page

    yield go
    for context in contexts:
        context.close()


def test_every_page_has_its_policy(built):
    made = [path for path in built.rglob("*.html") if "_static" not in path.parts]
    assert {path.name for path in made} >= {"index.html", "search.html", "print.html", "page.html", "rerun.html"}
    for path in made:
        own = policy.policy_of(path.read_text(encoding="utf-8"))
        asks = "connect-src 'self'" in own
        assert "default-src 'none'" in own and "unsafe-eval" not in own and asks == (path.name == "search.html")


@pytest.mark.parametrize("way", ["served", "from disk"])
def test_all_of_a_page_works_under_it_but_what_text_became(opened, elsewhere, way):  # noqa: F811
    page = opened(way, "book/page.html")
    page.wait_for_selector(".neuroglot-chart[data-drawn] select")
    page.wait_for_selector("[data-neuroglot=explorer][data-drawn]")
    page.wait_for_selector("mjx-container svg")
    # Only what the page was given as text was refused, by the page's own policy and by the server's.
    assert page.said and all("inline" in said and "violates" in said for said in page.said), page.said
    assert page.evaluate("window.__owned") is None
    page.said.clear()
    shown = ".neuroglot-chart:has(.vega-bindings) [aria-label^='x: 2;']"
    assert page.locator(shown).count() == 0
    page.locator(".neuroglot-chart .vega-bindings select").select_option("b")
    page.wait_for_selector(shown, state="attached")
    page.get_by_label("quantile, as a number").fill("0.9")
    page.get_by_label("quantile, as a number").press("Enter")
    page.wait_for_function("location.hash.includes('quantile=0.9')")
    page.evaluate("window.print = () => { window.printed = true; }")
    page.evaluate("document.querySelector('.btn-download-pdf-button').click()")
    assert page.evaluate("window.printed") is True
    page.evaluate("document.documentElement.requestFullscreen = async () => { window.full = true; }")
    page.evaluate("document.querySelector('.btn-fullscreen-button').click()")
    assert page.evaluate("window.full") is True
    before = page.evaluate("document.documentElement.dataset.mode")
    page.evaluate("document.querySelector('.theme-switch-button').click()")
    assert page.evaluate("document.documentElement.dataset.mode") != before
    assert page.said == []
    host, asked = elsewhere
    assert tried(page, host, TRIED, MADE, SENT) >= REFUSED - {"form-action"} and asked == []
    assert page.evaluate("window.__owned") is None


@pytest.mark.parametrize("way", ["served", "from disk"])
@pytest.mark.parametrize("name", ["book/rerun.html", "search.html?q=neuron", "search.html"])
def test_pages_without_foreign_text_have_nothing_to_refuse(opened, way, name):
    page = opened(way, name)
    page.wait_for_load_state("networkidle")
    if "?" in name:
        page.wait_for_selector("#search-results li a")
    if way == "served" and "?" in name:
        page.wait_for_selector("#search-results li p")  # a summary, read from another page
    if name == "search.html":
        page.locator("form.bd-search input:visible").first.fill("neuron")
        page.keyboard.press("Enter")  # a form of the book's own
        page.wait_for_url("**/search.html?q=neuron*")
    assert page.said == []
