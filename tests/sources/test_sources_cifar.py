"""CIFAR's python batches: what is read from hand-written ones, and what is refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.sources import cifar

NAMES10 = [f"class{n}".encode() for n in range(10)]
NAMES100 = [f"fine{n}".encode() for n in range(100)]


def put(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(document, protocol=2))


def values(first: int, count: int = 2) -> np.ndarray:
    """N x 3072; image i is red = first + i, green = 50, blue = its row."""
    planes = np.zeros((count, 3, 32, 32), np.uint8)
    planes[:, 0] = (first + np.arange(count))[:, None, None]
    planes[:, 1], planes[:, 2] = 50, np.arange(32)[:, None]
    return planes.reshape(count, 3072)


def batch10(first: int, labels: list[int]) -> dict[bytes, Any]:
    names = [f"image_{n}.png".encode() for n in labels]
    return {b"batch_label": b"x", b"labels": labels, b"data": values(first, len(labels)), b"filenames": names}


def write10(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    for n in range(1, 6):
        put(folder / f"data_batch_{n}", batch10(10 * n, [n, n + 1]))
    put(folder / "test_batch", batch10(100, [9, 0, 3]))
    put(folder / "batches.meta", {b"label_names": NAMES10, b"num_vis": 3072, b"num_cases_per_batch": 2})
    return folder


def write100(root: Path) -> Path:
    folder = root / "cifar-100-python"
    for name, labels in (("train", [0, 99, 5]), ("test", [7])):
        document = {b"fine_labels": labels, b"coarse_labels": [0] * len(labels), b"data": values(1, len(labels))}
        put(folder / name, {**document, b"filenames": [b"a.png"] * len(labels), b"batch_label": b"x"})
    put(folder / "meta", {b"fine_label_names": NAMES100, b"coarse_label_names": NAMES100[:20]})
    return folder


def test_cifar10_keeps_official_parts_order_and_colors(tmp_path: Path) -> None:
    folder = write10(tmp_path)
    for root in (tmp_path, folder):
        train, test = cifar.read(root, "cifar10")
        assert train.labels.tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6] and test.labels.tolist() == [9, 0, 3]
        assert train.classes == tuple(name.decode() for name in NAMES10)
        assert train.pixels.shape == (10, 32, 32, 3) and train.pixels.dtype == np.uint8
        assert train.pixels[2, 31, 4].tolist() == [20, 50, 31]  # red of data_batch_2, green, row


def test_cifar100_has_the_fine_classes(tmp_path: Path) -> None:
    write100(tmp_path)
    train, test = cifar.read(tmp_path, "cifar100")
    assert (train.labels.tolist(), test.labels.tolist(), len(train.classes)) == ([0, 99, 5], [7], 100)
    assert train.classes[99] == "fine99"


def test_string_keys_and_fortran_order_are_read_too(tmp_path: Path) -> None:
    folder = write10(tmp_path)
    document = {"labels": [1, 2], "data": np.asfortranarray(values(7))}
    put(folder / "data_batch_1", document)
    assert cifar.read(tmp_path, "cifar10")[0].pixels[1, 3, 0].tolist() == [8, 50, 3]


def test_held_out_part_has_a_share_of_every_class() -> None:
    labels = np.repeat(np.arange(3), [10, 20, 1])
    pixels = np.arange(31, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    rest, held = cifar.hold_out(cifar.Images(pixels, labels, ("a", "b", "c")), 0.2, seed=4)
    assert np.bincount(held.labels).tolist() == [2, 4] and np.bincount(rest.labels).tolist() == [8, 16, 1]
    assert sorted([*rest.pixels[:, 0, 0, 0], *held.pixels[:, 0, 0, 0]]) == list(range(31))
    again = cifar.hold_out(cifar.Images(pixels, labels, ("a", "b", "c")), 0.2, seed=4)[1]
    assert np.array_equal(again.pixels, held.pixels)


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("was_run",)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({b"labels": [1, 2]}, "has no data, only labels"),
        (
            {b"fine_labels": [1, 2], b"data": values(0)},
            "has no labels, only data, fine_labels. Is it a file of the other",
        ),
        ({b"labels": [1, 2], b"data": values(0)[:, :3000]}, r"shape \(2, 3000\), expected N x 3072"),
        ({b"labels": [1, 2], b"data": values(0).reshape(-1)}, r"shape \(6144,\)"),
        ({b"labels": [1], b"data": values(0)}, "2 images, but 1 labels"),
        ({b"labels": 3, b"data": values(0)}, "2 images, but no list of labels"),
        ({b"labels": [1, 10], b"data": values(0)}, "numbers from 0 to 9"),
        ({b"labels": [1, True], b"data": values(0)}, "numbers from 0 to 9"),
        ({b"labels": [1, 2], b"data": values(0).astype(np.float32)}, "array of .*f4.*, expected bytes"),
        ({b"labels": [1, 2], b"data": [[0] * 3072] * 2}, "data should be an array, found list"),
        ([1, 2], "contains a list, expected a dictionary"),
        ({b"labels": [1, 2], b"data": Evil()}, r"data_batch_3: asks for \w+.mkdir, which no file of CIFAR needs"),
        ({b"labels": [1, 2], b"data": np.random.default_rng(0)}, "asks for numpy.random"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: Any, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    put(write10(tmp_path) / "data_batch_3", document)
    with pytest.raises(GestaError, match=says) as refused:
        cifar.read(tmp_path, "cifar10")
    assert "data_batch_3: " in str(refused.value)
    assert not Path("was_run").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -3000])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    path = write10(tmp_path) / "test_batch"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GestaError, match="test_batch: is truncated or not a pickle"):
        cifar.read(tmp_path, "cifar10")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04 not a pickle", "is truncated or not a pickle"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.", "not a pickle of CIFAR .*'zip'"),
        (b"\x80\x02}(U\x06labels](K\x01eU\x04datacnumpy\nndarray\n)\x81u.", "data is not a complete array"),
    ],
)
def test_bytes_made_by_hand_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (write10(tmp_path) / "data_batch_1").write_bytes(data)
    with pytest.raises(GestaError, match=says):
        cifar.read(tmp_path, "cifar10")


def test_shape_that_does_not_fit_the_bytes_is_refused(tmp_path: Path) -> None:
    path = write10(tmp_path) / "data_batch_1"
    path.write_bytes(path.read_bytes().replace(b"M\x00\x0c\x86", b"M\x01\x0c\x86"))  # 3072 -> 3073
    with pytest.raises(GestaError, match="data is not a complete array"):
        cifar.read(tmp_path, "cifar10")


def test_too_large_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write10(tmp_path)
    monkeypatch.setattr(cifar, "MAX_BYTES", 10)
    with pytest.raises(GestaError, match="larger than 10 bytes"):
        cifar.read(tmp_path, "cifar10")


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write10(tmp_path)
    (folder / "data_batch_4").unlink()
    with pytest.raises(GestaError, match=r"data_batch_4 missing, .*gesta data make cifar10 OUT"):
        cifar.read(tmp_path, "cifar10")
    with pytest.raises(GestaError, match="train, test, meta missing"):
        cifar.read(tmp_path, "cifar100")


def test_names_of_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    put(write10(tmp_path) / "batches.meta", {b"label_names": NAMES10[:9]})
    with pytest.raises(GestaError, match=r"batches.meta: label_names should be 10 class names"):
        cifar.read(tmp_path, "cifar10")
