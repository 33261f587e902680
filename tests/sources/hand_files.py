"""Tiny sets with the names, shapes and encodings of the originals."""

import cv2
import h5py
import numpy as np
from scipy.io import savemat

from gesta.sources.cameras import CAMERAS


def world(n, joints, seed=0, views=None):
    """[views] n J 3 mm, inside the cameras' images."""
    shape = (n, joints, 3) if views is None else (views, n, joints, 3)
    middle = np.array((0, 0, 800))
    return np.random.default_rng(seed).uniform(-100, 100, shape) + middle


def uvd(camera, points):
    u = camera.cx + camera.fx * points[..., 0] / points[..., 2]
    v = camera.cy - camera.fy * points[..., 1] / points[..., 2]
    return np.stack([u, v, points[..., 2]], axis=-1)


def write_nyu_depth(path, depth_mm):
    image = np.zeros((*depth_mm.shape, 3), np.uint8)  # BGR
    image[..., 0], image[..., 1] = depth_mm & 255, depth_mm >> 8
    cv2.imwrite(str(path), image)


def write_annotation(path, flavour, fields, compress=True):
    """`fields`: name -> array in MATLAB's own order of axes."""
    names = np.array([[f"F{i}" for i in range(36)]], object)
    if flavour == "v5":
        savemat(path, {**fields, "joint_names": names}, do_compression=compress)
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in fields.items():
            file.create_dataset(name, data=np.transpose(values), compression="gzip")
        file.create_group("#refs#")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def write_nyu(root, n=3, flavour="v5", views=(1, 2, 3), size=(640, 480), seed=0):
    """Both parts, all views; returns part -> joint_xyz 3 n 36 3."""
    made = {}
    for part in ("train", "test"):
        folder = root / part
        folder.mkdir(parents=True)
        xyz = world(n, 36, seed + len(made), 3)
        for view in views:
            for row in range(1, n + 1):
                write_nyu_depth(folder / f"depth_{view}_{row:07d}.png", np.full(size[::-1], 700 + row, np.uint16))
                cv2.imwrite(str(folder / f"rgb_{view}_{row:07d}.png"), np.full((*size[::-1], 3), 90, np.uint8))
        fields = {"joint_xyz": xyz, "joint_uvd": uvd(CAMERAS["nyu"], xyz)}
        write_annotation(folder / "joint_data.mat", flavour, fields)
        made[part] = xyz
    return made


def write_icvl(root, n=3):
    """Both parts; returns the rows u v d of both."""
    made = []
    for seed, (part, labels, folder) in enumerate(
        (("Training", "labels.txt", "201403121135"), ("Testing", "test_seq_1.txt", "test_seq_1"))
    ):
        (root / part / "Depth" / folder).mkdir(parents=True)
        points = uvd(CAMERAS["icvl"], world(n, 16, seed))
        lines = []
        for row, point in enumerate(points):
            name = f"{folder}/image_{row:04d}.png"
            cv2.imwrite(str(root / part / "Depth" / name), np.full((240, 320), 800, np.uint16))
            lines.append(f"{name} {' '.join(f'{v:.4f}' for v in point.ravel())} ")
        (root / part / labels).write_text("\r\n".join(lines) + "\r\n\r\n")
        made.append(points)
    return made


def write_msra(root, n=2, people=("P0", "P3"), gestures=("1", "TIP")):
    """Returns (person, gesture) -> n 21 3, z positive."""
    made = {}
    for person in people:
        for gesture in gestures:
            folder = root / person / gesture
            folder.mkdir(parents=True)
            points = world(n, 21, len(made))
            for row in range(n):
                box = np.full((40, 30), 800 + row, np.float32)
                head = np.array([320, 240, 100, 60, 130, 100], np.int32)
                (folder / f"{row:06d}_depth.bin").write_bytes(head.tobytes() + box.tobytes())
            rows = "\n".join(" ".join(f"{v:.4f}" for v in p.ravel()) for p in points * (1, 1, -1))
            (folder / "joint.txt").write_text(f"{n}\n{rows}\n")
            made[person, gesture] = points
    return made


def write_folder(root, n=3, size=(320, 240), camera=(285.6, 285.6, 160, 120), joints=None, rgb=True):
    """`joints` n J 3 mm go into joints.csv in x y z."""
    (root / "depth").mkdir(parents=True)
    (root / "rgb").mkdir()
    for row in range(n):
        cv2.imwrite(str(root / "depth" / f"{row}.png"), np.full(size[::-1], 800 + row, np.uint16))
        if rgb:
            cv2.imwrite(str(root / "rgb" / f"{row}.jpg"), np.full((*size[::-1], 3), 90, np.uint8))
    write_camera(root / "camera.yaml", *camera)
    if joints is not None:
        write_joints(root / "joints.csv", joints, "xyz")


def write_camera(path, fx, fy, cx, cy, more=""):
    path.write_text(f"fx: {fx}\nfy: {fy}\ncx: {cx}\ncy: {cy}\n{more}")


def write_joints(path, joints, axes):
    names = [f"j{i}_{axis}" for i in range(joints.shape[1]) for axis in axes]
    rows = [f"{i}.png,{'AB'[i % 2]},train,{','.join(f'{v:.4f}' for v in p.ravel())}" for i, p in enumerate(joints)]
    path.write_text("\n".join([",".join(["file", "subject", "split", *names]), *rows]))
