"""Layer positions in the ResNets of gesta.models.st_resnet: numbers to names, without building a network.

A recipe's numbers are converted to names when it is read, so that bundles never store numbers whose meaning could
change. Only bundles up to commit 2895dc4 do; they count a block's projection last.
"""

from __future__ import annotations

BLOCKS = {"st_resnet18": (2, 2, 2, 2), "st_resnet50": (3, 4, 6, 3)}
CONVOLUTIONS = {"st_resnet18": 2, "st_resnet50": 3}
"""Number of convolutions in a block's residual branch."""


def layer_names(network: str, *, projection_last: bool = False) -> list[str]:
    """Returns all convolutions and normalizations of `network` in Iqbal's order; the index is the number."""
    names = ["conv1", "bn1"]
    for stage, blocks in enumerate(BLOCKS[network], 1):
        for block in range(blocks):
            inner = [f"{kind}{n + 1}" for n in range(CONVOLUTIONS[network]) for kind in ("conv", "bn")]
            widens = block == 0 and (stage > 1 or network == "st_resnet50")
            beside = ["downsample.0", "downsample.1"] if widens else []
            names += [f"layer{stage}.{block}.{n}" for n in (inner + beside if projection_last else beside + inner)]
    return names


def named(network: str, context: str, *, projection_last: bool = False) -> str:
    """ "98-104" -> "layer4.1.conv3-layer4.2.conv3"; anything but position numbers is unchanged."""
    if network not in BLOCKS or "-" not in context:
        return context
    names = layer_names(network, projection_last=projection_last)
    pairs = ([place.strip() for place in pair.split("-")] for pair in context.split(","))
    return ",".join("-".join(_name(place, names) for place in pair) for pair in pairs)


def _name(place: str, names: list[str]) -> str:
    return names[int(place)] if place.isdecimal() and int(place) < len(names) else place
