"""Pictures of every view of the studio, in both themes, for a desk and a phone:

    PYTHONPATH=src:tests python -m web.studio_pictures OUT [--folder DATA]

Clips, results and events are of generated people (`web.staged`); DATA keeps the clips for the next time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from web.browser import chromium, faults, free_port, look, until
from web.people import doing, write_y4m
from web.staged import Staged, fill, model, staged, training

WIDTHS, THEMES = (1280, 390), ("light", "dark")


def _shown(driver: Any, view: str) -> None:
    driver.execute_script("location.hash = arguments[0]", view)
    until(lambda: driver.execute_script("return document.getElementById('main').dataset.view") == view.split("/")[0])
    time.sleep(1.2)


def _click(driver: Any, selector: str) -> None:
    press = "const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found)"
    until(lambda: driver.execute_script(press, selector), said=selector)


def _first(driver: Any, _app: Staged) -> None:
    _shown(driver, "record")


def _record(driver: Any, _app: Staged) -> None:
    _shown(driver, "record")
    if not driver.find_elements("css selector", "#record"):
        _click(driver, ".off-words button")
    time.sleep(2)
    _click(driver, "#record")
    until(lambda: "2" in driver.find_element("css selector", ".over").text.split(), said="the countdown at 2")


def _idle(driver: Any, _app: Staged) -> None:
    driver.execute_script("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))")
    time.sleep(1.5)


def _check(driver: Any, _app: Staged) -> None:
    _shown(driver, "check")
    time.sleep(1.5)


def _train(driver: Any, app: Staged) -> None:
    app.jobs = [training()]
    driver.refresh()
    _shown(driver, "train")
    app.jobs = []


def _try(driver: Any, _app: Staged) -> None:
    driver.refresh()
    _shown(driver, "try")
    _click(driver, "#camera")
    time.sleep(12)
    until(lambda: driver.execute_script("return !document.querySelector('.event-label').hidden"), said="an event")


def _results(driver: Any, _app: Staged) -> None:
    _shown(driver, "results")


def _export(driver: Any, _app: Staged) -> None:
    _shown(driver, "export")


VIEWS: tuple[tuple[str, Callable[[Any, Staged], None]], ...] = (
    *(("2_record", _record), ("2_record_idle", _idle), ("3_check", _check), ("4_train", _train), ("5_try", _try)),
    *(("6_results", _results), ("7_export", _export)),
)


def _take(driver: Any, out: Path, name: str, full: bool) -> None:
    """The window; on a phone the whole page, with what is fixed at its end."""
    if full:
        height = driver.execute_script("return document.documentElement.scrollHeight")
        width = driver.execute_script("return innerWidth")
        look_height = max(844, min(int(height), 2600))
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": look_height, "deviceScaleFactor": 1, "mobile": True},
        )
        time.sleep(0.4)
    driver.save_screenshot(str(out / f"{name}.png"))
    wide = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
    print(name, f"{wide} px too wide" if wide > 0 else "fits", *faults(driver), sep=", ")


def _looks() -> Iterator[tuple[int, str]]:
    for width in WIDTHS:
        for theme in THEMES:
            yield width, theme


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folder", type=Path, help="of clips, made where it is empty")
    parser.add_argument("--only", default="", help="views whose name holds this")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    folder = asked.folder or asked.out / "my_gestures"
    film = asked.out / "camera.y4m"
    if not film.exists():
        write_y4m(film, (frame for take in range(3) for frame in doing("wave", 0, take, (320, 240))))
    with staged(asked.out / "empty", free_port()) as (_, address), chromium(film) as driver:
        for width, theme in _looks() if asked.only in "1_first_run" else ():
            look(driver, width, theme, 800 if width > 700 else 844)
            driver.get(address)
            _first(driver, _)
            _take(driver, asked.out, f"1_first_run_{theme}_{width}", width < 700)
    with staged(folder, free_port()) as (app, address), chromium(film) as driver:
        if not app.studio.clips.all():
            fill(app.studio)
        app.models = [model(app.studio), *app.models]
        driver.get(address)
        driver.execute_script(
            "localStorage.setItem('gesta-settings', JSON.stringify({person: 'anna', countdown_s: 5}))"
        )
        for width, theme in _looks():
            look(driver, width, theme, 800 if width > 700 else 844)
            driver.get("about:blank")
            driver.get(address)
            for name, show in VIEWS:
                if asked.only not in name:
                    continue
                look(driver, width, theme, 800 if width > 700 else 844)
                show(driver, app)
                _take(driver, asked.out, f"{name}_{theme}_{width}", width < 700)


if __name__ == "__main__":
    main()
