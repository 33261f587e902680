"""Glosses: what happens in a video, in order, one word each. An encoder that also learns them learns to caption sooner.

The additional loss is CTC on the encoder's outputs (Graves et al. 2006), as in Camgoz et al. 2020, "Sign Language
Transformers". It is used in training only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.translation import Encoder, Memory
from gesta.tasks.text.batches import Batch, padded
from gesta.tasks.text.caption_data import Described
from gesta.tasks.text.fit import TokenLearner
from gesta.tasks.text.recipe import DescribedTrainingSettings

BLANK = 0


def known_glosses(samples: Iterable[Described]) -> dict[str, int]:
    """Return the numbers of the samples' glosses, from 1."""
    found = sorted(set(chain.from_iterable(sample.glosses for sample in samples)))
    return {gloss: number for number, gloss in enumerate(found, BLANK + 1)}


def gloss_batch(texts: Sequence[Sequence[int]]) -> Batch:
    """Return glosses int64 [B, G], padded with BLANK, and their numbers gloss_lengths [B], 0 if there are none."""
    columns, _ = padded([np.array(text, np.int64) for text in texts], BLANK)
    return {"glosses": columns.T.copy(), "gloss_lengths": np.array([len(text) for text in texts], np.int64)}


class GlossLearner(TokenLearner):
    """Adds the loss of the glosses of a training batch. `glosses`: how many are known; 0: no loss is added.

    `encoder`: name of the encoder within the network.
    """

    encoder = "encoder"

    def __init__(self, network: nn.Module, settings: DescribedTrainingSettings, steps: int, glosses: int) -> None:
        super().__init__(network, settings, steps)
        self.head: nn.Linear | None = None
        self._memory: Memory | None = None
        if glosses and self.settings.glosses:
            encoder = self.trained.get_submodule(self.encoder)
            assert isinstance(encoder, Encoder)
            self.head = nn.Linear(encoder.width, glosses + 1)
            encoder.register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: object, memory: Memory) -> None:
        self._memory = memory if self.training else None

    def learned(self) -> Iterable[nn.Parameter]:
        return chain(super().learned(), () if self.head is None else self.head.parameters())

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        loss = super().loss(batch)
        if self.head is None or not batch["gloss_lengths"].any():
            return loss
        assert self._memory is not None
        (outputs, mask, _), self._memory = self._memory, None
        return loss + self.settings.glosses * gloss_loss(self.head(outputs), mask.sum(0), batch)


def gloss_loss(logits: Tensor, lengths: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """logits [S, B, 1 + glosses], lengths [B] -> the mean CTC loss per gloss of the videos with glosses."""
    counts = batch["gloss_lengths"]
    logs = logits.float().log_softmax(-1)
    losses = F.ctc_loss(logs, batch["glosses"], lengths, counts, BLANK, "none", zero_infinity=True)
    return torch.mean((losses / counts.clamp(min=1))[counts > 0])
