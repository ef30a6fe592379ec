"""How long a person waits in a real Chromium for pages of a big database: the first words, the list, the chart.

    python tests/benchmarks/painting.py [--json] [--share 1.0] [--tries 5]

The database is that of `pages.py` on SQLite, behind a studio without workers. Cold: a browser that was never here;
warm: the third visit, since a browser keeps what it compiled of a script once it has met it twice. Times run from the
request of the address.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.sync_api import sync_playwright

from tests.benchmarks.pages import fill, show
from tests.fixtures.browser import ARGUMENTS, program
from tests.fixtures.studio import Studio

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

PAINT_GOAL, CHART_GOAL = 2.0, 1.0
TRIES = 5

# Since when something is there, in milliseconds from the request: watched from before the first script ran.
WATCH = """
window.seen = {};
const wanted = { head: ".tb-header", list: "#tb-jobs tbody tr", chart: "tb-chart .main-svg .trace path" };
new MutationObserver(() => {
  for (const [name, selector] of Object.entries(wanted)) {
    if (!(name in window.seen) && document.querySelector(selector)) window.seen[name] = performance.now();
  }
}).observe(document, { childList: true, subtree: true });
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def opened(context: BrowserContext, address: str, name: str) -> dict[str, float]:
    """Seconds to the first paint, to the page's head, and to what is looked for."""
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_function(f"'{name}' in window.seen", timeout=60_000)
    found = {key: value / 1000 for key, value in page.evaluate("window.seen").items()}
    found["paint"] = page.evaluate(PAINTED) / 1000
    page.wait_for_load_state("networkidle")
    page.close()
    return found


def measure(share: float, tries: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        made = fill(f"sqlite:///{home / 'tunebus.db'}", f"sqlite:///{home / 'telemetry.db'}", share)
        made.ledger.dispose()
        made.measured.dispose()
        quiet = {"TUNEBUS_LOAD_DEFAULTS": "false", "TUNEBUS_TRAINERS": "0", "TUNEBUS_EVALUATORS": "0"}
        studio = Studio(home, {"TUNEBUS_UI_PORT": "0", **quiet}, ())
        try:
            studio.start(deadline=180.0)
            url = studio.status()["ui_url"]
            asked = {"list": f"{url}/jobs", "chart": f"{url}/jobs?id={made.longest}&tab=charts"}
            found: dict[str, list[dict[str, float]]] = {}
            with sync_playwright() as playwright:
                for _ in range(tries):
                    for name, address in asked.items():
                        with tempfile.TemporaryDirectory() as profile:
                            context = playwright.chromium.launch_persistent_context(
                                profile, executable_path=program(), args=ARGUMENTS
                            )
                            for state in ("cold", "second", "warm"):
                                found.setdefault(f"{name}, {state}", []).append(opened(context, address, name))
                            context.close()
            studio.stop()
        finally:
            studio.kill_everything()
    lists, charts = found["list, cold"], found["chart, cold"]
    return [
        row("first paint, cold", [one["paint"] for one in lists + charts], PAINT_GOAL),
        row("the page's head, cold", [one["head"] for one in lists + charts], PAINT_GOAL),
        row("the list of jobs, cold", [one["list"] for one in lists], PAINT_GOAL),
        row("the list of jobs, warm", [one["list"] for one in found["list, warm"]], PAINT_GOAL),
        row("the longest run's chart, cold", [one["chart"] for one in charts], CHART_GOAL),
        row("the longest run's chart, warm", [one["chart"] for one in found["chart, warm"]], CHART_GOAL),
    ]


def row(what: str, seconds: list[float], goal: float) -> dict[str, Any]:
    return {
        "what": f"{what} (s: middle and longest)",
        "baseline": round(statistics.median(seconds), 2),
        "ours": round(max(seconds), 2),
        "ratio": None,
        "goal": goal,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--tries", type=int, default=TRIES)
    asked = parser.parse_args()
    show(measure(asked.share, asked.tries), as_json=asked.json)


if __name__ == "__main__":
    main()
