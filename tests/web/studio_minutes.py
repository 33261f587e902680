"""Minutes from recorded clips to a live result, through the studio's calls as its page makes them:

    PYTHONPATH=src:tests python -m web.studio_minutes [--gestures 4 8] [--recipe live]

Two generated people, five clips of 2.5 s of each gesture, half a minute of nothing from each; 640 x 480 at 20 frames/s.
Then a new clip of every gesture by each of them: in how many the first event is the right one.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
from web.people import FPS, doing
from web.served import served, until
from web.studio_help import part
from websockets.sync.client import connect

from gesta.schema import CHALEARN_GESTURES

PEOPLE, CLIPS, CLIP_S, NOTHING_S, SIZE = ("anna", "ben"), 5, 2.5, 30.0, (640, 480)
TRAINED_S = 3600.0
Timed = list[tuple[int, bytes]]


def jpegs(label: str, person: int, take: int, seconds: float) -> Timed:
    """Frames as the page sends them: what is done and then rest, so long."""
    drawn = [cv2.resize(frame, SIZE) for frame in doing(label, person, take)]
    coded = [bytes(cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]) for frame in drawn]
    count = round(seconds * FPS)
    frames = coded * (count // len(coded) + 1) if label == "none" else coded + [coded[-1]] * count
    return [(round(1e6 * (1 + place / FPS)), frame) for place, frame in enumerate(frames[:count])]


def recordings(gestures: list[str]) -> Iterator[tuple[str, str, Timed]]:
    for number, person in enumerate(PEOPLE):
        for label in gestures:
            for take in range(CLIPS):
                yield label, person, jpegs(label, number, take, CLIP_S)
        yield "none", person, jpegs("none", number, 0, NOTHING_S)


def upload(client: httpx.Client, label: str, person: str, frames: Timed) -> None:
    body = {"label": label, "subject": person, "width": SIZE[0], "height": SIZE[1]}
    take = client.post("/takes", json=body).raise_for_status().json()["take"]
    parts = [frames[at : at + 30] for at in range(0, len(frames), 30)]
    for number, one in enumerate(parts):
        client.put(f"/takes/{take}/parts/{number}", content=part(one)).raise_for_status()
    client.post(f"/takes/{take}/finish", json={"parts": len(parts)}).raise_for_status()


def train(client: httpx.Client, recipe: str) -> str:
    """The model that is made, once it can be tried."""
    job = client.post("/jobs", json={"kind": "train", "recipe": recipe}).raise_for_status().json()["id"]

    def ended() -> dict[str, str] | None:
        found: dict[str, str] = client.get(f"/jobs/{job}").json()
        return found if found["state"] not in ("running", "waiting") else None

    found = until(ended, "the training ends", TRAINED_S)
    assert found["state"] == "done", found
    return str(found["model"])


def tried(port: int, token: str, model: str, gesture: str, person: int = 0) -> list[str]:
    """Labels of the events of a new clip of a person, and a second of rest."""
    labels = []
    with connect(f"ws://127.0.0.1:{port}/api/ws/live?model={model}", origin=f"http://127.0.0.1:{port}") as socket:  # type: ignore[arg-type]
        socket.send(json.dumps({"token": token}))
        for seq, (time_us, frame) in enumerate(jpegs(gesture, person, CLIPS, CLIP_S + 1)):
            socket.send(struct.pack("<IQ", seq, time_us) + frame)
            labels += [event["label"] for event in json.loads(socket.recv())["events"]]
    return labels


def measure(count: int, recipe: str) -> None:
    gestures = list(CHALEARN_GESTURES[:count])
    drawn = list(recordings(gestures))
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch) / "data") as (client, _, port):
        begun = time.monotonic()
        for label in gestures:
            client.put(f"/labels/{label}", json={"name": label}).raise_for_status()
        for label, person, frames in drawn:
            upload(client, label, person, frames)
        uploaded = time.monotonic()
        model = train(client, recipe)
        trained = time.monotonic()
        token = client.headers["X-Gesta-Token"]
        seen = [(gestures[0], tried(port, token, model, gestures[0]))]
        live = time.monotonic()
        asked = [(g, p) for p in range(len(PEOPLE)) for g in gestures][1:]
        seen += [(gesture, tried(port, token, model, gesture, person)) for gesture, person in asked]
        for job in client.get("/state").json()["jobs"]:  # the measurement that follows by itself
            client.delete(f"/jobs/{job['id']}")
    steps = f"upload {uploaded - begun:.0f} s, training {trained - uploaded:.0f} s, trying {live - trained:.0f} s"
    right = sum(labels[:1] == [gesture] for gesture, labels in seen)
    print(
        f"{count} gestures: {(live - begun) / 60:.2f} min ({steps}); {right} of {len(seen)} new clips right", flush=True
    )
    print("; ".join(f"{gesture}: {', '.join(labels) or 'nothing'}" for gesture, labels in seen), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gestures", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--recipe", default="live")
    given = parser.parse_args()
    for wanted in given.gestures:
        measure(wanted, given.recipe)
