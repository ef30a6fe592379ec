"""What a studio ships with is loaded once, whole, and under ids that never change."""

from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem
from tunebus.services.launcher import defaults
from tunebus.services.platform.home import Home


class Registry:
    """Remembers commands by id, as the real one does."""

    def __init__(self, refuse: Problem | None = None) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self._refuse = refuse

    def send(self, command: str, data: Any, *, command_id: str, actor: str) -> Outcome:
        self.sent.append((command_id, command, data))
        if self._refuse:
            return Outcome(command_id=command_id, outcome="rejected", error=self._refuse)
        return Outcome(command_id=command_id, outcome="accepted", id=command_id)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("{}")
    (folder / "questions.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    return folder


def test_the_ids_of_the_defaults_are_these_for_ever() -> None:
    assert {name: defaults.command_id(name, revision) for name, revision, _ in defaults.COMMANDS} == {
        "AddModel": "624eeaf6-0c9b-5ac6-9232-533ab31b5f88",
        "AddDataset": "14990c54-e345-5e4b-a24e-553001642a28",
        "AddPrompt": "8354ce70-a541-5a57-b4aa-94fef0f2d0b7",
    }


def test_a_second_load_sends_the_same_commands() -> None:
    registry = Registry()
    defaults.load(registry)  # type: ignore[arg-type]
    first, registry.sent = registry.sent, []
    defaults.load(registry)  # type: ignore[arg-type]
    assert registry.sent == first


def test_a_refused_default_does_not_stop_the_others() -> None:
    registry = Registry(refuse=Problem(code=Code.DUPLICATE_NAME, message="taken"))
    defaults.load(registry)  # type: ignore[arg-type]
    assert [command for _, command, _ in registry.sent] == ["AddModel", "AddDataset", "AddPrompt"]


def test_the_pack_is_copied_whole(tmp_path: Path, pack: Path) -> None:
    home = Home(tmp_path / "home").create()
    defaults.copy_pack(pack, home)
    assert (home.artifacts / "starter" / "model" / "config.json").read_text() == "{}"
    assert [path.name for path in home.artifacts.iterdir()] == ["starter"]


def test_what_was_copied_before_is_left_alone(tmp_path: Path, pack: Path) -> None:
    home = Home(tmp_path / "home").create()
    defaults.copy_pack(pack, home)
    (home.artifacts / "starter" / "questions.jsonl").write_text("mine")
    defaults.copy_pack(pack, home)
    assert (home.artifacts / "starter" / "questions.jsonl").read_text() == "mine"


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, pack: Path) -> None:
    home = Home(tmp_path / "home").create()
    (pack / "broken").symlink_to(pack / "nowhere")
    with pytest.raises(OSError):
        defaults.copy_pack(pack, home)
    assert list(home.artifacts.iterdir()) == []
