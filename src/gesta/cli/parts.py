"""What commands on a trained bundle measure it on: the data, divided as its training divided them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesta.cli.common import existing
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.bundle.manifest import Provenance
    from gesta.schema import HandFrame, Sample
    from gesta.tasks.clips.manifest import ClipManifest
    from gesta.tasks.features.manifest import FeatureManifest
    from gesta.tasks.hands.manifest import HandManifest


def parts(
    origin: Provenance, data: Path | None, layout: str | None, protocol: str, seed: int
) -> tuple[list[Sample], str]:
    """The recordings, read as in the bundle's training, with the splits that they had there, and their layout; nothing
    without `data`."""
    if data is None:
        return [], ""
    from gesta.cli.train import split
    from gesta.sources.catalog import read

    listing = read(existing(data, "data folder"), layout, like=origin.layout)
    return split(listing.samples, protocol, seed)[0], listing.layout


def hand_parts(
    data: Path | None, layout: str | None, seed: int, validation_share: float
) -> tuple[list[HandFrame], str]:
    """The same for a hand pose model: frames."""
    if data is None:
        return [], ""
    from gesta.sources.hand_catalog import read
    from gesta.tasks.hands.split import assign_hand_splits

    listing = read(existing(data, "data folder"), layout)
    return assign_hand_splits(listing.frames, seed=seed, validation_share=validation_share)[0], listing.layout


def parts_of(
    manifest: ClipManifest | HandManifest | FeatureManifest,
    data: Path | None,
    layout: str | None,
    protocol: str,
    seed: int,
) -> tuple[Sequence[Any], str]:
    """What a bundle of this kind is trained and measured on, with splits, and its layout; nothing without `data`."""
    if manifest.kind == "sequence":
        raise GestaError(
            "Models of stored features are not made smaller this way: the backbone stays as it is. "
            "gesta compress BUNDLE DATA --out OUT stores and exports them in fewer bits."
        )
    if manifest.kind == "classifier":
        return parts(manifest.provenance, data, layout, protocol, seed)
    return hand_parts(data, layout, seed, share_of(manifest))


def share_of(manifest: ClipManifest | HandManifest) -> float:
    """The share of the training frames that a hand pose model's training kept for validation."""
    return float(manifest.recipe.get("training", {}).get("validation_share", 0.25))
