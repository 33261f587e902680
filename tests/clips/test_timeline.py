"""The figure of answers over time, and that a video with predictions gets it."""

import xml.etree.ElementTree as ET

import numpy as np

from gesta.clips.annotated import VideoWriter
from gesta.clips.timeline import LINES, leading, timeline
from gesta.schema import Prediction

SVG = "{http://www.w3.org/2000/svg}"


def answers():
    """A second of nothing, a second of waving, a second of nothing; an answer every fifth of a second."""
    waves = [0.1] * 5 + [0.8] * 5 + [0.1] * 5
    found = [Prediction("wave" if p > 0.5 else "none", {"none": 1 - p, "wave": p, "<b>": 0.0}) for p in waves]
    return [(0.2 * number, one) for number, one in enumerate(found)]


def test_a_bar_for_each_stretch_and_a_curve_for_each_label():
    root = ET.fromstring(timeline("a <title>", answers()))
    assert root.find(f"{SVG}title").text == "a <title>"
    bars = [bar for bar in root.iter(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    told = [bar.find(f"{SVG}title").text for bar in bars]
    assert told == ["none, 0.00 to 1.00 s", "wave, 1.00 to 2.00 s", "none, 2.00 to 2.80 s"]
    assert float(bars[1].get("x")) == 321.4 and float(bars[1].get("width")) == 321.5
    curves = [path.get("d") for path in root.iter(f"{SVG}path")]
    assert len(curves) == 3 and curves[0].startswith("M0.0 48.0 L64.3 48.0")
    assert "<b>" in [span.text for span in root.iter(f"{SVG}tspan")]


def test_labels_that_led_have_curves_before_others():
    probabilities = {f"class {n}": 0.01 * n for n in range(9)} | {"rare": 0.5}
    names = leading([Prediction("rare", probabilities), Prediction("class 0", probabilities)])
    assert names == ["rare", "class 0", "class 8", "class 7", "class 6"] and len(names) == LINES


def test_it_lies_beside_the_video(tmp_path):
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for time_s, found in answers():
            writer.write(time_s, np.zeros((240, 320, 3), np.uint8), found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.svg"]
    assert (tmp_path / "a.svg").read_text() == timeline("a", answers())
