"""What the guides take for granted, tiny: the files that their commands name, and settings of short trainings."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml
from clips.videos import moving_square, write_video
from spotting.skeletons import write_sequences
from training.hand_sets import make_hands

from gesta.schema import KINECT_JOINTS as JOINTS

STEPS = {"left": -2, "right": 2, "none": 0}
PIXELS = ("input.size=32", "training.epochs=1", "training.least_updates=1", "training.batch=4", "baselines=false")
SKELETONS = ("model.width=0.1", *PIXELS[1:])
FUSED = ("input.size=16", "model.width=0.05", "model.skeleton.width=0.1", *PIXELS[1:4])
COMPACT = ("input.size=32", "training.epochs=1", "training.batch=4")
HANDS = (*COMPACT, "model.hidden=8")
SPOTTING = (
    "model.width=24",
    "model.dilations=[1,2,4]",
    "training.epochs=4",
    "training.windows=96",
    "training.batch=8",
    "training.window_s=5",
    "training.learning_rate=0.01",
)
TEXT = ("training.epochs=1", "model.hidden=8", "model.embedding=8")
GRU = ("training.epochs=1", "model.hidden=6")


def sets(settings: tuple[str, ...]) -> tuple[str, ...]:
    """Settings as options of a command."""
    return tuple(word for setting in settings for word in ("--set", setting))


def values(settings: tuple[str, ...]) -> dict[str, object]:
    """Settings as arguments of a call."""
    return {name: yaml.safe_load(text) for name, text in (setting.split("=", 1) for setting in settings)}


@dataclass(frozen=True)
class World:
    """`make`: writes what a page names into the current folder; `before`: by heading, what is made before the commands
    below it. `train`: settings for every training, `by_recipe` in their place for a recipe; `more`: further words of
    other commands, by how they begin. Where an option stands twice the last one counts."""

    make: Callable[[], None]
    train: tuple[str, ...] = PIXELS
    by_recipe: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    before: Mapping[str, Callable[[], None]] = field(default_factory=dict)

    def besides(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """What a command is given besides its words on the page."""
        text = " ".join(words)
        further = tuple(word for begin, more in self.more.items() if text.startswith(begin) for word in more)
        if words[:2] != ("gesta", "train"):
            return further
        recipe = words[words.index("--recipe") + 1] if "--recipe" in words else ""
        settings = self.by_recipe.get(recipe, self.train)
        if "--from" in words:  # the input is the bundle's
            settings = tuple(one for one in settings if not one.startswith("input."))
        return further + sets(settings)


def film(path: Path, step: int, start: int, frames: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 16, (96, 64))
    for n in range(frames):
        image = np.full((64, 96, 3), 40, np.uint8)
        x = (start + step * n) % 80
        image[24:40, x : x + 16] = 220
        writer.write(image)
    writer.release()


def class_folders(name: str, labels: tuple[str, ...], people: tuple[str, ...] = ("anna", "ben", "cleo", "dan")) -> None:
    for label in labels:
        for number, person in enumerate(people):
            film(Path(name, label, f"{person}_1.mp4"), STEPS.get(label, 3), 10 * number)


def own_videos() -> None:
    class_folders("my_gestures", ("left", "right"))
    class_folders("my_signs", ("left", "right"))
    class_folders("two_more_signs", ("still", "fast"))
    film(Path("new_video.mp4"), 2, 5)
    film(Path("wave.mp4"), 2, 5)


def trained_videos() -> None:
    """And a bundle of their own, as the first guide leaves it."""
    own_videos()
    _train("my_gestures", "runs/mine", PIXELS)


def _train(data: str, out: str, settings: tuple[str, ...], recipe: str | None = None) -> None:
    import gesta

    gesta.train(data, recipe, out, **values(settings))


def wave(side: str, seed: int, frames: int = 24) -> np.ndarray:
    """T J 3: a person of Kinect's joints of whom one hand goes up and down."""
    body = np.random.default_rng(0).uniform((-0.5, -0.5, 1.5), (0.5, 0.5, 2.5), (len(JOINTS), 3))
    noise = np.random.default_rng(seed).normal(0, 0.005, (frames, len(JOINTS), 3))
    clip = np.repeat(body[None], frames, 0) + noise
    clip[:, JOINTS.index(f"Hand{side}"), 1] += 0.5 * np.sin(np.arange(frames) / 3) ** 2
    return clip.astype(np.float32)


def skeleton_files(name: str = "DATA") -> None:
    for side in ("Left", "Right"):
        for i in range(6):
            path = Path(name, side.lower(), f"p{i}_1.npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, wave(side, i))
    Path(name, "joints.txt").write_text("\n".join(JOINTS))
    np.save("clip.npy", wave("Left", 9))


def skeleton_bundle() -> None:
    _train("DATA", "RUN", SKELETONS, "dd-net")


def videos_with_skeletons() -> None:
    shutil.rmtree("DATA")
    Path("DATA").mkdir()
    rows = ["path,skeleton,label,subject"]
    for side, step in (("left", 2), ("right", 0)):
        for i in range(6):
            write_video(Path("DATA", f"{side}{i}.mkv"), moving_square(16, 48, 64, 12, step), fps=20)
            np.save(Path("DATA", f"{side}{i}.npy"), wave(side.title(), i, 16))
            rows.append(f"{side}{i}.mkv,{side}{i}.npy,{side},p{i}")
    Path("DATA", "index.csv").write_text("\n".join(rows))
    Path("DATA", "joints.txt").write_text("\n".join(JOINTS))
    for name in ("depth.mkv", "video.mp4"):  # the model that is asked sees color
        shutil.copy("DATA/left0.mkv", name)
    np.save("clip.npy", wave("Left", 9, 16))
    shutil.rmtree("RUN")
    _train("DATA", "RUN", FUSED, "fused")


def recordings_of_gestures() -> None:
    """Of `gesta live`: clips of gestures and of anything else; long recordings of skeletons."""
    class_folders("my_gestures", ("left", "right", "none"))
    film(Path("long.mp4"), 2, 5, frames=80)
    skeleton_files("UTD")
    for path in sorted(Path("UTD").rglob("*.npy")):
        if path.stem in ("p4_1", "p5_1"):
            Path("UTD", "none").mkdir(exist_ok=True)
            path.rename(Path("UTD", "none", f"{path.parent.name}_{path.name}"))


def spotting_data() -> None:
    write_sequences(Path("DATA"), count=8)
    shutil.copy("DATA/sequences/00.npy", "hand.npy")


def hand_bundle() -> None:
    _train("DATA", "HANDS", COMPACT, "a2j-compact")
    shutil.copytree("HANDS/bundle", "BUNDLE")


def hands() -> None:
    make_hands(Path("DATA"), 20)
    shutil.copytree("DATA/depth", "FOLDER")
    shutil.copy("DATA/camera.yaml", "FOLDER/camera.yaml")
    depth = np.full((480, 640), 900, np.uint16)
    cv2.circle(depth, (312, 240), 60, 655, -1)
    for name in ("hand.png", "depth_1_0000001.png"):
        cv2.imwrite(name, depth)
    Path("camera.yaml").write_text("{fx: 600, fy: 600, cx: 320, cy: 240}")
    write_video(Path("VIDEO.mkv"), [depth] * 3, fps=10, pix_fmt="gray16le", source="gray16le")


def tutorial_texts() -> None:
    verse = "ROMEO: to be or not to be, that is the question.\n"
    Path("input.txt").write_text(verse * 60)
    Path("other.txt").write_text(verse * 5)
    with gzip.open("stacks.tex.gz", "wt") as source:
        source.write("\\begin{lemma} Let $X_{1}$ be a scheme. \\end{lemma}\n" * 60)
    _captions(Path("flickr8k_text"))
    _pairs(Path("phoenix14t_text"), "gloss", "de")
    _pairs(Path("multi30k_de_en"), "de", "en")
    skeleton_files("utd_mhad")
    Path("utd_mhad", "captions.csv").write_text("label,caption\nleft,the left hand moves\nright,the right hand moves\n")
    Path("captions.txt").write_text("the dog runs to the man\nthe king sees the woman\n" * 40)
    Path("wordsim353.tsv").write_text("dog\tman\t5.0\nking\twoman\t7.0\nman\twoman\t8.0\n")
    Path("questions-words.txt").write_text(": family\nman king woman dog\n")


def _captions(folder: Path) -> None:
    folder.mkdir()
    parts = {"train": [f"t{i}.jpg" for i in range(30)], "dev": ["d0.jpg", "d1.jpg"], "test": ["e0.jpg", "e1.jpg"]}
    for part, images in parts.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text("\n".join(images) + "\n")
    lines = [
        f"{image}#{k}\tA dog {('runs', 'sits')[k]} here ."
        for images in parts.values()
        for image in images
        for k in (0, 1)
    ]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")


def _pairs(folder: Path, source_language: str, target_language: str) -> None:
    folder.mkdir()
    for part, count in (("train", 40), ("dev", 4), ("test", 4)):
        rows = [("MORGEN REGEN NORD", "morgen regnet es im norden"), ("HEUTE SONNE", "heute scheint die sonne")] * count
        (folder / f"{part}.{source_language}").write_text("".join(f"{source}\n" for source, _ in rows))
        (folder / f"{part}.{target_language}").write_text("".join(f"{target}\n" for _, target in rows))


def people_in_names() -> None:
    class_folders("DIR", ("left", "right"))


def videos() -> None:
    class_folders("DATA", ("left", "right"))
    film(Path("VIDEO.mp4"), 2, 5)
    Path("VIDEO.mp4").rename("VIDEO")


def feature_bundle() -> None:
    """A classifier of a random small network's features, in the place of a published one's."""
    _call("features DATA --backbone resnet18 --weights random:1 --size 32 --every 5 --engine torch --out SMALLER")
    changed = (
        "training.epochs=2",
        "model.hidden=6",
        "features.backbone=resnet18",
        "features.every=5",
        "features.stage=null",
    )
    _call(" ".join(["train SMALLER --recipe iqbal/gru --out RUN", *sets(changed)]))


def _call(command: str) -> None:
    start = [sys.executable, "-c", "from gesta.cli import main; main()"]
    done = subprocess.run([*start, *command.split()], capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)


def served(words: Sequence[str]) -> None:
    """Starts a server, waits until its page is there, and stops it as Ctrl-C does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-c", "from gesta.cli import main; main()", *words, "--no-open", "--port", str(port)]
    with subprocess.Popen(start, stderr=subprocess.PIPE, text=True) as server:
        until, page = time.monotonic() + 120, ""
        while not page and server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                page = answer.read().decode()
            time.sleep(0.2)
        server.send_signal(signal.SIGINT)
        told = server.communicate()[1]
    assert "<title>" in page and server.returncode in (0, 130), (server.returncode, told)


def clip_bundle() -> None:
    _train("DATA", "BUNDLE_RUN", PIXELS)
    shutil.copytree("BUNDLE_RUN/bundle", "BUNDLE")


def nothing() -> None:
    """The page's own commands make what it needs."""
