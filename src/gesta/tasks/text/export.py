"""Exporting and timing language models: texts as numbers, and the probabilities of the token that follows each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.manifest import Artifact
from gesta.engines import convert_onnx, convert_openvino
from gesta.engines.part import Part
from gesta.engines.quantize import Feed, spread
from gesta.schema import evenly
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.text.corpus import Passage, numbers
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.predict import LanguageModel

EIGHT_BITS: dict[str, Callable[[Part, str], dict[str, bytes]]] = {
    convert_openvino.ENGINE: convert_openvino.convert_stored,
    convert_onnx.ENGINE: lambda part, stem: convert_onnx.convert(part, stem, "fp16"),
}
"""How networks are stored for "int8", by engine: 8-bit matrices for OpenVINO, 16-bit for ONNX."""
TOKENS = 64
"""Maximum length of the texts that networks are compared on."""
Text = NDArray[np.int64]


def convert(part: Part, stem: str, engine: str, precision: str) -> dict[str, bytes] | None:
    """Convert a network to "int8"; return None for other precisions, which need no special treatment."""
    return EIGHT_BITS[engine](part, stem) if precision == "int8" else None


def examples(manifest: LanguageManifest, samples: Sequence[Passage], limit: int, source: str) -> Examples:
    """Return pieces of the passages, evenly spread over them, or random tokens."""
    if not samples:
        rng, count = np.random.default_rng(0), len(manifest.known.tokens)
        texts = [rng.integers(0, count, TOKENS) for _ in range(limit)]
        return Examples(list(texts), [None] * limit, "random")
    vocabulary = manifest.known.vocabulary
    texts = [numbers(vocabulary, passage.text) for passage in samples]
    pieces = [text[i : i + TOKENS] for text in texts for i in range(0, len(text), TOKENS)]
    chosen = evenly(pieces, limit)
    return Examples(list(chosen), [None] * len(chosen), source)


def feeds(texts: Sequence[Text], model: LanguageModel) -> dict[tuple[str, str], list[Feed]]:
    """Return single tokens, each with the state that precedes it."""
    found: list[Feed] = []
    for text in texts:
        state = model.network.start(1)
        for token in text:
            feed = {"tokens": np.array([[token]]), **state}
            found.append(feed)
            _, state = model.engine.step({"tokens": feed["tokens"]}, state)
    return {("step", "network"): spread(found)}


def compare(reference: LanguageModel, other: LanguageModel, shown: Examples, artifact: Artifact) -> Agreement:
    """Compare the probabilities of the token that follows each token."""
    one, two = ([np.exp(model.log_probabilities(text)) for text in shown.inputs] for model in (reference, other))
    return agreement(one, two, shown, artifact, reference.vocabulary.tokens, "token")


def timings(model: LanguageModel, texts: Sequence[Text]) -> dict[str, Timing]:
    """Time one token with carried state, as in writing, and a text at once, as in scoring."""
    tokens = np.concatenate(texts)
    carried = {"state": model.start(1)}

    def token(index: int) -> None:
        _, carried["state"] = model.step(tokens[index % len(tokens)][None], carried["state"])

    def text(index: int) -> None:
        model.log_probabilities(texts[index % len(texts)])

    longest = max(map(len, texts))
    return {"token": Timing(token, {"tokens": 1}), "text": Timing(text, {"tokens": longest})}
