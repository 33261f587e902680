"""Gesture and action recognition in clips, implementing the interface in gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, Listing, Prediction, Problem, Sample
from gesta.sources.inputs import one_sample, read_as, read_data, split_samples
from gesta.tasks import classification
from gesta.tasks.base import Bar, Evaluation, Parts, Said, Wanted, deferred, deferred_from
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.run import Fitted, Run


class ClipTask(classification.Classifies):
    """Classifies clips of RGB, depth and skeleton, as a whole or as a stream."""

    name = "clips"
    title = "gesture recognition in clips"
    unit = "clips"
    recipe = ClipRecipe
    manifest = ClipManifest
    default_recipe = "auto"
    trained_stage = "network"
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"devices", "nodes", "protocol", "layout", "start", "freeze", "final"}),
        "evaluate": frozenset({"protocol", "shuffled"}),
        "export": frozenset({"protocol", "seed", "seconds"}),
        "predict": frozenset({"stream", "annotate", "skeleton", "depth"}),
        "benchmark": frozenset({"train", "device", "seed"}),
        "compress": frozenset({"keep", "sparsity", "epochs", "steps", "teacher", "distil", "sets", "protocol"}),
        "prune": frozenset({"protocol"}),
    }

    identities = deferred("gesta.tasks.clips.evaluate:identities")
    predictor = deferred("gesta.tasks.clips.predict:Recognizer")
    enroll = deferred("gesta.tasks.clips.enroll:enrolled")
    """Appends the samples' classes to the bundle's own without training: (network, manifest, unusable samples)."""
    recipe_from = deferred("gesta.tasks.clips.transfer:recipe_from")
    """Returns a recipe to continue from a bundle: its network and input, the recipe's training (None: its own)."""
    from_scratch = deferred("gesta.tasks.clips.transfer:from_scratch")
    """Returns the recipe without pretrained weights."""
    prepare = deferred("gesta.tasks.clips.trial:prepare")
    """Preprocesses the clips once for several parallel trainings."""
    inspect_page = deferred("gesta.audit.page:write_html")
    """Writes the report as a page with pictures."""
    embeds = deferred("gesta.tasks.encoders:states_of")
    """Returns the FeatureRecipe that identifies these vectors."""
    rates = deferred("gesta.tasks.clips.benchmark:rates")
    """Returns what `gesta benchmark` reports besides latencies, and a function that extends each of their rows."""
    web_check = deferred("gesta.tasks.clips.web:check")
    """Raises GestaError if the model cannot run in a browser."""
    web = deferred("gesta.tasks.clips.web:web_model")
    """Ability: returns what the browser page needs of a bundle with ONNX networks."""
    distil = deferred("gesta.tasks.clips.distil:teachers_of")
    """Opens the teachers that a recipe names (--set teacher=BUNDLE)."""
    fine_tune = deferred("gesta.tasks.clips.fine_tune:fine_tune")
    """Continues training from the weights; masked weights stay zero."""
    can_prune_channels = deferred("gesta.tasks.clips.channels:prunable_channels")
    """Returns whether `prune_channels` supports a network of these weights."""
    prune_channels = deferred("gesta.tasks.clips.prune_channels:narrowed")
    """Returns (weights of a narrower network with at most `parameters` parameters, its recipe)."""
    examples, feeds, compare, timings = deferred_from("gesta.tasks.clips.export", "examples feeds compare timings")

    def recognizes(self, data: Path, layout: str | None) -> bool:  # noqa: ARG002
        return True

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:
        return read_data(data, layout, like)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        return Parts(*split_samples(listing, seed, protocol, recipe))

    def fit(
        self, parts: Parts, recipe: ClipRecipe, run: Run, start: Path | None = None, final: bool = False, **_: Any
    ) -> Fitted:
        from gesta.tasks.clips import final as last
        from gesta.tasks.clips.fit import fit
        from gesta.tasks.clips.transfer import warm_start

        def once(samples: Sequence[Sample], recipe: ClipRecipe, run: Run) -> Fitted:
            continuous = recipe.continuous is not None
            warm, told = (None, ()) if start is None else warm_start(start, samples, run.seed, continuous)
            noted = replace(run, notes=(*run.notes, *told))
            layout, teachers = parts.listing.layout, self.distil(recipe)
            fitted = fit(samples, recipe, noted, layout=layout, warm=warm, teachers=teachers)
            return replace(fitted, notes=(*fitted.notes, *told))

        samples = parts.listing.samples
        fitted = once(samples, recipe, run)
        return last.refitted(fitted, samples, recipe, run, once) if final else fitted

    def resolve(self, parts: Parts, recipe: ClipRecipe) -> tuple[ClipRecipe, list[str]]:
        """Returns the recipe with every "auto" resolved from the training part, and notes on the choices."""
        from gesta.tasks.clips.facts import resolve_for

        return resolve_for(parts.listing, recipe)

    def pack(
        self,
        listing: Listing,
        parts: Parts,
        recipe: ClipRecipe,
        out: Path,
        shard_bytes: int,
        progress: Any,
        told: Any,
    ) -> Any:
        """Ability: packs the clips of a listing into a few large shards, as a training by the recipe on `parts` reads
        them. `told` receives the notes on how the recipe's "auto" values were resolved."""
        from gesta.clips.packing import pack
        from gesta.tasks.clips.pack import plan_of

        plan, notes = plan_of(parts, recipe, shard_bytes)
        told(notes)
        return pack(listing, plan, out, progress)

    def prepare_training(self, parts: Parts, recipe: ClipRecipe, progress: Any = None) -> tuple[Any, ...]:
        """Preprocesses what training and evaluation on these parts read; returns the problems."""
        from gesta.tasks.clips.fit import prepare

        return prepare(parts.listing.samples, recipe, progress)

    def trial_facts(self, predictor: Any, result: Evaluation, total: int, seed: int) -> dict[str, Any]:
        """Returns what an experiment reports about a model besides its quality on `total` samples."""
        from gesta.tasks.clips.trial import shuffled_accuracy

        if predictor.manifest.decoder is not None:
            return {"recordings": [one.document for one in result.facts["seen"]]}
        return {"shuffled_accuracy": shuffled_accuracy(predictor, result, total, seed)}

    def load(self, bundle: Bundle[ClipManifest], at: Placement, *, shuffled: bool = False, **_: Any) -> Any:
        """`shuffled`: evaluate with the frames in random order."""
        from gesta.tasks.clips.predict import load

        found = load(bundle, at)
        found.shuffled = shuffled
        return found

    def inspect(self, listing: Listing, progress: Any = None) -> Any:
        """Returns the report of `gesta data inspect`."""
        from gesta.audit import inspection

        if listing.samples and listing.samples[0].files[0].is_packed:
            raise GestaError(
                f"{listing.root}: contains preprocessed clips; only recordings can be inspected. `sha256sum -c "
                "SHA256SUMS` in it shows whether its shards are intact.",
                usage=True,
            )
        return inspection.inspect(listing, progress)

    def warnings(self, listing: Listing, manifest: ClipManifest) -> list[str]:  # noqa: ARG002
        return read_as(listing)

    def labeled(self, samples: Sequence[Sample], manifest: ClipManifest) -> list[Sample]:
        """For continuous recognizers, includes samples labeled as no gesture."""
        if manifest.decoder is None:
            return classification.labeled(samples, manifest)
        from gesta.tasks.clips.spot import labeled

        return labeled(samples, manifest)

    def outputs(
        self, predictor: Any, samples: Sequence[Sample], bar: Bar
    ) -> tuple[list[Any], NDArray[Any], list[Problem]]:
        """For continuous recognizers, uses whole recordings, joined from clips if necessary."""
        if predictor.manifest.decoder is not None:
            from gesta.tasks.clips import spot

            return spot.outputs(predictor, samples, bar)
        from gesta.tasks.clips.evaluate import outputs

        return outputs(predictor, samples, bar)

    def evaluate(self, predictor: Any, samples: Sequence[Any], outputs: NDArray[Any], seed: int) -> Evaluation:
        if predictor.manifest.decoder is None:
            from gesta.tasks.clips.evaluate import with_withheld

            return with_withheld(super().evaluate(predictor, samples, outputs, seed))
        from gesta.tasks.clips.spot import evaluation

        return evaluation(predictor, samples, outputs)

    def report(self, result: Evaluation, out: Path) -> None:
        if result.manifest.decoder is not None:
            from gesta.tasks import events_report

            events_report.report(result, out)
        else:
            from gesta.tasks.classification_report import report
            from gesta.tasks.clips.report import strips_of

            report(result, out, strips_of(result.manifest.transform))

    def graphs(self, bundle: Bundle[ClipManifest], **_: Any) -> list[Part]:
        from gesta.tasks.clips.network import parts

        return parts(bundle)

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Yields the predictions for each file; for continuous recognizers, its events."""
        from gesta.tasks.clips.annotate import annotate
        from gesta.tasks.clips.evaluate import answers
        from gesta.tasks.clips.inputs import notes
        from gesta.tasks.predicting import predictions, spotted

        noted: set[str] = set()

        def follow(sample: Sample) -> Iterator[Prediction]:
            noted.update(notes(sample, predictor.manifest))
            return predictor.stream(sample)  # type: ignore[no-any-return]

        if predictor.manifest.decoder is not None and wanted.annotate is None:
            yield from spotted(wanted, failed, predictor.events)
            return
        yield from predictions(
            wanted,
            failed,
            lambda items, lost: answers(predictor, items, lost, noted),
            follow,
            lambda sample, out: annotate(predictor, sample, out),
        )
        yield from (Said(None, f"Note, different from training: {note}") for note in sorted(noted))

    def embed(self, predictor: Any, sample: Sample) -> NDArray[Any]:
        """Returns the network's states over a recording, [K, D]."""
        found: NDArray[Any] = predictor.states(sample)
        return found

    def class_probabilities(self, predictor: Any, sample: Sample) -> NDArray[Any]:
        """Returns the probabilities of the classes after each chunk of a recording, [K, N]."""
        found: NDArray[Any] = predictor.class_probabilities(sample)
        return found

    def train_rate(self, bundle: Bundle[ClipManifest], samples: Sequence[Sample], device: str, seed: int) -> Any:
        """Measures training speed in clips per second."""
        from gesta.tasks.clips.train_benchmark import train_benchmark

        return train_benchmark(bundle, samples, device=device, seed=seed)

    def standalone(self, bundle: Bundle[ClipManifest]) -> tuple[dict[str, bytes], str]:
        """Returns (files written beside an ONNX export for use without gesta, a sentence on what they need)."""
        from gesta.tasks.clips.standalone import files

        return files.files(bundle), files.told(bundle.manifest)

    def follow(self, predictor: Any, threshold: float | None = None) -> Any:
        """Ability: returns a follower that turns a source's images into events (gesta.live.session.Follower)."""
        stream, transform = predictor.open_stream(), predictor.manifest.transform
        stream.push_preprocessed(transform.empty(transform.chunk))  # warm up the network
        stream.reset()
        return predictor.open_events(threshold)

    def play(self, predictor: Any, path: Path) -> Iterator[tuple[NDArray[Any], float]]:
        """Ability: yields the skeletons of a file with their times, as `follow` takes them."""
        from gesta.clips.preprocess import raw_frames

        for frame in raw_frames(one_sample(path), predictor.manifest.transform):
            yield frame.joints, frame.time_s  # type: ignore[misc]

    def step_unit(self, manifest: ClipManifest) -> str:  # noqa: ARG002
        return "chunk"

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        from gesta.tasks.clips import text

        return text.LINES[command](document)


TASK = ClipTask()
