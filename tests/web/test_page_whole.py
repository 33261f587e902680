"""From the first run to the export in Chromium, against `gesta studio` as people start it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from web.browser import chromium, faults, free_port, need_browser, until

PEOPLE = ("anna", "ben")
GESTURES = ("salute", "open arms")
CLIPS = 4
LENGTH_S = 2.5
TRAINED_S = 1800
FILM_BEGINS = f"return document.querySelector('.stage video').currentTime % {LENGTH_S} < 0.3"


@contextmanager
def server(root, log):
    """The address with the token of a `gesta studio` of this folder."""
    command = [sys.executable, "-c", "from gesta.cli import main; main()", "studio", str(root), "--no-open", "--port"]
    with log.open("w") as stream:
        process = subprocess.Popen([*command, str(free_port())], stderr=stream, stdout=stream)
    try:
        yield until(lambda: re.search(r"http\S+#token=\S+", log.read_text()), 60, "the server's address")[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def film(folder, label, person, rest_s=0.0):
    """Camera's film of one clip, `LENGTH_S` long, and so long at rest; played again and again."""
    from web.people import FPS, doing, write_y4m

    frames = list(doing(label, person, 0, (160, 120)))
    frames = (frames + [frames[-1]] * 99)[: round((LENGTH_S + rest_s) * FPS)]
    path = folder / f"{label.replace(' ', '_')}_{person}_{rest_s:g}.y4m"
    write_y4m(path, frames)
    return path


def press(driver, selector, seconds=30):
    find = "const e = document.querySelector(arguments[0]); if (!e || e.disabled) return false; e.click(); return true"
    until(lambda: driver.execute_script(find, selector), seconds, selector)


def said(driver, selector):
    return driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)


def counts(driver, label):
    words = (
        "return [...document.querySelectorAll('.group')].find((e) => e.querySelector('h3').textContent === "
        "arguments[0])?.querySelector('.muted').textContent ?? ''"
    )
    found = re.match(r"(\d+) clip", driver.execute_script(words, label))
    return int(found[1]) if found else 0


def begin(driver, address, person):
    driver.get(address)
    settings = f"{{person: '{person}', length_s: {LENGTH_S}, row: 1, countdown_s: 0, tones: false}}"
    until(lambda: driver.find_elements("css selector", "nav a"), said="the page")
    driver.execute_script(f"localStorage.setItem('gesta-settings', JSON.stringify({settings}))")
    driver.refresh()
    press(driver, "#begin, .off-words .filled")
    until(lambda: said(driver, "#record").startswith("Record"), said="the camera")


def record(driver, label, clips):
    """So many clips, each begun as the film begins anew."""
    choose = (
        "[...document.querySelectorAll('.gestures .chip')].find((e) => e.textContent.startsWith(arguments[0])).click()"
    )
    driver.execute_script(choose, label)
    for _ in range(clips):
        before = counts(driver, label)
        until(lambda: said(driver, "#record").startswith("Record"), said="ready")
        until(lambda: driver.execute_script(FILM_BEGINS), said="the film begins")
        press(driver, "#record")
        until(lambda now=before: counts(driver, label) > now, 60, f"a clip of {label}")


@pytest.mark.slow
def test_from_the_first_run_to_the_export(tmp_path):
    need_browser()
    pytest.importorskip("lightning")
    root = tmp_path / "my_gestures"
    with server(root, tmp_path / "server.log") as address:
        for number, person in enumerate(PEOPLE):
            for label in (*GESTURES, "none"):
                with chromium(film(tmp_path, label, number)) as driver:
                    driver.get(address)
                    add_gestures(driver, address, person)
                    record(driver, "nothing" if label == "none" else label, 1 if label == "none" else CLIPS)
                    assert faults(driver) == []
        with chromium(film(tmp_path, GESTURES[0], 0, rest_s=2.5)) as driver:  # without a rest it is one long event
            driver.get(address)
            check_and_train(driver)
            try_it(driver)
            results_and_export(driver)
            assert faults(driver) == []


def add_gestures(driver, address, person):
    until(lambda: driver.find_elements("css selector", "nav a"), said="the page")
    if driver.find_elements("id", "begin"):  # the first run suggests wave and salute
        press(driver, ".chip-x")
        field = driver.find_element("css selector", ".chip-input")
        field.send_keys("open arms\n")
        driver.find_element("id", "person").send_keys(person)
        press(driver, "#begin")
        until(lambda: said(driver, "#record").startswith("Record"), said="the camera")
    begin(driver, address, person)


def check_and_train(driver):
    driver.execute_script("location.hash = 'check'")
    until(lambda: said(driver, "#to-train").startswith("Train on"), 60, "nothing stops training")
    press(driver, "#to-train")
    press(driver, "#train")
    until(
        lambda: re.match(r"Trained in|Training (failed|was)|Stopped", said(driver, "#main h1")),
        TRAINED_S,
        "a trained model",
    )
    assert said(driver, "#main h1").startswith("Trained in"), said(driver, "#main")


def try_it(driver):
    press(driver, "#to-try")
    press(driver, "#camera")
    events = "return [...document.querySelectorAll('.events tbody tr')].map((e) => e.children[1].textContent)"
    found = until(lambda: (rows := driver.execute_script(events)) and len(rows) >= 3 and rows, 90, "three events")
    assert found.count(GESTURES[0]) >= 0.6 * len(found), found
    assert said(driver, ".split.try .facts").startswith("Camera")
    press(driver, "#camera")


def results_and_export(driver):
    driver.execute_script("location.hash = 'results'")
    until(lambda: "of clips correct" in said(driver, "#main"), TRAINED_S, "measured")
    assert f"{len(PEOPLE)} people" in said(driver, "#main")
    press(driver, "[data-key=report]")
    until(lambda: len(driver.window_handles) == 2, said="the report opens")
    own, report = driver.window_handles
    driver.switch_to.window(report)
    until(lambda: "Confusion" in said(driver, "body"), said="the report is drawn")
    assert driver.execute_script("return getComputedStyle(document.body).maxWidth") == "1120px"
    driver.switch_to.window(own)
    driver.execute_script("location.hash = 'export'")
    press(driver, "#get-bundle")
    end = time.monotonic() + 120
    while time.monotonic() < end and said(driver, "#get-bundle") != "Download":
        time.sleep(0.5)
    assert said(driver, "#get-bundle") == "Download"
    assert "gesta live" in said(driver, ".command code")
