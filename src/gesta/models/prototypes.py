"""Metric learning: a class is a direction, and a clip is assigned to the nearest one (Movshovitz-Attias et al. 2017,
"No Fuss Distance Metric Learning using Proxies"; with normalized features as in NormFace, Wang et al. 2017).

In training each class has a prototype, learned with the network by the cross entropy of scaled cosine similarities;
then the prototypes become the means of the classes' clips (Snell et al. 2017), so that classes can be added without
training. Deviation: the softmax includes the true class (as in NormFace), which Proxy-NCA leaves out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.recurrent import RecurrentNet

SHARPNESS = 16.0
"""Factor on cosine similarities, in training and inference."""


class Prototypes(nn.Module):
    """Replaces the last linear layer of a network: features [..., C] -> logits [..., N], C and N as in nn.Linear."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.randn(out_features, in_features))

    def forward(self, features: Tensor) -> Tensor:
        return SHARPNESS * torch.matmul(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1).T)

    def add(self, means: Tensor) -> None:
        """Appends the prototypes [n, C] of further classes."""
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), means]))
        self.out_features = len(self.weight)


def with_prototypes(network: nn.Module) -> nn.Module:
    """The network with prototypes as its last layer. Raises ValueError if the network does not support it."""
    owner, name = _last_layer(network)
    linear = getattr(owner, name)
    setattr(owner, name, Prototypes(linear.in_features, linear.out_features))
    return network


def _last_layer(network: nn.Module) -> tuple[nn.Module, str]:
    if isinstance(network, RecurrentNet):
        return network, "classifier"
    head = getattr(getattr(network, "network", None), "head", None)
    if head is None or not hasattr(head, "linear"):
        raise ValueError("model.head=prototypes works for lstm, cnn3d_lstm and networks on skeletons only")
    return head, "linear"


def prototypes_of(network: nn.Module) -> Prototypes | None:
    """The prototypes of a network; None if its last layer is a different one."""
    return next((module for module in network.modules() if isinstance(module, Prototypes)), None)
