"""The states of a job: claims, fencing, stops, failures, retries, lost workers."""

from __future__ import annotations

from typing import Any

import pytest
from tunebus.contracts import commands as ask
from tunebus.services.platform.decisions import Accepted
from tunebus.services.registry import jobs
from tunebus.services.registry.internal import ExpireLease

HASH = "0" * 64
KIND = "fine_tuning_job"


def failure(job: str, attempt: int, cause: str, **fields: Any) -> ask.FailAttempt:
    return ask.FailAttempt(job_id=job, attempt=attempt, cause=cause, message="it broke", **fields)


def checkpoint(job: str, attempt: int, step: int) -> ask.RecordCheckpoint:
    uri = f"artifact:jobs/{job}/attempt-{attempt}/checkpoints/step-{step:08d}"
    return ask.RecordCheckpoint(job_id=job, attempt=attempt, step=step, uri=uri, manifest_sha256=HASH)


def test_a_job_goes_from_queued_to_running(studio: Any) -> None:
    job = studio.job()
    assert studio.state(job) == "queued"
    attempt = studio.start(job)
    assert (attempt, studio.state(job)) == (1, "starting")
    studio.accept(ask.ReportAttemptRunning(job_id=job, attempt=1, total_steps=10))
    assert studio.state(job) == "running"


def test_a_job_that_is_no_longer_waiting_is_not_claimed(studio: Any) -> None:
    job = studio.job()
    studio.start(job)
    decision = jobs.claim(studio.known.jobs[job], "w2", "there")
    assert isinstance(decision, Accepted)
    assert decision.events == ()
    assert decision.id is None


@pytest.mark.parametrize("attempt", [1, 3])
def test_reports_of_another_attempt_are_refused_stale(studio: Any, attempt: int) -> None:
    job = studio.job()
    studio.start(job)
    studio.accept(ExpireLease(KIND, job, 1))
    assert studio.start(job, "w2") == 2
    for report in (
        ask.ReportAttemptRunning(job_id=job, attempt=attempt, total_steps=1),
        checkpoint(job, attempt, 5),
        failure(job, attempt, "crashed"),
        ask.CompleteAttempt(job_id=job, attempt=attempt, outcome="stopped"),
    ):
        problem = studio.refuse(report)
        assert (problem.code, problem.param) == ("stale_attempt", "attempt")


def test_a_report_after_the_end_is_stale(studio: Any) -> None:
    job = studio.job()
    studio.finish(job, studio.start(job))
    assert studio.refuse(checkpoint(job, 1, 5)).code == "stale_attempt"


def test_a_report_while_the_job_waits_again_is_stale(studio: Any) -> None:
    job = studio.job()
    studio.start(job)
    studio.accept(ExpireLease(KIND, job, 1))
    assert studio.refuse(checkpoint(job, 1, 5)).code == "stale_attempt"


def test_a_report_of_an_unknown_job_names_it(studio: Any) -> None:
    problem = studio.refuse(checkpoint("nope", 1, 5))
    assert (problem.code, problem.param) == ("not_found", "job_id")


def test_a_lost_attempt_queues_the_job_and_the_next_resumes(studio: Any) -> None:
    job = studio.job()
    attempt = studio.start(job)
    studio.accept(checkpoint(job, attempt, 5))
    studio.accept(checkpoint(job, attempt, 10))
    decision = studio.accept(ExpireLease(KIND, job, attempt))
    assert studio.types(decision) == ["AttemptLost", "JobQueued"]
    studio.start(job, "w2")
    started = studio.events[-1]
    assert started.data["resume_from"]["step"] == 10
    assert [found.step for found in jobs.newest_first(studio.known.jobs[job])] == [10, 5]


def test_losses_do_not_use_up_the_retries(make_studio: Any) -> None:
    studio = make_studio(max_crash_retries=0)
    job = studio.job()
    for _ in range(5):
        studio.accept(ExpireLease(KIND, job, studio.start(job)))
        studio.accept(failure(job, studio.start(job), "killed_by_signal", signal=9))
        studio.accept(failure(job, studio.start(job), "worker_shutdown"))
    assert studio.state(job) == "queued"


def test_a_job_that_never_gets_anywhere_is_given_up_in_the_end(studio: Any) -> None:
    job = studio.job()
    for _ in range(jobs.MAX_LOSSES_WITHOUT_PROGRESS - 1):
        studio.accept(ExpireLease(KIND, job, studio.start(job)))
    decision = studio.accept(ExpireLease(KIND, job, studio.start(job)))
    assert studio.types(decision) == ["AttemptLost", "JobFailed"]
    assert decision.events[1].data["cause"] == "attempt_lost"


def test_a_checkpoint_is_progress(studio: Any) -> None:
    job = studio.job()
    for number in range(1, 2 * jobs.MAX_LOSSES_WITHOUT_PROGRESS):
        attempt = studio.start(job)
        studio.accept(checkpoint(job, attempt, number))
        studio.accept(ExpireLease(KIND, job, attempt))
    assert studio.state(job) == "queued"


@pytest.mark.parametrize("fields", [{"cause": "crashed"}, {"cause": "killed_by_signal", "signal": 11}])
def test_crashes_use_up_the_retries(studio: Any, fields: dict[str, Any]) -> None:
    job = studio.job()
    for _ in range(2):
        decision = studio.accept(failure(job, studio.start(job), **fields))
        assert studio.types(decision) == ["AttemptFailed", "JobQueued"]
        assert decision.events[0].data["will_retry"] is True
    decision = studio.accept(failure(job, studio.start(job), **fields))
    assert studio.types(decision) == ["AttemptFailed", "JobFailed"]
    assert decision.events[0].data["will_retry"] is False
    assert "3 times" in decision.events[1].data["message"]
    assert studio.state(job) == "failed"


def test_a_broken_checkpoint_is_passed_over_and_uses_up_no_retry(studio: Any) -> None:
    job = studio.job()
    for _ in range(3):
        decision = studio.accept(failure(job, studio.start(job), "bad_checkpoint"))
        assert studio.types(decision) == ["AttemptFailed", "JobQueued"]
        assert decision.events[1].data["cause"] == "attempt_lost"


@pytest.mark.parametrize("cause", ["bad_configuration", "bad_data", "nan_loss", "out_of_memory", "disk_full"])
def test_what_would_happen_again_fails_at_once(studio: Any, cause: str) -> None:
    job = studio.job()
    decision = studio.accept(failure(job, studio.start(job), cause))
    assert studio.types(decision) == ["AttemptFailed", "JobFailed"]
    assert decision.events[1].data["cause"] == cause


@pytest.mark.parametrize("cause", ["out_of_memory", "disk_full", "nan_loss"])
def test_such_a_failure_says_what_to_do(studio: Any, cause: str) -> None:
    job = studio.job()
    decision = studio.accept(failure(job, studio.start(job), cause))
    assert decision.events[1].data["hint"] == jobs.HINTS[cause]
    other = studio.job()
    decision = studio.accept(failure(other, studio.start(other), cause, hint="its own"))
    assert decision.events[1].data["hint"] == "its own"


def test_stopping_a_waiting_job_ends_it(studio: Any) -> None:
    job = studio.job()
    decision = studio.accept(ask.StopFineTuningJob(id=job))
    assert studio.types(decision) == ["StopRequested", "JobStopped"]
    assert studio.state(job) == "stopped"


def test_stopping_a_running_job_waits_for_its_worker(studio: Any) -> None:
    job = studio.job(adapter_name="mine")
    attempt = studio.start(job)
    assert studio.types(studio.accept(ask.StopFineTuningJob(id="mine"))) == ["StopRequested"]
    assert studio.state(job) == "stopping"
    studio.accept(ask.ReportAttemptRunning(job_id=job, attempt=attempt, total_steps=10))
    assert studio.state(job) == "stopping"
    studio.accept(checkpoint(job, attempt, 5))
    decision = studio.accept(ask.CompleteAttempt(job_id=job, attempt=attempt, outcome="stopped", step=5))
    assert studio.types(decision) == ["JobStopped"]
    assert decision.events[0].data == {"cause": "requested", "attempt": attempt, "step": 5}


def test_a_second_stop_changes_nothing_unless_it_is_sterner(studio: Any) -> None:
    job = studio.job()
    studio.start(job)
    studio.accept(ask.StopFineTuningJob(id=job))
    assert studio.types(studio.accept(ask.StopFineTuningJob(id=job))) == []
    assert studio.types(studio.accept(ask.StopFineTuningJob(id=job, force=True))) == ["StopRequested"]
    assert studio.types(studio.accept(ask.StopFineTuningJob(id=job))) == []
    assert studio.known.jobs[job].stop == "force"


def test_an_ended_job_cannot_be_stopped(studio: Any) -> None:
    job = studio.job()
    studio.finish(job, studio.start(job))
    problem = studio.refuse(ask.StopFineTuningJob(id=job))
    assert problem.code == "wrong_state"
    assert "succeeded" in problem.message


def test_an_unknown_job_cannot_be_stopped(studio: Any) -> None:
    for command in (ask.StopFineTuningJob(id="nope"), ask.StopEvaluationJob(id="nope")):
        problem = studio.refuse(command)
        assert (problem.code, problem.param) == ("not_found", "id")


@pytest.mark.parametrize(
    "ending",
    [
        lambda job, attempt: ExpireLease(KIND, job, attempt),
        lambda job, attempt: failure(job, attempt, "crashed"),
        lambda job, attempt: failure(job, attempt, "killed_by_signal", signal=9),
    ],
)
def test_a_job_asked_to_stop_is_stopped_however_its_attempt_ends(studio: Any, ending: Any) -> None:
    job = studio.job()
    attempt = studio.start(job)
    studio.accept(ask.StopFineTuningJob(id=job, force=True))
    studio.accept(ending(job, attempt))
    assert studio.state(job) == "stopped"


def test_a_job_that_finishes_before_it_hears_of_the_stop_has_succeeded(studio: Any) -> None:
    job = studio.job()
    attempt = studio.start(job)
    studio.accept(ask.StopFineTuningJob(id=job))
    studio.finish(job, attempt)
    assert studio.state(job) == "succeeded"


def test_a_child_stopped_by_somebody_else_goes_on_later(studio: Any) -> None:
    job = studio.job()
    decision = studio.accept(ask.CompleteAttempt(job_id=job, attempt=studio.start(job), outcome="stopped"))
    assert studio.types(decision) == ["AttemptFailed", "JobQueued"]
    assert studio.known.jobs[job].crashes == 0


def test_an_expired_lease_of_an_attempt_that_ended_is_no_loss(studio: Any) -> None:
    job = studio.job()
    studio.finish(job, studio.start(job))
    decision = studio.accept(ExpireLease(KIND, job, 1))
    assert decision.events == ()
    assert len(decision.changes) == 1  # the lease itself goes


def test_a_checkpoint_outside_the_attempts_folder_is_refused(studio: Any) -> None:
    job = studio.job()
    studio.start(job)
    studio.accept(ExpireLease(KIND, job, 1))
    attempt = studio.start(job)
    old = checkpoint(job, 1, 5)
    problem = studio.refuse(old.model_copy(update={"attempt": attempt}))
    assert (problem.code, problem.param) == ("invalid", "uri")


def test_the_same_checkpoint_again_changes_nothing(studio: Any) -> None:
    job = studio.job()
    attempt = studio.start(job)
    studio.accept(checkpoint(job, attempt, 5))
    assert studio.accept(checkpoint(job, attempt, 5)).events == ()


def test_leases_end_with_what_takes_a_job_from_its_worker(studio: Any) -> None:
    job = studio.job()
    assert not jobs.leaves_worker(studio.accept(ask.StopFineTuningJob(id=studio.job())).events[:1])
    attempt = studio.start(job)
    assert jobs.leaves_worker(studio.finish(job, attempt).events)
