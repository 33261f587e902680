"""Trains torchvision's r3d_18 from scratch on data in the layout of ChaLearn 2014, as an alternative to gesta.

Uses the same recordings, people and training time as gesta, and full RGB frames. See README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clips import FRAMES, Clips, load
from network import build
from torch import nn
from train import Settings, answers, train

from gesta.engines import host as machine
from gesta.evaluation.latency import timed
from gesta.metrics import bootstrap_by_person
from gesta.schema import GestaError

LEARNING_RATES = {"adamw": 1e-3, "sgd": 0.01}
WEIGHT_DECAYS = {"adamw": 0.05, "sgd": 1e-4}


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    name = options.optimizer
    settings = Settings(
        minutes=options.minutes,
        size=options.size,
        batch=options.batch,
        optimizer=name,
        learning_rate=options.learning_rate or LEARNING_RATES[name],
        weight_decay=WEIGHT_DECAYS[name],
        flip=options.flip,
        checks=options.checks,
        seed=options.seed,
    )
    began = time.monotonic()
    try:
        parts, labels = load(options.data, round(options.size * 8 / 7), options.split_seed)
    except GestaError as error:
        raise SystemExit(f"Error: {error}") from error
    decoded = time.monotonic() - began
    torch.manual_seed(options.seed)
    network = build(len(labels))
    fitted = train(network, parts["train"], parts["val"].spread(options.val_clips), settings)
    print("recognizing the test part ...", file=sys.stderr)
    document = {
        "network": "torchvision r3d_18, weights=None",
        "data": str(options.data),
        "clips": {part: len(clips) for part, clips in parts.items()},
        "settings": dataclasses.asdict(settings) | {"threads": options.threads, "frames": FRAMES},
        "decoding_seconds": decoded,
        **fitted,
        **tested(network, parts["test"], settings),
        "machine": machine.text(machine.describe()),
        "command": " ".join(sys.argv),
    }
    text = json.dumps(document, indent=1)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else table(document))


def tested(network: nn.Module, test: Clips, settings: Settings) -> dict[str, Any]:
    """Accuracy with its interval over people, which clips were correct, sizes, and the latency on one core."""
    right = answers(network, test, settings).argmax(1).numpy() == test.labels
    known = None not in test.people and len(set(test.people)) > 1
    interval = bootstrap_by_person(right, list(test.people), np.random.default_rng(0)) if known else None
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    return {
        "accuracy": float(right.mean()),
        "interval": interval,
        "test_clips": len(test),
        "test_people": len(set(test.people)),
        "hits": {name: int(hit) for name, hit in zip(test.ids, right, strict=True)},
        "parameters": sum(p.numel() for p in network.parameters()),
        "bytes": weights.tell(),
        "latency_ms": latency(network, settings.size),
    }


def latency(network: nn.Module, size: int, seconds: float = 5.0) -> dict[str, float]:
    """Milliseconds per clip of 16 frames, on one core with eager PyTorch."""
    torch.set_num_threads(1)
    machine.pin_to_one_core()
    network.eval()
    clip = torch.randn(1, 3, FRAMES, size, size)
    with torch.inference_mode():
        return timed(lambda _: network(clip), seconds)


def table(found: dict[str, Any]) -> str:
    interval = "({:.3f} to {:.3f})".format(*found["interval"]) if found["interval"] else "(one person)"
    wait, settings = found["latency_ms"], found["settings"]
    return "\n".join(
        (
            "| network | accuracy | clips, people | parameters | bytes | clip p50, p95 ms | epochs | minutes |",
            "|---|---|---|---|---|---|---|---|",
            f"| r3d_18 at {settings['size']} px | {found['accuracy']:.3f} {interval} "
            f"| {found['test_clips']}, {found['test_people']} | {found['parameters']:,} | {found['bytes']:,} "
            f"| {wait['p50_ms']:.1f}, {wait['p95_ms']:.1f} | {found['epochs']:.1f} | {found['minutes']:.1f} |",
        )
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder in the layout of ChaLearn 2014")
    parser.add_argument("--minutes", type=float, default=60, help="training time: processor time of each thread (60)")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch in training (2)")
    parser.add_argument("--size", type=int, default=112, help="side of the square frames in pixels (112)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--optimizer", choices=sorted(LEARNING_RATES), default="adamw")
    parser.add_argument("--learning-rate", type=float, help=f"peak learning rate (default: {LEARNING_RATES})")
    parser.add_argument("--flip", action="store_true", help="mirror half of the clips in training")
    parser.add_argument("--checks", type=int, default=8, help="number of validations; the best network is kept (8)")
    parser.add_argument("--val-clips", type=int, default=200, help="maximum number of clips in a validation (200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and augmentation (0)")
    parser.add_argument("--split-seed", type=int, default=0, help="the --seed of gesta train, for the same split (0)")
    parser.add_argument("--out", type=Path, help="also write the JSON document to this file")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    if options.size < 16 or options.minutes <= 0 or min(options.batch, options.threads, options.checks) < 1:
        parser.error("--size is at least 16, --minutes above 0; --batch, --threads and --checks at least 1")
    return options


if __name__ == "__main__":
    main()
