"""Text files of joints, one row per frame: the format in which hand pose predictions are published.

A row contains `u v d` (pixels, pixels, mm) or `x y z` (mm) of each joint, or only `u v`, separated by spaces, tabs or
commas, optionally preceded by an image name. In `x y z`, y points up; all z may be negative (MSRA).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gesta.files import write_whole
from gesta.schema import Camera, GestaError
from gesta.tasks.hands.read import METERS_BELOW
from gesta.untrusted import is_number

Coordinates = Literal["uvd", "xyz", "uv"]
NEGATIVE_SHARE = 0.1
"""In x y z, about half of all x are negative; in pixels, only points outside the image are."""


@dataclass(frozen=True)
class Joints:
    """The joints in a file. `values`: [n, J, 3], or [n, J, 2] if `coordinates` is uv."""

    path: Path
    values: NDArray[np.float64]
    coordinates: Coordinates

    def world_mm(self, camera: Camera) -> NDArray[np.float64]:
        """Return (x, y, z) in mm, z forward, [n, J, 3]. Pixels with depth (`uvd`) are unprojected with the camera."""
        if self.coordinates == "uv":
            raise ValueError("pixels without depth cannot be converted to 3D; add their depth first")
        if self.coordinates == "uvd":
            return camera.unproject(self.values)
        forward = 1.0 if np.median(self.values[..., 2]) >= 0 else -1.0
        return self.values * (1.0, 1.0, forward)


def read_joints(path: Path, *, joints: int | None = None, coordinates: Coordinates | None = None) -> Joints:
    """Read a file of joints. `joints`: the required number; None accepts any number of `u v d` or `x y z`.

    `coordinates`: the meaning of three numbers per joint. None: xyz if more than a tenth of the first two or the median
    z are negative, else uvd. Two numbers per joint are u v; this requires `joints`.
    Raises GestaError if the file is missing, is no table of numbers, has the wrong number of columns, contains numbers
    that are not finite, or seems to be in meters.
    """
    rows = _numbers(path)
    columns = rows.shape[1]
    if joints is not None and columns == 2 * joints:
        return Joints(path, rows.reshape(len(rows), -1, 2), "uv")
    if columns % 3 or (joints is not None and columns != 3 * joints):
        raise GestaError(f"{path}: has {columns} columns; expected {_expected(joints)}.")
    values = rows.reshape(len(rows), -1, 3)  # n 3J -> n J 3
    coordinates = coordinates or _guess(values)
    if coordinates == "uvd" and (values[..., 2] <= 0).any():
        row = int(np.flatnonzero((values[..., 2] <= 0).any(axis=1))[0]) + 1
        raise GestaError(
            f"{path}: row {row} has a depth that is not positive; `u v d` needs millimeters from the camera."
        )
    distance = abs(float(np.median(values[..., 2])))
    if distance < METERS_BELOW:
        raise GestaError(f"{path}: half of the depths are under {distance:.2f} mm, so it looks like meters. Write mm.")
    return Joints(path, values, coordinates)


def write_joints(path: Path, uvd: NDArray[Any]) -> None:
    """Write [n, J, 3] (u px, v px, depth mm) in the published format: one row per frame, three decimals."""
    text = StringIO()
    np.savetxt(text, np.asarray(uvd).reshape(len(uvd), -1), fmt="%.3f")
    write_whole(path, text.getvalue())


def _numbers(path: Path) -> NDArray[np.float64]:
    """Read finite numbers [n, C]; a first column of names is skipped."""
    if not path.is_file():
        raise GestaError(f"{path}: no such file. Give a text file with one row of joints per frame.")
    try:
        lines = [line for line in path.read_text("utf-8-sig").replace(",", " ").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise GestaError(f"{path}: is not a text file. Give one row of joints per frame, as text.") from error
    if not lines:
        raise GestaError(f"{path}: is empty. Expected one row of joints per frame.")
    if not is_number(lines[0].split()[0]):
        lines = [line.split(maxsplit=1)[-1] for line in lines]
    try:
        rows = np.loadtxt(lines, dtype=np.float64, ndmin=2, comments=None)
    except ValueError as error:
        raise GestaError(f"{path}: {_fault(lines)}.") from error
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0] + 1
        raise GestaError(
            f"{path}: row {row}, column {column} is not a finite number (NaN or infinite). Correct that frame."
        )
    return rows


def _fault(lines: list[str]) -> str:
    """Explain why a table could not be read: the first row of another length, or with a cell that is no number."""
    columns = len(lines[0].split())
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if len(cells) != columns:
            return f"row {number} has {len(cells)} columns, but the first row has {columns}. Is the file complete?"
        wrong = next((cell for cell in cells if not is_number(cell)), None)
        if wrong is not None:
            return f"row {number} contains {wrong!r}, expected numbers"
    return "cannot be read as rows of numbers"


def _guess(values: NDArray[np.float64]) -> Coordinates:
    negative = np.mean(values[..., :2] < 0)
    return "xyz" if negative > NEGATIVE_SHARE or np.median(values[..., 2]) < 0 else "uvd"


def _expected(joints: int | None) -> str:
    if joints is None:
        return "a multiple of 3: u v d or x y z of each joint"
    return f"{3 * joints} (u v d or x y z of {joints} joints, as in the ground truth) or {2 * joints} (u v)"
