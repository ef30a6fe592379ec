"""The spool: whole lines in batches, nothing lost or sent differently after a crash, the log's end appended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tunebus.contracts.telemetry import TelemetryBatch, batch_bytes
from tunebus.services.platform.child.logtail import LogTail
from tunebus.services.platform.child.spool import Spool
from tunebus.services.platform.worker import spool
from tunebus.services.platform.worker.folder import AttemptFolder
from tunebus.services.platform.worker.spool import BATCH_BYTES, Batch, Sent, is_sent, newest, read_batch

JOB = "0197a3f2-7c00-7000-8000-000000000001"


@pytest.fixture
def folder(tmp_path: Path) -> AttemptFolder:
    return AttemptFolder(tmp_path, JOB, 1)


def line(n: int, **fields: Any) -> bytes:
    document = {"k": "metric", "n": n, "t": 1.5, "step": n, "values": {"loss": 0.5}, **fields}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def batches(folder: AttemptFolder) -> list[Batch]:
    found, sent = [], Sent()
    while (batch := read_batch(folder.spool, sent)) is not None:
        found.append(batch)
        sent = Sent(batch.end, batch.end)
    return found


def records(folder: AttemptFolder) -> list[dict[str, Any]]:
    return [json.loads(found) for found in folder.spool.read_bytes().splitlines()]


def test_no_spool_is_nothing_to_send(folder: AttemptFolder) -> None:
    assert read_batch(folder.spool, Sent()) is None
    assert is_sent(folder)


def test_a_line_without_its_end_waits(folder: AttemptFolder) -> None:
    folder.spool.write_bytes(line(1) + line(2)[:-5])
    [batch] = batches(folder)
    assert batch.lines == [line(1).rstrip()]
    assert batch.end == len(line(1))


def test_a_long_spool_is_cut_into_batches_that_join_to_it(folder: AttemptFolder) -> None:
    whole = b"".join(line(n) for n in range(1, 8001))
    folder.spool.write_bytes(whole)
    found = batches(folder)
    assert len(found) > 2
    assert all(batch.end - batch.start <= BATCH_BYTES for batch in found)
    assert b"".join(record + b"\n" for batch in found for record in batch.lines) == whole
    body = TelemetryBatch.model_validate_json(batch_bytes(JOB, 1, found[0].lines))
    assert body.records[0].n == 1


def test_a_line_longer_than_a_batch_is_sent_whole(folder: AttemptFolder) -> None:
    folder.spool.write_bytes(line(1, text="x" * (BATCH_BYTES + 1000)) + line(2))
    assert [len(batch.lines) for batch in batches(folder)] == [1, 1]


def test_a_line_that_fits_no_message_is_left_out(folder: AttemptFolder) -> None:
    folder.spool.write_bytes(line(1, text="x" * 1_000_000) + line(2))
    assert [record for batch in batches(folder) for record in batch.lines] == [line(2).rstrip()]


@pytest.mark.parametrize(
    "damage",
    [
        line(2)[:20] + line(3),  # a write that the disk cut short, and the next one
        b"\0" * 64 + b"\n",  # a page lost with the power
        b"{}\n",
        b"[1]\n",
        b"\n",
    ],
)
def test_broken_lines_are_left_out_and_the_others_sent(folder: AttemptFolder, damage: bytes) -> None:
    folder.spool.write_bytes(line(1) + damage + line(4))
    sent = [json.loads(record)["n"] for batch in batches(folder) for record in batch.lines]
    assert sent == [1, 4]


def test_text_that_looks_like_records_is_no_damage(folder: AttemptFolder) -> None:
    tricky = line(1, k="log", offset=0, text='}\n{"k":"metric"}\n{"n":1}')
    folder.spool.write_bytes(tricky + line(2))
    assert [len(batch.lines) for batch in batches(folder)] == [2]


def test_a_batch_that_may_have_arrived_is_sent_again_with_the_same_bounds(folder: AttemptFolder) -> None:
    folder.spool.write_bytes(line(1) + line(2))
    first = read_batch(folder.spool, Sent())
    assert first is not None
    Sent(first.start, first.end).write(folder)
    with folder.spool.open("ab") as file:
        file.write(line(3))
    assert read_batch(folder.spool, Sent.read(folder)) == first
    assert not is_sent(folder)


@pytest.mark.parametrize("text", ["", "x y", "5", "1 2 3"])
def test_an_unreadable_offset_starts_from_the_beginning(folder: AttemptFolder, text: str) -> None:
    folder.sent_file.write_text(text)
    assert Sent.read(folder) == Sent()


def test_the_newest_record_of_a_kind(folder: AttemptFolder) -> None:
    lines = [line(1), line(2, k="progress"), line(3), line(4, k="log")]
    assert (newest(lines, "k", "metric") or {})["n"] == 3
    assert newest(lines, "k", "system") is None


def test_closing_cuts_a_torn_line_and_appends_the_missing_output(folder: AttemptFolder) -> None:
    folder.output.write_bytes("erste Zeile\nzweite, größer\nTraceback\nlast".encode())
    head = "erste Zeile\n"
    folder.spool.write_bytes(line(1) + line(2, k="log", offset=0, text=head) + line(3) + line(4)[:-9])
    spool.close(folder)
    found = records(folder)
    assert [record["n"] for record in found] == [1, 2, 3, 4]
    assert found[3]["k"] == "log"
    assert found[3]["offset"] == len(head.encode())
    assert head + found[3]["text"] == folder.output.read_text()


def test_closing_twice_adds_nothing(folder: AttemptFolder) -> None:
    folder.output.write_bytes(b"x" * 50_000 + b"\nend\n")
    spool.close(folder)
    first = folder.spool.read_bytes()
    spool.close(folder)
    assert folder.spool.read_bytes() == first
    assert "".join(record["text"] for record in records(folder)) == folder.output.read_text()
    assert all(len(record["text"]) <= spool.LOG_BYTES for record in records(folder))


def test_pieces_are_not_cut_inside_a_character(folder: AttemptFolder) -> None:
    folder.output.write_text("€" * 20_000)
    spool.close(folder)
    found = records(folder)
    assert len(found) > 1
    assert "".join(record["text"] for record in found) == "€" * 20_000


@pytest.mark.parametrize("noise", [b"\xff\xfe", b"\xe2\x82", b"a\xf0\x9f\x98b\x80", b"\xc3"])
def test_output_that_is_no_text_is_covered_by_its_bytes(folder: AttemptFolder, noise: bytes) -> None:
    """The child's own tail wrote the first part; what follows it is neither lost nor doubled."""
    folder.output.write_bytes(b"start " + noise + b" middle\n")
    LogTail(folder.output, Spool(folder.spool)).drain()
    covered = folder.output.stat().st_size
    with folder.output.open("ab") as file:
        file.write(b"after the tail died\n")
    spool.close(folder)
    last = records(folder)[-1]
    assert last["offset"] == covered
    assert last["text"] == "after the tail died\n"


def test_output_without_a_spool_becomes_one(folder: AttemptFolder) -> None:
    folder.output.write_text("ImportError: no module\n")
    spool.close(folder)
    assert [record["text"] for record in records(folder)] == ["ImportError: no module\n"]


def test_numbers_go_on_after_a_spool_without_log_records(folder: AttemptFolder) -> None:
    folder.spool.write_bytes(b"".join(line(n) for n in range(1, 6001)))
    folder.output.write_text("late\n")
    spool.close(folder)
    assert records(folder)[-1]["n"] == 6001
