"""The picture of the page's first screen in README.md: docs/page.png, drawn by Chromium.

python -m development.screenshot reports/index.html
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parents[1] / "docs/page.png"
WIDTH, HEIGHT = 1280, 880
COLOURS = 64  # enough for ink, and a third of the bytes
NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Draw the first screen of a page at 1280 pixels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="reports/index.html of a run")
    page = parser.parse_args().page.resolve()
    if not page.is_file():
        sys.exit(f"error: there is no page {page}; make it with: make reports")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        sys.exit(f"error: no Chromium is installed (one of {', '.join(NAMES)})")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    size = [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={PICTURE}"]
    subprocess.run([program, *options, *size, page.as_uri()], check=True, capture_output=True)
    with Image.open(PICTURE) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(PICTURE, optimize=True)
    print(f"Wrote {PICTURE}")  # noqa: T201


if __name__ == "__main__":
    main()
