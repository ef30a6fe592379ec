"""What is shown of jobs is text: what nobody gave is a dash, and what somebody wrote is no markup."""

from __future__ import annotations

from rich.console import Console, RenderableType
from tunebus.ui.cli import lifecycle, training


def printed(what: RenderableType) -> str:
    console = Console(width=120)
    with console.capture() as found:
        console.print(what)
    return found.get()


def test_a_change_and_an_answer_show_a_dash_for_what_there_is_not() -> None:
    changed = printed(lifecycle._changed({"learning_rate": [None, 1e9], "notes": ["[red]", "b"]}))
    assert changed.strip() == "learning_rate - -> 1,000,000,000; notes [red] -> b"
    row = {"prompt": "p", "reference": "r", "base": None, "answers": []}
    answered = printed(training._samples({"rows": [row, {**row, "base": "[bold]b"}]}))
    assert [line.split() for line in answered.splitlines() if "base" in line] == [["base", "-"], ["base", "[bold]b"]]
