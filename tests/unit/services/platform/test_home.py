"""The home's run file: read where it has the shape of one, and none otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tunebus.services.platform.home import Home


@pytest.mark.parametrize(
    "document",
    [
        "x",
        [],
        {"services": "x"},
        {"services": {"nats": "ready"}},
        {"services": None},
        {"nats_url": 4222},
        {"started_at": 5, "services": {}},
        {"defaults": "done"},
    ],
)
def test_a_run_file_of_another_shape_is_none(tmp_path: Path, document: object) -> None:
    home = Home(tmp_path)
    home.run_file.write_text(json.dumps(document))
    assert home.read_run_file() is None


@pytest.mark.parametrize(
    "document", [{}, {"nats_url": None, "ui_url": None}, {"services": {"nats": {"pid": None, "state": "restarting"}}}]
)
def test_a_run_file_is_read_as_far_as_it_goes(tmp_path: Path, document: dict[str, object]) -> None:
    home = Home(tmp_path)
    home.write_run_file(document)
    assert home.read_run_file() == document
