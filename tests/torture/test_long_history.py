"""100,000 events over the bus: exported, imported, looked back on, backed up and restored, in bounded memory, on a
studio of real processes.

The short form, of 5,000 events, is in the conformance tests.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from tunebus.services.platform import database
from tunebus.services.registry.upgrading import set_up

from tests.fixtures.histories import record, seeded_history
from tests.fixtures.studio import Studio

EVENTS = 100_000
QUIET = {"TUNEBUS_LOAD_DEFAULTS": "false", "TUNEBUS_TRAINERS": "0", "TUNEBUS_EVALUATORS": "0"}
MEMORY = 300 * 2**20  # above idle, of all the studio's processes together


@dataclass
class Measured:
    seconds: float = 0.0
    idle: int = 0
    most: int = 0

    @property
    def above_idle(self) -> int:
        return self.most - self.idle


@contextmanager
def measured(studio: Studio) -> Iterator[Measured]:
    """The memory of everything that runs on the studio's home but its bus, whose page cache is its own affair."""
    found = Measured(idle=_resident(studio))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            found.most = max(found.most, _resident(studio))

    watching = threading.Thread(target=watch)
    watching.start()
    begun = time.monotonic()
    try:
        yield found
    finally:
        found.seconds = time.monotonic() - begun
        over.set()
        watching.join()


def _resident(studio: Studio) -> int:
    total = 0
    for process in studio.processes():
        try:
            if "nats-server" not in process.name():
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_long_history_moves_in_bounded_memory(
    make_studio: Callable[..., Studio], studio_database: dict[str, str]
) -> None:
    source = _with_history(make_studio)
    target = make_studio("target", start=False, **QUIET, **studio_database)
    document = source.home.parent / "long.json"
    source.start()
    with measured(source) as exporting:
        exported = _run(source, "db", "export", str(document))
    with measured(source) as looking_back:
        middle = str(exported["position"] // 2)
        jobs = _run(source, "train", "list", "--as-of", middle, "--limit", "5")
    assert jobs["items"]
    source.stop()
    target.start()
    with measured(target) as importing:
        imported = _run(target, "db", "import", str(document))
    assert imported["added"] + imported["refused"] == exported["events"] >= EVENTS
    assert imported["added"] > 0.9 * EVENTS
    assert _run(target, "db", "verify")["ok"]
    target.stop()
    figures = {"export": exporting, "as of": looking_back, "import": importing}
    print({what: f"{one.seconds:.1f} s, +{one.above_idle / 2**20:.0f} MiB" for what, one in figures.items()})
    for what, one in figures.items():
        assert one.above_idle < MEMORY, what


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_long_history_is_restored_in_bounded_memory(
    make_studio: Callable[..., Studio], studio_database: dict[str, str]
) -> None:
    source = _with_history(make_studio)
    target = make_studio("target", start=False, **QUIET, **studio_database)
    copy = str(source.home.parent / "backup.db")
    with measured(source) as backing_up:
        backed_up = _run(source, "db", "backup", copy)
    target.home.mkdir(parents=True)
    with measured(target) as restoring:
        restored = _run(target, "db", "restore", copy)
    assert restored["events"] == backed_up["events"] >= EVENTS
    assert restored["position"] == backed_up["position"]
    target.start(deadline=300)
    assert _run(target, "db", "verify")["ok"]
    added = _run(target, "config", "add", "--type", "custom", '{"after": "the restore"}')
    assert added["position"] > restored["position"]
    target.stop()
    figures = {"backup": backing_up, "restore": restoring}
    print({what: f"{one.seconds:.1f} s, +{one.above_idle / 2**20:.0f} MiB" for what, one in figures.items()})
    for what, one in figures.items():
        assert one.above_idle < MEMORY, what


def _with_history(make_studio: Callable[..., Studio]) -> Studio:
    """A studio on SQLite that was never started, with its record."""
    source = make_studio("source", start=False, **QUIET)
    source.home.mkdir(parents=True)
    engine = database.open_engine(f"sqlite:///{source.home / 'tunebus.db'}")
    set_up(engine)
    with database.write(engine) as connection:
        record(connection, seeded_history(1, EVENTS))
    engine.dispose()
    return source


def _run(studio: Studio, *arguments: str) -> dict[str, Any]:
    ended = studio.run(*arguments, "--json", timeout=900)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
