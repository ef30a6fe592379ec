"""The spool: numbered whole lines, whatever happens to the process or the disk."""

from __future__ import annotations

import itertools
import json
import math
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tunebus.contracts.telemetry import TelemetryBatch, batch_bytes
from tunebus.services.platform.child.logtail import PIECE_BYTES, LogTail
from tunebus.services.platform.child.spool import Spool


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_kind_of_record_is_one_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    spool = Spool(path)
    spool.metric(1, {"loss": 2.5, "grad_norm": math.inf, "x": math.nan})
    spool.progress("training", 1, 10, 2.0, 4.5)
    spool.progress("loading", 0, 1)
    spool.log(0, "héllo\n")
    spool.system({"rss_bytes": 1e9})
    spool.close()
    batch = TelemetryBatch.model_validate_json(batch_bytes("j", 1, path.read_bytes().splitlines()))
    assert [record.n for record in batch.records] == [1, 2, 3, 4, 5]
    assert records(path)[0]["values"] == {"loss": 2.5, "grad_norm": "Infinity", "x": "NaN"}


def test_a_second_process_goes_on_behind_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    path.write_bytes(b'{"k":"log","n":1}\n{"k":"log","n":2}\n{"k":"lo')
    Spool(path).log(5, "x")
    assert [record["n"] for record in records(path)] == [1, 2, 3]


def test_threads_share_one_numbering(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "telemetry.jsonl")
    threads = [
        threading.Thread(target=lambda: [spool.metric(step, {"loss": 1.0}) for step in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record["n"] for record in records(tmp_path / "telemetry.jsonl")] == list(range(1, 801))


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    code = f"""
import resource, sys
from pathlib import Path
from tunebus.services.platform.child.spool import Spool
spool = Spool(Path({str(path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    while True:
        spool.log(0, "x" * 70)
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
spool.log(0, "room again")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "27"
    found = records(path)
    assert [record["n"] for record in found] == list(range(1, len(found) + 1))
    assert found[-1]["text"] == "room again"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


class TestLogTail:
    def tail(self, folder: Path, body: bytes) -> tuple[LogTail, Path]:
        (folder / "output.log").write_bytes(body)
        return LogTail(folder / "output.log", Spool(folder / "telemetry.jsonl")), folder / "telemetry.jsonl"

    def test_whole_lines_first_the_rest_at_the_end(self, tmp_path: Path) -> None:
        tail, spool = self.tail(tmp_path, "one\ntwö\nthr".encode())
        tail.drain()
        assert [(record["offset"], record["text"]) for record in records(spool)] == [(0, "one\ntwö\n")]
        with (tmp_path / "output.log").open("ab") as log:
            log.write(b"ee\nfour")
        tail.drain(last=True)
        assert [(record["offset"], record["text"]) for record in records(spool)][1:] == [(9, "three\nfour")]

    @pytest.mark.parametrize("character", ["x", "é", "漢", "😀"])
    def test_a_line_longer_than_a_piece_is_cut_between_characters(self, tmp_path: Path, character: str) -> None:
        body = "ab" + character * PIECE_BYTES
        tail, spool = self.tail(tmp_path, body.encode())
        tail.drain(last=True)
        found = records(spool)
        assert len(found) > 1 or len(character) == 1
        assert "".join(record["text"] for record in found) == body
        for record, following in itertools.pairwise(found):
            assert following["offset"] == record["offset"] + len(record["text"].encode())

    def test_bytes_that_are_no_text_stop_nothing(self, tmp_path: Path) -> None:
        tail, spool = self.tail(tmp_path, b"\xff\xfe bad\n" + b"\x80" * (PIECE_BYTES + 5))
        tail.drain(last=True)
        assert records(spool)[0]["text"].endswith(" bad\n")

    def test_stop_takes_the_rest(self, tmp_path: Path) -> None:
        tail, spool = self.tail(tmp_path, b"no line break")
        tail.start()
        tail.stop()
        assert [record["text"] for record in records(spool)] == ["no line break"]
