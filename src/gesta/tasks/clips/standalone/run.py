"""Says which gesture or action is in a video; camera.py says it of a camera. Needs no gesta.

    pip install numpy onnxruntime    (and av to read videos)
    python run.py --check            computes the example in golden.npz and compares the answers
    python run.py wave.mp4 clap.mp4  names what is in each video; if the model finds gestures in long videos, each one
In a program of your own:
    model = Recognizer("model.onnx")
    answers = model.push(frames, times)             # again and again, as many frames at a time as you like
    answers = model.push(frames, times, last=True)  # the end of the recording; the next push begins a new one
frames: uint8 array [T, height, width, 3]: red, green, blue; upright; of one size within a recording.
times: T seconds, when each frame was taken; any frame rate will do. Details: preprocessing.md.
For skeletons: joints, float32 [T, J, D], NaN where missing, in the order of model.notes["joints"]; .npy at 30 frames/s.
answers: pairs (until which second, probabilities in the order of model.labels); the last one is about all of it.
If the model finds gestures in long videos, model.events(answers) gives those that have ended (see decoder.py).
"""

import json
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime

MODEL, GOLDEN = (Path(__file__).with_name(name) for name in ("model.onnx", "golden.npz"))
TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(double)": np.float64}
GRAY = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)  # of a video's luma


class Recognizer:
    def __init__(self, file=MODEL):
        onnxruntime.set_default_logger_severity(3)
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self.notes, self.state = self.session.get_modelmeta().custom_metadata_map, {}
        self.labels, self.finds = json.loads(self.notes["labels"]), "decoder" in self.notes
        if self.finds:
            from decoder import Decoder

            numbers = SimpleNamespace(**json.loads(self.notes["decoder"]))
            self.decoder = Decoder(numbers, self.labels, numbers.half_s)

    def push(self, frames, times, last=False):
        """Returns [(until second, probabilities), ...]: one every few frames, often none yet. Raises ValueError."""
        port = self.session.get_inputs()[0]
        sizes = zip(port.shape, frames.shape, strict=False)
        fits = frames.ndim == len(port.shape) and all(isinstance(n, str) or n == m for n, m in sizes)
        if not fits or frames.dtype != TYPES[port.type]:
            raise ValueError(f"it is {frames.dtype} {frames.shape}; expected {TYPES[port.type].__name__} {port.shape}")
        if not self.state:
            self.state = self.beginning(*frames.shape[1:3])
        given = {"frames": frames, "times_s": np.asarray(times, np.float64), "last": np.array(last)}
        names = [port.name for port in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(names, given | self.state), strict=True))
        self.state = {} if last else {name: found[name + "_out"] for name in self.state}
        return list(zip(found["ends_s"].tolist(), found["probabilities"], strict=True))

    def beginning(self, height, width):
        """Returns the initial state, zeros; dimensions chosen by the model itself are 0."""
        sizes, ports = {"height": height, "width": width}, self.session.get_inputs()[3:]  # behind frames, times, last
        shapes = [[n if isinstance(n, int) else sizes.get(n, 0) for n in port.shape] for port in ports]
        return {port.name: np.zeros(shape, TYPES[port.type]) for port, shape in zip(ports, shapes, strict=True)}

    def events(self, answers, last=False):
        """Returns the gestures that have ended, for a model that finds them; with `last`, also the one in progress."""
        found = [event for end, row in answers for event in self.decoder.step([end], [row])]
        return found + (self.decoder.finish() if last else [])


def read(video, color):
    """Yields (frame, second) of a video file, in its stored orientation, or of a .npy file of joints."""
    if video.endswith(".npy"):
        joints = np.float32(np.lib.format.open_memmap(video, mode="r"))  # never loads pickles
        return (yield from zip(joints, np.arange(len(joints)) / 30, strict=True))
    import av

    for frame in av.open(video).decode(video=0):
        image = frame.to_ndarray(format="rgb24" if color else "yuv444p")  # gray as it is stored
        yield image if color else np.stack([GRAY[image[0]]] * 3, axis=-1), float(frame.time)


def predict(model, frames):
    """Returns all answers for a recording, from (frame, second) one by one."""
    frames, answers = iter(frames), []
    held = list(islice(frames, 16)) or sys.exit("The file has no frames. Is it complete?")
    while held:
        now, held = held, list(islice(frames, 16))
        answers += model.push(*map(np.stack, zip(*now, strict=True)), last=not held)
    return answers


def check(model):
    """Checks that this machine gets the same results as gesta."""
    golden = np.load(GOLDEN)
    _, found = predict(model, zip(golden["frames"], golden["times_s"], strict=True))[-1]
    expected = golden["probabilities"]
    difference = float(np.abs(found - expected).max())
    same = found.argmax() == expected.argmax() and difference <= 0.01
    print(f"{'same' if same else 'NOT the same'}; largest difference of a probability {difference:.2g}")
    return int(not same)


def main(wanted):
    if not wanted or wanted[0] in ("-h", "--help"):
        sys.exit(__doc__)
    model = Recognizer()
    if wanted[0] == "--check":
        sys.exit(check(model))
    for video in wanted:
        try:
            answers = predict(model, read(video, model.notes["color"] == "1"))
        except Exception as error:
            sys.exit(f"{video}: cannot be used ({error}).")
        best = ", ".join(f"{model.labels[i]} {row[i]:.4f}" for _, row in answers[-1:] for i in np.argsort(-row)[:3])
        events = [video, *(event.line for event in model.events(answers, last=True))] if model.finds else []
        print("\n".join(events) or f"{video}  {best}")


if __name__ == "__main__":
    main(sys.argv[1:])
