"""What a studio ships with is loaded once, whole, and under ids that never change."""

from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code, Problem, fail
from tunebus.services.launcher import defaults
from tunebus.services.launcher.shipped_defaults import SHIPPED
from tunebus.services.platform.home import Home


class Registry:
    """Remembers commands and their outcomes by id, as the real one does."""

    def __init__(self, refuse: Problem | None = None) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.refuse = refuse
        self._outcomes: dict[str, Outcome] = {}

    def send(self, command: str, data: Any, *, command_id: str, actor: str, timeout: float) -> Outcome:
        self.sent.append((command_id, command, data))
        outcome = Outcome(command_id=command_id, outcome="accepted", id=command_id)
        if self.refuse:
            outcome = Outcome(command_id=command_id, outcome="rejected", error=self.refuse)
        self._outcomes[command_id] = outcome
        return outcome

    def query(self, name: str, data: dict[str, str]) -> dict[str, Any]:
        assert name == "GetCommandOutcome"
        if data["command_id"] not in self._outcomes:
            raise fail(Code.NOT_FOUND, "no outcome yet")
        return self._outcomes[data["command_id"]].document()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text("{}")
    (folder / "questions.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    return folder


def test_the_ids_of_the_defaults_are_these_for_ever() -> None:
    ids = {default.key: defaults.command_id(default.key) for default in SHIPPED}
    assert len(ids) == len(SHIPPED) == len(set(ids.values()))
    assert {key: ids[key] for key in ("AddModel/1", "AddDataset/1", "AddPrompt/1", "AddConfig/lora/small/1")} == {
        "AddModel/1": "624eeaf6-0c9b-5ac6-9232-533ab31b5f88",
        "AddDataset/1": "14990c54-e345-5e4b-a24e-553001642a28",
        "AddPrompt/1": "8354ce70-a541-5a57-b4aa-94fef0f2d0b7",
        "AddConfig/lora/small/1": "75622c8e-452b-5425-9f2c-3dfb53099900",
    }


def test_a_second_load_sends_nothing() -> None:
    registry = Registry()
    for _ in range(2):
        defaults.load(registry, SHIPPED)  # type: ignore[arg-type]
    assert [command for _, command, _ in registry.sent] == [default.command for default in SHIPPED]


def test_a_refused_default_does_not_stop_the_others_and_is_tried_again() -> None:
    registry = Registry(refuse=Problem(code=Code.NOT_FOUND, message="no file"))
    for _ in range(2):
        defaults.load(registry, SHIPPED)  # type: ignore[arg-type]
    registry.refuse = None
    for _ in range(2):
        defaults.load(registry, SHIPPED)  # type: ignore[arg-type]
    assert len(registry.sent) == 3 * len(SHIPPED)
    assert len({command_id for command_id, _, _ in registry.sent}) == 3 * len(SHIPPED)


def test_a_name_that_somebody_took_is_left_to_them() -> None:
    registry = Registry(refuse=Problem(code=Code.DUPLICATE_NAME, message="taken"))
    for _ in range(2):
        defaults.load(registry, SHIPPED)  # type: ignore[arg-type]
    assert len(registry.sent) == len(SHIPPED)


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
