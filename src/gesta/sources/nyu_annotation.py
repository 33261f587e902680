"""`joint_data.mat` of the NYU hand pose set, in MATLAB 5 and MATLAB 7.3 (HDF5) format.

Fields: joint_xyz (mm) and joint_uvd (pixels, pixels, mm), both views x frames x 36 x 3; `subject` (frames) in generated
sets. Only one of the first two is loaded. The extra train installs scipy and h5py.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.sources.cameras import CAMERAS
from gesta.words import install

JOINTS = 36
VIEWS = (1, 2, 3)
_PLACES = ("joint_xyz", "joint_uvd")


class CannotReadMat(GestaError):
    """A package for reading `.mat` files is not installed."""


def read_annotation(path: Path, views: Sequence[int]) -> tuple[NDArray[np.float32], tuple[str, ...] | None]:
    """Returns (joints views x frames x 36 x 3, mm in each camera's coordinates, the subject of each frame or None).

    Raises GestaError if the file is unreadable, lacks both joint_xyz and joint_uvd, or they have an unexpected shape;
    CannotReadMat without scipy or h5py.
    """
    try:
        present, fields = (_read_73 if _is_hdf5(path) else _read_5)(path)
    except GestaError:
        raise
    except Exception as error:  # a damaged file can fail in any way
        raise GestaError(f"{path}: cannot be read as a MATLAB file ({error}). Get the original file again.") from error
    name = next((name for name in _PLACES if name in fields), None)
    if name is None:
        raise GestaError(
            f"{path}: has neither joint_xyz nor joint_uvd, only {', '.join(sorted(present)) or 'nothing'}. "
            "Is it the annotation of the NYU hand pose set?"
        )
    values = fields[name]
    if values.ndim != 4 or len(values) != len(VIEWS) or values.shape[2:] != (JOINTS, 3) or values.dtype.kind != "f":
        raise GestaError(
            f"{path}: {name} is {values.dtype} of the shape {values.shape}, expected 3 views x frames x {JOINTS} x 3. "
            "Is it the annotation of the NYU hand pose set?"
        )
    values = values[[view - 1 for view in views]]
    world = values if name == "joint_xyz" else CAMERAS["nyu"].unproject(values)
    return world.astype(np.float32), _people(path, fields, values.shape[1])


def _people(path: Path, fields: dict[str, NDArray[Any]], frames: int) -> tuple[str, ...] | None:
    if "subject" not in fields:
        return None
    people = np.ravel(fields["subject"])
    if len(people) != frames:
        raise GestaError(f"{path}: subject has {len(people)} numbers, expected one for each of {frames} frames.")
    return tuple(str(int(person)) for person in people)


def _is_hdf5(path: Path) -> bool:
    """Detects MATLAB 7.3 files, which are HDF5 after a 512-byte header."""
    with path.open("rb") as stream:
        stream.seek(512)
        return stream.read(4) == b"\x89HDF"


def _read_5(path: Path) -> tuple[set[str], dict[str, NDArray[Any]]]:
    """Returns the names of the fields and the required arrays of a MATLAB 5 file."""
    _need("scipy")
    from scipy.io import loadmat, whosmat

    present = {name for name, _, _ in whosmat(path)}
    wanted = _wanted(present)
    found = loadmat(path, variable_names=wanted) if wanted else {}
    return present, {name: np.asarray(found[name]) for name in wanted}


def _read_73(path: Path) -> tuple[set[str], dict[str, NDArray[Any]]]:
    """Like `_read_5`, for MATLAB 7.3, where the axes are reversed: 3 x 36 x frames x views."""
    _need("h5py")
    import h5py

    with h5py.File(path, "r") as file:
        present = {name for name in file if not name.startswith("#")}
        return present, {name: np.transpose(file[name][()]) for name in _wanted(present)}


def _wanted(present: set[str]) -> list[str]:
    """Returns the names of the fields to load: one of the two with joints, and the subject."""
    place = next((name for name in _PLACES if name in present), None)
    return [name for name in (place, "subject") if name is not None and name in present]


def _need(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise CannotReadMat(f"reading .mat files needs {module}, which is not installed: {install('train')}")
