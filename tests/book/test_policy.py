"""The content security policy of pages: what it lets run, and that a browser holds to it."""

import http.server
import re
import threading

import pytest

from neuroglot import ThresholdExplorer
from neuroglot.book import policy

from .test_frontend import counts

THEMED = """<!DOCTYPE html><html><head><meta charset="utf-8" />
<script data-cfasync="false">
    document.documentElement.dataset.mode = localStorage.getItem("mode") || "auto";
    document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
  </script>
<script src="a.js"></script><script>DOCUMENTATION_OPTIONS.pagename = 'book/chapters/02-identification';</script>
</head><body><button onclick="window.print()" class="x"></button><button onclick="toggleFullScreen()"></button>
{}</body></html>"""


def rules(page):
    return {name: sources for name, *sources in map(str.split, policy.policy_of(page).split(";"))}


def test_the_themes_own_scripts_run_and_no_other():
    found = rules(policy.guarded(THEMED.format("")))
    assert found["script-src"] == [
        "'self'",
        # openssl dgst -sha256 -binary | base64, of the two scripts' letters
        "'sha256-P1Gd/Wqjqq8uduID7MOciZi3jIWvAuyCldpRMjsiEjw='",
        "'sha256-+QiETThj86n6kyB8FSZAzv/6PyazrCRoTgqxN4ZgZKE='",
    ]
    assert found["default-src"] == found["connect-src"] == found["object-src"] == found["base-uri"] == ["'none'"]
    said = " ".join(one for sources in found.values() for one in sources)
    assert "unsafe-eval" not in said and "*" not in said and "http" not in said and "blob" not in said
    assert [name for name, sources in found.items() if "'unsafe-inline'" in sources] == ["style-src"]


FOREIGN = [
    "alert(1)",
    "DOCUMENTATION_OPTIONS.pagename = ''; alert(1); '';",
    "DOCUMENTATION_OPTIONS.pagename = 'x'+alert(1)+'';",
    'window.MathJax = {"options": {"processHtmlClass": "a"}, "loader": alert(1)}',
    '// Activate the search field on page load\nlet searchInput = document.querySelector("form.bd-search input");'
    "\nif (searchInput) { alert(1); }",
    "DOCUMENTATION_OPTIONS.search_as_you_type = true;\nalert(1)",
]


@pytest.mark.parametrize("script", FOREIGN)
def test_what_only_looks_like_the_themes_is_not_let_in(script):
    own = policy.policy_of(policy.guarded(THEMED.format("")))
    for tag in ("<script>{}</script>", "<SCRIPT type='text/javascript'>{}</SCRIPT >"):
        assert policy.policy_of(policy.guarded(THEMED.format(tag.format(script)))) == own


def test_a_page_is_guarded_once_and_in_front_of_all_it_loads():
    once = policy.guarded(THEMED.format("<p>&lt;meta charset='utf-8'></p>"))
    assert policy.guarded(once) == once and once.count("Content-Security-Policy") == 1
    assert once.index("charset") < once.index("Content-Security-Policy") < once.index("<script")
    assert "onclick" not in once and once.count("<button") == 2
    sent_on = '<meta http-equiv="Refresh" content="0; url=book/chapters/index.html" />\n'
    assert policy.guarded(sent_on) == policy.meta(policy.policy()) + sent_on
    assert rules(policy.guarded(THEMED, reads=True))["connect-src"] == ["'self'"]
    assert policy.policy_of(THEMED) is None


TRIED = """() => {
  const said = (document.said = []);
  document.addEventListener("securitypolicyviolation", (event) => said.push(event.effectiveDirective));
  const script = document.createElement("script");
  script.textContent = "window.__owned = 1";
  document.body.append(script);
  const far = document.createElement("script");
  far.src = "HOST/x.js";
  document.body.append(far);
  document.body.insertAdjacentHTML("beforeend", `<img src="data:image/png;base64,x" onerror="window.__owned = 2">
    <iframe src="HOST/"></iframe><object data="HOST/"></object>
    <img src="HOST/x.png"><link rel="stylesheet" href="HOST/x.css">
    <a href="javascript:window.__owned = 3" id="script">x</a>`);
  document.querySelector("#script").click();
  const asked = [fetch("HOST/")];
  navigator.sendBeacon("HOST/", "x");
  try { new WebSocket("WSHOST/"); } catch { said.push("websocket refused"); }
  try { new Worker(URL.createObjectURL(new Blob(["1"]))); } catch { said.push("worker refused"); }
  return Promise.allSettled(asked).then(() => new Promise((then) => setTimeout(then, 300)));
}"""
SENT = """() => {
  document.body.insertAdjacentHTML("beforeend", '<form action="HOST/" id="form"><input name="a"></form>');
  document.querySelector("#form").submit();
  return new Promise((then) => setTimeout(then, 100));
}"""
#: A script of the page itself cannot make code of text; only the test's own can, so the page is asked by a timer.
MADE = "() => new Promise((then) => { setTimeout('window.__owned = 4', 0); setTimeout(then, 50); })"
REFUSED = {"script-src-elem", "script-src-attr", "frame-src", "object-src", "img-src", "style-src-elem", "connect-src"}
REFUSED |= {"form-action", "worker-src", "script-src"}


@pytest.fixture
def elsewhere():
    """Another host: its address, and all that it was asked for."""
    asked = []

    class Heard(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self):
            asked.append(self.rfile.readline().decode("latin-1").strip())
            self.close_connection = True

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join(10)


def tried(page, host, *scripts):
    """The kinds of what was tried from within a page and refused."""
    for script in scripts:
        page.evaluate(script.replace("WSHOST", f"ws://{host}").replace("HOST", f"http://{host}"))
    return set(page.evaluate("document.said"))


def test_in_a_saved_page_no_other_script_runs_and_nothing_is_asked(browser, tmp_path, elsewhere):
    stats = counts(2, 100)
    path = tmp_path / "explorer.html"
    ThresholdExplorer(stats).save(path)
    found = rules(path.read_text(encoding="utf-8"))
    scripts = re.findall(r"<script>", path.read_text(encoding="utf-8"))
    assert len(found["script-src"]) == len(scripts) and all(one.startswith("'sha256-") for one in found["script-src"])
    page = browser.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_selector("[data-drawn]", timeout=30_000)
    assert wrong == []
    host, asked = elsewhere
    assert tried(page, host, TRIED, MADE, SENT) >= REFUSED
    assert page.evaluate("window.__owned") is None and asked == []
    page.close()


def test_without_a_policy_they_would(browser, tmp_path, elsewhere):
    host, asked = elsewhere
    path = tmp_path / "page.html"
    path.write_text("<!DOCTYPE html><title>x</title><script>window.ran = 1</script>")
    page = browser.new_page()
    page.goto(path.as_uri())
    assert tried(page, host, TRIED) == set()
    assert page.evaluate("[window.ran, window.__owned > 0]") == [1, True]
    assert {line.split()[1] for line in asked} >= {"/", "/x.js", "/x.png", "/x.css"}
    asked.clear()
    path.write_text(policy.guarded(path.read_text()))
    page.goto(path.as_uri())
    assert page.evaluate("window.ran ?? 0") == 0
    assert tried(page, host, TRIED, MADE, SENT) >= REFUSED
    assert page.evaluate("window.__owned") is None and asked == []
    page.close()
