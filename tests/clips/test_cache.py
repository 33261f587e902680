from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clips.videos import gray_frames, write_video

from gesta.clips import cache as cache_module
from gesta.clips.cache import DEFAULT_LIMIT, ClipCache
from gesta.clips.preprocess import preprocess
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Resource, Sample

GRAY = Transform(fps=20, streams=("body",), channels=("gray",), body="frame")


@pytest.fixture
def samples(tmp_path):
    return [
        Sample(f"s{i}", f"s{i}", color=Resource(write_video(tmp_path / f"{i}.mkv", gray_frames(6 + i))))
        for i in range(3)
    ]


def test_a_second_fill_decodes_nothing(tmp_path, samples, monkeypatch):
    cache = ClipCache(tmp_path / "cache")
    assert cache.fill(samples, GRAY, workers=1) == ()
    monkeypatch.setattr(cache_module, "preprocess_recording", None)  # would fail if called
    assert cache.fill(samples, GRAY, workers=1) == ()
    np.testing.assert_array_equal(cache.load(samples[1], GRAY).pixels, preprocess(samples[1], GRAY).pixels)


def test_another_transform_or_other_content_is_another_entry(tmp_path, samples):
    cache = ClipCache(tmp_path / "cache")
    cache.fill(samples, GRAY, workers=1)
    assert len(cache.load(samples[0], GRAY.model_copy(update={"fps": 10.0})).pixels) == 4
    write_video(tmp_path / "0.mkv", gray_frames(20))
    assert len(cache.load(samples[0], GRAY).pixels) == 20


def test_the_same_content_under_another_name_is_found(tmp_path, samples, monkeypatch):
    cache = ClipCache(tmp_path / "cache")
    cache.fill(samples, GRAY, workers=1)
    (tmp_path / "copy.mkv").write_bytes((tmp_path / "0.mkv").read_bytes())
    monkeypatch.setattr(cache_module, "preprocess_recording", None)
    clip = cache.load(Sample("copy", "copy", color=Resource(tmp_path / "copy.mkv")), GRAY)
    assert clip.id == "copy"


def test_broken_files_are_listed_and_the_rest_is_prepared(tmp_path, samples):
    (tmp_path / "bad.mkv").write_bytes(b"nothing")
    gone = Sample("gone", "gone", color=Resource(tmp_path / "gone.mkv"))
    bad = Sample("bad", "bad", color=Resource(tmp_path / "bad.mkv"))
    problems = ClipCache(tmp_path / "cache").fill([*samples, bad, gone], GRAY, workers=2)
    assert sorted(Path(p.path).name for p in problems) == ["bad.mkv", "gone.mkv"]
    assert ClipCache(tmp_path / "cache").info()["entries"] == 3


def test_a_damaged_entry_is_made_again(tmp_path, samples):
    cache = ClipCache(tmp_path / "cache")
    cache.fill(samples, GRAY, workers=1)
    for entry in (tmp_path / "cache").rglob("*.npy"):
        entry.write_bytes(entry.read_bytes()[:100])
    assert len(cache.load(samples[0], GRAY).pixels) == 6


def test_the_least_recently_used_go_first(tmp_path, samples):
    cache = ClipCache(tmp_path / "cache")
    cache.fill(samples, GRAY, workers=1)
    past = time.time() - 1000
    for entry in (tmp_path / "cache").rglob("*.npy"):
        os.utime(entry, (past, past))
    kept = cache.load(samples[2], GRAY)
    cache.set_limit(int(kept.pixels.nbytes * 1.2))
    assert cache.info()["entries"] == 1
    assert ClipCache(tmp_path / "cache").limit_bytes == int(kept.pixels.nbytes * 1.2)  # remembered
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "settings.json").write_text("[" * 200_000)
    assert ClipCache(tmp_path / "other").limit_bytes == DEFAULT_LIMIT
    assert cache.clear() > 0
    assert cache.info() == {"root": str(tmp_path / "cache"), "bytes": 0, "entries": 0, "limit_bytes": cache.limit_bytes}


def test_a_kill_while_writing_leaves_no_half_entry(tmp_path, samples):
    """kill -9 in the middle of np.save: the next run finds nothing unusable and finishes."""
    code = f"""
import os, signal, sys
import numpy as np
from pathlib import Path
from gesta.clips import cache as module
from gesta.clips.transform import Transform
from gesta.schema import Resource, Sample
def half(file, pixels, allow_pickle):
    file.write(b"x" * 1000); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
module.np.save = half
sample = Sample("s0", "s0", color=Resource(Path({str(tmp_path / "0.mkv")!r})))
transform = Transform.model_validate_json({GRAY.model_dump_json()!r})
module.ClipCache(Path({str(tmp_path / "cache")!r})).fill([sample], transform, workers=1)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    cache = ClipCache(tmp_path / "cache")
    assert cache.info()["entries"] == 0 and cache.info()["bytes"] == 1000
    np.testing.assert_array_equal(cache.load(samples[0], GRAY).pixels, preprocess(samples[0], GRAY).pixels)


def test_clear_also_removes_what_a_kill_left(tmp_path, samples):
    cache = ClipCache(tmp_path / "cache")
    cache.fill(samples[:1], GRAY, workers=1)
    left = next((tmp_path / "cache").rglob("*.npy")).parent / "tmpabc.part"
    left.write_bytes(b"x" * 1000)
    os.utime(left, (0, 0))
    assert cache.clear() > 1000 and not [p for p in (tmp_path / "cache" / "clips").rglob("*") if p.is_file()]


def test_a_full_disk_is_said(tmp_path, samples, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(GestaError, match=r"No space left.*gesta cache --clear"):
        ClipCache(tmp_path / "cache").fill(samples, GRAY, workers=1)
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.integration
@pytest.mark.usefixtures("samples")
def test_two_processes_may_fill_at_once(tmp_path):
    code = f"""
from pathlib import Path
from gesta.clips.cache import ClipCache
from gesta.clips.transform import Transform
from gesta.schema import Resource, Sample
samples = [Sample(f"s{{i}}", f"s{{i}}", color=Resource(Path({str(tmp_path)!r}) / f"{{i}}.mkv")) for i in range(3)]
t = Transform.model_validate_json({GRAY.model_dump_json()!r})
assert ClipCache(Path({str(tmp_path / "cache")!r})).fill(samples, t, workers=1) == ()
"""
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [p.wait() for p in both] == [0, 0]
    assert ClipCache(tmp_path / "cache").info()["entries"] == 3
