"""Word vectors: GloVe and word2vec files, nearest neighbors, analogies, similarity tests. NumPy only.

GloVe            WORD x1 x2 ... xD                                one line each, no header
word2vec text    the same after a first line `V D`
word2vec binary  the line `V D`, then WORD, a space, D float32 each, with or without a newline
"""

from __future__ import annotations

import codecs
import gzip
import math
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gesta.files import write_whole
from gesta.schema import GestaError
from gesta.tasks.text.data import read_text
from gesta.untrusted import open_file
from gesta.words import counted

Vectors = NDArray[np.float32]
LONGEST_WORD = 1000
"""In bytes; a longer run without a space is not a word2vec file."""
QUESTIONS = 1024
"""Analogies answered per batch."""


@dataclass(frozen=True)
class WordVectors:
    """`vectors` float32 [V, D] of `words`. Raises GestaError if the counts differ or a value is not finite."""

    words: tuple[str, ...]
    vectors: Vectors
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)
    _unit: Vectors = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.words) != len(self.vectors) or not self.words:
            raise GestaError(
                f"{len(self.words)} words need as many vectors, not an array of shape {self.vectors.shape}."
            )
        bad = np.flatnonzero(~np.isfinite(self.vectors).all(1))
        if len(bad):
            raise GestaError(f"The vector of {self.words[bad[0]]!r} has a value that is not a number.")
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        object.__setattr__(self, "_unit", self.vectors / np.where(lengths > 0, lengths, 1))
        object.__setattr__(self, "_numbers", {word: i for i, word in reversed(list(enumerate(self.words)))})

    def __contains__(self, word: str) -> bool:
        return word in self._numbers

    def __len__(self) -> int:
        return len(self.words)

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def number(self, word: str) -> int:
        """Return the row of a word. Raises GestaError if it has no vector."""
        if word not in self._numbers:
            raise GestaError(f"There is no vector for {word!r} among the {len(self.words)} words.")
        return self._numbers[word]

    def __getitem__(self, word: str) -> Vectors:
        return self.vectors[self.number(word)]

    def similarity(self, first: str, second: str) -> float:
        """Return the cosine of the angle between two words."""
        return float(self._unit[self.number(first)] @ self._unit[self.number(second)])

    def nearest(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the words with the highest cosine, excluding the word itself."""
        return self._best(self._unit[self.number(word)], {self.number(word)}, count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> list[tuple[str, float]]:
        """Return what is to `c` as `b` is to `a` (3CosAdd).

        These are the words nearest to b - a + c of unit vectors, excluding the three.
        """
        i, j, k = (self.number(word) for word in (a, b, c))
        wanted = self._unit[j] - self._unit[i] + self._unit[k]
        return self._best(wanted / max(float(np.linalg.norm(wanted)), 1e-12), {i, j, k}, count)

    def _best(self, wanted: Vectors, left_out: set[int], count: int) -> list[tuple[str, float]]:
        cosine = self._unit @ wanted
        cosine[list(left_out)] = -np.inf
        order = np.argsort(-cosine, kind="stable")[: min(count, len(cosine) - len(left_out))]
        return [(self.words[i], float(cosine[i])) for i in order]

    def rows(self, words: Sequence[str]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return the vectors of words [n, D], zeros for those without one, and a mask of those with one [n]."""
        there = np.array([word in self for word in words], bool)
        rows = np.zeros((len(words), self.width), np.float32)
        rows[there] = self.vectors[[self.number(word) for word in words if word in self]]
        return rows, there


# Files.


def read_vectors(path: Path, words: Collection[str] | None = None) -> WordVectors:
    """Read a file in any of the three formats, gzipped or not. `words`: keep only these.

    If a word occurs twice, its first vector is kept. Raises GestaError, with the line number, for rows of a different
    width, values that are not numbers, a truncated file, and if no word is left.
    """
    try:
        with open_file(path) as file, gzip.open(file) if path.suffix == ".gz" else file as stream:
            found = _kept(_entries(stream, path), words)
    except (OSError, EOFError, zlib.error) as error:
        raise GestaError(f"{path}: cannot be read ({error}). Check that the file is there and complete.") from error
    if not found:
        wanted = "" if words is None else f" of the {len(words)} needed"
        raise GestaError(f"{path}: has no word{wanted}. Expected GloVe or word2vec vectors, text or binary.")
    try:
        return WordVectors(tuple(found), np.stack(list(found.values())))
    except GestaError as error:
        raise GestaError(f"{path}: {error}") from error


def _kept(entries: Iterator[tuple[str, Vectors]], words: Collection[str] | None) -> dict[str, Vectors]:
    found: dict[str, Vectors] = {}
    for word, vector in entries:
        if word not in found and (words is None or word in words):
            found[word] = vector
    return found


def _entries(stream: BinaryIO | gzip.GzipFile, path: Path) -> Iterator[tuple[str, Vectors]]:
    first = stream.readline(1 << 20).removeprefix(codecs.BOM_UTF8)
    header = first.split()
    if len(header) != 2 or not all(part.isdigit() and len(part) < 10 for part in header):
        yield from _text(stream, path, len(first.rstrip().split(b" ")) - 1, first)
        return
    count, width = map(int, header)
    if not width:
        raise GestaError(f"{path}: according to the first line, vectors have no values: {first.decode().strip()!r}.")
    start = stream.tell()
    second = stream.readline(1 << 20)
    stream.seek(start)
    if _is_text(second, width):
        found = 0
        for found, entry in enumerate(_text(stream, path, width, b"", line=1), 1):  # noqa: B007
            yield entry
        if found != count:
            raise GestaError(
                f"{path}: its first line announces {counted(count, 'word')}, but {found} follow. Get the file again."
            )
    else:
        yield from _binary(stream, path, count, width)


def _is_text(line: bytes, width: int) -> bool:
    parts = line.rstrip().rsplit(b" ", width)
    try:
        return len(parts) == width + 1 and all(np.isfinite(float(part)) for part in parts[1:])
    except ValueError:
        return False


def _text(
    stream: BinaryIO | gzip.GzipFile, path: Path, width: int, first: bytes, line: int = 0
) -> Iterator[tuple[str, Vectors]]:
    if first and width < 1:
        raise GestaError(f"{path}: line 1 is not a word followed by numbers. Expected GloVe or word2vec vectors.")
    for number, content in enumerate(_lines(stream, first), line + 1):
        if not content.strip():
            continue
        parts = content.rstrip().rsplit(b" ", width)  # GloVe words may contain spaces
        try:
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                vector = np.array(parts[1:], np.float32)
        except ValueError:
            vector = np.zeros(0, np.float32)
        if len(vector) != width:
            raise GestaError(
                f"{path}: line {number} is not a word followed by {width} numbers. Correct the line, or get the file "
                "again."
            )
        yield parts[0].decode(errors="replace"), vector


def _lines(stream: BinaryIO | gzip.GzipFile, first: bytes) -> Iterator[bytes]:
    if first:
        yield first
    yield from stream


def _binary(stream: BinaryIO | gzip.GzipFile, path: Path, count: int, width: int) -> Iterator[tuple[str, Vectors]]:
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := stream.read(1)) != b" ":
            if not byte or len(word) > LONGEST_WORD:
                raise GestaError(f"{path}: ends, or is damaged, in word {number} of {count}. Get the file again.")
            word += byte
        values = stream.read(4 * width)
        if len(values) < 4 * width:
            raise GestaError(f"{path}: ends in the vector of word {number} of {count}. Get the complete file.")
        yield word.lstrip(b"\n").decode(errors="replace"), np.frombuffer(values, "<f4")


def write_vectors(path: Path, vectors: WordVectors, *, binary: bool = False) -> None:
    """Write word2vec's text or binary format, to a temporary file that is then renamed.

    Raises GestaError for words with spaces.
    """
    odd = [word for word in vectors.words if not word or any(character in " \n" for character in word)]
    if odd:
        raise GestaError(
            f"{odd[0]!r} cannot be written: in word2vec's format, words are not empty and contain no spaces."
        )
    rows = [f"{len(vectors)} {vectors.width}\n".encode()]
    for word, vector in zip(vectors.words, vectors.vectors, strict=True):
        if binary:
            rows.append(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")
        else:
            rows.append(f"{word} {' '.join(f'{value:.6g}' for value in vector)}\n".encode())
    write_whole(path, b"".join(rows))


# Tests.


@dataclass(frozen=True)
class Score:
    """`value`: rank correlation, or fraction of correct answers, over the `covered` of `total` questions."""

    value: float
    covered: int
    total: int


def similarity_test(vectors: WordVectors, path: Path) -> Score:
    """Return Spearman's rank correlation between cosines and human ratings.

    The file has two words and a number per line; # starts a comment. Pairs with a word without a vector are not
    covered. Raises GestaError for a malformed line.
    """
    rated, covered = 0, []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            first, second, rating = line.lower().split("\t")
            pair = first, second, float(rating)
            if not math.isfinite(pair[2]):
                raise ValueError("not a rating")
        except ValueError as error:
            raise GestaError(f"{path}: line {number} is not WORD<tab>WORD<tab>RATING. Correct the line.") from error
        rated += 1
        if first in vectors and second in vectors:
            covered.append(pair)
    value = rank_correlation([vectors.similarity(a, b) for a, b, _ in covered], [rating for *_, rating in covered])
    return Score(value, len(covered), rated)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's correlation; ties share their mean rank. NaN for fewer than two values, or if all are equal."""
    if len(first) < 2:
        return float("nan")
    a, b = (_ranks(np.asarray(values)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else float("nan")


def _ranks(values: NDArray) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def analogy_test(vectors: WordVectors, path: Path) -> dict[str, Score]:
    """Score Google's analogy questions by section, and over "all".

    The file has lines `: section` and `a b c d`; an answer is correct if it is d. Raises GestaError for a malformed
    line.
    """
    sections: dict[str, list[list[str]]] = {}
    section = ""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.startswith(":"):
            section = line[1:].strip()
        elif line.strip():
            question = line.lower().split()
            if len(question) != 4:
                raise GestaError(f"{path}: line {number} does not have four words. Correct the line.")
            sections.setdefault(section, []).append(question)
    scores = {name: _answered(vectors, questions) for name, questions in sections.items()}
    covered = sum(score.covered for score in scores.values())
    right = sum(score.value * score.covered for score in scores.values() if score.covered)
    total = sum(score.total for score in scores.values())
    return scores | {"all": Score(right / covered if covered else float("nan"), covered, total)}


def _answered(vectors: WordVectors, questions: Sequence[Sequence[str]]) -> Score:
    numbers = np.array([[vectors.number(w) for w in q] for q in questions if all(w in vectors for w in q)], np.int64)
    if not len(numbers):
        return Score(float("nan"), 0, len(questions))
    unit, right = vectors._unit, 0
    for part in np.array_split(numbers, -(-len(numbers) // QUESTIONS)):
        a, b, c, d = part.T
        cosine = (unit[b] - unit[a] + unit[c]) @ unit.T  # n V; the norm does not affect the ranking
        for given in (a, b, c):
            cosine[np.arange(len(part)), given] = -np.inf
        right += int((cosine.argmax(1) == d).sum())
    return Score(right / len(numbers), len(numbers), len(questions))
