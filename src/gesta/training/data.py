"""Examples -> batches. The order, and what comes out, are pure functions of (seed, epoch)."""

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
"""clip uint8 [B, S, C, T, H, W], lengths [B] frames, target [B]; start [B], the frame where the labeled part begins;
when augmented also theta [B, 2, 3]. With teachers also soft [B, N], their answers, or for each j what it is to see:
view<j> uint8 [B, S, C, T, H, W], view<j>_lengths [B], and of a number of views which one it is: view_id [B, 2]."""


EXPECTED = 64


class Examples(Protocol):
    """What batches are made of: clips, or images. In training, what an item is may depend on `epoch`."""

    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def collate(self, items: Sequence[Any]) -> Batch: ...


class ByIndex(Dataset):
    """Examples whose items are their indices: `collate` takes a batch from arrays at once."""

    def __getitem__(self, index: int) -> int:
        return index


@dataclass
class EpochBatches:
    """Batches of indices of one epoch, shuffled by (seed, epoch); sizes differ by one at most, so none is tiny.

    Of several processes (`world`) each takes its share of every batch; in training all take equally many batches.
    Lightning calls `set_epoch`, which also tells the clips. Clips that have `expect` hear the indices of about
    EXPECTED of them before their batches come.
    """

    clips: Examples
    batch: int
    shuffle: bool
    seed: int = 0
    rank: int = 0
    world: int = 1

    @property
    def sampler(self) -> EpochBatches:
        """Where Lightning looks for `set_epoch`: on the sampler behind a loader's batch sampler."""
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
    """Batches of at most `batch` clips in each of `world` processes."""
    return -(-clips // (batch * world))


Set = TypeVar("Set", bound=Examples)


class TrainingData(pl.LightningDataModule, Generic[Set]):
    """Training and validation batches. `num_workers=0`: mapping clips from the disk is not worth a process."""

    def __init__(self, train: Set, val: Set, batch: int, seed: int) -> None:
        super().__init__()
        self.train, self.val, self.batch, self.seed = train, val, batch, seed

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._loader(self.val, shuffle=False) if len(self.val) else []

    def _loader(self, clips: Examples, *, shuffle: bool) -> DataLoader[Any]:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if not shuffle and len(clips) < world * batches_an_epoch(len(clips), self.batch, world):
            rank, world = 0, 1  # too few to share: every process sees all of them, and its sums count alike
        batches = EpochBatches(clips, self.batch, shuffle, self.seed, rank, world)
        return _Ahead(
            clips,  # type: ignore[arg-type]
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=clips.collate,
            num_workers=0,
            generator=torch.Generator(),  # the loader draws a number of its own, at moments that a resume changes
        )


class _Ahead(DataLoader):
    """Makes the next batches in a thread while the network learns: what a batch holds does not depend on when."""

    def __iter__(self) -> Any:
        batches = super().__iter__()
        return ahead((batch for batch in batches), depth=2)
