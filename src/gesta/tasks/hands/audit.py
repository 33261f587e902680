"""`inspect` for hand poses: counts and problems of a listing, and a page with depth pictures and joints.

In small data sets, every image is opened; in large ones, a few hundred, evenly spaced. Bad files never stop it.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from gesta.audit.page import write_page
from gesta.audit.report import Inspected, counts_line, counts_of
from gesta.draw import TRUTH, Image, depth_image, draw_hand, hand_bones, jpeg
from gesta.look import linked
from gesta.schema import GestaError, HandFrame, HandListing, Problem, evenly, grouped
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.read import read_depth, read_hand

OPENED = 400
"""Maximum number of images opened."""
SHOWN = 12
MOST = 12
"""Maximum number of counts in a line."""
DEPTH_SHARE = 0.5
"""Joints are near the hand's surface: if fewer than this share are, depth and joints do not match."""
NEAR_MM = 80.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HandReport(Inspected):
    """The result of an inspection. Depth ranges are those of the readings in the opened images, in mm."""

    root: Path
    layout: str
    frames: int
    opened: int
    usable: int
    with_joints: int
    with_color: int
    joint_names: tuple[str, ...]
    people: dict[str, int]
    splits: dict[str, int]
    views: dict[str, int]
    sizes: dict[str, int]
    cameras: dict[str, int]
    depth_mm: tuple[float, float, float] | None
    joints_at_depth: float | None
    problems: tuple[Problem, ...]

    def facts(self) -> list[tuple[str, str]]:
        """Return the summary as (label, text) rows, for the terminal and the page."""
        rows = [
            ("layout", self.layout),
            ("frames", f"{self.frames}, {self.with_joints} with joints, {self.with_color} with color"),
            ("opened", f"{self.opened}, {self.usable} usable"),
            ("joints", f"{len(self.joint_names)}: {', '.join(self.joint_names)}" if self.joint_names else "none"),
            ("people", counts_line(self.people, MOST) if self.people else "not known"),
            ("splits", counts_line(self.splits, MOST) if self.splits else "not given"),
            ("views", counts_line(self.views, MOST)),
            ("sizes", counts_line(self.sizes, MOST)),
            ("cameras", counts_line(self.cameras, MOST)),
        ]
        if self.depth_mm is not None:
            low, middle, high = self.depth_mm
            rows.append(("depth", f"{low:.0f} to {high:.0f} mm (2 to 98 %), median {middle:.0f}"))
        if self.joints_at_depth is not None:
            rows.append(
                ("joints seen", f"{self.joints_at_depth:.0%} within {NEAR_MM:g} mm of the depth at their pixel")
            )
        return rows


def inspect_hands(listing: HandListing, progress: Progress | None = None) -> HandReport:
    """Open images, count, and compare joints with depth. Lists the reader's problems, then those of files."""
    frames = listing.frames
    chosen = evenly(frames, OPENED)
    problems = list(listing.problems)
    sizes: Counter[str] = Counter()
    ranges: list[NDArray[np.float64]] = []
    at_depth: list[float] = []
    usable = 0
    doubted: set[str] = set()
    for number, frame in enumerate(chosen, start=1):
        try:
            depth, _ = read_hand(frame, color=frame.color is not None)
            usable += 1
        except GestaError as error:
            file = str(frame.depth)
            problems.append(Problem(file, "unusable", str(error).removeprefix(f"{file}: ")))
            continue
        height, width = depth.shape
        sizes[f"{width} x {height}"] += 1
        problems += _camera_faults(frame, (width, height), doubted)
        seen = depth[depth > 0]
        if seen.size == 0:
            problems.append(Problem(str(frame.depth), "no-reading", "has no depth readings.", "Remove it."))
            continue
        ranges.append(np.percentile(seen, (2, 50, 98)))
        problems += _hand_faults(frame, depth, at_depth)
        if progress is not None:
            progress(number, len(chosen))
    share = float(np.mean(at_depth)) if at_depth else None
    if share is not None and share < DEPTH_SHARE:
        reason = f"only {share:.0%} of the joints lie within {NEAR_MM:g} mm of the depth at their pixel."
        hint = "Are the intrinsics, the unit, and the order of images and joints right? Does y point up?"
        problems.append(Problem(str(listing.root), "joints-off-depth", reason, hint))
    low, middle, high = np.median(ranges, axis=0) if ranges else (0.0, 0.0, 0.0)
    return HandReport(
        root=listing.root,
        layout=listing.layout,
        frames=len(frames),
        opened=len(chosen),
        usable=usable,
        with_joints=sum(f.joints_mm is not None for f in frames),
        with_color=sum(f.color is not None for f in frames),
        joint_names=listing.joint_names,
        people=counts_of(f.subject for f in frames),
        splits=counts_of(f.split for f in frames),
        views=counts_of(str(f.view) for f in frames),
        sizes=dict(sizes.most_common()),
        cameras=counts_of(
            f"fx {f.camera.fx:g} fy {f.camera.fy:g} cx {f.camera.cx:g} cy {f.camera.cy:g}" for f in frames
        ),
        depth_mm=(float(low), float(middle), float(high)) if ranges else None,
        joints_at_depth=share,
        problems=tuple(dict.fromkeys(problems)),
    )


def _camera_faults(frame: HandFrame, size: tuple[int, int], known: set[str]) -> list[Problem]:
    """Return what looks wrong with the intrinsics for images of this size, each problem only once."""
    found = [text for text in frame.camera.doubts(size) if text not in known]
    known.update(found)
    hint = "Give the camera's own intrinsics, for images of this size."
    return [Problem(str(frame.depth), "intrinsics", f"{text}.", hint) for text in found]


def _hand_faults(frame: HandFrame, depth: NDArray[np.float32], at_depth: list[float]) -> list[Problem]:
    """Return problems of joints and cube; append the share of joints near the depth at their pixel to `at_depth`."""
    if frame.joints_mm is None or frame.center_mm is None:
        return []
    uv = np.rint(frame.camera.project(frame.joints_mm))
    inside = np.isfinite(uv).all(axis=1)
    inside &= (uv >= 0).all(axis=1) & (uv[:, 0] < depth.shape[1]) & (uv[:, 1] < depth.shape[0])
    u, v = uv[inside].astype(int).T
    there = depth[v, u]
    apart = np.abs(there - frame.joints_mm[inside, 2])
    at_depth.append(float(((there > 0) & (apart < NEAR_MM)).sum()) / len(uv))
    problems = []
    if not inside.all():
        reason = f"{int((~inside).sum())} of {len(uv)} joints lie outside the image."
        problems.append(
            Problem(
                str(frame.depth),
                "joints-outside",
                reason,
                "Hands at the border are padded; check the intrinsics if there are many.",
            )
        )
    try:
        x, y, z = (float(value) for value in frame.center_mm)
        Cube(frame.camera, (x, y, z)).patch(depth, 64)
    except GestaError as error:
        problems.append(Problem(str(frame.depth), "empty-cube", str(error)))
    return problems


def write_hand_page(report: HandReport, listing: HandListing, out: Path) -> Path:
    """Write the page to `out` (a file, or a folder for `inspect.html`) and return its path. Raises GestaError."""
    pictures = [_picture(frame, listing.joint_names) for frame in _varied(listing.frames)]
    return write_page(out, Path(__file__).with_name("audit.html"), report=report, pictures=pictures)


def _picture(frame: HandFrame, names: Sequence[str]) -> tuple[str, Markup, str, str]:
    """Return (caption, the same with links to its files, JPEG as base64 or "", reason for a missing picture or "")."""
    caption = frame.id + (f", person {frame.subject}" if frame.subject else "")
    named = linked(caption, (file.path for file in (frame.depth, frame.color) if file is not None))
    try:
        depth = read_depth(frame.depth, frame.encoding, frame.depth_unit_mm)
    except GestaError as error:
        return caption, named, "", str(error)
    image: Image = depth_image(_near(depth, frame))
    if frame.joints_mm is not None:
        image = draw_hand(image, frame.camera.project(frame.joints_mm), hand_bones(names), TRUTH)
    return caption, named, base64.b64encode(jpeg(image)).decode(), ""


def _near(depth: NDArray[np.float32], frame: HandFrame) -> NDArray[np.float32]:
    """Clip depth to the surroundings of the hand, if known, so that the picture shows the hand and not the wall."""
    if frame.center_mm is None:
        return depth
    middle = float(frame.center_mm[2])
    return np.where(depth > 0, np.clip(depth, middle - 200, middle + 200), 0).astype(np.float32)


def _varied(frames: Sequence[HandFrame]) -> list[HandFrame]:
    """Return some frames of each person and split, evenly spaced."""
    groups = grouped(((frame.split, frame.subject), frame) for frame in frames)
    each = max(1, SHOWN // max(len(groups), 1))
    return [frame for group in list(groups.values())[:SHOWN] for frame in evenly(group, each)]
