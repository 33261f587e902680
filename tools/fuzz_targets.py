"""Targets of the fuzzer: each writes one damaged input to a folder and reads it like the commands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from gesta.audit.inspection import inspect
from gesta.bundle import card
from gesta.bundle import io as bundles
from gesta.clips.decode import frame_rate, frame_times, iter_frames, probe
from gesta.clips.read import iter_sample
from gesta.clips.skeleton import read_joints
from gesta.schema import Camera, Resource, Sample
from gesta.sources import catalog
from gesta.sources.headers import holds_depth, joint_count
from gesta.sources.index_write import write_index
from gesta.tasks.catalog import read_bundle
from tools import fuzz_bases, fuzz_sets
from tools.fuzz_damage import (
    TEXTS,
    Rng,
    damage_bytes,
    damage_json,
    damage_table,
    npy_with_any_header,
    pick,
)

CAMERA_YAML = b"fx: 500\nfy: 500\ncx: 24\ncy: 16\ndepth_unit_mm: 1\n"
JOINTS = "\n".join(f"j{i}" for i in range(20)).encode()
FOLDERS = (
    "train",
    "test",
    "val",
    "wave",
    "clap",
    "anna",
    "p01",
    "p02",
    "cam1",
    ".hidden",
    "é",
    "e\u0301",
    "Train set",
    "7",
)


@dataclass(frozen=True)
class Bases:
    """The valid inputs, created once per process."""

    @cached_property
    def videos(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            return {name: fuzz_bases.video(Path(folder) / name) for name in fuzz_bases.VIDEOS}

    @cached_property
    def bundle(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            return fuzz_bases.bundle(Path(folder) / "b")

    @cached_property
    def zip(self) -> bytes:
        return fuzz_bases.recording_zip(self.videos["h264.mp4"])


BASES = Bases()
NPY, CSV = fuzz_bases.npy(), fuzz_bases.skeleton_csv()


def put(root: Path, name: str, content: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def video(rng: Rng, root: Path) -> None:
    """Probes a damaged video, reads its times, and decodes it in all ways."""
    name, other = pick(rng, list(BASES.videos)), pick(rng, list(BASES.videos))
    put(root, name, damage_bytes(rng, BASES.videos[name], BASES.videos[other]))
    resource = Resource(root / name)
    holds_depth(resource.path)
    frame_rate(resource)
    tried(lambda: probe(resource))
    tried(lambda: frame_times(resource))
    sample = Sample("a", "a", depth=resource) if "depth" in name else Sample("a", "a", color=resource)
    tried(lambda: [None for _ in iter_sample(sample, color=bool(rng.integers(2)))])
    tried(lambda: [None for _ in iter_frames(resource, pick(rng, ("rgb", "gray", "gray16")))])


def table(rng: Rng, root: Path) -> None:
    """Reads an index.csv as a spreadsheet or a stranger might write it, next to empty videos, and writes it again."""
    for name in ("a.mp4", "b.avi", "c d.mkv"):
        put(root, name, b"")
    put(root, "s.npy", NPY)
    put(root, "s.csv", CSV)
    text = fuzz_bases.INDEX
    put(root, "index.csv", damage_table(rng, text) if rng.random() < 0.8 else damage_bytes(rng, text.encode()))
    put(root, "camera.yaml", damage_bytes(rng, CAMERA_YAML) if rng.random() < 0.4 else CAMERA_YAML)
    put(root, "joints.txt", damage_bytes(rng, JOINTS) if rng.random() < 0.2 else JOINTS)
    listing = catalog.read(root)
    str(listing.problems)
    write_index(listing, overwrite=True)
    catalog.read(root)


def tree(rng: Rng, root: Path) -> None:
    """Reads and inspects folders and files with arbitrary names, some of which are not regular files."""
    for _ in range(int(rng.integers(1, 12))):
        levels = [_name(rng) for _ in range(int(rng.integers(0, 4)))]
        ending = pick(rng, (".mp4", ".mp4", ".avi", ".gif", ".zip", ".csv", "", ".png", "_color.mp4", "_data.csv"))
        try:
            path = root.joinpath(*levels, _name(rng) + ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = int(rng.integers(12))
            if os.path.lexists(path):
                continue
            if kind == 0:
                os.mkfifo(path)
            elif kind == 1:
                path.symlink_to(pick(rng, ("/dev/zero", root, path, "nowhere")))
            else:
                path.write_bytes(pick(rng, (b"", b"1,2,3\n", BASES.videos["h264.mp4"], BASES.zip)))
        except (OSError, ValueError):
            continue  # a name that the file system does not allow
    inspect(catalog.read(root)).to_json()


def _name(rng: Rng) -> str:
    raw = pick(rng, FOLDERS) if rng.random() < 0.8 else pick(rng, TEXTS)
    name = os.fsdecode(bytes(rng.integers(1, 256, 3, dtype="u1"))) if rng.random() < 0.05 else raw
    return str(name).replace("/", "_").replace("\0", "_")[:60] or "x"


def skeleton(rng: Rng, root: Path) -> None:
    """Reads a damaged skeleton in a .npy or csv file."""
    kind = pick(rng, ("csv", "csv", "npy", "header"))
    if kind == "csv":
        text = CSV.decode()
        put(root, "s.csv", damage_table(rng, text) if rng.random() < 0.5 else damage_bytes(rng, CSV))
    else:
        body = NPY
        put(root, "s.npy", damage_bytes(rng, body) if kind == "npy" else npy_with_any_header(rng, body[128:]))
    (path,) = root.iterdir()
    if path.suffix == ".npy":
        joint_count(path)
    sample = Sample("a", "a", color=Resource(path), skeleton=Resource(path), camera=Camera(500, 500, 24, 16))
    read_joints(replace(sample))


def archive(rng: Rng, root: Path) -> None:
    """Inspects a damaged zip of a recording, alone or next to class folders."""
    put(root, "Sample0001.zip", damage_bytes(rng, BASES.zip))
    if rng.random() < 0.5:
        put(root, "wave/a.mp4", BASES.videos["h264.mp4"])
    inspect(catalog.read(root if rng.random() < 0.7 else root / "Sample0001.zip")).to_json()


def bundle(rng: Rng, root: Path) -> None:
    """Opens a bundle with a damaged manifest, weights or zip, loads its weights and writes its card."""
    files = dict(BASES.bundle)
    way = int(rng.integers(4))
    if way == 0:
        files["manifest.json"] = damage_json(rng, fuzz_bases.document(files))
    elif way == 1:
        files["manifest.json"] = damage_bytes(rng, files["manifest.json"])
    elif way == 2:
        weights = damage_bytes(rng, files[bundles.WEIGHTS])
        document = files["manifest.json"].decode()
        files["manifest.json"] = document.replace(
            bundles.digest(files[bundles.WEIGHTS]), bundles.digest(weights)
        ).encode()
        files[bundles.WEIGHTS] = weights
    if way == 3 or rng.random() < 0.2:
        packed = fuzz_bases.bundle_zip(files)
        put(root, "b.zip", damage_bytes(rng, packed) if way == 3 else packed)
    else:
        for name, content in files.items():
            put(root, f"b.zip/{name}", content)
    found = read_bundle(root / "b.zip")
    card.render(found.manifest).encode()
    bundles.load_weights(found)


def tried(what: Callable[[], object]) -> None:
    """Calls the function; a GestaError is a valid outcome, and the next call follows."""
    from gesta.schema import GestaError

    try:
        what()
    except GestaError:
        return


TARGETS: dict[str, Callable[[Rng, Path], None]] = {
    "video": video,
    "table": table,
    "tree": tree,
    "skeleton": skeleton,
    "archive": archive,
    "lists": fuzz_sets.lists,
    "hands": fuzz_sets.hands,
    "bundle": bundle,
}
