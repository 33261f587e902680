"""`gesta studio` as a process: killed in a recording and in a training, and asked by a thousand connections."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from web.studio_help import opened, part, wave

from gesta.web.jobfiles import is_locked, read_progress

pytestmark = pytest.mark.slow
WAIT_S = 120.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(root: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str], int]]:
    """(client with the token, process, port) of a server of a folder."""
    port = free_port()
    words = ["-c", "from gesta.cli import main; main()", "studio", str(root), "--no-open", "--port", str(port)]
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"#token=(\S+)", process.stderr.readline())
            assert found is not None
            base = f"http://127.0.0.1:{port}/api"
            with httpx.Client(base_url=base, headers={"X-Gesta-Token": found[1]}, timeout=WAIT_S) as client:
                until(lambda: answers(client), "the server answers")
                yield client, process, port
        finally:
            process.kill()


def answers(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/state").status_code == 200
    return False


def until(what: Any, said: str) -> Any:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {WAIT_S} s: {said}")


def test_a_server_killed_in_a_recording_loses_no_part(tmp_path: Path) -> None:
    frames = wave()
    with served(tmp_path) as (client, process, _):
        client.put("/labels/wave", json={"name": "wave"})
        body = {"label": "wave", "subject": "anna", "width": 64, "height": 48}
        take = client.post("/takes", json=body).json()["take"]
        assert client.put(f"/takes/{take}/parts/0", content=part(frames[:20])).status_code == 200
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(tmp_path) as (client, _, _):
        assert client.get(f"/takes/{take}").json()["frames"] == 20
        client.put(f"/takes/{take}/parts/1", content=part(frames[20:]))
        done = client.post(f"/takes/{take}/finish", json={"parts": 2}).json()
        assert (done["frames"], len(done["clips"])) == (len(frames), 1)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of POSIX")
def test_a_training_outlives_the_server_and_a_killed_one_can_go_on(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    with opened(tmp_path) as page:
        for label in ("wave", "bow"):
            page.label(label)
            page.record(label)
            page.record(label, "ben")
    with served(tmp_path) as (client, process, _):
        job = client.post("/jobs", json={"kind": "train"}).json()["id"]
        folder = tmp_path / ".studio" / "jobs" / job
        until(lambda: is_locked(folder) and read_progress(folder), "the training has begun")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert is_locked(folder)
    with served(tmp_path) as (client, _, _):
        assert client.get(f"/jobs/{job}").json()["state"] == "running"
        assert client.post("/jobs", json={"kind": "train"}).status_code == 409
        progress = read_progress(folder)
        assert progress is not None
        os.killpg(progress.pid, signal.SIGKILL)
        lost = until(lambda: (found := client.get(f"/jobs/{job}").json())["state"] == "lost" and found, "it is lost")
        assert lost["resumable"]
        assert client.post(f"/jobs/{job}/resume").json()["state"] == "running"
        until(lambda: is_locked(folder), "it goes on")
        assert client.delete(f"/jobs/{job}").json()["state"] == "canceled"
        assert not is_locked(folder)
        assert client.get("/state").json()["counts"]["clips"] == 4


def test_a_thousand_connections_do_no_harm(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process, port):
        silent = []
        for _ in range(1000):
            with suppress(OSError):
                silent.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        time.sleep(1)
        handles = Path(f"/proc/{process.pid}/fd")
        if handles.is_dir():
            assert len(list(handles.iterdir())) < 400
        until(lambda: answers(client), "the server answers again")
        for one in silent:
            one.close()
        assert process.poll() is None
