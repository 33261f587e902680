"""Reports what a tracker finds in plain RGB, for recipes that choose their input automatically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from gesta.clips.read import iter_raw_sample
from gesta.schema import GestaError, Sample
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.trackers.tracker import Tracker

PROBED = 5
"""Number of recordings to examine."""
FRAMES, EVERY = 40, 8
"""Of each recording, the number of first frames, and the interval at which they are examined."""


def offer(samples: Sequence[Sample], recipe: ClipRecipe) -> list[str]:
    """Notes what a tracker would find if streams are auto and the recordings are plain RGB; otherwise returns []."""
    plain = [s for s in samples if s.color is not None and s.skeleton is None and s.depth is None]
    if recipe.input.streams != "auto" or recipe.input.tracker is not None or len(plain) < len(samples):
        return []
    recordings = list({s.recording: s for s in plain}.values())
    return list(_probed(tuple(recordings[:: max(1, len(recordings) // PROBED)][:PROBED])))


@lru_cache(maxsize=8)
def _probed(samples: tuple[Sample, ...]) -> tuple[str, ...]:
    try:
        tracker = Tracker("both", hand_model="lite", threads=1)
    except GestaError:
        return (
            "no tracker for hands and bodies is installed: run `gesta fetch trackers`, then input.tracker can be set.",
        )
    frames = people = hands = 0
    for sample in samples:
        tracker.reset()
        try:
            for frame in islice(iter_raw_sample(replace(sample, mask=None), color=True), 0, FRAMES, EVERY):
                assert frame.color is not None
                found = tracker.step(frame.color, frame.time_s)
                frames, people, hands = frames + 1, people + (found.person is not None), hands + bool(found.hands)
        except GestaError:
            continue  # a broken recording is reported elsewhere
    if not frames:
        return ()
    seen = f"a tracker finds a person in {people / frames:.0%} and a hand in {hands / frames:.0%} of {frames} frames"
    if max(people, hands) < frames / 2:
        return (f"{seen}: pixels are used.",)
    what = "pose" if hands < frames / 2 else "hands" if people < frames / 2 else "both"
    return (f"{seen}; to train on landmarks: --recipe dd-net --set input.tracker={what}.",)
