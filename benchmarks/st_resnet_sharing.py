"""Speed of a spatio-temporal ResNet on overlapping sequences, with the features of shared frames computed only once.

Runs in gesta's environment: `.venv/bin/python benchmarks/st_resnet_sharing.py`. Times are processor seconds of one
thread, so that other load on the machine has little effect.
"""

from __future__ import annotations

import argparse
import time

import torch

from gesta.models.st_resnet import StResNet, st_resnet


def seconds(network: StResNet, clip: torch.Tensor, shared: bool, repeats: int) -> float:
    """The shortest time of several repeats."""
    run = network.forward_sequences if shared else network.forward_naive
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run(clip)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=18, choices=(18, 50))
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    clip = torch.randint(0, 256, (1, 1, 3, given.frames, given.size, given.size), dtype=torch.uint8)
    for context in ("2", "3", "special3", "5"):
        network = st_resnet(given.depth, classes=101, context=context, overlap=True, window=given.frames).eval()
        with torch.inference_mode():
            naive, shared = (seconds(network, clip, kind, given.repeats) for kind in (False, True))
        sequences = given.frames - network.context + 1
        most = network.context * sequences / given.frames
        print(
            f"context {context:8s} shared {shared:.3f} s, separate {naive:.3f} s, "
            f"{naive / shared:.2f} times faster (frames computed: {most:.2f} times as many)",
            flush=True,
        )


if __name__ == "__main__":
    main()
