"""DD-Net on skeletons alone, on three real sets: python benchmarks/skeletons.py FOLDER SET [--seeds 3] [--inner].

SET: utd_mhad (people 1-4 -> 5, 6), msr_action3d (odd -> even people), sfinge3d (of each class the first 24 -> last 12).
`--inner` divides the training part instead, as the settings were chosen: UTD-MHAD each of the people 1-4 held out, MSR
Action3D each odd person, SFINGE3D the first 12 against the next 12. Prints accuracy and processor seconds of each.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_sets import JointSet, joint_set
from gesta.clips.skeleton_space import Normalizer, Skeleton, SkeletonSpace, to_network
from gesta.models.catalog import build_skeleton
from gesta.schema import Resource


@dataclass(frozen=True)
class Item:
    skeleton: Skeleton
    label: int
    group: int  # person, or of SFINGE3D the dozen in which it was recorded


@dataclass(frozen=True)
class Settings:
    """Of one set: how it is divided, normalized and trained."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    inner: tuple[tuple[int, ...], ...]  # groups of the training part that are held out
    space: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3
    epochs: int = 30
    batch: int = 32
    average: float = 0.0  # decay of the mean of the weights; 0: the last ones


SETS = {
    "utd_mhad": Settings((1, 2, 3, 4), (5, 6), ((1,), (2,), (3,), (4,)), batch=16),
    "msr_action3d": Settings((1, 3, 5, 7, 9), (2, 4, 6, 8, 10), ((1,), (3,), (5,), (7,), (9,))),
    "sfinge3d": Settings(
        (0, 1),
        (2,),
        ((0,), (1,)),
        space={"origin": "first"},
        augmentation={"turn_degrees": 25, "tilt_degrees": 15, "scale": 0.2, "speed": 0.2},
        network={"embedding_dropout": 0.05, "dropout": 0.3},
        learning_rate=4e-3,
    ),
}


def read(folder: Path, settings: Settings) -> tuple[JointSet, int, list[Item]]:
    """Joint set, number of classes, and the normalized recordings."""
    index = folder / ("dictionary.csv" if (folder / "dictionary.csv").is_file() else "index.csv")
    names = (folder / "joints.txt").read_text().split() if (folder / "joints.txt").is_file() else None
    rows = list(csv.DictReader(index.open()))
    labels = sorted({row["label"] for row in rows})
    files = [read_skeletons(Resource(folder / (row.get("skeleton") or row["path"])), names) for row in rows]
    normalizer = Normalizer(SkeletonSpace(joints=files[0].joints, **settings.space))
    items = []
    for row, file in zip(rows, files, strict=True):
        normalizer.reset()
        seen = file.values[np.isfinite(file.values).any(axis=(1, 2))]  # MSR: frames with nobody
        group = int(row["subject"]) if "subject" in row else (int(Path(row["path"]).stem) - 1) // 12
        items.append(Item(normalizer(seen), labels.index(row["label"]), group))
    return joint_set(files[0].joints), len(labels), items


def tensors(skeletons: list[Skeleton]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in to_network(skeletons))


def fit(settings: Settings, joints: JointSet, classes: int, items: list[Item], seed: int) -> torch.nn.Module:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = build_skeleton("dd_net", classes=classes, joints=len(joints.joints), **settings.network)
    mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)
    augment = SkeletonAugmentation(**settings.augmentation)
    steps = len(items) // settings.batch
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * steps, pct_start=0.2
    )
    for _ in range(settings.epochs):
        order = rng.permutation(len(items))[: steps * settings.batch].reshape(steps, settings.batch)
        for batch in order:
            network.train()
            chosen = [items[i] for i in batch]
            logits = network(*tensors([augment(item.skeleton, joints, rng) for item in chosen]))
            loss = F.cross_entropy(logits, torch.tensor([item.label for item in chosen]), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if settings.average:
                mean.update_parameters(network)
    return (mean.module if settings.average else network).eval()


@torch.no_grad()
def accuracy(network: torch.nn.Module, items: list[Item]) -> float:
    right = 0
    for start in range(0, len(items), 64):
        part = items[start : start + 64]
        answers = network(*tensors([item.skeleton for item in part])).argmax(1).tolist()
        right += sum(answer == item.label for answer, item in zip(answers, part, strict=True))
    return right / len(items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--inner", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = SETS[given.set]
    joints, classes, items = read(given.folder, settings)
    held_out = settings.inner if given.inner else (settings.test,)
    found = []
    for test in held_out:
        train = [item for item in items if item.group in settings.train and item.group not in test]
        tested = [item for item in items if item.group in test]
        for seed in range(given.seeds):
            start = time.process_time()
            network = fit(settings, joints, classes, train, seed)
            found.append(accuracy(network, tested))
            seconds = time.process_time() - start
            print(
                f"{test} held out, {len(train)} -> {len(tested)}, seed {seed}: {found[-1]:.4f}, {seconds:.0f} s",
                flush=True,
            )
    print(f"mean {np.mean(found):.4f}, deviation {np.std(found):.4f}")


if __name__ == "__main__":
    main()
