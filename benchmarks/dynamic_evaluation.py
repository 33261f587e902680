"""Nats per token of a language model that goes on learning from the text it is scored on (Krause et al. 2018).

Every 64 tokens are scored first; then the network takes a step of SGD on them, with gradients of length 1 at most. A
token never influences its own score. The bundle's recipe divides the text; --part val needs input.validation above 0.

    python benchmarks/dynamic_evaluation.py RUN/bundle TEXT --part val --rates 0 0.1 0.3 1
    python benchmarks/dynamic_evaluation.py RUN/bundle TEXT --part test --rates 0 0.3
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch

from gesta.bundle import io
from gesta.models.language import LanguageNet
from gesta.tasks.text.corpus import read_corpus
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.network import load_network
from gesta.tasks.text.recipe import LanguageRecipe

STEPS, LONGEST = 64, 1.0
"""Tokens per step; maximum norm of the gradient."""


def nats(network: LanguageNet, text: torch.Tensor, rate: float) -> float:
    """Return the mean nats of every token of the text [T] but the first. The network is changed if rate > 0."""
    network.eval().requires_grad_(rate > 0)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    state, total = network.start(1), 0.0
    for begin in range(0, len(text) - 1, STEPS):
        targets = text[begin + 1 : begin + 1 + STEPS, None]  # T 1
        features, state = network(text[begin : begin + len(targets), None], state)
        loss = network.nats(features, targets)
        total += float(loss.detach().sum())
        state = (state[0].detach(), state[1].detach())
        if rate > 0:
            optimizer.zero_grad()
            loss.mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST)
            optimizer.step()
    return total / (len(text) - 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--part", choices=("val", "test"), default="val")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.1, 0.3, 1.0])
    wanted = parser.parse_args()
    bundle = io.read(wanted.bundle, LanguageManifest)
    corpus = read_corpus(wanted.text, LanguageRecipe.model_validate(bundle.manifest.recipe).input)
    text = torch.from_numpy(np.concatenate(corpus.parts[wanted.part]))
    network = load_network(bundle)
    print("| learning rate | nats per token |\n|---|---|")
    for rate in wanted.rates:
        print(f"| {rate:g} | {nats(copy.deepcopy(network), text, rate):.4f} |", flush=True)
