"""Reads the scalars of a TensorBoard event file, without TensorBoard: TFRecord frames around `Event` messages.

Only the fields that scalars need are read, as tensorboard/compat/proto/{event,summary,tensor}.proto number them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

LARGEST_RECORD = 1024**3
LARGEST_LOOKED_INTO = 1024**2  # no scalar is as large as that: an image, a histogram, a graph
SCALARS = "scalars"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NUMBERS = {1: (5, "f"), 2: (6, "d")}  # type of a tensor -> its field of values, their format
Field = tuple[int, int, int | bytes]


class DamagedError(ValueError):
    """Bytes that are no event file."""


@dataclass(frozen=True)
class Scalar:
    """A point of a curve; `wall_time` in Unix seconds."""

    tag: str
    step: int
    wall_time: float
    value: float


@dataclass
class EventFile:
    """One event file from its start. `others` counts what is no scalar; `cut_off` says that its last record is not
    whole, which is how a writer leaves it that was killed.
    """

    file: BinaryIO
    others: int = 0
    cut_off: bool = False
    is_event_file: bool = False
    _plugins: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Scalar]:
        """Errors: `DamagedError`, with the offset."""
        while (record := self._record()) is not None:
            if len(record) > LARGEST_LOOKED_INTO:
                self.others += 1
                continue
            try:
                yield from self._scalars(record)
            except (struct.error, IndexError, TypeError, UnicodeDecodeError):
                raise DamagedError(f"the record that ends at byte {self.file.tell()} is no event") from None

    def _record(self) -> bytes | None:
        """The next frame's content, or None at the end."""
        start = self.file.tell()
        head = self.file.read(12)
        if len(head) < 12:
            self.cut_off = self.cut_off or bool(head)
            return None
        length, checksum = struct.unpack("<QI", head)
        if masked_crc(head[:8]) != checksum or length > LARGEST_RECORD:
            raise DamagedError(f"its checksum is wrong at byte {start}")
        data = self.file.read(length)
        tail = self.file.read(4)
        if len(data) < length or len(tail) < 4:
            self.cut_off = True
            return None
        if length <= LARGEST_LOOKED_INTO and masked_crc(data) != struct.unpack("<I", tail)[0]:
            raise DamagedError(f"its checksum is wrong at byte {start}")
        return data

    def _scalars(self, record: bytes) -> Iterator[Scalar]:
        step, wall_time, summaries = 0, 0.0, list[bytes]()
        for number, kind, value in fields(record):
            if (number, kind) == (1, _FIXED64):
                (wall_time,) = struct.unpack("<d", _bytes(value))
            elif (number, kind) == (2, _VARINT):
                step = _signed(value)
            elif (number, kind) == (3, _BYTES):
                self.is_event_file = _bytes(value).startswith(b"brain.Event:")
            elif (number, kind) == (5, _BYTES):
                summaries.append(_bytes(value))
        for summary in summaries:
            for number, _, content in fields(summary):
                if number == 1:
                    found = self._value(_bytes(content))
                    if found is not None:
                        yield Scalar(found[0], step, wall_time, found[1])

    def _value(self, content: bytes) -> tuple[str, float] | None:
        """Tag and number of a summary's value; None for what is no scalar. A writer names a tag's plugin only once."""
        tag, number = "", None
        tensor: bytes | None = None
        for at, kind, value in fields(content):
            if (at, kind) == (1, _BYTES):
                tag = _bytes(value).decode()
            elif (at, kind) == (2, _FIXED32):
                (number,) = struct.unpack("<f", _bytes(value))
            elif (at, kind) == (8, _BYTES):
                tensor = _bytes(value)
            elif (at, kind) == (9, _BYTES):
                self._plugins[tag] = _plugin(_bytes(value))
        if number is None and tensor is not None and self._plugins.get(tag) == SCALARS:
            number = _single(tensor)
        if number is None:
            self.others += 1
            return None
        return tag, number


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a protocol buffer: number, wire type and value. Errors: IndexError for one that is cut off."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, kind, value
            continue
        if kind not in (_FIXED64, _BYTES, _FIXED32):
            raise TypeError("no wire type of a protocol buffer")
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind == _BYTES:
            length, at = _varint(message, at)
        if at + length > len(message):
            raise IndexError
        yield key >> 3, kind, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise TypeError("no number of a protocol buffer is as long as that")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError
    return value


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError
    return value - 2**64 if value >= 2**63 else value


def _plugin(metadata: bytes) -> str:
    for number, _, data in fields(metadata):
        if number == 1:
            for inner, _, name in fields(_bytes(data)):
                if inner == 1:
                    return _bytes(name).decode()
    return ""


def _single(tensor: bytes) -> float | None:
    """The number in a tensor of one float or double; None for any other."""
    found = list(fields(tensor))
    dtype = next((value for number, kind, value in found if (number, kind) == (1, _VARINT)), 0)
    if dtype not in _NUMBERS:
        return None
    place, form = _NUMBERS[dtype]
    content = b"".join(_bytes(value) for number, _, value in found if number in (4, place))
    if len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(f"<{form}", content)[0])


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated by 15 bits and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _table()
