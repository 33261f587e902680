"""Recordings as gray 64 x 64 body crops, for the baselines that must fail on synthetic data."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np

from gesta.synthetic.chalearn2014 import Task
from gesta.synthetic.recording import prepare, skeleton_rows

SIDE = 64


def body_crop(gray: np.ndarray, joints_uv: np.ndarray) -> np.ndarray:
    """The spec's box around HipCenter, (64, 64) float32."""
    hip, head = joints_uv[0], joints_uv[3]
    h = max(float(np.linalg.norm(hip - head)), 10.0)
    across, down = SIDE / (2 * h), SIDE / (2.1 * h)
    move = np.array([[across, 0, (h - hip[0]) * across], [0, down, (1.4 * h - hip[1]) * down]])
    return cv2.warpAffine(gray, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR).astype(np.float32)


def summaries(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean crop and middle crop of every gesture of a recording, masked gray, and the gesture ids."""
    recording = prepare(task.plan)
    uv = skeleton_rows(recording.tracked, task.plan.size).reshape(len(recording), 20, 9)[..., 7:]
    means = [np.zeros((SIDE, SIDE), np.float32) for _ in recording.spans]
    middles = list(means)
    for t, frame in enumerate(recording.frames()):
        inside = [i for i, s in enumerate(recording.spans) if s.first <= t <= s.last]
        if not inside:
            continue
        gray = cv2.cvtColor(frame.color, cv2.COLOR_RGB2GRAY) * (frame.user > 127)
        crop = body_crop(gray, uv[t])
        for i in inside:
            span = recording.spans[i]
            means[i] = means[i] + crop / (span.last - span.first + 1)
            if t == (span.first + span.last) // 2:
                middles[i] = crop
    return np.stack(means), np.stack(middles), np.array([s.gesture for s in recording.spans])


def all_summaries(tasks: list[Task], workers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`summaries` of many recordings, one after another."""
    if workers == 1:
        parts = [summaries(task) for task in tasks]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(summaries, tasks))
    means, middles, ids = zip(*parts, strict=True)
    return np.concatenate(means), np.concatenate(middles), np.concatenate(ids)


def nearest_accuracy(train: np.ndarray, train_ids: np.ndarray, test: np.ndarray, test_ids: np.ndarray) -> float:
    """Share of test images whose nearest training image (Euclidean) has their id."""
    a, b = test.reshape(len(test), -1), train.reshape(len(train), -1)
    distance = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    return float((train_ids[distance.argmin(1)] == test_ids).mean())
