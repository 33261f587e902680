from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips.videos import gray_frames, write_video

from gesta.clips import packing
from gesta.clips import shards as shards_module
from gesta.clips.cache import ClipCache
from gesta.clips.packing import Plan, pack
from gesta.clips.preprocess import preprocess
from gesta.clips.shards import MAIN, REST, Part
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Listing, Resource, Sample
from gesta.sources.catalog import read

GRAY = Transform(fps=20, streams=("body",), channels=("gray",), body="frame", size=16)
PLAN = Plan("gray", (Part(name=MAIN, transform=GRAY),), {}, shard_bytes=7_000)


@pytest.fixture
def listing(tmp_path, monkeypatch):
    """Two recordings of two clips each whose clips take turns, one of one clip, and one that is broken."""
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    one, two, three = (Resource(write_video(data / f"{n}.mkv", gray_frames(12 + n))) for n in range(3))
    (data / "bad.mkv").write_bytes(b"nothing")
    spans = {"first_frame": 0, "last_frame": 5}, {"first_frame": 6, "last_frame": 11}
    samples = (
        Sample("one/a", "one", one, label="up", subject="ann", split="train", **spans[0]),
        Sample("two/a", "two", two, label="up", subject="bob", **spans[0]),
        Sample("bad", "bad", Resource(data / "bad.mkv"), label="up", subject="bob"),
        Sample("one/b", "one", one, label="down", subject="ann", split="train", **spans[1]),
        Sample("two/b", "two", two, label="down", subject="bob", **spans[1]),
        Sample("three", "three", three, label="\u00e4", subject=None),
    )
    return Listing(data, "index_csv+21x18", samples)


@pytest.fixture
def shards(tmp_path, listing):
    pack(listing, PLAN, tmp_path / "shards")
    return tmp_path / "shards"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_packed_clips_are_those_of_the_recordings_in_their_order(shards, listing):
    found, cache = read(shards), ClipCache()
    assert len(list(shards.glob("*.tar"))) == 3 and found.layout == listing.layout
    facts = ("id", "recording", "label", "subject", "split", "first_frame", "last_frame", "modalities")
    for packed, sample in zip(found.samples, listing.samples, strict=True):
        assert [getattr(packed, name) for name in facts] == [getattr(sample, name) for name in facts]
        assert cache.fingerprint(packed) == cache.fingerprint(sample)
        if sample.id != "bad":
            np.testing.assert_array_equal(cache.load(packed, GRAY).pixels, preprocess(sample, GRAY).pixels)
    problems = cache.fill(found.samples, GRAY)
    assert [p.path.rpartition("/")[2] for p in problems] == ["clips-000002.tar!000000004.npy"]
    assert "not a readable video" in problems[0].reason


def test_a_stopped_packing_resumes_and_ends_with_the_same_bytes(tmp_path, shards, listing, monkeypatch):
    whole = contents(shards)
    for stop in (0, 2, 3, 5):
        out, made = tmp_path / f"stopped{stop}", []

        def add(self, clip, made=made, stop=stop, add=packing.ShardWriter.add):
            made.append(clip)
            if len(made) > stop:
                raise KeyboardInterrupt
            add(self, clip)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(packing.ShardWriter, "add", add)
            pack(listing, PLAN, out)
        with pytest.raises(GestaError, match="not finished"):
            read(out)
        assert pack(listing, PLAN, out).clips == 5
        assert contents(out) == whole
    assert pack(listing, PLAN, shards).new == 0 and contents(shards) == whole


def test_clips_that_came_later_are_added(listing, shards):
    late = Sample("late", "late", Resource(write_video(listing.root / "late.mkv", gray_frames(9))), label="up")
    more = replace(listing, samples=(late, *listing.samples))
    done = pack(more, PLAN, shards)
    assert (done.clips, done.new, done.shards) == (6, 1, 4)
    assert [s.id for s in read(shards).samples] == [s.id for s in more.samples]


def test_a_cut_or_changed_shard_is_named_and_its_clips_are_listed(shards):
    first, second, last = sorted(shards.glob("*.tar"))
    names = [first.name, second.name, last.name]  # the last holds what could not be preprocessed
    first.write_bytes(first.read_bytes()[:3000])
    data = bytearray(second.read_bytes())
    data[2000] ^= 1
    second.write_bytes(data)
    cache, samples = ClipCache(), read(shards).samples
    problems = cache.fill(samples, GRAY)
    assert sorted({p.path.partition("!")[0].rpartition("/")[2] for p in problems}) == names
    assert sorted(p.reason.partition(":")[0] for p in problems) == ["bad", "one/b", "two/a"]
    lost = next(s for s in samples if s.id == "one/b")
    with pytest.raises(GestaError, match="damaged or cut short at one/b"):
        cache.load(lost, GRAY)
    second.unlink()
    assert {p.reason.partition(":")[0] for p in cache.fill(samples, GRAY)} == {"one/b", "two/a", "two/b", "bad"}


def test_a_shard_that_lost_only_the_end_of_its_tar_is_told_and_its_clips_are_used(shards):
    first = min(shards.glob("*.tar"))
    first.write_bytes(first.read_bytes()[:-1024])  # blocks of zeros, which end a tar
    cache, samples = ClipCache(), read(shards).samples
    for _ in range(2):  # it is told as long as it is so
        told = [p for p in cache.fill(samples, GRAY) if p.path == str(first)]
        assert [str(p) for p in told] == [f"{first}: {shards_module._CHANGED} {shards_module._AGAIN}"]
    cache.load(samples[0], GRAY)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_file_is_never_opened_as_a_shard(shards, make):
    first = min(shards.glob("*.tar"))
    samples = read(shards).samples
    first.unlink()
    make(first)
    assert {p.reason.partition(":")[0] for p in ClipCache().fill(samples, GRAY)} == {"bad", "one/a", "one/b"}
    with pytest.raises(GestaError, match=r"one/a cannot be read \(it is "):
        ClipCache().load(samples[0], GRAY)


def test_whole_shards_are_read_once_only_to_be_checked(shards, monkeypatch):
    samples = read(shards).samples
    ClipCache().fill(samples, GRAY)
    monkeypatch.setattr("gesta.clips.shards.Shard.damaged", None)  # would fail if called
    ClipCache().fill(samples, GRAY)


def test_other_transforms_and_rests_that_were_not_packed_are_refused(shards):
    sample = read(shards).samples[0]
    with pytest.raises(GestaError, match=r"for recipe gray.*fps 20.0, not 10.0.*gesta data pack"):
        ClipCache().fill([sample], GRAY.model_copy(update={"fps": 10.0}))
    with pytest.raises(GestaError, match="rests between clips"):
        ClipCache().load(replace(sample, id="one/a/before"), GRAY)
    with pytest.raises(GestaError, match="preprocessed clip, but a recording was expected"):
        sample.color.open()


def test_rests_lie_beside_their_clips(tmp_path, listing):
    sample = listing.samples[3]
    rest = replace(sample, id="one/b/before", label=None, first_frame=3, last_frame=5)
    parts = (*PLAN.parts, Part(name=REST, transform=GRAY, rest=True))
    pack(listing, replace(PLAN, parts=parts, rests={sample.id: rest}), tmp_path / "rests")
    packed = next(s for s in read(tmp_path / "rests").samples if s.id == "one/b")
    found = ClipCache().load(replace(packed, id=rest.id), GRAY).pixels
    np.testing.assert_array_equal(found, preprocess(rest, GRAY).pixels)


def test_a_folder_of_something_else_or_of_other_clips_is_refused(tmp_path, listing, shards):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    with pytest.raises(GestaError, match="contains other files"):
        pack(listing, PLAN, tmp_path / "other")
    with pytest.raises(GestaError, match=r"for recipe gray .* differs from recipe red"):
        pack(listing, replace(PLAN, recipe="red"), shards)
    with pytest.raises(GestaError, match="contains one/a, which is not in the data"):
        pack(replace(listing, samples=listing.samples[1:]), PLAN, shards)
    write_video(listing.root / "1.mkv", gray_frames(40))
    with pytest.raises(GestaError, match="contains two/a, which has changed"):
        pack(listing, PLAN, shards)


def test_damaged_lists_of_contents_are_refused(shards):
    index = next(shards.glob("clips-*.json"))
    document = json.loads(index.read_text())
    count = len(document["id"])
    of_all = {"modalities": "taste", "fingerprint": "ab", "id": "twice"}
    of_part = (("offset", -1), ("offset", 10**12), ("bytes", 10**30), ("crc32", -1), ("crc32", 2**32))
    changes = [{key: [value] * count} for key, value in of_all.items()]
    changes += [{key: {MAIN: [value] * count}} for key, value in of_part]
    changes += [{"id": []}, {"label": ["up"]}, {"offset": {}}, {"crc32": {"x": [1]}}, {"split": ["somewhere"] * count}]
    for change in changes:
        index.write_text(json.dumps(document | change))
        with pytest.raises(GestaError, match=r"clips-\d+.json: cannot be read .*Run the same gesta data pack"):
            read(shards)
    index.write_text(json.dumps(document | {"sha256": "0"}))
    with pytest.raises(GestaError, match=r"\.tar: is not the shard that shards\.json lists there"):
        read(shards)
    listed = json.loads((shards / "shards.json").read_text())
    for names in (["../a.tar"], ["/a.tar"], [""], ["a.tar", "a.tar"]):
        files = [listed["shards"][0] | {"name": name} for name in names]
        (shards / "shards.json").write_text(json.dumps(listed | {"shards": files}))
        with pytest.raises(GestaError, match=r"shards\.json: cannot be read"):
            read(shards)
    (shards / "shards.json").write_text('{"format_version": 99}')
    with pytest.raises(GestaError, match=r"has format 99, .* Update gesta"):
        read(shards)


def test_a_full_disk_is_told_and_what_is_finished_stays(tmp_path, listing, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(GestaError, match=r"No space left.*finished work is kept"):
        patched.setattr(packing.ShardWriter, "add", full)
        pack(listing, PLAN, tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["shards.json"]


def test_the_tars_are_plain_and_in_the_layout_of_webdataset(shards):
    with tarfile.open(sorted(shards.glob("*.tar"))[0]) as tar:
        names = tar.getnames()
        assert names[:2] == ["000000000.npy", "000000000.json"]
        facts = json.loads(tar.extractfile(names[1]).read())
        assert (facts["id"], facts["label"], facts["subject"]) == ("one/a", "up", "ann")
        assert np.load(io.BytesIO(tar.extractfile(names[0]).read())).shape == (6, 1, 16, 16, 1)
