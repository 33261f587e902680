"""Descriptions of how missing modalities are handled, for `inspect` and the model card."""

from __future__ import annotations

from collections.abc import Sequence

from gesta.clips.transform import FLOW, Transform
from gesta.schema import Sample


def notes(transform: Transform, samples: Sequence[Sample]) -> tuple[str, ...]:
    """One sentence for each missing modality that the transform compensates for."""
    found = []
    if transform.tracker is not None:
        found.append(
            "The networks take landmarks of a tracker. The bundle does not contain it, only its sha256; get "
            "it with `gesta fetch trackers`."
        )
    if not transform.pictures:
        return tuple(found)
    have = {m for s in samples for m in s.modalities}
    if transform.body == "motion":
        without = "" if transform.fused else "No skeleton: "
        found.append(f"{without}the body stream is a smoothed motion box, the whole frame until something moves.")
    elif transform.body == "frame":
        found.append("No crop: the body stream is the whole letterboxed frame.")
    if "hand" not in transform.streams:
        found.append("No hand stream.")
    if "gray_difference" in transform.channels and "depth" not in transform.channels:
        found.append("No depth: the second channel is the temporal difference of gray.")
    if "depth_difference" in transform.channels and "gray" not in transform.channels:
        found.append("No RGB: the channels are depth and its temporal difference.")
    if any(c in FLOW for c in transform.channels):
        of = f"{transform.flow_stack} flows between consecutive frames" if transform.flow_stack else "successive frames"
        found.append(f"Optical flow: of gray, {of} of the crop.")
    if "mask" not in have and not (transform.tracker and transform.tracker.mask):
        found.append("No user mask: nothing is masked.")
    return tuple(found)
