"""Models: what there is, and one by its address (`/models?id=…`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Studio
from tunebus.ui.web.words import say


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", say("models.title")))
    part("models")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    return {"models": Markup("")}


PAGE = Page("models", "models.title", build, read, group="library")
