"""A metric-trained embedding: a class is a direction, and a clip belongs to the nearest (Movshovitz-Attias et al. 2017,
"No Fuss Distance Metric Learning using Proxies"; with normalized features as in NormFace, Wang et al. 2017).

In training each class has a prototype that is learned beside the network by the cross entropy of sharpened cosines;
then the prototypes become the means of the classes' clips (Snell et al. 2017), so that a class can be added without
training. Deviation: softmax over all classes, the right one among them (NormFace's), where Proxy-NCA leaves it out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.recurrent import RecurrentNet

SHARPNESS = 16.0
"""Cosines are multiplied by it, in training and after it."""


class Prototypes(nn.Module):
    """In the place of a network's last linear layer: features [..., C] -> logits [..., N], C and N as of nn.Linear."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.randn(out_features, in_features))

    def forward(self, features: Tensor) -> Tensor:
        return SHARPNESS * torch.matmul(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1).T)

    def add(self, means: Tensor) -> None:
        """Prototypes [n, C] of further classes, behind those that are there."""
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), means]))
        self.out_features = len(self.weight)


def with_prototypes(network: nn.Module) -> nn.Module:
    """The network with prototypes for its last layer. Raises ValueError for one that is not made for it."""
    owner, name = _last_layer(network)
    linear = getattr(owner, name)
    setattr(owner, name, Prototypes(linear.in_features, linear.out_features))
    return network


def _last_layer(network: nn.Module) -> tuple[nn.Module, str]:
    if isinstance(network, RecurrentNet):
        return network, "classifier"
    head = getattr(getattr(network, "network", None), "head", None)
    if head is None or not hasattr(head, "linear"):
        raise ValueError("model.head=prototypes is for lstm, cnn3d_lstm and networks on skeletons")
    return head, "linear"


def prototypes_of(network: nn.Module) -> Prototypes | None:
    """A network's prototypes; None where its last layer is another."""
    return next((module for module in network.modules() if isinstance(module, Prototypes)), None)
