"""The README's animated picture, filmed from the page itself: `python -m tests.browser.film ADDRESS OUT.gif`.

The first minute: particles flow, then both fields are told the class.
"""

import io
import sys
from pathlib import Path

from PIL import Image

from tests.browser.conftest import CHROMIUM
from toy.stages import CLASS_COLOURS

WINDOW, WIDTH = (1280, 860), 800  # of the window, and of the film, in pixels
ACCENT = "#b3261e"
STEPS, STEP_MS, HOLD_MS = 20, 90, 1800


def film(address: str, out: Path) -> None:
    """Writes the film; the lab must run at `address`."""
    from playwright.sync_api import sync_playwright

    frames: list[Image.Image] = []
    lengths: list[int] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]}, reduced_motion="reduce")
        page.goto(address)

        def shoot(milliseconds: int) -> None:
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            frames.append(image.resize((WIDTH, WIDTH * image.height // image.width), Image.Resampling.LANCZOS))
            lengths.append(milliseconds)

        for told in (False, True):
            page.wait_for_function(
                "() => window.explore && ['a', 'b'].every((name) => window.explore.session.sides[name].complete && window.explore.page.python[name])",
                timeout=90_000,
            )
            for k in range(STEPS + 1):
                page.evaluate("(t) => window.explore.page.clock.seek(t)", k / STEPS)
                page.wait_for_timeout(60)
                shoot(HOLD_MS if k == STEPS else STEP_MS)
            if not told:
                page.get_by_role("button", name="Tell both fields the class").click()
                page.wait_for_timeout(300)
        browser.close()
    drawn = [frame.quantize(palette=_palette(), dither=Image.Dither.NONE) for frame in frames]
    drawn[0].save(out, save_all=True, append_images=drawn[1:], duration=lengths, loop=0, optimize=True)


def _palette() -> Image.Image:
    """The page's own colours, each in steps to paper and to ink: a median cut gives most of its colours to greys, and loses classes."""
    own = [*CLASS_COLOURS[:-1], ACCENT]
    colours = [tuple(round(255 * k / 39) for _ in range(3)) for k in range(40)]
    for name in own:
        rgb = [int(name[i : i + 2], 16) for i in (1, 3, 5)]
        colours += [tuple(round(c + (255 - c) * k / 15) for c in rgb) for k in range(15)]
        colours += [tuple(round(c * k / 8) for c in rgb) for k in range(1, 8)]
    image = Image.new("P", (1, 1))
    image.putpalette([part for colour in colours[:256] for part in colour])
    return image


if __name__ == "__main__":
    film(sys.argv[1], Path(sys.argv[2]))
