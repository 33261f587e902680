"""The guides, followed: every command of every page is run on tiny data, as it stands there, in the page's order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.guide_blocks import PAGES, Command, commands
from docs.guide_worlds import World

from docs import guide_worlds as worlds

LEFT_OUT = {
    r"^make |^pip install|^pytest ": "sets up or tests the project itself: .ci/run does it",
    r"^gesta reproduce (iqbal|sprint)/": "generates videos for minutes: tests/experiments run the tables on tiny data",
    r"postgresql:": "a database on another host",
    r"--cert ": "another address of this computer, and its certificate: tests/web/test_web_process.py",
    r"camera\.py 0": "a camera",
    r"^gesta live everyday|^gesta fetch|^gesta track|tracker=|TRACKED": "networks that are downloaded: tests/trackers",
    r"--to web|http\.server": "needs onnxruntime-web, which is downloaded: tests/export/test_export_web.py",
    r"^python benchmarks/": "measures for minutes",
    r"--devices 4": "four processes beside this one: tests/training/test_training_processes.py",
    r"studio_pictures": "pictures of the page in a browser: tests/web",
}
"""Pattern -> why a command of that kind is not run here. Each is still parsed: test_docs_commands.py."""
OWN_TESTS = {
    "add_a_dataset.md": "test_docs_extend.py",
    "add_a_model.md": "test_docs_extend.py",
    "add_a_task.md": "tests/tasks/test_tasks_from_outside.py",
    "cluster.md": "tests/jobs: schedulers, and backbones that are downloaded",
    "CONTRIBUTING.md": "commands of the project itself",
    "results.md": "commands of hours of measuring",
}
SHORT = ("--epochs", "1", "--steps", "1")
GUIDES = {
    "README.md": World(worlds.own_videos),
    "first_run.md": World(worlds.own_videos, more={"gesta crossval": ("--by", "2", *worlds.sets(worlds.PIXELS))}),
    "few_examples.md": World(worlds.own_videos, train=(*worlds.PIXELS, "training.epochs=8")),
    "rgbd.md": World(
        worlds.nothing,
        more={
            "gesta data make": ("--people", "8", "--size", "96x72"),
            "gesta crossval": worlds.sets(worlds.PIXELS),
            "gesta compress": (*SHORT, "--target-bytes", "5000000"),  # in 8 bits one epoch does not survive
            "gesta reproduce mullick": ("--data", "chalearn", "--seeds", "1", *worlds.sets(worlds.PIXELS[:2])),
        },
        by_recipe={"dd-net": worlds.SKELETONS},
    ),
    "pose.md": World(
        worlds.hands,
        train=worlds.HANDS,
        by_recipe={"a2j-compact": worlds.COMPACT},
        more={
            "gesta tune": ("--rounds", "1", "--trials", "2", *worlds.sets(worlds.HANDS)),
            "gesta reproduce": ("--data", "DATA", "--seeds", "1", *worlds.sets(worlds.COMPACT)),
        },
        before={"Measure": worlds.hand_bundle},
    ),
    "skeletons.md": World(
        worlds.skeleton_files,
        train=worlds.SKELETONS,
        by_recipe={"fused": worlds.FUSED},
        before={
            "Gestures from skeletons": worlds.skeleton_bundle,
            "Pixels and skeletons together": worlds.videos_with_skeletons,
        },
    ),
    "features.md": World(
        worlds.videos,
        more={
            "gesta learning-curve": ("--clips", "1", "--seeds", "1", *worlds.sets(worlds.PIXELS[1:])),
            "gesta features": ("--weights", "random:1"),
            "gesta benchmark": ("--seconds", "0.1"),
        },
        by_recipe={"inception-lstm-isogd": worlds.GRU},
        before={
            "The bundle: a backbone, then a classifier": worlds.feature_bundle,
            "Transfer": worlds.clip_bundle,
        },
    ),
    "live.md": World(
        worlds.recordings_of_gestures,
        train=worlds.SPOTTING,
        by_recipe={"live": worlds.PIXELS, "skeleton-tcn": worlds.SKELETONS[:-1]},
        more={
            "gesta crossval": worlds.sets(worlds.SPOTTING),
            "gesta record": ("--source", "long.mp4", "--count", "1", "--seconds", "1", "--countdown", "0", "--yes"),
            "gesta live runs/mine/bundle": ("--source", "long.mp4"),
        },
        before={"Spotting gestures in long recordings": worlds.spotting_data},
    ),
    "compress.md": World(worlds.trained_videos, more={"gesta compress": SHORT, "gesta prune": SHORT}),
    "export.md": World(worlds.trained_videos),
    "text.md": World(
        worlds.tutorial_texts,
        train=worlds.TEXT,
        by_recipe={"dd-net": worlds.SKELETONS},
        more={
            "gesta data make captions": ("--people", "6", "--recordings", "6"),
            "gesta embed train": ("--epochs", "1"),
            "gesta write": ("--length", "20"),
            "gesta reproduce": worlds.sets(worlds.TEXT),
            "gesta reproduce tutorial/captions": ("--data", "described", "--seeds", "1"),
            "gesta reproduce tutorial/video2vec": ("--data", "described", "--seeds", "1"),
        },
    ),
    "studio.md": World(worlds.own_videos),
    "shards.md": World(worlds.videos, more={"gesta data pack": worlds.sets(worlds.PIXELS[:1])}),
    "scale.md": World(worlds.videos, more={"gesta data pack": worlds.sets(worlds.PIXELS[:1])}),
    "data_conventions.md": World(worlds.people_in_names),
}


def runnable(page: Path) -> list[Command]:
    return [one for one in commands(page) if not any(re.search(pattern, one.text) for pattern in LEFT_OUT)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_a_test_that_follows_it(page) -> None:
    assert page.name in GUIDES or page.name in OWN_TESTS or not runnable(page)
    headings = {one.heading for one in commands(page)}
    assert page.name not in GUIDES or headings >= GUIDES[page.name].before.keys()


@pytest.mark.parametrize("pattern", LEFT_OUT)
def test_what_is_left_out_is_there(pattern) -> None:
    assert any(re.search(pattern, one.text) for page in PAGES for one in commands(page))


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDES)
def test_guide_runs_as_it_stands(name, gesta, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    page, world, heading = next(page for page in PAGES if page.name == name), GUIDES[name], None
    world.make()
    for one in runnable(page):
        if one.heading != heading and one.heading in world.before:
            world.before[one.heading]()
        heading = one.heading
        words = [*one.words[1:], *world.besides(one.words)]
        if one.words[:2] == ("gesta", "studio"):
            worlds.served(words)
            continue
        if one.words[0] == "python":
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
            assert done.returncode == 0, (one, done.stderr)
            continue
        done = gesta(*words)
        assert done.exit_code == 0, (one.line, one.text, words, done.stderr)
        if one.into:
            Path(one.into).write_text(done.stdout, encoding="utf-8")
