"""Says which gesture or action is in front of a camera, while it happens; Ctrl-C ends. Needs no gesta.

pip install numpy onnxruntime opencv-python
python camera.py 0
"""

import sys
import time

import cv2
from run import Recognizer


def follow(model, number):
    """Prints what the camera sees, until it is stopped. A camera has no end, so the model must forget."""
    window, limit = int(model.notes["window"]), int(model.notes["reset_after_chunks"])
    camera, count = cv2.VideoCapture(number), 0
    while (got := camera.read())[0]:
        answers = model.push(got[1][None, ..., ::-1], [time.monotonic()])  # BGR -> RGB
        count += len(answers)
        names = [f"{row.max():.2f}  {model.labels[row.argmax()]}" for _, row in answers]
        for line in [event.line for event in model.events(answers)] if model.finds else names:
            print(line, flush=True)
        if window:
            model.state["clip"] = model.state["clip"][-window:]
        elif limit and count >= limit:
            model.state, count = {}, 0
    sys.exit(f"Camera {number} gives no picture. Is another program using it?")


if __name__ == "__main__":
    follow(Recognizer(), int(sys.argv[1] if sys.argv[1:] else 0))
