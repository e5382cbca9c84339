"""Takes the pictures of a report that README and docs show: `python docs/pictures.py runs/quickstart`.

Needs playwright's Python package and the system's Chromium. Writes `docs/report.png` (wide, light) and
`docs/report-phone.png` (narrow, dark), the top of each page.
"""

import shutil
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

PICTURES: tuple[tuple[str, int, int, Literal["light", "dark"]], ...] = (
    ("report.png", 1280, 1400, "light"),
    ("report-phone.png", 390, 1400, "dark"),
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 600.0


def main(folder: Path) -> None:
    """Both pictures of the report in a folder."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=1000 * PATIENCE)
        for name, width, height, scheme in PICTURES:
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.set_default_timeout(1000 * PATIENCE)
            page.goto((folder / "report.html").resolve().as_uri())
            page.wait_for_selector("html[data-drawn]", state="attached")
            page.screenshot(path=Path(__file__).parent / name)
            page.close()
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
