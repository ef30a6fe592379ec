"""The bus goes away while a job trains: nothing exits or spins, and no point of the curve is missing after."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest
from tunebus.services.platform.server import NatsServer

from tests.fixtures.studio import Studio, eventually
from tests.torture.killing import Killing

STEPS = 120


@pytest.mark.timeout(400)
def test_a_short_outage_costs_nothing(make_studio: Callable[..., Studio], private_nats_server: NatsServer) -> None:
    outage(make_studio(TUNEBUS_NATS_URL=private_nats_server.url), private_nats_server, seconds=15)


@pytest.mark.torture
@pytest.mark.timeout(1500)
def test_an_outage_longer_than_any_reconnect_limit(
    make_studio: Callable[..., Studio], private_nats_server: NatsServer
) -> None:
    outage(make_studio(TUNEBUS_NATS_URL=private_nats_server.url), private_nats_server, seconds=300)


def outage(studio: Studio, server: NatsServer, seconds: float) -> None:
    """Stop the server for `seconds` in the middle of a job, watching the studio's processes."""
    with studio.client() as client:
        eventually(lambda: client.query("ListDatasets", {})["items"], "the starter questions", 60)
        started = client.send(
            "StartFineTuningJob",
            {
                "base_model_id": "starter",
                "dataset_id": "starter-questions",
                "max_steps": STEPS,
                "batch_size": 2,
                "max_length": 96,
                "save_steps": 40,
                "train_test_split": 0.99,
            },
        )
        assert started.id, started
        job = Killing(studio, started.id, seed=0, checkpoint_steps=40)
        eventually(lambda: job.progress()[1] > 5, "training", 120)
        services = {name: studio.pid(name) for name in studio.status()["services"] if name != "nats"}
        before = {pid: cpu_seconds(pid) for pid in services.values()}
        step = job.progress()[1]
        server.kill()
        watch_for(seconds, services)
        spent = {name: cpu_seconds(pid) - before[pid] for name, pid in services.items()}
        assert all(used < 0.25 * seconds + 1.0 for used in spent.values()), spent
        assert job.progress()[1] > step, "training stood still"
        server.start()
        eventually(
            lambda: client.query("GetFineTuningJob", {"id": started.id})["state"] in ("succeeded", "failed"),
            "the job's end",
            240,
        )
        assert client.query("GetFineTuningJob", {"id": started.id})["state"] == "succeeded"
        job.curve_is_whole(client, STEPS)
        assert {name: studio.pid(name) for name in services} == services, "a service was restarted"


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def watch_for(seconds: float, services: dict[str, int]) -> None:
    """Let the time pass, failing as soon as one of the processes is gone: the absence itself is what is tested."""
    processes = [psutil.Process(pid) for pid in services.values()]
    gone, _ = psutil.wait_procs(processes, timeout=seconds)
    assert gone == []
