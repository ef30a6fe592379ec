"""What holds of a studio after every batch, whatever was asked of it. Each check says what it found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

from sqlalchemy import Connection, create_engine, delete
from sqlalchemy.pool import StaticPool
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.errors import Code
from tunebus.contracts.subjects import JOB_KINDS
from tunebus.projections.fold import Fold
from tunebus.projections.ledger_view import read_events
from tunebus.projections.tables import PROJECTIONS, metadata
from tunebus.projections.verify import content_hash, verify
from tunebus.services.platform.decisions import PreparedCommand
from tunebus.services.platform.ledger import Result
from tunebus.services.platform.upcasters import UPCASTERS

from tests.contract.properties.studio import Row, Seen

WITH_WORKER = ("starting", "running", "stopping")
ENDED = ("succeeded", "failed", "stopped")
AGAIN = ("retried", "resumed")
NAMED = ("datasets", "models", "adapters", "prompts")


def check_outcomes(
    results: Iterable[tuple[PreparedCommand, Result]],
    outcomes: dict[str, tuple[str, Outcome]],
    broken: set[str],
    before: Seen,
    now: Seen,
) -> None:
    """Each command id has one outcome, the same again, and what was rejected wrote nothing. Adds to `outcomes`."""
    caused: dict[str, list[Row]] = defaultdict(list)
    for event in now.events[len(before.events) :]:
        caused[event["causation_id"]].append(event)
    for command, result in results:
        command_id, body_hash = command.envelope.id, command.envelope.body_hash
        if not isinstance(result, Outcome):
            assert command_id in broken, f"{command.envelope.type} raised {result!r}"
            assert command_id not in now.inbox, "a command that raised has an outcome"
            assert command_id not in caused, "a command that raised wrote events"
            continue
        if command_id in outcomes:
            first_hash, first = outcomes[command_id]
            if body_hash == first_hash:
                assert result == first, f"another outcome for a retry: {result} after {first}"
            else:
                assert result.error is not None, "an id was taken for two commands"
                assert result.error.code == Code.COMMAND_ID_REUSED
            continue
        outcomes[command_id] = body_hash, result
        events = caused.pop(command_id, [])
        if result.outcome == "rejected":
            assert not events, f"{command.envelope.type} was rejected and wrote {[e['type'] for e in events]}"
        assert result.position == (events[-1]["position"] if events else None)
    assert not caused, f"events of nobody, or of a command handled before: {dict(caused)}"
    kept = {id: (row["body_hash"], Outcome.model_validate(row["outcome"])) for id, row in now.inbox.items()}
    assert kept == outcomes, "the inbox holds other outcomes than were given"


def check_streams(before: Seen, now: Seen) -> None:
    """History only grows: positions increase, versions of each stream have no gap, rows tell their stream's version."""
    assert now.events[: len(before.events)] == before.events, "history was changed"
    positions = [event["position"] for event in now.events]
    assert all(one < other for one, other in pairwise(positions)), positions
    versions: Counter[str] = Counter()
    for event in now.events:
        versions[event["stream_id"]] += 1
        assert event["version"] == versions[event["stream_id"]], f"{event['stream_id']} skips to {event['version']}"
    for aggregate in ("dataset", "model", "adapter", "prompt", "config", *JOB_KINDS):
        for row in now.of(aggregate):
            assert row["version"] == versions[f"{aggregate}/{row['id']}"], f"version of {aggregate} {row['id']}"


def check_names(now: Seen) -> None:
    """A name, trimmed, is one entity's; what a fine-tuning is to make has a name that nothing else takes meanwhile."""
    for table in NAMED:
        names = [row["name"] for row in now.rows[table]]
        assert names == [name.strip() for name in names], f"untrimmed in {table}: {names}"
        assert all(names), f"blank in {table}: {names}"
        assert not _doubles(names), f"twice in {table}: {_doubles(names)}"
    bodies = [(row["type"], row["sha256"]) for row in now.rows["configs"]]
    assert not _doubles(bodies), f"twice in configs: {_doubles(bodies)}"
    makes = [job["adapter_name"] for job in now.of("fine_tuning_job")]
    assert not _doubles(makes), f"two fine-tunings make {_doubles(makes)}"
    going = {job["adapter_name"]: job["id"] for job in now.of("fine_tuning_job") if job["state"] not in ENDED}
    for adapter in now.rows["adapters"]:  # one that was added of a stopped job keeps its name when that goes on
        owner = going.get(adapter["name"], adapter["fine_tuning_job_id"])
        assert owner == adapter["fine_tuning_job_id"], f"{adapter['name']} is the name that a fine-tuning is to give"


def check_references(now: Seen) -> None:
    """What is there, or not ended, refers to what is there; what has ended may also name what was removed.

    A fine-tuning that goes on after its end, or that repeats one, may name configs that were removed: what they said is
    in its recipe.
    """
    live = {table: {row["id"] for row in rows} for table, rows in now.rows.items() if "id" in (rows or [{}])[0]}
    gone = {row["id"] for row in now.rows["removed"]}
    job_ids = set().union(*(live.get(f"{kind}s", set()) for kind in JOB_KINDS))
    twice = gone & set(chain.from_iterable(ids for table, ids in live.items() if table != "removed"))
    assert not twice, f"both there and removed: {twice}"

    def there(table: str, reference: str | None, who: str) -> None:
        if reference is not None:
            assert reference in live.get(table, ()), f"{who} refers to {reference}, which is none of {table}"

    def known(reference: str | None, who: str) -> None:
        if reference is not None:
            everything = chain(gone, *live.values())
            assert reference in set(everything), f"{who} refers to {reference}, which never was"

    for row in now.rows["prompts"]:
        there("datasets", row["dataset_id"], f"prompt {row['name']}")
    for row in now.rows["adapters"]:
        for table, column in (("models", "model_id"), ("prompts", "prompt_id")):
            there(table, row[column], f"adapter {row['name']}")
        there("fine_tuning_jobs", row["fine_tuning_job_id"], f"adapter {row['name']}")
    for row in now.rows["models"]:
        there("fine_tuning_jobs", row["fine_tuning_job_id"], f"model {row['name']}")
        known(row["base_model_id"], f"model {row['name']}")
    again = {row["id"] for row in now.of("fine_tuning_job") if (row["origin"] or {}).get("kind") == "rerun"}
    again |= {event["stream_id"].rpartition("/")[2] for event in now.events if event["data"].get("cause") in AGAIN}
    for job in now.jobs():
        who = f"{job['state']} {job['kind']} {job['id']}"
        uses = {"models": "base_model_id", "datasets": "dataset_id", "prompts": "prompt_id"}
        if job["kind"] != "fine_tuning_job":  # which makes its adapter
            uses["adapters"] = "adapter_id"
        for table, column in uses.items():
            if job["state"] in ENDED:
                known(job[column], who)
            else:
                there(table, job[column], who)
        known(job["adapter_id"], who)
        for name in ("training_arguments", "lora", "user_config", "generation"):
            asked = job["asked"].get(name)
            if isinstance(asked, str) and job["state"] not in ENDED and job["id"] not in again:
                there("configs", asked, who)
        for other in job["depends_on"]:
            known(other, who)
    for table in ("job_attempts", "job_checkpoints"):
        for row in now.rows[table]:
            assert row["job_id"] in job_ids | gone, f"{table} of {row['job_id']}, which never was"
    for row in now.rows["job_dependencies"]:
        assert {row["job_id"], row["dependency_id"]} <= job_ids | gone, f"dependency of what never was: {row}"


def check_queue(now: Seen) -> None:
    """A job with a worker has its attempt's lease, nobody else has one; a queued job waits for what may still come."""
    jobs = {job["id"]: job for job in now.jobs()}
    held = {(row["job_id"], row["attempt"], row["worker_id"]) for row in now.leases}
    working = [job for job in jobs.values() if job["state"] in WITH_WORKER]
    assert held == {(job["id"], job["attempt"], job["worker_id"]) for job in working}, "leases and workers differ"
    gpus = [(job["host"], gpu) for job in working for gpu in job["gpus"]]
    assert not _doubles(gpus), f"two jobs have the GPU {_doubles(gpus)}"
    for job in jobs.values():
        who = f"{job['kind']} {job['id']}"
        assert job["unmet"] == len(job["waiting_for"]), who
        assert set(job["waiting_for"]) <= set(job["depends_on"]), who
        recorded = {row["dependency_id"] for row in now.rows["job_dependencies"] if row["job_id"] == job["id"]}
        assert recorded == set(job["depends_on"]), f"dependencies of {who}"
        if job["state"] == "queued":
            for other in job["waiting_for"]:
                state = jobs[other]["state"] if other in jobs else "removed"
                assert state not in (*ENDED, "removed"), f"{who} is queued behind {other}, which is {state}"
        if maker := job.get("fine_tuning_job_id"):
            assert not job["attempt"], f"{who} was given out before {maker} made what it is about"
            assert job["state"] in ENDED or maker in job["waiting_for"], f"{who} waits no longer for its maker {maker}"
        if job["kind"] != "fine_tuning_job" and job["state"] not in ENDED and job["asked"].get("job_id") and not maker:
            assert job["adapter_id"] or job["model_id"], f"{who} is about nothing"
    _check_no_ring({job["id"]: job["depends_on"] for job in jobs.values()})


def _check_no_ring(depends_on: dict[str, list[str]]) -> None:
    settled: set[str] = set()
    while True:
        ready = {job for job, others in depends_on.items() if set(others) <= settled | (set(others) - set(depends_on))}
        if ready <= settled:
            break
        settled |= ready
    assert settled == set(depends_on), f"jobs wait for one another: {set(depends_on) - settled}"


class Rebuilding:
    """Tables built anew from the first event on, beside those that were kept current."""

    def __init__(self) -> None:
        self._beside = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self._beside, tables=PROJECTIONS)

    def check(self, live: Connection) -> None:
        """Compare by content hash."""
        with self._beside.begin() as rebuilt:
            for table in PROJECTIONS:
                rebuilt.execute(delete(table))
            fold, position = Fold({table: table for table in PROJECTIONS}), 0
            while recorded := read_events(live, UPCASTERS.upcast, position, 500):
                fold.add(rebuilt, recorded)
                fold.write(rebuilt)
                position = recorded[-1].position
            differ = [table.name for table in PROJECTIONS if content_hash(live, table) != content_hash(rebuilt, table)]
        assert not differ, "\n".join(map(str, verify(live, UPCASTERS.upcast).differences))

    def close(self) -> None:
        self._beside.dispose()


def _doubles(values: Sequence[object]) -> list[object]:
    return [value for value, times in Counter(values).items() if times > 1]
