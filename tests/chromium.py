"""Headless Chromium for tests, with every request beyond this machine refused."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips where there is none, fails where one is required."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("NEUROGLOT_REQUIRE_BROWSER"):
            pytest.fail("no Chromium on the path, and NEUROGLOT_REQUIRE_BROWSER is set")
        pytest.skip("no Chromium on the path; install Debian's package chromium to check the pages")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()
