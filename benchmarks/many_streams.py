"""Runs several `gesta live` at once on one file; prints the resident memory every minute, then the summary of each.

python benchmarks/many_streams.py BUNDLE VIDEOS [--streams 8] [--minutes 10]

The file has 640 x 480 pixels and 30 frames/s: the videos in VIDEOS in random order, enlarged, each frozen for 1.5 s at
its end. It is read in real time, like a camera.
"""

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2

from gesta.sources.files import is_video

SIZE, FPS, STILL = (640, 480), 30, 45


def frames(folder: Path):
    """RGB frames of all videos, in an endless loop."""
    videos = sorted(path for path in folder.rglob("*") if is_video(path))
    random.Random(0).shuffle(videos)
    for video in itertools.cycle(videos):
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                image = cv2.resize(frame.to_ndarray(format="rgb24"), SIZE)
                yield image
        yield from itertools.repeat(image, STILL)


def write(folder: Path, file: Path, seconds: int) -> None:
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "28"})
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        for number, image in enumerate(itertools.islice(frames(folder), seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def resident_mb(process: subprocess.Popen) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)  # none after its end


def main(bundle: Path, videos: Path, streams: int, minutes: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "people.mkv"
        write(videos, file, 60 * minutes)
        words = ["live", str(bundle), "--source", str(file), "--seconds", str(60 * minutes)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        live = [
            subprocess.Popen([sys.executable, "-c", "from gesta.cli import main; main()", *words], **quiet)
            for _ in range(streams)
        ]
        for minute in range(1, minutes + 1):
            time.sleep(57 if minute == minutes else 60)  # measure for the last time before they end
            print(f"minute {minute}: {sum(map(resident_mb, live))} MB resident in {streams} processes", flush=True)
        for process in live:
            print(process.communicate()[1].strip().splitlines()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--minutes", type=int, default=10)
    main(**vars(parser.parse_args()))
