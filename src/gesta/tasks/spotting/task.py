"""Gesture spotting in long recordings, implementing the contract in gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing
from gesta.sources import recordings
from gesta.sources.inputs import split_samples
from gesta.sources.recordings import Recording
from gesta.sources.split import folds
from gesta.tasks.base import Evaluation, Parts, Quality, Said, Wanted, deferred, deferred_from
from gesta.tasks.events import KEPT, Seen, measures
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.recipe import SpottingRecipe
from gesta.training.run import Fitted, Run
from gesta.words import counted


class SpottingTask:
    """Finds gestures, with their start and end, in long skeleton recordings, online."""

    name = "spotting"
    title = "gesture spotting"
    unit = "recordings"
    recipe = SpottingRecipe
    manifest = SpottingManifest
    default_recipe = "spotting/tcn"
    quality = Quality("val_jaccard", "jaccard", True, "%")
    kept = KEPT
    trained_stage = "network"
    needs_validation = True
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"layout"}),
        "evaluate": frozenset({"shuffled"}),
        "export": frozenset({"seed", "seconds"}),
        "predict": frozenset({"stream"}),
        "benchmark": frozenset(),
    }

    predictor = deferred("gesta.tasks.spotting.predict:Spotter")
    identities = deferred("gesta.tasks.spotting.data:identities")
    outputs = deferred("gesta.tasks.spotting.evaluate:outputs")
    examples, feeds, compare, timings = deferred_from("gesta.tasks.spotting.export", "examples feeds compare timings")
    report = deferred("gesta.tasks.events_report:report")
    web = deferred("gesta.tasks.spotting.web:web_model")
    """An ability: return what a web page needs from a bundle with an ONNX network."""

    def recognizes(self, data: Path, layout: str | None) -> bool:
        return (layout or recordings.detect(data)) in recordings.READERS

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:  # noqa: ARG002
        return recordings.read(data, layout)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:  # noqa: ARG002
        """Split whole recordings, by subject if known. Single-gesture files are used only for training."""
        whole, isolated = _apart(listing.samples)
        divided, notes = split_samples(replace(listing, samples=tuple(whole)), seed, protocol)
        if isolated:
            notes = (*notes, f"{counted(len(isolated), 'file')} of a single gesture: used for training only.")
        return Parts(replace(divided, samples=(*divided.samples, *isolated)), notes)

    def folds(self, samples: Sequence[Recording], recipe: Any, by: str, k: int | None) -> list[Any]:  # noqa: ARG002
        """Return folds of whole recordings. Single-gesture files are in the training part of every fold."""
        whole, isolated = _apart(samples)
        return [(name, [*train, *isolated], test) for name, train, test in folds(whole, by=by, k=k, seed=0)]  # type: ignore[arg-type]

    def fit(self, parts: Parts, recipe: SpottingRecipe, run: Run, start: Path | None = None, **options: Any) -> Fitted:
        from gesta.tasks.spotting.fit import fit

        if start is not None:
            raise GestaError(f"--from: {self.title} cannot start from a bundle. Leave it out.", usage=True)
        return fit(parts, recipe, run, drawn=not options.get("light"))

    def load(self, bundle: Bundle[SpottingManifest], at: Placement, *, shuffled: bool = False, **_: Any) -> Any:
        """`shuffled`: in evaluation, put the frames of each gesture in random order."""
        from gesta.tasks.spotting.predict import load

        found = load(bundle, at)
        found.shuffled = shuffled
        return found

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yield the events of files and folders; with --stream, each as soon as it is decided."""
        from gesta.tasks.events_text import event_document

        for path in wanted.inputs:
            try:
                found = self.read(Path(path), wanted.layout)
            except GestaError as error:
                failed.append(str(error))
                continue
            failed += map(str, found.problems)
            for recording in found.samples:
                name = str(path) if len(found.samples) == 1 else recording.id
                yield Said(None, name, heading=True)
                try:
                    events = predictor.stream(recording) if wanted.stream else predictor.predict(recording)
                    for event in events:
                        yield Said({"input": name, **event_document(event)}, event.line)
                except GestaError as error:
                    failed.append(str(error))

    def labeled(self, samples: Sequence[Recording], manifest: SpottingManifest) -> list[Recording]:
        """Return the labeled whole recordings. Raises GestaError if there are none or no gesture is known."""
        found = [r for r in samples if r.label is not None and not r.isolated]
        labels = {span.label for r in found for span in r.spans}
        if not found or (labels and not labels & set(manifest.gestures)):
            known = f"the model knows none of the gestures {', '.join(sorted(labels)[:10])}"
            raise GestaError(
                f"nothing to measure: {known if found else f'none of the {len(samples)} recordings has labels'}. "
                f"It spots {', '.join(manifest.gestures)}. Choose another split or data folder."
            )
        return found

    def evaluate(self, predictor: Any, samples: Sequence[Recording], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        from gesta.tasks.spotting.evaluate import evaluation

        return evaluation(predictor, samples, outputs)

    def warnings(self, listing: Listing, manifest: SpottingManifest) -> list[str]:  # noqa: ARG002
        return []

    def trial_facts(self, predictor: Any, result: Evaluation, total: int, seed: int) -> dict[str, Any]:  # noqa: ARG002
        """An ability: the events of each recording, so that all folds can be evaluated together."""
        return {"recordings": [one.document for one in result.facts["seen"]]}

    def pooled(self, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """An ability: the metrics over the recordings of several trials together."""
        return measures([Seen.read(one) for trial in trials for one in trial["recordings"]])

    def graphs(self, bundle: Bundle[SpottingManifest], **_: Any) -> list[Part]:
        from gesta.tasks.spotting.network import parts

        return parts(bundle)

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        from gesta.tasks.spotting import text

        return text.LINES[command](document)

    def follow(self, predictor: Any, threshold: float | None = None) -> Any:
        """An ability: return an object that turns a source's skeletons into events (gesta.live.session.Follower)."""
        from gesta.tasks.spotting.predict import Spotter

        manifest = predictor.manifest
        still = np.zeros((1, len(manifest.space.joints), manifest.space.dimensions), np.float32)
        predictor.probabilities(still)  # warm up the network
        if threshold is None:
            return predictor.open_stream()
        changed = manifest.model_copy(update={"decoder": manifest.decoder.at(threshold)})
        return Spotter(predictor.engine, changed).open_stream()

    def web_check(self, manifest: SpottingManifest) -> None:
        """Accept every spotter: all run in a web page, fed by a tracker."""

    def play(self, predictor: Any, path: Path) -> Iterator[tuple[NDArray[Any], float]]:
        """An ability: yield the skeletons of a file with their times, as `follow` expects them."""
        from gesta.tasks.spotting import data
        from gesta.tasks.spotting.predict import one

        values, times = data.raw(predictor.named(one(path)), predictor.manifest)
        yield from zip(values, times.tolist(), strict=True)

    def step_unit(self, manifest: SpottingManifest) -> str:  # noqa: ARG002
        return "frame"


def _apart(samples: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Return (whole recordings, single-gesture files)."""
    return [r for r in samples if not r.isolated], [r for r in samples if r.isolated]


TASK = SpottingTask()
