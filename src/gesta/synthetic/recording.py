"""One recording: simulates a person in a room before a sensor, and writes it in the ChaLearn 2014 layout."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.body import Stand, capsules, pose_body
from gesta.synthetic.hand import unit
from gesta.synthetic.motion import Span, play
from gesta.synthetic.person import PRESETS, Difficulty, Person, make_person
from gesta.synthetic.render import Renderer
from gesta.synthetic.scene import Room, make_room
from gesta.synthetic.sensor import Reading, Sensor, track_skeleton
from gesta.synthetic.video import VideoWriter

Array = NDArray[np.float64]
Play = Callable[[Person, list[int], Difficulty, np.random.Generator], tuple[Array, list[Span]]]

FPS = 20
FOCAL = 0.895  # of the image width: the first Kinect's depth camera
_PARENT = (0, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18)


@dataclass(frozen=True)
class Plan:
    """Parameters that fully determine a recording. `place`: recordings with the same one share a room.

    `fps`: frame rate of the recording, a divisor of FPS, at which the movement is simulated.
    """

    seed: int
    person: int
    take: int
    gestures: tuple[int, ...]
    size: tuple[int, int]
    preset: str
    place: int | None = None
    fps: int = FPS


@dataclass
class Recording:
    """A recording without its images, which `frames` renders."""

    plan: Plan
    person: Person
    room: Room
    max_depth_mm: int
    spans: list[Span]
    joints: Array  # (T, 20, 3) meters, true
    tracked: Array  # (T, 20, 3) meters, as the tracker says, zero where lost
    renderer: Renderer
    sensor: Sensor

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def kept(self) -> slice:
        """Returns which time steps, simulated at FPS, become frames."""
        return slice(None, None, FPS // self.plan.fps)

    def label_rows(self) -> list[tuple[int, int, int]]:
        """Returns (gesture, first, last) of each span, in 1-based frames."""
        every = FPS // self.plan.fps
        return [(s.gesture, -(-s.first // every) + 1, s.last // every + 1) for s in self.spans]

    def frames(self) -> Iterator[Reading]:
        """Yields the frames in order; can be iterated only once."""
        for t in range(len(self))[self.kept]:
            color, depth = self.renderer.draw(t, self.room.color)
            yield self.sensor.read(color, depth)


def _stand(person: Person, rng: np.random.Generator, size: tuple[int, int]) -> Stand:
    """Returns a position where HipCenter to Head spans about 90 of 320 pixels, the hip at two thirds of the height."""
    width, height = size
    focal = FOCAL * width
    distance = focal * person.torso / (0.28 * width * float(rng.uniform(0.93, 1.05)))
    u = float(rng.uniform(-0.05, 0.05)) * width
    v = float(rng.uniform(0.145, 0.185)) * height
    hip = np.array([u / focal * distance, -v / focal * distance, distance])
    return Stand(hip, yaw=float(rng.normal(0, 0.10)), pitch=float(rng.uniform(-0.08, 0.16)))


def prepare(plan: Plan, play: Play = play, dressed: Callable[[Person], Person] = lambda person: person) -> Recording:
    """Returns a recording without its images. `play` generates the movement; `dressed` modifies the person."""
    difficulty = PRESETS[plan.preset]
    person = dressed(make_person(plan.seed, plan.person, difficulty))
    rng = np.random.default_rng([plan.seed, 202, plan.person, plan.take])
    path, spans = play(person, list(plan.gestures), difficulty, rng)
    stand = _stand(person, rng, plan.size)
    body = pose_body(person, path, stand, rng)
    room_rng = rng if plan.place is None else np.random.default_rng([plan.seed, 303, plan.place])
    room = make_room(room_rng, plan.size, float(stand.hip[2]))
    parts = capsules(person, body)
    parts = type(parts)(**{**vars(parts), "color": parts.color * room.tint})
    light = unit(room.light)
    renderer = Renderer(parts, person.clothes, plan.size, FOCAL * plan.size[0], light, room.ambient)
    max_depth_mm = int(np.ceil(room.depth.max() * 1000 / 100 + rng.integers(1, 6)) * 100)
    lost = int(rng.integers(2, 10)) if rng.random() < 0.2 else 0
    tracked = track_skeleton(body.joints, rng, difficulty.sensor, lost)
    sensor = Sensor(rng, room, max_depth_mm, difficulty.sensor)
    return Recording(plan, person, room, max_depth_mm, spans, body.joints, tracked, renderer, sensor)


def _orientation(joints: Array) -> Array:
    """Returns quaternions x, y, z, w (T, 20, 4) that rotate the vertical to the bone from the parent joint."""
    bone = unit(joints - joints[:, _PARENT])
    bone[:, 0] = [0, 1, 0]
    x, y, z = bone[..., 0], bone[..., 1], bone[..., 2]
    return unit(np.stack([z, np.zeros_like(x), -x, 1 + y + 1e-6], -1))


def skeleton_rows(tracked: Array, size: tuple[int, int]) -> Array:
    """Returns (T, 180): 20 joints x (world x y z in meters, quaternion x y z w, pixel u v); all zero where lost."""
    width, height = size
    seen = tracked[..., 2:3] > 0
    depth = np.where(seen, tracked[..., 2:3], 1.0)
    pixel = tracked[..., :2] * [1, -1] * (FOCAL * width) / depth + [(width - 1) / 2, (height - 1) / 2]
    rows = np.concatenate([tracked, _orientation(tracked), np.round(pixel)], axis=-1)
    return np.asarray(np.where(seen.any(axis=1, keepdims=True), rows, 0.0).reshape(len(tracked), -1))


def write(plan: Plan, folder: Path, name: str) -> None:
    """Writes the six files of recording `name` into `folder`, which must exist."""
    recording = prepare(plan)
    coding = {"color": (22, "ultrafast"), "depth": (17, "ultrafast"), "user": (20, "ultrafast")}
    with ExitStack() as stack:
        videos = {
            kind: stack.enter_context(VideoWriter(folder / f"{name}_{kind}.mp4", plan.size, plan.fps, *how))
            for kind, how in coding.items()
        }
        for reading in recording.frames():
            videos["color"].write(reading.color)
            videos["depth"].write(reading.depth)
            videos["user"].write(reading.user)
    rows = skeleton_rows(recording.tracked[recording.kept], plan.size)
    np.savetxt(folder / f"{name}_skeleton.csv", rows, fmt="%.6g", delimiter=",")
    with (folder / f"{name}_labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(recording.label_rows())
    with (folder / f"{name}_data.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerow((len(rows), plan.fps, recording.max_depth_mm))
