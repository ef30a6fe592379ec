"""What the header of a safetensors file says: names, shapes and types of its tensors. It never reads a weight.

The format: 8 bytes of length, little-endian, then that many bytes of JSON, then the data that it describes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tunebus.contracts import strictjson
from tunebus.contracts.errors import Code, TunebusError, fail

MAX_HEADER_BYTES = 100_000_000
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. Errors: `invalid` for a file that is cut short or is no safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > MAX_HEADER_BYTES or 8 + length > size:
            raise _broken(
                path, "it is cut short" if size < 8 or length <= MAX_HEADER_BYTES else "its header is not one"
            )
        body = file.read(length)
    try:
        header = strictjson.loads(body, max_bytes=MAX_HEADER_BYTES)
    except TunebusError as error:
        raise _broken(path, f"its header is {error.problem.message}") from None
    if not isinstance(header, dict):
        raise _broken(path, "its header is no object")
    tensors = {}
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensors[name], last = _tensor(path, name, entry)
        end = max(end, last)
    if 8 + length + end > size:
        raise _broken(path, f"it is cut short: {size} of {8 + length + end} bytes are there")
    return tensors


def _tensor(path: Path, name: str, entry: object) -> tuple[Tensor, int]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]} if (
            dtype in BITS and all(isinstance(n, int) and n >= 0 for n in shape) and 0 <= first <= last
        ):
            tensor = Tensor(dtype, tuple(shape))
            if tensor.count * BITS[dtype] != (last - first) * 8:
                raise _broken(path, f"the size of {name} does not fit its shape")
            return tensor, last
    raise _broken(path, f"{name} is described wrongly")


def _broken(path: Path, why: str) -> TunebusError:
    return fail(
        Code.INVALID, f"{path.name} is no whole safetensors file: {why}", param="path", hint="copy the file again"
    )
