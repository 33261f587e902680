"""Adds classes to a clip recognizer that compares with examples or prototypes, without training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import nn

from gesta.bundle.io import Bundle
from gesta.bundle.people import fingerprint
from gesta.clips.cache import ClipCache
from gesta.models.nearest import Lookup
from gesta.models.nearest_vote import NearestVote
from gesta.models.prototypes import Prototypes, prototypes_of
from gesta.progress import bar
from gesta.schema import GestaError, Problem, Sample
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.embedding import class_means
from gesta.tasks.clips.evaluate import identities
from gesta.tasks.clips.inputs import require
from gesta.tasks.clips.lookups import MEAN, series_of
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network

Taken = tuple[nn.Module, ClipManifest, tuple[Problem, ...]]


def enrolled(bundle: Bundle[ClipManifest], samples: Sequence[Sample], layout: str, progress: bool = False) -> Taken:
    """Returns (network, manifest, unusable recordings) of the bundle with the samples' classes appended to its own.

    The ranking of its own classes does not change, except with a vote. Raises GestaError for a network that needs
    training for a new class, classes it already has, and a class without any usable clip.
    """
    network, manifest = load_network(bundle), bundle.manifest
    keeping = _keeping(network, bundle)
    used, labels = _new(samples, manifest)
    store = ClipCache()
    with bar("prepare", progress) as tick:
        problems = store.fill(used, manifest.transform, tick)
    lost = {problem.path for problem in problems}
    good = [s for s in used if str(s.files[0]) not in lost]
    if empty := sorted(set(labels) - {str(s.label) for s in good}):
        raise GestaError(f"no usable clip of {', '.join(empty)}. The first problem: {problems[0]}")
    clips = ClipSet(good, labels, manifest.transform, store)
    learner = network.network if isinstance(network, NearestVote) else network
    for part in keeping:
        _add(part, learner, clips, manifest)
    return network, _told(manifest, clips, layout, len(problems), keeping), problems


def _keeping(network: nn.Module, bundle: Bundle[ClipManifest]) -> list[Lookup | Prototypes]:
    """Returns the modules that store the classes: a lookup, prototypes, or both if they vote."""
    learner = network.network if isinstance(network, NearestVote) else network
    found: list[Lookup | Prototypes] = [part for part in network.modules() if isinstance(part, Lookup)]
    head = prototypes_of(network)
    if head is not None:
        found.append(head)
    if head is None and not isinstance(learner, Lookup):
        raise GestaError(
            f"{bundle.path}: {bundle.manifest.network} has a linear last layer, so it learns new classes only by "
            "training: "
            "gesta train DATA --from BUNDLE. Classes can be enrolled in bundles trained with "
            "--set model.head=prototypes or --set model.name=nearest."
        )
    return found


def _new(samples: Sequence[Sample], manifest: ClipManifest) -> tuple[list[Sample], tuple[str, ...]]:
    """Returns the labeled samples and their classes, in order. Raises GestaError for none, or known classes."""
    used = [s for s in samples if s.label is not None]
    labels = tuple(sorted({str(s.label) for s in used}))
    if not labels:
        raise GestaError("There are no labeled recordings to enroll. See docs/data_conventions.md.")
    if known := [label for label in labels if label in manifest.labels]:
        raise GestaError(
            f"{', '.join(known)}: the bundle {manifest.name!r} already knows {'it' if len(known) == 1 else 'them'}. "
            "Enroll new classes only: remove these recordings, or rename their classes."
        )
    for sample in used:
        require(sample, manifest)
    return used, labels


def _add(part: Lookup | Prototypes, learner: nn.Module, clips: ClipSet, manifest: ClipManifest) -> None:
    if isinstance(part, Prototypes):
        part.add(class_means(learner, clips))
        return
    delivered = manifest.metrics.get("baselines", {}).get("delivered", "")
    part.add(*series_of(clips), len(clips.labels), means=str(delivered).startswith(MEAN))


def _told(
    manifest: ClipManifest, clips: ClipSet, layout: str, skipped: int, keeping: Sequence[Lookup | Prototypes]
) -> ClipManifest:
    """Returns the manifest with the new classes and their provenance."""
    origin, many = manifest.provenance, Counter(str(s.label) for s in clips.samples)
    people = {fingerprint(s.subject, layout) for s in clips.samples if s.subject is not None}
    names = ", ".join(f"{label} ({many[label]})" for label in clips.labels)
    note = f"enrolled without training (number of clips in brackets): {names}; metrics are for the other classes only"
    model: dict[str, Any] = dict(manifest.recipe["model"])
    for part in keeping:
        if isinstance(part, Lookup):
            model["examples"] = len(part.examples)
    came = origin.model_copy(
        update={
            "people": tuple(sorted({*origin.people, *people})),
            "samples": tuple(sorted({*origin.samples, *identities(list(clips.samples))})),
            "clips": {**origin.clips, "enrolled": origin.clips.get("enrolled", 0) + len(clips.samples)},
            "skipped": origin.skipped + skipped,
        }
    )
    return manifest.model_copy(
        update={
            "labels": (*manifest.labels, *clips.labels),
            "recipe": {**manifest.recipe, "model": model},
            "notes": (*manifest.notes, note),
            "provenance": came,
        }
    )
