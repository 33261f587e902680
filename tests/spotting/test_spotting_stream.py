"""A spotter frame by frame says what it says of the whole recording, on the frames' own clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spotting.skeletons import JOINTS, WAYS, recording

from gesta.clips.skeleton_space import Normalizer, SkeletonSpace, resample
from gesta.decoding import DecoderSpec
from gesta.engines.base import Placement
from gesta.engines.torch import open_parts
from gesta.models.tcn import CausalTcn
from gesta.models.window import WindowLinear
from gesta.schema import GestaError
from gesta.tasks.spotting.data import Facts
from gesta.tasks.spotting.network import part
from gesta.tasks.spotting.predict import PAUSE_S, Spotter

LABELS = ("none", *WAYS)
EASY = DecoderSpec(smoothing_s=0.05, on=0.7, off=0.66, least_s=0.1, rearm_s=0.05)


def network(name):
    torch.manual_seed(3)
    shape = {"classes": len(LABELS), "joints": len(JOINTS)}
    made = WindowLinear(**shape, window=12) if name == "window" else CausalTcn(**shape, width=16, centered=True)
    with torch.no_grad():
        for parameter in made.head.parameters():
            parameter.mul_(6)  # so that its answers differ
    return made.eval()


def spotter(name="tcn", delay=0, fps=20.0):
    facts = Facts(SkeletonSpace(joints=JOINTS, origin="first"), fps, LABELS, delay, EASY)
    return Spotter(open_parts([part(network(name), len(LABELS))], Placement(device="cpu")), facts)


def frames(seed=0):
    found, _ = recording(["lift", "aside", "lift"], np.random.default_rng(seed))
    found[40:44, 2] = np.nan
    return found


@pytest.mark.parametrize("name", ["tcn", "window"])
@pytest.mark.parametrize("delay", [0, 5])
def test_stream_equals_whole(name, delay):
    model = spotter(name, delay)
    whole, streamed = model.predict(frames()), list(model.stream(frames()))
    assert len(whole) > 1
    assert [e.label for e in whole] == [e.label for e in streamed]
    for one, other in zip(whole, streamed, strict=True):
        for key in ("start_s", "end_s", "decided_s", "confidence"):
            assert getattr(one, key) == pytest.approx(getattr(other, key), abs=1e-4)


def test_a_delay_is_counted_in_the_decision():
    """An answer about frame t that comes with frame t + 5 has the same event, known a quarter of a second later."""
    model = spotter(delay=5)
    probabilities = np.full((60, 3), 0.05)
    probabilities[:, 0] = 0.9
    probabilities[20:40] = (0.1, 0.85, 0.05)
    (event,) = model.events(probabilities)
    prompt = spotter(delay=0).events(probabilities)[0]
    assert (event.start_s, event.end_s) == (prompt.start_s, prompt.end_s)
    assert event.decided_s == pytest.approx(prompt.decided_s + 0.25)


def test_other_frame_rates_and_late_frames():
    """Frames at uneven times are those of the whole recording at the model's rate."""
    values, rng = frames(), np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.01, 0.12, len(values))) + 7.0
    model = spotter()
    even = resample(values, times, 20.0)
    wanted = model.events(model.probabilities(Normalizer(model.manifest.space)(even)))
    stream = model.open_stream()
    found = [e for v, t in zip(values, times, strict=True) for e in stream.push(v, t)] + stream.finish()
    assert [e.label for e in found] == [e.label for e in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.start_s == pytest.approx(other.start_s + times[0], abs=1e-4)


def test_a_pause_ends_what_is_going_on():
    values = frames()
    stream = spotter().open_stream()
    first = [e for i, v in enumerate(values) for e in stream.push(v, i / 20)]
    after = stream.push(values[0], len(values) / 20 + PAUSE_S + 1)
    again = spotter().open_stream()
    alone = [e for i, v in enumerate(values) for e in again.push(v, i / 20)] + again.finish()
    assert [e.label for e in first + after] == [e.label for e in alone]


@pytest.mark.parametrize(
    ("skeleton", "time_s", "reason"),
    [
        (np.zeros((4, 3)), 0.0, "Times must increase"),
        (np.zeros((5, 3)), 1.0, "expected a skeleton T 4 3"),
    ],
)
def test_what_a_stream_refuses(skeleton, time_s, reason):
    stream = spotter().open_stream()
    stream.push(frames()[0], 0.5)
    with pytest.raises(GestaError, match=reason):
        stream.push(skeleton, time_s)


def test_the_everyday_bundle_spots_gestures_of_generated_people(tmp_path):
    """Its figure on real people is in docs/results.md; here people of another seed than its own."""
    import gesta
    from gesta.sources import recordings
    from gesta.synthetic import everyday

    everyday.make(tmp_path, people=3, seed=91, workers=1)
    recording = recordings.read(tmp_path).samples[0]
    found = gesta.load("everyday").predict(recording.files[0].path)
    done = [(span.label, span.first / everyday.FPS, span.last / everyday.FPS) for span in recording.spans]
    right = [any(e.label == name and e.start_s < end and start < e.end_s for e in found) for name, start, end in done]
    assert len(done) == 16 and sum(right) >= 12
    assert len(found) - sum(right) <= 3
