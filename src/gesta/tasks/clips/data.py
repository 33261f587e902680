"""Cached clips as training examples. A clip's frames and affine map are pure functions of (seed, epoch)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gesta.clips import shards
from gesta.clips.flow import flow_mirrored
from gesta.clips.sampling import feed, to_network
from gesta.clips.skeleton_augment import mirrored as mirrored_joints
from gesta.clips.skeleton_sets import JointSet, joint_set
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.augment import choose_frames, draw_affine, generator, moves_pixels
from gesta.tasks.clips.recipe import AugmentationSettings
from gesta.tasks.clips.views import ClipStore, View
from gesta.training.data import Batch

HELD_BYTES = 512 * 2**20
"""Memory limit for the clips of one part; clips beyond it are memory-mapped from the cache each time."""


class Item(NamedTuple):
    """One clip: pixels [T, S, H, W, C] or a skeleton [T, J, D], its class, the frame where the labeled part begins, and
    an affine map or None.

    `place`: index in the set; `views`: what the teachers see of it.
    """

    pixels: NDArray[Any]
    target: int
    start: int = 0
    theta: NDArray[np.float32] | None = None
    place: int = 0
    views: tuple[NDArray[Any], ...] = ()


@dataclass
class ClipSet(Dataset):
    """Labeled clips by index. With `augmentation`, items depend on the epoch set by `epoch`.

    `soft`: the teachers' answers for each clip, [n, N]; or `views`: how each teacher sees an item. `view_count`: number
    of versions of each clip, used in turn; None: a new one in each epoch.
    """

    samples: Sequence[Sample]
    labels: Sequence[str]
    transform: Transform
    store: ClipStore
    augmentation: AugmentationSettings | None = None
    seed: int = 0
    epoch: int = 0
    before: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    soft: Tensor | None = None
    views: Sequence[View] = ()
    view_count: int | None = None
    _held: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    _held_bytes: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        sample = self.samples[index]
        pixels = self._pixels(sample)
        target = list(self.labels).index(str(sample.label))
        if self.augmentation is None:
            return Item(np.asarray(pixels), target, place=index)
        rng = generator(self.seed, self.view_id, index)
        chosen = choose_frames(len(pixels), self.augmentation, rng)
        theta = self._map(self.augmentation, rng)
        taken = np.asarray(pixels[chosen])
        start = 0
        if self.augmentation.context > 0:
            context = self._context(sample, self.augmentation, rng)
            taken, start = np.concatenate([context, taken]), len(context)
        flipped = theta is not None and bool(np.linalg.det(theta[:, :2]) < 0)
        taken = self._augmented(taken, self.augmentation, flipped, rng)
        views = tuple(view.pixels(sample, chosen, self.transform, self.store) for view in self.views)
        return Item(_fitted(taken, self.transform), target, start, theta, index, views)

    def expect(self, places: Sequence[int]) -> None:
        """Announces the next clips, so that packed ones are read in parallel."""
        shards.expect(self.samples[i] for i in places if self.samples[i].id not in self._held)

    def _augmented(
        self, taken: NDArray[Any], settings: AugmentationSettings, flipped: bool, rng: np.random.Generator
    ) -> NDArray[Any]:
        """Applies the augmentation that the affine map of the crops does not cover: flow and joints of a `flipped`
        clip, noise on joints."""
        fused = self.transform.fused
        if flipped and fused:
            taken["pixels"] = flow_mirrored(taken["pixels"], self.transform.planes)
        elif flipped:
            taken = flow_mirrored(taken, self.transform.planes)
        if self._joints is None or (settings.skeleton is None and not flipped):
            return taken
        skeleton = taken["skeleton"] if fused else taken
        skeleton = mirrored_joints(skeleton, self._joints) if flipped else skeleton
        moved = skeleton if settings.skeleton is None else settings.skeleton(skeleton, self._joints, rng)
        if not fused:
            return moved
        taken["skeleton"] = moved
        return taken

    @property
    def view_id(self) -> int:
        """Index of the clips' version in this epoch."""
        return self.epoch if self.view_count is None else self.epoch % self.view_count

    @cached_property
    def _joints(self) -> JointSet | None:
        """Joint set of a skeleton stream."""
        return None if self.transform.skeleton is None else joint_set(self.transform.skeleton.joints)

    def _map(self, settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.float32] | None:
        """Returns the affine map of the crops; None without one, and for skeletons."""
        moves = bool(self.transform.pictures) and moves_pixels(settings)
        return draw_affine(self.transform.size, settings, rng) if moves else None

    def _pixels(self, sample: Sample) -> NDArray[Any]:
        """Returns a clip's pixels, cached in memory while there is room."""
        if sample.id not in self._held:
            pixels = self.store.load(sample, self.transform).pixels
            if self._held_bytes + pixels.nbytes > HELD_BYTES:
                return pixels
            self._held[sample.id] = np.array(pixels)
            self._held_bytes += pixels.nbytes
        return self._held[sample.id]

    def _context(self, sample: Sample, settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[Any]:
        """Returns the last frames before the gesture; empty if there are none or by the random draw."""
        share, length = rng.random(), int(rng.integers(1, settings.context_frames + 1))
        parts = [self.transform.empty(0)]
        for earlier in self.before.get(sample.id, ()) if share < settings.context else ():
            with contextlib.suppress(GestaError):  # ignore a rest that cannot be read
                parts.append(self._pixels(earlier)[-length:])
        return np.concatenate(parts)[-length:]

    def collate(self, items: Sequence[Item]) -> Batch:
        """Batches items, shorter clips padded with zeros; "skeleton" and "present" as in `sampling.feed`."""
        inputs, lengths = feed([item.pixels for item in items], self.transform.chunk)
        batch = {
            **{name: torch.from_numpy(array) for name, array in inputs.items()},
            "lengths": torch.from_numpy(lengths),
            "target": torch.tensor([item.target for item in items]),
            "start": torch.tensor([item.start for item in items]),
        }
        maps = [item.theta for item in items if item.theta is not None]
        if maps:
            batch["theta"] = torch.from_numpy(np.stack(maps))
        if self.soft is not None:
            batch["soft"] = self.soft[[item.place for item in items]]
        if self.view_count is not None:
            batch["view_id"] = torch.tensor([[item.place, self.view_id] for item in items])
        for j, view in enumerate(self.views):
            clip, lengths = to_network([item.views[j] for item in items], view.transform.chunk)
            batch |= {f"view{j}": torch.from_numpy(clip), f"view{j}_lengths": torch.from_numpy(lengths)}
        return batch


def _fitted(pixels: NDArray[Any], transform: Transform) -> NDArray[Any]:
    """Crops or zero-pads a clip to exactly `window` frames for the central window; otherwise any length is allowed."""
    if transform.sampling != "central":
        return pixels
    pixels = pixels[: transform.window]
    return np.concatenate([pixels, transform.empty(transform.window - len(pixels))])
