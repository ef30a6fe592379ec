"""What a page shows in place of what its address names and is not there: that it was removed and when, or that there is
no such thing; with ways on from there.
"""

from __future__ import annotations

import contextlib

from tunebus.contracts.errors import TunebusError
from tunebus.contracts.identifiers import is_id, utc_now
from tunebus.ui.web.markup import Markup, ago, tag
from tunebus.ui.web.page import Arguments, Page
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.ways import to, way
from tunebus.ui.web.words import phrase, say

NEWEST = 20
"""Among so many last events of a thing is its removal; few follow that."""


async def gone(studio: Studio, page: Page, arguments: Arguments, error: TunebusError) -> Markup:
    """`error` is the `not_found` that the page could not be read for."""
    wanted = next((arguments[name][:200] for name in page.names if arguments.get(name)), "")
    removal = await _removal(studio, wanted) if wanted else None
    ways = [way(say("frame.gone.all", page=say(page.title)), f"/{page.path}", kind="tb-primary")]
    if removal is None:
        problem = error.problem
        # That there is a list is what the button says.
        hint = "" if (problem.hint or "").startswith("list the ") else problem.hint or ""
        said = [tag("p", hint, kind="tb-small")] if hint else []
        title = problem.message[:1].upper() + problem.message[1:]
    else:
        about = {"aggregate": removal["aggregate"], "entity": removal["entity_id"]}
        if wanted != removal["entity_id"]:  # one of several that the address names together
            about = {"aggregate": removal["aggregate"], "search": wanted}
        ways.append(way(say("frame.gone.events"), to("/activity", **about), picture="activity"))
        title = phrase(
            "frame.gone.title", name=removal["data"].get("name") or wanted, ago=ago(removal["recorded_at"], utc_now())
        )
        said = [tag("p", say("frame.gone.lead"), kind="tb-small")]
    return tag("div", tag("h1", title), *said, tag("div", *ways, kind="tb-actions"), kind="tb-panel")


async def _removal(studio: Studio, wanted: str) -> Document | None:
    """The event that something was removed by: itself, or the first of the evaluations whose parent it is."""
    with contextlib.suppress(TunebusError):
        if (found := await _removed(studio, wanted)) is not None:
            return found
    with contextlib.suppress(TunebusError):
        if is_id(wanted):
            asked = {"aggregate": "evaluation_job", "type": "EvaluationJobAdded", "search": wanted}
            for event in (await studio.ask("ListEvents", limit=1, **asked))["items"]:
                return await _removed(studio, event["entity_id"])
    return None


async def _removed(studio: Studio, entity_id: str) -> Document | None:
    found = (await studio.ask("ListEvents", entity_id=entity_id, newest=True, limit=NEWEST))["items"]
    return next((event for event in found if event["type"].endswith("Removed")), None)
