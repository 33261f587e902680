"""A studio in which everything has happened already: real clips, invented jobs, models and results, for its pictures
and for tests of the views. Every invented answer is one of `gesta.web.messages` and `messages_work`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from web.people import WORDS, doing
from web.studio_help import TOKEN, part

from gesta.web import messages as m
from gesta.web import messages_work as w
from gesta.web.app import create
from gesta.web.folder import Folder
from gesta.web.guard import Door
from gesta.web.messages import NONE
from gesta.web.models import PACKAGED, _packaged
from gesta.web.studio import Studio

LABELS = [*WORDS, NONE]
LACKS = "trackers: contains no pose_landmark_full.tflite. Get the networks of the trackers once: gesta fetch trackers."
ANNA, BEN, CARLA = "anna", "ben", "carla"


def fill(studio: Studio, people: tuple[str, ...] = (ANNA, BEN, CARLA), clips: int = 2) -> None:
    """Clips of generated people, as if recorded in the browser."""
    for label in LABELS:
        if label != NONE:
            studio.labels.put(label.replace(" ", "-"), label)
        for number, person in enumerate(people):
            for take in range(clips):
                frames = list(doing(label, number, take))
                record(studio, label, person, frames if label != NONE else frames * 8)
    last = list(doing("wave", 1, 0))
    record(studio, "wave", BEN, last[: len(last) // 2])
    record(studio, "salute", CARLA, [frame // 6 for frame in doing("salute", 2, 3)])
    record(studio, "wave", CARLA, list(doing("wave", 2, 3))[::2], fps=10)


def record(studio: Studio, label: str, person: str, frames: list[Any], fps: int = 20) -> None:
    height, width = frames[0].shape[:2]
    body = m.TakeBody(label=label, subject=person, width=width, height=height)
    take = studio.takes.open(body, label).take
    jpegs = [bytes(cv2.imencode(".jpg", frame[..., ::-1])[1]) for frame in frames]
    timed = [(round(1e6 * (1 + place / fps)), jpeg) for place, jpeg in enumerate(jpegs)]
    parts = [timed[at : at + 60] for at in range(0, len(timed), 60)]
    for number, piece in enumerate(parts):
        studio.takes.put(take, number, part(piece))
    studio.takes.finish(take, m.FinishBody(parts=len(parts)))


def model(studio: Studio) -> w.Model:
    chosen = w.Thresholds(on=0.6, off=0.4, least_s=0.3)
    name = studio.folder.root.name
    files = [
        w.File(to="bundle", name=f"{name}_bundle.zip", bytes=900_000, there=True),
        w.File(
            to="onnx",
            name=f"{name}_onnx.zip",
            bytes=1_400_000,
            there=True,
            note="same label as here for 62 of 62 clips",
        ),
        w.File(to="web", name=f"{name}_web.zip", bytes=13_000_000, note="takes 20 s"),
        w.File(to="clips", name=f"{name}_clips.zip", bytes=41_000_000, there=True),
    ]
    lines = {
        "gestures": "wave, salute, open arms, nothing",
        "learned from": "42 clips of 2 people; the epoch was chosen on another person",
        "accuracy": "90 %, 80 to 95 %; each person held out once",
        "false alarms": "0.4 a minute",
        "input": "color camera, 20 frames/s",
        "made with": "gesta, recipe live",
    }
    return w.Model(
        id="m1",
        made=time.time(),
        labels=LABELS,
        clips=42,
        trained_on=[ANNA, BEN],
        chose_epoch=[CARLA],
        sentence="Trained on anna and ben; its epoch was chosen on clips of carla. Try it with someone new as well.",
        seconds=160,
        decoder=w.Decoder(**chosen.model_dump(), chosen=chosen, on_what="clips of carla"),
        measured=True,
        files=files,
        card=[w.CardLine(name=one, value=value) for one, value in lines.items()],
        command=f"gesta live {name}/.studio/runs/2026-11-27_1406/bundle",
    )


def packaged() -> list[w.Model]:
    """The models that come with gesta, of a computer without the trackers' networks."""
    models = [_packaged(name) for name in PACKAGED]
    return [one.model_copy(update={"lacks": LACKS if one.joints else ""}) for one in models]


def training() -> w.Job:
    epochs = list(range(1, 24))
    val = [min(19, 7 + round(1.1 * e) - (e % 5 == 2)) / 20 for e in epochs]
    curves = w.Curves(
        epochs=epochs,
        train=[min(42, 15 + round(1.7 * e) - (e % 4 == 1)) / 42 for e in epochs],
        val=val,
        held_out=[CARLA],
        train_n=42,
        val_n=20,
        best_epoch=epochs[val.index(max(val))],
    )
    reasons = {
        "20 frames/s, clips of 2.0 s": "The median of the training clips.",
        "Channels gray and its change": "There is no depth, so the temporal difference stands in.",
        "Random mirror of half the clips": "No label names a side.",
        "40 epochs, batch 8": "For 42 training clips.",
        "carla held out": "To choose the epoch. Afterwards each person is held out once, for the accuracy.",
    }
    notes = [w.Note(title=title, reason=reason) for title, reason in reasons.items()]
    numbers: dict[str, Any] = {"done": 23, "of": 40, "unit": "epoch", "left_s": 80.0, "seconds": 92.0}
    return w.Job(id="j1", kind="train", state="running", made=time.time(), curves=curves, notes=notes, **numbers)


def results(clip: str) -> w.Results:
    confusion = [[16, 2, 0, 0], [2, 12, 0, 1], [0, 0, 15, 0], [1, 0, 0, 13]]
    gestures = [
        w.GestureResult(label="salute", n=15, right=12, called=14, taken_for=[("wave", 2), (NONE, 1)]),
        w.GestureResult(label="wave", n=18, right=16, called=19, taken_for=[("salute", 2)]),
        w.GestureResult(label=NONE, n=14, right=13, called=14, taken_for=[("wave", 1)]),
        w.GestureResult(label="open arms", n=15, right=15, called=15),
    ]
    people = [w.PersonResult(name=n, right=r, n=of) for n, r, of in ((CARLA, 16, 20), (ANNA, 20, 21), (BEN, 20, 21))]
    alarms = w.Alarms(count=1, seconds=140, per_minute=0.43, found=44, of=48, delay_p50_s=0.09, delay_p95_s=0.12)
    spread = "Three people say little about a fourth. carla came out at 80 %, anna and ben at 95 %."
    return w.Results(
        state="measured",
        right=56,
        n=62,
        accuracy=56 / 62,
        interval=(0.8, 0.95),
        interval_how="Wilson",
        people=people,
        gestures=gestures,
        labels=LABELS,
        confusion=confusion,
        mistake=w.Mistake(clip=clip, label="salute", called="wave", confidence=0.94, person=CARLA),
        alarms=alarms,
        sentences=[spread],
    )


class Staged:
    """The studio's application with the invented answers before it; `jobs` and `models` may be changed."""

    def __init__(self, studio: Studio, door: Door) -> None:
        self.studio, self.inner = studio, create(studio, door)
        self.jobs: list[w.Job] = []
        self.models: list[w.Model] = packaged()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        answers: dict[str, Callable[[], m.Message]] = {
            "/api/state": self._state,
            "/api/models/m1/results": lambda: results(self._clip()),
        }
        if scope["type"] == "http" and scope["method"] == "GET" and path in answers:
            await _answer(answers[path], send)
        elif scope["type"] == "websocket" and path.endswith("/live"):
            await _live(receive, send)
        else:
            await self.inner(scope, receive, send)

    def _state(self) -> w.State:
        return self.studio.state().model_copy(
            update={
                "jobs": self.jobs,
                "models": self.models,
                "abilities": m.Abilities(train=True, onnx=True, web=True),
            }
        )

    def _clip(self) -> str:
        return next(one.id for one in self.studio.clips.all() if one.label == "salute")


async def _answer(make: Callable[[], m.Message], send: Any) -> None:
    body = make().model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Any, send: Any) -> None:
    """Answers every frame: somebody waves every four seconds."""
    await receive()
    await send({"type": "websocket.accept"})
    fired = -1
    while (message := await receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        if not data:
            continue
        seq, captured_s = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:12], "little") / 1e6
        phase, number = captured_s % 4, int(captured_s // 4)
        label = WORDS_IN_TURN[number % len(WORDS_IN_TURN)]
        share = 0.93 if 1 < phase < 2 else 0.02
        probabilities = dict.fromkeys(LABELS, 0.01) | {label: share, NONE: 0.97 - share}
        events = []
        if phase > 2.1 and number != fired:
            fired = number
            times = {"start_s": captured_s - 1.1, "end_s": captured_s - 0.1, "decided_s": captured_s - 0.01}
            events = [w.LiveEvent(label=label, confidence=0.93, **times)]
        answer = w.Answer(seq=seq, probabilities=probabilities, events=events, server_ms=8.0, cores=0.4)
        await send({"type": "websocket.send", "text": answer.model_dump_json()})


WORDS_IN_TURN = ["wave", "salute", "wave", "open arms"]


@contextmanager
def staged(root: Path, port: int) -> Iterator[tuple[Staged, str]]:
    """(the application, the address with the token) of a served studio in this folder."""
    from web.browser import serving

    studio = Studio(Folder(root, m.Limits(free_bytes=0)).open())
    app = Staged(studio, Door(TOKEN, (f"127.0.0.1:{port}",)))
    with serving(app, port):
        yield app, f"http://127.0.0.1:{port}/#token={TOKEN}"
