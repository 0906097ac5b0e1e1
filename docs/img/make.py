"""Make the README's picture: the demo's report in chromium. ``python docs/img/make.py``."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

QUIET = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "report.html"
        command = [sys.executable, "-m", "dragoman", "demo", "--html", str(page_file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page(viewport={"width": 1100, "height": 1250})
        page.goto(page_file.as_uri())
        page.locator("summary").nth(1).click()
        page.screenshot(path=Path(__file__).with_name("report.png"))
        browser.close()


if __name__ == "__main__":
    main()
