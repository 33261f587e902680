"""Bundles: what is written is read back; whatever a stranger may have put into one is refused with a reason."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gesta import files
from gesta.bundle import card, io
from gesta.bundle.manifest import Artifact, Provenance
from gesta.bundle.people import fingerprint
from gesta.clips.transform import Transform
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest

WEIGHTS = safetensors.numpy.save({"a": np.arange(6, dtype=np.float32).reshape(2, 3)})


def manifest(**changes: object) -> ClipManifest:
    fields: dict = {
        "name": "test",
        "labels": ("sì", "no"),
        "transform": Transform(fps=10),
        "recipe": {"name": "auto", "model": {"name": "cnn3d_lstm", "width": 0.25}},
        "parameters": 6,
        "provenance": Provenance(created="2026-01-01", gesta="0.1.0", seed=0, layout="videos", data_fingerprint="00"),
        "artifacts": (Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(WEIGHTS)),),
    }
    return ClipManifest(**{**fields, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return io.write(tmp_path / "bundle", manifest(), {io.WEIGHTS: WEIGHTS}).path


def edit(folder: Path, **changes: object) -> None:
    path = folder / io.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(path: Path, *words: str) -> None:
    with pytest.raises(GestaError) as caught:
        io.load_weights(io.read(path, ClipManifest))
    for word in (str(path), *words):
        assert word in str(caught.value)


def test_what_is_written_is_read(folder: Path) -> None:
    bundle = io.read(folder, ClipManifest)
    assert bundle.manifest == manifest()
    assert np.array_equal(io.load_weights(bundle)["a"], [[0, 1, 2], [3, 4, 5]])
    assert sorted(p.name for p in folder.iterdir()) == ["CARD.md", "manifest.json", "weights.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["bundle"]


def test_zip_holds_the_same_and_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    first, second = (io.save_zip(io.read(folder, ClipManifest), tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()
    assert np.array_equal(
        io.load_weights(io.read(first, ClipManifest))["a"], io.load_weights(io.read(folder, ClipManifest))["a"]
    )


def test_zip_of_the_folder_itself_is_read(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hand.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"mine/{path.name}")
    assert io.read(tmp_path / "hand.zip", ClipManifest).manifest == manifest()
    io.load_weights(io.read(tmp_path / "hand.zip", ClipManifest))


def test_writing_replaces_a_bundle_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    io.write(folder, manifest(name="second"), {io.WEIGHTS: WEIGHTS})
    assert io.read(folder, ClipManifest).manifest.name == "second"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(GestaError, match="is not a bundle, so it is not replaced"):
        io.write(tmp_path / "thesis", manifest(), {io.WEIGHTS: WEIGHTS})


def test_full_disk_leaves_the_old_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(GestaError, match=r"No space left on device.*disk has space"):
        io.write(folder, manifest(name="second"), {io.WEIGHTS: WEIGHTS})
    with pytest.raises(GestaError, match="No space left"):
        io.update(io.read(folder, ClipManifest), metrics={"accuracy": 1.0})
    assert io.read(folder, ClipManifest).manifest.name == "test"
    assert [p.name for p in folder.parent.iterdir()] == ["bundle"]
    assert sorted(p.name for p in folder.iterdir()) == ["CARD.md", "manifest.json", "weights.safetensors"]


def test_artifacts_are_added_and_replaced(folder: Path) -> None:
    for content in (b"one", b"two"):
        artifact = Artifact(
            role="step",
            engine="openvino",
            file="step.xml",
            sha256=io.digest(b"x"),
            companions={"step.bin": io.digest(content)},
        )
        bundle = io.add_artifact(io.read(folder, ClipManifest), artifact, {"step.xml": b"x", "step.bin": content})
        assert bundle.read(artifact, "step.bin") == content
    assert [a.role for a in io.read(folder, ClipManifest).manifest.artifacts] == ["weights", "step"]
    assert "step.xml" in (folder / io.CARD).read_text()


def test_artifact_and_files_must_fit(folder: Path) -> None:
    artifact = Artifact(role="step", engine="openvino", file="step.xml", sha256=io.digest(b"x"))
    with pytest.raises(ValueError, match="sha256"):
        io.add_artifact(io.read(folder, ClipManifest), artifact, {"step.xml": b"y"})
    with pytest.raises(ValueError, match="name"):
        io.add_artifact(io.read(folder, ClipManifest), artifact, {"other.xml": b"x"})


def test_a_zip_is_never_changed(folder: Path, tmp_path: Path) -> None:
    bundle = io.read(io.save_zip(io.read(folder, ClipManifest), tmp_path / "a.zip"), ClipManifest)
    with pytest.raises(GestaError, match="zip, and gesta does not change zips"):
        io.update(bundle, metrics={})


def test_missing_bundle_and_other_things(tmp_path: Path, folder: Path) -> None:
    refused(tmp_path / "nowhere", "no such bundle", "gesta train")
    refused(tmp_path, "has no manifest.json", str(folder))
    (tmp_path / "model.pth").write_bytes(b"weights")
    refused(tmp_path / "model.pth", "is not a bundle")
    (tmp_path / "cut.zip").write_bytes(
        io.save_zip(io.read(folder, ClipManifest), tmp_path / "whole.zip").read_bytes()[:-300]
    )
    refused(tmp_path / "cut.zip")


def test_newer_format_names_the_version_that_reads_it(folder: Path) -> None:
    provenance = {**json.loads((folder / io.MANIFEST).read_text())["provenance"], "gesta": "3.2.1"}
    edit(folder, format_version=6, provenance=provenance, unheard_of=1)
    refused(folder, "format version 6", "up to 5", "gesta-vision>=3.2.1")
    edit(folder, format_version=1, transform={"version": 9, "fps": 10})
    refused(folder, "transform version 9", "gesta-vision>=3.2.1")


def test_invalid_manifest_names_the_field(folder: Path) -> None:
    (folder / io.MANIFEST).write_text("{")
    refused(folder, "manifest.json is not JSON")
    (folder / io.MANIFEST).write_text("[]")
    refused(folder, "not a JSON object")
    for deep in ("[" * 200_000, '{"recipe": ' + "[" * 900 + "]" * 900 + "}"):
        (folder / io.MANIFEST).write_text(deep)
        refused(folder, "manifest.json is not JSON (recursion limit exceeded")
    (folder / io.MANIFEST).write_text(json.dumps(manifest().model_dump(mode="json") | {"parameters": "many"}))
    refused(folder, "parameters")
    edit(folder, parameters=1, transform={"fps": -1})
    refused(folder, "transform.fps")
    edit(folder, transform={"fps": 10}, labels=["a", "a"])
    refused(folder, "labels", "each once")


def test_tampered_weights_are_named(folder: Path) -> None:
    data = bytearray(WEIGHTS)
    data[-1] ^= 1
    (folder / io.WEIGHTS).write_bytes(data)
    refused(folder, "weights.safetensors", "sha256")


def test_tampered_weights_with_fitting_hash_still_run_nothing(folder: Path) -> None:
    data = b"\x80\x04cos\nsystem\n"
    (folder / io.WEIGHTS).write_bytes(data)
    artifact = {"role": "weights", "engine": "torch", "file": io.WEIGHTS, "sha256": io.digest(data)}
    edit(folder, artifacts=[artifact])
    refused(folder, "not a safetensors file")


def test_missing_file_and_missing_weights(folder: Path) -> None:
    (folder / io.WEIGHTS).unlink()
    refused(folder, "weights.safetensors is missing")
    edit(folder, artifacts=[])
    refused(folder, "has no weights")


@pytest.mark.parametrize(
    "name", ["../outside", "a/../../b", "/etc/passwd", "C:/x", "C:x", "a\\b", "", ".", "a//b", "./a", "file:x"]
)
def test_paths_that_lead_outside(folder: Path, name: str) -> None:
    edit(folder, artifacts=[{"role": "weights", "engine": "torch", "file": name, "sha256": "0"}])
    refused(folder, repr(name), "outside")
    artifact = {"role": "weights", "engine": "torch", "file": io.WEIGHTS, "sha256": "0", "companions": {name: "0"}}
    edit(folder, artifacts=[artifact])
    refused(folder, "outside")


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(WEIGHTS)
    (folder / io.WEIGHTS).unlink()
    try:
        (folder / io.WEIGHTS).symlink_to(tmp_path / "real")
    except OSError:
        pytest.skip("this system makes no links")
    refused(folder, "is a link")


def zipped(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            if name == link:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def test_zips_with_paths_outside_links_and_bombs(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {p.name: p.read_bytes() for p in folder.iterdir()}
    refused(zipped(tmp_path / "out.zip", whole | {"../x": b""}), "outside")
    refused(zipped(tmp_path / "link.zip", whole, link=io.WEIGHTS), "is a link")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        for name in ("manifest.json", "manifest.json"):
            archive.writestr(name, whole["manifest.json"])
    refused(tmp_path / "twice.zip", "twice")
    monkeypatch.setattr("gesta.bundle.safe.SMALL_BYTES", 1024)
    refused(zipped(tmp_path / "bomb.zip", whole | {"zeros": bytes(3_000_000)}), "would unpack from", "zip bomb")


def test_zip_without_manifest_and_oversized_manifest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(zipped(tmp_path / "a.zip", {"b": b"", "c": b""}), "manifest.json is missing")
    monkeypatch.setattr(io, "MAX_MANIFEST_BYTES", 10)
    refused(folder, "larger than 10 bytes")


def test_card_says_what_was_measured_only() -> None:
    text = card.render(manifest())
    assert "Not yet measured" in text
    assert "sì, no" in text
    text = card.render(manifest(metrics={"accuracy": 0.91234, "accuracy_interval": [0.8, 0.95], "confusion": [[1, 0]]}))
    assert "accuracy: 0.9123" in text
    assert "0.8 to 0.95" in text
    assert "confusion" not in text


def test_people_are_told_apart_by_name_and_layout() -> None:
    prints = {fingerprint(name, layout) for name in ("1", "2") for layout in ("videos", "chalearn2014")}
    assert len(prints) == 4
    assert fingerprint(" 1", "videos") == fingerprint("1", "videos")
