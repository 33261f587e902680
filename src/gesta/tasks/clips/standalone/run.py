"""Says which of a model's gestures or actions is in a video, or in front of a camera. Needs no gesta.

    pip install numpy onnxruntime opencv-python    (opencv-python reads videos and cameras; the model itself needs none)
    python run.py --check                          compute the example in golden.npz and compare with its answers
    python run.py wave.mp4 clap.mp4                name what is in each video
    python run.py --camera 0                       name what the camera sees while it sees it; Ctrl-C ends

In a program of your own (copy the class):

    model = Recognizer("model.onnx")
    answers = model.push(frames, times)            # again and again, with as many frames at a time as you like
    answers = model.push(frames, times, last=True) # the end of the recording; the next push begins a new one

frames: uint8 array [T, height, width, 3], red, green, blue, upright, of one size within a recording.
times:  T seconds, when each frame was taken. Any frame rate will do; below the model's own, frames count twice.
answer: (second until which the model has seen, probabilities in the order of model.labels). The last answer of a
        recording is the one about all of it.

The whole preparation of the pixels is inside model.onnx; preprocessing.md tells what happens there.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(double)": np.float64}
PIECE = 16  # frames of a video that are read at a time
LARGEST_DIFFERENCE = 0.01  # of a probability, that --check passes


class Recognizer:
    """Follows one recording at a time."""

    def __init__(self, file=HERE / "model.onnx"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.notes = self.session.get_modelmeta().custom_metadata_map
        self.labels = json.loads(self.notes["labels"])
        self.state = {}

    def push(self, frames, times, last=False):
        """[(until second, probabilities), ...]: an answer for each few frames, often none yet."""
        if not self.state:
            self.state = self.beginning(*frames.shape[1:3])
        given = {"frames": frames, "times_s": np.asarray(times, np.float64), "last": np.array(last)}
        values = self.session.run(None, {**given, **self.state})
        found = {port.name: value for port, value in zip(self.session.get_outputs(), values, strict=True)}
        self.state = {} if last else {name: found[name + "_out"] for name in self.state}
        return list(zip(found["ends_s"].tolist(), found["probabilities"], strict=True))

    def beginning(self, height, width):
        """What the model remembers between pushes, before the first: zeros; sizes that it chooses itself are 0."""
        sizes = {"height": height, "width": width}
        ports = self.session.get_inputs()[3:]  # behind frames, times and last
        shapes = [[n if isinstance(n, int) else sizes.get(n, 0) for n in port.shape] for port in ports]
        return {port.name: np.zeros(shape, TYPES[port.type]) for port, shape in zip(ports, shapes, strict=True)}

    def forget(self, answers):
        """For a camera, which has no end: begins anew after so many answers, or keeps the last frames only."""
        window, limit = int(self.notes["window"]), int(self.notes["reset_after_chunks"])
        if window and self.state:
            self.state["clip"] = self.state["clip"][-window:]
        elif limit and answers and answers % limit == 0:
            self.state = {}


def read(source):
    """(frame, second) of a video file, or of a camera by its number."""
    import cv2

    video = cv2.VideoCapture(source)
    if not video.isOpened():
        sys.exit(f"{source}: cannot be opened. Give a video file, or --camera with the number of a camera (0).")
    while (got := video.read())[0]:
        second = time.monotonic() if isinstance(source, int) else video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        yield cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB), second


def predict(model, frames):
    """Probabilities for a whole recording, from (frame, second) one by one."""
    held, answers = [], []
    for pair in frames:
        if len(held) == PIECE:
            answers += model.push(*map(np.stack, zip(*held, strict=True)))
            held = []
        held.append(pair)
    if not held:
        sys.exit("The video has no frames. Is the file complete?")
    return (answers + model.push(*map(np.stack, zip(*held, strict=True)), last=True))[-1][1]


def check(model):
    """Whether this machine computes what gesta computed."""
    golden = np.load(HERE / "golden.npz")
    found = predict(model, zip(golden["frames"], golden["times_s"], strict=True))
    difference = float(np.abs(found - golden["probabilities"]).max())
    same = found.argmax() == golden["probabilities"].argmax() and difference <= LARGEST_DIFFERENCE
    print(f"{'the same' if same else 'NOT the same'}: largest difference of a probability {difference:.2g}")
    return 0 if same else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", help="video files")
    parser.add_argument("--camera", type=int, help="number of a camera, usually 0")
    parser.add_argument("--check", action="store_true", help="compare with golden.npz")
    parser.add_argument("--json", action="store_true", help="all probabilities, one line of JSON a video")
    wanted, model = parser.parse_args(), Recognizer()
    if wanted.check:
        return check(model)
    for video in wanted.videos:
        found = dict(zip(model.labels, map(float, predict(model, read(video))), strict=True))
        best = sorted(found, key=found.get, reverse=True)
        document = {"input": video, "label": best[0], "probabilities": found}
        print(json.dumps(document) if wanted.json else f"{video}  " + ", ".join(f"{n} {found[n]:.2f}" for n in best[:3]))
    answers = 0
    for frame, second in read(wanted.camera) if wanted.camera is not None else ():
        for _, probabilities in model.push(frame[None], [second]):
            answers += 1
            print(f"{probabilities.max():.2f}  {model.labels[probabilities.argmax()]}", flush=True)
        model.forget(answers)
    return 0 if wanted.videos or wanted.camera is not None else parser.error("give videos, --camera or --check")


if __name__ == "__main__":
    sys.exit(main())
