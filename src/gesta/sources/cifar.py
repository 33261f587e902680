"""CIFAR-10 and CIFAR-100, the python batches (Krizhevsky 2009): images and labels as arrays.

    ROOT/cifar-10-batches-py/  data_batch_1 ... data_batch_5, test_batch, batches.meta
    ROOT/cifar-100-python/     train, test, meta

Each file is a pickle (protocol 2) of a dictionary: b"data" uint8 N x 3072 (1024 red, green, blue values, row by row),
b"labels" or b"fine_labels", N numbers. A pickle can execute arbitrary code, so a restricted unpickler reads the files:
it creates plain values and copies of uint8 arrays, and calls nothing else.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError

SIDE = 32
VALUES = 3 * SIDE * SIDE
MAX_BYTES = 512 * 2**20
"""The largest original file is 155 MB."""


@dataclass(frozen=True)
class Images:
    """Labeled images. `pixels` uint8 N H W C (RGB), `labels` int64 N, indices into `classes`."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.int64]) -> Images:
        """Returns the images at these indices, in this order."""
        return replace(self, pixels=self.pixels[chosen], labels=self.labels[chosen])


@dataclass(frozen=True)
class Layout:
    """The files of a set, and the keys of the labels and their names."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: str
    names: str
    classes: int


LAYOUTS = {
    "cifar10": Layout(
        "cifar10",
        "cifar-10-batches-py",
        tuple(f"data_batch_{n}" for n in range(1, 6)),
        "test_batch",
        "batches.meta",
        "labels",
        "label_names",
        10,
    ),
    "cifar100": Layout(
        "cifar100", "cifar-100-python", ("train",), "test", "meta", "fine_labels", "fine_label_names", 100
    ),
}


def read(root: Path | str, name: str) -> tuple[Images, Images]:
    """Reads the official training and test images of "cifar10" or "cifar100". `root`: the set's folder or its parent.

    Raises GestaError if a file is missing or truncated, contains anything but plain values and uint8 arrays, lacks
    a key, or has an unexpected shape, number of labels or label range.
    """
    layout, root = LAYOUTS[name], Path(root)
    folder = root / layout.folder if (root / layout.folder).is_dir() else root
    missing = [file for file in (*layout.train, layout.test, layout.meta) if not (folder / file).is_file()]
    if missing:
        raise GestaError(
            f"{folder}: {', '.join(missing)} missing, so this is not {name} in Python batches. "
            f"Give the folder {layout.folder} with all its files, or make one: gesta data make {name} OUT."
        )
    classes = _names(folder / layout.meta, layout)
    parts = [_batch(folder / file, layout, classes) for file in layout.train]
    train = Images(np.concatenate([p.pixels for p in parts]), np.concatenate([p.labels for p in parts]), classes)
    return train, _batch(folder / layout.test, layout, classes)


def hold_out(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Returns (rest, held out): `share` of each class's images, drawn with `seed`; at least one if a class has two."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(images), bool)
    for label in range(len(images.classes)):
        of_class = rng.permutation(np.flatnonzero(images.labels == label))
        held[of_class[: max(1, round(share * len(of_class))) if len(of_class) > 1 else 0]] = True
    return images.take(np.flatnonzero(~held)), images.take(np.flatnonzero(held))


def _names(path: Path, layout: Layout) -> tuple[str, ...]:
    found = _value(_load(path), layout.names, path)
    if (
        not isinstance(found, list)
        or len(found) != layout.classes
        or not all(isinstance(n, bytes | str) for n in found)
    ):
        raise GestaError(f"{path}: {layout.names} should be {layout.classes} class names. Get the original file again.")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in found)


def _batch(path: Path, layout: Layout, classes: tuple[str, ...]) -> Images:
    document = _load(path)
    data, labels = _value(document, "data", path), _value(document, layout.labels, path)
    if not isinstance(data, _Array):
        raise GestaError(f"{path}: data should be an array, found {type(data).__name__}. Get the original file again.")
    values = data.copied(path)
    if values.ndim != 2 or values.shape[1] != VALUES:
        raise GestaError(
            f"{path}: data has the shape {values.shape}, expected N x {VALUES} (32 x 32 RGB). "
            "Get the original file again."
        )
    if not isinstance(labels, list) or len(labels) != len(values):
        count = len(labels) if isinstance(labels, list) else "no list of"
        raise GestaError(f"{path}: {len(values)} images, but {count} {layout.labels}. Get the original file again.")
    if not all(type(label) is int and 0 <= label < len(classes) for label in labels):
        raise GestaError(
            f"{path}: {layout.labels} should be numbers from 0 to {len(classes) - 1}. Is it a file of the other CIFAR?"
        )
    pixels = values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)  # N 3 H W -> N H W 3
    return Images(np.ascontiguousarray(pixels), np.array(labels, np.int64), classes)


def _value(document: dict[Any, Any], key: str, path: Path) -> Any:
    """Returns the value of a key, which Python 2 wrote as bytes."""
    for name in (key.encode(), key):
        if name in document:
            return document[name]
    held = ", ".join(sorted(k.decode("latin1") if isinstance(k, bytes) else str(k) for k in document))
    raise GestaError(f"{path}: has no {key}, only {held or 'nothing'}. Is it a file of the other CIFAR?")


def _load(path: Path) -> dict[Any, Any]:
    """Loads a file's dictionary with the restricted unpickler."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise GestaError(f"{path}: is larger than {MAX_BYTES:,} bytes, which no file of CIFAR is.")
        found = _Unpickler(io.BytesIO(path.read_bytes()), path).load()
    except GestaError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise GestaError(
            f"{path}: is truncated or not a pickle of CIFAR ({type(error).__name__}: {error}). "
            "Get the original file again."
        ) from error
    if not isinstance(found, dict):
        raise GestaError(
            f"{path}: contains a {type(found).__name__}, expected a dictionary. Get the original file again."
        )
    return found


class _Dtype:
    """Stand-in for numpy.dtype that stores the requested type."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Ignores byte order and the like, which do not apply to bytes."""


class _Array:
    """Stand-in for numpy.ndarray that stores the file's state, so that no numpy code runs on untrusted input."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def copied(self, path: Path) -> NDArray[np.uint8]:
        """Returns the array. Raises GestaError if it is not uint8, or its shape does not match its bytes."""
        try:
            _, shape, kind, fortran, raw = self.state
            if kind.code not in ("u1", b"u1"):
                raise GestaError(f"{path}: data is an array of {kind.code!r}, expected bytes (u1).")
            return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C").copy()
        except (TypeError, ValueError, AttributeError) as error:
            raise GestaError(f"{path}: data is not a complete array ({error}). Get the original file again.") from error


def _reconstruct(*_: Any) -> _Array:
    """Stand-in for numpy's function of that name: returns an empty array, to be filled by its state."""
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Stand-in for _codecs.encode, with which Python 3 writes bytes in protocol 2; supports only latin1."""
    if encoding != "latin1":
        raise ValueError(f"the encoding {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
}
"""The names that a file may call, and their stand-ins."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, path: Path) -> None:
        super().__init__(stream, encoding="bytes")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise GestaError(
                f"{self._path}: asks for {module}.{name}, which no file of CIFAR needs and which could run any code. "
                "It was not opened further; get the original file from its authors."
            )
        return ALLOWED[module, name]
