"""Extraction and its folder: nothing lost or doubled after a kill, several processes, and every message."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from features.numbered_videos import RECIPE, numbers, several, write_numbered

from gesta.clips.decode import DECODER_VERSION
from gesta.schema import GestaError, Listing, Problem, Sample
from gesta.tasks.feature_store import FeatureFolder, claim, drop_older, shards, write_index
from gesta.tasks.features import extract as room
from gesta.tasks.features.extract import Settings, Work, extract, gather_work, leave_work
from gesta.tasks.features.extraction import Machines, run

EXPECTED = {"0.mkv": [0, 4, 8], "1.mkv": [22, 28, 34], "2.mkv": [40, 44, 46], "3.mkv": [60] * 3, "4.mkv": [82, 86, 90]}


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return several(tmp_path / "data")


def made(samples: list[Sample], folder: Path, settings: Settings | None = None, engine=numbers) -> Work:
    claim(folder, RECIPE, "class_folders")
    work = extract(samples, folder, RECIPE, engine, settings or Settings())
    write_index(folder, samples, RECIPE, work.skipped)
    return work


def held(folder: Path) -> dict[str, list[int]]:
    """What the shards hold, every tensor of every shard counted."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(path, framework="numpy") as shard:
            for name in shard.keys():  # noqa: SIM118
                assert name not in found, f"{name} is in two shards"
                found[name] = [int(v) for v in shard.get_tensor(name)[:, 0]]
    return found


@pytest.mark.parametrize(("batch", "shard"), [(1, 1), (2, 2), (4, 3), (100, 64)])
def test_every_video_gets_its_own_features(samples: list[Sample], tmp_path: Path, batch: int, shard: int) -> None:
    work = made(samples, tmp_path / "f", Settings(batch=batch, shard_videos=shard))
    assert held(tmp_path / "f") == EXPECTED
    assert (work.videos, work.features, work.kept) == (5, 15, 0)
    folder = FeatureFolder(tmp_path / "f", {"backbone": "numbers", "frames": 3, "every": None})
    assert [entry.id for entry in folder.entries] == list(EXPECTED)
    assert folder.entries[0].label == "a"
    assert folder.load("1.mkv").tolist() == [[22, 22], [28, 28], [34, 34]]


def test_several_processes_without_lightnings_talk(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loud = [logging.getLogger(f"lightning.{room}.utilities.rank_zero") for room in ("pytorch", "fabric")]

    def predicted(*_: object) -> bool:
        for logger in loud:
            logger.info("GPU available: False, used: False")
        return False  # as in all processes but the first

    monkeypatch.setattr("gesta.tasks.features.extraction._predicted", predicted)
    listing = Listing(tmp_path / "data", "class_folders", tuple(samples))
    before = logging.getLogger("lightning.pytorch").level
    with caplog.at_level(logging.INFO):
        assert run(listing, tmp_path / "f", None, RECIPE, machines=Machines("cpu", devices=2)) is None
    assert caplog.text == "" and logging.getLogger("lightning.pytorch").level == before
    with pytest.raises(GestaError, match="unknown device 'tpu'; choose from auto, cpu, cuda"):
        run(listing, tmp_path / "f", None, RECIPE, machines=Machines("tpu"))


@pytest.mark.parametrize("calls", range(6))
def test_after_a_kill_nothing_is_lost_or_doubled(samples: list[Sample], tmp_path: Path, calls: int) -> None:
    seen = []

    def killed(frames: np.ndarray) -> np.ndarray:
        if len(seen) == calls:
            raise KeyboardInterrupt
        seen.append(len(frames))
        return numbers(frames)

    settings = Settings(batch=4, shard_videos=1)
    if calls < 4:
        with pytest.raises(KeyboardInterrupt):
            made(samples, tmp_path / "f", settings, killed)
        finished = held(tmp_path / "f")
        (tmp_path / "f" / ".shard-0000-00009.safetensors.1.partial").write_bytes(b"half")
        with pytest.raises(GestaError, match="not complete: run the same gesta features command again"):
            FeatureFolder(tmp_path / "f")
    else:
        finished = {}
    work = made(samples, tmp_path / "f", settings)
    assert held(tmp_path / "f") == EXPECTED
    assert work.kept == len(finished)
    assert made(samples, tmp_path / "f", settings).features == 0


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_one_process_writes_the_files_of_a_cluster(samples: list[Sample], tmp_path: Path, batch: int) -> None:
    """Shards of two videos, the second one of which is broken: each block is a shard, however long the batches."""
    samples[1].color.path.write_bytes(b"broken")
    made(samples, alone := tmp_path / "alone", Settings(batch=batch, shard_videos=2))
    claim(blocks := tmp_path / "blocks", RECIPE, "class_folders")
    works = [
        extract(samples[2 * block : 2 * block + 2], blocks, RECIPE, numbers, Settings(batch=batch, name=f"{block:04d}"))
        for block in (1, 0, 2)
    ]
    write_index(blocks, samples, RECIPE, [problem for work in works for problem in work.skipped])
    files = {path.name: path.read_bytes() for path in blocks.iterdir()}
    assert {path.name: path.read_bytes() for path in alone.iterdir()} == files
    assert {f"shard-000{block}-00000.safetensors" for block in range(3)} <= set(files)


def test_several_processes_split_the_work_and_any_number_goes_on(samples: list[Sample], tmp_path: Path) -> None:
    folder = tmp_path / "f"
    claim(folder, RECIPE, "class_folders")
    first = extract(samples, folder, RECIPE, numbers, Settings(rank=1, processes=2))
    assert first.videos == 2
    rest = [extract(samples, folder, RECIPE, numbers, Settings(rank=rank, processes=3)) for rank in range(3)]
    assert sum(work.videos for work in rest) == 3
    write_index(folder, samples, RECIPE, [])
    assert held(folder) == EXPECTED
    one = tmp_path / "one"
    made(samples, one)
    assert all(np.array_equal(FeatureFolder(folder).load(name), FeatureFolder(one).load(name)) for name in EXPECTED)


def test_processes_report_to_the_first(tmp_path: Path) -> None:
    works = [Work(videos=2, seconds=1.5), Work(skipped=[Problem("x", "unreadable", "why")])]
    for rank, work in enumerate(works):
        leave_work(tmp_path, Settings(rank=rank, processes=2), work)
    assert gather_work(tmp_path, 2) == works
    assert list(tmp_path.iterdir()) == []


def test_broken_videos_are_skipped_and_said(samples: list[Sample], tmp_path: Path) -> None:
    samples[1].files[0].path.write_bytes(b"nothing")
    work = made(samples, tmp_path / "f")
    assert set(held(tmp_path / "f")) == set(EXPECTED) - {"1.mkv"}
    assert [problem.path for problem in work.skipped] == [str(samples[1].files[0])]
    told = json.loads((tmp_path / "f" / "index.json").read_text())["skipped"][0]
    assert told["kind"] == "unreadable" and told["reason"].startswith("is not a readable video")
    write_numbered(samples[1].files[0].path, 9, 20)
    assert made(samples, tmp_path / "f").videos == 1 and held(tmp_path / "f") == EXPECTED


def test_other_videos_of_the_same_names_are_refused(samples: list[Sample], tmp_path: Path) -> None:
    made(samples, tmp_path / "f")
    others = several(tmp_path / "others", (9, 5, 6, 4, 1))
    assert [s.id for s in others] == [s.id for s in samples]
    with pytest.raises(
        GestaError, match=r"features of 0\.mkv were computed from another video \(\d+ bytes; .*others/0\.mkv"
    ):
        made(others, tmp_path / "f")
    assert made(samples, tmp_path / "f").kept == 5
    write_numbered(samples[0].files[0].path, 30, 100)
    with pytest.raises(GestaError, match="if the video was replaced, delete the shard"):
        made(samples, tmp_path / "f")
    next((tmp_path / "f").glob("shard-*")).unlink()
    assert made(samples, tmp_path / "f").videos == 5


def test_shards_without_sizes_are_taken_as_they_are(samples: list[Sample], tmp_path: Path) -> None:
    folder = tmp_path / "f"
    claim(folder, RECIPE, "class_folders")
    features = {name: np.array([[v, v] for v in values], np.float32) for name, values in EXPECTED.items()}
    facts = {"format": "gesta.features", "recipe": RECIPE.key}
    safetensors.numpy.save_file(features, folder / "shard-0000-00000.safetensors", facts)
    assert made(samples, folder).kept == 5


def test_names_of_skipped_videos_cannot_break_a_line() -> None:
    from gesta.tasks.lines import skipped

    named = {"path": "a\nbundle    elsewhere\x1b[31m.mp4", "reason": "is no\nvideo"}
    assert skipped([named]) == ["skipped   a\\x0abundle    elsewhere\\x1b[31m.mp4: is no\\x0avideo"]


def as_older(shard: Path) -> None:
    """The shard as a gesta wrote it that did not tell of its decoder."""
    with safetensors.safe_open(shard, framework="numpy") as opened:
        facts = {name: value for name, value in opened.metadata().items() if name != "decoder"}
        tensors = {name: opened.get_tensor(name) - 1 for name in opened.keys()}  # noqa: SIM118
    shard.write_bytes(safetensors.numpy.save(tensors, facts))


def test_features_of_an_older_decoder_are_told_of_and_renewed_when_asked(samples: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "f"
    made(samples, out, Settings(batch=1, shard_videos=2))
    assert FeatureFolder(out).notes == ()
    assert json.loads((out / "index.json").read_text())["decoder"] == DECODER_VERSION
    first, *others = sorted(out.glob("*.safetensors"))
    as_older(first)
    write_index(out, samples, RECIPE, [])
    (note,) = FeatureFolder(out).notes
    assert f"version 1 of the video decoder, now {DECODER_VERSION}" in note and "--renew" in note
    assert made(samples, out).videos == 0  # nothing is computed again unasked
    before = [path.stat().st_mtime_ns for path in others]
    assert drop_older(out) == 1
    assert made(samples, out, Settings(batch=1, shard_videos=2)).videos == 2
    assert held(out) == EXPECTED and FeatureFolder(out).notes == ()
    assert [path.stat().st_mtime_ns for path in others] == before


def test_an_index_of_an_older_gesta_is_of_the_first_decoder(samples: list[Sample], tmp_path: Path) -> None:
    made(samples, tmp_path / "f")
    index = tmp_path / "f" / "index.json"
    document = json.loads(index.read_text())
    del document["decoder"]
    index.write_text(json.dumps(document))
    assert "version 1 of the video decoder" in FeatureFolder(tmp_path / "f").notes[0]


def test_the_next_frames_are_decoded_while_the_network_works(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = threading.Event()
    read = room.read_frames

    def noted(sample: Sample, *more, **settings) -> np.ndarray:
        if sample.id == "1.mkv":
            second.set()
        return read(sample, *more, **settings)

    def waits(frames: np.ndarray) -> np.ndarray:
        assert second.wait(30), "the second video is not touched before the first is done"
        return numbers(frames)

    monkeypatch.setattr(room, "read_frames", noted)
    made(samples, tmp_path / "f", Settings(batch=3), waits)


class TestMessages:
    @pytest.fixture
    def folder(self, samples: list[Sample], tmp_path: Path) -> Path:
        made(samples, tmp_path / "f", Settings(batch=3, shard_videos=2))
        return tmp_path / "f"

    def test_a_shard_cut_short(self, folder: Path, samples: list[Sample]) -> None:
        path = sorted(folder.glob("*.safetensors"))[1]
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(GestaError, match=rf"{path.name}: is cut short or changed: \d+ bytes, the index says"):
            FeatureFolder(folder)
        with pytest.raises(GestaError, match=rf"{path.name}: is cut short or damaged .* only what is missing"):
            shards(folder, RECIPE)
        path.unlink()
        with pytest.raises(GestaError, match=f"{path.name}: the index lists this shard"):
            FeatureFolder(folder)
        made(samples, folder)
        assert held(folder) == EXPECTED

    def test_features_of_another_backbone_than_the_recipe_asks(self, folder: Path) -> None:
        with pytest.raises(GestaError, match="the recipe needs other features: backbone resnet50, but the folder has"):
            FeatureFolder(folder, {"backbone": "resnet50", "frames": 3})
        with pytest.raises(GestaError, match="frames 20, but the folder has 3"):
            FeatureFolder(folder, {"frames": 20})

    def test_going_on_with_another_recipe(self, folder: Path) -> None:
        other = replace(RECIPE, weights="1" * 64, frames=None, every=2)
        message = "weights: 111111111111, not 000000000000; frames: None, not 3; every: 2, not None"
        with pytest.raises(GestaError, match=rf"another recipe \({message}\)\. Choose another folder"):
            claim(folder, other, "class_folders")

    def test_a_shard_of_another_recipe(self, folder: Path) -> None:
        with pytest.raises(GestaError, match="contains features of another recipe than"):
            shards(folder, replace(RECIPE, size=64))

    def test_folders_that_hold_something_else(self, tmp_path: Path, folder: Path) -> None:
        with pytest.raises(GestaError, match="contains other files") as caught:
            claim(tmp_path / "data", RECIPE, "x")
        assert caught.value.usage
        with pytest.raises(GestaError, match=r"features\.json: is not there"):
            FeatureFolder(tmp_path)
        (folder / "features.json").write_text('{"format_version": 99}')
        with pytest.raises(GestaError, match="is of format 99; this gesta reads up to 1"):
            FeatureFolder(folder)
        (folder / "features.json").write_text("[" * 200_000)
        with pytest.raises(GestaError, match="is not readable JSON"):
            FeatureFolder(folder)
        (folder / "features.json").write_text('{"recipe": {"backbone": 1}}')
        with pytest.raises(GestaError, match=r"features\.json: recipe\.backbone: .* Compute the features again"):
            FeatureFolder(folder)

    @pytest.mark.parametrize(
        ("name", "field", "value", "message"),
        [
            ("features.json", "format_version", "x", "format_version: Input should be a valid integer"),
            ("features.json", "source", 7, "source: Input should be a valid string"),
            ("features.json", "recipe", [], "recipe: Input should be a dictionary"),
            ("index.json", "shards", None, "shards: Input should be a valid dictionary"),
            ("index.json", "videos", [{"id": 1}], r"videos\.0\.id: Input should be a valid string"),
            ("index.json", "skipped", "x", "skipped: Input should be a valid list"),
        ],
    )
    def test_fields_that_are_not_what_they_must_be(
        self, name: str, field: str, value: object, message: str, folder: Path
    ) -> None:
        document = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**document, field: value}))
        with pytest.raises(GestaError, match=rf"{name}: {message}.*again"):
            FeatureFolder(folder)

    def test_a_video_in_another_shard_than_the_index_says(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        index["videos"][0]["shard"] = index["videos"][-1]["shard"]
        (folder / "index.json").write_text(json.dumps(index))
        with pytest.raises(GestaError, match=r"shard-.*: does not contain 0\.mkv, .* rebuilds the index"):
            FeatureFolder(folder).load("0.mkv")
