"""Names on the bus come from the namespace, and only a namespace that can name a stream is taken."""

from __future__ import annotations

import pytest
from tunebus.contracts.errors import TunebusError
from tunebus.contracts.subjects import Subjects


def test_the_default_studio() -> None:
    names = Subjects()
    assert names.commands_stream == "TUNEBUS_COMMANDS"
    assert names.command("dataset", "AddDataset") == "tunebus.cmd.dataset.AddDataset"
    assert names.event("dataset", "1", "DatasetAdded") == "tunebus.evt.dataset.1.DatasetAdded"
    assert names.queued("fine_tuning_job") == "tunebus.evt.fine_tuning_job.*.JobQueued"
    assert names.telemetry("1", 2) == "tunebus.tel.1.2"
    assert names.query("GetDataset") == "tunebus.query.GetDataset"


@pytest.mark.parametrize("namespace", ["", "Studio", "a.b", "a b", "*", ">", "1a", "x" * 32, "a\n"])
def test_a_namespace_that_names_no_stream_is_refused(namespace: str) -> None:
    with pytest.raises(TunebusError) as refused:
        Subjects(namespace)
    assert refused.value.problem.param == "TUNEBUS_NAMESPACE"


def test_two_namespaces_share_no_name() -> None:
    one, two = Subjects("a"), Subjects("a_b")
    for name in ("commands_stream", "events_stream", "telemetry_stream", "advisories_stream", "files_bucket"):
        assert getattr(one, name) != getattr(two, name)
    assert not two.all_commands.startswith(f"{one.namespace}.")
