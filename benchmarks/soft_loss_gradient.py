"""Gradient of the published soft loss relative to that of the label loss, by temperature and form of the loss.

The logits of student and teacher are random and normal; those of the student have the standard deviation `--spread`,
and the teacher's for the correct class are higher by `--sure`. Both losses have the same weight, as published
(alpha 0.5). Prints the median over samples of |d soft / d logits| / |d hard / d logits|.

    python benchmarks/soft_loss_gradient.py
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional

from gesta.tasks.clips.distil import soft_loss
from gesta.tasks.clips.recipe import DistillationSettings


def ratio(loss: str, temperature: float, spread: float, sure: float, classes: int = 20, count: int = 2000) -> float:
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(count) % classes
    teacher = torch.randn(count, classes, generator=generator)
    teacher[torch.arange(count), target] += sure
    student = (torch.randn(count, classes, generator=generator) * spread).requires_grad_()
    soft = (teacher / temperature).softmax(-1)
    settings = DistillationSettings(loss=loss, temperature=temperature)  # type: ignore[arg-type]
    chunks = torch.ones(count, dtype=torch.long)
    found = count * soft_loss(student.unsqueeze(1), soft, chunks, "last", settings)
    of_soft = torch.autograd.grad(found, student)[0].norm(dim=1)
    labels = functional.cross_entropy(student, target, reduction="sum")
    of_labels = torch.autograd.grad(labels, student)[0].norm(dim=1)
    return float((of_soft / of_labels).median())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spread", type=float, default=2.0, help="standard deviation of the student's logits")
    parser.add_argument("--sure", type=float, default=8.0, help="added to the teacher's logit of the correct class")
    given = parser.parse_args()
    for loss in ("mse", "kl"):
        for temperature in (1.0, 2.0, 4.0, 8.0):
            print(f"{loss:4} T = {temperature:g}: {ratio(loss, temperature, given.spread, given.sure):.4f}")


if __name__ == "__main__":
    main()
