"""The weights file: safetensors, plain or with sparse tensors, halves and 8-bit values (docs/sparse_format.md).

A tensor NAME is stored dense, as NAME with its shape, or, if smaller, as NAME#bitmap (one bit per element) and NAME,
the values whose bit is set. Values are stored unchanged, as float16, or as int8 with NAME#scale; the latter two are
loaded as float32. NumPy only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic_core import from_json

from gesta.bundle.safe import MAX_BYTES
from gesta.schema import GestaError

FORMAT, VERSION = "gesta-sparse", 1
BITMAP, SCALE = "#bitmap", "#scale"
ENTRY_BYTES = 100
"""Approximate size of a second entry in the file's header: small tensors stay dense."""
MAX_AXES = 32

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Stored:
    """How one tensor was stored: "dense" or "bitmap", its bytes in the file, and its dense size."""

    name: str
    encoding: str
    dtype: str
    elements: int
    nonzero: int
    bytes: int
    dense_bytes: int


def encode(weights: Mapping[str, Array], scales: Mapping[str, Array] | None = None) -> tuple[bytes, tuple[Stored, ...]]:
    """Encodes tensors by name; returns the file's content and how each was stored, in the smaller of the two forms.

    `scales`: for int8 tensors, float32 [shape[0]]; loaded values are multiplied by the scale of their row. An element
    counts as zero only if all its bits are, so that loading is bit-exact. Raises ValueError for a name with "#".
    """
    scales = scales or {}
    if bad := [name for name in weights if "#" in name]:
        raise ValueError(f"names of tensors must not contain '#': {bad}")
    arrays: dict[str, Array] = {f"{name}{SCALE}": np.asarray(scale, np.float32) for name, scale in scales.items()}
    shapes: dict[str, list[int]] = {}
    report = []
    for name, given in weights.items():
        array: Array = np.ascontiguousarray(given).reshape(given.shape)
        flat = array.reshape(-1)
        kept = flat.view(f"u{array.dtype.itemsize}") != 0
        nonzero, packed = int(kept.sum()), -(-flat.size // 8)
        sparse = packed + nonzero * array.dtype.itemsize
        if sparse + ENTRY_BYTES < array.nbytes:
            arrays[name], arrays[f"{name}{BITMAP}"] = flat[kept], np.packbits(kept, bitorder="little")
            shapes[name] = list(array.shape)
        else:
            arrays[name] = array
        encoding, size = ("bitmap", sparse) if name in shapes else ("dense", array.nbytes)
        report.append(Stored(name, encoding, str(array.dtype), flat.size, nonzero, size, array.nbytes))
    metadata = {"format": FORMAT, "version": str(VERSION), "shapes": json.dumps(shapes, sort_keys=True)}
    return safetensors.numpy.save(arrays, metadata), tuple(report)


def decode(data: bytes, where: str) -> dict[str, Array]:
    """Decodes the tensors of a weights file, plain safetensors or ours; float16 and scaled int8 become float32.

    `where` names the file in errors. Raises GestaError if the file is damaged, truncated, has a newer layout, or its
    parts are inconsistent.
    """
    try:
        arrays: dict[str, Array] = dict(safetensors.numpy.load(data))
        metadata = _metadata(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GestaError(
            f"{where} is not a safetensors file, or it is damaged ({error}). Get the bundle again."
        ) from error
    if metadata.get("format") != FORMAT:
        return {name: _widened(array) for name, array in arrays.items()}
    shapes = _shapes(metadata, where)
    _check_room(arrays, shapes, where)
    return dict(_tensors(arrays, shapes, where))


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = from_json(data[8 : 8 + length]).get("__metadata__") or {}
    return found


def _shapes(metadata: Mapping[str, str], where: str) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the tensors with a bitmap. Raises GestaError for another version or invalid shapes."""
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise GestaError(
            f"{where}: has sparse layout version {version or '(not given)'}, but this gesta reads {VERSION}. "
            "Update gesta, or ask for the bundle with plain weights."
        )
    try:
        table: Any = from_json(metadata["shapes"])
        found = {str(name): tuple(shape) for name, shape in table.items()}
        if not all(type(n) is int and n >= 0 for shape in found.values() for n in shape):
            raise ValueError("a shape is a list of whole numbers")
        if any(len(shape) > MAX_AXES for shape in found.values()):
            raise ValueError(f"a shape has at most {MAX_AXES} axes")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unfit(where, f"its table of shapes is not valid ({error})") from error
    return found


def _check_room(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises GestaError for a small file that would exhaust memory."""
    dense = sum(4 * array.size for name, array in arrays.items() if name not in shapes)
    total = dense + sum(8 * math.prod(max(n, 1) for n in shape) for shape in shapes.values())  # a side of 0 hides none
    if total > MAX_BYTES:
        raise GestaError(f"{where}: would unpack to {total:,} bytes, more than gesta reads. It is not opened.")


def _tensors(
    arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], where: str
) -> Iterator[tuple[str, Array]]:
    names = [name for name in arrays if "#" not in name]
    known = {f"{name}{part}" for name in names for part in (BITMAP, SCALE)}
    stray = [name for name in arrays if "#" in name and name not in known]
    lacking = [name for name in shapes if "#" in name or name not in arrays or f"{name}{BITMAP}" not in arrays]
    if stray or lacking or any(f"{name}{BITMAP}" in arrays and name not in shapes for name in names):
        raise _unfit(where, f"tensors, bitmaps and shapes do not match ({(stray + lacking)[:3]})")
    for name in names:
        array = arrays[name]
        if name in shapes:
            array = _spread(array, arrays[f"{name}{BITMAP}"], shapes[name], f"{where}: {name}")
        scale = arrays.get(f"{name}{SCALE}")
        yield name, _widened(array) if scale is None else _scaled(array, scale, f"{where}: {name}")


def _spread(values: Array, bitmap: Array, shape: tuple[int, ...], where: str) -> Array:
    """Returns the dense tensor of values and bitmap, zero where no bit is set."""
    size = math.prod(shape)
    if bitmap.dtype != np.uint8 or bitmap.shape != (-(-size // 8),) or values.ndim != 1:
        raise _unfit(where, f"a bitmap of {bitmap.dtype} {bitmap.shape} for the shape {shape}")
    bits = np.unpackbits(bitmap.view(np.uint8), bitorder="little").astype(bool)
    if bits[size:].any() or int(bits.sum()) != len(values):
        raise _unfit(
            where, f"the bitmap marks {int(bits.sum())} of {size} elements, but there are {len(values)} values"
        )
    whole: Array = np.zeros(size, values.dtype)
    whole[bits[:size]] = values
    return whole.reshape(shape)


def _widened(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _scaled(array: Array, scale: Array, where: str) -> Array:
    """Returns 8-bit values times the scale of their row, float32."""
    if array.dtype != np.int8 or scale.dtype != np.float32 or array.ndim < 1 or scale.shape != array.shape[:1]:
        raise _unfit(where, f"a scale {scale.dtype} {scale.shape} for values {array.dtype} {array.shape}")
    by_row = scale.astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))
    return array.astype(np.float32) * by_row


def _unfit(where: str, what: str) -> GestaError:
    return GestaError(f"{where}: the sparse file is damaged: {what}. Get the bundle again, or make it again.")
