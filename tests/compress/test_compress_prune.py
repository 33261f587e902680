"""Pruning, halves, 8 bits: what goes, what stays, what stays zero, and what the new bundle says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import add_networks, fit, in_memory, parts_of
from runtime.tiny_bundles import clips_for, make_bundle
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io as bundle_io
from gesta.compression import magnitudes as sizes
from gesta.compression.prune import THRESHOLD, Pruning, gradual, masked, masks_for, prune
from gesta.compression.store import store_as
from gesta.compression.weights import count, narrowed, prunable
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest
from gesta.training.callbacks import HoldZeros
from gesta.training.run import Run


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


NAMES = {
    "a.weight": np.array([[4.0, -1.0, 0.5], [2.0**-20, -(2.0**-21), 0.0]], np.float32),
    "b.weight": np.array([[0.1, 0.2], [0.3, 8.0]], np.float32),
    "b.bias": np.zeros(2, np.float32),
    "norm.running_var": np.array([1e-9, 1.0], np.float32),
    "norm.num_batches_tracked": np.array(3, np.int64),
}


def test_what_is_pruned_and_counted() -> None:
    assert prunable(NAMES) == ["a.weight", "b.weight"]
    assert count(NAMES) == (12, 9)


def test_threshold_by_hand() -> None:
    masks = masks_for(NAMES)
    assert masks["a.weight"].tolist() == [[True, True, True], [True, False, False]]
    assert masks["b.weight"].all() and set(masks) == {"a.weight", "b.weight"}
    found = masked(NAMES, masks)
    assert found["a.weight"][1].tolist() == [2.0**-20, 0, 0] and not np.signbit(found["a.weight"][1]).any()
    assert (found["norm.running_var"] == NAMES["norm.running_var"]).all()


def test_sparsity_by_hand() -> None:
    together = masks_for(NAMES, sparsity=0.5, spread="global")  # the five smallest of ten
    assert together["a.weight"].tolist() == [[True, True, True], [False, False, False]]
    assert together["b.weight"].tolist() == [[False, False], [True, True]]
    each = masks_for(NAMES, sparsity=0.5, spread="layer")
    assert each["a.weight"].tolist() == [[True, True, True], [False, False, False]]
    assert each["b.weight"].tolist() == [[False, False], [True, True]]
    assert masks_for(NAMES, sparsity=0.75, spread="layer")["b.weight"].sum() == 1


def test_adaptive_by_hand() -> None:
    """Scores: of [3, 1] are 1 and 1/10; of [0.01, 0.02, 0.02] 1/9, then 4/8 and 1 in either order."""
    given = {"a": np.array([[3.0, 1.0]]), "b": np.array([[0.01, 0.02, -0.02]])}
    gone = []
    for share in (0.2, 0.4, 0.6):
        masks = masks_for(given, sparsity=share)
        gone.append((masks["a"].tolist(), int(masks["b"].sum())))
    assert gone == [([[True, False]], 3), ([[True, False]], 2), ([[True, False]], 1)]
    tiny_weights = {"a": given["a"], "b": 1e-6 * given["b"]}  # a tensor's scale does not matter
    assert all((masks_for(tiny_weights, sparsity=0.4)[n] == masks_for(given, sparsity=0.4)[n]).all() for n in given)


@pytest.mark.parametrize("spread", ["global", "layer"])
@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9])
def test_sparsity_against_sorting(sparsity: float, spread) -> None:
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=shape).astype(np.float32) for name, shape in (("a", (7, 9)), ("b", (3, 4, 5)))}
    masks = masks_for(given, sparsity=sparsity, spread=spread)
    for group in [["a"], ["b"]] if spread == "layer" else [["a", "b"]]:
        everything = sorted(abs(float(w)) for name in group for w in given[name].flat)
        left = sorted(abs(float(w)) for name in group for w in given[name][masks[name]])
        assert left == everything[round(sparsity * len(everything)) :]


def test_the_way_to_a_sparsity() -> None:
    assert gradual(None, 1) == [None] and gradual(0.8, 1) == [0.8]
    assert gradual(0.8, 2) == pytest.approx([0.7, 0.8])
    assert gradual(0.9, 3) == pytest.approx([0.9 * 19 / 27, 0.9 * 26 / 27, 0.9])


def test_narrowing() -> None:
    rng = np.random.default_rng(0)
    given = {"w": rng.normal(size=(4, 3, 2)).astype(np.float32), "b": np.array([1e6, 0], np.float32)}
    given["w"][2] = 0
    halves, scales, kept = narrowed(given, "fp16")
    assert halves["w"].dtype == np.float16 and halves["b"].dtype == np.float32 and kept == ("b",) and not scales
    eights, scales, kept = narrowed(given, "int8")
    back = eights["w"].astype(np.float32) * scales["w"][:, None, None]
    assert np.abs(back - given["w"]).max() <= np.abs(given["w"]).max() / 127 / 2 * 1.001
    assert (back[2] == 0).all() and kept == ("b",)
    again, scales_again, _ = narrowed({"w": back}, "int8")
    assert (again["w"] == eights["w"]).all()
    assert scales_again["w"] == pytest.approx(scales["w"])


@pytest.fixture
def joint(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "cnn3d_lstm", "cnn3d_lstm")


def probabilities(bundle: Path, clips) -> np.ndarray:
    return gesta.load(bundle, engine="torch").predict_clips([clip.pixels for clip in clips])


@pytest.mark.parametrize("model", ["cnn3d_lstm", "cnn3d"])
def test_halves(model: str, tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "source", model)
    step = store_as(source, tmp_path / "half", "fp16")
    assert 0.45 < step.bytes_after / step.bytes_before < 0.6 and step.kept == ()
    bundle = bundle_io.read(step.bundle, ClipManifest)
    assert bundle.manifest.artifacts[0].precision == "fp16"
    assert bundle.manifest.metrics["steps"] == "weights stored in 16 bits"
    one, other = bundle_io.load_weights(bundle_io.read(source, ClipManifest)), bundle_io.load_weights(bundle)
    for name, array in one.items():
        expected = array.astype(np.float16).astype(np.float32) if array.dtype == np.float32 else array
        assert expected.tobytes() == other[name].tobytes() and expected.dtype == other[name].dtype
    clips = clips_for(source)
    difference = np.abs(probabilities(source, clips) - probabilities(step.bundle, clips)).max()
    assert 0 < difference < 0.05


@pytest.mark.integration
def test_a_pruned_bundle_is_sparse_runs_and_has_no_old_exports(joint: Path, tmp_path: Path) -> None:
    add_networks(joint, clips_for(joint))
    step = prune(joint, tmp_path / "pruned", Pruning(sparsity=0.8))
    assert step.emptied == ()
    bundle = bundle_io.read(step.bundle, ClipManifest)
    assert [(a.role, a.engine) for a in bundle.manifest.artifacts] == [("weights", "torch")]
    found = bundle_io.load_weights(bundle)
    names = prunable(found)
    zeros = sum(int((found[n] == 0).sum()) for n in names) / sum(found[n].size for n in names)
    assert zeros == pytest.approx(0.8, abs=1e-3)
    assert step.bytes_after < 0.55 * step.bytes_before and {t.encoding for t in step.tensors} == {"dense", "bitmap"}
    metrics = bundle.manifest.metrics
    assert metrics["nonzero_parameters"] == step.nonzero < step.parameters == bundle.manifest.parameters
    assert metrics["weights_bytes"] == step.bytes_after == (step.bundle / bundle_io.WEIGHTS).stat().st_size
    assert "80.0% of the weights, adaptive" in (step.bundle / bundle_io.CARD).read_text()
    assert np.isfinite(probabilities(step.bundle, clips_for(joint))).all()


def test_steps_follow_one_another(joint: Path, tmp_path: Path) -> None:
    pruned = prune(joint, tmp_path / "a", Pruning(sparsity=0.7))
    small = store_as(pruned.bundle, tmp_path / "b", "int8")
    again = prune(small.bundle, tmp_path / "c", Pruning(sparsity=0.7))  # removes what is zero already
    assert pruned.bytes_after > small.bytes_after == again.bytes_after
    manifest = bundle_io.read(again.bundle, ClipManifest).manifest
    assert manifest.artifacts[0].precision == "int8"
    assert manifest.metrics["steps"].startswith("pruned (70.0% of the weights, adaptive); weights stored in 8 bits; ")


def trained(out: Path, *changes: str) -> Path:
    recipe = tiny("auto", "training.epochs=10", "model.dropout=0", "augmentation.context=0", *changes)
    return fit(samples(), recipe, out, device="cpu", progress=False, cache=MemoryStore()).bundle


def run(out: Path) -> Run:
    return Run(out, device="cpu", progress=False)


@pytest.mark.integration
def test_fine_tuning_holds_zeros_and_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch, MemoryStore())
    source = trained(tmp_path / "run")
    how = Pruning(sparsity=0.9, steps=2, epochs=3, sets=("training.learning_rate=0.003",))
    out = tmp_path / "pruned"
    step = prune(source, out, how, parts=parts_of(samples()), run=run(out), measured=samples())
    manifest = bundle_io.read(step.bundle, ClipManifest).manifest
    found = bundle_io.load_weights(bundle_io.read(step.bundle, ClipManifest))
    before = bundle_io.load_weights(bundle_io.read(source, ClipManifest))
    names = prunable(found)
    zeros = sum(int((found[n] == 0).sum()) for n in names)
    assert zeros == round(0.9 * sum(found[n].size for n in names))
    moved = np.concatenate([(found[n] != before[n])[found[n] != 0] for n in names])
    assert moved.mean() > 0.9  # what is left was trained
    assert step.comparison is not None and step.comparison.n == 30
    bare = prune(source, tmp_path / "bare", Pruning(sparsity=0.9), measured=samples())
    assert bare.comparison is not None and step.comparison.after > bare.comparison.after
    assert manifest.metrics["accuracy_after"] == step.comparison.after
    found_document = step.document()["comparison"]
    assert {"accuracy_before", "accuracy_after", "clips", "top_class_agreement"} <= set(found_document)
    assert manifest.metrics["fine_tuning_epochs"] == 6 and "before_val_accuracy" in manifest.metrics
    assert "val_accuracy" not in manifest.metrics
    assert manifest.recipe == bundle_io.read(source, ClipManifest).manifest.recipe


def test_removed_weights_stay_zero_after_every_step_of_adam() -> None:
    layer = torch.nn.Linear(4, 4)
    mask = np.arange(16).reshape(4, 4) % 3 > 0
    optimizer = torch.optim.Adam(layer.parameters(), weight_decay=0.1)
    holder = HoldZeros(layer, {"weight": mask})
    holder.on_train_start()
    for _ in range(3):
        layer(torch.randn(2, 4)).sum().backward()
        optimizer.step()
        assert (layer.weight[torch.from_numpy(~mask)] != 0).any()
        holder.on_train_batch_end()
        gone = layer.weight[torch.from_numpy(~mask)]
        assert (gone == 0).all() and not torch.signbit(gone).any()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Pruning(threshold=-1), "--threshold must be at least 0"),
        (Pruning(sparsity=1.0), "--sparsity from 0 to below 1"),
        (Pruning(steps=0), "--steps must be at least 1"),
        (Pruning(sparsity=0.5, spread="even"), "unknown --spread 'even'; choose from adaptive, global, layer"),  # type: ignore[arg-type]
        (Pruning(steps=2, epochs=1), "--steps needs --sparsity"),
        (Pruning(sparsity=0.5, steps=3), "--steps needs --epochs"),
        (Pruning(epochs=1), "needs recordings: --data"),
        (Pruning(threshold=1e9), "no weight would be left"),
    ],
)
def test_what_makes_no_sense_is_explained(joint: Path, tmp_path: Path, how: Pruning, message: str) -> None:
    with pytest.raises(GestaError, match=message):
        prune(joint, tmp_path / "out", how)
    assert not (tmp_path / "out").exists()


def test_data_that_do_not_fit_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch, MemoryStore())
    out = tmp_path / "out"
    options = {"parts": parts_of(samples()), "run": run(out)}
    with pytest.raises(GestaError, match=r"cannot be 'many'"):
        prune(trained(tmp_path / "a"), out, Pruning(epochs=1, sets=("training.batch=many",)), **options)
    with pytest.raises(GestaError, match="exactly the bundle's classes; they differ in c2"):
        prune(tmp_path / "a" / "bundle", out, Pruning(epochs=1), parts=parts_of(samples(classes=2)), run=run(out))
    other = Pruning(epochs=1, sets=("input.fps=10",))
    with pytest.raises(GestaError, match="does not lead to the bundle's transform"):
        prune(tmp_path / "a" / "bundle", out, other, **options)


def test_the_source_stays_and_needs_weights(joint: Path, tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="is the bundle itself"):
        store_as(joint, joint, "fp16")
    bundle = bundle_io.read(joint, ClipManifest)
    bundle_io.update(bundle, artifacts=())
    with pytest.raises(GestaError, match="has no weights"):
        store_as(joint, tmp_path / "out", "fp16")


def test_magnitudes_by_hand(tmp_path: Path) -> None:
    found = sizes.magnitudes(NAMES)
    by_exponent = {sizes.LOWEST + i: n for i, n in enumerate(found.counts) if n}
    assert by_exponent == {2: 1, 0: 1, -1: 1, -20: 1, -21: 1, -4: 1, -3: 1, -2: 1, 3: 1} and found.zeros == 1
    assert found.below_threshold == 2 and found.total == 10 and found.share_below == 0.2
    assert found.threshold == THRESHOLD and found.document()["share_below"] == 0.2
    for name, threshold in (("a", THRESHOLD), ("b", 0.0)):
        shown = {"SGD": replace(found, threshold=threshold), "Adam": replace(found, zeros=5, threshold=threshold)}
        sizes.draw(shown, tmp_path / name / "figure.png", "weights")
        assert (tmp_path / name / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_panels_have_the_same_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = []
    monkeypatch.setattr(sizes, "save_figure", lambda figure, _path: figures.append(figure))
    found = sizes.magnitudes(NAMES)
    narrow = replace(found, counts=tuple(n if i == -sizes.LOWEST else 0 for i, n in enumerate(found.counts)))
    sizes.draw_panels({"SGD": narrow, "Adam": found, "half": narrow}, tmp_path / "figure.png")
    drawn = [axes for axes in figures[0].axes if axes.get_legend() is not None]
    assert [axes.get_legend().get_texts()[0].get_text().split(":")[0] for axes in drawn] == ["SGD", "Adam", "half"]
    assert len({axes.get_xlim() for axes in drawn}) == 1
    assert drawn[0].get_xlim()[0] <= -22 and drawn[0].get_xlim()[1] >= 4
