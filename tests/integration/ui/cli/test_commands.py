"""The command line on a real studio: what it adds, what it refuses and with which words."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.fixtures.studio import CONTROL_PLANE, eventually
from tests.integration.ui.cli.conftest import Shell


def rows(count: int) -> str:
    return "".join(json.dumps({"question": f"q{number}", "answer": f"a{number}"}) + "\n" for number in range(count))


def test_status_finds_the_studio(shell: Shell) -> None:
    status = shell.data("status")
    assert status["home"] == str(shell.studio.home)
    assert set(status["services"]) == set(CONTROL_PLANE)
    for service in status["services"].values():
        assert service["state"] == "ready"
        assert Path(f"/proc/{service['pid']}").exists() or sys.platform != "linux"
    assert {"nats_url", "database_url", "ui_url"} <= set(status)
    assert status["overview"]["counts"]["models"] == 1
    shown = shell.studio.run("status")
    password = (shell.studio.home / "nats.password").read_text().strip()
    assert password in status["nats_url"]
    assert password not in shown.stdout


def test_what_a_training_is_to_make_is_evaluated_and_exported_by_its_name(shell: Shell) -> None:
    shell.data("dataset", "add", shell.write("night.jsonl", rows(30)), "--name", "night")
    job = shell.data(
        "train", "start", "--model", "starter", "--dataset", "night", "--adapter-name", "by-night", "--hold"
    )
    parent = shell.data("eval", "start", "--job", "by-night", "--max-rows", "2")
    jobs = shell.data("eval", "show", parent["id"])["jobs"]
    assert [one["fine_tuning_job_id"] for one in jobs] == [None, job["id"]]
    assert jobs[1]["depends_on"] == [job["id"]]
    assert "+ by-night" in shell.studio.run("eval", "show", parent["id"]).stdout
    export = shell.data("export", "start", "--job", "by-night", "--type", "adapter")
    assert shell.data("export", "show", export["id"])["waiting_for"] == [job["id"]]
    assert "no fine tuning job" in shell.error("eval", "start", "--job", "nobody", code=4)["message"]
    for one in (*parent["ids"], export["id"]):
        shell.studio.run("export" if one == export["id"] else "eval", "stop", one)
    shell.data("train", "stop", job["id"])


def test_doctor_finds_nothing_wrong(shell: Shell) -> None:
    def healthy() -> dict[str, Any] | None:
        found = json.loads(shell.studio.run("doctor", "--json").stdout)
        return found if found["ok"] and any(one["name"] == "workers" for one in found["checks"]) else None

    report = eventually(healthy, "doctor is content", 60)
    states = {one["name"]: one["state"] for one in report["checks"]}
    for name in ("python", "nats server", "home", "database", "studio", "topology", "workers"):
        assert states[name] == "ok", report


def test_a_file_of_ones_own_is_uploaded_where_the_studio_does_not_read_it(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"q": "one", "a": "two"}\n' * 40 + "broken\n")
    mapping = ("--column-mapping", "prompt=q", "--column-mapping", "completion=a", "--skip-broken")
    ended = shell.studio.run("dataset", "add", str(file), "--name", "own", *mapping)
    assert ended.returncode == 0, ended.stderr
    assert "uploading a copy" in ended.stderr
    assert "1 row is broken and left out: line 41" in ended.stderr
    shown = shell.data("dataset", "show", "own")
    assert shown["location"].startswith("artifact:uploads/")
    assert (shown["rows"], shown["format"], shown["features"]) == (40, "prompt_completion", ["prompt", "completion"])
    assert "duplicate rows" in shell.studio.run("dataset", "show", "own").stdout
    seen = shell.studio.run("dataset", "preview", "own", "--model", "starter", "--limit", "1").stdout
    assert "carry loss" in seen
    assert "40 of 40 rows counted" in seen
    shell.data("dataset", "add", str(file), "--name", "again", "--upload", "--skip-broken")


def test_the_copy_of_an_upload_goes_with_its_dataset_and_doctor_tells_of_one_that_stayed(shell: Shell) -> None:
    file = shell.write("copied.jsonl", rows(31))
    first, second = (
        shell.data("dataset", "add", file, "--name", name, "--upload")["id"] for name in ("copy-a", "copy-b")
    )
    kept = shell.studio.run("dataset", "remove", "copy-a", "--delete-files")
    assert kept.returncode == 0
    assert "its copy stays for dataset 'copy-b'" in kept.stderr
    removed = shell.studio.run("dataset", "remove", "copy-b")
    assert f"its copy stays; delete it: tunebus dataset remove {second} --delete-files" in removed.stderr

    def uploads() -> dict[str, Any]:
        checks = json.loads(shell.studio.run("doctor", "--json").stdout)["checks"]
        return dict(next(one for one in checks if one["name"] == "uploads"))

    before = uploads()
    assert (before["state"], "no dataset names" in before["message"]) == ("note", True)
    deleted = shell.studio.run("dataset", "remove", first, "--delete-files")
    assert "its copy is being deleted" in deleted.stderr
    eventually(lambda: uploads()["message"] != before["message"], "the copy is deleted", 30)
    assert (
        "was not uploaded" in shell.error("dataset", "remove", "starter-questions", "--delete-files", code=3)["message"]
    )


def test_a_dataset_is_added_listed_shown_and_previewed(shell: Shell) -> None:
    shell.write("faq.jsonl", rows(30))
    ended = subprocess.run(
        [sys.executable, "-m", "tunebus.ui.cli.app", "dataset", "add", "faq.jsonl", "--name", "faq"],
        cwd=shell.folder,
        env=shell.studio.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "30 rows; columns: question, answer" in ended.stderr
    dataset = shell.data("dataset", "show", "faq")
    assert dataset["id"] == ended.stdout.strip()
    assert dataset["location"] == str(shell.folder / "faq.jsonl")
    assert "faq" in [one["name"] for one in shell.data("dataset", "list")["items"]]
    preview = shell.data("dataset", "preview", "faq", "--limit", "2")
    assert preview["rows"] == [{"question": "q0", "answer": "a0"}, {"question": "q1", "answer": "a1"}]
    assert preview["row_count"] == 30
    assert "q1" in shell.studio.run("dataset", "preview", "faq").stdout


def test_the_record_leaves_and_comes_back(shell: Shell) -> None:
    document, copy, new_home = (str(shell.folder / name) for name in ("studio.json", "studio.backup", "new home"))
    exported = shell.data("db", "export", document)
    events = json.loads(Path(document).read_bytes())["events"]
    assert len(events) == exported["events"]
    imported = shell.studio.run("db", "import", document)
    assert f"here already  {len(events)}" in imported.stdout, imported.stderr
    changes = shell.data("events", "diff", "--from", "0", "--to", str(exported["position"]))["items"]
    assert {item["id"] for item in changes} == {event["entity_id"] for event in events}
    assert "added model starter" in shell.studio.run("events", "diff").stdout
    assert shell.data("model", "list", "--as-of", "0")["items"] == []
    assert shell.error("model", "show", "starter", "--as-of", "2020-01-01", code=4)["param"] == "id"
    assert shell.error("train", "list", "--as-of", "soon", code=3)["param"] == "as_of"
    backed_up = shell.data("db", "backup", copy)
    restored = shell.data("db", "restore", copy, "--home", new_home)
    assert restored["position"] == backed_up["position"] >= exported["position"]
    offline = shell.data("db", "export", document, "--offline", "--home", new_home)
    assert json.loads(Path(document).read_bytes())["events"][: len(events)] == events
    assert offline["events"] == backed_up["events"]
    assert shell.error("db", "restore", copy, "--home", new_home, code=5)["code"] == "conflict"
    assert shell.error("db", "export", str(shell.folder / "no" / "folder.json"), code=4)["param"] == "FILE"


def test_pages_of_a_list_follow_one_another(shell: Shell) -> None:
    first = shell.data("events", "list", "--limit", "2")
    assert len(first["items"]) == 2
    second = shell.data("events", "list", "--limit", "1", "--after", first["next"])
    assert second["items"][0]["position"] > first["items"][-1]["position"]
    aggregates = {event["aggregate"] for event in shell.data("events", "list", "--aggregate", "model")["items"]}
    assert aggregates == {"model"}


def test_tail_prints_what_happens(shell: Shell) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tunebus.ui.cli.app", "events", "tail", "--from", "1", "--aggregate", "model", "--json"],
        env=shell.studio.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        event = json.loads(process.stdout.readline())
        assert event["type"] == "ModelAdded"
        assert event["data"]["name"] == "starter"
    finally:
        process.terminate()
        process.wait(20)


def test_equal_settings_are_one_config(shell: Shell) -> None:
    file = shell.write("lora.yaml", "lora_alpha: 16\nr: 8\n")
    first = shell.data("config", "add", file, "--type", "lora")
    second = shell.data("config", "add", '{"r": 8, "lora_alpha": 16}', "--type", "lora")
    assert first["id"] == second["id"]


def test_a_job_is_queued_and_stopped_and_shows_what_was_resolved_and_why(shell: Shell) -> None:
    started = shell.data(
        "train", "start", "--model", "starter", "--dataset", "starter-questions", "--prompt", "starter-prompt",
        "--adapter-name", "wanted", "--learning-rate", "0.002", "--num-cpu", "4096",
    )  # fmt: skip
    job = shell.data("train", "show", "wanted")
    assert job["id"] == started["id"]
    assert job["recipe"]["training_arguments"]["learning_rate"] == 0.002
    assert job["recipe"]["sources"]["learning_rate"] == "command"
    shown = shell.studio.run("train", "show", "wanted").stdout
    assert "learning_rate" in shown
    waiting = shell.studio.run("train", "list")
    assert "wanted waits" in waiting.stderr
    assert "4096 CPUs" in waiting.stderr
    checks = json.loads(shell.studio.run("doctor", "--json").stdout)["checks"]
    assert any(one["name"] == "waiting" and "4096 CPUs" in one["message"] for one in checks)
    shell.data("train", "stop", "wanted", "--force")
    assert shell.data("train", "show", "wanted")["state"] == "stopped"
    ended = shell.studio.run("train", "watch", "wanted")
    assert ended.returncode == 5
    assert "stopped" in ended.stderr


def test_the_streams_are_as_they_should_be(shell: Shell) -> None:
    assert shell.data("topology", "verify") == {"ok": True, "done": []}
    assert shell.data("topology", "apply")["ok"]


def test_the_projections_of_a_live_studio_are_verified(shell: Shell) -> None:
    assert shell.data("db", "verify")["ok"]


class TestRefusals:
    """Bad input at the command line's edge: each in words, by field, with the code's exit code."""

    def test_a_missing_file(self, shell: Shell) -> None:
        path = str(shell.folder / "missing.csv")
        problem = shell.error("dataset", "add", path, "--name", "x", code=4)
        assert (problem["code"], problem["param"]) == ("not_found", "path")
        assert path in problem["message"]

    def test_a_wrong_suffix(self, shell: Shell) -> None:
        problem = shell.error("dataset", "add", shell.write("notes.txt", "hi"), "--name", "x", code=3)
        assert problem["param"] == "path"
        assert ".txt" in problem["message"]

    def test_a_broken_line_17(self, shell: Shell) -> None:
        lines = rows(30).splitlines(keepends=True)
        lines[16] = '{"question": "unfinished\n'
        problem = shell.error("dataset", "add", shell.write("broken.jsonl", "".join(lines)), "--name", "x", code=3)
        assert "17" in problem["message"]

    def test_an_empty_file(self, shell: Shell) -> None:
        problem = shell.error("dataset", "add", shell.write("empty.csv", ""), "--name", "x", code=3)
        assert "empty" in problem["message"]

    def test_a_folder_outside_the_roots(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "elsewhere.csv").write_text("q,a\n1,2\n")
        problem = shell.error("dataset", "add", str(tmp_path), "--name", "x", code=7)
        assert problem["code"] == "not_permitted"

    def test_a_mapping_without_a_column(self, shell: Shell) -> None:
        path = shell.write("map.csv", "q,a\n1,2\n")
        problem = shell.error("dataset", "add", path, "--name", "x", "--column-mapping", "prompt", code=3)
        assert problem["param"] == "column_mapping"

    def test_an_unknown_column_in_a_template(self, shell: Shell) -> None:
        problem = shell.error(
            "prompt", "add", "--name", "p", "--dataset", "starter-questions",
            "--prompt-template", "{input}{completion}", "--input-template", "{questoin}",
            "--completion-template", "{answer}", code=3,
        )  # fmt: skip
        assert problem["param"] == "input_template"
        assert "questoin" in problem["message"]

    def test_a_learning_rate_that_is_no_number_beside_other_wrong_fields(self, shell: Shell) -> None:
        problem = shell.error(
            "train", "start", "--model", "starter", "--dataset", "nope", "--learning-rate", "nan", "--num-epochs", "0",
            code=3,
        )  # fmt: skip
        assert {one["param"] for one in problem["details"]} == {"learning_rate", "num_epochs", "dataset_id"}

    def test_a_name_in_use(self, shell: Shell) -> None:
        problem = shell.error("model", "add", "artifact:starter/model", "--name", " starter ", code=5)
        assert (problem["code"], problem["param"]) == ("duplicate_name", "name")

    def test_a_model_with_pickle_weights(self, shell: Shell) -> None:
        shell.write("pickled/config.json", '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
        shell.write("pickled/pytorch_model.bin", "\x80\x04")
        problem = shell.error("model", "add", str(shell.folder / "pickled"), "--name", "p", code=3)
        assert "safetensors" in (problem["hint"] or problem["message"])

    def test_an_unknown_key_in_settings(self, shell: Shell) -> None:
        problem = shell.error("config", "add", '{"lora_alhpa": 4}', "--type", "lora", code=3)
        assert problem["code"] == "unknown_field"
        assert "lora_alpha" in problem["hint"]

    def test_things_that_are_not_there(self, shell: Shell) -> None:
        for group in ("dataset", "model", "prompt", "config", "adapter", "train", "eval"):
            assert shell.error(group, "show", "nothing-like-it", code=4)["code"] == "not_found"
        assert shell.error("deadletter", "show", "99", code=4)["code"] == "not_found"
        assert shell.error("deadletter", "resend", "99", code=4)["code"] == "not_found"

    def test_a_cursor_that_is_none(self, shell: Shell) -> None:
        assert shell.error("dataset", "list", "--after", "soon", code=3)["param"] == "after"


def test_a_dead_letter_is_listed_shown_and_sent_again(shell: Shell) -> None:
    async def send_rubbish() -> None:
        client = await nats.connect(shell.studio.status()["nats_url"])
        await client.jetstream().publish("tunebus.cmd.dataset.AddDataset", b"\xff not json")
        await client.close()

    asyncio.run(send_rubbish())
    letter = eventually(lambda: shell.data("deadletter", "list")["items"], "the rubbish is kept", 30)[0]
    shown = shell.data("deadletter", "show", str(letter["id"]))
    assert shown["encoding"] == "base64"
    assert shown["reason"]
    assert str(letter["id"]) in shell.studio.run("deadletter", "list").stdout
    sent = shell.data("deadletter", "resend", str(letter["id"]))
    assert sent["subject"] == "tunebus.cmd.dataset.AddDataset"
    again = eventually(lambda: len(shell.data("deadletter", "list")["items"]) == 2, "it comes back, being rubbish", 30)
    assert again


class TestWithoutAStudio:
    """What can be said when nothing runs."""

    def run(self, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNEBUS_")}
        return subprocess.run(
            [sys.executable, "-m", "tunebus.ui.cli.app", "--home", str(home), *arguments],
            env={**clean, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_status_says_that_nothing_runs(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "status", "--json")
        assert ended.returncode == 6
        status = json.loads(ended.stdout)
        assert (status["state"], status["services"], status["home"]) == ("down", {}, str(tmp_path))
        assert "tunebus up" in self.run(tmp_path, "status").stderr

    def test_a_question_to_nobody_says_how_to_start(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "dataset", "list")
        assert ended.returncode == 6
        assert "tunebus up" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_question_to_a_dead_bus_ends_soon(self, tmp_path: Path) -> None:
        began = time.monotonic()
        ended = self.run(tmp_path, "dataset", "list", TUNEBUS_NATS_URL="nats://u:secret@127.0.0.1:9")
        assert ended.returncode == 6
        assert time.monotonic() - began < 30
        assert "secret" not in ended.stderr

    def test_a_run_file_left_by_a_killed_launcher_fools_nobody(self, tmp_path: Path) -> None:
        document = {"pid": 2**22 + 1, "state": "ready", "services": {"nats": {"pid": 2**22 + 2, "state": "ready"}}}
        (tmp_path / "run.json").write_text(json.dumps(document))
        status = json.loads(self.run(tmp_path, "status", "--json").stdout)
        assert status["state"] == "down"
        assert status["services"]["nats"]["state"] == "dead"

    def test_doctor_works_before_the_first_start(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path / "new", "doctor", "--json")
        report = json.loads(ended.stdout)
        states = {one["name"]: one["state"] for one in report["checks"]}
        assert states["studio"] == "note"
        assert states["database"] == "note"
        assert not (tmp_path / "new").exists()

    def test_doctor_names_a_home_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        ended = self.run(tmp_path / "file" / "home", "doctor")
        assert ended.returncode == 6
        assert "is a regular file" in ended.stdout

    @pytest.mark.parametrize("command", ["status", "doctor", "up"])
    def test_a_misspelt_variable_is_named_with_the_right_one(self, tmp_path: Path, command: str) -> None:
        ended = self.run(tmp_path, command, TUNEBUS_UI_PROT="1")
        assert ended.returncode in (3, 6)
        assert "TUNEBUS_UI_PROT" in ended.stdout + ended.stderr
        assert "TUNEBUS_UI_PORT" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_command_line_starts_without_what_it_does_not_need() -> None:
    program = (
        "import sys, tunebus.ui.cli.program as program; program.run(['train', 'start', '--help']);"
        "heavy = {'torch', 'gradio', 'sqlalchemy', 'faststream', 'nats', 'transformers', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
