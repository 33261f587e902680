"""Train the small network that finds the hand's center (gesta.models.hand_center), and measure it.

Each training frame is kept as one window of whole millimeters (uint16, 18 KB; at most 20,000 frames, 370 MB) that
covers the nearest object's center and the annotated one. In each epoch, the cube is drawn anew: near the nearest
object, as in the first round of a search, or near the annotated center, as in the second; rotated as the recipe says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.engines.base import Placement
from gesta.engines.torch import open_parts
from gesta.models.hand_center import HandCenter
from gesta.progress import bar
from gesta.schema import GestaError, HandFrame, evenly
from gesta.tasks.hands.cache import HandWindows, widened
from gesta.tasks.hands.center import Find, nearest_object
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.detect import CENTER, SIZE, WIDTHS, Detector, offset, search_cube
from gesta.tasks.hands.network import center_part
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import HandTransform
from gesta.threads import Threads
from gesta.training.checkpoints import load_network, save_network, seed_everything
from gesta.training.learner import LossNotFinite
from gesta.training.machine import accelerator_of
from gesta.training.run import Run

MOST, MEASURED = 20_000, 2_000
"""Maximum number of frames, evenly spaced, to train on and to measure on."""
LEAST = 4
WINDOW = 96
"""Height and width of a window: the network's resolution, one and a half times as wide."""
EPOCHS, BATCH, RATE = 40, 32, 3e-3
FAR, NEAR = 0.05, 0.1
"""Maximum shift along each axis in sides of the hand's cube: of the nearest object, and of the annotated center."""
READERS = 4
NUMBER = 9
"""Separates its random numbers from those of the pose network's stages."""

Found = tuple[Cube, tuple[float, float, float], NDArray[np.float32]]
"""The cube of a window, and the centers of the nearest object and of the annotation."""


@dataclass(frozen=True)
class Windows:
    """Windows of N frames and, for each, the centers [N, 3] in mm of the nearest object and of the annotation."""

    hands: HandWindows
    nearest_mm: NDArray[np.float64]
    center_mm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.hands)

    def drawn(self, index: int, rng: np.random.Generator, turn: float) -> tuple[NDArray[np.float32], NDArray]:
        """Return (patch [1, SIZE, SIZE], offset [3]) of a randomly placed and rotated cube."""
        own = self.hands.cubes[index]
        first = rng.random() < 0.5
        about, most = (self.nearest_mm, FAR) if first else (self.center_mm, NEAR * rng.random())
        x, y, z = about[index] + rng.uniform(-most, most, 3) * own.side_mm / WIDTHS
        cube = replace(own, center_mm=(float(x), float(y), float(z)), turn=rng.uniform(-turn, turn))
        return self.hands.preprocessed(index, HandTransform(size=SIZE), cube), offset(cube, self.center_mm[index])


def fit(
    train_frames: Sequence[HandFrame], val_frames: Sequence[HandFrame], side_mm: float, turn: float, run: Run
) -> tuple[HandCenter | None, dict[str, float], tuple[str, ...]]:
    """Return (the trained network, metrics on the validation frames, notes); no network with too few annotated centers.

    `side_mm`: side of the hand's cube; `turn`: maximum rotation in degrees. If the run is resumed after this training,
    the network is loaded instead.
    """
    kept = run.out / "checkpoints" / f"{CENTER}-best.safetensors"
    network = HandCenter()
    if run.resume and kept.is_file():
        load_network(kept, network)
    else:
        labeled = [frame for frame in train_frames if frame.center_mm is not None]
        windows = collect(evenly(labeled, MOST), side_mm, run.progress)
        if len(windows) < LEAST:
            return None, {}, (f"no hand detector: only {len(windows)} training frames have a center and an object.",)
        network = train(windows, turn, run)
        save_network(kept, network)
    network = network.eval().requires_grad_(False).cpu()
    detector = Detector(open_parts([center_part(network)], Placement(device="cpu")))
    found = evenly([frame for frame in val_frames if frame.center_mm is not None], MEASURED)
    nearest, detected = (distance_mm(found, find, side_mm) for find in (nearest_object, detector))
    metrics = {"val_center_mm": detected, "val_center_nearest_mm": nearest}
    return network, {} if np.isnan(detected) else metrics, ()


def collect(frames: Sequence[HandFrame], side_mm: float, progress: bool = True) -> Windows:
    """Return the windows of the frames in which an object is found at most a side from the annotated center."""

    def one(frame: HandFrame) -> tuple[NDArray[np.uint16], Found] | None:
        assert frame.center_mm is not None
        try:
            depth, _ = read_hand(frame)
            nearest = nearest_object(depth, frame.camera, side_mm)
        except GestaError:
            return None
        if np.linalg.norm(np.asarray(nearest) - frame.center_mm) > side_mm:
            return None  # the window would not cover the cubes around both
        x, y, z = (np.asarray(nearest) + frame.center_mm) / 2
        cube = search_cube(frame.camera, (float(x), float(y), float(z)), side_mm)
        window = np.clip(np.rint(widened(cube).cut(depth, WINDOW)), 0, 65535).astype(np.uint16)
        return window, (cube, nearest, frame.center_mm)

    windows = np.zeros((len(frames), WINDOW, WINDOW), np.uint16)
    found: list[Found] = []
    with bar("prepare the detector", progress) as tick, Threads(READERS) as pool:
        for number, made in enumerate(pool.map(one, frames), start=1):
            if made is not None:
                windows[len(found)] = made[0]
                found.append(made[1])
            tick(number, len(frames))
    hands = HandWindows(windows[: len(found)], None, tuple(cube for cube, _, _ in found), wide=True)
    nearest, centers = (np.array([one[at] for one in found], np.float64) for at in (1, 2))
    return Windows(hands, nearest, centers)


def train(windows: Windows, turn: float, run: Run, epochs: int = EPOCHS) -> HandCenter:
    """Return a network trained with Adam, one cycle of the learning rate."""
    device = accelerator_of(run.device)
    seed_everything(run.seed, NUMBER)
    network = HandCenter().to(device).train()
    total = epochs * -(-len(windows) // BATCH)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=total)
    with bar("train the detector", run.progress) as tick:
        for number, (patches, offsets) in enumerate(_batches(windows, turn, run.seed, epochs), start=1):
            loss = network.learn(patches.to(device), offsets.to(device))
            if not torch.isfinite(loss):
                raise LossNotFinite(
                    "The loss of the hand detector is not finite. Train again, or without it: --set detector=false"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            tick(number, total)
    return network


def _batches(windows: Windows, turn: float, seed: int, epochs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, NUMBER, epoch])
        order = rng.permutation(len(windows))
        for first in range(0, len(order), BATCH):
            drawn = [windows.drawn(int(index), rng, turn) for index in order[first : first + BATCH]]
            patches, offsets = (np.stack(values).astype(np.float32) for values in zip(*drawn, strict=True))
            yield torch.from_numpy(patches), torch.from_numpy(offsets)


def distance_mm(frames: Sequence[HandFrame], find: Find, side_mm: float) -> float:
    """Return the mean distance of the center that `find` finds from the annotated one; NaN if none is found."""
    apart = []
    for frame in frames:
        try:
            center = find(read_hand(frame)[0], frame.camera, side_mm)
        except GestaError:
            continue
        apart.append(np.linalg.norm(np.asarray(center) - frame.center_mm))
    return float(np.mean(apart)) if apart else float("nan")
