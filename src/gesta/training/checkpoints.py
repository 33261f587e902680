"""Checkpoints, written atomically: a file is complete or absent, even if the process is killed.

`checkpoints/<stage>.ckpt`: Lightning's state after the last finished epoch, for resuming; a pickle of plain values,
loaded with `weights_only=True`. `checkpoints/<stage>-best.safetensors`: the network at its best epoch.
"""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from lightning.fabric.plugins.io import CheckpointIO
from torch import Tensor

from gesta.files import write_whole
from gesta.schema import GestaError


class WholeFileIO(CheckpointIO):
    """Checkpoint I/O for Lightning that saves with `write_whole` and loads with `weights_only=True`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_whole(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:  # noqa: ARG002
        return load_state(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def load_state(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Loads a checkpoint. Raises GestaError if the file is damaged or contains anything but plain values."""
    try:
        return dict(torch.load(path, map_location=map_location, weights_only=True))
    except Exception as error:
        raise GestaError(
            f"{path}: is not a checkpoint of gesta, or is damaged ({error}). "
            "Delete it and train again without --resume."
        ) from error


def save_network(path: Path, network: torch.nn.Module) -> None:
    """Saves the network's tensors as safetensors."""
    write_whole(path, network_bytes(network))


def network_bytes(network: torch.nn.Module) -> bytes:
    """Serializes named parameters and buffers as safetensors, in contiguous memory format."""
    tensors: dict[str, Tensor] = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    return safetensors.torch.save(tensors)


def load_network(path: Path, network: torch.nn.Module) -> None:
    """Loads saved tensors into a network with the same architecture."""
    network.load_state_dict(safetensors.torch.load(path.read_bytes()))


def seed_everything(*parts: int) -> None:
    """Seeds the global generators of Python, NumPy and PyTorch from integers, e.g. (seed, stage, epoch, rank)."""
    value = int(np.random.SeedSequence(parts).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turns the OSError of a full disk into a GestaError with an explanation; other errors pass through."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise GestaError(
            f"{folder}: the disk is full. Finished work is kept: free some space (`gesta cache` shows what "
            "the preprocessed clips take), then run the command again; gesta train resumes with --resume."
        ) from error
