"""Beam search: an approximate search for a decoder's most probable sentence. NumPy only.

A hypothesis' score is its log probability divided by (number of tokens, including `<end>`) ** `penalty`. `<end>`
finishes it; the search for a sentence stops when no unfinished hypothesis can beat its finished ones, or at `longest`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.tasks.text.recipe import BeamSettings

Step = Callable[[NDArray[np.int64], Any], tuple[NDArray[np.floating], Any]]
"""Tokens [N] and a state of N rows -> log probabilities [N, V], the new state."""
Select = Callable[[Any, NDArray[np.int64]], Any]
"""A state and rows -> the state of these rows, in this order."""


@dataclass(frozen=True)
class Hypothesis:
    """A sentence and its score; `tokens` exclude `<end>`."""

    tokens: tuple[int, ...]
    score: float


def beam_search(
    step: Step,
    select: Select,
    state: Any,
    *,
    sentences: int,
    end: int,
    how: BeamSettings,
    never: int | None = None,
) -> list[list[Hypothesis]]:
    """Return up to `how.beams` hypotheses for each of the state's `sentences` rows, the best first.

    The first input token is `end`; `never`: a token to exclude (`<unk>`). With one beam, the search is greedy.
    """
    beams, longest, penalty = how.beams, how.longest, how.penalty
    finished: list[list[Hypothesis]] = [[] for _ in range(sentences)]
    texts: list[tuple[int, ...]] = [()] * sentences  # of the active rows; row r belongs to sentence owner[r]
    owner, total = np.arange(sentences), np.zeros(sentences)
    tokens = np.full(sentences, end, np.int64)
    for length in range(1, longest + 1):
        logs, state = step(tokens, state)
        scores = total[:, None] + np.asarray(logs, np.float64)  # N V
        if never is not None:
            scores[:, never] = -np.inf
        rows, chosen = _best(scores, owner, beams)
        going: list[int] = []
        for k, (row, token) in enumerate(zip(rows, chosen, strict=True)):
            score = scores[row, token]
            if token == end or length == longest:
                text = texts[row] if token == end else (*texts[row], int(token))
                finished[owner[row]].append(Hypothesis(text, score / length**penalty))
            elif not _hopeless(finished[owner[row]], score, beams, length, longest, penalty):
                going.append(k)
        if not going:
            break
        rows, tokens = rows[going], chosen[going]
        texts = [(*texts[row], int(token)) for row, token in zip(rows, tokens, strict=True)]
        owner, total, state = owner[rows], scores[rows, tokens], select(state, rows)
    return [sorted(found, key=lambda h: -h.score)[:beams] for found in finished]


def _best(scores: NDArray, owner: NDArray[np.int64], beams: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and tokens of the best `beams` continuations of every sentence, [n] each, excluding those of -inf."""
    rows, tokens = [], []
    for sentence in np.unique(owner):
        mine = np.flatnonzero(owner == sentence)
        flat = scores[mine].ravel()
        count = min(beams, len(flat))
        top = np.argpartition(-flat, count - 1)[:count]
        top = top[np.argsort(-flat[top], kind="stable")]
        top = top[np.isfinite(flat[top])]
        rows.append(mine[top // scores.shape[1]])
        tokens.append(top % scores.shape[1])
    return np.concatenate(rows), np.concatenate(tokens)


def _hopeless(finished: list[Hypothesis], score: float, beams: int, length: int, longest: int, penalty: float) -> bool:
    """Return whether a log probability, which can only fall, can no longer beat the worst of `beams` finished ones."""
    if len(finished) < beams:
        return False
    worst = sorted(h.score for h in finished)[-beams]
    return score / (longest if penalty > 0 else length) ** penalty <= worst
