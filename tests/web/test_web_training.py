"""A training and its measurement as their processes do them, with a recipe cut short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from web.studio_help import Page, opened, wave

from gesta.tasks import catalog
from gesta.web.jobfiles import STOP, Asked
from gesta.web.messages_work import JobBody
from gesta.web.work_export import export, file_name
from gesta.web.work_measure import measure
from gesta.web.work_train import train

pytestmark = pytest.mark.slow
MODEL = "2026-11-27-1406"
SHORT = ("training.epochs=3", "continuous.windows=4", "continuous.window_s=2.4", "model.width=0.125", "input.size=32")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people who wave, or hold still a moment and wave darker, and do nothing."""
    pytest.importorskip("lightning")
    found = tmp_path_factory.mktemp("training") / "data"
    with opened(found) as page:
        page.label("wave")
        page.label("bow")
        for person in ("anna", "ben"):
            for _ in range(2):
                page.record("wave", person)
                page.record("bow", person, frames=[(t, d) for t, d in wave(2.0, level=60)])
            page.record("none", person, frames=[(t, wave()[0][1]) for t, _ in wave(4.0)])
    (found.parent / "short.yaml").write_text(
        yaml.safe_dump(catalog.load_recipe("live", SHORT).model_dump(mode="json", exclude_none=True))
    )
    return found


def told(seen: list[dict[str, Any]]) -> Any:
    return lambda **values: seen.append(values)


def asked(root: Path, work: Any, **values: Any) -> Asked:
    return Asked(
        id="0123456789ab", work=work, model=MODEL, recipe=str(root.parent / "short.yaml"), made=1.0, runs=1, **values
    )


def test_a_training_is_stopped_tried_measured_and_exported(root: Path) -> None:
    folder, seen = root / ".studio" / "jobs" / "0123456789ab", list[dict[str, Any]]()
    folder.mkdir(parents=True)
    (folder / STOP).touch()
    result = train(root, folder, asked(root, "train"), told(seen))
    assert result == {"stopped": True, "epochs": 1}
    assert {k: v for k, v in seen[-1].items() if k in ("of", "train_n", "val_n")} == {
        "of": 3,
        "train_n": 12,
        "val_n": 0,
    }
    assert any("motion" in note.title for note in seen[-1]["notes"])
    (folder / STOP).unlink()
    measured = measure(root, folder, asked(root, "measure"), told(seen))
    assert measured == {"people": 2} and seen[-1]["doing"] == "2 of 2 people measured"
    with opened(root) as page:
        check_results(page)
        check_thresholds(page)
    export(root, folder, asked(root, "export", to="clips"), told(seen))
    assert (root / ".studio" / "runs" / MODEL / "files" / file_name(root, "clips")).is_file()


def check_results(page: Page) -> None:
    (model, *_) = page.ask("GET", "/state")["models"]
    assert (model["trained_on"], model["newer_clips"], model["labels"]) == (["anna", "ben"], 0, ["bow", "none", "wave"])
    assert model["sentence"] == "Trained on anna and ben. Try it with someone new as well."
    found = page.ask("GET", f"/models/{MODEL}/results")
    assert (found["state"], found["n"], [one["n"] for one in found["people"]]) == ("measured", 12, [6, 6])
    assert found["alarms"]["seconds"] == pytest.approx(7.9, abs=0.2) and found["alarms"]["of"] == 8
    assert sum(map(sum, found["confusion"])) == 12


def check_thresholds(page: Page) -> None:
    body = {"on": 0.85, "off": 0.2, "least_s": 0.5}
    page.ask("PATCH", f"/models/{MODEL}", json=body)
    decoder = catalog.read_bundle(page.studio.models.place(MODEL) / "bundle").manifest.decoder
    assert {name: getattr(decoder, name) for name in body} == body
    facts = json.loads((page.studio.models.place(MODEL) / "model.json").read_text())
    assert facts["chosen"]["on"] != 0.85
    assert JobBody(kind="measure").model is None
