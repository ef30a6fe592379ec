"""The process itself: its name, what it offers, and what it must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tunebus.contracts.rpc import Assignment
from tunebus.services.platform.home import Home
from tunebus.services.platform.worker import capabilities, memory
from tunebus.services.platform.worker.attempt import attempt_folder
from tunebus.services.platform.worker.command_line import service_name


def test_a_worker_is_named_after_its_kind_or_as_told() -> None:
    assert service_name("trainer", []) == "trainer"
    assert service_name("trainer", ["--name", "trainer-2"]) == "trainer-2"


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 65])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(SystemExit) as left:
        service_name("trainer", ["--name", name])
    assert left.value.code == 2


@pytest.mark.parametrize("kind", ["trainer", "evaluator"])
def test_a_messaging_process_loads_neither_torch_nor_sql(kind: str) -> None:
    heavy = "{'torch', 'transformers', 'datasets', 'numpy', 'sqlalchemy', 'faststream', 'gradio'}"
    code = f"import sys, tunebus.services.{kind}.app; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver's tool on a machine of two GPUs, in the driver's own words."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'case "$1" in *utilization*) echo "GPU-aa11, 75, 2048"; echo "GPU-bb22, [N/A], 0";;\n'
        '*) echo "GPU-aa11, NVIDIA A, 23034"; echo "GPU-bb22, NVIDIA B, [N/A]";; esac\n'
    )
    tool.chmod(0o755)
    monkeypatch.setattr(capabilities.shutil, "which", lambda _: str(tool))
    return tool


async def test_hidden_gpus_are_not_offered(nvidia_smi: Path) -> None:
    async def names(visible: str | None = None) -> list[str]:
        found = await capabilities.devices({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
        return [device.name for device in found]

    assert await names() == ["NVIDIA A", "NVIDIA B"]
    assert await names("1") == ["NVIDIA B"]
    assert await names("7") == []
    assert await names("GPU-bb22") == ["NVIDIA B"]
    assert await names("GPU-bb") == ["NVIDIA B"]
    assert await names("") == []
    first, second = await capabilities.devices({})
    assert (first.id, first.memory_gb) == ("GPU-aa11", 22.49)
    assert second.memory_gb is None
    nvidia_smi.write_text("#!/bin/sh\nexit 9\n")
    assert await names() == []


async def test_the_load_of_the_machine_and_of_the_workers_own_gpus_is_told(nvidia_smi: Path) -> None:
    loads = capabilities.Loads(await capabilities.devices({"CUDA_VISIBLE_DEVICES": "0"}))
    load = await loads.now()
    assert 0 < load.memory_percent < 100
    (gpu,) = load.gpus
    assert (gpu.id, gpu.percent, gpu.memory_gb) == ("GPU-aa11", 75.0, 2.0)
    nvidia_smi.write_text("#!/bin/sh\nexit 9\n")
    assert await loads.now() is load, "not asked again at once"


def test_an_artifact_root_that_is_not_there_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mount")
    assert capabilities.artifact_root(home) is None
    (tmp_path / "mount").mkdir()
    assert capabilities.artifact_root(home) == home.artifact_root_id()


def test_memory_is_that_of_a_machine() -> None:
    assert 0.1 < memory.machine_gb() < 100_000
    assert memory.oom_kills() >= 0


def test_a_process_that_is_gone_uses_no_memory() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert memory.used_bytes(ended.pid) == 0


def test_attempts_live_below_the_artifact_root_as_it_is_spelled(tmp_path: Path) -> None:
    Home(tmp_path / "home").create()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    home = Home(tmp_path / "link")
    assignment = Assignment(
        job_id="j", kind="fine_tuning_job", attempt=3, lease_seconds=1, out_dir="artifact:jobs/j", recipe={}
    )
    assert attempt_folder(home, assignment).path == tmp_path / "link" / "artifacts" / "jobs" / "j" / "attempt-3"
