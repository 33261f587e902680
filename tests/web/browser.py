"""Chromium with a fake camera, for tests of the page; they skip where it is not installed."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *(
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--mute-audio",
        "--hide-scrollbars",
    ),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    "--autoplay-policy=no-user-gesture-required",
)


def need_browser() -> None:
    """Skips where Chromium, its driver or Selenium is absent."""
    for module in ("selenium", "fastapi", "uvicorn", "websockets", "filelock"):
        pytest.importorskip(module)
    if not (CHROMIUM and DRIVER):
        pytest.skip("no Chromium with its driver is installed (apt-get install chromium chromium-driver)")


@contextmanager
def chromium(camera: Path | None = None, width: int = 1280, theme: str = "light") -> Iterator[Any]:
    """A driver; `camera`: a y4m that its camera shows, else a test picture."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *([f"--use-file-for-fake-video-capture={camera}"] if camera else [])):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        look(driver, width, theme)
        yield driver
    finally:
        driver.quit()


def look(driver: Any, width: int, theme: str, height: int = 800) -> None:
    """Sets the size of the page in CSS pixels, and which theme the system prefers."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def until(what: Callable[[], Any], seconds: float = 20.0, said: str = "") -> Any:
    """What the call returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {said or what}")


def faults(driver: Any) -> list[str]:
    """What the browser complains of: errors of scripts, and what the policy forbids."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """An ASGI application at this port, in a thread."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, said="the server starts")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
