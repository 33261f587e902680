"""Damaged data sets in known layouts: lists and tables of recordings, and hands with depth images."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from gesta.audit.inspection import inspect
from gesta.sources import catalog, hand_catalog
from gesta.tasks.hands.audit import inspect_hands
from tools import fuzz_bases
from tools.fuzz_damage import Rng, damage_bytes, damage_table, pick

Files = dict[str, bytes]


def lists(rng: Rng, root: Path) -> None:
    """Reads and inspects UCF-101, IsoGD, signs, or a ChaLearn folder with damaged text files."""
    _put(rng, root, pick(rng, LISTS)())
    inspect(catalog.read(root)).to_json()


def hands(rng: Rng, root: Path) -> None:
    """Reads and inspects ICVL, MSRA, NYU, or a folder of depth images with damaged files."""
    _put(rng, root, pick(rng, HANDS)())
    inspect_hands(hand_catalog.read(root)).to_json()


def _put(rng: Rng, root: Path, files: Files) -> None:
    """Damages one or two files of a data set, mostly tables."""
    tables = [name for name in files if name.endswith((".txt", ".csv", ".yaml", ".mat"))]
    chosen = {pick(rng, tables if rng.random() < 0.8 else list(files)) for _ in range(int(rng.integers(1, 3)))}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = name.endswith(".csv") and rng.random() < 0.5
        damaged = damage_table(rng, content.decode() or "1") if text else damage_bytes(rng, content)
        path.write_bytes(damaged if name in chosen else content)


def _ucf101() -> Files:
    names = [f"Wave/v_Wave_g{group:02d}_c01.avi" for group in (1, 2, 8)]
    lines = {
        "trainlist01.txt": f"{names[1]} 1\n{names[2]} 1\n",
        "testlist01.txt": f"{names[0]}\n",
        "classInd.txt": "1 Wave\n",
    }
    return {**dict.fromkeys(names, b""), **{name: text.encode() for name, text in lines.items()}}


def _isogd() -> Files:
    rows = [f"train/001/M_0000{i}.avi train/001/K_0000{i}.avi {i}" for i in (1, 2)]
    videos = [word for row in rows for word in row.split()[:2]]
    return {**dict.fromkeys(videos, b""), "train_list.txt": "\n".join(rows).encode()}


def _signs() -> Files:
    return {
        "signs.csv": b"file,sign,person\nvideos/1.mp4,house,a\nvideos/2.mp4,tree,b\n",
        "videos/1.mp4": b"",
        "videos/2.mp4": b"",
    }


def _chalearn() -> Files:
    name = "Train1/Sample0001/Sample0001"
    return {
        f"{name}_color.mp4": b"",
        f"{name}_data.csv": b"8,10,4000\n",
        f"{name}_labels.csv": b"1,1,4\n2,5,8\n",
        f"{name}_skeleton.csv": fuzz_bases.skeleton_csv(),
        "gesta_subjects.csv": b"recording,subject\nSample0001,anna\n",
    }


@cache
def _png(height: int = 240, width: int = 320) -> bytes:
    image = np.full((height, width), 2000, np.uint16)
    image[80:160, 120:200] = 800
    return bytes(cv2.imencode(".png", image)[1])


def _joints(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-80, 80, (count, 3)) + np.array((0, 0, 800))


def _icvl() -> Files:
    row = " ".join(f"{value:.2f}" for value in (_joints(16) * (1, 1, 0) + (160, 120, 800)).ravel())
    labels = f"a/image_0000.png {row}\na/image_0001.png {row}\n".encode()
    images = {f"{part}/Depth/a/image_000{i}.png": _png() for part in ("Training", "Testing") for i in range(2)}
    return {"Training/labels.txt": labels, "Testing/test_seq_1.txt": labels, **images}


def _msra() -> Files:
    box = np.array([320, 240, 100, 60, 130, 100], np.int32).tobytes() + np.full((40, 30), 800, np.float32).tobytes()
    row = " ".join(f"{value:.2f}" for value in (_joints(21) * (1, 1, -1)).ravel())
    return {"P0/1/joint.txt": f"2\n{row}\n{row}\n".encode(), "P0/1/000000_depth.bin": box, "P0/1/000001_depth.bin": box}


def _folder() -> Files:
    header = ",".join(f"j{i}_{axis}" for i in range(5) for axis in "xyz")
    row = ",".join(f"{value:.2f}" for value in _joints(5).ravel())
    table = f"file,subject,split,{header}\n0.png,a,train,{row}\n1.png,b,test,{row}\n".encode()
    camera = b"fx: 285.6\nfy: 285.6\ncx: 160\ncy: 120\n"
    return {"camera.yaml": camera, "joints.csv": table, "depth/0.png": _png(), "depth/1.png": _png()}


@cache
def _nyu() -> Files:
    from scipy.io import savemat

    stream = io.BytesIO()
    joints = np.stack([_joints(36, view) for view in range(3)])[:, None]
    savemat(stream, {"joint_xyz": joints, "joint_uvd": joints}, do_compression=True)
    images = {f"{part}/{kind}_1_0000001.png": _png() for part in ("train", "test") for kind in ("depth", "rgb")}
    return {"train/joint_data.mat": stream.getvalue(), "test/joint_data.mat": stream.getvalue(), **images}


LISTS: tuple[Callable[[], Files], ...] = (_ucf101, _isogd, _signs, _chalearn)
HANDS: tuple[Callable[[], Files], ...] = (_icvl, _msra, _folder, _nyu)
