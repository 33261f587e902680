"""The report as JSON, for the terminal and as a page; the commands and their exit codes."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from audit.videos import write_video
from rich.console import Console

from gesta.audit.inspection import inspect
from gesta.audit.page import strips, write_html
from gesta.cli import main
from gesta.cli.data import parse_size
from gesta.schema import GestaError
from gesta.sources.catalog import read


def text_of(report):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report.to_text())
    return capture.get()


def test_json_holds_plain_values_and_all_problems(healthy):
    report = inspect(read(healthy))
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["classes"] == {"clap": 6, "wave": 6}
    assert document["splits"] == {"test": 4, "train": 4, "val": 4}
    assert document["lengths_s"]["total"] == pytest.approx(12.0)
    assert document["problems"] == []
    assert any("No skeleton" in line for line in document["fallbacks"])


def test_progress_counts_every_file(healthy):
    calls = []
    inspect(read(healthy), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 12) for i in range(1, 13)]


def test_terminal_text_groups_problems_by_kind(healthy):
    for number in range(12):
        write_video(healthy / f"extra_{number}.mkv", frames=3, seed=100 + number)
    rows = [f"extra_{n}.mkv,class{n:02d},p1,train" for n in range(12)]
    with (healthy / "index.csv").open("a") as index:
        index.write("\n".join(rows) + "\n")
    text = text_of(inspect(read(healthy)))
    assert "few-clips (12)" in text
    assert "... and 4 more; --json lists all" in text
    assert "people      3: p1 (16), p0 (4), p2 (4)" in text


def test_page_is_one_file_with_strips_and_escaped_names(healthy, tmp_path):
    with (healthy / "index.csv").open("a") as index:
        index.write("broken.mkv,<b>bow</b>,p1,train\n")
    (healthy / "broken.mkv").write_bytes(b"no video at all")
    listing = read(healthy)
    path = write_html(inspect(listing), listing, tmp_path / "out")
    page = path.read_text()
    assert path.name == "inspect.html"
    assert "&lt;b&gt;bow&lt;/b&gt;" in page
    assert "<b>bow" not in page
    assert not re.search(r'src="(?!data:)|href="(?!file:)', page)
    pictures = re.findall(r"base64,([^\"]+)", page)
    assert len(pictures) == 4  # two a class, none of the broken one
    image = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (120, 8 * 160 + 7 * 2, 3)
    assert "is not a readable video" in page
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["inspect.html"]


def test_page_links_each_file_of_a_recording_and_folders_of_images(healthy, tmp_path):
    folder = healthy / "frames & more"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((24, 32, 3), 60 * number, np.uint8))
    for name in ("color.mkv", "depth.mkv"):
        shutil.copy(healthy / "wave_0_0.mkv", healthy / name)
    (healthy / "index.csv").write_text("path,label,depth\nframes & more,bow,\ncolor.mkv,clap,depth.mkv\n")
    listing = read(healthy)
    assert not listing.problems and len(listing.samples) == 2
    page = write_html(inspect(listing), listing, tmp_path / "out").read_text()
    captions = re.findall("<figcaption>(.*)</figcaption>", page)
    assert f'<a href="{folder.as_uri()}">frames &amp; more</a>' in captions
    each = ", ".join(f'<a href="{(healthy / name).as_uri()}">{name}</a>' for name in ("color.mkv", "depth.mkv"))
    assert f"color.mkv ({each})" in captions


def test_strips_of_spans_show_their_own_frames(tmp_path):
    write_video(tmp_path / "a.mkv", frames=20)
    (tmp_path / "index.csv").write_text("path,label,start_s,end_s\na.mkv,wave,0,1\na.mkv,clap,1,2\n")
    first, second = strips(read(tmp_path).samples, n=2).values()
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_page_that_cannot_be_written(healthy, tmp_path):
    listing = read(healthy)
    (tmp_path / "file").write_text("")
    with pytest.raises(GestaError, match="cannot be written"):
        write_html(inspect(listing), listing, tmp_path / "file" / "inside")


def run(monkeypatch, capsys, *arguments):
    """(exit code, stdout, stderr) of the command line."""
    monkeypatch.setattr(sys, "argv", ["gesta", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        main()
    out, err = capsys.readouterr()
    return done.value.code or 0, out, err


def test_inspect_command_ends_with_0_and_one_json_document(healthy, tmp_path, monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, "data", "inspect", healthy, "--json", "--out", tmp_path / "out")
    document = json.loads(out)
    assert (code, document["samples"], len(out.splitlines())) == (0, 12, 1)
    assert document["page"].endswith("inspect.html")
    (healthy / "wave_0_0.mkv").write_bytes(b"")
    code, out, _ = run(monkeypatch, capsys, "data", "inspect", healthy)
    assert code == 0
    assert "empty-video (1)" in out


def test_inspect_command_ends_with_1_where_nothing_can_be_used(tmp_path, monkeypatch, capsys):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.mp4").write_bytes(b"nothing")
    code, _, err = run(monkeypatch, capsys, "data", "inspect", tmp_path)
    assert code == 1
    assert "nothing in it can be used" in err


def test_wrong_usage_ends_with_2(healthy, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, capsys, "data", "inspect", tmp_path / "nowhere")[0] == 2
    code, _, err = run(monkeypatch, capsys, "data", "inspect", healthy, "--format", "index")
    assert code == 2
    assert "Did you mean index_csv" in err
    code, _, err = run(monkeypatch, capsys, "data", "make", "chalearn", tmp_path / "made")
    assert code == 2
    assert "Did you mean chalearn2014" in err


def test_size_of_generated_video():
    assert parse_size("640x480") == (640, 480)
    for wrong in ("640", "0x480", "640*480", "axb"):
        with pytest.raises(GestaError, match="expected WIDTHxHEIGHT"):
            parse_size(wrong)
