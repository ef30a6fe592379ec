"""What pages ask of a database that is not small: right, bounded answers. The long form holds them to their goals."""

from __future__ import annotations

from pathlib import Path

from tunebus.contracts import queries as ask
from tunebus.projections import queries

from tests.benchmarks.pages import CHART_POINTS, NAMES, ask_one, fill, questions, stamp

SHARE = 0.1


def test_every_answer_of_a_page_is_whole_and_bounded(tmp_path: Path) -> None:
    made = fill(f"sqlite:///{tmp_path}/ledger.db", f"sqlite:///{tmp_path}/telemetry.db", SHARE)
    try:
        answers = {what: ask_one(made, query) for what, (_, query) in questions(made).items()}
        for what, (_, query) in questions(made).items():
            if isinstance(query, ask.ListAllJobs):
                found = answers[what]
                assert len(found["items"]) == min(query.limit, found["total"] - int(query.after or 0)) > 0, what
                assert all(job.keys().isdisjoint(queries._DETAIL) for job in found["items"]), what
        newest = answers["jobs, the newest"]
        assert newest["total"] == len(made.jobs)
        assert [job["id"] for job in newest["items"]] == made.jobs[:-51:-1]
        assert all(len(job["losses"]) >= 20 for job in newest["items"][:20])
        assert {job["state"] for job in answers["jobs that failed, by update"]["items"]} == {"failed"}
        overview = answers["the overview"]
        assert sum(overview["counts"]["fine_tuning_jobs"].values()) == len(made.jobs)
        assert answers["the queue"]["items"][0]["state"] == "starting"

        chart = answers["the longest run's chart"]["series"]["loss"]
        assert chart["sampled"]
        assert 500 < len(chart["steps"]) <= CHART_POINTS
        assert (chart["steps"][0], chart["steps"][-1]) == (0, answers["the longest run's chart"]["last_step"])
        end = answers["the end of its log"]
        assert end["next_offset"] == made.log_bytes
        assert end["next_offset"] - end["offset"] == len(end["text"].encode()) == 64_000
        errors = answers["errors in its log"]
        assert errors["items"]
        assert {line["level"] for line in errors["items"]} == {"ERROR"}

        before = stamp(made)
        assert stamp(made) == before
        assert made.points > 2 * len(NAMES) * 3000
    finally:
        made.ledger.dispose()
        made.measured.dispose()
