"""Bundles from strangers: what does not fit or cannot be shown is refused or escaped, quickly and in little memory."""

from __future__ import annotations

import dataclasses
import json
import time
import unicodedata
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from bundle.test_bundle_io import WEIGHTS, edit, folder, manifest  # noqa: F401
from cases.test_cases_hostile import odd_zips
from pydantic import ValidationError

from gesta.bundle import card, io, sparse
from gesta.bundle.manifest import Artifact, Tensor
from gesta.clips.transform import Transform
from gesta.engines.base import check_interface
from gesta.schema import GestaError
from gesta.tasks.catalog import read_bundle


@pytest.mark.parametrize("version", ["99", "1", True, 1.5, 0, -3, None, [1], {"a": 1}, 1e400])
@pytest.mark.parametrize("where", ["bundle", "transform"])
def test_a_version_is_a_number(folder, version, where):  # noqa: F811
    document = json.loads((folder / io.MANIFEST).read_text())
    target = document if where == "bundle" else document["transform"]
    target["format_version" if where == "bundle" else "version"] = version
    (folder / io.MANIFEST).write_text(json.dumps(document))
    with pytest.raises(GestaError, match=r"version|not JSON"):
        read_bundle(folder)


@pytest.mark.parametrize("shape", [[10**6, 10**6], [2**27], [-2], [1] * 9, [10**30], [3, -1, 2**26]])
def test_states_that_nobody_could_hold(folder, shape):  # noqa: F811
    document = json.loads((folder / io.MANIFEST).read_text())
    state = {"name": "h", "dtype": "float32", "shape": shape}
    document["artifacts"][0]["states"] = [state]
    (folder / io.MANIFEST).write_text(json.dumps(document))
    with pytest.raises(GestaError, match=r"artifacts\.0\.states\.0\.shape"):
        read_bundle(folder)


def test_states_that_networks_have():
    assert Tensor(name="h", dtype="float32", shape=(1, -1, 512)).shape == (1, -1, 512)
    with pytest.raises(ValidationError):
        Artifact(
            role="step",
            engine="torch",
            file="a",
            sha256="",
            states=[Tensor(name=f"{i}", dtype="float32", shape=(1,)) for i in range(100)],
        )


def interface(streams=1, channels=2, size=64, classes=2, frames=-1):
    clip = {"clip": ("uint8", (-1, streams, channels, frames, size, size)), "lengths": ("int64", (-1,))}
    return clip, {"logits": ("float32", (-1, classes))}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"size": -1}, None),
        ({"size": 32}, "transform makes"),
        ({"channels": 3}, "transform makes"),
        ({"streams": 2}, "transform makes"),
        ({"classes": 5}, "has outputs for 5 classes, but the manifest names 2"),
    ],
)
def test_the_transform_is_held_against_the_networks_own_input(tmp_path, changes, reason):
    """The manifest leaves every axis open, so that it agrees with whatever the file holds."""
    inputs, outputs = interface(**changes)
    said = [
        tuple(Tensor(name=name, dtype=dtype, shape=[-1] * len(shape)) for name, (dtype, shape) in ports.items())
        for ports in (inputs, outputs)
    ]
    artifact = Artifact(role="whole", engine="openvino", file="a", sha256="", inputs=said[0], outputs=said[1])
    spec = Transform(fps=10, size=64, streams=("body",), channels=("gray", "gray_difference"), body="motion")
    bundle = io.Bundle(tmp_path, manifest(transform=spec))
    if reason is None:
        check_interface(bundle, artifact, inputs, outputs)
    else:
        with pytest.raises(GestaError, match=reason):
            check_interface(bundle, artifact, inputs, outputs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_weights_that_are_no_numbers(tmp_path, value, dtype):
    array = np.ones((4, 4), dtype)
    array[2, 1] = value
    content = safetensors.numpy.save({"good": np.ones(3, np.float32), "bad": array})
    artifact = Artifact(role="weights", engine="torch", file=io.WEIGHTS, sha256=io.digest(content))
    bundle = io.write(tmp_path / "b", manifest(artifacts=(artifact,)), {io.WEIGHTS: content})
    with pytest.raises(GestaError, match="bad contains values that are not finite numbers"):
        io.load_weights(bundle)


def test_answers_that_are_no_numbers():
    from gesta.tasks.classification import softmax

    np.testing.assert_allclose(softmax(np.array([[0.0, np.log(3)]], np.float32)), [[0.25, 0.75]], atol=1e-7)
    with pytest.raises(GestaError, match="not numbers"):
        softmax(np.array([[0.0, np.nan]], np.float32))


def test_labels_cannot_write_on_the_card():
    label = "wave\n# Free money\x1b[2J [here](http://x) <script> | `a` *b*"
    text = card.render(manifest(labels=(label, "clap"), name=label, notes=(label,)))
    assert "\x1b" not in text
    assert not any(line.startswith("# Free") for line in text.splitlines())
    assert "[here](" not in text.replace("\\[here\\](", "")
    assert "\\<script" in text
    assert r"\\x0a# Free money\\x1b\[2J" in text


def test_plain_labels_look_plain_on_the_card():
    assert "Recognizes 2 classes: sì, come_here 2." in card.render(manifest(labels=("sì", "come_here 2")))


def test_labels_of_a_bundle_are_compared_in_one_spelling(folder):  # noqa: F811
    edit(folder, labels=[unicodedata.normalize("NFD", "Grüßen é"), "clap"])
    assert read_bundle(folder).manifest.labels == ("Grüßen é", "clap")
    both = ["Grüßen é", unicodedata.normalize("NFD", "Grüßen é")]
    edit(folder, labels=both)
    assert read_bundle(folder).manifest.labels == tuple(both)


@pytest.mark.integration
def test_many_small_tensors_are_read_in_linear_time():
    def seconds(count):
        zeros = np.zeros(512, np.float32)
        zeros[3] = 1
        data, report = sparse.encode({f"layer.{i}": zeros for i in range(count)})
        assert {one.encoding for one in report} == {"bitmap"}
        start = time.perf_counter()
        found = sparse.decode(data, "here")
        spent = time.perf_counter() - start
        assert len(found) == count
        assert all(np.array_equal(array, zeros) for array in found.values())
        return spent

    seconds(100)
    few, many = min(seconds(1000) for _ in range(3)), seconds(20_000)
    assert many < 20 * few * 4 + 0.2  # twenty times as many, and room for a busy machine; quadratic were 400 times


@pytest.mark.parametrize("name", odd_zips())
def test_odd_zips_are_no_bundles(tmp_path, name):
    path = tmp_path / "b.zip"
    path.write_bytes(odd_zips()[name].replace(b"Sample0001_data.csv", b"manifest.json......"))
    with pytest.raises(GestaError, match=r"b\.zip"):
        read_bundle(path)


def test_a_zip_that_names_a_file_twice_or_outside(folder, tmp_path):  # noqa: F811
    for number, extra in enumerate(("manifest.json", "/etc/passwd", "../up", "a\\b", "c:x")):
        path = tmp_path / f"{number}.zip"
        io.save_zip(read_bundle(folder), path)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns() if number == 0 else zipfile.ZipFile(path):
            archive.writestr(extra, b"x")
        with pytest.raises(GestaError):
            read_bundle(path)


def test_the_demo_bundle_is_still_read():
    found = read_bundle("demo")
    assert dataclasses.is_dataclass(found)
    assert len(found.manifest.labels) == 20


def test_a_pipe_is_no_bundle(tmp_path):
    import os

    from gesta.bundle.safe import is_zipped_bundle

    os.mkfifo(tmp_path / "b.zip")
    assert not is_zipped_bundle(tmp_path / "b.zip")
    with pytest.raises(GestaError, match="is not a bundle"):
        read_bundle(tmp_path / "b.zip")
