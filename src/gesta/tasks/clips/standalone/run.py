"""Says which gesture or action is in a video, or in front of a camera. Needs no gesta.

    pip install numpy onnxruntime    (and av to read videos, opencv-python to read cameras)
    python run.py --check            computes the example in golden.npz and compares the answers
    python run.py wave.mp4 clap.mp4  names what is in each video
    python run.py --camera 0         names what the camera sees while it sees it; Ctrl-C ends
In a program of your own:
    model = Recognizer("model.onnx")
    answers = model.push(frames, times)             # again and again, as many frames at a time as you like
    answers = model.push(frames, times, last=True)  # the end of the recording; the next push begins a new one
frames: uint8 array [T, height, width, 3]: red, green, blue; upright; of one size within a recording.
times: T seconds, when each frame was taken; any frame rate will do. Details: preprocessing.md.
answers: pairs (until which second, probabilities in the order of model.labels); the last one is about all of it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

MODEL, GOLDEN = (Path(__file__).with_name(name) for name in ("model.onnx", "golden.npz"))
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(double)": np.float64}
GRAY = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # of a video's luma


class Recognizer:
    def __init__(self, file=MODEL):
        onnxruntime.set_default_logger_severity(3)
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.notes = self.session.get_modelmeta().custom_metadata_map
        self.labels, self.state = json.loads(self.notes["labels"]), {}

    def push(self, frames, times, last=False):
        """[(until second, probabilities), ...]: one for every few frames, often none yet."""
        if not self.state:
            self.state = self.beginning(*frames.shape[1:3])
        given = {"frames": frames, "times_s": np.asarray(times, np.float64), "last": np.array(last)}
        names = [port.name for port in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(names, given | self.state), strict=True))
        self.state = {} if last else {name: found[name + "_out"] for name in self.state}
        return list(zip(found["ends_s"].tolist(), found["probabilities"], strict=True))

    def beginning(self, height, width):
        """What the model remembers between pushes, before the first: zeros; sizes that it chooses itself are 0."""
        sizes, ports = {"height": height, "width": width}, self.session.get_inputs()[3:]  # behind frames, times, last
        shapes = [[n if isinstance(n, int) else sizes.get(n, 0) for n in port.shape] for port in ports]
        return {port.name: np.zeros(shape, TYPES[port.type]) for port, shape in zip(ports, shapes, strict=True)}


def read(video, color):
    """(frame, second) of a video file, turned as it is stored."""
    import av

    try:
        for frame in av.open(video).decode(video=0):
            image = frame.to_ndarray(format="rgb24" if color else "yuv444p")  # gray as it is stored
            yield image if color else np.stack([GRAY[image[0]]] * 3, axis=-1), float(frame.time)
    except (OSError, av.error.FFmpegError) as error:
        sys.exit(f"{video}: cannot be read as a video ({error}).")


def predict(model, frames):
    """Probabilities for a whole recording, from (frame, second) one by one."""
    held = []
    for pair in frames:
        if len(held) == 16:
            model.push(*map(np.stack, zip(*held, strict=True)))
            held.clear()
        held.append(pair)
    held or sys.exit("The video has no frames. Is the file complete?")
    return model.push(*map(np.stack, zip(*held, strict=True)), last=True)[-1][1]


def follow(model, number):
    """Prints what a camera sees, until it is stopped. A camera has no end, so the model must forget."""
    import cv2

    window, limit = int(model.notes["window"]), int(model.notes["reset_after_chunks"])
    camera, answers = cv2.VideoCapture(number), 0
    while (got := camera.read())[0]:
        for _, probabilities in model.push(got[1][None, ..., ::-1], [time.monotonic()]):  # blue, green, red -> RGB
            answers += 1
            print(f"{probabilities.max():.2f}  {model.labels[probabilities.argmax()]}", flush=True)
        if window:
            model.state["clip"] = model.state["clip"][-window:]
        elif limit and answers == limit:
            model.state, answers = {}, 0
    sys.exit(f"Camera {number} gives no picture. Is another program using it?")


def check(model):
    """Whether this machine computes what gesta computed."""
    golden = np.load(GOLDEN)
    found, expected = predict(model, zip(golden["frames"], golden["times_s"], strict=True)), golden["probabilities"]
    difference = float(np.abs(found - expected).max())
    same = found.argmax() == expected.argmax() and difference <= 0.01
    print(f"{'same' if same else 'NOT the same'}; largest difference of a probability {difference:.2g}")
    return int(not same)


def main(wanted):
    if not wanted or wanted[0] in ("-h", "--help"):
        sys.exit(__doc__)
    model = Recognizer()
    if wanted[0] == "--check":
        return check(model)
    if wanted[0] == "--camera":
        return follow(model, int(wanted[1] if wanted[1:] else 0))
    for video in wanted:
        probabilities = predict(model, read(video, model.notes["color"] == "1"))
        best = [f"{model.labels[i]} {probabilities[i]:.4f}" for i in np.argsort(-probabilities)[:3]]
        print(f"{video}  {', '.join(best)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
