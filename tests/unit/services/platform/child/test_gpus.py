"""What the driver tells becomes readings; what it does not tell is left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tunebus.services.platform.child.gpus import Gpus


class Driver:
    """Two devices as NVIDIA's module shows them; the second does not tell its power."""

    class NVMLError(Exception):
        pass

    NVML_TEMPERATURE_GPU = 0
    UUIDS = ("GPU-a", "GPU-b")

    def __init__(self, present: bool = True) -> None:
        self.present = present

    def nvmlInit(self) -> None:
        if not self.present:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.UUIDS)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> str:
        return self.UUIDS[number]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.UUIDS:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(gpu=80 if handle == "GPU-a" else 5, memory=1)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(used=2**30, total=2**34)

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        if handle == "GPU-b":
            raise self.NVMLError("not supported")
        return 250_500


FIRST = {"percent": 80.0, "memory_bytes": 2.0**30, "temperature_celsius": 61.0, "power_watts": 250.5}
SECOND = {"percent": 5.0, "memory_bytes": 2.0**30, "temperature_celsius": 61.0}


def named(*devices: dict[str, float]) -> dict[str, float]:
    return {f"gpu{number}_{name}": value for number, one in enumerate(devices) for name, value in one.items()}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, named(FIRST, SECOND)),
        ("GPU-b,GPU-a", named(SECOND, FIRST)),
        ("1", named(SECOND)),
        ("GPU-gone, GPU-a", named(FIRST)),
        ("", {}),
    ],
)
def test_each_gpu_that_was_given_is_read(
    visible: str | None, expected: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Gpus(Driver()).readings() == expected


def test_without_a_driver_or_its_library_there_is_nothing_to_read() -> None:
    assert Gpus(Driver(present=False)).readings() == {}
    assert Gpus(None).readings() == {}
