"""Metric-trained networks on clips: their features, and class means as prototypes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.prototypes import Prototypes, prototypes_of
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.lookups import batch_of, plain


def take_means(network: nn.Module, clips: ClipSet) -> None:
    """Sets the prototypes to the classes' mean features of clips as recorded; classes without clips keep theirs."""
    head = prototypes_of(network)
    assert head is not None
    means = class_means(network, plain(clips))
    with torch.no_grad():
        head.weight.copy_(torch.where(means.isnan(), head.weight, means))


def class_means(network: nn.Module, clips: ClipSet) -> Tensor:
    """Returns the mean features of each class of `clips.labels`, [N, C]."""
    head, labels = prototypes_of(network), list(clips.labels)
    assert head is not None
    rows = torch.stack([_features(network, head, *batch_of(clips, index)) for index in range(len(clips))])  # n C
    targets = torch.tensor([labels.index(str(s.label)) for s in clips.samples])
    return torch.stack([rows[targets == number].mean(0) for number in range(len(labels))])


def _features(network: nn.Module, head: Prototypes, clip: Tensor, lengths: Tensor) -> Tensor:
    """Returns the unit-length features that are compared with the prototypes; for networks with steps, the mean of the
    later half, [C]."""
    network.eval()
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            getattr(network, "forward_steps", network)(clip, lengths)
    finally:
        hook.remove()
    steps = F.normalize(seen[0].reshape(-1, head.in_features), dim=1)  # K C
    return steps[len(steps) // 2 :].mean(0).clone()
