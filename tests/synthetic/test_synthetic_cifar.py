"""Generated images in the layout of CIFAR: the very pickles, reproducible, neither trivial nor unlearnable."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gesta.cli.data import app
from gesta.schema import GestaError
from gesta.sources import cifar as reader
from gesta.synthetic import cifar


def plain(path: Path) -> dict:
    """As the data set's own page says to read it."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the originals name numpy.core, which numpy 2 calls old
        return pickle.load(stream, encoding="bytes")


def test_files_are_the_originals_dictionaries(tmp_path: Path) -> None:
    files = cifar.make(tmp_path, "cifar10", images=120)
    folder = tmp_path / "cifar-10-batches-py"
    assert files == [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]
    document = plain(folder / "data_batch_1")
    assert set(document) == {b"data", b"labels", b"filenames", b"batch_label"}
    assert document[b"data"].shape == (24, 3072) and document[b"data"].dtype == np.uint8
    assert type(document[b"labels"][0]) is int and type(document[b"filenames"][0]) is bytes
    assert plain(folder / "batches.meta")[b"label_names"][0] == b"disc"
    train, test = reader.read(tmp_path, "cifar10")
    assert (len(train), len(test)) == (120, 24)
    stored = document[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(train.pixels[:24], stored)


def test_hundred_classes(tmp_path: Path) -> None:
    cifar.make(tmp_path, "cifar100", images=1000)
    train, _ = reader.read(tmp_path, "cifar100")
    assert np.bincount(train.labels).tolist() == [10] * 100
    document = plain(tmp_path / "cifar-100-python" / "train")
    pairs = set(zip(document[b"fine_labels"], document[b"coarse_labels"], strict=True))
    assert len(pairs) == 100 and {coarse for _, coarse in pairs} == set(range(20))
    names = plain(tmp_path / "cifar-100-python" / "meta")
    assert (len(names[b"fine_label_names"]), len(names[b"coarse_label_names"])) == (100, 20)


def test_same_seed_same_bytes_and_what_is_there_stays(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        cifar.make(tmp_path / folder, "cifar10", images=100, seed=3)
    one, other = (tmp_path / f / "cifar-10-batches-py" / "data_batch_2" for f in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    before = one.stat().st_mtime_ns
    other.unlink()
    for folder in ("a", "b"):
        cifar.make(tmp_path / folder, "cifar10", images=100, seed=3)
    assert one.stat().st_mtime_ns == before and one.read_bytes() == other.read_bytes()
    with pytest.raises(GestaError, match="made with other settings"):
        cifar.make(tmp_path / "a", "cifar10", images=100, seed=4)


@pytest.mark.integration
def test_neither_pixels_nor_colors_tell_the_class(tmp_path: Path) -> None:
    cifar.make(tmp_path, "cifar10", images=1500)
    train, test = reader.read(tmp_path, "cifar10")

    def nearest(a: np.ndarray, b: np.ndarray) -> float:
        distances = (a**2).sum(1) - 2 * b @ a.T
        return float((train.labels[distances.argmin(1)] == test.labels).mean())

    whole = [part.pixels.reshape(len(part), -1).astype(np.float32) / 255 for part in (train, test)]
    color = [part.pixels.mean((1, 2), dtype=np.float32) for part in (train, test)]
    assert 0.1 < nearest(*whole) < 0.35  # something is there, but not much
    assert nearest(*color) < 0.2


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="expected at least 1000 for cifar100"):
        cifar.make(tmp_path, "cifar100", images=999)


def test_unknown_values_are_no_part_of_a_batch() -> None:
    with pytest.raises(TypeError, match="float is not in files of CIFAR"):
        cifar.python2_pickle({b"data": 1.0})


def test_command_makes_a_set_and_refuses_options_of_recordings(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["make", "cifar10", str(tmp_path / "set"), "--images", "100", "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["images"] == 100
    assert len(reader.read(tmp_path / "set", "cifar10")[0]) == 100
    for arguments, says in (
        (["cifar10", str(tmp_path / "x"), "--people", "3"], "--people does not apply to cifar10"),
        (["chalearn2014", str(tmp_path / "x"), "--images", "3"], "--images does not apply to chalearn2014"),
        (["cifar", str(tmp_path / "x")], "Did you mean cifar10?"),
    ):
        refused = CliRunner().invoke(app, ["make", *arguments])
        assert isinstance(refused.exception, GestaError) and says in str(refused.exception)
        assert refused.exception.usage and not (tmp_path / "x").exists()
