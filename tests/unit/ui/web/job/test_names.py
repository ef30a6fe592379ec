"""What people call jobs, and those who send."""

from __future__ import annotations

from tunebus.ui.web.job.names import sender


def test_a_worker_has_one_name_whichever_way_the_record_spells_it() -> None:
    assert sender("worker trainer-vm-1-a") == sender("trainer-vm-1-a") == "trainer-vm-1-a"
    assert sender(None) is None
