"""What a model was trained on is left out of its measurement, by content: files may be renamed, lists added."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.bundle import io
from gesta.evaluation.data import parts_for, unseen
from gesta.schema import GestaError
from gesta.sources.catalog import read
from gesta.tasks import catalog

CLIPS = catalog.find("clips")


def trained_on(bundle: Path, identities: list[str]) -> Path:
    """The bundle, as if these samples had been in its training."""
    opened = catalog.read_bundle(bundle)
    provenance = opened.manifest.provenance.model_copy(update={"samples": tuple(identities)})
    io.update(opened, provenance=provenance)
    return bundle


def people_forgotten(data: Path) -> Path:
    """Another index.csv, without people and splits."""
    rows = [line.split(",")[:2] for line in (data / "index.csv").read_text().splitlines()]
    (data / "index.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    return data


@pytest.mark.usefixtures("recognizer")
class TestClips:
    def test_an_index_without_people_added_after_the_training(self, gesta, make_bundle, data):
        before = [s for s in read(data).samples if s.subject in ("A", "B")]
        bundle = trained_on(make_bundle(people=()), CLIPS.identities(before))
        manifest = catalog.read_bundle(bundle).manifest
        test = parts_for(CLIPS, manifest, people_forgotten(data)).of("test")
        met = {s.id for s in test} & {s.id for s in before}
        assert met and len(met) < len(test), "the new draw takes some clips of the training"
        done = gesta("evaluate", bundle, data, "--out", data.parent / "out", "--json")
        assert done.exit_code == 0, done.stderr
        said = f"{len(met)} of {len(test)} clips were used in training; they are skipped."
        assert said in done.stderr and json.loads(done.stdout)["n"] == len(test) - len(met)
        rows = (data.parent / "out" / "predictions.csv").read_text().splitlines()[1:]
        assert {row.split(",")[0] for row in rows} == {s.id for s in test} - met
        assert "taken out of training" not in done.stderr

    def test_renamed_and_copied_files_are_known_by_their_content(self, make_bundle, data):
        bundle = trained_on(make_bundle(), CLIPS.identities([s for s in read(data).samples if s.subject == "A"]))
        manifest = catalog.read_bundle(bundle).manifest
        for file in list(data.glob("A_*.mkv")):
            shutil.copy(file, data / f"new_{file.name}")
            file.rename(data / f"old_{file.name}")
        (data / "index.csv").unlink()
        everything = read(data).samples
        kept, notes = unseen(CLIPS, manifest, everything, "test")
        assert len(everything) == 32 and {s.id[:1] for s in kept} == {"B", "C"} and len(kept) == 16
        assert notes == ["16 of 32 clips were used in training; they are skipped."]

    def test_all_of_the_training_are_refused(self, gesta, make_bundle, data):
        bundle = trained_on(make_bundle(), CLIPS.identities(read(data).samples))
        done = gesta("evaluate", bundle, data)
        assert done.exit_code == 1 and not done.stdout
        assert "all 16 clips of the split 'test' were trained on" in done.stderr
        done = gesta("evaluate", bundle, data, "--split", "all", "--json")
        assert json.loads(done.stdout)["n"] == 24, "asked for by name"

    def test_a_bundle_that_does_not_tell_keeps_everything(self, gesta, make_bundle, data):
        bundle = make_bundle()
        assert catalog.read_bundle(bundle).manifest.provenance.samples == ()
        done = gesta("evaluate", bundle, data, "--json")
        assert json.loads(done.stdout)["n"] == 16 and "are skipped" not in done.stderr

    def test_another_span_and_other_content_are_other_clips(self, make_bundle, data):
        first, second = read(data).samples[:2]
        manifest = catalog.read_bundle(trained_on(make_bundle(), CLIPS.identities([first]))).manifest
        span = replace(first, first_frame=0, last_frame=3)
        assert unseen(CLIPS, manifest, [first, span, second], "test")[0] == [span, second]
        shutil.copy(second.color.path, first.color.path)
        assert unseen(CLIPS, manifest, [first], "test")[0] == [first]


def test_hands_are_known_by_their_joints(gesta, pose_bundle, hand_data, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(pose_bundle, bundle)
    task = catalog.find("hands")
    frames = task.read(hand_data).samples
    trained_on(bundle, task.identities(frames[:17]))  # the last four are tested
    done = gesta("evaluate", bundle, hand_data, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["frames"] == 3
    assert "1 of 4 frames were used in training; they are skipped." in done.stderr


def test_videos_of_stored_features_are_known_by_name_and_size(tmp_path, monkeypatch):
    narrow(monkeypatch)
    torch.set_num_threads(1)
    videos = write_videos(tmp_path / "videos", each=2)
    task = catalog.find("features")
    bundle = make_feature_bundle(tmp_path / "features", videos, every=3).path
    manifest = catalog.read_bundle(trained_on(bundle, task.identities(read(videos).samples[:3]))).manifest
    kept, notes = unseen(task, manifest, read(videos).samples, "test")
    assert len(kept) == 1 and notes == ["3 of 4 videos were used in training; they are skipped."]
    other = write_videos(tmp_path / "other", each=2, frames=9)  # of the same names
    assert len(unseen(task, manifest, read(other).samples, "test")[0]) == 4
    with pytest.raises(GestaError, match="all 3 videos of the split 'test' were trained on"):
        unseen(task, manifest, read(videos).samples[:3], "test")


@pytest.mark.slow
def test_a_training_on_stored_features_tells_what_it_met(gesta, tmp_path, monkeypatch):
    """Through the commands: the features' index and the videos name the same samples alike."""
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    narrow(monkeypatch)
    torch.set_num_threads(1)
    videos, stored = write_videos(tmp_path / "videos", each=5), tmp_path / "stored"
    words = ("--backbone", "resnet18", "--weights", "random", "--size", "32", "--every", "3", "--out", stored)
    done = gesta("features", videos, *words)
    assert done.exit_code == 0, done.stderr
    changes = ("training.epochs=1", "features.backbone=resnet18", "features.every=3")
    sets = [part for change in changes for part in ("--set", change)]
    done = gesta("train", stored, "--out", tmp_path / "run", *sets)
    assert done.exit_code == 0, done.stderr
    manifest = catalog.read_bundle(tmp_path / "run" / "bundle").manifest
    task = catalog.find("features")
    parts = parts_for(task, manifest, videos)
    assert unseen(task, manifest, parts.of("test"), "test") == (parts.of("test"), [])
    left, notes = unseen(task, manifest, parts.of("all"), "test")
    assert {s.id for s in left} == {s.id for s in parts.of("test")} and "are skipped" in notes[0]
