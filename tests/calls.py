"""Short calls for tests: a training, a measurement and an export with what each test wants to say, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUN = ("seed", "resume", "device", "devices", "nodes", "progress", "notes", "followed")


def run_of(out: Path, options: dict[str, Any]) -> Any:
    """The Run of a training, taking its fields out of the options."""
    from gesta.training.run import Run

    given = {name: options.pop(name) for name in RUN if name in options}
    if "notes" in given:
        given["notes"] = tuple(given["notes"])
    return Run(out, **given)


def fit(samples: Any, recipe: Any, out: Path, *, layout: str = "memory", **options: Any) -> Any:
    """Trains a recognizer of clips."""
    from gesta.tasks.clips.fit import fit as train
    from gesta.tasks.clips.learn import Warm

    network, transform = options.pop("network", None), options.pop("transform", None)
    if network is not None:
        options["warm"] = Warm(network, transform)
    return train(samples, recipe, run_of(out, options), layout=layout, **options)


def fit_pose(frames: Any, recipe: Any, out: Path, *, layout: str, joint_names: Any, **options: Any) -> Any:
    """Trains a hand pose model."""
    from gesta.schema import HandListing
    from gesta.tasks.hands.fit import fit as train

    listing = HandListing(Path(), layout, tuple(frames), (), tuple(joint_names))
    return train(listing, recipe, run_of(out, options), **options)


def divided(features: Path, seed: int = 0) -> tuple[list[Any], list[str]]:
    """The labeled videos of a feature folder that have features, with their splits; notes on these."""
    from gesta.tasks.features.task import TASK

    parts = TASK.split(TASK.read(features), seed, {})
    return [sample for sample in TASK.usable(parts.listing) if sample.label is not None], list(parts.notes)


def fit_sequences(features: Path, recipe: Any, out: Path, *, samples: Any = None, **options: Any) -> Any:
    """Trains a classifier of stored features; without `samples` people are divided."""
    from dataclasses import replace

    from gesta.tasks.feature_store import FeatureFolder
    from gesta.tasks.features.fit import fit as train

    folder, run = FeatureFolder(features, recipe.features.model_dump()), run_of(out, options)
    if samples is None:
        samples, notes = divided(features, run.seed)
        run = replace(run, notes=(*run.notes, *notes))
    return train(folder, recipe, run, samples, **options)


def evaluate(
    bundle: Any, samples: Any, *, engine: str | None = None, device: str = "auto", out: Any = None, **options: Any
) -> Any:
    """Measures a bundle of any task; with `out` writes the report."""
    from gesta.engines.base import Placement
    from gesta.evaluation.run import evaluate as measure
    from gesta.tasks import catalog

    options.pop("cache", None)
    result = measure(bundle, samples, Placement(engine, device), **options)
    if out is not None:
        catalog.of_bundle(bundle)[0].report(result, out)
    return result


def export(bundle: Any, out: Path, to: str = "openvino", **options: Any) -> Any:
    """Exports a bundle of any task, without measuring latencies."""
    from gesta.exporting.run import Export, export_bundle

    names = ("precision", "force", "overwrite", "seconds", "roles")
    how = {"seconds": 0.0, **{name: options.pop(name) for name in names if name in options}}
    return export_bundle(bundle, out, Export(to, **how), **options)


def load(path: Any, engine: str | None = None, **options: Any) -> Any:
    """A bundle of any task at work."""
    import gesta

    options = {"backbone_weights" if name == "backbone" else name: value for name, value in options.items()}
    return gesta.load(path, engine, **options)


def clip_examples(clips: Any, source: str = "validation") -> Any:
    """Preprocessed clips as what networks are compared on."""
    from gesta.tasks.base import Examples

    return Examples([clip.pixels for clip in clips], [clip.label for clip in clips], source)


def add_networks(bundle: Any, clips: Any = None, engine: str = "openvino") -> Any:
    """Adds exported networks to a bundle, compared on preprocessed clips; how the worst compares."""
    from gesta.exporting.run import add

    agreements = add(bundle, None if clips is None else clip_examples(clips), engine)
    return next(iter(max(agreements, key=lambda one: one.difference).fields.values()))


def parts_of(samples: Any, layout: str = "memory") -> Any:
    """Samples that have their splits, as compression and trainings take them."""
    from gesta.schema import Listing
    from gesta.tasks.base import Parts

    return Parts(Listing(Path(), layout, tuple(samples)))


def in_memory(monkeypatch: Any, store: Any) -> None:
    """Takes clips from a store in the place of the cache on disk."""
    for module in ("fit", "evaluate", "export"):
        monkeypatch.setattr(f"gesta.tasks.clips.{module}.ClipCache", lambda *_: store)
