"""The task of translating sentences; implements gesta.tasks.base."""

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
from gesta.tasks import lines as shared
from gesta.tasks.base import Bar, Evaluation, Examples, Parts, Quality, Said, Wanted, deferred, deferred_from
from gesta.tasks.text import data, pairs
from gesta.tasks.text.manifest import TranslationManifest
from gesta.tasks.text.pairs import SentencePair
from gesta.tasks.text.recipe import PairInputSettings, TranslationRecipe
from gesta.tasks.text.shared import TextBase, held_out_note
from gesta.tasks.text.translate_predict import STAGES, bleu
from gesta.tasks.text.vocabulary import UNKNOWN, some


class TranslationTask(TextBase):
    """Translates sentences from one language into another. Trains on files of sentence pairs."""

    name = "translation"
    title = "translation"
    unit = "sentence pairs"
    recipe = TranslationRecipe
    manifest = TranslationManifest
    default_recipe = "text/german-to-english"
    quality = Quality("val_loss", "bleu", True, "BLEU")
    kept: Sequence[str] = ("bleu",)

    stages = STAGES
    train = deferred("gesta.tasks.text.translate_fit:fit")
    examples, compare, timings = deferred_from("gesta.tasks.text.translate_export", "examples compare timings")
    predictor = deferred("gesta.tasks.text.translate_predict:Translator")

    def recognizes(self, data_path: Path, layout: str | None) -> bool:
        return (layout or data.recognized(data_path)) == "pairs"

    def read(self, data_path: Path, layout: str | None = None, like: str | None = None) -> Listing:  # noqa: ARG002
        if not self.recognizes(data_path, layout):
            raise GestaError(f"{data_path}: contains no sentence pairs. Expected files such as train.de and train.en.")
        return pairs.read(data_path)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:  # noqa: ARG002
        settings = PairInputSettings.model_validate(recipe["input"])
        divided = pairs.divide(listing, settings, seed)
        held = held_out_note(settings.validation, "of the training pairs are")
        return Parts(divided, (f"split by file; {held}",))

    def outputs(
        self, predictor: Any, samples: Sequence[SentencePair], bar: Bar
    ) -> tuple[list[SentencePair], NDArray[Any], list[Problem]]:
        said = predictor.translate([p.source for p in samples], lambda done, total: bar("Translating", done, total))
        return list(samples), np.array([one.text for one in said], dtype=object), []

    def evaluate(self, predictor: Any, samples: Sequence[SentencePair], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        truth = [p.target for p in samples]
        words = [sum(len(text.split()) for text in texts) for texts in (outputs, truth)]
        metrics = {
            "bleu": bleu(list(outputs), truth),
            "n": len(samples),
            "length_ratio": words[0] / max(words[1], 1),
            "beams": predictor.search.beams,
        }
        return Evaluation(metrics, tuple(samples), outputs, np.array(truth, dtype=object), predictor.manifest)

    def report(self, result: Evaluation, out: Path) -> None:
        """Write metrics.json, report.html and translations.csv."""
        from gesta.tasks.text.report import write_report

        rows = [(p.source, said, p.target) for p, said in zip(result.samples, result.outputs, strict=True)]
        header = ("source", "translation", "reference")
        write_report(out, result.manifest.name, result.metrics, "translations.csv", header, rows)

    def graphs(self, bundle: Bundle[TranslationManifest], **_: Any) -> list[Part]:
        from gesta.tasks.text.translate_network import parts

        return parts(bundle)

    def feeds(self, bundle: Bundle[TranslationManifest], examples: Examples) -> dict[tuple[str, str], list[Any]]:
        from gesta.tasks.text.translate_export import feeds

        return feeds(examples.inputs, self.load(bundle, Placement("torch", "cpu")))

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yield translations of files with one sentence per line."""
        for path in wanted.inputs:
            try:
                sentences = [" ".join(words) for words in data.read_lines(path)]
            except GestaError as error:
                failed.append(str(error))
                continue
            if unknown := predictor.unknown(sentences):
                yield Said(None, f"{path}: the model does not know {some(unknown)}: read as {UNKNOWN}.")
            for sentence, found in zip(sentences, predictor.translate(sentences), strict=True):
                document = {"input": str(path), "source": sentence, "translation": found.text}
                yield Said(document | {"score": found.score}, found.text)

    def step_unit(self, manifest: TranslationManifest) -> str:  # noqa: ARG002
        return "sentence"

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        if command == "train":
            metrics = document["metrics"]
            loss = (
                f"loss      {metrics['val_loss']:.4f} nats per word"
                if "val_loss" in metrics
                else "loss      not measured"
            )
            return shared.trained(document, [loss])
        if command == "evaluate":
            bleu, ratio = document["bleu"], document["length_ratio"]
            return [
                f"BLEU      {bleu:.2f} (sacrebleu, tokens as they are; {document['beams']} beams)",
                f"length    {ratio:.3f} of the references'; {document['n']} sentences; engine {document['engine']}",
            ]
        if command == "benchmark":
            return [
                *shared.benchmark_head(document),
                *shared.latency_table(document, shared.times_of(sentence="sentence")),
            ]
        return shared.exported(document, [f"network  {a['file']}" for a in document["artifacts"]], "SENTENCE")


TASK = TranslationTask()
