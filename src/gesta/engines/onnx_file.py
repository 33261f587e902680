"""Checks of an ONNX file before an engine opens it, made on its top-level fields without the onnx library.

An ONNX file is a protobuf message (onnx.proto, ModelProto); its field 8 lists the operator sets it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.schema import GestaError

OLDEST, NEWEST = 13, 26
"""The versions of the default ONNX operator set that the engines are known to read."""
_OPSETS, _DOMAIN, _VERSION = 8, 1, 2


def check(bundle: Bundle[Any], artifact: Artifact, data: bytes) -> None:
    """Raises GestaError if the file refers to external data, or needs an unsupported operator set version."""
    if b"location" in data:  # the key by which ONNX refers to an external file; never in our exports
        raise GestaError(
            f"{bundle.path}: {artifact.file} refers to data in other files, which is not allowed. Export the model "
            "again with its data inside."
        )
    found = opset(data)
    if found is not None and not OLDEST <= found <= NEWEST:
        raise GestaError(
            f"{bundle.path}: {artifact.file} needs ONNX operator set {found}; this gesta supports {OLDEST} to "
            f"{NEWEST}. "
            "Update gesta, or export the model again with this version: gesta export BUNDLE --to onnx."
        )


def opset(data: bytes) -> int | None:
    """The version of the default ONNX operator set in a file, or None if not found."""
    try:
        for number, value in _fields(data):
            if number == _OPSETS and isinstance(value, bytes):
                entry = dict(_fields(value))
                version = entry.get(_VERSION)
                if entry.get(_DOMAIN, b"") in (b"", b"ai.onnx") and isinstance(version, int):
                    return version
    except (IndexError, ValueError):
        return None
    return None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, number or content) of one protobuf message. Raises IndexError or ValueError if malformed."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at + size > len(data):
            raise ValueError("ends within a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, end offset) of a varint: seven bits per byte, least significant first."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("an unterminated number")
