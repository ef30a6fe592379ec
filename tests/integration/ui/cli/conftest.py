"""One studio for all tests of a module, driven as a person would: by command lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.studio import Studio, eventually


class Shell:
    """Runs `tunebus` on a studio, in the folder that holds the test's files."""

    def __init__(self, studio: Studio, folder: Path) -> None:
        self.studio = studio
        self.folder = folder

    def data(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with --json, having ended with `code`."""
        ended = self.studio.run(*arguments, "--json")
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    def error(self, *arguments: str, code: int) -> dict[str, Any]:
        """The error a command ends with; a person's form of it must hold its words, and never a traceback."""
        ended = self.studio.run(*arguments)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout
        machine = self.studio.run(*arguments, "--json")
        assert machine.returncode == code
        problem: dict[str, Any] = json.loads(machine.stderr)
        for one in problem.get("details") or [problem]:
            assert one["message"] in ended.stderr
            assert set(one) >= {"code", "message", "param", "hint"}
        return problem

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("cli")
    studio = Studio(folder / "home", {"TUNEBUS_UI_PORT": "0", "TUNEBUS_DATASET_ROOTS": str(folder)})
    studio.start()
    try:
        eventually(lambda: studio.status().get("defaults", {}).get("state") == "done", "the defaults are loaded", 60)
        yield Shell(studio, folder)
        studio.stop()
    finally:
        studio.kill_everything()
