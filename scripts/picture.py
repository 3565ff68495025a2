"""``picture.py PAGE PICTURE [SELECTOR]``: a report's head, or one part of it, as a PNG."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1280, 800


def main() -> None:
    """Open the page in Chromium and save what a reader sees first."""
    page_file, picture = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_file.as_uri())
        if len(sys.argv) > 3:
            page.locator(sys.argv[3]).first.screenshot(path=picture)
        else:
            page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
