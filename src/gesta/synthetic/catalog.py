"""Generators of synthetic data sets, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gesta.synthetic import action_sets, chalearn2014, cifar, described, everyday, nyu_hands

GENERATORS: dict[str, Callable[..., list[str]]] = {"chalearn2014": chalearn2014.make}
"""Name -> function(out, *, people, recordings, size, seed, ...) -> names of the recordings."""

CLIP_GENERATORS: dict[str, Callable[..., list[str]]] = {
    name: partial(action_sets.make, name) for name in action_sets.SETS
}
"""Name -> function(out, *, people, recordings, size, seed, classes, ...) -> names of the videos."""

DESCRIBED_GENERATORS: dict[str, Callable[..., list[str]]] = {"captions": described.make}
"""Name -> function(out, *, people, recordings, size, seed, ...) -> names of the recordings in captions.csv."""

LANDMARK_GENERATORS: dict[str, Callable[..., list[str]]] = {"everyday": everyday.make}
"""Name -> function(out, *, people, recordings, seed, ...) -> paths of the recordings in index.csv."""

IMAGE_GENERATORS: dict[str, Callable[..., list[str]]] = {
    **{kind: partial(cifar.make, kind=kind) for kind in cifar.FOLDERS},
    "nyu": nyu_hands.make,
}
"""Name -> function(out, *, images, seed, ...) -> names of the files."""
