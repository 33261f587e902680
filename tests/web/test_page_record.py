"""The page records with Chromium's fake camera into a served studio: frames, times, stops, and a page that closes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from web.browser import chromium, free_port, need_browser, serving, until

TOKEN = "secret"


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """(driver, studio, address): a person and two gestures are there, clips of 1 s, one in a row, no countdown."""
    need_browser()
    from gesta.web.app import create
    from gesta.web.folder import Folder
    from gesta.web.guard import Door
    from gesta.web.messages import Limits
    from gesta.web.studio import Studio

    port = free_port()
    studio = Studio(Folder(tmp_path_factory.mktemp("page") / "data", Limits(free_bytes=0)).open())
    address = f"http://127.0.0.1:{port}/#token={TOKEN}"
    with serving(create(studio, Door(TOKEN, (f"127.0.0.1:{port}",))), port), chromium() as driver:
        driver.get(address)
        until(lambda: driver.find_elements("id", "person"), said="the first run")
        settings = "{person: 'anna', length_s: 1, row: 1, countdown_s: 0, tones: false}"
        driver.execute_script(f"localStorage.setItem('gesta-settings', JSON.stringify({settings}))")
        driver.refresh()
        until(lambda: driver.find_elements("id", "begin"), said="the first run")
        press(driver, "#begin")
        ready(driver)
        yield driver, studio, address


def press(driver, selector):
    until(lambda: driver.find_elements("css selector", selector), said=selector)
    driver.execute_script("document.querySelector(arguments[0]).click()", selector)


def ready(driver):
    """The camera runs and nothing is being recorded."""
    words = "return document.getElementById('record')?.textContent ?? ''"
    until(lambda: driver.execute_script(words).startswith("Record"), said="the button Record")
    until(
        lambda: driver.execute_script("return document.querySelector('.stage video')?.currentTime > 0.3"), said="film"
    )


def phase(driver):
    return driver.execute_script("return document.querySelector('.over')?.dataset.phase")


def test_a_clip_has_the_cameras_frames_and_times(recording):
    from web.studio_help import jpegs_of

    driver, studio, _ = recording
    ready(driver)
    press(driver, "#record")
    clip = until(lambda: studio.clips.used(), said="a clip")[0]
    assert (clip.label, clip.subject, clip.width, clip.height) == ("wave", "anna", 640, 480)
    frames = list(jpegs_of(studio.clips.file(clip)))
    times = [time_s for time_s, _ in frames]
    assert 0.8 < times[-1] <= 1.05  # one second asked for; the first frame is 0
    assert len(frames) + clip.lost >= 10
    assert all(0.02 < after - before < 0.5 for before, after in pairwise(times))
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg in frames)
    said = "return document.getElementById('polite').textContent"
    until(lambda: driver.execute_script(said).startswith(f"Saved, {len(frames)} frames"), said="it is said")


def test_escape_drops_the_unfinished_clip(recording):
    from selenium.webdriver.common.keys import Keys

    driver, studio, _ = recording
    ready(driver)
    press(driver, ".gestures .chip:last-child")  # 20 s of nothing: not over before the key is pressed
    before = len(studio.clips.used())
    press(driver, "#record")
    until(lambda: phase(driver) == "recording", said="it records")
    driver.find_element("css selector", "body").send_keys(Keys.ESCAPE)
    ready(driver)
    until(lambda: not studio.takes.listed(), said="the recording is dropped")
    assert len(studio.clips.used()) == before


def begun(driver, studio):
    """Starts a recording of nothing and waits until a part is stored; how many clips there were."""
    ready(driver)
    press(driver, ".gestures .chip:last-child")
    before = len(studio.clips.used())
    press(driver, "#record")
    until(lambda: any(take.frames >= 25 for take in studio.takes.listed()), said="a part is on the disk")
    return before


@pytest.mark.integration
def test_a_camera_that_vanishes_leaves_what_it_showed(recording):
    driver, studio, _ = recording
    before = begun(driver, studio)
    unplug = "const [track] = document.querySelector('.stage video').srcObject.getVideoTracks(); track.stop();"
    driver.execute_script(f"{unplug} track.dispatchEvent(new Event('ended'))")
    until(lambda: len(studio.clips.used()) > before, said="what was recorded is kept")
    page = "return document.body.textContent"
    until(lambda: "The camera was disconnected." in driver.execute_script(page), said="it is said")
    assert "of this clip are kept" in driver.execute_script(page)
    again = "[...document.querySelectorAll('button')].find((one) => one.textContent === 'Try again').click()"
    driver.execute_script(again)
    ready(driver)


@pytest.mark.integration
def test_what_a_closed_page_recorded_is_finished_by_the_next(recording):
    driver, studio, address = recording
    before = begun(driver, studio)
    driver.get("about:blank")
    driver.get(address)
    until(lambda: len(studio.clips.used()) > before, said="the next page finishes it")
    assert {record.label for record in studio.clips.used()[:1]} == {"none"}
    assert not studio.takes.listed()
