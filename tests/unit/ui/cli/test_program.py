"""How a command line may end: exit codes, JSON or words, never a traceback."""

import io
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from tunebus.contracts.errors import EXIT_CODES, Code, Problem, combine, fail
from tunebus.ui.cli import entities

from tests.unit.ui.cli.conftest import FakeBus, Run


@pytest.mark.parametrize("code", list(Code))
def test_a_refusal_ends_with_the_exit_code_of_its_code(run: Run, bus: FakeBus, code: Code) -> None:
    bus.refusal = Problem(code=code, message="no", param="name", hint="try another")
    ended = run("model", "rename", "m", "n")
    assert ended.code == EXIT_CODES[code]
    assert ended.out == ""
    assert "name: no" in ended.err
    assert "try another" in ended.err


def test_every_wrong_field_is_said_with_its_way_out(run: Run, bus: FakeBus) -> None:
    bus.refusal = combine(
        [
            Problem(code=Code.INVALID, message="must be above 0", param="num_epochs"),
            Problem(code=Code.NOT_FOUND, message="no dataset 'x'", param="dataset_id", hint="did you mean 'y'?"),
        ]
    )
    ended = run("train", "start", "--model", "m", "--dataset", "x")
    assert ended.code == 3
    assert "num_epochs: must be above 0" in ended.err
    assert "dataset_id: no dataset 'x'" in ended.err
    assert "did you mean 'y'?" in ended.err


@pytest.mark.parametrize("arguments", [("--json", "model", "show", "x"), ("model", "show", "x", "--json")])
def test_errors_are_json_where_a_program_reads(run: Run, bus: FakeBus, arguments: tuple[str, ...]) -> None:
    bus.answer("GetModel", fail(Code.NOT_FOUND, "no model 'x'", param="id"))
    ended = run(*arguments)
    assert ended.code == 4
    assert ended.out == ""
    assert json.loads(ended.err) == {"code": "not_found", "message": "no model 'x'", "param": "id", "hint": None}


def test_answers_are_the_querys_own_json(run: Run, bus: FakeBus) -> None:
    page = {"items": [{"id": "1", "name": "é", "rows": 3, "features": ["a"], "type": "csv"}], "next": "1"}
    bus.answer("ListDatasets", page)
    ended = run("dataset", "list", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == page
    assert ended.err == ""


def test_outcomes_are_json_too(run: Run, bus: FakeBus) -> None:
    ended = run("model", "add", "/m", "--name", "m", "--json")
    assert json.loads(ended.out) == {
        "command_id": "c", "outcome": "accepted", "id": "new-id", "version": 1, "position": 7, "error": None,
    }  # fmt: skip


def test_data_and_messages_are_kept_apart(run: Run, bus: FakeBus) -> None:
    ended = run("model", "add", "/m", "--name", "m")
    assert ended.out.strip() == "new-id"
    assert "model m is added" in ended.err


def test_nothing_is_cut_off_in_a_pipe(run: Run, bus: FakeBus) -> None:
    name = "n" * 150
    bus.answer("ListModels", {"items": [{"id": "1", "name": name}], "next": None})
    assert name in run("model", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trian",), "trian"),
        (("train", "start", "--model", "m"), "--dataset"),
        (("train", "start", "--model", "m", "--dataset", "d", "--num-epochs", "many"), "--num-epochs"),
        (("dataset", "add", "x.csv", "--name", "n", "--colour", "red"), "--colour"),
        (("deadletter", "show", "three"), "must be a whole number, not 'three'"),
        (("train", "start", "--model", "m", "--dataset", "d", "--batch-size", "abc"), "must be a whole number, not"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "--help" in ended.err
    assert ended.out == ""
    assert "Input should be" not in ended.err
    document = json.loads(run(*arguments, "--json").err)
    assert said in document["message"]


def test_a_defect_says_where_its_traceback_is(run: Run, bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    bus.answer("GetModel", {"id": "1"})
    monkeypatch.setattr(entities, "record", broken)
    ended = run("model", "show", "x")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "ZeroDivisionError: a defect" in ended.err
    file = Path(ended.err.split("its traceback is in ")[1].split()[0])
    assert "in broken" in file.read_text()
    file.unlink()


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("arguments", [("status", "--json"), ("model", "list"), ("--version",), ("--help",)])
def test_an_output_that_is_full_is_no_defect(
    run: Run, bus: FakeBus, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], buffered: bool
) -> None:
    bus.answer("ListModels", {"items": [{"id": "1", "name": "m"}], "next": None})
    with io.TextIOWrapper(Path("/dev/full").open("wb", buffering=-1 if buffered else 0), write_through=True) as full:
        monkeypatch.setattr(sys, "stdout", full)
        ended = run(*arguments)
    assert ended.code == 6
    assert "the output cannot be written: No space left on device" in ended.err
    assert "defect" not in ended.err


def test_a_file_that_is_full_is_said_by_its_name(run: Run, bus: FakeBus) -> None:
    bus.answer("ExportEvaluations", {"text": "a,b\n", "next": None})
    ended = run("eval", "export", "parent", "--output", "/dev/full")
    assert (ended.code, ended.err.splitlines()[0]) == (
        6,
        "output: /dev/full cannot be written: No space left on device",
    )


def test_an_output_that_nobody_reads_any_more_is_left_in_silence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        ended = run("--version")
    assert (ended.code, ended.err) == (0, "")


def test_an_output_that_was_closed_is_none(run: Run, bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.answer("ListModels", {"items": [], "next": None})
    monkeypatch.setattr(sys, "stdout", None)
    assert run("model", "list", "--json").code == 0


def test_a_misspelt_setting_is_named_with_the_right_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBUS_NAMESPCE", "x")
    ended = run("status")
    assert ended.code == 3
    assert "TUNEBUS_NAMESPCE" in ended.err
    assert "did you mean TUNEBUS_NAMESPACE?" in ended.err


def test_doctor_names_the_setting_that_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBUS_TRAINERS", "many")
    assert "TUNEBUS_TRAINERS: must be a whole number, not 'many'" in run("doctor").out


def test_doctor_warns_of_a_dataset_root_that_is_not_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNEBUS_DATASET_ROOTS", f"{tmp_path}:{tmp_path / 'later'}")
    found = [one for one in json.loads(run("doctor", "--json").out)["checks"] if one["name"] == "dataset roots"]
    assert [(one["state"], one["message"]) for one in found] == [
        ("warning", f"there is no folder {tmp_path / 'later'}")
    ]
    assert "TUNEBUS_DATASET_ROOTS" in found[0]["hint"]


def test_doctor_names_a_port_that_the_next_start_cannot_have(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("TUNEBUS_UI_PORT", "0")
        monkeypatch.setenv("TUNEBUS_NATS_PORT", str(port))
        checks = json.loads(run("doctor", "--json").out)["checks"]
    found = next(one for one in checks if one["name"] == "port")
    assert (found["state"], f"127.0.0.1:{port} cannot be used" in found["message"]) == ("problem", True)
    assert "TUNEBUS_NATS_PORT" in found["hint"]


@pytest.mark.parametrize("services", ["x", {"nats": {}}])
def test_a_run_file_of_an_odd_shape_is_no_defect(run: Run, tmp_path: Path, services: object) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run.json").write_text(
        json.dumps({"pid": os.getpid(), "state": "ready", "services": services})
    )
    for command in ("status", "doctor"):
        ended = run(command)
        assert ended.code in (0, 6)
        assert "defect" not in ended.err


def test_the_bus_is_let_go_of_whatever_happens(run: Run, bus: FakeBus) -> None:
    bus.answer("GetModel", fail(Code.NOT_FOUND, "no"))
    run("model", "show", "x")
    assert bus.closed


def test_names_are_shown_as_they_are_not_as_markup(run: Run, bus: FakeBus) -> None:
    bus.answer("ListModels", {"items": [{"id": "1", "name": "[red]x[/red] [1]"}], "next": None})
    assert "[red]x[/red] [1]" in run("model", "list").out
    bus.refusal = Problem(code=Code.INVALID, message="what is [/nonsense]?")
    assert "what is [/nonsense]?" in run("model", "add", "/m", "--name", "m").err


def test_help_and_version_are_no_errors(run: Run) -> None:
    assert run("--help").code == 0
    ended = run("--version")
    assert ended.code == 0
    assert ended.out.startswith("tunebus ")
