"""Batching of examples. The order and the content of batches are pure functions of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gesta.clips.ahead import ahead

Batch = dict[str, Tensor]
"""clip uint8 [B, S, C, T, H, W], lengths [B] in frames, target [B]; start [B], the frame where the labeled part begins;
when augmented, also theta [B, 2, 3]. With teachers, also their predictions soft [B, N], or the input of each teacher j:
view<j> uint8 [B, S, C, T, H, W], view<j>_lengths [B], and, if there are several views, which one it is: view_id
[B, 2]."""


EXPECTED = 64


class Examples(Protocol):
    """A set of clips or images to make batches from. In training, items may depend on `epoch`."""

    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def collate(self, items: Sequence[Any]) -> Batch: ...


class ByIndex(Dataset):
    """Examples whose items are their indices, so that `collate` can slice a whole batch from arrays."""

    def __getitem__(self, index: int) -> int:
        return index


@dataclass
class EpochBatches:
    """Batches of indices for one epoch, shuffled by (seed, epoch); sizes differ by at most one, so none is tiny.

    With several processes (`world`), each takes its share of every batch; in training, all get the same number of
    batches. Lightning calls `set_epoch`, which also sets the epoch of the clips. If the clips have a method `expect`,
    it is called with indices in advance, about EXPECTED clips ahead of their batches.
    """

    clips: Examples
    batch: int
    shuffle: bool
    seed: int = 0
    rank: int = 0
    world: int = 1

    @property
    def sampler(self) -> EpochBatches:
        """Lightning looks for `set_epoch` on the `sampler` attribute of a loader's batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.clips.epoch = epoch

    def __len__(self) -> int:
        return batches_an_epoch(len(self.clips), self.batch, self.world)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(len(self.clips))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.clips.epoch]).permutation(len(order))
            order = np.concatenate([order, order[: -len(order) % self.world]])
        parts = np.array_split(order[self.rank :: self.world], len(self))
        tell = getattr(self.clips, "expect", lambda _indices: None)
        early = -(-EXPECTED // self.batch)
        for part in parts[:early]:
            tell(part)
        for number, part in enumerate(parts):
            if number + early < len(parts):
                tell(parts[number + early])
            yield [int(index) for index in part]


def batches_an_epoch(clips: int, batch: int, world: int = 1) -> int:
    """Returns the number of batches of at most `batch` clips in each of `world` processes."""
    return -(-clips // (batch * world))


Set = TypeVar("Set", bound=Examples)


class TrainingData(pl.LightningDataModule, Generic[Set]):
    """Training and validation batches. `num_workers=0`: memory-mapping clips is too cheap to need worker processes.

    `test`: measured after every epoch, too, for a figure; nothing is chosen by it.
    """

    def __init__(self, train: Set, val: Set, batch: int, seed: int, test: Set | None = None) -> None:
        super().__init__()
        self.train, self.val, self.batch, self.seed, self.test = train, val, batch, seed, test

    @property
    def held(self) -> dict[str, Set]:
        """The parts that are measured after every epoch, by name."""
        return {name: part for name, part in (("val", self.val), ("test", self.test)) if part is not None and len(part)}

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._loader(part, shuffle=False) for part in self.held.values()]

    def _loader(self, clips: Examples, *, shuffle: bool) -> DataLoader[Any]:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if not shuffle and len(clips) < world * batches_an_epoch(len(clips), self.batch, world):
            rank, world = 0, 1  # too few to share: every process sees all of them, with equal weight in the sums
        batches = EpochBatches(clips, self.batch, shuffle, self.seed, rank, world)
        return _Ahead(
            clips,  # type: ignore[arg-type]
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=clips.collate,
            num_workers=0,
            generator=torch.Generator(),  # the loader draws a number itself, at times that differ after resuming
        )


class _Ahead(DataLoader):
    """Prepares the next batches in a thread during training; their content does not depend on timing."""

    def __iter__(self) -> Any:
        batches = super().__iter__()
        return ahead((batch for batch in batches), depth=2)
