"""Recognize gestures in a live stream from a camera, or from a video: frames go in, a prediction every few frames.

python examples/stream_frames.py 0                            the first camera, until Ctrl-C
python examples/stream_frames.py video.mp4 runs/mine/bundle   a file, with your own model
"""

import sys
import time

import cv2

import gesta


def frames(source):
    """RGB images [H, W, 3] and their times in seconds."""
    live = source.isdigit()
    camera = cv2.VideoCapture(int(source) if live else source)
    while True:
        there, image = camera.read()
        if not there:
            return
        time_s = time.monotonic() if live else camera.get(cv2.CAP_PROP_POS_MSEC) / 1000
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time_s


def main(source, bundle="demo"):
    stream = gesta.load(bundle).open_stream()  # "demo" is the model that comes with gesta
    for image, time_s in frames(source):
        for found in stream.push(image, time_s):
            print(f"{found.time_s:.1f} s  {found.label}  {found.confidence:.2f}")
    for found in stream.finish():  # the remaining frames
        print(f"{found.time_s:.1f} s  {found.label}  {found.confidence:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
