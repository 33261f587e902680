"""Value objects shared by all packages: where a recording is stored, what a sample is, what a clip contains.

Numpy and the standard library only. Every object is immutable and validated on creation.

Letters for shapes: T frames, H height, W width, C channels, J joints. Names include units: `depth_mm`, `time_s`.
Pixels are (u, v) = (column, row), the origin at the center of the top-left pixel.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gesta.untrusted import open_file, open_zip, printable, read_bounded, read_member, same_text, valid_text

Split = Literal["train", "val", "test"]

KINECT_JOINTS = (
    "HipCenter",
    "Spine",
    "ShoulderCenter",
    "Head",
    "ShoulderLeft",
    "ElbowLeft",
    "WristLeft",
    "HandLeft",
    "ShoulderRight",
    "ElbowRight",
    "WristRight",
    "HandRight",
    "HipLeft",
    "KneeLeft",
    "AnkleLeft",
    "FootLeft",
    "HipRight",
    "KneeRight",
    "AnkleRight",
    "FootRight",
)
"""The 20 joints of the first Kinect, in the order of ChaLearn 2014's `_skeleton.csv`."""

CHALEARN_GESTURES = (
    "vattene",
    "vieniqui",
    "perfetto",
    "furbo",
    "cheduepalle",
    "chevuoi",
    "daccordo",
    "seipazzo",
    "combinato",
    "freganiente",
    "ok",
    "cosatifarei",
    "basta",
    "prendere",
    "noncenepiu",
    "fame",
    "tantotempo",
    "buonissimo",
    "messidaccordo",
    "sonostufo",
)
"""The gestures of ChaLearn 2014; a gesture's id is its 1-based position."""


class GestaError(Exception):
    """An error that the user can correct. The message says what happened, what was expected and what to do next.

    Commands show it without a traceback and end with exit code 1, or 2 if `usage` is set (wrong arguments).

        try:
            gesta.load("no_such_bundle")
        except gesta.GestaError as error:
            print(error)
    """

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


UNREADABLE = (OSError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Exceptions from opening a file or zip member; RuntimeError: a password, or an unsupported compression method."""


SHARD = ".tar"
"""File extension of the shards of preprocessed clips that `gesta data pack` writes."""
TRACK = "#track="
"""Separates a file's path from the video track to use: `clip.mkv#track=1`, `clip.mkv#track=DEPTH`."""


@dataclass(frozen=True, order=True, slots=True)
class Resource:
    """A file on disk, or a member of a zip archive on disk, or a preprocessed clip in a shard (gesta.clips.shards).

    `track`: number (from 0, among the video tracks) or name of the track to use; None leaves the choice to the
    decoder, which uses the track that players show. `fps`: frame rate of a folder of images, if known; for a clip in
    a shard, the rate of its recording.
    """

    path: Path
    member: str | None = None
    track: str | None = None
    fps: float | None = None

    @classmethod
    def at(cls, path: Path) -> Resource:
        """The resource at a path, which may end in `#track=` and a track."""
        name, mark, track = str(path).rpartition(TRACK)
        return cls(path) if not mark or path.exists() else cls(Path(name), track=track)

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder of images, one per frame."""
        return self.member is None and self.path.is_dir()

    @property
    def is_packed(self) -> bool:
        """Whether this is a preprocessed clip in a shard, which is loaded rather than decoded."""
        return self.member is not None and self.path.suffix == SHARD

    def __str__(self) -> str:
        track = f"{TRACK}{self.track}" if self.track else ""
        return valid_text(f"{self.path}!{self.member}{track}" if self.member else f"{self.path}{track}")

    @property
    def name(self) -> str:
        """File name without folders, e.g. `Sample0001_color.mp4`."""
        return Path(self.member).name if self.member else self.path.name

    def open(self) -> BinaryIO:
        """A readable, seekable binary stream. Raises GestaError if the file or member is missing, unreadable, not a
        regular file, or would unpack to more than the size limit."""
        if self.is_packed:
            raise GestaError(f"{self}: is a preprocessed clip, but a recording was expected. Give the recordings.")
        try:
            if self.member is None:
                return open_file(self.path)
            with open_zip(self.path) as archive:
                return io.BytesIO(read_member(archive, self.member))
        except (*UNREADABLE, ValueError) as error:
            raise GestaError(f"{self}: cannot be read ({error}). Check that the file is there and complete.") from error

    def read(self, limit: int | None = None) -> bytes:
        """The entire content. Raises GestaError as `open` does, and if it is larger than `limit` bytes."""
        with self.open() as stream:
            try:
                return stream.read() if limit is None else read_bounded(stream, limit)
            except (OSError, ValueError) as error:
                raise GestaError(f"{self}: cannot be read ({error}). Check the file.") from error


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `img_2` before `img_10`: numbers compare by value, letters ignoring case."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return (*((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts), (0, 0, path.name))


def frame_files(folder: Path) -> list[Path]:
    """The images in a folder in natural order, without hidden files and macOS's `._` files; [] if there are none."""
    names = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted((p for p in names if p.is_file()), key=natural_key)


FIELD_OF_VIEW = (20.0, 120.0)  # degrees; anything outside is reported as suspicious
FOCAL_DIFFERENCE = 0.1


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics in pixels, for world coordinates: x right, y up, z forward.

    `fy` is positive; v grows downwards, so v = cy - fy * y / z. The unit of x, y, z is the caller's: meters for
    skeletons of people, millimeters for hands.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def project(self, world_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """[..., 3] meters -> [..., 2] pixels (u, v); NaN where z is not positive (no person tracked)."""
        x, y, z = world_m[..., 0], world_m[..., 1], world_m[..., 2]
        safe = np.where(z > 0, z, np.nan)
        return np.stack([self.cx + self.fx * x / safe, self.cy - self.fy * y / safe], axis=-1).astype(np.float32)

    def unproject(self, uvd: NDArray[Any]) -> NDArray[np.float64]:
        """[..., 3] (u px, v px, depth d) -> [..., 3] (x, y, z) in the unit of d; z = d."""
        u, v, d = np.moveaxis(np.asarray(uvd, np.float64), -1, 0)
        return np.stack([(u - self.cx) * d / self.fx, (self.cy - v) * d / self.fy, d], axis=-1)

    def doubts(self, size: tuple[int, int] | None) -> list[str]:
        """Descriptions of what looks wrong for images of `size` (width, height; None if unknown); [] if nothing does.

        Detects focal lengths that are not positive or differ by more than 10 %, a principal point with swapped
        coordinates or outside the image, and a field of view outside 20 to 120 degrees.
        """
        fx, fy, cx, cy = self.fx, self.fy, self.cx, self.cy
        if not all(math.isfinite(value) for value in (fx, fy, cx, cy)) or min(fx, fy) <= 0:
            return [f"fx = {fx:g} and fy = {fy:g} should be positive numbers of pixels (y is taken to point up)"]
        found = []
        if abs(fx - fy) > FOCAL_DIFFERENCE * max(fx, fy):
            found.append(f"fx = {fx:g} and fy = {fy:g} differ by more than 10 %, which no depth camera's do")
        if size is None:
            return found
        width, height = size
        off, off_swapped = (math.hypot(u / width - 0.5, v / height - 0.5) for u, v in ((cx, cy), (cy, cx)))
        if width != height and off > 0.1 and off_swapped < off / 2:
            found.append(f"cx = {cx:g} and cy = {cy:g} seem to be swapped: the image is {width} x {height}")
        elif not (0 < cx < width - 1 and 0 < cy < height - 1):
            found.append(
                f"the principal point ({cx:g}, {cy:g}) lies outside the {width} x {height} image; "
                "are the intrinsics those of another resolution?"
            )
        for name, focal, extent in (("fx", fx, width), ("fy", fy, height)):
            degrees = 2 * math.degrees(math.atan(extent / 2 / focal))
            if not FIELD_OF_VIEW[0] <= degrees <= FIELD_OF_VIEW[1]:
                found.append(
                    f"{name} = {focal:g} with {extent} pixels means a field of view of {degrees:.0f} degrees, expected "
                    "20 to 120; is it in millimeters, or of another resolution?"
                )
        return found


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip: a labeled (or unlabeled) span of one recording. It refers to files and contains no pixels.

        from pathlib import Path
        from gesta.schema import Resource

        sample = gesta.Sample("1", "wave", color=Resource(Path("wave.mp4")), start_s=0.2, end_s=1.0)
        print(gesta.load("runs/mine/bundle").predict(sample).label)

    Labels and subjects are stored in Unicode NFC, bytes of names that are not UTF-8 as \\xNN, so all can be written.
    `id` is unique within its data set and stable between runs. `recording` is shared by the spans of one recording.
    At least one of `color`, `depth` and `skeleton` is given. The span is [start_s, end_s) in seconds of the recording,
    or [first_frame, last_frame] (0-based, inclusive) if the labels count frames; by default the whole recording.
    `depth`: raw values times `depth_unit_mm` are millimeters (8-bit ChaLearn depth: max_depth_mm / 255).
    `mask`: a video; pixels whose mean over the color channels is above 150 belong to the person.
    `skeleton`: a file that gesta.clips.skeleton_files reads. To crop a video around the skeleton, gesta needs pixels:
    ChaLearn's csv has them; `.npy` [T, J, 3] in meters needs `camera`. `joints`: names of the joints in a `.npy`; empty
    if the number of joints identifies them. Raises ValueError for invalid spans and units.
    """

    id: str
    recording: str
    color: Resource | None = None
    depth: Resource | None = None
    mask: Resource | None = None
    skeleton: Resource | None = None
    label: str | None = None
    subject: str | None = None
    split: Split | None = None
    first_frame: int | None = None
    last_frame: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    depth_unit_mm: float = 1.0
    joints: tuple[str, ...] = KINECT_JOINTS
    camera: Camera | None = None

    def __post_init__(self) -> None:
        for name in ("id", "recording", "label", "subject"):
            text = getattr(self, name)
            if text is not None and not text.isascii():
                object.__setattr__(self, name, same_text(text) if name in ("label", "subject") else valid_text(text))
        if self.color is None and self.depth is None and self.skeleton is None:
            raise ValueError(f"sample {self.id}: needs a color or a depth video, or a skeleton")
        if (self.first_frame is None) != (self.last_frame is None):
            raise ValueError(f"sample {self.id}: first_frame and last_frame must be given together")
        if self.first_frame is not None and self.start_s is not None:
            raise ValueError(f"sample {self.id}: a span is either in frames or in seconds, not both")
        if not 0 < self.depth_unit_mm < math.inf:
            raise ValueError(f"sample {self.id}: depth_unit_mm must be positive, not {self.depth_unit_mm}")

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of color, depth, mask and skeleton that this sample has, in this order."""
        return tuple(name for name in ("color", "depth", "mask", "skeleton") if getattr(self, name) is not None)

    @property
    def files(self) -> tuple[Resource, ...]:
        """The files of these modalities, in the same order."""
        return tuple(getattr(self, name) for name in self.modalities)


def bytes_of(sample: Sample) -> int:
    """Total size of a sample's files; an archive member counts as the whole archive, a missing file as 0."""
    files = [f for r in sample.files for f in (sorted(r.path.iterdir()) if r.path.is_dir() else [r.path])]
    return sum(file.stat().st_size for file in files if file.is_file())


DepthEncoding = Literal["gray16", "nyu", "msra"]
"""gray16: 16-bit gray PNG. nyu: millimeters in the green (high byte) and blue (low byte) of a PNG.

msra: six int32 (width, height, left, top, right, bottom), then float32 millimeters of that box.
"""


@dataclass(frozen=True)
class HandFrame:
    """One depth image of a hand, with its camera. It refers to the images and contains no pixels.

    `id` is unique within its data set. `joints_mm`: J 3 (x right, y up, z forward) in mm in the camera's coordinates,
    `center_mm`: the hand's center in the same coordinates; None if the data have none. `color` is registered to the
    depth image. Raw depth times `depth_unit_mm` = millimeters.
    """

    id: str
    depth: Resource
    camera: Camera
    encoding: DepthEncoding = "gray16"
    color: Resource | None = None
    joints_mm: NDArray[np.float32] | None = None
    center_mm: NDArray[np.float32] | None = None
    subject: str | None = None
    split: Split | None = None
    view: int = 1
    depth_unit_mm: float = 1.0

    @property
    def files(self) -> tuple[Resource, ...]:
        return tuple(r for r in (self.depth, self.color) if r is not None)

    def __post_init__(self) -> None:
        if self.joints_mm is not None and (self.joints_mm.ndim != 2 or self.joints_mm.shape[1] != 3):
            raise ValueError(f"frame {self.id}: joints_mm should be J 3, not {self.joints_mm.shape}")
        if not 0 < self.depth_unit_mm < math.inf:
            raise ValueError(f"frame {self.id}: depth_unit_mm must be positive, not {self.depth_unit_mm}")


CenterSource = Literal["given", "data", "nearest", "detector"]


@dataclass(frozen=True)
class HandEstimate:
    """The joints of a hand in one depth image.

    `joints_mm` [J, 3] in mm (x right, y up, z forward) in camera coordinates, `joints_uv` [J, 2] in pixels of the depth
    image. `center_mm`: center of the cropped cube; `center_source`: given, data (annotated), nearest or detector.

        found = gesta.load("runs/hands/bundle").predict("hand.png")
        print(found.joints_mm.shape, found.joints_uv.shape, found.center_source)
    """

    joints_mm: NDArray[np.float64]
    joints_uv: NDArray[np.float32]
    center_mm: tuple[float, float, float]
    center_source: CenterSource
    input: str = ""


@dataclass(frozen=True)
class Problem:
    """A problem in a data folder: the file, what is wrong, and what to do about it."""

    path: str
    kind: str
    reason: str
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("path", "reason", "hint"):
            object.__setattr__(self, name, valid_text(getattr(self, name)))

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}" + (f" {self.hint}" if self.hint else ""))


def base(layout: str) -> str:
    """A layout's name without how it was read: isogd for isogd+rgb."""
    return layout.partition("+")[0]


@dataclass(frozen=True)
class Listing:
    """What a reader found in a folder: samples in a stable order, and problems with files it skipped or doubts.

    `layout`: its name and how it was read, e.g. isogd+rgb.
    """

    root: Path
    layout: str
    samples: tuple[Any, ...]  # Sample, or the task's own type of sample
    problems: tuple[Problem, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({s.label for s in self.samples if s.label is not None}))

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(sorted({s.subject for s in self.samples if s.subject is not None}))


L = TypeVar("L", bound=Listing)
T = TypeVar("T")
K = TypeVar("K")


def usable(listing: L) -> L:
    """The listing, unchanged. Raises GestaError with the first problem if it has no usable samples."""
    if not listing.samples:
        raise nothing_usable(listing.root, listing.problems)
    return listing


def nothing_usable(root: Path, problems: Sequence[Problem]) -> GestaError:
    """The error for a folder without usable samples."""
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    why = (
        f"The first problem: {str(problems[0]).removesuffix('.')}{more}." if problems else "It contains no recordings."
    )
    return GestaError(f"{root}: nothing in it can be used. {why}")


@dataclass(frozen=True)
class HandListing(Listing):
    """What a reader of hand poses found: samples are HandFrames; `joint_names` are the names of their joints."""

    joint_names: tuple[str, ...] = ()

    @property
    def frames(self) -> tuple[HandFrame, ...]:
        return self.samples

    @property
    def labels(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Frame:
    """One decoded frame of a recording, for `Stream.push`.

    Modalities that a recording lacks are None; missing joints are NaN.

        import numpy as np

        frame = gesta.Frame(time_s=0.0, color=np.zeros((120, 160, 3), np.uint8))
        gesta.load("runs/mine/bundle").open_stream().push(frame)
    """

    time_s: float
    color: NDArray[np.uint8] | None = None  # H W 3, RGB
    gray: NDArray[np.uint8] | None = None  # H W, full range; replaces color where only gray is needed
    depth_mm: NDArray[np.uint16] | None = None  # H W, 0 = no reading
    mask: NDArray[np.bool_] | None = None  # H W, True on the person
    joints_uv: NDArray[np.float32] | None = None  # J 2, pixels of this frame's image
    joints: NDArray[np.float32] | None = None  # J 2 or J 3, in the space of the skeleton's file
    confidence: NDArray[np.floating[Any]] | None = None  # J in [0, 1], of `joints`

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images. Raises ValueError if the frame has none."""
        images = [i for i in (self.gray, self.color, self.depth_mm) if i is not None]
        if not images:
            raise ValueError("a frame needs a color or a depth image")
        return images[0].shape[0], images[0].shape[1]


def is_none(value: object) -> bool:
    """Whether a setting is unset. Unset settings are omitted: documents stay as they were before the setting."""
    return value is None


def is_zero(value: object) -> bool:
    """As `is_none`, for numbers that are zero if unset."""
    return value == 0


def is_preprocessed(array: NDArray[Any]) -> bool:
    """Whether an array has the form of a preprocessed clip: pixels uint8 T S H W C, a skeleton float32 T J D, or T
    records of both."""
    if array.dtype.names is not None:
        return array.ndim == 1 and array.dtype.names == ("pixels", "skeleton")
    return (array.ndim, str(array.dtype)) in ((5, "uint8"), (3, "float32"))


@dataclass(frozen=True)
class Clip:
    """A sample after the transform, as used by cache, training, calibration and runtime.

    `pixels` is uint8, T S H W C: frames at the transform's rate, S streams (body, hand), C channels; for the skeleton
    stream float32, T J D: normalized joints, NaN if missing; for both together T records of `pixels` and
    `skeleton`, black or NaN if a recording lacks one of them.
    """

    pixels: NDArray[Any]
    label: str | None = None
    subject: str | None = None
    id: str = ""

    def __post_init__(self) -> None:
        if not is_preprocessed(self.pixels):
            expected = "expected uint8 T S H W C, float32 T J D, or T records of both"
            raise ValueError(f"clip {self.id}: {expected}, got {self.pixels.dtype} {self.pixels.shape}")


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for a clip, or for a stream up to `time_s`.

    `label`: the most likely class; `probabilities` by class, in the order of the model's labels.

        found = gesta.load("runs/mine/bundle").predict("wave.mp4")
        print(found.label, found.confidence)
        print(found.top(2))                       # [(label, probability), (label, probability)]
    """

    label: str
    probabilities: Mapping[str, float]
    time_s: float | None = None
    input: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def confidence(self) -> float:
        """Probability of `label`, in [0, 1]."""
        return float(self.probabilities[self.label])

    def top(self, k: int = 3) -> list[tuple[str, float]]:
        """The k most likely labels with their probabilities, most likely first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:k]


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of the items, evenly spaced, the first one first."""
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    """Key -> the items that come with it, both in order of appearance."""
    found: dict[K, list[T]] = {}
    for key, item in pairs:
        found.setdefault(key, []).append(item)
    return found
