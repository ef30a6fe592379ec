"""Nothing that somebody wrote into a name or a text commands the terminal of who reads it."""

import json

import pytest
from rich.table import Table
from rich.text import Text
from tunebus.contracts.errors import Code, Problem
from tunebus.ui.cli.terminal import Terminal

from tests.unit.ui.cli.conftest import FakeBus, Run

HOSTILE = "a\x1b[31m\x9b2J\u202eb"
SPELT = "a\\x1b[31m\\x9b2J\\u202eb"


def is_harmless(text: str) -> bool:
    return not {"\x1b", "\x9b", "\u202e"} & set(text)


def test_names_in_lists_and_fields_are_spelt_out(run: Run, bus: FakeBus) -> None:
    dataset = {"id": "1", "name": HOSTILE, "rows": 3, "features": [HOSTILE], "type": "csv", "description": HOSTILE}
    bus.answer("ListDatasets", {"items": [dataset], "next": HOSTILE})
    bus.answer("GetDataset", dataset)
    for ended in (run("dataset", "list"), run("dataset", "show", "1")):
        assert SPELT in ended.out
        assert is_harmless(ended.out + ended.err)


def test_errors_are_spelt_out(run: Run, bus: FakeBus) -> None:
    bus.refusal = Problem(code=Code.INVALID, message=HOSTILE, param=HOSTILE, hint=HOSTILE)
    said = run("model", "rename", "m", "n").err
    assert said.count(SPELT) == 3
    assert is_harmless(said)


def test_a_program_reads_the_name_as_it_is(run: Run, bus: FakeBus) -> None:
    bus.answer("GetDataset", {"name": HOSTILE})
    bus.refusal = Problem(code=Code.INVALID, message=HOSTILE)
    shown, refused = run("dataset", "show", "1", "--json").out, run("model", "rename", "m", "n", "--json").err
    assert (json.loads(shown)["name"], json.loads(refused)["message"]) == (HOSTILE, HOSTILE)
    assert is_harmless(shown + refused)


def test_logs_keep_their_lines_and_lose_their_colours(run: Run, bus: FakeBus) -> None:
    text = "\x1b[31mERROR\x1b[0m\tat 7\r\n\x1b]0;owned\x07done\n"
    bus.answer("GetLog", {"text": text, "next_offset": 9, "attempt": 1, "ended": True}, {"text": "", "ended": True})
    bus.answer("SearchLog", {"items": [{"text": "\x1b[31mERROR\x1b[0m\tat 7"}], "next": None})
    assert run("train", "logs", "j").out == "ERROR\tat 7\ndone\n"
    assert run("train", "logs", "j", "--grep", "ERROR").out == "ERROR\tat 7\n"


def test_columns_are_as_wide_as_what_they_show_and_texts_are_spelt_out_too(capsys: pytest.CaptureFixture[str]) -> None:
    grid = Table.grid()
    grid.add_row(HOSTILE, HOSTILE, "|")
    Terminal().data({}, grid)
    Terminal().data({}, Text(HOSTILE, style="bold"))
    assert capsys.readouterr().out.split() == [SPELT + SPELT + "|", SPELT]
