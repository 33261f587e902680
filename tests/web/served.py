"""`gesta studio` as a process of its own, with a client that has its token."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from web.browser import free_port

WAIT_S = 120.0


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


def until(what: Any, said: str, wait_s: float = WAIT_S) -> Any:
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {wait_s} s: {said}")
