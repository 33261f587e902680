"""Training a classifier for every step of a sequence: frames, or chunks of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.training.learner import Learner

IGNORED = -1
"""Target of a step that is ignored."""
CHANGE_LIMIT = 16.0
"""Upper limit of a squared log-probability change in the smoothing loss (Farha and Gall 2019, MS-TCN)."""


class StepLearner(Learner):
    """Cross-entropy over all steps, plus `smoothness` times the change between neighboring predictions.

    Subclasses implement `logits(batch, training)`, [B, T, N]; batches have `target` [B, T].
    """

    measures: ClassVar[Mapping[str, str]] = {"accuracy": "acc {:.3f}"}

    def __init__(self, network: nn.Module, settings: Any, *, smoothness: float = 0.0, **given: Any) -> None:
        super().__init__(network, settings, **given)
        self.smoothness = smoothness

    def logits(self, batch: Mapping[str, Tensor], training: bool) -> Tensor:
        """Returns logits [B, T, N] in single precision."""
        raise NotImplementedError

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.logits(batch, training=True)
        loss = self._counted("train", logits, batch["target"], self.settings.label_smoothing)
        return loss + self.smoothness * change(logits, batch["target"]) if self.smoothness else loss

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._counted("val", self.logits(batch, training=False), batch["target"], 0.0)

    def _counted(self, part: str, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORED, label_smoothing=smoothing)
        counts = target != IGNORED
        self.count(part, int(counts.sum()), loss, ((logits.argmax(-1) == target) & counts).sum())
        return loss


def change(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the mean squared change of log probabilities between consecutive steps, each clipped at CHANGE_LIMIT."""
    logs = logits.log_softmax(-1)  # B T N
    squared = (logs[:, 1:] - logs[:, :-1].detach()).square().clamp(max=CHANGE_LIMIT)
    counts = (target[:, 1:] != IGNORED) & (target[:, :-1] != IGNORED)
    return squared[counts].mean() if counts.any() else logits.new_zeros(())
