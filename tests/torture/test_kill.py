"""Kill anything: at the end every confirmed command is in the ledger once, and the job succeeded with its whole curve.

The short form kills each victim once (make test); the full one ten or more times in a seeded order (make torture).
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.fixtures.studio import Studio, eventually
from tests.torture.killing import CHECKPOINT, CORRUPTED, VICTIMS, Confirmations, Killing

STEPS_BETWEEN_KILLS = 12
CHECKPOINT_STEPS = 20


@pytest.mark.timeout(900)
def test_each_part_can_be_killed_once(make_studio: Callable[..., Studio], studio_database: dict[str, str]) -> None:
    order = list(VICTIMS)
    random.Random(1).shuffle(order)
    print(run(make_studio(**studio_database, TUNEBUS_LEASE_SECONDS="3", TUNEBUS_MAX_CRASH_RETRIES="50"), order, seed=1))


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_kills_in_a_seeded_order(
    make_studio: Callable[..., Studio], studio_database: dict[str, str], seed: int
) -> None:
    generator = random.Random(seed)
    order = [*VICTIMS, *generator.choices([name for name in VICTIMS if name not in (CORRUPTED, CHECKPOINT)], k=8)]
    generator.shuffle(order)
    environment = {"TUNEBUS_LEASE_SECONDS": "3", "TUNEBUS_MAX_CRASH_RETRIES": "50"}
    print(run(make_studio(**studio_database, **environment), order, seed=seed))


def run(studio: Studio, order: list[str], seed: int) -> dict[str, object]:
    """One job on the starter pack, long enough that every kill finds it training."""
    total_steps = 55 * len(order) + 3 * CHECKPOINT_STEPS  # it trains on while a part that was killed comes back
    with studio.client() as client:
        eventually(lambda: client.query("ListModels", {})["items"], "the starter model", 60)
        eventually(lambda: client.query("ListDatasets", {})["items"], "the starter questions", 60)
        outcome = client.send(
            "StartFineTuningJob",
            {
                "base_model_id": "starter",
                "dataset_id": "starter-questions",
                "adapter_name": "killed",
                "max_steps": total_steps,
                "batch_size": 12,
                "max_length": 96,
                "save_steps": CHECKPOINT_STEPS,
                "eval_steps": total_steps,
                "train_test_split": 0.99,
            },
        )
        assert outcome.outcome == "accepted", outcome
        assert outcome.id
        killing = Killing(studio, outcome.id, seed, CHECKPOINT_STEPS)
        confirmations = Confirmations(studio.client())
        confirmations.start()
        eventually(lambda: killing.progress()[1] > CHECKPOINT_STEPS, "the first checkpoint", 120)
        for victim in order:
            killing.kill(victim)
            killing.wait_for_steps(STEPS_BETWEEN_KILLS)
        late = client.send("CompleteAttempt", {"job_id": outcome.id, "attempt": 1, "outcome": "finished", "step": 1})
        assert late.error is not None
        assert late.error.code == "stale_attempt"
        eventually(
            lambda: client.query("GetFineTuningJob", {"id": outcome.id})["state"] in ("succeeded", "failed"),
            "the job's end",
            300,
        )
        confirmations.stop()
        confirmations.client.close()
        return killing.verify(confirmations, client, total_steps)
