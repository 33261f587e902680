"""Recordings: parts, the video they become, what a crash or a closed page leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web.studio_help import Page, jpeg, jpegs_of, opened, part, wave

from gesta.schema import GestaError
from gesta.sources import catalog
from gesta.web.folder import Folder
from gesta.web.takes import cut


def test_a_recording_is_stored_as_it_came(tmp_path: Path) -> None:
    frames = wave()
    with opened(tmp_path / "data") as page:
        page.label("Swipe left!")
        (clip,) = page.record("Swipe left!", frames=frames)
        assert clip["path"] == "swipe-left/anna_001.mkv"
        assert clip["name"] == "anna 001" and clip["frames"] == len(frames)
    stored = list(jpegs_of(tmp_path / "data" / clip["path"]))
    assert [data for _, data in stored] == [data for _, data in frames]
    wanted = [(time_us - frames[0][0]) / 1e6 for time_us, _ in frames]
    assert [time_s for time_s, _ in stored] == pytest.approx(wanted, abs=0.001)
    index = (tmp_path / "data" / "index.csv").read_text()
    assert index == "path,label,subject,start_s,end_s\nswipe-left/anna_001.mkv,Swipe left!,anna,,\n"


def test_every_reader_sees_the_clips_and_nothing_of_the_studio(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        page.record("wave")
        clip = page.record("wave")[0]
        page.ask("DELETE", f"/clips/{clip['id']}")
        page.open("wave")
        listing = catalog.read(tmp_path)
    assert (listing.layout, [s.id for s in listing.samples]) == ("index_csv", ["wave/anna_001.mkv"])
    assert not listing.problems
    (tmp_path / "index.csv").unlink()
    listing = catalog.read(tmp_path)
    assert (listing.layout, [s.id for s in listing.samples]) == ("class_folders", ["wave/anna_001.mkv"])
    assert not listing.problems


def test_parts_may_come_twice_and_late(tmp_path: Path) -> None:
    frames = wave()
    with opened(tmp_path) as page:
        page.label("wave")
        take = page.open("wave")
        for number, piece in ((1, frames[20:]), (0, frames[:20]), (1, frames[20:])):
            answer = page.ask("PUT", f"/takes/{take}/parts/{number}", content=part(piece))
        assert (answer["parts"], answer["frames"]) == ([0, 1], len(frames))
        page.ask("PUT", f"/takes/{take}/parts/1", 409, content=part(frames[21:]))
        assert page.ask("POST", f"/takes/{take}/finish", 409, json={"parts": 3})["expected"] == "3 parts"
        assert page.ask("POST", f"/takes/{take}/finish", json={"parts": 2})["frames"] == len(frames)
        page.ask("POST", f"/takes/{take}/finish", 404, json={"parts": 2})


def test_a_part_is_on_the_disk_before_it_is_acknowledged_and_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    frames = wave()
    with opened(tmp_path) as page:
        page.label("wave")
        take = page.open("wave")
        page.ask("PUT", f"/takes/{take}/parts/0", content=part(frames[:20]))
    with opened(tmp_path) as page:  # nothing was closed in an orderly way for it
        assert page.ask("GET", f"/takes/{take}")["parts"] == [0]
        page.ask("PUT", f"/takes/{take}/parts/1", content=part(frames[20:]))
        assert page.ask("POST", f"/takes/{take}/finish", json={"parts": 2})["frames"] == len(frames)


def test_a_server_killed_between_the_video_and_its_rows_finishes_it(tmp_path: Path, monkeypatch: Any) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        monkeypatch.setattr(page.studio.clips, "add", _killed)
        take = page.open("wave")
        page.ask("PUT", f"/takes/{take}/parts/0", content=part(wave()))
        with pytest.raises(AssertionError, match="500"):
            page.ask("POST", f"/takes/{take}/finish", json={"parts": 1})
    with opened(tmp_path) as page:
        clips = page.ask("GET", "/clips")["clips"]
    assert [clip["path"] for clip in clips] == ["wave/anna_001.mkv"]
    assert not list((tmp_path / ".studio" / "takes").iterdir())


def _killed(*_: object) -> None:
    raise RuntimeError("killed")


def test_a_page_that_closes_leaves_a_clip_with_a_finding(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        long, short = page.open("wave"), page.open("wave", "ben")
        page.ask("PUT", f"/takes/{long}/parts/0", content=part(wave()))
        page.ask("PUT", f"/takes/{short}/parts/0", content=part(wave()[:6]))
        page.studio.takes._seen = dict.fromkeys(page.studio.takes._seen, -100.0)
        page.studio.takes.close_abandoned()
        (clip,) = page.ask("GET", "/clips")["clips"]
        assert "closed" in clip["findings"]
        (finding,) = [one for one in page.ask("GET", "/findings")["findings"] if one["kind"] == "closed"]
        assert finding["sentence"].startswith("The page was closed during this recording")
        assert page.ask("GET", "/state")["takes"] == []


def test_nothing_is_cut_into_clips(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        clips = page.record("none", frames=wave(5.0, 10.0), span_s=2.0)
        assert [(c["start_s"], c["end_s"]) for c in clips] == [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]
        assert page.ask("GET", "/state")["counts"]["none_s"] == pytest.approx(5.0)
        assert [(s.start_s, s.end_s) for s in catalog.read(tmp_path).samples] == [(0, 2), (2, 4), (4, 5)]
    assert cut(1.2, 2.0) == [(0.0, 1.2)] and cut(4.9, 2.0) == [(0.0, 2.0), (2.0, 4.0)]


def test_a_full_disk_refuses_recordings_and_keeps_what_is_there(tmp_path: Path, monkeypatch: Any) -> None:
    with opened(tmp_path, free_bytes=10) as page:
        page.label("wave")
        page.record("wave")
        take = page.open("wave")
        page.ask("PUT", f"/takes/{take}/parts/0", content=part(wave()))
        monkeypatch.setattr("gesta.web.takes.write_whole", _full)
        assert (
            "No space"
            in page.ask("PUT", f"/takes/{take}/parts/1", 507, content=part(wave(start_us=9_000_000)))["error"]
        )
        page.ask("POST", f"/takes/{take}/finish", 507, json={"parts": 1})
        monkeypatch.undo()
        monkeypatch.setattr(Folder, "free_bytes", lambda _self: 9)
        page.ask("POST", "/takes", 507, json={"label": "wave", "subject": "a", "width": 64, "height": 48})
        assert len(page.ask("POST", f"/takes/{take}/finish", json={"parts": 1})["clips"]) == 1
    with opened(tmp_path) as page:
        assert page.ask("GET", "/state")["counts"]["clips"] == 2


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


WRONG = {
    "empty": (b"", "cut short"),
    "count": (part(wave())[:3] + b"\xff", "announces"),
    "cut": (part(wave())[:-1], "cut short"),
    "longer": (part(wave()) + b"x", "cut short"),
    "no jpeg": (part([(1, b"GIF89a" + bytes(30))]), "not a readable JPEG"),
    "size": (part([(1, jpeg(size=(32, 48)))]), "32 x 48"),
    "times": (part([(2, jpeg()), (2, jpeg())]), "do not increase"),
    "time": (part([(2**63, jpeg())]), "cut short"),
}


@pytest.mark.parametrize("name", WRONG)
def test_parts_that_are_refused(tmp_path: Path, name: str) -> None:
    data, said = WRONG[name]
    with opened(tmp_path) as page:
        page.label("wave")
        answer = page.ask("PUT", f"/takes/{page.open('wave')}/parts/0", 422, content=data)
        assert said in answer["error"]


def test_frames_with_a_side_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        page.ask("PUT", f"/takes/{page.open('wave')}/parts/0", 413, content=part([(1, jpeg(size=(1300, 40)))]))
        page.ask("POST", "/takes", 422, json={"label": "wave", "subject": "a", "width": 1300, "height": 48})


def test_four_recordings_at_once_and_none_that_overlaps_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        takes = [page.open("wave") for _ in range(4)]
        body = {"label": "wave", "subject": "a", "width": 64, "height": 48}
        page.ask("POST", "/takes", 429, json=body)
        page.ask("PUT", f"/takes/{takes[0]}/parts/0", content=part(wave()))
        page.ask("PUT", f"/takes/{takes[0]}/parts/1", 422, content=part(wave()))
        page.ask("DELETE", f"/takes/{takes[1]}", 204)
        page.ask("POST", "/takes", 201, json=body)
        page.ask("POST", f"/takes/{takes[2]}/finish", 409, json={"parts": 1})


def test_one_server_a_folder(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(GestaError, match="another gesta studio"):
        Folder(tmp_path).open()
    Folder(tmp_path).open().close()


def test_data_of_another_layout_are_refused(tmp_path: Path) -> None:
    (tmp_path / "signs.csv").write_text("file,sign\na.mp4,x\n")
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(GestaError, match="layout ledasila"):
        Folder(tmp_path).open()
    assert Page
