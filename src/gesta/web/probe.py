"""A child process that inspects one untrusted file: `python -m gesta.web.probe FILE SECONDS FRAMES SIDE`.

Its memory and time are limited and it may not write files; it prints its findings, or an error, as a line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gesta.clips.decode import iter_frames
from gesta.clips.tracks import choose_track, open_container
from gesta.schema import GestaError, Resource

WAIT_S = 120.0
MEMORY_BYTES = 3 * 2**30
_BROKEN = "it cannot be read as a video"


def probed(path: Path, limits: tuple[float, int, int]) -> dict[str, Any]:
    """{frames, fps, width, height, seconds} or {error}, found by a child process. `limits`: seconds, frames, side."""
    words = [sys.executable, "-m", "gesta.web.probe", str(path), *map(str, limits)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=WAIT_S, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": f"checking it takes longer than {WAIT_S:.0f} s"}
    except (ValueError, OSError):
        return {"error": _BROKEN}
    return found if isinstance(found, dict) else {"error": _BROKEN}


def look_into(path: Path, limits: tuple[float, int, int]) -> dict[str, Any]:
    """The same, in this process."""
    most_s, most_frames, side = limits
    resource = Resource(path)
    try:
        with resource.open() as stream, open_container(stream, resource) as container:
            track = choose_track(container, resource)
            width, height = int(track.width), int(track.height)
        if max(width, height) > side or min(width, height) < 16:
            return {"error": f"it is {width} x {height}; 16 to {side} pixels per side can be used"}
        count, last_s, first_s = 0, 0.0, None
        for time_s, _ in iter_frames(resource, "gray", lambda _index, _time: False):
            first_s = time_s if first_s is None else first_s
            count, last_s = count + 1, time_s
            if last_s > most_s or count > most_frames:
                return {"error": f"it is longer than {most_s / 60:.0f} minutes or {most_frames:,} frames"}
    except (GestaError, OSError, ValueError) as error:
        return {"error": str(error).removeprefix(f"{path}: ")}
    seconds = last_s - (first_s or 0.0)
    if count < 2 or seconds <= 0:
        return {"error": "it contains no moving images"}
    fps = (count - 1) / seconds
    return {"frames": count, "fps": fps, "width": width, "height": height, "seconds": round(seconds + 1 / fps, 3)}


def _limit() -> None:
    """Limits this process's resources, where the system supports it."""
    try:
        import resource as system

        system.setrlimit(system.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        system.setrlimit(system.RLIMIT_CPU, (int(WAIT_S), int(WAIT_S)))
        system.setrlimit(system.RLIMIT_FSIZE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass


def main() -> None:
    path, seconds, frames, side = sys.argv[1:5]
    _limit()
    sys.stdout.write(json.dumps(look_into(Path(path), (float(seconds), int(frames), int(side)))))


if __name__ == "__main__":
    main()
