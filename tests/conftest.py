"""Fixtures that more than one part of the tests uses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dragoman.bundle import SHIPPED

QUIET = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def bundle_path() -> Path:
    """The shipped bundle; while developing, the one that DRAGOMAN_TEST_BUNDLE names."""
    return Path(os.environ.get("DRAGOMAN_TEST_BUNDLE") or SHIPPED)


@pytest.fixture(scope="module")
def chromium():
    """A headless chromium, the one on the PATH, driven by playwright."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install 'dragoman[dev]'"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not on the PATH: apt-get install chromium (Debian, Ubuntu)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()
