"""Writes generated images in the layout of CIFAR-10 and CIFAR-100, with the exact pickle format of the originals.

    OUT/gesta_synthetic.json                                    generator, version, seed, numbers of images
    OUT/cifar-10-batches-py/data_batch_1 ... 5, test_batch, batches.meta
    OUT/cifar-100-python/train, test, meta

In cifar10, the class is one of ten shapes, in any texture; in cifar100, a combination of shape and texture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.synthetic.pictures import SHAPES, TEXTURES, draw
from gesta.synthetic.stamp import claim, write

GENERATOR_VERSION = 1
"""Incremented when what is drawn changes. Results of different versions are not comparable."""

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
_SHAPES, _TEXTURES = tuple(SHAPES), tuple(TEXTURES)
_HALF = len(_TEXTURES) // 2


def make(
    out: Path,
    kind: str,
    *,
    images: int = 5000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Writes a set of `kind` ("cifar10", "cifar100"): `images` training images and a fifth as many test images.

    Class counts differ by at most one. Returns the names of the files. Existing files with the same settings are
    kept. Raises GestaError for fewer images than classes, and for a folder with another set.
    """
    least = 10 * len(names(kind))
    if images < least:
        raise GestaError(f"images is {images}, expected at least {least} for {kind}.", usage=True)
    folder = out / FOLDERS[kind]
    stamp = {"generator": kind, "version": GENERATOR_VERSION, "seed": seed, "images": images}
    claim(out, stamp)
    folder.mkdir(parents=True, exist_ok=True)
    files = _files(kind, images)
    done, total = 0, sum(count for _, count in files)
    for index, (name, count) in enumerate(files):
        if not (folder / name).exists():
            labels = _labels(np.random.default_rng([seed, index]), count, len(names(kind)))
            pixels = np.empty((count, 32, 32, 3), np.uint8)
            for i, label in enumerate(labels):
                pixels[i] = _picture(kind, int(label), np.random.default_rng([seed, index, i]))
                if progress and i % 100 == 0:
                    progress(done + i, total)
            write(folder / name, python2_pickle(batch(kind, name, pixels, labels.tolist())))
        done += count
        if progress:
            progress(done, total)
    meta = "batches.meta" if kind == "cifar10" else "meta"
    write(folder / meta, python2_pickle(_meta(kind)))
    return [name for name, _ in files] + [meta]


def names(kind: str) -> list[str]:
    """Returns the names of the classes, in the order of their numbers."""
    if kind == "cifar10":
        return list(_SHAPES)
    return [f"{texture}_{shape}" for shape in _SHAPES for texture in _TEXTURES]


def batch(kind: str, name: str, pixels: NDArray[np.uint8], labels: Sequence[int]) -> dict[bytes, Any]:
    """Returns a file's dictionary, as in the originals. pixels uint8 N H W C, labels N.

    A coarse class of cifar100 is a shape with half of the textures: 20 of five fine classes each, as in the original.
    """
    shapes = [_SHAPES[label if kind == "cifar10" else label // len(_TEXTURES)] for label in labels]
    document: dict[bytes, Any] = {
        b"data": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1),
        b"filenames": [f"{shape}_s_{i:06d}.png".encode() for i, shape in enumerate(shapes)],
        b"batch_label": f"{name}, generated".encode(),
    }
    if kind == "cifar10":
        return {**document, b"labels": list(labels)}
    return {**document, b"fine_labels": list(labels), b"coarse_labels": [label // _HALF for label in labels]}


def _meta(kind: str) -> dict[bytes, Any]:
    fine = [name.encode() for name in names(kind)]
    if kind == "cifar10":
        return {b"label_names": fine, b"num_vis": 3072}
    coarse = [f"{shape}_{half}".encode() for shape in _SHAPES for half in ("lined", "other")]
    return {b"fine_label_names": fine, b"coarse_label_names": coarse}


def _files(kind: str, images: int) -> list[tuple[str, int]]:
    """Returns the files with images, and the number of images in each."""
    test = images // 5
    if kind == "cifar100":
        return [("train", images), ("test", test)]
    parts = [len(part) for part in np.array_split(np.arange(images), 5)]
    return [(f"data_batch_{n}", count) for n, count in enumerate(parts, 1)] + [("test_batch", test)]


def _labels(rng: np.random.Generator, count: int, classes: int) -> NDArray[np.int64]:
    return rng.permutation(np.arange(count) % classes)


def _picture(kind: str, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    if kind == "cifar10":
        return draw(_SHAPES[label], str(rng.choice(_TEXTURES)), rng)
    return draw(_SHAPES[label // len(_TEXTURES)], _TEXTURES[label % len(_TEXTURES)], rng)


def python2_pickle(value: Any) -> bytes:
    """Pickles dictionaries, lists, bytes, numbers and uint8 arrays like Python 2 (protocol 2): bytes are its str."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_pickled(k) + _pickled(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(_pickled(item) for item in value) + b"e"
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return _pickled_array(value)
    raise TypeError(f"{type(value).__name__} is not in files of CIFAR")


def _pickled_array(array: NDArray[np.uint8]) -> bytes:
    """Pickles an array as numpy does: an empty one, then its state (version, shape, type, order, bytes)."""
    empty = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + b"U\x01b" + b"\x87R"
    kind = b"cnumpy\ndtype\n" + b"U\x02u1K\x00K\x01\x87R" + b"(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    shape = b"(" + b"".join(_pickled(side) for side in array.shape) + b"t"
    return empty + b"(K\x01" + shape + kind + b"\x89" + _pickled(array.tobytes()) + b"tb"
