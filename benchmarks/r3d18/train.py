"""Training for a given processor time: a standard recipe for clips, with the learning rate as a function of time."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from clips import Clips
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
"""Mean and deviation of Kinetics, as in torchvision's video presets."""
WARM_UP = 0.1
LABEL_SMOOTHING = 0.1


@dataclass(frozen=True)
class Settings:
    """How to train. `checks`: number of validations, evenly spaced over the training time."""

    minutes: float
    size: int
    batch: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    flip: bool
    checks: int
    seed: int


def train(network: nn.Module, clips: Clips, val: Clips, settings: Settings) -> dict[str, Any]:
    """Trains `network` and keeps the best validated weights; returns epochs, steps, minutes and the history.

    The training time includes validation, except that the last validation may end a little later.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    optimizer = optimizer_of(network, settings)
    budget, began, seen, steps = 60 * settings.minutes, _now(), 0, 0
    history: list[dict[str, float]] = []
    best: tuple[float, float] | None = None
    state: dict[str, Tensor] = {}
    losses: list[float] = []
    batches = endless(len(clips), settings.batch, rng)
    while best is None or len(history) < settings.checks:
        network.train()
        until = budget * (len(history) + 1) / settings.checks
        while (spent := _now() - began) < until:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(spent / budget)
            rows = next(batches)
            images = augmented(clips.pixels[rows], settings, rng)
            loss = F.cross_entropy(
                network(images), torch.from_numpy(clips.labels[rows]), label_smoothing=LABEL_SMOOTHING
            )
            if not torch.isfinite(loss):
                raise SystemExit(f"the loss became {loss.item()} after {steps} steps; lower --learning-rate.")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            seen, steps = seen + len(rows), steps + 1
        accuracy, val_loss = validate(network, val, settings)
        row = {
            "minutes": (_now() - began) / 60,
            "epochs": seen / len(clips),
            "train_loss": float(np.mean(losses or [0.0])),
            "val_accuracy": accuracy,
            "val_loss": val_loss,
        }
        history.append(row)
        losses = []
        print("  ".join(f"{name} {value:.3f}" for name, value in row.items()), file=sys.stderr, flush=True)
        if best is None or (-accuracy, val_loss) < best:
            best = (-accuracy, val_loss)
            state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(state)
    return {
        "epochs": seen / len(clips),
        "steps": steps,
        "minutes": (_now() - began) / 60,
        "val_accuracy": -best[0],
        "history": history,
    }


def _now() -> float:
    """Processor seconds per thread, so that other load on the machine does not shorten the training."""
    return time.process_time() / torch.get_num_threads()


def optimizer_of(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)


def rate(share: float) -> float:
    """One-cycle schedule over the elapsed share of the time: a linear rise in a tenth, then a cosine. In (0, 1]."""
    if share < WARM_UP:
        return 0.04 + 0.96 * share / WARM_UP
    return max(0.5 * (1 + math.cos(math.pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0))), 1e-4)


def endless(count: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of indices, in a new order each epoch; never a batch of a single clip."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count, batch):
            if len(rows := order[start : start + batch]) > 1 or count == 1:
                yield rows


def augmented(pixels: np.ndarray, settings: Settings, rng: np.random.Generator) -> Tensor:
    """uint8 [B, T, H, W, 3] -> float [B, 3, T, S, S]: random crop, brightness, contrast (and flip) per clip."""
    room = pixels.shape[2] - settings.size
    clips = []
    for clip in pixels:
        top, left = rng.integers(0, room + 1, size=2)
        crop = clip[:, top : top + settings.size, left : left + settings.size].astype(np.float32) / 255
        if settings.flip and rng.random() < 0.5:
            crop = crop[:, :, ::-1]
        brightness, contrast = rng.uniform(0.8, 1.2, size=2)
        middle = crop.mean()
        clips.append(((crop * brightness - middle) * contrast + middle).clip(0, 1))
    return normalized(np.stack(clips))


def central(pixels: np.ndarray, size: int) -> Tensor:
    """uint8 [B, T, H, W, 3] -> float [B, 3, T, S, S]: the center crop."""
    room = (pixels.shape[2] - size) // 2
    return normalized(pixels[:, :, room : room + size, room : room + size].astype(np.float32) / 255)


def normalized(images: np.ndarray) -> Tensor:
    scaled = (images - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(scaled.astype(np.float32)).permute(0, 4, 1, 2, 3)


def answers(network: nn.Module, clips: Clips, settings: Settings) -> Tensor:
    """Logits [N, classes]."""
    network.eval()
    with torch.inference_mode():
        parts = [
            network(central(clips.pixels[start : start + settings.batch], settings.size))
            for start in range(0, len(clips), settings.batch)
        ]
    return torch.cat(parts)


def validate(network: nn.Module, clips: Clips, settings: Settings) -> tuple[float, float]:
    """Accuracy and loss."""
    logits, truth = answers(network, clips, settings), torch.from_numpy(clips.labels)
    return float((logits.argmax(1) == truth).float().mean()), float(F.cross_entropy(logits, truth))
