"""What exporting and timing a language model takes: texts as numbers, and the probabilities behind each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.manifest import Artifact
from gesta.engines import convert_onnx, convert_openvino
from gesta.engines.part import Part
from gesta.engines.quantize import Feed, spread
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.text.corpus import Passage, numbers
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.predict import LanguageModel

EIGHT_BITS: dict[str, Callable[[Part, str], dict[str, bytes]]] = {
    convert_openvino.ENGINE: convert_openvino.convert_stored,
    convert_onnx.ENGINE: lambda part, stem: convert_onnx.convert(part, stem, "fp16"),
}
"""How networks are stored for "int8", by engine. OpenVINO: matrices in 8 bits. ONNX: in 16."""
TOKENS = 64
"""Of a text that networks are compared on, at most."""
Text = NDArray[np.int64]


def convert(part: Part, stem: str, engine: str, precision: str) -> dict[str, bytes] | None:
    """A network for "int8"; None: as any other network."""
    return EIGHT_BITS[engine](part, stem) if precision == "int8" else None


def examples(manifest: LanguageManifest, samples: Sequence[Passage], limit: int, source: str) -> Examples:
    """Pieces of the passages, spread over them, or random tokens."""
    if not samples:
        rng, count = np.random.default_rng(0), len(manifest.known.tokens)
        texts = [rng.integers(0, count, TOKENS) for _ in range(limit)]
        return Examples(list(texts), [None] * limit, "random")
    vocabulary = manifest.known.vocabulary
    texts = [numbers(vocabulary, passage.text) for passage in samples]
    pieces = [text[i : i + TOKENS] for text in texts for i in range(0, len(text), TOKENS)]
    count = min(limit, len(pieces))
    chosen = [pieces[i * len(pieces) // count] for i in range(count)]
    return Examples(list(chosen), [None] * count, source)


def feeds(texts: Sequence[Text], model: LanguageModel) -> dict[tuple[str, str], list[Feed]]:
    """Single tokens with the state that they find."""
    found: list[Feed] = []
    for text in texts:
        state = model.start(1)
        for token in text:
            feed = {"tokens": np.array([[token]]), **state}
            found.append(feed)
            _, state = model.engine.step({"tokens": feed["tokens"]}, state)
    return {("step", "network"): spread(found)}


def compare(reference: LanguageModel, other: LanguageModel, shown: Examples, artifact: Artifact) -> Agreement:
    """How the probabilities behind every token agree."""
    one, two = ([np.exp(model.log_probabilities(text)) for text in shown.inputs] for model in (reference, other))
    return agreement(one, two, shown, artifact, reference.vocabulary.tokens, "token")


def timings(model: LanguageModel, texts: Sequence[Text]) -> dict[str, Timing]:
    """One token, its state carried, as in writing; and a text at once, as in scoring."""
    tokens = np.concatenate(texts)
    carried = {"state": model.start(1)}

    def token(index: int) -> None:
        _, carried["state"] = model.step(tokens[index % len(tokens)][None], carried["state"])

    def text(index: int) -> None:
        model.log_probabilities(texts[index % len(texts)])

    longest = max(map(len, texts))
    return {"token": Timing(token, {"tokens": 1}), "text": Timing(text, {"tokens": longest})}
