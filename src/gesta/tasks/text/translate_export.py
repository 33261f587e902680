"""Exporting and timing translators: source sentences as numbers, encoder memories, and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.manifest import Artifact
from gesta.engines.quantize import Feed, spread
from gesta.schema import evenly
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.text.manifest import TranslationManifest
from gesta.tasks.text.pairs import SentencePair
from gesta.tasks.text.translate_predict import Arrays, SentenceWriter

WORDS, SAID = 12, 8
"""Words of a random sentence; decoder steps compared."""
Source = NDArray[Any]
"""Word numbers [S] or features [S, D]."""


def examples(manifest: TranslationManifest, samples: Sequence[SentencePair], limit: int, source: str) -> Examples:
    """Return source sentences, evenly spread over the samples, or random words."""
    if not samples:
        rng, known = np.random.default_rng(0), len(manifest.source.tokens)
        return Examples([rng.integers(0, known, WORDS) for _ in range(limit)], [None] * limit, "random")
    vocabulary, language = manifest.source.vocabulary, manifest.recipe["input"]["source"]
    texts = [vocabulary.sentence(p.texts[language].split()) for p in evenly(samples, limit)]
    return Examples(texts, [None] * len(texts), source)


def feeds(texts: Sequence[Source], translator: SentenceWriter) -> dict[tuple[str, str], list[Feed]]:
    """Return sentences for the encoder, and for the decoder its own most probable words with their states."""
    steps: list[Feed] = []
    for text in texts:
        state, token = translator.encode([text]), np.array([translator.target.end])
        for _ in range(SAID):
            seen = ("memory", "lengths") if translator.manifest.attention else ("vector",)
            steps.append({"tokens": token[None], **{name: state[name] for name in (*seen, "h", "c")}})
            logs, state = translator.step(token, state)
            token = logs.argmax(1)
    return {
        ("whole", "encoder"): spread([translator.feed([text]) for text in texts]),
        ("step", "network"): spread(steps),
    }


def compare(reference: SentenceWriter, other: SentenceWriter, shown: Examples, artifact: Artifact) -> Agreement:
    """Compare the encoder's outputs or, for the decoder's step, probabilities from random memories."""
    if artifact.role == "whole":
        one, two = ([t.encode([text])["memory"][:, 0] for text in shown.inputs] for t in (reference, other))
    else:
        states = [_random_state(reference.manifest, len(text), seed) for seed, text in enumerate(shown.inputs)]
        one, two = ([_said(t, state) for state in states] for t in (reference, other))
    return agreement(one, two, shown, artifact, (), None)


def _random_state(manifest: Any, words: int, seed: int) -> Arrays:
    rng, model = np.random.default_rng(seed), manifest.recipe["model"]
    hidden, layers = model["hidden"], model["layers"]
    shapes = {"memory": (words, 1, 2 * hidden), "vector": (1, 2 * hidden), "h": (layers, 1, hidden)}
    shapes["c"] = shapes["h"]
    return {"lengths": np.array([words])} | {n: rng.uniform(-1, 1, s).astype(np.float32) for n, s in shapes.items()}


def _said(translator: SentenceWriter, state: Arrays) -> NDArray[np.float32]:
    """Return the probabilities of several successive words, [SAID, V]."""
    found = []
    for token in range(SAID):
        logs, state = translator.step(np.array([token % len(translator.target)]), state)
        found.append(np.exp(logs[0]))
    return np.stack(found)


def timings(translator: SentenceWriter, texts: Sequence[Source]) -> dict[str, Timing]:
    """Time a sentence with the recipe's beam search."""
    return {"sentence": Timing(lambda i: translator._search([texts[i % len(texts)]]))}
