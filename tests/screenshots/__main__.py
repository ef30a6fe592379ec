"""Pictures of every page, light and dark, of a studio that somebody worked in: `make screenshots`.

They go into `docs/screenshots`; a few of them also as a phone shows them.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.progress import track

from tests.fixtures.browser import ARGUMENTS, program
from tests.fixtures.looking import THEMES, at_rest, in_theme
from tests.fixtures.populated import populate
from tests.fixtures.studio import Studio

TARGET = Path(__file__).parents[2] / "docs" / "screenshots"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ON_A_PHONE = ("home", "train", "jobs", "job", "compare")
LOWEST = 1800  # pixels of a page that are kept: a picture is no book
COLOURS = 128
STEPS = 160


def main() -> None:
    console = Console(stderr=True)
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tunebus-") as folder:
        studio = Studio(
            Path(folder) / "home",
            {"TUNEBUS_UI_PORT": "0", "TUNEBUS_DATASET_ROOTS": folder},
            arguments=(),
        )
        try:
            studio.start(deadline=120.0)
            studio.await_defaults()
            console.print("Working for a few minutes, so that there is something to see…")
            contents = populate(studio, steps=STEPS, rows=60)
            _take(studio, contents.addresses(), console)
            studio.stop()
        finally:
            studio.kill_everything()
    console.print(f"{len(list(TARGET.glob('*.png')))} pictures in {TARGET}")


def _take(studio: Studio, addresses: dict[str, str], console: Console) -> None:
    url = studio.status()["ui_url"]
    views = [(name, theme, DESK, "") for name in addresses for theme in THEMES]
    views += [(name, "light", PHONE, "-phone") for name in ON_A_PHONE]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        for name, theme, size, suffix in track(views, "Pictures", console=console):
            context = browser.new_context(viewport=size)
            in_theme(context, theme)
            page = context.new_page()
            page.goto(url + addresses[name])
            _keep(at_rest(page, 60.0), TARGET / f"{name}{suffix or f'-{theme}'}.png")
            context.close()
        browser.close()


def _keep(picture: bytes, file: Path) -> None:
    """Flat colours compress well: a palette makes a third of the size of it and no eye tells."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, LOWEST)))
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
