"""The built book in headless Chromium, served on loopback with every other host refused."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route

from neuroglot.book.serving import server

from ..chromium import launched

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"


def pages() -> list[str]:
    """Every page of the built book, relative to its root."""
    if not HTML.is_dir():
        return []
    return sorted(str(path.relative_to(HTML)) for path in HTML.rglob("*.html") if "_static" not in path.parts)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which a folder is served, as ``neuroglot serve`` does it."""
    with server(folder) as book:
        threading.Thread(target=book.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{book.server_port}"
        book.shutdown()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    if not (HTML / "index.html").is_file():
        pytest.skip("the book is not built; run: make book")
    with serving(HTML) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@dataclass
class Visit:
    """A loaded page, with all that its console heard and all that it asked for in vain."""

    page: Page
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator:
    contexts = []

    def go(name: str, *, scheme: str = "light", width: int = 1280, disk: bool = False, touch: bool = False) -> Visit:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, has_touch=touch)
        contexts.append(context)
        page = context.new_page()
        seen = Visit(page)

        def guard(route: Route) -> None:
            url = urlsplit(route.request.url)
            if url.scheme in ("data", "blob", "file") or url.hostname == "127.0.0.1":
                route.continue_()
            else:
                seen.refused.append(route.request.url)
                route.abort()

        def heard(message) -> None:
            seen.errors.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

        page.route("**/*", guard)
        page.on("console", heard)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("requestfailed", lambda r: seen.errors.append(f"{r.failure} {r.url}"))
        page.on("response", lambda r: r.status >= 400 and seen.errors.append(f"{r.status} {r.url}"))
        page.goto(f"{HTML.as_uri()}/{name}" if disk else f"{site}/{name}", wait_until="load")
        page.wait_for_load_state("networkidle")
        page.wait_for_function(
            "[...document.querySelectorAll('div.neuroglot-chart:has(+ script[type=\"application/json\"])')]"
            ".concat([...document.querySelectorAll('div[data-neuroglot]:has(> script)')])"
            ".every(chart => chart.dataset.drawn)",
            timeout=30_000,
        )
        return seen

    yield go
    for context in contexts:
        context.close()
