"""The task of classifying videos by stored features of a frozen backbone; implements gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing, Sample
from gesta.sources.inputs import read_as, read_data, split_samples
from gesta.tasks import classification
from gesta.tasks.base import Evaluation, Examples, Parts, Said, Wanted, deferred, deferred_from
from gesta.tasks.feature_store import RECIPE, FeatureFolder, FeatureRecipe, listing_of
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.recipe import FeatureClassifierRecipe
from gesta.training.run import Fitted, Run
from gesta.words import command


class FeatureTask(classification.Classifies):
    """One label per video. Trains on a folder made by `gesta features`; evaluates and predicts on videos."""

    name = "features"
    title = "classification of stored features"
    unit = "videos"
    recipe = FeatureClassifierRecipe
    manifest = FeatureManifest
    default_recipe = "iqbal/mean-znorm"
    trained_stage = "head"
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"backbone_weights", "start", "freeze"}),
        "evaluate": frozenset({"protocol", "backbone_weights"}),
        "export": frozenset({"backbone_weights"}),
        "predict": frozenset({"stream", "annotate", "backbone_weights"}),
        "benchmark": frozenset(),
        "compress": frozenset({"backbone_weights"}),
        "prune": frozenset({"protocol", "backbone_weights"}),
        "quantize": frozenset({"backbone_weights"}),
    }

    identities = deferred("gesta.tasks.feature_store:identities")
    outputs = deferred("gesta.tasks.features.evaluate:outputs")
    examples, feeds, compare, timings = deferred_from("gesta.tasks.features.export", "examples feeds compare timings")
    predictor = deferred("gesta.tasks.features.predict:SequenceRecognizer")
    convert = deferred("gesta.tasks.features.export:convert")
    """Convert a network that needs special treatment; return None for any other."""
    follow = deferred("gesta.tasks.features.follow:SegmentFollower")
    """Optional ability: return a follower that turns a source's images into one event per segment.

    See gesta.live.session.Follower.
    """

    def recognizes(self, data: Path, layout: str | None) -> bool:  # noqa: ARG002
        return (data / RECIPE).is_file()

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:
        if self.recognizes(data, layout):
            return listing_of(FeatureFolder(data))
        return read_data(data, layout, like)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        divided, notes = split_samples(listing, seed, protocol, recipe)
        stored = FeatureFolder(listing.root).notes if (listing.root / RECIPE).is_file() else ()
        return Parts(divided, (*notes, *stored))

    def fit(
        self,
        parts: Parts,
        recipe: FeatureClassifierRecipe,
        run: Run,
        start: Path | None = None,
        backbone_weights: str | None = None,
        light: bool = False,
        **_: Any,
    ) -> Fitted:
        """Train a classifier. `light`: omit the backbone from the bundle, for evaluation on stored features."""
        from gesta.tasks.features.fit import fit

        folder = self._folder(parts.listing.root, recipe)
        begun = None if start is None else io.read(start, FeatureManifest)
        samples = [s for s in self.usable(parts.listing) if s.label is not None]
        return fit(folder, recipe, run, samples, start=begun, backbone=backbone_weights, embed=not light)

    def usable(self, listing: Listing) -> list[Sample]:
        """Return the videos that have features."""
        held = {entry.id for entry in FeatureFolder(listing.root).entries}
        return [s for s in listing.samples if s.id in held]

    def _folder(self, data: Path, recipe: FeatureClassifierRecipe) -> FeatureFolder:
        """Return the feature folder. Raises GestaError (usage) without features, with the command that makes them."""
        if (data / RECIPE).is_file():
            return FeatureFolder(data, recipe.features.model_dump())
        asked = [(f"--{name}", value) for name, value in recipe.features.model_dump().items() if value is not None]
        makes = command("gesta", "features", data, *(word for pair in asked for word in pair), "--out", "FEATURES")
        raise GestaError(
            f"{data}: contains no stored features, which the recipe {recipe.name} learns from. Compute them first, "
            f"and train on FEATURES: {makes}",
            usage=True,
        )

    def recipe_from(
        self, start: Path, recipe: FeatureClassifierRecipe | None, sets: Sequence[str]
    ) -> FeatureClassifierRecipe:
        """Return the recipe to continue from a bundle: its network, and the recipe's training (None: the bundle's)."""
        from gesta.tasks.features.transfer import recipe_from

        return recipe_from(io.read(start, FeatureManifest), recipe, sets)

    def load(
        self,
        bundle: Bundle[FeatureManifest],
        at: Placement,
        backbone_weights: str | Path | None = None,
        light: bool = False,
        **_: Any,
    ) -> Any:
        """Load the recognizer. `light`: only the classifier, for stored features; needs PyTorch."""
        from gesta.tasks.features.predict import load, load_head

        return load_head(bundle, at) if light else load(bundle, at, backbone_weights)

    def warnings(self, listing: Listing, manifest: FeatureManifest) -> list[str]:  # noqa: ARG002
        return read_as(listing)

    def report(self, result: Evaluation, out: Path) -> None:
        from gesta.clips.strips import video_strip
        from gesta.tasks.classification_report import report

        report(result, out, lambda sample: (video_strip(sample), None))

    def graphs(
        self, bundle: Bundle[FeatureManifest], backbone_weights: str | Path | None = None, needed: bool = True, **_: Any
    ) -> list[Part]:
        """Return the networks. With `needed` False, the backbone is left out if the bundle does not hold it."""
        from gesta.tasks.features.backbone_source import backbone_of, holds
        from gesta.tasks.features.network import parts

        source = backbone_of(bundle, backbone_weights) if needed or holds(bundle) else None
        return parts(bundle, source)

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        from gesta.tasks.features.annotate import annotate
        from gesta.tasks.features.evaluate import answers
        from gesta.tasks.predicting import predictions

        if wanted.stream:
            predictor.open_stream()  # reject models that cannot stream before predicting anything
        yield from predictions(
            wanted,
            failed,
            lambda items, lost: answers(predictor, items, lost),
            predictor.stream,
            lambda sample, out: annotate(predictor, sample, out),
        )

    def embed(self, predictor: Any, sample: Sample) -> NDArray[Any]:
        """Return the backbone's features of a video, [T, D]."""
        found: NDArray[Any] = predictor.features(sample)
        return found

    def embeds(self, manifest: FeatureManifest) -> FeatureRecipe:
        """Return the settings of these vectors, as recorded by `gesta features`."""
        used = manifest.backbone
        return FeatureRecipe(**used.computed, pooled=True, frames=used.frames, every=used.every)

    def rates(
        self,
        bundle: Bundle[FeatureManifest],
        samples: Sequence[Sample],  # noqa: ARG002
        examples: Examples,
        say: Any,  # noqa: ARG002
    ) -> tuple[dict[str, Any], Any]:
        """Return what `gesta benchmark` reports besides latencies, and what it adds to each of their rows."""
        from gesta.tasks.features.backbone_source import holds

        path, used = bundle.path, bundle.manifest.backbone
        if not holds(bundle):
            raise GestaError(
                f"{path}: its backbone {used.name} is not in the bundle because it is too large. Export the model "
                f"with it and measure that: gesta export {path} --to openvino --backbone-weights FILE --out OUT"
            )
        counts = {"features": [len(video) for video in examples.inputs]}
        return {"model": {"backbone": used.name, "window": used.window}, "inputs": counts}, lambda _e, _p: {}

    def weights(
        self, bundle: Bundle[FeatureManifest], backbone_weights: str | Path | None = None, **_: Any
    ) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Return the weights of both networks; the backbone's come from elsewhere if not in the bundle."""
        from gesta.tasks.features.network import weights

        return weights(bundle, backbone_weights)

    def identity(self, bundle: Bundle[FeatureManifest]) -> str:
        """Return what a measurement depends on besides the classifier's weights."""
        return str(bundle.manifest.backbone.model_dump())

    def step_unit(self, manifest: FeatureManifest) -> str:
        return "frame" if manifest.backbone.window == 1 else "window"

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        from gesta.tasks.features import text

        return text.LINES[command](document)


TASK = FeatureTask()
