"""The gestures that come with gesta, tried at the first run: Chromium's fake camera shows a real person who waves."""

from __future__ import annotations

from pathlib import Path

import pytest
from web.browser import chromium, faults, free_port, need_browser, serving, until
from web.people import write_y4m
from web.studio_help import TOKEN

from gesta.clips.decode import iter_frames
from gesta.schema import GestaError, Resource
from gesta.trackers.files import SHA256, default_folder, located
from gesta.web.app import create
from gesta.web.folder import Folder
from gesta.web.guard import Door
from gesta.web.messages import Limits
from gesta.web.studio import Studio

WAVE = Path(__file__).parents[3] / "shared" / "data" / "weizmann" / "video" / "wave1" / "ira_wave1.avi"
REST_FRAMES = 60


@pytest.fixture
def film(tmp_path):
    """A wave of one hand and a rest, played again and again."""
    if not WAVE.is_file():
        pytest.skip("the Weizmann videos do not lie beside the project")
    frames = [rgb for _, rgb in iter_frames(Resource(WAVE), "rgb") if rgb is not None]
    write_y4m(tmp_path / "wave.y4m", [*frames, *[frames[-1]] * REST_FRAMES], fps=25)
    return tmp_path / "wave.y4m"


@pytest.mark.slow
def test_the_first_run_offers_gestures_that_work(tmp_path, film):
    need_browser()
    try:
        located(SHA256, default_folder())
    except GestaError as error:
        pytest.skip(str(error))
    port = free_port()
    studio = Studio(Folder(tmp_path / "mine", Limits(free_bytes=0)).open())
    app = create(studio, Door(TOKEN, (f"127.0.0.1:{port}",)))
    with serving(app, port), chromium(film) as driver:
        driver.get(f"http://127.0.0.1:{port}/#token={TOKEN}")
        link = until(lambda: driver.find_elements("css selector", "a[href='#try/everyday']"), said="the first run")[0]
        link.click()
        until(lambda: driver.find_elements("id", "camera"), said="Try")[0].click()
        seen = "return [...document.querySelectorAll('.events tbody tr')].map((e) => e.children[1].textContent)"
        found = until(lambda: driver.execute_script(seen), 120, "an event")
        driver.save_screenshot(str(tmp_path / "everyday.png"))
        assert set(found) == {"wave"}
        assert faults(driver) == []
