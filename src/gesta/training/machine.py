"""Device selection and silencing of Lightning, shared by feature computation and training."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gesta.schema import GestaError


def accelerator_of(device: str) -> str:
    """Resolves "auto", "cpu" or "cuda" on this machine. Raises GestaError if the device is unknown or missing."""
    if device not in ("auto", "cpu", "cuda"):
        raise GestaError(f"unknown device {device!r}; choose from auto, cpu, cuda.", usage=True)
    if device == "cuda" and not torch.cuda.is_available():
        raise GestaError("No GPU that PyTorch can use was found. Leave --device out to compute on the CPU.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's own output: no tips, summaries, or warnings about loaders."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*lr_scheduler\.step\(\).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
