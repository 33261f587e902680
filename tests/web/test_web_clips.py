"""Clips: trimmed, relabeled, left out, deleted and restored; by two pages at once; with their pictures."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from web.studio_help import Page, opened, wave

from gesta.sources import catalog


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with opened(tmp_path) as found:
        found.label("wave")
        found.label("salute")
        yield found


def looked(page: Page) -> None:
    """Waits until every clip has been looked at."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = page.ask("GET", "/findings")
        if found["looked"] == found["of"] and not page.studio.looker.pending:
            return
        time.sleep(0.02)
    raise AssertionError("the clips were not looked at")


def index(page: Page) -> str:
    return (page.studio.folder.root / "index.csv").read_text()


def test_a_trimmed_and_relabeled_clip_keeps_its_file(page: Page) -> None:
    (clip,) = page.record("wave")
    before = (page.studio.folder.root / clip["path"]).read_bytes()
    body = {"revision": clip["revision"], "start_s": 0.25, "end_s": 1.5, "label": "salute", "subject": "ben, jr"}
    changed = page.ask("PATCH", f"/clips/{clip['id']}", json=body)
    assert (changed["start_s"], changed["end_s"], changed["path"]) == (0.25, 1.5, clip["path"])
    assert index(page).splitlines()[1] == 'wave/anna_001.mkv,salute,"ben, jr",0.25,1.5'
    assert (page.studio.folder.root / clip["path"]).read_bytes() == before
    (sample,) = catalog.read(page.studio.folder.root).samples
    assert (sample.label, sample.subject, sample.start_s, sample.end_s) == ("salute", "ben, jr", 0.25, 1.5)


def test_two_pages_at_once(page: Page) -> None:
    (clip,) = page.record("wave")
    page.ask("PATCH", f"/clips/{clip['id']}", json={"revision": clip["revision"], "label": "salute"})
    answer = page.ask("PATCH", f"/clips/{clip['id']}", 409, json={"revision": clip["revision"], "label": "wave"})
    assert answer["field"] == "revision" and "another window" in answer["error"]
    assert page.ask("GET", f"/clips/{clip['id']}")["label"] == "salute"


@pytest.mark.parametrize("body", [{"start_s": 1.9, "end_s": 2.0}, {"end_s": 9.0}, {"start_s": 1.0, "end_s": 0.5}])
def test_spans_that_cannot_be(page: Page, body: dict[str, float]) -> None:
    (clip,) = page.record("wave")
    page.ask("PATCH", f"/clips/{clip['id']}", 422, json={"revision": clip["revision"], **body})


def test_a_clip_left_out_is_in_the_folder_and_not_in_the_table(page: Page) -> None:
    first, second = page.record("wave") + page.record("wave")
    page.ask("PATCH", f"/clips/{first['id']}", json={"revision": first["revision"], "left_out": True})
    assert "anna_001" not in index(page) and "anna_002" in index(page)
    assert (page.studio.folder.root / first["path"]).is_file()
    revision = page.ask("GET", f"/clips/{first['id']}")["revision"]
    page.ask("PATCH", f"/clips/{first['id']}", json={"revision": revision, "left_out": False})
    assert "anna_001" in index(page)
    assert second["id"] != first["id"]


def test_a_deleted_clip_comes_back_and_its_number_is_not_given_again(page: Page) -> None:
    (clip,) = page.record("wave")
    file = page.studio.folder.root / clip["path"]
    content = file.read_bytes()
    assert page.ask("DELETE", f"/clips/{clip['id']}")["state"] == "deleted"
    assert not file.exists() and "anna" not in index(page)
    assert page.record("wave")[0]["path"] == "wave/anna_002.mkv"
    assert page.ask("GET", f"/clips/{clip['id']}/strip?n=1").startswith(b"\xff\xd8")
    page.ask("POST", f"/clips/{clip['id']}/restore")
    assert file.read_bytes() == content and "anna_001" in index(page)


def test_a_span_of_nothing_is_deleted_without_the_others(page: Page) -> None:
    clips = page.record("none", frames=wave(6.0, 10.0))
    page.ask("DELETE", f"/clips/{clips[1]['id']}")
    assert (page.studio.folder.root / clips[0]["path"]).is_file()
    assert [line.split(",")[3:] for line in index(page).splitlines()[1:]] == [["0.0", "2.0"], ["4.0", "6.0"]]
    for clip in (clips[0], clips[2]):
        page.ask("DELETE", f"/clips/{clip['id']}")
    assert not (page.studio.folder.root / clips[0]["path"]).exists()
    page.ask("POST", f"/clips/{clips[2]['id']}/restore")
    assert (page.studio.folder.root / clips[0]["path"]).is_file()


def test_ids_survive_the_server_and_edits_of_the_table(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        first, second = page.record("wave") + page.record("wave")
    table = tmp_path / "index.csv"
    lines = table.read_text().splitlines()
    lines = [lines[0] + ",split", lines[1].replace(",wave,", ",bye,") + ",test"]  # edited, and the second row removed
    table.write_text("\n".join(lines) + "\n")
    with opened(tmp_path) as page:
        (clip,) = page.ask("GET", "/clips")["clips"]
        assert (clip["id"], clip["label"]) == (first["id"], "bye")
        assert {label["name"] for label in page.ask("GET", "/state")["labels"]} == {"wave", "bye", "none"}
        page.ask("PATCH", f"/clips/{clip['id']}", json={"revision": clip["revision"], "label": "wave"})
        assert table.read_text().splitlines()[1] == "wave/anna_001.mkv,wave,anna,,,test"
        page.ask("GET", f"/clips/{second['id']}", 404)


def test_class_folders_become_a_table(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        page.record("wave")
    for name in ("index.csv", ".studio"):
        path = tmp_path / name
        path.rename(tmp_path.parent / f"gone-{tmp_path.name}-{path.name.strip('.')}")
    with opened(tmp_path) as page:
        looked(page)
        (clip,) = page.ask("GET", "/clips")["clips"]
        assert (clip["label"], clip["file_s"], clip["frames"]) == ("wave", pytest.approx(2.0, abs=0.02), 40)


def test_labels_are_made_renamed_and_removed(page: Page) -> None:
    page.record("wave")
    page.ask("PUT", "/labels/wave", json={"name": "wave hello"})
    assert ",wave hello,anna," in index(page)
    page.ask("PUT", "/labels/salute", 409, json={"name": "wave hello"})
    page.ask("PUT", "/labels/other", 409, json={"name": "Nothing"})
    page.ask("PUT", "/labels/other", 422, json={"name": "a\x00b"})
    page.ask("PUT", "/labels/other", 422, json={"name": "x" * 41})
    page.ask("DELETE", "/labels/wave", 409)
    page.ask("DELETE", "/labels/salute", 204)
    assert [label["id"] for label in page.ask("GET", "/state")["labels"]] == ["wave", "none"]


def test_sixty_labels(page: Page) -> None:
    for number in range(58):
        page.ask("PUT", f"/labels/n{number}", json={"name": f"n{number}"})
    page.ask("PUT", "/labels/more", 422, json={"name": "more"})


def test_pictures_of_a_clip(page: Page) -> None:
    (clip,) = page.record("wave")
    place = f"/clips/{clip['id']}"
    strip = cv2.imdecode(np.frombuffer(page.ask("GET", f"{place}/strip?n=4&height=48"), np.uint8), 1)
    assert strip.shape == (48, 4 * 64 + 3 * 2, 3)
    seen = page.ask("GET", f"{place}/seen")
    assert [channel["name"] for channel in seen["channels"]] == ["gray", "gray difference"]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(seen["channels"][0]["jpeg"]), np.uint8), 0)
    assert picture.shape == (64, 8 * 64 + 7) and len(seen["times_s"]) == 8
    motion = page.ask("GET", f"{place}/motion")
    assert max(motion["motion"]) == 1 and 0.2 < motion["start_s"] < 0.6 < 1.4 < motion["end_s"] < 2
    page.ask("PATCH", place, json={"revision": clip["revision"], "start_s": 0.5, "end_s": 1.5})
    with av.open(io.BytesIO(page.ask("GET", f"{place}/video"))) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
    assert len(times) == 21 and times[-1] == pytest.approx(1.0, abs=0.01)


def test_lists_come_in_pages(page: Page) -> None:
    clips = [page.record("wave")[0]["id"] for _ in range(3)]
    first = page.ask("GET", "/clips?limit=2")
    rest = page.ask("GET", f"/clips?limit=2&after={first['next']}")
    assert [one["id"] for one in first["clips"] + rest["clips"]] == clips[::-1]
    assert (first["total"], rest["next"]) == (3, "")


def test_findings_of_clips(page: Page) -> None:
    frames = wave()
    ids = {
        "nothing moves": page.record("wave", frames=[(t, frames[0][1]) for t, _ in frames]),
        "cut off": page.record("wave", frames=frames[:24]),
        "dark": page.record("wave", frames=wave(level=20)),
        "slow camera": page.record("wave", frames=wave(fps=8.0)),
        "longer than the rest": page.record("wave", frames=wave(4.5)),
    }
    (fine,) = page.record("wave")
    looked(page)
    found = page.ask("GET", "/findings")["findings"]
    kinds = {(one["clip"], one["kind"]) for one in found if one["clip"]}
    assert {(clips[0]["id"], kind) for kind, clips in ids.items()} <= kinds
    assert not [kind for clip, kind in kinds if clip == fine["id"]]
    (cut,) = [one for one in found if one["kind"] == "cut off"]
    assert "the last frame" in cut["sentence"] and cut["fixes"] == ["record", "trim", "leave_out", "keep"]
    before = page.ask("GET", "/state")["counts"]["findings"]
    assert page.ask("PUT", f"/findings/{cut['id']}", json={"kept": True})["kept"]
    assert page.ask("GET", "/state")["counts"]["findings"] == before - 1
    assert page.ask("GET", f"/clips/{cut['clip']}")["findings"] == []


def test_findings_of_the_folder_and_when_training_can_begin(page: Page) -> None:
    assert page.ask("GET", "/state")["ready"]["button"] == "Record a gesture first"
    page.record("wave")
    found = page.ask("GET", "/findings")
    assert found["ready"]["button"] == "Record a second gesture, or nothing, first"
    kinds = {one["kind"]: one for one in found["findings"]}
    assert kinds["one-class"]["stops"] and "few-clips" in kinds
    page.ask("PUT", f"/findings/{kinds['few-clips']['id']}", json={"kept": True})
    assert [one["kept"] for one in page.ask("GET", "/findings")["findings"] if one["kind"] == "few-clips"] == [True]
    page.record("wave")
    page.record("none")
    assert page.ask("GET", "/findings")["ready"]["ok"]


def test_the_folder_is_inspected_as_any_other(page: Page) -> None:
    from gesta.audit.inspection import inspect

    page.record("wave")
    page.record("none", frames=wave(4.0))
    report = inspect(catalog.read(page.studio.folder.root))
    assert (report.usable, dict(report.people)) == (3, {"anna": 3})
    assert {problem.kind for problem in report.problems} == {"few-clips"}
