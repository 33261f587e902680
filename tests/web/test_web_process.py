"""`gesta studio` as a process: killed in a recording and in a training, and asked by a thousand connections."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from web.served import answers, served, until
from web.studio_help import opened, part, wave

from gesta.web.jobfiles import is_locked, read_progress

pytestmark = pytest.mark.slow


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
