"""Where PyTorch's bf16 gradients of convolution weights are wrong on this CPU, and whether gesta's rule covers them.

    python benchmarks/bf16_small_maps.py

Prints a line for each convolution and size with a wrong gradient (off by 0.1 of the largest value, or not finite), or
which the rule computes in fp32 although bf16 would be correct; then the counts. Each kernel runs in a separate
process, because some write out of bounds and crash it.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter

import torch
from torch import nn

from gesta.training.small_maps import is_small

KERNELS = ((3, 1, 1), (3, 2, 1), (4, 2, 1), (5, 1, 2), (5, 2, 2), (7, 1, 3), (7, 2, 3))  # side, stride, padding
SIDES = (1, 2, 3, 4, 5, 7, 8, 9)
SPATIAL = ((2, 2), (4, 4), (8, 8))


def wrong(convolution: nn.Module, maps: torch.Tensor) -> bool:
    """Whether the gradient of the weights differs. Memory is filled with NaN first, to reveal unset values."""
    found = []
    for enabled in (False, True):
        torch.full((2_000_000,), torch.nan)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            answers = convolution(maps).float()
        signs = torch.randn(answers.shape, generator=torch.Generator().manual_seed(1))
        found += torch.autograd.grad((answers * signs).sum(), convolution.weight)
    return not bool((found[1] - found[0]).abs().max() < 0.1 * found[0].abs().max())


def look(dimensions: int, side: int, stride: int, padding: int) -> None:
    """Prints the result for each size of the feature maps of one kernel."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    strides = (stride,) * 2 if dimensions == 2 else (stride, 1, 1)
    convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2](16, 16, side, strides, padding, bias=False)
    sizes = list(itertools.product(SIDES, SIDES)) if dimensions == 2 else [(t, *hw) for t in SIDES for hw in SPATIAL]
    for size in sizes:
        if min(size) + 2 * padding < side:
            continue
        maps = torch.randn(8, 16, *size)
        is_wrong, known = wrong(convolution, maps), is_small(convolution, maps.shape)
        verdict = {(True, True): "known", (True, False): "MISSED", (False, True): "needless", (False, False): "right"}
        print(size, f"kernel {side} stride {stride} padding {padding}:", verdict[is_wrong, known], flush=True)


def main() -> None:
    counts: Counter[str] = Counter()
    for dimensions, kernel in itertools.product((2, 3), KERNELS):
        command = [sys.executable, __file__, str(dimensions), *map(str, kernel)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in ended.stdout.splitlines():
            counts[line.split()[-1]] += 1
            if not line.endswith("right"):
                print(line)
        if ended.returncode:
            print(f"{dimensions}D, kernel {kernel}: the process ended with exit code {ended.returncode}")
    print(dict(counts))


if __name__ == "__main__":
    look(*map(int, sys.argv[1:])) if len(sys.argv) > 1 else main()
