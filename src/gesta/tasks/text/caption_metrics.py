"""Caption metrics: BLEU, ROUGE-L, CIDEr, exact match, and correctness of the meaning. Does not use PyTorch.

Sentences are words joined by spaces; each video has one or more references.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from gesta.grammar import parse
from gesta.tasks.text.translate_predict import bleu

BETA = 1.2
"""Weight of recall relative to precision in ROUGE-L, as in the COCO caption evaluation."""
LONGEST = 4
"""Maximum length of CIDEr's n-grams."""
SIGMA = 6.0
"""Width of CIDEr-D's penalty on captions of another length than the reference."""
References = Sequence[Sequence[str]]
Grams = Counter[tuple[str, ...]]


def scores(said: Sequence[str], references: References) -> dict[str, float]:
    """Return all metrics as fractions, BLEU in percent; "meaning" only if every reference follows the grammar."""
    wordings = max(map(len, references))
    columns = [[row[i] if i < len(row) else None for row in references] for i in range(wordings)]
    pairs = list(zip(said, references, strict=True))
    found = {
        "bleu": bleu(said, *columns),
        "rouge_l": sum(rouge_l(text, row) for text, row in pairs) / len(pairs),
        "cider": cider(said, references),
        "word_for_word": sum(text in row for text, row in pairs) / len(pairs),
    }
    meanings = [parse(row[0]) for row in references]
    if all(meaning is not None for meaning in meanings):
        right = [parse(text) == meaning for text, meaning in zip(said, meanings, strict=True)]
        found["meaning"] = sum(right) / len(right)
    return found


def rouge_l(said: str, references: Sequence[str]) -> float:
    """Return the F-score of the longest common subsequence (Lin 2004).

    Precision and recall are each the best over the references.
    """
    words = said.split()
    common = [(_longest_common(words, text.split()), len(text.split())) for text in references]
    precision = max(count for count, _ in common) / max(len(words), 1)
    recall = max(count / max(length, 1) for count, length in common)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for j, second in enumerate(other):
            row.append(before[j] + 1 if word == second else max(before[j + 1], row[j]))
    return row[-1]


def cider(said: Sequence[str], references: References) -> float:
    """Return CIDEr-D (Vedantam et al. 2015), times 10, as the COCO caption evaluation computes it.

    Cosine of the tf-idf of n-grams, averaged over n, references and videos. An n-gram counts at most as often as in the
    reference, and another length costs. The idf of an n-gram is log(videos / videos whose references contain it). Words
    are not stemmed.
    """
    documents = len(references)
    held = [[_grams(text) for text in row] for row in references]
    seen: Counter[tuple[str, ...]] = Counter(gram for row in held for gram in set().union(*row))
    idf = {gram: math.log(documents / count) for gram, count in seen.items()}
    unseen = math.log(documents)
    total = 0.0
    for text, row in zip(said, held, strict=True):
        own = _grams(text)
        mine = _weighted(own, idf, unseen)
        for grams in row:
            longer = _bigrams(own) - _bigrams(grams)
            penalty = math.exp(-(longer**2) / (2 * SIGMA**2))
            total += penalty * _cosines(mine, _weighted(grams, idf, unseen)) / len(row)
    return 10 * total / documents


def _bigrams(grams: Grams) -> int:
    """Return the number of bigrams, by which CIDEr-D measures length."""
    return sum(count for gram, count in grams.items() if len(gram) == 2)


def _grams(text: str) -> Grams:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1))


def _weighted(grams: Grams, idf: dict[tuple[str, ...], float], unseen: float) -> dict[tuple[str, ...], float]:
    return {gram: count * idf.get(gram, unseen) for gram, count in grams.items()}


def _cosines(one: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> float:
    """Return the mean over the n-gram lengths of the cosine with `one` clipped to the reference `other`.

    It is 0 for lengths at which a side has no weight.
    """

    def of_length(n: int) -> float:
        a, b = ({gram: weight for gram, weight in side.items() if len(gram) == n} for side in (one, other))
        size = math.sqrt(_square(a.values()) * _square(b.values()))
        return (
            sum(min(weight, b.get(gram, 0.0)) * b.get(gram, 0.0) for gram, weight in a.items()) / size if size else 0.0
        )

    return sum(map(of_length, range(1, LONGEST + 1))) / LONGEST


def _square(weights: Iterable[float]) -> float:
    return sum(weight**2 for weight in weights)
