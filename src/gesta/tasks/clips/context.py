"""Frames before a gesture (its neighbor and the rest in between), to train a streaming state that is robust to them.

Spec 1 "Streaming". Recordings of one gesture each have no such context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gesta.schema import Sample, grouped

LONGEST_REST = 100  # frames of the recording; longer rests are cut to their end


def before(samples: Sequence[Sample]) -> Mapping[str, tuple[Sample, ...]]:
    """Returns for each training sample's id the spans right before it in its recording: (neighbor, rest), or less.

    Rests are samples without a label. Neighbors can be identified only for spans in frames. Neighbors in another part
    are left out, so that nothing of validation and test is seen.
    """
    recordings = grouped((sample.recording, sample) for sample in samples if sample.first_frame is not None)
    found: dict[str, tuple[Sample, ...]] = {}
    for spans in recordings.values():
        spans.sort(key=lambda s: s.first_frame or 0)
        neighbor: Sample | None = None
        for sample in spans:
            assert sample.first_frame is not None
            start = 0 if neighbor is None or neighbor.last_frame is None else neighbor.last_frame + 1
            rest = _rest(sample, start, sample.first_frame - 1)
            if sample.split == "train":
                own = neighbor if neighbor is not None and neighbor.split == "train" else None
                found[sample.id] = tuple(s for s in (own, rest) if s is not None)
            neighbor = sample
    return found


def _rest(sample: Sample, first: int, last: int) -> Sample | None:
    first = max(first, last - LONGEST_REST + 1)
    if last <= first:
        return None
    return replace(sample, id=f"{sample.id}/before", label=None, first_frame=first, last_frame=last)
