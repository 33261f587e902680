"""`gesta card`: the header says what was measured and nothing else, and the rest is the bundle's own card."""

import json

import pytest
import yaml
from bundle.test_bundle_io import manifest

from gesta.bundle import card, hub
from gesta.tasks import catalog
from gesta.tasks.clips.manifest import ClipManifest

MEASURED = {
    "test_accuracy": 0.8125,
    "test_accuracy_interval": [0.7, 0.9],
    "test_n": 16,
    "test_people": 2,
    "val_accuracy": 0.75,
    "train_accuracy": 0.99,
    "best_epoch": 3,
}
NAMES = ["accuracy", "top5"]


def rendered(made: ClipManifest, *publication: hub.Publication) -> str:
    return hub.render(made, hub.header(made, "gestures", NAMES, *publication))


def parts(text: str) -> tuple[dict, str]:
    empty, header, body = text.split("---\n", 2)
    assert empty == ""
    return yaml.safe_load(header), body


def test_header_holds_what_was_measured_on_other_clips_than_those_of_the_training() -> None:
    made = manifest(metrics=MEASURED)
    found, body = parts(rendered(made, hub.Publication("mit", ("en",), "My gestures")))
    assert found["license"] == "mit" and found["language"] == ["en"] and found["tags"] == ["gesta", "clips", "torch"]
    (index,) = found["model-index"]
    test, val = index["results"]
    assert test["task"] == {"type": "video-classification", "name": "gestures"}
    assert test["dataset"] == {"type": "videos", "name": "My gestures, test part", "split": "test"}
    named = "accuracy (95 % interval 0.700 to 0.900, n = 16, people = 2)"
    assert test["metrics"] == [{"type": "accuracy", "value": 0.8125, "name": named}]
    assert val["metrics"] == [{"type": "accuracy", "value": 0.75, "name": "accuracy"}]
    assert body == "\n" + card.render(made)


def test_nothing_measured_is_no_result_and_no_metric() -> None:
    found, _ = parts(rendered(manifest()))
    assert found.keys() == {"library_name", "pipeline_tag", "tags"}


def test_a_strangers_name_stays_a_value_of_the_header() -> None:
    made = manifest(name="x\n---\nlicense: mit", metrics=MEASURED)
    found, body = parts(rendered(made))
    assert "license" not in found and found["model-index"][0]["name"].startswith("x") and body.startswith("\n# x")


@pytest.mark.parametrize("name", [name for name in catalog.names() if name != "images"])  # which has no bundles
def test_every_task_has_results_to_show(name: str) -> None:
    task = catalog.find(name)
    shown = hub.measures(task.quality.measured, task.quality.trained, task.kept)
    assert shown[0] == task.quality.measured and not {"n", "people", "frames"} & set(shown)


def test_command_prints_the_card(gesta) -> None:
    shown = gesta("card", "demo", "--license", "apache-2.0", "--language", "it")
    found, body = parts(shown.stdout)
    assert found["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.81 and "## Measured" in body
    document = json.loads(gesta("card", "demo", "--license", "apache-2.0", "--language", "it", "--json").stdout)
    assert document == {"header": found, "card": shown.stdout}
