"""Skeleton models on the page: the same answers and events behind a tracker, frame by frame and by whole windows."""

import numpy as np
import pytest

pytest.importorskip("onnxscript")
import safetensors.torch
import torch
from export.test_export_web import fetched, in_node, rows
from spotting.skeletons import JOINTS, recording

from gesta.bundle import io
from gesta.bundle.manifest import Artifact, Provenance
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.clips.transform import Transform
from gesta.decoding import DecoderSpec
from gesta.engines.base import Placement
from gesta.exporting.run import Export
from gesta.exporting.web import site
from gesta.tasks import catalog
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import fresh
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.network import build
from gesta.tasks.spotting.recipe import SpottingModelSettings

LABELS = ("none", "lift", "aside")
EASY = DecoderSpec(smoothing_s=0.05, on=0.5, off=0.4, least_s=0.1, rearm_s=0.05)
SPACE = SkeletonSpace(joints=JOINTS, origin="first", view="first")


def saved(folder, network, manifest, model, **own):
    """A bundle with weights that answer differently from frame to frame."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.split(".")[0] in ("head", "classifier"):
                parameter.mul_(6)
    weights = safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()})
    origin = Provenance(created="2026-01-01", gesta="0", seed=0, layout="x", data_fingerprint="0")
    artifact = Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(weights))
    given = {
        "name": "tiny",
        "parameters": 1,
        "recipe": {"model": model},
        "provenance": origin,
        "artifacts": (artifact,),
    }
    return io.write(folder, manifest(**given, decoder=EASY, **own), {io.WEIGHTS: weights}).path


def spotter(folder):
    model = SpottingModelSettings(name="tcn", width=16).model_dump()
    network = build(SpottingModelSettings(**model), len(LABELS), len(JOINTS), 3)
    return saved(folder, network, SpottingManifest, model, classes=LABELS, space=SPACE, fps=20.0, delay_frames=3)


def recognizer(folder, name, sampling, chunk):
    given = {"streams": ("skeleton",), "channels": (), "body": "frame", "skeleton": SPACE}
    t = Transform(fps=15, sampling=sampling, chunk=chunk, window=24, **given)
    model = {"name": name, "width": 0.25, "dropout": 0.0}
    return saved(folder, fresh(model, t, len(LABELS)), ClipManifest, model, labels=LABELS, transform=t)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [spotter, lambda f: recognizer(f, "tcn", "chunks", 1), lambda f: recognizer(f, "dd_net", "whole", 4)],
    ids=["spotting", "steps", "whole"],
)
def test_skeletons_get_the_same_answers_and_events(make, tmp_path):
    fetched()
    torch.manual_seed(3)
    task, bundle = catalog.of_bundle(make(tmp_path / "bundle"))
    site.export_site(bundle, tmp_path / "page", Export("web"))
    frames, _ = recording(["lift", "aside", "lift"], np.random.default_rng(0))
    frames[40:44, 2] = np.nan
    times = 3 + np.cumsum(np.random.default_rng(1).uniform(0.02, 0.08, len(frames)))
    found = in_node("model", tmp_path / "page", skeletons=rows(frames), times=times.tolist())
    assert found["check"]["same"] and found["check"]["largestDifference"] < 1e-4
    follower = task.follow(task.load(bundle, Placement(device="cpu")))
    expected = [event for frame, s in zip(frames, times, strict=True) for event in follower.push(frame, float(s))]
    expected += follower.finish()
    assert expected
    assert [one["label"] for one in found["events"]] == [event.label for event in expected]
    for one, other in zip(found["events"], expected, strict=True):
        wanted = (other.start_s, other.end_s, other.confidence, other.decided_s)
        np.testing.assert_allclose([one[k] for k in ("startS", "endS", "confidence", "decidedS")], wanted, atol=1e-4)
    assert "MediaPipe" in (tmp_path / "page" / "example.html").read_text()
