"""Every page with something on it: no serious fault that axe finds, dark and light; no sideways scrolling."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.fixtures.browser import Browsing
from tests.fixtures.looking import THEMES, at_rest, in_theme
from tests.fixtures.populated import Contents

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

GRAVE = ("serious", "critical")


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_no_serious_fault_on_any_page(browsing: Browsing, contents: Contents, theme: str) -> None:
    found = []
    page = browsing.open("/")
    in_theme(page.context, theme)
    for name, address in contents.addresses().items():
        page.goto(browsing.url + address)
        at_rest(page)
        assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in GRAVE:
                where = "; ".join(str(node["target"]) for node in fault["nodes"][:5])
                found.append(f"{name}: {fault['id']} ({fault['impact']}): {fault['help']}: {where}")
    assert found == []


def test_no_page_needs_sideways_scrolling_on_a_phone(browsing: Browsing, contents: Contents) -> None:
    page = browsing.open("/", viewport={"width": 390, "height": 844})
    wide = {}
    for name, address in contents.addresses().items():
        page.goto(browsing.url + address)
        at_rest(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[name] = width
    assert wide == {}
