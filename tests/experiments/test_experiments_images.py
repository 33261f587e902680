"""Tables about networks for images: what is planned, how results become a table, and a whole one on a tiny set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesta.compression.magnitudes import magnitudes
from gesta.experiments import image_tables as experiment
from gesta.experiments import tables
from gesta.experiments.image_catalog import IMAGE_SCALES, IMAGE_TABLES
from gesta.experiments.table import Plan, Wanted
from gesta.files import write_json
from gesta.models.catalog import build_image
from gesta.schema import GestaError
from gesta.sources import cifar as reader
from gesta.synthetic import cifar as generator
from gesta.tasks.catalog import load_recipe
from gesta.tasks.images.fit import ImageExamples, fit, recognize, weights_of, with_weights
from gesta.training.learner import LossNotFinite
from gesta.training.run import Run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifar10")
    generator.make(folder, "cifar10", images=100)
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planned(data: Path, out: Path, name: str = "mullick/table-4.4", **changes: Any) -> Plan:
    return tables.find(name).plan(data, "Tiny:", Wanted(out, **{"seeds": 2, **changes}))


def table(name: str = "mullick/table-4.4") -> experiment.ImageTable:
    return experiment.ImageTable(name, IMAGE_TABLES[name])


def test_a_table_trains_three_networks_by_both_optimizers_alike(data: Path, tmp_path: Path) -> None:
    plan = planned(data, tmp_path)
    assert "6 rows x 2 seeds: 12 training runs, 0 of them already done" in plan.cost
    assert "100 training images (10% of them to choose the epoch), 20 test images" in plan.note
    recipes = [line.job.arguments["recipe"] for line in plan.lines]
    assert {(r.model.name, r.training.optimizer, r.training.learning_rate) for r in recipes} == {
        (net, *by) for net in ("resnet_cifar", "nin", "vgg") for by in (("sgd", 0.3), ("adam", 0.003))
    }
    assert len({(r.training.epochs, r.training.batch, r.training.weight_decay) for r in recipes}) == 1
    assert len(plan.trainings) == 12


def test_figures_share_the_tables_trainings_and_data_sets_do_not(data: Path, tmp_path: Path) -> None:
    keys = list(planned(data, tmp_path).trainings)
    assert list(planned(data, tmp_path, "mullick/figure-4.4").trainings) == keys
    generator.make(tmp_path / "other", "cifar10", images=100, seed=1)
    assert not set(keys) & set(planned(tmp_path / "other", tmp_path).trainings)


def test_every_table_has_its_recipes_at_every_scale() -> None:
    for table in IMAGE_TABLES.values():
        for pair in table.pairs:
            for optimizer in experiment.OPTIMIZERS:
                for scale in IMAGE_SCALES.values():
                    load_recipe(f"{pair.recipe}-{optimizer}", scale.overrides)


def test_the_quick_scale_takes_ten_minutes_of_one_core() -> None:
    quick = IMAGE_SCALES["quick"]
    for table in IMAGE_TABLES.values():
        trainings = quick.seeds * len(experiment.OPTIMIZERS)
        assert trainings * quick.minutes * sum(pair.cost for pair in table.pairs) <= 10


def test_reported_reductions_fit_the_reported_parameters() -> None:
    for table in IMAGE_TABLES.values():
        for pair in table.pairs:
            assert abs(100 * (1 - pair.adam.millions / pair.sgd.millions) - pair.reduction) < 1.5


def test_mistakes_are_explained(data: Path, tmp_path: Path) -> None:
    with pytest.raises(GestaError, match=r"Did you mean training\.epochs"):
        planned(data, tmp_path, sets=("training.epoch=1",))
    with pytest.raises(GestaError, match="not cifar100 in Python batches"):
        planned(data, tmp_path, "mullick/table-4.5")


def result(seed: int, accuracy: float, kept: int) -> dict[str, Any]:
    shown = {"counts": [0] * 70, "zeros": 0, "below_threshold": 100 - kept, "threshold": 2.0**-20}
    return {
        "accuracy": accuracy,
        "pruned_accuracy": accuracy - 0.01,
        "parameters": 100,
        "kept": kept,
        "magnitudes": {**shown, "share_below": (100 - kept) / 100},
        "seed": seed,
        "seconds": 60.0,
    }


def test_lines_name_what_diverged_and_count_the_rest() -> None:
    pair = IMAGE_TABLES["mullick/table-4.4"].pairs[2]
    lost = {"diverged": "The loss became nan", "seed": 0, "seconds": 1.0}
    adam = experiment.line(pair.adam, [result(0, 0.90, 20), result(1, 0.92, 30)])
    sgd = experiment.line(pair.sgd, [lost, result(1, 0.80, 99)])
    row = {"label": "VGG", "sgd": sgd, "adam": {**adam, "reported_reduction": pair.reduction}}
    assert table().cells(row) == [
        "VGG",
        "14.99 M, 89.46",
        "0.00 M, 80.00 (diverged: seed 0)",
        "3.57 M, 89.16 (-76.19 %)",
        "91.00 ± 1.41",
        "0.00 M, 90.00 ± 1.41 (-75.00 %)",
        "1.00, 75.00 ± 7.07",
    ]
    everything_lost = {**row, "sgd": experiment.line(pair.sgd, [lost])}
    assert table().cells(everything_lost)[2] == "diverged: seed 0"


def test_batches_keep_images_upright_and_labels_beside_them(data: Path) -> None:
    train, _ = reader.read(data, "cifar10")
    batch = ImageExamples(train).collate([3, 1])
    assert batch["clip"].shape == (2, 3, 32, 32) and batch["clip"].dtype == torch.uint8
    assert np.array_equal(batch["clip"][0].permute(1, 2, 0).numpy(), train.pixels[3])
    assert batch["target"].tolist() == train.labels[[3, 1]].tolist()


def test_recognize_in_parts_is_recognize_at_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = build_image("resnet_cifar", classes=10)
    pixels = reader.read(data, "cifar10")[1].pixels
    at_once = recognize(network, pixels)
    monkeypatch.setattr("gesta.tasks.images.fit.EVALUATED", 3)
    assert np.array_equal(recognize(network, pixels), at_once)


def test_weights_go_out_and_in_again() -> None:
    one, other = (build_image("resnet_cifar", classes=2) for _ in range(2))
    with_weights(other, weights_of(one))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.integration
def test_training_learns_repeats_and_tells_divergence(data: Path, tmp_path: Path) -> None:
    train, test = reader.read(data, "cifar10")
    train = train.take(np.flatnonzero(train.labels < 2)[:16])
    small = ["training.epochs=3", "training.batch=8", "training.learning_rate=0.002"]
    recipe = load_recipe("mullick/cifar-resnet-adam", small)

    def run(name: str) -> Run:
        return Run(tmp_path / name, device="cpu", progress=False)

    runs = [fit(train, train, recipe, run(n)) for n in ("a", "b")]
    assert runs[0].history[-1]["train_loss"] < runs[0].history[0]["train_loss"]
    assert recognize(runs[0].network, train.pixels).tolist() == recognize(runs[1].network, train.pixels).tolist()
    assert weights_of(runs[0].network)["stem.weight"].tolist() == weights_of(runs[1].network)["stem.weight"].tolist()
    with pytest.raises(GestaError, match="different classes"):
        fit(train, reader.Images(test.pixels, test.labels, ("a",) * 10), recipe, run("c"))
    wild = load_recipe("mullick/cifar-nin-sgd", [*small, "training.learning_rate=1e6"])
    with pytest.raises(LossNotFinite, match="Lower the learning rate"):
        fit(train, train, wild, run("d"))


@pytest.mark.integration
def test_trial_prunes_what_adam_left_and_measures_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reader.read
    monkeypatch.setattr(reader, "read", lambda *a: tuple(part.take(np.arange(20)) for part in whole(*a)))
    recipe = load_recipe("mullick/cifar-resnet-adam", ["training.epochs=1", "training.batch=10"])
    found = experiment.run_image_trial(data, "cifar10", recipe, tmp_path / "trial", 0, "cpu")
    assert found["parameters"] == 489_594 and found["kept"] <= found["parameters"] and found["n"] == 20
    assert sum(found["magnitudes"]["counts"]) + found["magnitudes"]["zeros"] > 480_000
    json.dumps(found, allow_nan=False)
    assert not (tmp_path / "trial").exists()
    wild = ["training.epochs=2", "training.learning_rate=1e6", "training.batch=6"]
    lost = load_recipe("mullick/cifar-nin-sgd", wild)
    found = experiment.run_image_trial(data, "cifar10", lost, tmp_path / "lost", 0, "cpu")
    assert "Lower the learning rate" in found["diverged"] and not (tmp_path / "lost").exists()


@pytest.mark.integration
def test_finished_trainings_become_a_table_and_a_figure_a_network(data: Path, tmp_path: Path) -> None:
    plan = planned(data, tmp_path, "mullick/figure-4.4", seeds=1)
    for line in plan.lines:
        job, lost = line.job, line.label == "Network in Network by sgd"
        found = {"diverged": "nan", "seed": 0, "seconds": 1.0} if lost else result(0, 0.5, 40)
        if not lost:
            spread = np.random.default_rng(0).normal(-30 if line.label.endswith("adam") else -7, 3, (1000, 10))
            shown = magnitudes({"w": (2.0**spread).astype(np.float32)}).document()
            found |= {"magnitudes": shown}
        write_json(job.result, {"key": job.key, **found})
    document = table("mullick/figure-4.4").run(planned(data, tmp_path, "mullick/figure-4.4", seeds=1), tmp_path)
    text = Path(document["files"]["table"]).read_text(encoding="utf-8")
    assert "| Network in Network | 1.00 M, 86.53 | diverged: seed 0 | 0.89 M, 85.74 (-11.6 %) | 50.00 |" in text
    assert "Tiny: 100 training images" in text and "Reported: Mullick 2018, chapter 4, figure 4.4." in text
    drawn = [Path(file) for name, file in document["files"].items() if name.startswith("figure")]
    assert [path.name for path in drawn] == ["resnet.png", "network-in-network.png", "vgg.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


@pytest.mark.slow
def test_a_figure_on_a_tiny_set(data: Path, tmp_path: Path) -> None:
    plan = planned(data, tmp_path, "mullick/figure-4.4", seeds=1, sets=("training.epochs=1",))
    document = table("mullick/figure-4.4").run(plan, tmp_path)
    assert [row["label"] for row in document["rows"]] == ["ResNet", "Network in Network", "VGG"]
    assert all(Path(file).exists() for file in document["files"].values())
    assert planned(data, tmp_path, seeds=1, sets=("training.epochs=1",)).todo == []
