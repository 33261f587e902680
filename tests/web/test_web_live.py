"""The sockets: what has changed, and a model that follows a camera; what is refused there."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect
from web.studio_help import TOKEN, Page, jpeg, opened, wave

from gesta.live import tracked
from gesta.trackers import BLAZEPOSE_JOINTS, Landmarks, Person
from gesta.web.live import Waiting, read_shot
from gesta.web.messages import Limits
from gesta.web.refuse import Refuse

HELLO = {"token": TOKEN, "subject": "anna"}


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with opened(tmp_path, idle_s=2.0) as found:
        yield found


def shot(seq: int, time_s: float, place: float = 0.5) -> bytes:
    return struct.pack("<IQ", seq, round(time_s * 1e6)) + jpeg(place)


def code_of(socket: Any) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        while True:
            socket.receive_json()
    return int(closed.value.code)


def test_pages_hear_of_each_other(page: Page) -> None:
    with page.socket("/api/ws/state") as socket:
        socket.send_json(HELLO)
        assert socket.receive_json()["type"] == "hello"
        page.label("wave")
        assert socket.receive_json() | {"revision": 0} == {"type": "label", "id": "wave", "revision": 0}
        (clip,) = page.record("wave")
        heard = socket.receive_json()
        assert (heard["type"], heard["id"]) == ("clip", clip["id"])


@pytest.mark.parametrize("hello", ['{"token": "wrong"}', "{}", "[]", "no json", '{"token": 1}'])
@pytest.mark.parametrize("place", ["state", "live"])
def test_a_socket_without_the_token(page: Page, place: str, hello: str) -> None:
    with page.socket(f"/api/ws/{place}") as socket:
        socket.send_text(hello)
        assert code_of(socket) == 4401


def test_the_packaged_model_answers_every_frame(page: Page) -> None:
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        answers = []
        for seq in range(40):
            socket.send_bytes(shot(seq, 100 + seq / 20, 0.5 + 0.01 * seq))
            answers.append(socket.receive_json())
    assert [answer["seq"] for answer in answers] == list(range(40))
    labels = next(model["labels"] for model in page.ask("GET", "/state")["models"] if model["id"] == "demo")
    assert answers[0]["probabilities"] == {} and set(answers[-1]["probabilities"]) == set(labels)
    assert sum(answers[-1]["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert all(answer["server_ms"] > 0 for answer in answers)


class OneRaisedHand:
    """A stand-in for the tracker: six points of the arms, the left wrist hidden."""

    def __init__(self, what: str) -> None:
        assert what == "pose"

    def step(self, image: Any, time_s: float) -> Landmarks:
        points = np.zeros((33, 3), np.float32)
        for name, place in ARMS.items():
            points[BLAZEPOSE_JOINTS.index(name)] = (*place, 0)
        visibility = np.full(33, 0.9, np.float32)
        visibility[BLAZEPOSE_JOINTS.index("left_wrist")] = 0.0
        return Landmarks(time_s, image.shape[:2], person=Person(points, visibility, 0.9))


ARMS = {"left_shoulder": (40, 20), "right_shoulder": (24, 20), "left_elbow": (42, 30), "right_elbow": (20, 28),
        "left_wrist": (44, 40), "right_wrist": (16, 12)}  # fmt: skip


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked, "Tracker", OneRaisedHand)
    monkeypatch.setattr(tracked, "located", lambda _names, _folder: {})


@pytest.mark.usefixtures("tracker")
def test_the_everyday_gestures_are_tried_behind_a_tracker(page: Page) -> None:
    model = page.ask("GET", "/state")["models"][0]
    assert (model["id"], model["demo"], model["lacks"], len(model["joints"])) == ("everyday", True, "", 5)
    with page.socket("/api/ws/live?model=everyday") as socket:
        socket.send_json(HELLO)
        socket.send_json({"on": 0.9, "off": 0.2, "least_s": 0.1})
        for seq in range(3):
            socket.send_bytes(shot(seq, 100 + seq / 20))
            answer = socket.receive_json()
    assert set(answer["probabilities"]) == set(model["labels"])
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert answer["joints"][0] == pytest.approx([40 / 64, 20 / 48, 0.9], abs=1e-3)
    assert answer["joints"][4] == [0, 0, 0]


def test_without_the_trackers_the_page_says_what_to_do(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTA_DATA", str(tmp_path / "empty"))
    everyday, demo = page.ask("GET", "/state")["models"]
    assert "gesta fetch trackers" in everyday["lacks"] and demo["lacks"] == ""
    with page.socket("/api/ws/live?model=everyday") as socket:
        socket.send_json(HELLO)
        assert code_of(socket) == 4424


def test_that_was_wrong_keeps_the_last_seconds_to_be_labeled(page: Page) -> None:
    page.label("wave")
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        for seq in range(24):
            socket.send_bytes(shot(seq, seq / 4))
            socket.receive_json()
        socket.send_json({"wrong": True})
        clip_id = socket.receive_json()["kept"]
    clip = page.ask("GET", f"/clips/{clip_id}")
    assert (clip["state"], clip["label"], clip["subject"]) == ("unlabeled", "", "anna")
    assert clip["file_s"] == pytest.approx(5.25) and "no-label" in clip["findings"]
    assert "anna" not in (page.studio.folder.root / "index.csv").read_text()
    clip = page.ask("PATCH", f"/clips/{clip_id}", json={"revision": clip["revision"], "label": "wave"})
    assert (clip["state"], clip["path"]) == ("used", "wave/anna_001.mkv")
    assert "wave/anna_001.mkv,wave,anna" in (page.studio.folder.root / "index.csv").read_text()


def test_nothing_else_is_stored(page: Page) -> None:
    before = sorted(page.studio.folder.root.rglob("*"))
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        socket.send_bytes(shot(1, 1.0))
        socket.receive_json()
        socket.send_json({"wrong": True})
        assert socket.receive_json() == {"kept": ""}
    assert sorted(page.studio.folder.root.rglob("*")) == before


def test_other_thresholds_for_this_page(page: Page) -> None:
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        socket.send_json({"on": 0.9, "off": 0.2, "least_s": 0.1})
        socket.send_bytes(shot(1, 1.0))
        assert socket.receive_json()["seq"] == 1
        socket.send_json({"on": 0.2, "off": 0.9, "least_s": 0.1})
        assert code_of(socket) == 4422


WRONG = {
    "large": (struct.pack("<IQ", 1, 1) + bytes(300_000), 4413),
    "wide": (struct.pack("<IQ", 1, 1) + jpeg(size=(1300, 48)), 4413),
    "short": (b"abc", 4422),
    "no jpeg": (struct.pack("<IQ", 1, 1) + bytes(100), 4422),
    "text": ("what?", 4422),
}


@pytest.mark.parametrize("name", WRONG)
def test_messages_that_close_the_socket(page: Page, name: str) -> None:
    data, code = WRONG[name]
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        socket.send({"type": "websocket.receive"} | ({"text": data} if isinstance(data, str) else {"bytes": data}))
        assert code_of(socket) == code


def test_idle_sockets_and_unknown_models(page: Page) -> None:
    with page.socket("/api/ws/live?model=demo") as socket:
        socket.send_json(HELLO)
        assert code_of(socket) == 4408
    with page.socket("/api/ws/live?model=../../x") as socket:
        socket.send_json(HELLO)
        assert code_of(socket) == 4404


def test_too_many_sockets(tmp_path: Path) -> None:
    with opened(tmp_path, sockets=3, live_sockets=1) as page, page.socket("/api/ws/live?model=demo") as first:
        first.send_json(HELLO)
        with page.socket("/api/ws/live?model=demo") as second:
            assert code_of(second) == 4429
        with page.socket("/api/ws/state") as third:
            third.send_json(HELLO)
            assert third.receive_json()["type"] == "hello"
            with page.socket("/api/ws/state") as fourth:
                fourth.send_json(HELLO)
                assert fourth.receive_json()["type"] == "hello"
                with page.socket("/api/ws/state") as fifth:
                    assert code_of(fifth) == 4429


def test_two_unanswered_frames_at_most_the_newest_win() -> None:
    waiting = Waiting()
    for seq in range(5):
        waiting.put(read_shot(shot(seq, seq), Limits()))
    assert [found.seq for _ in range(2) if (found := waiting.take())] == [3, 4]
    assert (waiting.take(), waiting.dropped) == (None, 3)
    with pytest.raises(Refuse, match="time is not valid"):
        read_shot(struct.pack("<IQ", 1, 2**63) + jpeg(), Limits())
    assert json.dumps(HELLO) and wave()
