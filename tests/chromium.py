"""Headless Chromium for tests."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, TimeoutError, sync_playwright

from neuroglot.book.printing import chromium

#: Compiled once, while the browser lets a test's script be made of text; what polls it afterwards makes none.
POLLED = """([arg, most]) => new Promise((then, never) => {
  const holds = HOLDS;
  const start = performance.now();
  const ask = () => {
    try {
      if (holds(arg)) then(true);
      else if (performance.now() - start > most) then(false);
      else setTimeout(ask, 20);
    } catch (error) { never(error); }
  };
  ask();
})"""


def until(page: Page, expression: str, *, arg: Any = None, timeout: float = 30_000) -> None:
    """Wait until an expression, or what a function gives, is true of a page.

    Playwright's own ``wait_for_function`` makes code of text again and again, which the pages' policy does not allow.
    """
    given = expression if re.match(r"\s*(\([^()]*\)|\w+)\s*=>", expression) else f"() => ({expression})"
    for _ in range(5):  # a page that goes elsewhere is asked again when it is there
        try:
            if page.evaluate(POLLED.replace("HOLDS", given), [arg, timeout]):
                return
            raise TimeoutError(f"not so within {timeout / 1000:.0f} s: {expression}")
        except Error as error:
            if "context was destroyed" not in str(error):
                raise
            page.wait_for_load_state()
    raise TimeoutError(f"the page never stayed: {expression}")


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips where there is none, fails where one is required."""
    found = chromium()
    if found is None:
        if os.environ.get("NEUROGLOT_REQUIRE_BROWSER"):
            pytest.fail("no Chromium on the path, and NEUROGLOT_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on the path; install Debian's package chromium to check the pages")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Page, "wait_for_function", until)
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()
