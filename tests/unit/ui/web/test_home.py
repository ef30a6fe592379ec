"""Home's parts: an empty studio teaches and offers what it has; ways out are named by what they change."""

from __future__ import annotations

from tunebus.ui.web.home import _again, _lesson
from tunebus.ui.web.words import say

FAILED = {"id": "j", "kind": "fine_tuning_job", "suggestion": None}


def test_an_empty_studio_teaches_three_steps_and_offers_to_go_them() -> None:
    shown = _lesson(starter=True, counts={"models": 1})
    assert shown.count("<li>") == 3
    assert 'data-act="start_starter"' in shown
    assert say("home.add_model") not in shown


def test_without_the_starter_pack_no_button_promises_it() -> None:
    shown = _lesson(starter=False, counts={"models": 0})
    assert "start_starter" not in shown
    assert say("home.add_model") in shown


def test_a_failures_way_out_is_a_button_that_names_the_change() -> None:
    suggested = _again({**FAILED, "suggestion": {"batch_size": 4, "training_arguments": {"optim": "<sgd>"}}})
    assert "Retry with batch_size 4, optim &lt;sgd&gt;" in suggested
    assert 'data-act="retry_suggested"' in suggested
    assert "clone=j" in _again(FAILED)
    assert "data-act" not in _again({**FAILED, "kind": "export_job"})
