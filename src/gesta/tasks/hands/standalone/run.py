"""Finds the joints of a hand in depth images. Needs no gesta.

    pip install numpy onnxruntime         (and opencv-python to read images)
    python run.py --check                 computes the example in golden.npz and compares the joints
    python run.py depth.png FX FY CX CY   the joints in an image; focal lengths and center of its camera in pixels
In a program of your own:
    model = Hands("model.onnx")
    joints_mm, joints_uv = model.find(depth_mm, camera)             # the nearest object is taken for the hand
    joints_mm, joints_uv = model.find(depth_mm, camera, center_mm)  # or say where its middle is: x, y, z
depth_mm: float32 [height, width], 0 without a reading. camera: (fx, fy, cx, cy). Models that need color as well take
color=uint8 [height, width, 3], red, green, blue, registered to depth. joints_mm: [J, 3] x right, y up, z forward, in
the order of model.joints; joints_uv: [J, 2] pixels. preprocessing.md tells what happens to the image.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

MODEL, GOLDEN = (Path(__file__).with_name(name) for name in ("model.onnx", "golden.npz"))


class Hands:
    def __init__(self, file=MODEL):
        onnxruntime.set_default_logger_severity(3)
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        notes = self.session.get_modelmeta().custom_metadata_map
        self.joints, self.cube_mm = json.loads(notes["joints"]), float(notes["cube_mm"])

    def find(self, depth_mm, camera, center_mm=None, color=None):
        """Return (joints in mm, joints in pixels)."""
        center_mm = nearest_object(depth_mm, camera, self.cube_mm) if center_mm is None else center_mm
        given = {"depth_mm": np.asarray(depth_mm, np.float32), "camera": np.array(camera, float)}
        given["center_mm"] = np.array(center_mm, float)
        joints_mm, joints_uv, readings = self.session.run(None, given if color is None else {**given, "color": color})
        if readings == 0:
            raise ValueError(f"No depth readings within {self.cube_mm / 2:g} mm of {center_mm}. Is the camera right?")
        return joints_mm, joints_uv


def around(image):
    """Return each pixel's 3 x 3 neighborhood, [9, height, width], with the edges repeated."""
    padded, (height, width) = np.pad(image, 1, mode="edge"), image.shape
    return np.stack([padded[v : v + height, u : u + width] for v in range(3) for u in range(3)])


def nearest_object(depth_mm, camera, side):
    """Return the middle of the hand nearest to the camera: the free, wide end of the nearest limb."""
    step = max(1, depth_mm.shape[1] // 160)
    depth = np.median(around(depth_mm[step // 2 :: step, step // 2 :: step]), axis=0)
    fx, fy, cx, cy = (value / step for value in camera)
    region = nearest_region(depth, fx * fy, side)
    (rows, columns), z = np.nonzero(region), depth[region].astype(float)
    points = np.stack([(columns - cx) * z / fx, (cy - rows) * z / fy, z], axis=-1)
    near = np.linalg.norm(points - points[z.argmin()], axis=1) < 2 * side
    beyond = np.pad(np.zeros(depth.shape), 1, constant_values=1)  # the image border, and what is out of reach
    beyond[rows[~near] + 1, columns[~near] + 1] = 1
    cut = (around(beyond)[:, 1:-1, 1:-1].max(axis=0)[rows, columns] * z / fx)[near]
    points = hand_end(points[near], cut, side)
    center = points.mean(axis=0)
    for _ in range(2):
        inside = (np.abs(points - center) < side / 4).all(axis=1)
        center = points[inside].mean(axis=0) if inside.any() else center
    return center * (1 + 20 / center[2])  # the middle is 20 mm behind the surface


def nearest_region(depth, pixel, side):
    """Return the region connected to the nearest reading (steps up to 30 mm); a small one only if no other exists."""
    left, largest, most, last = depth > 0, None, 0.0, np.inf
    links = (np.abs(around(depth) - depth) <= 30) & (depth > 0)
    while left.any() and (nearest := np.where(left, depth, np.inf)).min() <= last:
        region, size = np.arange(depth.size).reshape(depth.shape) == nearest.argmin(), 0
        while region.sum() > size:
            size = region.sum()
            region = (around(region) & links).any(axis=0)
        region, area = region & left, (depth[region & left] ** 2).sum() / pixel
        if area >= 2000:
            return region
        if area > most and region.sum() >= 5:
            largest, most, last = region, area, min(last, nearest.min() + side)
        left &= ~region
    if largest is None:
        raise ValueError("The depth image shows no object. Is the hand within the sensor's range?")
    return largest


def hand_end(points, cut, side):
    """Return all of a short limb; of a long one, the end that is not cut off, or the wider of two such ends."""
    middle, axes = points.mean(axis=0), np.linalg.eigh(np.cov((points - points.mean(axis=0)).T))[1]
    along, across = (points - middle) @ axes[:, 2], (points - middle) @ axes[:, 1]
    low, high = np.percentile(along, (1, 99))
    if high - low < 0.85 * side:
        return points
    away = along - low, high - along
    widths = [np.ptp(np.percentile(across[far < 0.6 * side], (3, 97))) for far in away]
    best = max((0, 1), key=lambda i: (cut[away[i] < side / 2].sum() <= 0.6 * widths[i], widths[i]))
    return points[away[best] < side / 2]


def main(wanted):
    if len(wanted) != 5 and wanted != ["--check"]:
        sys.exit(__doc__)
    model = Hands()
    if wanted == ["--check"]:
        golden = dict(np.load(GOLDEN))
        difference = float(np.abs(golden.pop("joints_mm") - model.find(**golden)[0]).max())
        print(f"largest difference of a joint {difference:.2g} mm")
        sys.exit(int(not difference <= 0.5))
    import cv2

    image = cv2.imread(wanted[0], cv2.IMREAD_UNCHANGED)
    depth = image if image.ndim == 2 else image[..., 1] * 256.0 + image[..., 0]  # NYU's images: in green and blue
    for name, (x, y, z), (u, v) in zip(model.joints, *model.find(depth, list(map(float, wanted[1:]))), strict=True):
        print(f"{name}: x {x:.1f} y {y:.1f} z {z:.1f} mm, pixel {u:.1f} {v:.1f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
