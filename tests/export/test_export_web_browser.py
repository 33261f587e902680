"""The page in Chromium: on a plain static server, with a camera that plays a file, it says what gesta says."""

import shutil
from pathlib import Path

import browser
import numpy as np
import pytest

import gesta
from gesta.clips.decode import iter_frames
from gesta.exporting.web import runtime, site
from gesta.schema import Frame, GestaError, Resource
from gesta.tasks import catalog
from gesta.tasks.clips.standalone import example
from gesta.trackers import task_file
from gesta.trackers.files import default_folder, located

BUNDLE = Path(__file__).parents[1] / "bundles_v1" / "clips_onnx.zip"
FPS = 20
READY = "['good', 'bad'].includes(document.getElementById('status')?.dataset.state)"


def text(name):
    return f"document.getElementById('{name}').textContent"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    browser.needed()
    try:
        runtime.ONNXRUNTIME.located()
    except GestaError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("browser")
    shutil.unpack_archive(BUNDLE, folder / "bundle")
    site.write_site(catalog.of_bundle(folder / "bundle")[1], folder / "page")
    return folder


@pytest.mark.slow
def test_the_page_names_what_the_camera_shows(page, tmp_path):
    frames = example.drawn(example.drawing(60))
    stream = gesta.load(page / "bundle").open_stream()
    looped = enumerate(np.concatenate([frames] * 3))
    found = [answer.label for i, image in looped for answer in stream.push(Frame(i / FPS, color=image))]
    (expected,) = set(found[len(found) // 2 :])
    camera = browser.write_y4m(tmp_path / "camera.y4m", frames, FPS)
    with browser.served(page / "page") as url, browser.opened(url, tmp_path / "profile", camera) as tab:
        tab.wait(READY)
        assert tab.run(text("status")).startswith("Ready.")
        assert tab.run("crossOriginIsolated") is False
        tab.run("document.getElementById('start').click()")
        tab.wait(f"document.querySelector('#bars span')?.textContent === '{expected}' && {text('rate')}")
        tab.run("document.getElementById('start').click()")
        tab.wait(f"{text('status')} === 'Stopped.'")
        assert not tab.errors
        assert all(request.startswith((url, "blob:", "data:")) for request in tab.requests)
        for scheme, width in (("light", 1280), ("dark", 390), ("light", 320)):
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            given = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            tab.call("Emulation.setDeviceMetricsOverride", **given)
            assert tab.run("document.documentElement.scrollWidth") <= width
            light = tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
            assert light == (scheme == "light")


@pytest.mark.slow
def test_the_example_of_a_skeleton_model_says_what_is_missing_and_works_when_it_is_there(tmp_path, monkeypatch):
    browser.needed()
    wave = Path(__file__).parents[3] / "shared" / "data" / "weizmann" / "video" / "wave1" / "ira_wave1.avi"
    everyday = catalog.of_bundle("everyday")[1]
    if not wave.is_file():
        pytest.skip("the Weizmann videos do not lie beside the project")
    try:  # what is downloaded once
        for package in (runtime.ONNXRUNTIME, runtime.MEDIAPIPE):
            package.located()
        located([name for name, _, _ in task_file.MEMBERS.values()], default_folder())
    except GestaError as error:
        pytest.skip(str(error))
    assert "lacks" not in site.write_site(everyday, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(site, "mediapipe", lambda _web: ({}, "not fetched"))
        site.write_site(everyday, tmp_path / "bare")
    frames = [rgb for _, rgb in iter_frames(Resource(wave), "rgb")]
    camera = browser.write_y4m(tmp_path / "camera.y4m", np.stack([*frames, *[frames[-1]] * 60]), 25)
    log = "document.getElementById('log')?.textContent"
    with browser.served(tmp_path / "bare") as url, browser.opened(f"{url}example.html", tmp_path / "a", camera) as tab:
        tab.wait(f"{log}?.includes('gesta fetch mediapipe-web')")
        assert "pose_landmarker.task" in tab.run(log)
    with browser.served(tmp_path / "whole") as url, browser.opened(f"{url}example.html", tmp_path / "b", camera) as tab:
        tab.wait(f"{log}?.includes('Labels: ')")
        tab.wait(f"{log}?.split('\\n').includes('wave')")
        assert all(request.startswith((url, "blob:", "data:")) for request in tab.requests)
