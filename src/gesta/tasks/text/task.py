"""The task of language modeling with characters or words; implements gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing, Problem
from gesta.tasks.base import Bar, Evaluation, Examples, Parts, Quality, Said, Wanted, deferred, deferred_from
from gesta.tasks.text import corpus, data
from gesta.tasks.text.corpus import Passage
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.recipe import LanguageRecipe, TextInputSettings
from gesta.tasks.text.shared import TextBase, held_out_note

LAYOUTS = ("text", "captions")
SHOWN_CHARACTERS = 200
"""Characters of a passage shown in the report."""


class TextTask(TextBase):
    """Predicts the next token of a text; scores and generates text.

    Trains on a text file, a folder of text, or captions.
    """

    name = "text"
    title = "language modeling"
    unit = "passages"
    recipe = LanguageRecipe
    manifest = LanguageManifest
    default_recipe = "text/characters-small"
    quality = Quality("val_loss", "loss", False, "nats")
    kept = ("loss", "bits", "perplexity")

    train = deferred("gesta.tasks.text.fit:fit")
    examples, compare, timings = deferred_from("gesta.tasks.text.export", "examples compare timings")
    predictor = deferred("gesta.tasks.text.predict:LanguageModel")

    def load(self, bundle: Bundle[LanguageManifest], at: Placement, **_: Any) -> Any:
        from gesta.tasks.text.predict import ngram_of

        return self.predictor(self.open(bundle, at), bundle.manifest, ngram_of(bundle))

    def recognizes(self, data_path: Path, layout: str | None) -> bool:
        return (layout or data.recognized(data_path)) in LAYOUTS

    def read(self, data_path: Path, layout: str | None = None, like: str | None = None) -> Listing:  # noqa: ARG002
        if layout is not None and layout not in LAYOUTS:
            raise GestaError(f"unknown layout {layout!r} of text; choose from {', '.join(LAYOUTS)}.", usage=True)
        return corpus.read(data_path, layout)  # type: ignore[arg-type]

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:  # noqa: ARG002
        settings = TextInputSettings.model_validate(recipe["input"])
        divided = corpus.divide(listing, settings, seed)
        held = held_out_note(settings.validation, "of the training part is")
        how = "by image" if listing.layout == "captions" else "by position; the last tenth is the test part"
        return Parts(divided, (f"split {how}; {held}",))

    def labeled(self, samples: Sequence[Passage], manifest: LanguageManifest) -> list[Passage]:
        """Return all samples. Raises GestaError for characters that the model does not know."""
        for passage in samples:
            corpus.numbers(manifest.known.vocabulary, passage.text)
        return super().labeled(samples, manifest)

    def outputs(
        self, predictor: Any, samples: Sequence[Passage], bar: Bar
    ) -> tuple[list[Passage], NDArray[Any], list[Problem]]:
        texts = [corpus.numbers(predictor.vocabulary, passage.text) for passage in samples]
        return list(samples), predictor.scores(texts, lambda done, total: bar("Scoring", done, total)), []

    def evaluate(self, predictor: Any, samples: Sequence[Passage], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        from gesta.tasks.text.predict import TextScore
        from gesta.tasks.text.scoring import text_hash

        nats, tokens, *alone = outputs.sum(0)
        if not tokens:
            raise GestaError("There are no tokens to score: the passages are too short.")
        score = TextScore(float(nats / tokens), int(tokens))
        vocabulary, known = predictor.vocabulary, predictor.manifest.metrics
        unknown = sum(int((corpus.numbers(vocabulary, p.text) == vocabulary.unknown).sum()) for p in samples)
        (split,) = {p.split for p in samples} if len({p.split for p in samples}) == 1 else (None,)
        metrics = {
            "loss": score.nats,
            "bits": score.bits,
            "perplexity": score.perplexity,
            "tokens": score.tokens,
            "n": len(samples),
            "unknown": unknown / score.tokens,
            "ngram_order": known.get("ngram_order"),
        }
        if alone:
            metrics |= {"network_loss": float(alone[0] / tokens), "ngram_loss": float(alone[1] / tokens)}
        elif known.get(f"{split}_text") == text_hash([corpus.numbers(vocabulary, p.text) for p in samples]):
            metrics |= {f"{name}_loss": known.get(f"{name}_{split}_loss") for name in ("ngram", "mixed")}
        truth = np.array([len(p.text) for p in samples])
        return Evaluation(metrics, tuple(samples), outputs, truth, predictor.manifest)

    def report(self, result: Evaluation, out: Path) -> None:
        """Write metrics.json, report.html and passages.csv.

        passages.csv has the mean nats per token, the number of tokens and the text of each passage, the hardest first.
        """
        from gesta.tasks.text.report import write_report

        means = [nats / max(count, 1) for nats, count, *_ in result.outputs]
        rows = [
            (p.id, f"{mean:.4f}", f"{count:.0f}", p.text[:SHOWN_CHARACTERS])
            for mean, (_, count, *_alone), p in sorted(
                zip(means, result.outputs, result.samples, strict=True), key=lambda r: -r[0]
            )
        ]
        header = ("passage", "nats", "tokens", "text")
        write_report(out, result.manifest.name, result.metrics, "passages.csv", header, rows)

    def graphs(self, bundle: Bundle[LanguageManifest], **_: Any) -> list[Part]:
        from gesta.tasks.text.network import parts

        return parts(bundle)

    def feeds(self, bundle: Bundle[LanguageManifest], examples: Examples) -> dict[tuple[str, str], list[Any]]:
        from gesta.tasks.text.export import feeds

        return feeds(examples.inputs, self.load(bundle, Placement("torch", "cpu")))

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yield how well each text file is predicted."""
        for path in wanted.inputs:
            try:
                found = predictor.predict(Path(path))
            except GestaError as error:
                failed.append(f"{path}: {error}" if str(path) not in str(error) else str(error))
                continue
            document = {"input": str(path), "nats": found.nats, "bits": found.bits, "perplexity": found.perplexity}
            line = f"{path}  {found.nats:.4f} nats per token, perplexity {found.perplexity:.2f}, {found.tokens} tokens"
            yield Said(document | {"tokens": found.tokens}, line)

    def step_unit(self, manifest: LanguageManifest) -> str:  # noqa: ARG002
        return "token"

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        from gesta.tasks.text import wording

        return wording.LINES[command](document)

    def write(self, predictor: Any, **settings: Any) -> Any:
        """Optional ability: generate text piece by piece; see gesta.tasks.text.writing.write."""
        return predictor.write(**settings)


TASK = TextTask()
