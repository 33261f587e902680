"""Videos from elsewhere: probed in a child process, bounded, refused by name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from web.studio_help import Page, opened, wave

from gesta.web.parts import Frame, write_video
from gesta.web.probe import look_into


@pytest.fixture
def video(tmp_path: Path) -> bytes:
    write_video(tmp_path / "made.mkv", [Frame(*one) for one in wave()], (64, 48))
    return (tmp_path / "made.mkv").read_bytes()


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with opened(tmp_path / "data") as found:
        yield found


def send(page: Page, data: bytes, status: int = 201, name: str = "a.mkv", label: str = "wave") -> Any:
    return page.ask("POST", "/imports", status, params={"label": label, "subject": "ben", "name": name}, content=data)


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_a_video_becomes_a_clip_of_a_new_label(page: Page, video: bytes) -> None:
    (clip,) = send(page, video)["clips"]
    assert (clip["path"], clip["label"], clip["frames"], clip["width"]) == ("wave/ben_001.mkv", "wave", 40, 64)
    assert (page.studio.folder.root / clip["path"]).read_bytes() == video
    assert [label["name"] for label in page.ask("GET", "/state")["labels"]] == ["wave", "none"]


@pytest.mark.integration
def test_a_zip_of_folders(page: Page, video: bytes) -> None:
    data = zipped(
        **{"set/wave/1.mkv": video, "set/salute/x.mkv": video + b" ", "set/wave/t.txt": b"x", "__MACOSX/a": b""}
    )
    answer = send(page, data, name="set.zip")
    assert sorted(clip["path"] for clip in answer["clips"]) == ["salute/ben_001.mkv", "wave/ben_001.mkv"]
    (refused,) = answer["refused"]
    assert refused["name"].endswith("t.txt") and "ends with .txt" in refused["reason"]
    assert not list((page.studio.folder.hidden / "imports").iterdir())


@pytest.mark.integration
def test_paths_in_a_zip_lead_nowhere(page: Page, video: bytes) -> None:
    (clip,) = send(page, zipped(**{"../../../etc/x.mkv": video}), name="a.zip")["clips"]
    assert clip["path"] == "etc/ben_001.mkv"
    (clip,) = send(page, zipped(**{"../y.mkv": video}), name="a.zip")["clips"]
    assert clip["path"] == "wave/ben_001.mkv"


@pytest.mark.parametrize("name", ["a.mkv", "a.zip", "a.exe"])
def test_what_is_no_video(page: Page, name: str) -> None:
    answer = send(page, b"not a video at all", 415, name=name)
    assert answer["hint"] and page.ask("GET", "/state")["counts"]["clips"] == 0
    assert not list((page.studio.folder.hidden / "imports").iterdir())


def test_zip_bombs(tmp_path: Path) -> None:
    bomb = zipped(**{"wave/a.mkv": bytes(3 * 2**20)})
    with opened(tmp_path, zip_unpacked_bytes=2**20) as page:
        assert "would unpack" in send(page, bomb, 413, name="a.zip")["error"]
    with opened(tmp_path, import_bytes=2**20) as page:
        assert "larger than" in send(page, bomb, 415, name="a.zip")["error"]
    with opened(tmp_path, zip_files=3) as page:
        many = zipped(**{f"wave/{number}.mkv": b"" for number in range(4)})
        assert "4 files" in send(page, many, 413, name="a.zip")["error"]


def test_a_zip_that_lies_about_its_size(page: Page) -> None:
    honest = zipped(**{"wave/a.mkv": bytes(1000)})
    lie = honest.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != honest
    send(page, lie, 415, name="a.zip")


def test_limits_of_a_video(tmp_path: Path, video: bytes) -> None:
    file = tmp_path / "v.mkv"
    file.write_bytes(video)
    assert look_into(file, (600, 20_000, 4096))["frames"] == 40
    assert "longer than" in look_into(file, (1.0, 20_000, 4096))["error"]
    assert "longer than" in look_into(file, (600, 30, 4096))["error"]
    assert "64 x 48" in look_into(file, (600, 20_000, 50))["error"]
    with opened(tmp_path / "data", import_frames=30) as page:
        assert "longer than" in send(page, video, 415)["error"]
