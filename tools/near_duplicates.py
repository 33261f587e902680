"""Finds pairs of places that share lines of code; the rule is described in tools/structure.py."""

from __future__ import annotations

import ast
import io
import keyword
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, groupby

from tools.modules import Module, is_text

SAME_LINES, SHAPE_TOKENS, MOST_PLACES = 6, 36, 8
_PLAIN = {"NAME": "N", "STRING": "S", "NUMBER": "0"}


@dataclass(frozen=True)
class Line:
    """A line of code: its number, its tokens, and the same with names, strings and numbers replaced."""

    number: int
    text: tuple[str, ...]
    shape: tuple[str, ...]


def code_lines(module: Module) -> list[Line]:
    left_out: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.stmt) and (isinstance(node, (ast.Import, ast.ImportFrom)) or is_text(node)):
            left_out |= set(range(node.lineno, 1 + (node.end_lineno or node.lineno)))
    tokens: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for number, text, plain in _tokens(module.source):
        tokens[number].append((text, plain))
    return [
        Line(number, *zip(*found, strict=True))
        for number, found in sorted(tokens.items())
        if number not in left_out and any(plain[0].isalnum() for _, plain in found)
    ]


def _tokens(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, text and shape of each token: names as N, strings as S, numbers as 0; formatted strings as one S."""
    depth, start, text = 0, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind.endswith("STRING_START"):
            start, text = (token.start[0], "") if depth == 0 else (start, text)
            depth += 1
        text += token.string
        if kind.endswith("STRING_END"):
            depth -= 1
            if depth == 0:
                yield start, text, "S"
        elif depth == 0 and kind in ("NAME", "NUMBER", "OP", "STRING"):
            plain = token.string if keyword.iskeyword(token.string) else _PLAIN.get(kind, token.string)
            yield token.start[0], token.string, plain


def near_duplicates(modules: list[Module]) -> list[str]:
    lines = [code_lines(module) for module in modules]
    steps: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for places in _windows(lines):
        for (file, start), (other, at) in combinations(places, 2):
            if file != other or at - start >= SAME_LINES:
                steps[file, other, at - start].add(start)
    used: set[tuple[int, int, str, int]] = set()
    found = []
    for minus, file, start, other, at in sorted((-n, *run) for n, *run in _merged(steps)):
        sides = [{(file, other, "a", start + i), (file, other, "b", at + i)} for i in range(-minus)]
        first, n = _longest([used.isdisjoint(pair) for pair in sides])
        if n >= SAME_LINES:
            used.update(*sides[first : first + n])
            one, two = (_span(modules[f], lines[f][s + first : s + first + n]) for f, s in ((file, start), (other, at)))
            found.append((-n, f"{one} ~ {two}  {n} lines"))
    return [line for _, line in sorted(found)]


def _longest(free: list[bool]) -> tuple[int, int]:
    """Start and length of the longest run of True."""
    stretches, at = [(0, 0)], 0
    for is_free, group in groupby(free):
        n = len(list(group))
        stretches += [(at, n)] if is_free else []
        at += n
    return max(stretches, key=lambda stretch: stretch[1])


def _span(module: Module, lines: list[Line]) -> str:
    return f"{module.path}:{lines[0].number}-{lines[-1].number}"


def _windows(lines: list[list[Line]]) -> Iterator[list[tuple[int, int]]]:
    """For each six lines that occur in two to eight places: (file, index of the first line) of each."""
    places: dict[object, list[tuple[int, int]]] = defaultdict(list)
    for file, code in enumerate(lines):
        for start in range(len(code) - SAME_LINES + 1):
            window = code[start : start + SAME_LINES]
            places[tuple(line.text for line in window)].append((file, start))
            if sum(len(line.shape) for line in window) >= SHAPE_TOKENS:
                places["shape", *(line.shape for line in window)].append((file, start))
    yield from (found for found in places.values() if 2 <= len(found) <= MOST_PLACES)


def _merged(steps: Mapping[tuple[int, int, int], set[int]]) -> Iterator[tuple[int, int, int, int, int]]:
    """Joins consecutive windows to runs: number of lines, then file and first line of each side."""
    for (file, other, offset), starts in steps.items():
        first = previous = -2
        for start in [*sorted(starts), sys.maxsize]:
            if start != previous + 1:
                if first >= 0:
                    n = previous - first + SAME_LINES
                    yield min(n, offset) if file == other else n, file, first, other, first + offset
                first = start
            previous = start
