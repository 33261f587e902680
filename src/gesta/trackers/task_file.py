"""Writes the trackers' body networks as a file for MediaPipe's own pose landmarker, for pages in a browser.

A `.task` file is an uncompressed zip of the detector and the landmark network. MediaPipe reads from each network how
its images are normalized, which the package's published files do not specify: a FlatBuffer following TensorFlow Lite's
`metadata_schema.fbs` (v1.5) is added to them. The existing content is unchanged: the new root and its tables come
before it, and FlatBuffers' offsets are relative.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gesta.trackers.files import located

TASK = "pose_landmarker.task"
MEMBERS = {
    "pose_detector.tflite": ("pose_detection", 127.5, 127.5),
    "pose_landmarks_detector.tflite": ("pose_landmark_full", 0.0, 255.0),
}
"""Name in the file -> the network, and mean and standard deviation of its images: -1 to 1, and 0 to 1."""
HEAD = 8
"""Bytes of a FlatBuffer before its content: offset of the root, and the identifier."""
ALIGNED = 16
VERSION, BUFFERS, METADATA = 0, 4, 6
"""Fields of a model: a number, and two vectors of tables; the other fields are pointers, too."""
METADATA_NAME = "TFLITE_METADATA"


def task_file(folder: Path) -> bytes:
    """Content of TASK from the networks in `folder`. Raises GestaError if one is missing or not the published file."""
    files = located([name for name, _, _ in MEMBERS.values()], folder)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for member, (name, mean, deviation) in MEMBERS.items():
            archive.writestr(zipfile.ZipInfo(member), described(files[name].read_bytes(), mean, deviation))
    return made.getvalue()


@dataclass(frozen=True)
class Old:
    """Reference to content at this position of the original file."""

    place: int


@dataclass(frozen=True)
class Number:
    """A scalar: its `struct` format and its value."""

    form: str
    value: float


Table = Mapping[int, object]
"""Field -> Number, or a pointer's target: Table, a sequence of such, str, bytes, Old, or floats."""


def described(network: bytes, mean: float, deviation: float) -> bytes:
    """A TensorFlow Lite file with metadata on how its input images are normalized."""
    model = fields_of(network, struct.unpack_from("<I", network)[0])
    buffers = _pointers(network, model.get(BUFFERS))
    noted = {0: METADATA_NAME, 1: Number("I", len(buffers))}
    root: dict[int, object] = {
        number: Number("I", struct.unpack_from("<I", network, place)[0])
        if number == VERSION
        else Old(pointed(network, place))
        for number, place in model.items()
    }
    root[BUFFERS] = [*buffers, {0: note(mean, deviation)}]
    root[METADATA] = [*_pointers(network, model.get(METADATA)), noted]
    return flat(root, network[4:HEAD], network[HEAD:])


def note(mean: float, deviation: float) -> bytes:
    """A `ModelMetadata`: the only input is an RGB image; `mean` is subtracted, then divided by `deviation`."""
    normalization = {0: Number("B", 1), 1: {0: (mean,), 1: (deviation,)}}
    content = {0: Number("B", 2), 1: {0: Number("B", 1)}}
    return flat({3: [{2: [{0: "image", 3: content, 4: [normalization]}]}]}, b"M001")


def flat(root: Table, identifier: bytes, former: bytes = b"") -> bytes:
    """A FlatBuffer of a table. `former`: content after the head of another one, which `Old` refers to."""
    writer = Writer()
    place = writer.table(root)
    data = writer.data + bytes(-(len(writer.data) - HEAD) % ALIGNED)
    for at, old in writer.old.items():
        struct.pack_into("<I", data, at, old + len(data) - HEAD - at)
    struct.pack_into("<I4s", data, 0, place, identifier)
    return bytes(data) + former


@dataclass
class Writer:
    """Writes each object after the pointer to it, as FlatBuffers requires."""

    data: bytearray = field(default_factory=lambda: bytearray(HEAD))
    old: dict[int, int] = field(default_factory=dict)

    def table(self, fields: Table) -> int:
        """Writes a table; every field takes four bytes to keep all of them aligned."""
        count = max(fields, default=-1) + 1
        start = self._space(4 + 2 * count)
        place = self._space(4 + 4 * len(fields))
        offsets = {number: 4 + 4 * at for at, number in enumerate(fields)}
        listed = [offsets.get(number, 0) for number in range(count)]
        struct.pack_into(f"<{2 + count}H", self.data, start, 4 + 2 * count, 4 + 4 * len(fields), *listed)
        struct.pack_into("<i", self.data, place, place - start)
        for number, value in fields.items():
            self._put(place + offsets[number], value)
        return place

    def _put(self, at: int, value: object) -> None:
        """Writes a number in place, else an offset to the value, which is written next."""
        if isinstance(value, Number):
            struct.pack_into(f"<{value.form}", self.data, at, value.value)
        elif isinstance(value, Old):
            self.old[at] = value.place
        else:
            struct.pack_into("<I", self.data, at, self._place(value) - at)

    def _place(self, value: object) -> int:
        if isinstance(value, Mapping):
            return self.table(value)
        if isinstance(value, str):
            return self._bytes(value.encode(), 4, b"\0")
        if isinstance(value, bytes):
            return self._bytes(value, ALIGNED)
        assert isinstance(value, Sequence)
        place = self._space(4 + 4 * len(value))
        struct.pack_into("<I", self.data, place, len(value))
        for number, one in enumerate(value):
            self._put(place + 4 + 4 * number, Number("f", one) if isinstance(one, float) else one)
        return place

    def _bytes(self, content: bytes, aligned: int, end: bytes = b"") -> int:
        """Writes a length and the bytes, the first of them at a multiple of `aligned`."""
        self.data += bytes(-(len(self.data) + 4) % aligned)
        place = len(self.data)
        self.data += struct.pack("<I", len(content)) + content + end
        return place

    def _space(self, size: int) -> int:
        self.data += bytes(-len(self.data) % 4)
        place = len(self.data)
        self.data += bytes(size)
        return place


def fields_of(data: bytes, table: int) -> dict[int, int]:
    """Field -> position, for the table at this position."""
    listed = table - struct.unpack_from("<i", data, table)[0]
    count = (struct.unpack_from("<H", data, listed)[0] - 4) // 2
    offsets = struct.unpack_from(f"<{count}H", data, listed + 4)
    return {number: table + offset for number, offset in enumerate(offsets) if offset}


def pointed(data: bytes, place: int) -> int:
    """Target of the pointer at this position."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _pointers(data: bytes, place: int | None) -> list[Old]:
    """Elements of the vector that a field points to."""
    if place is None:
        return []
    start = pointed(data, place)
    (count,) = struct.unpack_from("<I", data, start)
    return [Old(pointed(data, start + 4 + 4 * number)) for number in range(count)]
