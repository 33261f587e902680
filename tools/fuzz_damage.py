"""Ways to damage bytes, text, names and JSON; all use one random generator, so that a seed reproduces them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

Rng = np.random.Generator
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "nan",
        "inf",
        "1e999",
        "9" * 40,
        "true",
        "null",
        "[]",
        "=1+1",
        "../../etc/passwd",
        "/etc/passwd",
    ),
    *(
        "a\0b",
        "\x1b[2J",
        "\u202e",
        "\ufeff",
        "\ud800",
        "é",
        "e\u0301",
        "C:\\x",
        "a/b/c",
        ".",
        "..",
        "~",
        "%s%n",
        "\U0001f600",
    ),
    *('"', "'", ",", ";", "\t", "\n", "\r", "sep=;", "x" * 300, "y" * 140_000, "NaN", "1,5", "-0", "1_000", "0x10"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, 0.5, -1e308, 1e308, "", "x", "\x1b[31m", "../x", "é"),
    *([], {}, [[]], [None], {"a": 1}, ["a"] * 50, [10**6, 10**6], {"": ""}, "y" * 5000),
)


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def damage_bytes(rng: Rng, data: bytes, other: bytes = b"") -> bytes:
    """Makes one to eight small changes; sometimes truncates the data or appends part of another file."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        pick(rng, BYTE_WAYS)(rng, found)
    if other and rng.random() < 0.1:
        at = int(rng.integers(len(found) + 1))
        found[at:] = other[int(rng.integers(len(other))) :]
    return bytes(found)


def _flip(rng: Rng, data: bytearray) -> None:
    if data:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))


def _number(rng: Rng, data: bytearray) -> None:
    """Writes an extreme number of 1 to 8 bytes, mostly near the start, where headers are."""
    size = int(pick(rng, (1, 2, 4, 8)))
    reach = min(len(data), 200) if rng.random() < 0.6 else len(data)
    at = int(rng.integers(reach + 1))
    value = pick(rng, NUMBERS) & (2 ** (8 * size) - 1)
    data[at : at + size] = value.to_bytes(size, pick(rng, ("little", "big")))


def _cut(rng: Rng, data: bytearray) -> None:
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data) + 1)) :]


def _remove(rng: Rng, data: bytearray) -> None:
    at = int(rng.integers(len(data) + 1))
    del data[at : at + int(rng.integers(1, 64))]


def _repeat(rng: Rng, data: bytearray) -> None:
    at, size = int(rng.integers(len(data) + 1)), int(rng.integers(1, 200))
    data[at:at] = data[at : at + size]


def _noise(rng: Rng, data: bytearray) -> None:
    at = int(rng.integers(len(data) + 1))
    size = int(rng.integers(1, 32))
    data[at : at + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()


def _text(rng: Rng, data: bytearray) -> None:
    at = int(rng.integers(len(data) + 1))
    data[at:at] = pick(rng, TEXTS).encode(errors="surrogatepass")


BYTE_WAYS: tuple[Callable[[Rng, bytearray], None], ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _cut,
    _remove,
    _repeat,
    _noise,
    _text,
)


def damage_table(rng: Rng, text: str) -> bytes:
    """Changes cells, rows, separators, line ends and the encoding of a csv."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(int(rng.integers(1, 6))):
        row = pick(rng, rows)
        way = int(rng.integers(5))
        if way == 0:
            row[int(rng.integers(len(row)))] = pick(rng, TEXTS)
        elif way == 1:
            row.insert(int(rng.integers(len(row) + 1)), pick(rng, TEXTS))
        elif way == 2 and len(row) > 1:
            row.pop()
        elif way == 3:
            rows.insert(int(rng.integers(len(rows) + 1)), list(pick(rng, rows)))
        else:
            row[int(rng.integers(len(row)))] = f'"{row[0]}'
    mark, end = pick(rng, (",", ";", "\t", "|")), pick(rng, ("\n", "\r\n", "\r"))
    encoding = pick(rng, ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"))
    found = pick(rng, ("", "", "sep=;\n", "\n", "\ufeff")) + end.join(mark.join(row) for row in rows)
    return found.encode(encoding, errors=pick(rng, ("ignore", "replace")))


def damage_json(rng: Rng, document: dict[str, Any]) -> bytes:
    """Replaces, removes or adds values anywhere in a document."""
    found = json.loads(json.dumps(document))
    for _ in range(int(rng.integers(1, 4))):
        place: Any = found
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = pick(rng, keys)
            if isinstance(place[key], (dict, list)) and rng.random() < 0.75:
                place = place[key]
                continue
            if isinstance(place, dict) and rng.random() < 0.2:
                del place[key]
            elif isinstance(place, dict) and rng.random() < 0.1:
                place[pick(rng, TEXTS[:40])] = deepcopy(pick(rng, VALUES))
            else:
                place[key] = deepcopy(pick(rng, VALUES))
            break
    return json.dumps(found).encode()


def npy_with_any_header(rng: Rng, body: bytes) -> bytes:
    """A .npy with an arbitrary header."""
    descr = pick(
        rng, ("'<f4'", "'>f8'", "'|O'", "'<U9'", "'<c8'", "'|b1'", "[('a', '<f4')]", "'<M8[s]'", "'|V0'", "5", "'é'")
    )
    shape = pick(
        rng, ("(8, 20, 3)", "(-1,)", "()", "(1000000000000, 20, 3)", "(10**20,)", "(8.5, 20)", "8", "((", "'a'")
    )
    order = pick(rng, ("True", "False", "None", "1"))
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    version = pick(rng, (b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"))
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", pick(rng, (len(header), 0, 65535, 3)))
    return b"\x93NUMPY" + version + size + header + body
