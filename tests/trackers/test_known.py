"""The published networks on real clips, against what another implementation of them found. Skips without either."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tracker_accuracy import compare_clip, track_frames
from gesta.schema import GestaError
from gesta.trackers import Tracker
from gesta.trackers.files import SHA256, default_folder, located

DATA = Path(__file__).parents[3] / "shared" / "data"
KNOWN = DATA / "tracker_eval" / "known.json"
CLIPS = DATA / "decode_samples"


@pytest.fixture(scope="module")
def networks():
    try:
        return located(SHA256, default_folder())
    except GestaError as error:
        pytest.skip(f"the trackers' networks are not here: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ucf101_applyeyemakeup.avi", "demo.mp4", "ntu_sample.avi"])
def test_static_mode_agrees(networks, name):  # noqa: ARG001
    if not KNOWN.is_file():
        pytest.skip("the real clips of shared/data/tracker_eval are not here")
    known = json.loads(KNOWN.read_text(encoding="utf-8"))[name]
    tracker = Tracker("both", static=True)
    figures = compare_clip(known, track_frames(CLIPS / name, [f["frame"] for f in known["frames"]], tracker))
    assert not figures["hands_median_px"] > 2.5
    assert not figures["pose_median_percent"] > 1.5
    assert figures["same_hands"] >= 0.95
    assert figures["same_person"] >= 0.95


def test_an_empty_frame_has_nobody(networks):  # noqa: ARG001
    found = Tracker("both", mask=True).step(np.full((120, 160, 3), 90, np.uint8), 0.0)
    assert found.hands == () and found.person is None
    points, confidence = found.joints("both")
    assert points.shape == (75, 3) and np.isnan(points).all() and not confidence.any()
