"""Compare: two to ten runs side by side (`/compare?ids=…`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunebus.ui.web import charting
from tunebus.ui.web.charting import Line, chart, controls, metrics_of
from tunebus.ui.web.markup import Markup, tag
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Studio
from tunebus.ui.web.words import say

MOST = 10


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", say("compare.title")))
    part("compare")


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    ids = [one for one in arguments.get("ids", "").split(",") if one][:MOST]
    return {"compare": join_charts(ids)}


def join_charts(ids: list[str]) -> Markup:
    if len(ids) == 1:
        return tag("div", charting.training_charts(ids[0]), charting.log_view(ids[0]))
    lines = [Line("loss", one[:8], src=metrics_of(one)) for one in ids]
    return tag("div", controls(), chart(say("charting.loss"), metrics_of(ids[0]), lines)) if ids else Markup("")


PAGE = Page(
    "compare",
    "compare.title",
    build,
    read,
    frozenset({"ledger", "telemetry"}),
    data=charting.DATA,
    downloads=charting.DOWNLOADS,
)
