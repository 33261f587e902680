"""Bundles of hand pose models: written, read, zipped, told from classifiers; what is measured stands in the card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gesta.bundle import card, io
from gesta.bundle.manifest import Artifact, PoseMeasured, Provenance
from gesta.schema import GestaError
from gesta.tasks.catalog import read_bundle
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.transform import HandTransform

WEIGHTS = safetensors.numpy.save({"a": np.arange(6, dtype=np.float32)})


def manifest(**changes: object) -> HandManifest:
    fields: dict = {
        "name": "test",
        "joints": ("palm", "tip"),
        "transform": HandTransform(
            inputs="rgbd", size=32, color_mean=(1.0, 2.0, 3.0), color_deviation=(4.0, 5.0, 6.0), joint_indices=(0, 3)
        ),
        "recipe": {"name": "kazakos/fuse-net", "model": {"name": "fuse_net"}},
        "parameters": 6,
        "provenance": Provenance(
            created="2026-01-01",
            gesta="0.1.0",
            seed=0,
            layout="nyu",
            data_fingerprint="00",
            clips={"train": 3},
        ),
        "metrics": {"val_error_mm": 12.3456},
        "artifacts": (Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(WEIGHTS)),),
    }
    return HandManifest(**{**fields, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return io.write(tmp_path / "bundle", manifest(), {io.WEIGHTS: WEIGHTS}).path


def edit(folder: Path, **changes: object) -> None:
    path = folder / io.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_written_is_read_from_folder_and_zip(folder: Path, tmp_path: Path) -> None:
    bundle = io.read(folder, HandManifest)
    assert bundle.manifest == manifest() and read_bundle(folder).manifest == manifest()
    assert np.array_equal(io.load_weights(bundle)["a"], np.arange(6))
    zipped = io.read(io.save_zip(bundle, tmp_path / "a.zip"), HandManifest)
    assert zipped.manifest == manifest() and io.load_weights(zipped).keys() == {"a"}


def test_an_artifact_more_with_what_was_measured(folder: Path) -> None:
    measured = PoseMeasured(
        frames=4,
        source="validation",
        largest_difference_mm=0.01,
        mean_difference_mm=0.001,
        error_mm=9,
        error_mm_torch=8,
    )
    artifact = Artifact(role="whole", engine="openvino", file="a.xml", sha256=io.digest(b"x"), pose=measured)
    bundle = io.update(io.add_artifact(io.read(folder, HandManifest), artifact, {"a.xml": b"x"}), notes=("a note",))
    assert io.read(folder, HandManifest).manifest == bundle.manifest
    found = bundle.find("whole", "openvino")
    assert found is not None and found.pose == measured
    shown = (folder / io.CARD).read_text()
    for words in (
        "2 joints",
        "palm, tip",
        "12.35",
        "32 x 32",
        "300 mm",
        "3 train",
        "9.00 (8.00)",
        "a note",
        "fuse_net",
    ):
        assert words in shown


def test_neither_kind_is_taken_for_the_other(folder: Path) -> None:
    with pytest.raises(GestaError, match="the task 'hands'"):
        io.read(folder, ClipManifest)
    edit(folder, kind="classifier", format_version=1)
    with pytest.raises(GestaError, match="not valid"):
        io.read(folder, ClipManifest)


def test_newer_ones_and_wrong_ones_are_refused(folder: Path) -> None:
    edit(folder, format_version=6)
    with pytest.raises(GestaError, match="bundle format version 6 is newer"):
        io.read(folder, HandManifest)
    edit(folder, format_version=4, transform={"version": 9})
    with pytest.raises(GestaError, match="transform version 9 is newer"):
        io.read(folder, HandManifest)
    edit(folder, transform=HandTransform().model_dump(mode="json"), joints=["tip", "tip"])
    with pytest.raises(GestaError, match="not valid at joints"):
        io.read(folder, HandManifest)


def test_nothing_measured_is_said() -> None:
    shown = card.render(manifest(metrics={}, artifacts=()))
    assert "Not yet measured" in shown and "## Files" not in shown
