"""A tiny folder of stored features with captions: one class goes up, the other down, some of either twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gesta.schema import Resource, Sample
from gesta.tasks.feature_store import FeatureRecipe, claim, write_index, write_shard

RECIPE = FeatureRecipe("skeleton", "", "joints", True, 1, None, 4, 4)
SAID = {
    "up": ("a person waves", "somebody waves once"),
    "down": ("a person knocks", "somebody knocks once"),
    "up twice": ("a person waves twice", "somebody waves two times"),
}
GLOSSES = {"up": "WAVE", "down": "KNOCK", "up twice": "WAVE WAVE"}
PEOPLE = {"train": 4, "val": 1, "test": 1}


def features(label: str, rng: np.random.Generator) -> np.ndarray:
    length = int(rng.integers(4, 7))
    slope = np.linspace(0, -1 if label == "down" else 1, length)
    once = np.stack([slope, np.ones(length)], 1)
    found = np.concatenate([once, once]) if "twice" in label else once
    return (found + rng.normal(0, 0.05, found.shape)).astype(np.float32)


def write(folder: Path, takes: int = 4) -> Path:
    """`takes` of each class by each of six people, who are train, val or test."""
    rng, samples, found = np.random.default_rng(0), [], {}
    people = [(part, f"{part}{i}") for part, count in PEOPLE.items() for i in range(count)]
    for part, person in people:
        for label in SAID:
            for take in range(takes):
                name = f"{person}_{label.replace(' ', '_')}_{take}.mp4"
                place = Resource(folder / name)
                samples.append(Sample(name, name, place, label=label, subject=person, split=part))  # type: ignore[arg-type]
                found[name] = features(label, rng)
    claim(folder, RECIPE, "index_csv")
    write_shard(folder, "0000", found, RECIPE)
    write_index(folder, samples, RECIPE, [])
    rows = [f"{s.id},{caption},{GLOSSES[str(s.label)]}" for s in samples for caption in SAID[str(s.label)]]
    (folder / "captions.csv").write_text("path,caption,glosses\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder
