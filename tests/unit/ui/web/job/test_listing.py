"""What an address asks of the list of jobs: whatever it says, it is one of the lists there are."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from tunebus.contracts.queries import ListFineTuningJobs
from tunebus.ui.web.job.listing import Wanted


def test_an_address_says_only_what_is_unusual() -> None:
    assert Wanted().address() == "/jobs"
    assert Wanted().address(sort="created", offset=0) == "/jobs"
    assert Wanted(search="a b", state="failed").address(offset=50) == "/jobs?search=a+b&state=failed&offset=50"


def test_an_address_leads_to_the_list_that_made_it() -> None:
    wanted = Wanted("x&y=1", "export_job", "held", "night", "starter", "faq", "loss", "down", 150, "queue")
    assert Wanted.of(dict(parse_qsl(urlsplit(wanted.address()).query))) == wanted


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "<script>", "state": "dancing", "sort": "sha256", "order": "sideways", "view": "moon"},
        {"offset": "-1"},
        {"offset": "٣"},
        {"offset": "1e9"},
        {"offset": "9" * 400},
    ],
)
def test_what_nobody_understands_is_as_if_it_were_not_there(given: dict[str, str]) -> None:
    assert Wanted.of(given) == Wanted()


def test_long_texts_are_cut() -> None:
    wanted = Wanted.of({"search": "x" * 5000, "label": "y" * 5000})
    ListFineTuningJobs(search=wanted.search, label=wanted.label)  # which takes no longer ones
    assert len(wanted.search) == 200


@pytest.mark.parametrize(
    ("given", "descending"),
    [
        ({}, True),
        ({"sort": "name"}, False),
        ({"sort": "loss"}, False),
        ({"sort": "duration"}, True),
        ({"sort": "name", "order": "down"}, True),
        ({"order": "up"}, False),
    ],
)
def test_lists_begin_with_what_people_look_for(given: dict[str, str], descending: bool) -> None:
    assert Wanted.of(given).descending is descending


def test_a_group_of_states_is_all_of_them() -> None:
    assert set(Wanted.of({"state": "active"}).states) == {"starting", "running", "stopping"}
    assert Wanted.of({"state": "failed"}).states == ("failed",)
    assert Wanted().states == ()
