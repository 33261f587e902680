"""word2vec with negative sampling (Mikolov et al. 2013): skip-gram and CBOW, two tables of vectors.

Skip-gram predicts a context word from the vector of the center word, CBOW the center word from the mean of the context
vectors. Loss of one prediction, o the true word, k words drawn from the unigram distribution to the power of 0.75:

    E = -log s(u_o . v) - sum_k log s(-u_k . v)

In: inputs int64 [B, C] (C = 1 for skip-gram; -1 where there is no word), targets [B, 1 + K], the true one first.
Parameters: 2 V D. Learned by plain SGD, with explicit gradients: a batch touches few rows, and autograd would
process all of them. As in the authors' program, CBOW adds the whole gradient of the mean to every context word.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class NegativeSampling:
    """`inputs` and `outputs` [V, D]; the inputs are the word vectors. Initialized as in word2vec: outputs at zero."""

    def __init__(self, words: int, width: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = (torch.rand(words, width, generator=generator) - 0.5) / width
        self.outputs = torch.zeros(words, width)

    def hidden(self, inputs: Tensor) -> Tensor:
        """The mean of the vectors of the words present, [B, C] -> [B, D]."""
        if inputs.shape[1] == 1:
            return self.inputs[inputs[:, 0]]
        there = (inputs >= 0).unsqueeze(-1).float()  # B C 1
        return (self.inputs[inputs.clamp(min=0)] * there).sum(1) / there.sum(1)

    def nats(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of every prediction, [B]; a negative that equals the true word does not count."""
        scores = torch.bmm(self.outputs[targets], self.hidden(inputs).unsqueeze(-1))[..., 0]  # B 1+K
        signs = torch.ones_like(scores)
        signs[:, 1:] = -1
        return (-F.logsigmoid(signs * scores) * counted(targets)).sum(1)

    def update(self, inputs: Tensor, targets: Tensor, rate: float) -> None:
        """One step of SGD on the sum of the losses of a batch."""
        v, u = self.hidden(inputs), self.outputs[targets]  # B D, B 1+K D
        error = torch.sigmoid(torch.bmm(u, v.unsqueeze(-1))[..., 0])  # B 1+K: dE/d(u . v)
        error[:, 0] -= 1
        error *= counted(targets) * -rate
        d_v = torch.bmm(error.unsqueeze(1), u)[:, 0]  # B D
        d_u = error.unsqueeze(-1) * v.unsqueeze(1)  # B 1+K D
        self.outputs.index_add_(0, targets.flatten(), d_u.flatten(0, 1))
        if inputs.shape[1] == 1:
            self.inputs.index_add_(0, inputs[:, 0], d_v)
            return
        there = inputs >= 0  # B C
        self.inputs.index_add_(0, inputs[there], d_v.unsqueeze(1).expand(-1, inputs.shape[1], -1)[there])


def counted(targets: Tensor) -> Tensor:
    """1 for the true word and every negative that differs from it, [B, 1 + K]."""
    mask = (targets != targets[:, :1]).float()
    mask[:, 0] = 1
    return mask
