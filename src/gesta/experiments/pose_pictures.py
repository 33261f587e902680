"""Pictures of the tables about hand pose: curves and bars (figures 4.7 to 4.9), truth and estimate (4.10, 4.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gesta.clips.hand_cube import Cube
from gesta.evaluate.pose_figures import draw_per_joint, draw_success
from gesta.evaluate.pose_pictures import Hand, cloud_of, cloud_view, depth_bar, depth_of, over_depth
from gesta.sources.hand_catalog import read

if TYPE_CHECKING:
    from gesta.experiments.poses import PosePlan

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def draw(planned: PosePlan, results: Results, folder: Path) -> dict[str, Path]:
    """Writes the table's pictures; name -> file. Nothing where nothing is measured, or it is a table alone."""
    measured = {label: found for label, found in results.items() if found}
    if not measured or not planned.table.figure:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    return _curves(planned, measured, folder) if planned.table.figure == "curves" else _hands(planned, measured, folder)


def _curves(planned: PosePlan, results: Results, folder: Path) -> dict[str, Path]:
    from gesta.experiments.poses import pooled

    errors = {label: pooled(found) for label, found in results.items()}
    joints = next(iter(results.values()))[0]["joints"]
    errors |= planned.others
    same = {label: found for label, found in errors.items() if found.shape[1] == len(joints)}
    files = {"success rate": folder / "success_rate.png", "joints": folder / "per_joint.png"}
    draw_success(errors, files["success rate"], f"Success rate: {planned.table.title}")
    draw_per_joint(same, files["joints"], f"Error of each joint: {planned.table.title}", joints)
    return files


def _hands(planned: PosePlan, results: Results, folder: Path) -> dict[str, Path]:
    """A row of pictures over the depth image, and below each its points in space by depth, with a bar: truth blue,
    estimate red."""
    listing = read(planned.data, planned.layout)
    frames = {frame.id: frame for frame in listing.frames}
    files = {}
    for label, found in results.items():
        columns = []
        for one in found[0]["shown"]:
            if planned.table.person not in (None, one["person"]):
                continue
            frame = frames[one["id"]]
            x, y, z = one["center_mm"]
            cube = Cube(frame.camera, (x, y, z), found[0]["cube_mm"])
            hand = Hand(frame, cube, listing.joint_names, frame.joints_mm, np.asarray(one["found_mm"]))
            depth = depth_of(frame)
            cloud, bar = cloud_of(hand, depth, tones="depth"), depth_bar(cube)
            pictures = np.vstack([over_depth(hand, depth), cloud_view(hand, cloud)])
            columns.append(np.hstack([pictures, np.vstack([np.full_like(bar, 255), bar])]))
        if columns:
            path = folder / f"{label.split(' ')[0].lower()}.png"
            _, data = cv2.imencode(".png", np.hstack(columns)[..., ::-1])
            partial = path.with_name(f".{path.name}.part")
            partial.write_bytes(data.tobytes())
            partial.replace(path)
            files[f"figure {label}"] = path
    return files
