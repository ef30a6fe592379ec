"""What the pages Database and Settings say of sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web import database, settings
from tunebus.ui.web.studio import Studio


class Empty(Studio):
    """A studio without things."""

    async def items(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        return []


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Empty(load_settings({}, home=tmp_path))


def test_the_telemetry_is_as_large_as_its_file_and_the_log_beside_it(studio: Studio) -> None:
    file = Path(studio.settings.telemetry_url.removeprefix("sqlite:///"))
    assert database._telemetry(studio).startswith("0 B")
    file.write_bytes(bytes(4_096))
    file.with_name(f"{file.name}-wal").write_bytes(bytes(2_000_000))
    assert database._telemetry(studio).startswith("2.0 MB")


async def test_storage_is_in_the_units_of_the_doctor(studio: Studio) -> None:
    studio.home.artifacts.mkdir(parents=True)
    found = await settings.measure(studio, {})
    assert re.search(r"[0-9.]+ (MiB|GiB)", found), "what is free"
    assert not re.search(r"[0-9.]+ (kB|MB|GB)", found)
