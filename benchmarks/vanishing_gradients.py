"""How far back in time gradients reach in an RNN and in LSTMs.

    python benchmarks/vanishing_gradients.py docs/vanishing_gradients.png

The task: after a sequence over eight symbols, name its first symbol; all others are noise. All networks have 64 units
and the same training: 1,000 batches of 64 with Adam. Left: the norm of the gradient of the last step's loss with
respect to the state k steps before (h; for the LSTM h and c), before training, relative to that of the last step.
Right: accuracy on new sequences by length. The bias of an LSTM's forget gate sets how much of the cell it keeps per
step at first: 0.73 with bias 1, 0.98 with bias 4.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.cells import from_library
from gesta.training.figure import save_figure

SYMBOLS, HIDDEN, BATCH, BATCHES, STEPS = 8, 64, 64, 1000, 60
LENGTHS = (5, 10, 20, 30, 40, 60, 80)
KINDS: dict[str, tuple[type[nn.RNNBase], float]] = {
    "RNN": (nn.RNN, 0.0),
    "LSTM, forget bias 1": (nn.LSTM, 1.0),
    "LSTM, forget bias 4": (nn.LSTM, 4.0),
}


class Recall(nn.Module):
    """tokens [T, B] -> logits [B, SYMBOLS] for the first token."""

    def __init__(self, kind: type[nn.RNNBase], forget_bias: float) -> None:
        super().__init__()
        self.recurrent = kind(SYMBOLS, HIDDEN)
        self.out = nn.Linear(HIDDEN, SYMBOLS)
        if kind is nn.LSTM:
            nn.init.constant_(self.recurrent.get_parameter("bias_ih_l0")[HIDDEN : 2 * HIDDEN], forget_bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.recurrent(F.one_hot(tokens, SYMBOLS).float())[0][-1])


def batch_of(length: int, count: int) -> Tensor:
    return torch.randint(SYMBOLS, (length, count))


def gradient_norms(network: Recall) -> list[float]:
    """|dE_T / d state_{T-k}| for k = 0 .. STEPS - 1, relative to k = 0. E_T: the loss of the last step."""
    tokens = batch_of(STEPS, BATCH)
    stack = from_library(network.recurrent)
    states, trace = stack.start(BATCH), []
    for x in F.one_hot(tokens, SYMBOLS).float():
        output, states = stack.step(x, states)
        for part in states[0]:
            part.retain_grad()
        trace.append(states[0])
    F.cross_entropy(network.out(output), tokens[0]).backward()
    norms = [sum(part.grad.square().sum() for part in state if part.grad is not None) ** 0.5 for state in trace[::-1]]
    return [float(norm / norms[0]) for norm in norms]


def accuracy_after_training(name: str, length: int) -> float:
    torch.manual_seed(0)
    network = Recall(*KINDS[name])
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(BATCHES):
        tokens = batch_of(length, BATCH)
        loss = F.cross_entropy(network(tokens), tokens[0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        tokens = batch_of(length, 1000)
        return float((network(tokens).argmax(1) == tokens[0]).float().mean())


def main(path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name in KINDS:
        torch.manual_seed(0)
        norms = gradient_norms(Recall(*KINDS[name]))
        left.semilogy(range(STEPS), norms, label=name)
        reached = [accuracy_after_training(name, length) for length in LENGTHS]
        right.plot(LENGTHS, reached, marker="o", label=name)
        print(
            f"{name}: gradient 10, 30, 59 steps back {norms[10]:.1e} {norms[30]:.1e} {norms[59]:.1e}; accuracy", end=" "
        )
        print(", ".join(f"{share:.2f} at {length}" for length, share in zip(LENGTHS, reached, strict=True)), flush=True)
    left.set(xlabel="steps back", ylabel="norm of the gradient, last step = 1", title="before training")
    right.set(xlabel="length of the sequence", ylabel="accuracy", ylim=(0, 1.02), title=f"after {BATCHES} batches")
    right.axhline(1 / SYMBOLS, color="gray", linestyle=":", label="chance")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
