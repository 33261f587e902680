"""Batches of hand frames: patches and joints that move together. Items depend only on (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from gesta.tasks.hands.cache import HandWindows
from gesta.tasks.hands.cube import vary
from gesta.tasks.hands.recipe import PoseAugmentationSettings
from gesta.tasks.hands.transform import HandTransform
from gesta.training.data import Batch

Item = tuple[NDArray[np.float32], NDArray[np.float32], float]
"""(image [C, S, S], joints [J, 3] in units of half a cube, half the cube's side in mm)."""


@dataclass
class HandSet(Dataset):
    """Hands by index. With `augmentation`, a new rotation, shift and scale of the cube is drawn each epoch."""

    windows: HandWindows
    joints_mm: NDArray[np.float32]  # N J 3
    transform: HandTransform
    augmentation: PoseAugmentationSettings | None = None
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.joints_mm)

    def __getitem__(self, index: int) -> Item:
        cube = self.windows.cubes[index]
        if self.augmentation is not None and self.augmentation.active:
            settings = self.augmentation
            rng = np.random.default_rng([self.seed, self.epoch, index])
            shift, scale = settings.shift_mm, settings.scale
            cube = vary(cube, rng, turn=settings.rotation_deg, shift_mm=shift, scale=scale)
        image = self.windows.preprocessed(index, self.transform, cube)
        return image, cube.normalize(self.joints_mm[index]).astype(np.float32), cube.side_mm / 2

    def collate(self, items: Sequence[Item]) -> Batch:
        """Return hand float32 [B, C, S, S], joints [B, J, 3] in units of half a cube, half_mm [B]."""
        images, joints, halves = zip(*items, strict=True)
        return {
            "hand": torch.from_numpy(np.stack(images)),
            "joints": torch.from_numpy(np.stack(joints)),
            "half_mm": torch.tensor(halves, dtype=torch.float32),
        }

    def poses(self) -> torch.Tensor:
        """Return all joints [N, J, 3] in units of half a cube, not augmented."""
        cubes = self.windows.cubes
        found = [cube.normalize(joints) for cube, joints in zip(cubes, self.joints_mm, strict=True)]
        return torch.from_numpy(np.stack(found).astype(np.float32))


def color_statistics(
    windows: HandWindows, transform: HandTransform
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the mean and deviation of each channel (0 to 255) over all pixels of all patches, including masked."""
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for index in range(len(windows)):
        _, color = windows.patch(index, transform)
        assert color is not None
        flat = color.reshape(-1, 3).astype(np.float64)
        total += flat.sum(0)
        squares += np.square(flat).sum(0)
        count += len(flat)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
    (r, g, b), (dr, dg, db) = (tuple(float(v) for v in values) for values in (mean, deviation))
    return (r, g, b), (dr, dg, db)
