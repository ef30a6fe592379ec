"""What is taken along: a zip of a folder of the artifact root, and nothing beside it."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.home import Home
from tunebus.ui.web import taking


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def folder(home: Home) -> Path:
    made = home.artifacts / "jobs" / "1" / "adapter"
    (made / "more").mkdir(parents=True)
    (made / "adapter_config.json").write_text(json.dumps({"r": 8, "base_model_name_or_path": "/home/somebody/base"}))
    (made / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    (made / "more" / "note.txt").write_text("hello")
    (made / ".hidden").write_text("no")
    return made


def taken(home: Home, folder: Path, name: str = "mine", texts: taking.Texts | None = None) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(taking.zipped(home, folder, name, texts or {}))))


def test_the_zip_holds_the_folder_and_names_no_path_of_this_machine(home: Home, folder: Path) -> None:
    texts = taking.texts_of(folder, "org/base", "# mine")
    found = taken(home, folder, texts=texts)
    assert found.testzip() is None
    assert sorted(found.namelist()) == [
        "mine/README.md",
        "mine/adapter_config.json",
        "mine/adapter_model.safetensors",
        "mine/more/note.txt",
    ]
    assert json.loads(found.read("mine/adapter_config.json")) == {"r": 8, "base_model_name_or_path": "org/base"}
    assert found.read("mine/adapter_model.safetensors") == (folder / "adapter_model.safetensors").read_bytes()


def test_its_own_card_wins(home: Home, folder: Path) -> None:
    (folder / "README.md").write_text("own")
    assert taking.CARD not in taking.texts_of(folder, "org/base", "# mine")
    assert taken(home, folder).read("mine/README.md") == b"own"


def test_links_lead_nowhere_outside_the_artifact_root(home: Home, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "link.txt").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    (folder / "gone.txt").symlink_to(tmp_path / "nothing")
    assert not [name for name in taken(home, folder).namelist() if "link" in name or "secret" in name or "gone" in name]


@pytest.mark.parametrize("location", ["/etc", "artifact:../..", "artifact:/etc", None, ""])
def test_only_folders_of_the_artifact_root_are_sent(home: Home, location: str | None) -> None:
    with pytest.raises(TunebusError) as caught:
        taking.folder_of(home, location)
    assert caught.value.problem.code in (Code.NOT_PERMITTED, Code.UNAVAILABLE)


@pytest.mark.parametrize("name", ['a"b\r\nX: y', "../../etc", "…", "a/b"])
def test_a_name_becomes_a_safe_one(home: Home, folder: Path, name: str) -> None:
    header = taking.download(home, folder, name, {}).headers["content-disposition"]
    inside = header.removeprefix('attachment; filename="').removesuffix('"')
    assert not set(inside) & set('"/\\\r\n')
    assert not inside.startswith(".")


def test_a_large_file_is_never_in_memory_as_a_whole(home: Home, folder: Path) -> None:
    with (folder / "large.bin").open("wb") as file:
        file.truncate(60_000_000)
    tracemalloc.start()
    sent = sum(len(piece) for piece in taking.zipped(home, folder, "mine", {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent > 60_000_000
    assert peak < 8_000_000


def test_the_snippet_is_python_and_loads_from_the_hub_at_the_commit_that_was_used() -> None:
    model = {"name": "base", "huggingface_name": "org/base", "revision": "a" * 40, "has_chat_template": True}
    words = taking.snippet(model, {"name": "mine"}, "./mine")
    compile(words, "snippet", "exec")
    assert "'org/base', revision='aaaa" in words
    assert "PeftModel.from_pretrained(base, './mine')" in words
    plain = taking.snippet({"name": "base", "has_chat_template": False}, None, "/models/'x'")
    compile(plain, "snippet", "exec")
