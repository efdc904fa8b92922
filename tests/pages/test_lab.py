"""The chapters in a real JupyterLab, in headless Chromium with real keys."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from neuroglot.book.chapters import CHAPTERS
from neuroglot.book.lab import command_of

ROOT = Path(__file__).parents[2]
RUNS = sorted(path.parent.parent for path in (ROOT / "runs").glob("*/chapters/index.json"))
TOKEN = "neuroglot"
# Every cell is drawn at once, nothing is asked at the start, and a chapter opens as it is in the project.
SETTINGS = {
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed"),
    pytest.mark.skipif(not RUNS, reason="no finished run here; run: make quick"),
]


def asked(address: str, method: str = "GET") -> bytes:
    request = urllib.request.Request(f"{address}?token={TOKEN}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with its finished runs, which chapters in JupyterLab may write to."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "_toc.yml", root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    if (ROOT / "book" / "reference").is_dir():
        shutil.copytree(ROOT / "book" / "reference", root / "book" / "reference")
    shutil.copytree(ROOT / "runs", root / "runs")
    return root


@pytest.fixture(scope="module")
def lab(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab, started as ``neuroglot lab`` starts it; two at once would starve each other."""
    if run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        tmp_path_factory.getbasetemp().parent.joinpath(f"lab-{run}").touch(exist_ok=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, said in SETTINGS.items():
        file = project / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
    environment = {**os.environ, "JUPYTER_TOKEN": TOKEN, "JUPYTERLAB_SETTINGS_DIR": str(project / "settings")}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(project / "workspaces"), "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.setdefault("PYTHONPATH", str(ROOT / "src"))
    command = command_of(project, port=port, browser=False)
    process = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout or ():
        said.append(line)
        if f"127.0.0.1:{port}/lab" in line:
            break
    else:
        pytest.fail("".join(said[-20:]))
    reader = threading.Thread(target=lambda: [said.append(line) for line in process.stdout or ()], daemon=True)
    reader.start()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.fixture
def notebook(browser: Browser, lab: str) -> Iterator:
    """Open a chapter; afterwards its kernel is gone, and nothing was asked of another host or said to the console."""
    refused: list[str] = []
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: refused.append(request.url) if elsewhere(request.url) else None)

    def open_(name: str) -> Page:
        page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb?reset&token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        # What is run before the kernel answers would be lost.
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
        return page

    yield open_
    for kernel in json.loads(asked(f"{lab}/api/kernels")):
        asked(f"{lab}/api/kernels/{kernel['id']}", "DELETE")
    context.close()
    assert not refused and not errors


def elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def run_all(page: Page) -> None:
    """By the menu, until no cell waits: after an error those behind it would wait forever."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.first).to_have_text(re.compile(r"[*\d]"), timeout=60_000)
    over = (
        "document.querySelector(\"[data-mime-type='application/vnd.jupyter.error']\") || ![...document"
        ".querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some((each) => !/\\d/.test(each.textContent))"
    )
    try:
        page.wait_for_function(over, timeout=600_000)
    except TimeoutError:
        state = page.locator("#jp-main-statusbar").inner_text()
        pytest.fail(f"{state!r} after ten minutes, with cells {prompts.all_inner_texts()}")
    assert failures(page) == []


def failures(page: Page) -> list[str]:
    return page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()


def charts_of(name: str) -> int:
    """How many charts the executed chapter shows."""
    runs = [run for run in RUNS if (run / "chapters" / f"{name}.ipynb").is_file()]
    newest = max(runs, key=lambda run: (run / "chapters" / f"{name}.json").stat().st_mtime_ns)
    cells = json.loads((newest / "chapters" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return sum(any("vegalite" in kind for kind in output.get("data", {})) for output in outputs)


@pytest.mark.parametrize("name", [chapter.name for chapter in CHAPTERS])
def test_run_all_reads_the_finished_run_and_its_charts_are_live(notebook, name):
    page = notebook(name)
    run_all(page)
    assert page.get_by_text("This goes on with the run").count() == 1
    page.wait_for_function(
        "(n) => document.querySelectorAll('.jp-OutputArea .neuroglot-chart[data-drawn]').length >= n",
        arg=charts_of(name),
        timeout=60_000,
    )
    assert page.locator(".jp-RenderedSVG, .neuroglot-chart:not([data-drawn]) > svg:only-child").count() == 0


def typed(page: Page, code: str) -> str:
    """What a new last cell prints, written and run with keys."""
    page.locator(".jp-Notebook .jp-Cell").last.click()
    for key in ("Escape", "b", "Enter"):
        page.keyboard.press(key)
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
    said = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stdout']").last
    expect(said).to_contain_text("said", timeout=60_000)
    return said.inner_text()


def test_the_playground_by_keys_and_stop(notebook):
    page = notebook("06-steering")
    run_all(page)
    panel = page.locator(".widget-vbox", has=page.get_by_role("button", name="Play")).last
    tokens = panel.get_by_label("new tokens")
    tokens.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    play = panel.get_by_role("button", name="Play")
    play.focus()
    page.keyboard.press("Enter")
    status = panel.locator("p[role=status]")
    expect(status).to_contain_text("Done: specific + related neurons", timeout=120_000)
    assert panel.locator("section").count() == 3
    tokens.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("200")
    page.keyboard.press("Tab")
    play.focus()
    page.keyboard.press("Enter")
    stop = panel.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled(timeout=30_000)
    stop.focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("Stopped", timeout=60_000)
    said = typed(page, "print('said', len(panel.results), list(panel.results)[:2])")
    assert int(said.split()[1]) % 3 == 0 and "'done'" in said


def test_thresholds_flow_on_and_a_brush_is_read(notebook, project):
    page = notebook("02-identification")
    run_all(page)
    explorer = page.locator(".neuroglot-explorer").first
    box = explorer.get_by_label("top rate (%), as a number")
    box.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    status = explorer.locator(".neuroglot-status")
    expect(status).to_contain_text("neurons selected")
    expect(explorer.locator("input[type=range]").first).to_have_value("2")
    use = explorer.get_by_role("button", name="Use these")
    use.focus()
    page.keyboard.press("Enter")
    expect(status).to_contain_text("To be run again with these types: chapters 03", timeout=60_000)
    file = re.search(r"Written to (\S+)\.", status.inner_text())[1]
    from neuroglot import NeuronTypes

    assert NeuronTypes.load(project / file).top_rate == 0.02
    chart = page.locator(".neuroglot-chart", has_text="How specific is a specific neuron?").first
    chart.scroll_into_view_if_needed()
    x, y, width, height = (chart.bounding_box()[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.1 * width, y + 0.25 * height)  # within the axes
    page.mouse.down()
    page.mouse.move(x + 0.9 * width, y + 0.8 * height, steps=8)
    page.mouse.up()
    said = typed(page, "print('said', len(apart.selected), sorted(apart.selected)[:2])")
    assert int(said.split()[1]) > 0 and "'address'" in said


def test_before_a_run_the_first_cell_says_what_to_do(notebook, project):
    aside = project.parent / "aside"
    (project / "runs").rename(aside)
    try:
        page = notebook("03-layers")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        expect(page.get_by_text("no run here has it: run `make book`").first).to_be_visible(timeout=120_000)
        assert len(failures(page)) <= 1
    finally:
        shutil.rmtree(project / "runs", ignore_errors=True)
        aside.rename(project / "runs")
