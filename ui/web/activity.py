"""Activity: the event log, and the studio as of any moment (`/activity?at=…`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Studio
from tunebus.ui.web.words import say


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", say("activity.title")))
    part("activity")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    return {"activity": Markup("")}


PAGE = Page("activity", "activity.title", build, read, group="studio")
