"""Stylesheets: they are all on every page, so a class means one thing."""

from __future__ import annotations

import re
from collections import defaultdict

from tunebus.ui.web.theme import STATIC

PLAIN = re.compile(r"^(\.tb-[a-z-]+) \{", re.MULTILINE)


def test_no_class_is_given_its_looks_in_two_stylesheets() -> None:
    found = defaultdict(set)
    for sheet in STATIC.glob("*.css"):
        for name in PLAIN.findall(sheet.read_text()):
            found[name].add(sheet.name)
    assert {name: sheets for name, sheets in found.items() if len(sheets) > 1} == {}
