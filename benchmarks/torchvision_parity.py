"""Compares gesta's image networks with torchvision's, with the same random weights. Environment: see README.md.

Prints a line for each network; the exit code is 1 if a name or an output differs.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor, library, nn

# torchvision's wheel is built for CUDA. With a CPU build of torch its operators are missing, and the import fails
# unless these two are declared. The networks compared here do not use them.
for operator in ("nms", "qnms"):
    library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision.models as theirs  # noqa: E402

from gesta.models.catalog import BACKBONES, build_backbone  # noqa: E402
from gesta.models.weights import load_tensors  # noqa: E402

THEIRS = {
    "resnet18": theirs.resnet18,
    "resnet34": theirs.resnet34,
    "resnet50": theirs.resnet50,
    "inception_v1": theirs.googlenet,
    "inception_v3": theirs.inception_v3,
}
ALLOWED = 1e-4
IMAGES = 2


def randomized(name: str) -> nn.Module:
    """torchvision's network with random weights and random batch statistics, as after training."""
    torch.manual_seed(0)
    more = {"transform_input": True, "aux_logits": True, "init_weights": True} if "inception" in name else {}
    network = THEIRS[name](weights=None, **more)
    for key, tensor in network.state_dict().items():
        if key.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return network.eval()


def normalized(images: Tensor) -> Tensor:
    """Normalizes as usual for torchvision: to [0, 1], then by ImageNet's mean and deviation."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images / 255 - mean.reshape(1, 3, 1, 1)) / deviation.reshape(1, 3, 1, 1)


def heads(network: nn.Module, name: str, images: Tensor, ours: bool) -> list[Tensor]:
    """Outputs of the auxiliary heads, computed with hooks on the modules that they are attached to."""
    places = {"inception_v1": {"inception4a": "aux1", "inception4d": "aux2"}, "inception_v3": {"Mixed_6e": "AuxLogits"}}
    found: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(place).register_forward_hook(
            lambda _m, _i, maps, head=head: found.update({head: network.get_submodule(head)(maps)})
        )
        for place, head in places.get(name, {}).items()
    ]
    network(images if ours else normalized(images))
    for hook in hooks:
        hook.remove()
    return list(found.values())


def compare(name: str) -> float:
    """The largest difference relative to the largest output, over logits and auxiliary heads."""
    reference = randomized(name)
    own = build_backbone(name, **({"auxiliary": True} if "inception" in name else {}))
    load_tensors(own, reference.state_dict(), "torchvision")
    own.eval()
    size = own.size
    images = torch.randint(0, 256, (IMAGES, 3, size, size), generator=torch.Generator().manual_seed(1)).float()
    with torch.inference_mode():
        pairs = [(own(images), reference(normalized(images)))]
        pairs += zip(heads(own, name, images, True), heads(reference, name, images, False), strict=True)
    for mine, _ in pairs:
        assert mine.std() > 0, "all outputs are equal"
    return max(float((mine - other).abs().max() / other.abs().max()) for mine, other in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(BACKBONES))
    worst = 0.0
    for name in parser.parse_args().names:
        difference = compare(name)
        worst = max(worst, difference)
        print(f"{name:14s} largest difference {difference:.2e} of the largest output", flush=True)
    return 0 if worst <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
