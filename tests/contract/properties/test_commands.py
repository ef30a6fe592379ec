"""Whatever is asked of a studio, in whatever order and in batches of whatever size, its record stays whole.

Hypothesis plays every command against the real ledger and domain on both databases, and shortens what fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Engine
from tunebus.contracts.commands import COMMANDS
from tunebus.contracts.rpc import JobKind
from tunebus.contracts.subjects import (
    ADAPTER,
    CONFIG,
    DATASET,
    EVALUATION_JOB,
    EXPORT_JOB,
    FINE_TUNING_JOB,
    MODEL,
    PROMPT,
)
from tunebus.projections.rebuild import Record, ensure
from tunebus.services.platform import database
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.upcasters import UPCASTERS

from tests.contract.properties.invariants import (
    Rebuilding,
    check_names,
    check_outcomes,
    check_queue,
    check_references,
    check_streams,
)
from tests.contract.properties.studio import COMMIT, WORKERS, Row, Studio, digest

NOT_PLAYED = {"ExportDatabase", "ImportDatabase"}  # a document is their work: see tests/conformance/test_database.py
INTERNAL = {"ClaimJob", "ExpireLease"}

SHORT = settings(
    max_examples=45,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=300, stateful_step_count=40, derandomize=False, print_blob=True)

NAMES = ("a", "b", "c", " a ", "d\n")
WORDS = {FINE_TUNING_JOB: "FineTuningJob", EVALUATION_JOB: "EvaluationJob", EXPORT_JOB: "ExportJob"}
ENTITIES = (DATASET, MODEL, ADAPTER, PROMPT)

names = st.sampled_from(NAMES)
chosen = st.integers(0, 59)
"""Which of what there is, or a name that may be anybody's or nobody's: see `Commands.some`."""
maybe = st.none() | chosen
expected = st.sampled_from([None, None, None, None, None, 1, 2, 7])
flag = st.booleans()
rarely = st.sampled_from([False, False, False, True])


Step = Callable[..., None]
Drawn = tuple[str, dict[str, Any]]
_STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {}


def step(**given: st.SearchStrategy[Any]) -> Callable[[Step], Step]:
    """A method that adds a command or some to the batch, with what it is to be given."""

    def remembered(method: Step) -> Step:
        _STEPS[method.__name__] = st.fixed_dictionaries(given)
        return method

    return remembered


def _any_step() -> st.SearchStrategy[Drawn]:
    return st.one_of([st.tuples(st.just(name), given) for name, given in _STEPS.items()])


class Commands(RuleBasedStateMachine):
    """Adds commands to a batch; every batch is executed, and then everything is checked.

    Its one rule is a whole batch: rules of their own would be left out by turns, and few sequences would get far.
    """

    engine: Engine
    rebuilding: Rebuilding

    def __init__(self) -> None:
        super().__init__()
        self.studio = Studio(self.engine)

    # What there is --------------------------------------------------------------------------------------------------

    def some(self, which: int, rows: Sequence[Row]) -> str:
        """An id or a name of one of these rows, or a name out of few."""
        if which < 8 or not rows:
            return NAMES[which % len(NAMES)]
        row = rows[which // 2 % len(rows)]
        name = row.get("name") or row.get("adapter_name")
        return str(row["id"] if which % 2 or not name else name)

    def any(self, aggregate: str, which: int | None) -> str | None:
        return None if which is None else self.some(which, self.studio.seen.of(aggregate))

    def job(self, which: int, *states: str, kind: str | None = None) -> str:
        """Of a job in one of these states where there is one; of any other now and then."""
        jobs = [job for job in self.studio.seen.jobs() if kind in (None, job["kind"])]
        fitting = [job for job in jobs if job["state"] in states]
        return self.some(which, fitting if fitting and which % 7 else jobs)

    def training(self, which: int | None) -> Row | None:
        """A training that an evaluation or an export is to be about, if any; of any state now and then."""
        found = None if which is None else self.job(which, "queued", "running", "starting", kind=FINE_TUNING_JOB)
        return next((job for job in self.studio.seen.of(FINE_TUNING_JOB) if job["id"] == found), None)

    def kind_of(self, reference: str) -> str:
        return next((job["kind"] for job in self.studio.seen.jobs() if job["id"] == reference), FINE_TUNING_JOB)

    def send(self, command: str, expected: int | None = None, context: str | None = None, **data: Any) -> None:
        self.studio.send(command, data, expected=expected, context=context)

    # Things ---------------------------------------------------------------------------------------------------------

    @initialize(
        ends_of_jobs=st.lists(st.sampled_from(["finish", "fail", "stopped", "run"]), min_size=1, max_size=3),
        stopped=flag,
    )
    def begin(self, ends_of_jobs: list[str], stopped: bool) -> None:
        """Something to work with, and trainings at whatever point."""
        self.send("AddDataset", name="a", path="a.csv")
        self.send("AddModel", name="a", path="/models/a")
        self.send("AddPrompt", name="a", dataset_id="a", **_templates("question"))
        for _ in ends_of_jobs:
            self.send("StartFineTuningJob", base_model_id="a", dataset_id="a")
        self.send("StartEvaluationJob", combinations=[{"base_model_id": "a", "dataset_id": "a"}])
        self.send("StartExportJob", type="merged", model_id="a")
        self.commit()
        for job in self.studio.seen.of(FINE_TUNING_JOB):
            self.send(
                "StartEvaluationJob", combinations=[{"base_model_id": "a", "dataset_id": "a", "job_id": job["id"]}]
            )
        self.commit()
        for _ in ends_of_jobs:
            self.claim("w1", True)
        for job in self.studio.seen.of(EVALUATION_JOB) if stopped else ():
            self.send("StopEvaluationJob", id=job["id"])
        self.commit()
        for number, end in enumerate(ends_of_jobs):
            self.work(number, ["run", "save", end], 0, "out_of_memory")
        self.commit()

    @step(name=names, format=st.sampled_from([None, None, "messages"]), hub=st.sampled_from([None, None, "team/rows"]))
    def add_dataset(self, name: str, format: str | None, hub: str | None) -> None:
        path = None if hub else f"{name.strip()}.csv"
        self.send("AddDataset", name=name, path=path, huggingface_name=hub, format=format)

    @step(name=names, hub=st.sampled_from([None, None, "team/model"]))
    def add_model(self, name: str, hub: str | None) -> None:
        self.send("AddModel", name=name, path=None if hub else "/models/x", huggingface_name=hub)

    @step(name=names, model=maybe, dataset=maybe, run=st.sampled_from("xy"))
    def import_run(self, name: str, model: int | None, dataset: int | None, run: str) -> None:
        found = {"base_model_id": self.any(MODEL, model), "dataset_id": self.any(DATASET, dataset)}
        self.send("ImportRun", name=f"{name.strip()}-run", path=f"/runs/{run}", **found)

    @step(name=names, model=chosen, job=maybe, prompt=maybe)
    def add_adapter(self, name: str, model: int, job: int | None, prompt: int | None) -> None:
        made_by = None if job is None else self.job(job, "stopped", "failed", "succeeded", kind=FINE_TUNING_JOB)
        found: Row = {"model_id": self.any(MODEL, model), "prompt_id": self.any(PROMPT, prompt)}
        if made_by is not None and job is not None and job % 3 == 0:  # under the very name that the job would give it
            name = next(
                (row["adapter_name"] for row in self.studio.seen.of(FINE_TUNING_JOB) if row["id"] == made_by), name
            )
        self.send("AddAdapter", name=name, path="/adapters/x", fine_tuning_job_id=made_by, **found)

    @step(name=names, dataset=chosen, column=st.sampled_from(["question", "question", "colour"]))
    def add_prompt(self, name: str, dataset: int, column: str) -> None:
        self.send("AddPrompt", name=name, dataset_id=self.any(DATASET, dataset), **_templates(column))

    @step(type=st.sampled_from(["lora", "lora", "training_arguments", "custom"]), r=st.sampled_from([4, 8, 0]))
    def add_config(self, type: str, r: int) -> None:
        body = {"num_train_epochs": r} if type == "training_arguments" else {"r": r}
        self.send("AddConfig", type=type, config=body)

    @step(which=chosen, text=st.sampled_from(["", "for small ones"]))
    def describe_config(self, which: int, text: str) -> None:
        self.send("DescribeConfig", id=self.any(CONFIG, which), description=text)

    @step(revision=st.sampled_from([COMMIT, "main"]))
    def approve_code(self, revision: str) -> None:
        self.send("ApproveRemoteCode", huggingface_name="team/model", revision=revision)

    @step(aggregate=st.sampled_from(ENTITIES), which=chosen, name=names, expected=expected)
    def rename(self, aggregate: str, which: int, name: str, expected: int | None) -> None:
        self.send(f"Rename{aggregate.title()}", expected, id=self.any(aggregate, which), name=name)

    @step(aggregate=st.sampled_from((*ENTITIES, CONFIG)), which=chosen, cascade=flag, expected=expected)
    def remove(self, aggregate: str, which: int, cascade: bool, expected: int | None) -> None:
        self.send(f"Remove{aggregate.title()}", expected, id=self.any(aggregate, which), cascade=cascade)

    @step(aggregate=st.sampled_from(ENTITIES), which=chosen, name=names, cascade=flag)
    def rename_and_remove(self, aggregate: str, which: int, name: str, cascade: bool) -> None:
        """In one batch, under its new name."""
        self.rename(aggregate, which, name, None)
        self.send(f"Remove{aggregate.title()}", id=name, cascade=cascade)

    # Jobs -----------------------------------------------------------------------------------------------------------

    @step(
        model=chosen,
        dataset=chosen,
        prompt=maybe,
        name=st.none() | names,
        method=st.sampled_from(["lora", "lora", "full", "magic"]),
        lora=maybe,
        others=st.lists(chosen, max_size=2),
        hold=rarely,
        gpus=st.sampled_from([0, 0, 1]),
        unregistered=rarely,
    )
    def start_fine_tuning(
        self,
        model: int,
        dataset: int,
        prompt: int | None,
        name: str | None,
        method: str,
        lora: int | None,
        others: list[int],
        hold: bool,
        gpus: int,
        unregistered: bool,
    ) -> None:
        self.send(
            "StartFineTuningJob",
            base_model_id=self.any(MODEL, model),
            dataset_id=self.any(DATASET, dataset),
            prompt_id=self.any(PROMPT, prompt),
            adapter_name=name,
            method=method,
            lora=self.any(CONFIG, lora) if lora is not None and method == "lora" and lora % 3 == 0 else None,
            depends_on=[self.job(other, "queued", "running", "succeeded") for other in others],
            hold=hold,
            num_gpu=gpus,
            register_adapter=not unregistered,
        )

    @step(
        combinations=st.lists(st.tuples(chosen, maybe, chosen, maybe, maybe), min_size=1, max_size=2),
        others=st.lists(chosen, max_size=1),
    )
    def start_evaluation(
        self, combinations: list[tuple[int, int | None, int, int | None, int | None]], others: list[int]
    ) -> None:
        asked = []
        for model, adapter, dataset, prompt, training in combinations:
            maker = self.training(training)
            given = {
                "base_model_id": maker["base_model_id"] if maker else self.any(MODEL, model),
                "adapter_id": None if maker else self.any(ADAPTER, adapter),
                "job_id": maker and maker["id"],
                "dataset_id": self.any(DATASET, dataset),
                "prompt_id": self.any(PROMPT, prompt),
            }
            asked.append({name: value for name, value in given.items() if value is not None})
        depends_on = [self.job(other, "queued", "running") for other in others]
        self.send("StartEvaluationJob", combinations=asked, depends_on=depends_on)

    @step(
        adapter=maybe,
        model=chosen,
        type=st.sampled_from(["merged", "adapter", "registry"]),
        others=st.lists(chosen, max_size=1),
        training=maybe,
    )
    def start_export(self, adapter: int | None, model: int, type: str, others: list[int], training: int | None) -> None:
        what: Row = (
            {"model_id": self.any(MODEL, model)} if adapter is None else {"adapter_id": self.any(ADAPTER, adapter)}
        )
        if maker := self.training(training):
            what = {"job_id": maker["id"]}
        depends_on = [self.job(other, "queued", "running") for other in others]
        self.send("StartExportJob", type=type, depends_on=depends_on, **what)

    @step(which=chosen, force=flag, expected=expected)
    def stop(self, which: int, force: bool, expected: int | None) -> None:
        job = self.job(which, "queued", "held", "running", "starting")
        kind = self.kind_of(job)
        given: Row = {} if kind == EVALUATION_JOB else {"force": force}
        self.send(f"Stop{WORDS[kind]}", expected, id=job, **given)

    @step(which=chosen, delete_files=flag)
    def remove_job(self, which: int, delete_files: bool) -> None:
        job = self.job(which, "stopped", "failed", "succeeded")
        kind = self.kind_of(job)
        gone = [row for row in self.studio.seen.rows["removed"] if row["aggregate"] in WORDS]
        if gone and which % 5 == 0:
            job, kind = gone[which % len(gone)]["id"], gone[which % len(gone)]["aggregate"]
        self.send(f"Remove{WORDS[kind]}", id=job, delete_files=delete_files)

    @step(type=st.sampled_from(["RetryFineTuningJob", "ResumeFineTuningJob"]), which=chosen, more=flag)
    def go_on(self, type: str, which: int, more: bool) -> None:
        given = {"suggested": more} if type.startswith("Retry") else {"step": 10 if more else None}
        job = self.job(which, "stopped", "failed", kind=FINE_TUNING_JOB)
        self.send(type, id=job, **given)

    @step(
        type=st.sampled_from(["Clone", "Branch", "Branch"]),
        which=chosen,
        name=st.none() | st.none() | names,
        changes=st.sampled_from([{}, {"learning_rate": 0.001}, {"dataset_id": "b"}, {"num_epochs": -1}]),
    )
    def derive(self, type: str, which: int, name: str | None, changes: Row) -> None:
        states = ("stopped", "failed", "succeeded", "running") if type == "Branch" else ("stopped", "queued")
        job = self.job(which, *states, kind=FINE_TUNING_JOB)
        self.send(f"{type}FineTuningJob", id=job, adapter_name=name, changes=changes)

    @step(type=st.sampled_from(["Extend", "Rerun"]), which=chosen, name=st.none() | names)
    def follow(self, type: str, which: int, name: str | None) -> None:
        job = self.job(which, "succeeded", kind=FINE_TUNING_JOB)
        more: Row = {"num_epochs": 1} if type == "Extend" else {}
        self.send(f"{type}FineTuningJob", id=job, adapter_name=name, **more)

    # The queue ------------------------------------------------------------------------------------------------------

    @step(
        command=st.sampled_from(["PrioritizeJob", "HoldJob", "ReleaseJob", "MoveJob", "LabelJob", "NoteJob"]),
        to=st.sampled_from(["top", "up", "down", "bottom"]),
        which=chosen,
        expected=expected,
    )
    def arrange(self, command: str, to: str, which: int, expected: int | None) -> None:
        given: dict[str, Row] = {
            "PrioritizeJob": {"priority": len(to) % 2},
            "HoldJob": {"reason": "later"},
            "ReleaseJob": {},
            "MoveJob": {"to": to},
            "LabelJob": {"labels": ["x", "X", to]},
            "NoteJob": {"notes": to},
        }
        job = self.job(which, *(("held",) if command == "ReleaseJob" else ("queued", "held")))
        self.send(command, expected, context=self.kind_of(job), job_id=job, **given[command])

    @step(which=chosen, others=st.lists(chosen, max_size=3))
    def depend(self, which: int, others: list[int]) -> None:
        depends_on = [self.job(other, "queued", "held", "running") for other in others]
        job = self.job(which, "queued", "held")
        self.send("SetJobDependencies", context=FINE_TUNING_JOB, job_id=job, depends_on=depends_on)

    # Workers --------------------------------------------------------------------------------------------------------

    @step(worker=st.sampled_from(list(WORKERS)), trainer=flag)
    def claim(self, worker: str, trainer: bool) -> None:
        kinds: list[JobKind] = ["fine_tuning_job"] if trainer else ["evaluation_job", "export_job"]
        self.studio.claim(worker, kinds)

    @step(which=chosen)
    def expire(self, which: int) -> None:
        leases = self.studio.seen.leases
        if leases:
            self.studio.expire(leases[which % len(leases)])

    @step(
        which=chosen,
        reports=st.lists(st.sampled_from(["run", "save", "save", "finish", "finish", "fail", "stopped"]), max_size=4),
        stale=st.sampled_from([0, 0, 0, 0, 1]),
        cause=st.sampled_from(["crashed", "worker_shutdown", "out_of_memory"]),
    )
    def work(self, which: int, reports: list[str], stale: int, cause: str) -> None:
        """One after the other, whether or not the one before was the last that its attempt had to say."""
        leases = self.studio.seen.leases
        if not leases:
            return
        job = next(job for job in self.studio.seen.jobs() if job["id"] == leases[which % len(leases)]["job_id"])
        attempt = job["attempt"] - stale or job["attempt"] + 1
        folder = f"{job['out_dir']}/attempt-{attempt}"
        for report in reports:
            type, given = _report(report, job, folder, cause)
            self.send(type, context=job["kind"], job_id=job["id"], attempt=attempt, **given)

    # What should not come -------------------------------------------------------------------------------------------

    @step(which=st.integers(0, 10_000), another=rarely)
    def repeat(self, which: int, another: bool) -> None:
        """Send again what was sent before; or something else under its id."""
        known = [*self.studio.sent, *self.studio.pending]  # never empty: something was begun
        command = known[-1 - which % len(known)]
        self.studio.add(_of_another_body(command) if another else command)

    @step(
        type=st.sampled_from(["AddDataset", "AddModel", "RemoveTheMoon"]),
        data=st.sampled_from([{}, {"name": " "}, {"name": "a", "colour": "red"}]),
    )
    def nonsense(self, type: str, data: Row) -> None:
        self.send(type, context="dataset", **data)

    @step()
    def break_down(self) -> None:
        self.studio.break_down()

    # Checking -------------------------------------------------------------------------------------------------------

    @rule(steps=st.lists(st.deferred(_any_step), min_size=1, max_size=10))
    def batch(self, steps: list[Drawn]) -> None:
        for name, given in steps:
            getattr(self, name)(**given)
        self.commit()

    def commit(self) -> None:
        """Execute the batch, and look whether everything is as it must be."""
        studio = self.studio
        before = studio.seen
        results = studio.commit()
        check_outcomes(results, studio.outcomes, studio.broken, before, studio.seen)
        check_streams(before, studio.seen)
        check_names(studio.seen)
        check_references(studio.seen)
        check_queue(studio.seen)
        with database.read(studio.engine) as connection:
            self.rebuilding.check(connection)


def _templates(column: str) -> Row:
    return {"prompt_template": "{input}", "input_template": f"{{{column}}}", "completion_template": "{answer}"}


def _report(report: str, job: Row, folder: str, cause: str) -> tuple[str, Row]:
    step = job["step"] + 10
    match report:
        case "run":
            return "ReportAttemptRunning", {"total_steps": 100}
        case "save":
            made = {"uri": f"{folder}/checkpoint-{step}", "manifest_sha256": digest(folder)}
            return "RecordCheckpoint", {"step": step, **made}
        case "fail":
            suggestion = {"batch_size": 4} if cause == "out_of_memory" else None
            return "FailAttempt", {"cause": cause, "message": "it broke", "suggestion": suggestion}
        case "stopped":
            return "CompleteAttempt", {"outcome": "stopped", "step": step}
    result: Row = {"result_uri": f"{folder}/result", "result_sha256": digest(folder)}
    if job["kind"] == FINE_TUNING_JOB:
        result["result_type"] = "model" if job["method"] == "full" else "adapter"
    elif job["kind"] == EXPORT_JOB:
        result = {"checked": {"prompts": 20, "equal": 20}, "registered_model": "models:/m/1"}
    return "CompleteAttempt", {"outcome": "finished", "step": step, **result}


def _of_another_body(command: PreparedCommand) -> PreparedCommand:
    return replace(command, envelope=replace(command.envelope, data={**command.envelope.data, "colour": "red"}))


@pytest.fixture
def play(engine: Engine) -> Callable[[settings], dict[str, int]]:
    """Run the machine; returns how often each type of command was accepted."""
    assert ensure(Record(engine, database.read, database.lock_ledger, UPCASTERS.upcast)) is None

    def run(how: settings) -> dict[str, int]:
        accepted: dict[str, int] = dict.fromkeys([*COMMANDS, *INTERNAL], 0)
        rebuilding = Rebuilding()

        class Played(Commands):
            def teardown(self) -> None:
                super().teardown()
                for type, times in self.studio.accepted.items():
                    accepted[type] += times

        Played.engine, Played.rebuilding = engine, rebuilding
        try:
            run_state_machine_as_test(Played, settings=how)
        finally:
            rebuilding.close()
        return accepted

    return run


def test_whatever_is_asked_for_the_record_stays_whole(play: Callable[[settings], dict[str, int]]) -> None:
    accepted = play(SHORT)
    never = {type for type, times in accepted.items() if not times}
    assert never == NOT_PLAYED, "commands that no sequence brought to an acceptance prove nothing"


@pytest.mark.torture
def test_whatever_is_asked_for_at_length_the_record_stays_whole(play: Callable[[settings], dict[str, int]]) -> None:
    play(LONG)
