"""What the build adds to a chapter's page, the book on one page, and the workflow that publishes it."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import papermill.cli
import pytest
import yaml
from bs4 import BeautifulSoup
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import ActivationStats, NeuroglotError, classify
from neuroglot.book import building, chapters, pages, printing

ROOT = Path(__file__).parents[2]

# --- the command -------------------------------------------------------------------------------


def as_papermill_reads(command: str) -> dict:
    """The parameters that papermill's command line makes of a command that a shell has split."""
    script = command.replace(".venv/bin/papermill", "split", 1)
    done = subprocess.run(["sh", "-c", f"split() {{ printf '%s\\0' \"$@\"; }}\n{script}"], capture_output=True)
    assert done.returncode == 0 and not done.stderr
    read = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papermill.cli, "execute_notebook", lambda **given: read.update(given))
        result = CliRunner().invoke(papermill.cli.papermill, done.stdout.decode().split("\0")[:-1])
    assert result.exit_code == 0, result.output
    assert (read["input_path"], read["output_path"]) == ("notebooks/02-identification.ipynb", "out.ipynb")
    return read["parameters"]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SINGLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT,
    st.sampled_from(["1", "1e5", "-2", "True", "None", "nan", "_", "1_0", "2020-01-01", "yes", "'", "a b", "$HOME"]),
)  # fmt: skip
VALUES = st.recursive(
    SINGLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=5))
def test_the_command_gives_papermill_the_same_parameters(parameters):
    read = as_papermill_reads(pages.command("02-identification", parameters))
    assert {name: repr(value) for name, value in read.items()} == {n: repr(v) for n, v in parameters.items()}


def test_the_command_is_one_to_read():
    parameters = {"stats": "runs/a run/x.safetensors", "top_rate": 0.02, "lam": None, "steps": [1, 2], "name": "1e5"}
    assert pages.command("02-identification", parameters) == (
        ".venv/bin/papermill notebooks/02-identification.ipynb out.ipynb \\\n"
        "    -p stats 'runs/a run/x.safetensors' \\\n"
        "    -p top_rate 0.02 \\\n"
        "    -y '{lam: null}' \\\n"
        "    -y '{steps: [1, 2]}' \\\n"
        "    -r name 1e5"
    )


@pytest.fixture
def project(tmp_path):
    """A project with counts and types in a run's folder."""
    counts = np.random.default_rng(0).integers(0, 50, (2, 3, 40, 3))
    made = {"model": "/models/tiny", "revision": "r1", "corpus": "text:x", "examples": 1234, "input_sha256": "ab"}
    stats = ActivationStats(counts, np.full((2, 3), 1000), ("en", "de", "zh"), made)
    folder = tmp_path / "runs/tiny"
    stats.save(folder / "activations.safetensors")
    classify(stats.select(["en", "de"]), top_rate=0.125, lam=0.25).save(folder / "types.safetensors")
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_the_printed_command_makes_the_same_file(project):
    parameters = {"stats": "runs/tiny/activations.safetensors", "types": "made.safetensors", "top_rate": 0.2}
    source, made = str(project / "notebooks/02-identification.ipynb"), project / "made.safetensors"
    done = project / "done.ipynb"
    papermill.execute_notebook(source, str(done), parameters, cwd=str(project), progress_bar=False)
    notebook = json.loads(done.read_text(encoding="utf-8"))
    first = made.read_bytes()
    made.unlink()
    last = pages.page(notebook, "02-identification", run="tiny", root=project)["cells"][-1]["source"]
    command = re.search(r"```bash\n(.*?)\n```", last, re.S)[1]
    subprocess.run(["sh", "-c", command], cwd=project, check=True, capture_output=True)
    assert made.read_bytes() == first
    again = nbformat.read(project / "out.ipynb", as_version=4)
    assert dict(again.metadata.papermill.parameters) == parameters


# --- one page ----------------------------------------------------------------------------------


def cell(source: str, *tags: str, **data: object) -> dict:
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}}] if data else []
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source, "outputs": outputs}


def chapter(*cells: dict, **parameters: object) -> dict:
    title = {"cell_type": "markdown", "metadata": {}, "source": "# Title"}
    return {"cells": [title, *cells], "metadata": {"papermill": {"parameters": parameters}}}


def test_what_is_found_opens_the_page(project):
    notebook = chapter(
        cell("a", "parameters"),
        cell("b", "injected-parameters"),
        cell("c", "opening", "hide-input"),
        cell("d"),
        cell("e", "opening"),
    )
    before = copy.deepcopy(notebook)
    made = pages.page(notebook, "x", run="tiny", root=project)["cells"]
    assert [one["source"] for one in made[2:-1]] == ["c", "e", "a", "b", "d"]
    assert made[0]["source"] == "# Title" and "{margin}" in made[1]["source"]
    assert made[-1]["source"].startswith("## Run this chapter again\n")
    assert made[5]["metadata"]["tags"] == ["injected-parameters", "remove-cell"]
    assert made[2]["metadata"]["tags"] == ["opening", "hide-input"]
    assert notebook == before


def test_cells_that_need_a_parameter_are_left_out_without_it(project):
    notebook = chapter(
        cell("a"), cell("b", "needs-x"), cell("c", "needs-x", "needs-y"), cell("d", "opening", "needs-y")
    )
    for parameters, wanted in (
        ({}, ["a"]), ({"x": None}, ["a"]), ({"x": 0}, ["a", "b"]), ({"x": "", "y": 1}, ["d", "a", "b", "c"]),
    ):  # fmt: skip
        notebook["metadata"]["papermill"]["parameters"] = parameters
        made = pages.page(notebook, "x", run="tiny", root=project)["cells"]
        assert [one["source"] for one in made[2:-1]] == wanted


def test_the_margin_of_released_counts_is_not_of_the_run(project):
    assert pages.facts_of({"released": None}, run="tiny", root=project) == [("released counts", "not here")]
    made = pages.page(chapter(released="a/<b>"), "12-published", run="tiny", root=project, preset="quick")
    margin = made["cells"][1]["source"]
    assert (
        '<dl class="neuroglot-run"><dt>released counts</dt><dd>&lt;b&gt;</dd></dl>' in margin and "tiny" not in margin
    )


def test_the_margin_says_what_the_files_say(project):
    facts = pages.facts_of({}, run="tiny", root=project, preset="quick")
    assert facts == [
        ("run", "tiny"), ("model", "tiny"), ("revision", "r1"), ("text", "text:x, 1,234 responses"),
        ("tokens", "4,000 counted"), ("languages", "en de"), ("top rate", "12.5 %"), ("λ", "0.25, given"),
        ("τ", dict(facts)["τ"]), ("preset", "quick: not to be cited"),
    ]  # fmt: skip
    assert float(dict(facts)["τ"]) == pytest.approx(
        classify(ActivationStats.load(project / "runs/tiny/activations.safetensors").select("en,de"), lam=0).tau,
        rel=1e-3,
    )
    assert not {"preset"} & dict(pages.facts_of({}, run="tiny", root=project)).keys()


def test_the_margin_leaves_out_what_it_cannot_read(project):
    assert pages.facts_of({}, run="none", root=project) == [("run", "none")]
    (project / "runs/tiny/types.safetensors").write_bytes(b"no types")
    facts = dict(pages.facts_of({}, run="tiny", root=project))
    assert facts["tokens"] == "6,000 counted" and facts["languages"] == "en de zh" and "τ" not in facts
    # Types that were given, of other counts than those in the folder: their tokens are not known.
    stats = ActivationStats.load(project / "runs/tiny/activations.safetensors")
    stats.provenance["input_sha256"] = "other"
    classify(stats, top_rate=0.2, lam=0).save(project / "given.safetensors")
    facts = dict(pages.facts_of({"types": "given.safetensors"}, run="tiny", root=project))
    assert "tokens" not in facts and facts["top rate"] == "20 %"


def test_the_margin_lists_every_run_that_is_compared(project):
    shutil.copytree(project / "runs/tiny", project / "runs/<b>")
    made = pages.page(chapter(runs=["runs/tiny", "runs/<b>"]), "11-models", run="tiny", root=project)
    margin = made["cells"][1]["source"]
    assert re.findall(r"<dt>run</dt><dd>(.*?)</dd>", margin) == ["tiny", "&lt;b&gt;"]
    assert margin.count("<dl") == 2 == margin.count("<dt>τ</dt>")


def test_a_name_stays_in_the_margin(project):
    name = "a\n:::\n::::\n\n<script>1</script>"
    sources = []
    for folder in ("b", name.replace("/", "")):
        shutil.copytree(project / "runs/tiny", project / "runs" / folder)
        made = pages.page(chapter(runs=[f"runs/{folder}"]), "11-models", run="tiny", root=project)
        sources.append(made["cells"][1]["source"].splitlines())
    plain, other = sources
    assert len(plain) == len(other) and plain[:2] + plain[3:] == other[:2] + other[3:] and "<script" not in other[2]


def test_tables_scroll_by_themselves_and_pictures_are_described(project):
    chart = {
        "application/vnd.vegalite.v6+json": {"description": 'Bars of "a" & b'},
        "text/html": ['<div class="neuroglot-chart"><svg class="marks">', '</svg></div><script type="x">'],
    }  # fmt: skip
    notebook = chapter(cell("", **{"text/html": "<style></style><table></table>"}), cell("", **chart), cell("x"))
    table, picture, _, _ = pages.page(notebook, "x", run="tiny", root=project)["cells"][2:]
    assert table["outputs"][0]["data"]["text/html"] == (
        '<div class="neuroglot-table"><style></style><table></table></div>'
    )
    assert picture["outputs"][0]["data"]["text/html"].startswith(
        '<div class="neuroglot-chart"><svg role="img" aria-label="Bars of &quot;a&quot; &amp; b" class="marks">'
    )


def test_widgets_are_the_html_they_bring_and_nothing_else(project):
    """A page has no kernel, and asks no other script for a widget's picture."""
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    notebook = chapter(
        cell("# Title"),
        cell("bar", **view, **{"text/plain": "Loading: 100%"}),
        cell("own", **view, **{"text/html": '<div data-neuroglot="explorer"></div>'}),
        cell("other", **view, **{"text/html": "<p>two</p>"}),
    )
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"1": {}}}}
    made = pages.page(notebook, "x", run="tiny", root=project)
    outputs = {one["source"]: one["outputs"] for one in made["cells"] if one.get("outputs") is not None}
    assert outputs["bar"] == []
    assert outputs["own"][0]["data"] == {"text/html": '<div data-neuroglot="explorer"></div>'}
    assert outputs["other"][0]["data"] == {"text/html": "<p>two</p>"}
    assert "widgets" not in made["metadata"] and "papermill" in made["metadata"]


@pytest.mark.parametrize("url", [None, "", "https://gitlab.com/a/b", "https://github.com/a"])
def test_nothing_is_launched_without_a_repository(project, url):
    assert pages.launch_links("02-identification", {"url": url}) == []
    page = pages.page(chapter(), "02-identification", run="tiny", root=project, repository={"url": url})
    assert "<a " not in page["cells"][1]["source"]


def test_a_repository_is_launched_from_its_notebooks(project):
    repository = {"url": "https://github.com/some-one/book.git", "branch": "a/b"}
    links = dict(pages.launch_links("02-identification", repository))
    assert links == {
        "Open in Colab": "https://colab.research.google.com/github/some-one/book/blob/a/b/notebooks/02-identification.ipynb",
        "Open in Binder": "https://mybinder.org/v2/gh/some-one/book/a%2Fb?labpath=notebooks%2F02-identification.ipynb",
    }
    page = pages.page(chapter(), "02-identification", run="tiny", root=project, repository=repository)
    assert all(f'href="{address}"' in page["cells"][1]["source"] for address in links.values())
    assert yaml.safe_load((ROOT / "_config.yml").read_text()).get("repository") is None


def test_a_book_has_its_model_in_the_title(project):
    (project / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    folder = project / "runs/tiny"
    config = building._config(project, folder, {})
    assert config["title"] == "neuroglot: tiny"
    assert "announcement" not in config["sphinx"]["config"]["html_theme_options"]
    (folder / "quick.json").write_text("{}")
    assert building._config(project, folder, {})["sphinx"]["config"]["html_theme_options"]["announcement"]
    assert building._config(project, project / "runs/none", {})["title"] == "neuroglot"


# --- all on one page ---------------------------------------------------------------------------

PAGE = """<html><head><title>{title} — book</title><link rel="stylesheet" href="../_static/a.css"/>{next}</head>
<body><aside class="bd-header-announcement">Quick</aside>
<article class="bd-article"><h1>{title}<a class="headerlink" href="#same">#</a></h1><section id="same">
<a href="#same">here</a> <a href="{other}#same">there</a> <a href="{other}">all</a> <a href="../x.ipynb">file</a>
<a href="https://example.org/">out</a><img alt="a" src="../_images/a.png"/>
<div class="cell"><details class="hide above-input"><div class="cell_input">code</div></details>
<div class="neuroglot-chart"><svg role="img" aria-label="a"><clipPath id="clip0"></clipPath>
<g clip-path="url(#clip0)" role="graphics-symbol" aria-label="b"></g></svg></div><script>draw()</script></div>
<div class="cell"><div class="cell_input">only code</div></div></section></article></body></html>"""


@pytest.fixture
def html(tmp_path):
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=book/one.html" />')
    (tmp_path / "book").mkdir()
    after = '<link rel="next" title="Two" href="two.html"/>'
    (tmp_path / "book/one.html").write_text(PAGE.format(title="One", next=after, other="two.html"))
    (tmp_path / "book/two.html").write_text(PAGE.format(title="Two", next="", other="one.html"))
    return tmp_path


def test_one_page_has_all_in_order_with_anchors_of_their_own(html):
    page = printing.one_page(html)
    text = page.read_text()
    assert re.findall(r"<h1>(.*?)</h1>", text) == ["One", "Two"] and "<title>book</title>" in text
    assert re.findall(r'<li><a href="(.*?)">(.*?)</a>', text) == [("#book-one", "One"), ("#book-two", "Two")]
    ids = re.findall(r'\sid="(.*?)"', text)
    assert len(ids) == len(set(ids)) == 6
    assert 'href="_static/a.css"' in text and 'src="_images/a.png"' in text
    for own, other in [("one", "two"), ("two", "one")]:
        part = text.split(f'id="book-{own}">')[1].split('<section class="neuroglot-part"')[0]
        hrefs = [f"#book-{own}--same", f"#book-{other}--same", f"#book-{other}", "https://example.org/"]
        assert re.findall(r'href="(.*?)"', part) == hrefs and "<a>file</a>" in part
        clip = re.search(r'<clippath id="(.*?)"', part)[1]
        assert f'clip-path="url(#{clip})"' in part and "graphics-symbol" not in part
    assert "code" not in text and "<script>" not in text and text.count("<svg") == 2
    assert text.count('<aside class="bd-header-announcement">Quick</aside>') == 1
    before = page.read_bytes()
    assert printing.one_page(html).read_bytes() == before
    with pytest.raises(NeuroglotError, match="run: make book"):
        printing.one_page(html / "book")


def test_titles_are_text_on_the_one_page_too(html):
    title = "x &lt;/title>&lt;script>1&lt;/script> &amp;amp; if a &lt;b and c> — d"
    source = PAGE.replace("{title} — book", "One — {title}").format(title=title, next="", other="one.html")
    (html / "book/one.html").write_text(source)
    page = BeautifulSoup(printing.one_page(html).read_text(), "html.parser")
    said = "x </title><script>1</script> &amp; if a <b and c> — d"
    assert page.title.get_text() == said and page.select_one("nav li a").get_text() == said
    assert page.find_all("script", src=None) == []


def test_a_pdf_needs_a_page_and_a_browser(html, tmp_path, monkeypatch, capsys):
    with pytest.raises(NeuroglotError, match="run: make book"):
        printing.pdf(html, tmp_path / "book.pdf")
    printing.one_page(html)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NeuroglotError, match=r"there is no Chromium on the path; install it, or open .*print\.html"):
        printing.pdf(html, tmp_path / "book.pdf")
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(NeuroglotError, match=r"chromium printed nothing \(no display\)"):
        printing.pdf(html, tmp_path / "book.pdf")
    assert not (tmp_path / "book.pdf").exists()
    monkeypatch.setattr(chapters, "project_root", lambda: tmp_path)
    assert printing.main() == 2 and capsys.readouterr().err.startswith("neuroglot: there is no")


# --- the workflow ------------------------------------------------------------------------------


def test_the_workflow_makes_and_publishes_the_pages():
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
    when = workflow[True]  # YAML reads "on" so
    assert when["push"] == {"branches": ["main"], "tags": ["v*"]} and "workflow_dispatch" in when
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert (
        jobs["deploy"]["permissions"] == {"pages": "write", "id-token": "write"} and jobs["deploy"]["needs"] == "book"
    )
    steps = [step for job in jobs.values() for step in job["steps"]]
    made = [words for step in steps for words in re.findall(r"\bmake (.+)", step.get("run", ""))]
    assert made == ["${{ startsWith(github.ref, 'refs/tags/') && 'full' || 'book' }}", "pages"]
    checks = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))["jobs"].values()
    words = [step.get("run", "") for job in checks for step in job["steps"]]
    run = [target for line in words for target in re.findall(r"\bmake ([\w-]+)", line)]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {"test", "lowest", "newest", "audit", "quick"} <= set(run) <= set(targets) >= {"full", "book", "pages"}
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    paths = {step["uses"].split("@")[0]: step.get("with", {}).get("path") for step in steps if "uses" in step}
    assert paths["actions/upload-pages-artifact"] == "_build/html"
    assert paths["actions/upload-artifact"] == "_build/screenshots" and paths["actions/cache"] == "~/.cache/neuroglot"
