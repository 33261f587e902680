"""Published weights as the initialization of a clip network: all but the last layer, for any number of channels.

For C other channels, the first convolution's kernels for red, green and blue are replaced by their mean, times 3 / C:
a gray image in all channels gives the same output (as for stacked flow in Wang et al. 2016, "Temporal segment
networks", except for the factor). Kernels for x and y of optical flow are repeated and scaled for the stacked frames.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from gesta.models.c3d import C3d, red_first
from gesta.models.i3d import I3d, Padding, inflated_tensors
from gesta.models.inception_v1 import InceptionV1
from gesta.models.resnet import ResNet
from gesta.models.st_resnet import StResNet
from gesta.models.two_stream import FLOW_CHANNELS, Stack, TwoStream
from gesta.models.weights import WeightsError, fetch, load_tensors, read_tensors

OFFICIAL_FOR = {"st_resnet18": "resnet18", "st_resnet50": "resnet50", "i3d": "inception_v1"}
"""Clip networks that can start from the official weights of an image network."""

Tensors = dict[str, Tensor]


def start_from(name: str, network: nn.Module, weights: str | None, folder: Path, motion: str | None = None) -> None:
    """Loads published weights into a fresh network of the catalog, in place; the last layer is unchanged.

    `weights`: a file, or "official": the backbone's ImageNet file, downloaded to `folder` unless already there. I3D
    takes Kinetics files and, inflated, those of Inception-v1; built with `padding_for`, it then gives that network's
    output for a repeated image. `motion`: another file for the motion stream; a stream without a file is unchanged.
    Raises WeightsError listing every tensor of every file that does not fit, or if there is no such file.
    """
    files = [weights, motion or weights] if isinstance(network, TwoStream) else [weights]
    faults: dict[str, None] = {}
    for tower, file in zip(towers(network), files, strict=True):
        try:
            if file is not None:
                _begin(tower, _file(name, file, folder))
        except WeightsError as error:
            faults[str(error)] = None
    if faults:
        raise WeightsError("\n".join(faults))


def _begin(network: nn.Module, path: Path) -> None:
    tensors = read_tensors(path)
    inner, own, last = _plain(network)
    given = _inflated(tensors, inner) if isinstance(inner, I3d) and _of_images(tensors) else dict(tensors)
    given = own(given)
    mine = inner.state_dict()
    given = {key: tensor for key, tensor in given.items() if not key.startswith(last)}
    given |= {key: mine[key] for key in mine if key.startswith(last)}
    first = next(iter(mine))
    if first in given and given[first].ndim == mine[first].ndim:
        given[first] = for_channels(given[first], mine[first].shape[1])
    load_tensors(inner, given, str(path))


def padding_for(name: str, weights: str, folder: Path) -> Padding | None:
    """ "inception_v1" if I3D will start from an image network's weights, which it then reproduces exactly; else None.

    Raises WeightsError if there is no such file.
    """
    if name != "i3d":
        return None
    return "inception_v1" if _of_images(read_tensors(_file(name, weights, folder))) else None


def towers(network: nn.Module) -> list[nn.Module]:
    """The single networks inside stacks and fusions."""
    if isinstance(network, TwoStream):
        return [*towers(network.appearance), *towers(network.motion)]
    return towers(network.network) if isinstance(network, Stack) else [network]


def for_channels(kernel: Tensor, channels: int) -> Tensor:
    """[O, C, ...] -> [O, channels, ...]: unchanged, or the mean over the channels, repeated and scaled by C / channels.

    Kernels for flow (x and y) are repeated for each stacked frame instead.
    """
    before = kernel.shape[1]
    if before == channels:
        return kernel
    if before == FLOW_CHANNELS and channels % before == 0:
        times = channels // before
        return kernel.repeat(1, times, *[1] * (kernel.ndim - 2)) / times
    mean = kernel.mean(1, keepdim=True) * before / channels
    return mean.expand(-1, channels, *kernel.shape[2:]).contiguous()


def _plain(network: nn.Module) -> tuple[nn.Module, Callable[[Tensors], Tensors], str]:
    """The module that a file's names refer to, how to convert its tensors, and the name prefix of the last layer."""
    if isinstance(network, StResNet):
        assert isinstance(network.network, ResNet)
        return network.network, lambda tensors: tensors, "fc."
    if isinstance(network, C3d):
        return network, red_first, "fc8."
    if isinstance(network, I3d):
        return network, lambda tensors: tensors, "logits."
    raise WeightsError(f"published weights are for {', '.join(OFFICIAL_FOR)} and c3d, not for this network.")


def _file(name: str, weights: str, folder: Path) -> Path:
    if weights != "official":
        return Path(weights)
    if name not in OFFICIAL_FOR:
        raise WeightsError(f"there is no official file for {name}, only for {', '.join(OFFICIAL_FOR)}. Name a file.")
    return fetch(OFFICIAL_FOR[name], folder)


def _of_images(tensors: Tensors) -> bool:
    """Whether the tensor names are those of Inception-v1."""
    return "conv1.conv.weight" in tensors


def _inflated(tensors: Tensors, network: I3d) -> Tensors:
    heads = tuple(f"{head}." for head in (*InceptionV1.heads, "fc"))
    return inflated_tensors({k: t for k, t in tensors.items() if not k.startswith(heads)}, network.state_dict())
