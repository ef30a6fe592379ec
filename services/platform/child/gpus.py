"""What the driver tells of the GPUs that this process was given; nothing without NVIDIA's driver or its library.

Numbered as the process sees them. A figure that a device does not tell, such as a MIG part's use, is left out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any


class Gpus:
    """`readings()` as often as wanted. `nvml` is the module of NVIDIA's package `nvidia-ml-py`, or None."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._handles: list[Any] = []
        if nvml is None:
            return
        try:
            nvml.nvmlInit()
            self._handles = list(_visible(nvml))
        except nvml.NVMLError:
            self._nvml = None

    def readings(self) -> dict[str, float]:
        """Of each GPU `gpu0_percent`, `gpu0_memory_bytes`, `gpu0_temperature_celsius` and `gpu0_power_watts`."""
        nvml, values = self._nvml, dict[str, float]()
        figures: dict[str, Callable[[Any], Any]] = {
            "percent": lambda of: nvml.nvmlDeviceGetUtilizationRates(of).gpu,
            "memory_bytes": lambda of: nvml.nvmlDeviceGetMemoryInfo(of).used,
            "temperature_celsius": lambda of: nvml.nvmlDeviceGetTemperature(of, nvml.NVML_TEMPERATURE_GPU),
            "power_watts": lambda of: nvml.nvmlDeviceGetPowerUsage(of) / 1000,
        }
        for number, handle in enumerate(self._handles):
            for name, figure in figures.items():
                with contextlib.suppress(nvml.NVMLError):
                    values[f"gpu{number}_{name}"] = float(figure(handle))
        return values


def installed() -> Any:
    """NVIDIA's module for its driver; None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _visible(nvml: Any) -> Iterator[Any]:
    """The devices of CUDA_VISIBLE_DEVICES, in its order; all where it is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        for number in range(nvml.nvmlDeviceGetCount()):
            yield nvml.nvmlDeviceGetHandleByIndex(number)
        return
    for part in filter(None, (part.strip() for part in visible.split(","))):
        with contextlib.suppress(nvml.NVMLError):
            if part.isdecimal():
                yield nvml.nvmlDeviceGetHandleByIndex(int(part))
            else:
                yield nvml.nvmlDeviceGetHandleByUUID(part)
