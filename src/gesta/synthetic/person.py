"""A synthetic person: proportions, appearance and habits, determined by (seed, index) alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SKIN = np.array(
    [[245, 214, 190], [232, 190, 160], [214, 164, 128], [190, 138, 100], [150, 102, 70], [108, 72, 50]], dtype=float
)
_HAIR = np.array(
    [[34, 26, 22], [62, 42, 28], [104, 72, 44], [170, 132, 82], [120, 118, 116], [84, 38, 24]], dtype=float
)
_PATTERNS = ("plain", "plain", "stripes", "bars", "checks", "print", "halves")


@dataclass(frozen=True)
class Difficulty:
    """Settings of a preset: variation of people and repetitions, sensor noise, probability of filler movements."""

    people: float
    repetition: float
    sensor: float
    fillers: float


PRESETS = {
    "easy": Difficulty(people=0.6, repetition=0.6, sensor=0.5, fillers=0.2),
    "standard": Difficulty(people=1.0, repetition=1.0, sensor=1.0, fillers=0.35),
    "hard": Difficulty(people=1.5, repetition=1.4, sensor=1.7, fillers=0.55),
}


@dataclass(frozen=True)
class Clothes:
    """Colors are RGB 0-255. `sleeve` is the covered fraction of the arm: 0.45 short, 1 long."""

    color: Array
    second: Array
    pattern: str
    period: float  # length of one repeat of the pattern, meters
    sleeve: float
    trousers: Array


@dataclass(frozen=True)
class Person:
    """Lengths in meters. `torso` is the distance from HipCenter to Head, the unit of the gesture programs."""

    index: int
    torso: float
    shoulder: float  # half the distance between the shoulders
    upper_arm: float
    forearm: float
    hand: float  # scale of the hand, 1 = average
    girth: float  # half the width of the trunk
    head: float  # scale of the head
    skin: Array
    hair: Array
    hair_style: str
    beard: bool
    glasses: bool
    clothes: Clothes
    left_handed: bool
    tempo: float  # > 1 is slower
    amplitude: float
    elbow_out: float
    speed_skew: float  # -1..1: slow start or slow end of each movement
    pause: float  # frames held between repetitions
    eager: float  # probability of an extra repetition
    idle: str  # position of the idle hand: hang, hip or belly
    place_offset: Array  # (2, 3) habitual displacement of the gestures, main and other hand, in torso lengths
    tilt: Array  # (3,) habitual rotation of the hands, radians
    stiffness: Array  # (4,) habitual bend of the fingers, degrees
    sway: float


def muted(rng: np.random.Generator, low: float, high: float) -> Array:
    """Returns a random RGB color that is rarely garish."""
    color = rng.uniform(low, high, 3)
    return color.mean() + rng.uniform(0.15, 0.75) * (color - color.mean())


def _clothes(rng: np.random.Generator, skin: Array) -> Clothes:
    color = muted(rng, 25, 235)
    while abs(float(color.mean() - skin.mean())) < 38:  # the hand must stand out from the shirt
        color = muted(rng, 25, 235)
    second = np.clip(color + rng.choice([-1, 1]) * rng.uniform(20, 60, 3), 10, 245)
    if abs(float(second.mean() - skin.mean())) < 25:
        second = np.clip(2 * color - second, 10, 245)
    return Clothes(
        color=color,
        second=second,
        pattern=str(rng.choice(_PATTERNS)),
        period=float(rng.uniform(0.05, 0.12)),
        sleeve=float(rng.choice([0.4, 1.0], p=[0.35, 0.65])),
        trousers=muted(rng, 20, 120),
    )


def make_person(seed: int, index: int, difficulty: Difficulty) -> Person:
    """Returns person `index` of population `seed`; the same values give the same person everywhere."""
    rng = np.random.default_rng([seed, 101, index])
    spread = difficulty.people
    height = float(np.clip(rng.normal(1.71, 0.09), 1.5, 1.95))
    skin = np.clip(_SKIN[rng.integers(len(_SKIN))] + rng.normal(0, 6, 3), 20, 255)
    return Person(
        index=index,
        torso=height * float(rng.normal(0.388, 0.008)),
        shoulder=height * float(rng.normal(0.108, 0.005)),
        upper_arm=height * float(rng.normal(0.170, 0.005)),
        forearm=height * float(rng.normal(0.151, 0.004)),
        hand=float(rng.normal(1.16, 0.05)) * height / 1.71,
        girth=height * float(np.clip(rng.normal(0.094, 0.010), 0.076, 0.122)),
        head=float(rng.normal(1.0, 0.05)),
        skin=skin,
        hair=np.clip(_HAIR[rng.integers(len(_HAIR))] + rng.normal(0, 8, 3), 5, 255),
        hair_style=str(rng.choice(["short", "long", "bun", "bald"], p=[0.5, 0.28, 0.12, 0.1])),
        beard=bool(rng.random() < 0.2),
        glasses=bool(rng.random() < 0.25),
        clothes=_clothes(rng, skin),
        left_handed=bool(rng.random() < 0.15) or index % 9 == 7,
        tempo=float(np.exp(rng.normal(0, 0.10 * spread))),
        amplitude=float(np.clip(np.exp(rng.normal(0, 0.10 * spread)), 0.7, 1.4)),
        elbow_out=float(rng.uniform(0.15, 0.15 + 0.75 * spread)),
        speed_skew=float(rng.uniform(-0.6, 0.6) * spread),
        pause=float(rng.choice([0, 0, 1, 2])),
        eager=float(rng.uniform(0.0, 0.8)),
        idle=str(rng.choice(["hang", "hip", "belly"], p=[0.7, 0.15, 0.15])),
        place_offset=rng.normal(0, 1, (2, 3)) * np.array([0.035, 0.03, 0.03]) * spread,
        tilt=rng.normal(0, np.radians(8), 3) * spread,
        stiffness=rng.normal(0, 5, 4) * spread,
        sway=float(rng.uniform(0.5, 1.6)),
    )
