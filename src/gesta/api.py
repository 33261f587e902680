"""The Python API: the commands as functions that return their results. All are available from `import gesta`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.engines.base import Placement
from gesta.results import Result
from gesta.tasks import catalog
from gesta.tasks.base import need
from gesta.training.run import Run


@dataclass(frozen=True, repr=False)
class Measured(Result):
    """A measurement.

    `metrics`: numbers by name. `document`: everything that the command prints with --json.

        found = gesta.evaluate("runs/mine/bundle", "my_gestures", "all")
        print(found)                              # Measured(accuracy=..., clips=..., ...)
        print(found.metrics["accuracy"], found.document["accuracy_interval"])
    """

    metrics: dict[str, Any]
    document: dict[str, Any]


@dataclass(frozen=True, repr=False)
class Made(Result):
    """A new bundle.

    `bundle`: its path. `metrics`: numbers by name, such as bytes. `document`: everything that the command prints with
    --json.

        small = gesta.export("runs/mine/bundle", to="onnx")
        model = gesta.load(small.bundle)
    """

    bundle: Path
    metrics: dict[str, Any]
    document: dict[str, Any]


def load(
    bundle: Path | str,
    engine: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
    **options: Any,
) -> Any:
    """Loads the model of a bundle, of any task.

    `bundle`: a folder, a zip, or the name of a model that comes with gesta, "demo" or "everyday". `engine`: openvino,
    onnxruntime or torch; by default the bundle's own. `device`: auto, cpu or cuda. `threads`: CPU threads;
    by default the engine's choice. `precision` of the exported network: fp32, fp16 or int8; by default fp32 if the
    bundle has it. `options`: task-specific options, such as backbone_weights.

    Returns a Recognizer for clips, a Spotter for skeletons, a PoseRecognizer for hands, or the model of another task;
    all have `predict`. Raises GestaError if `bundle` is not a bundle, is damaged or was made by a newer version, or if
    the engine is unknown or not installed.

        model = gesta.load("demo")
        print(model.predict("wave.mp4").top(3))   # [(label, probability), ...]
    """
    task, opened = catalog.of_bundle(bundle)
    return task.load(opened, Placement(engine, device, threads, precision), **options)


def train(
    data: Path | str,
    recipe: str | None = None,
    out: Path | str | None = None,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    **options: Any,
) -> Any:
    """Trains a model on a data folder and writes the bundle to out/bundle. Needs PyTorch.

    `recipe`: a name (see `gesta recipes`) or a YAML file; by default chosen to suit the data. `out`: by default
    `runs/<data>-<recipe>-<number>`. `seed`: the same seed gives the same model. `resume`: continue a stopped run;
    `overwrite`: replace a finished one. `device`: auto, cpu or cuda. `options`: recipe settings by their dotted
    names; `start` (a bundle to start from), `layout` (the folder's layout), `protocol` (how the data are split),
    `final` (also train on the test split) and `progress` (show a progress bar).

    Returns a Trained with `.bundle`, `.metrics`, `.history` and `.to_dataframe()`. Raises GestaError if the data cannot
    be read or do not fit the recipe, or if `out` already contains a finished run.

        run = gesta.train("my_gestures", out="runs/mine", **{"training.epochs": 20})
        print(run.metrics["val_accuracy"], run.bundle)
    """
    from gesta.experiments import train as flow

    start, layout = options.pop("start", None), options.pop("layout", None)
    task = flow.task_of(Path(data), recipe, layout, start)
    changed = [name for name in options if "." in name or name in task.recipe.model_fields]
    sets = [f"{name}={_yaml(options.pop(name))}" for name in changed]
    folder = Path(out) if out is not None else flow.new_folder(Path(data), recipe or task.default_recipe)
    flow.refuse_finished(folder, resume, overwrite)
    run = Run(folder, seed, resume, device, progress=options.pop("progress", False))
    return flow.train(Path(data), run, recipe=recipe, sets=sets, start=start, layout=layout, **options)


def enroll(
    bundle: Path | str, data: Path | str, out: Path | str, *, layout: str | None = None, overwrite: bool = False
) -> Made:
    """Adds the classes of a data folder to a model without training and writes a new bundle. Needs PyTorch.

    Works for nearest-neighbor models and metric-trained embeddings (trained with `**{"model.head": "prototypes"}`).
    `layout`: the folder's layout. `overwrite`: replace a bundle in `out`. Raises GestaError for other networks, for
    classes that the bundle already has, and if the data lack what the model needs.

        signs = gesta.train("my_signs", out="runs/signs", **{"model.name": "nearest"})
        more = gesta.enroll(signs.bundle, "two_more_signs", "runs/more")
        print(more.metrics["classes"])            # old and new classes
    """
    from gesta.experiments.enroll import enroll as run

    document = run(Path(bundle), Path(data), Path(out), layout, overwrite=overwrite)
    return Made(Path(out), {"classes": len(document["classes"]), "clips": document["clips"]}, document)


def evaluate(
    model: Any,
    data: Path | str,
    split: str = "test",
    *,
    engine: str | None = None,
    device: str = "auto",
    out: Path | str | None = None,
    **options: Any,
) -> Measured:
    """Evaluates a bundle or a loaded model on one split of a data folder, split as in training.

    `split`: test, val, train or all. `engine`, `device`: as for `load`. `out`: a folder for the report. `options`:
    layout, protocol, seed, progress, and task-specific options. Clips that the model was trained on are skipped, except
    with split="train" or "all".

    Returns a Measured; its metrics depend on the task (clips: accuracy in [0, 1]; hand pose: mean_error_mm). Raises
    GestaError if the split is empty or the data lack what the model needs.

        found = gesta.evaluate("runs/mine/bundle", "my_gestures", out="report")
        print(found.metrics["accuracy"])
    """
    from gesta.evaluation.run import evaluate_data

    opened = catalog.read_bundle(model) if isinstance(model, Path | str) else model
    task = catalog.find(opened.manifest.kind)
    at = Placement(engine, device)
    result = evaluate_data(opened, Path(data), at, split=split, progress=options.pop("progress", False), **options)
    if out is not None:
        task.report(result, Path(out))
    numbers = {name: value for name, value in result.metrics.items() if isinstance(value, int | float)}
    return Measured(numbers, {**result.metrics, "split": split, "data": str(data)})


def export(
    bundle: Path | str,
    to: str = "openvino",
    out: Path | str | None = None,
    *,
    precision: str = "fp32",
    data: Path | str | None = None,
    force: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Made:
    """Converts a model to another format, as a new bundle that runs without PyTorch. Needs PyTorch.

    `to`: openvino, onnx, or web, a page that runs the model in a browser (docs/export.md). `out`: by default
    <bundle>-<to>-<precision> next to the bundle. `precision`: fp32, fp16 or int8. `data`: the training data, to compare
    with PyTorch and to calibrate; required for int8. `force`: write the bundle even if it does not agree with PyTorch.
    `overwrite`: replace a bundle in `out`.

    Returns a Made with `.bundle` and the metrics bytes, bytes_torch and agrees. Raises GestaError if the exported
    network does not agree with PyTorch's.

        small = gesta.export("runs/mine/bundle", to="onnx", precision="fp16")
        print(small.metrics["bytes"])
    """
    from gesta.evaluation.data import examples_for
    from gesta.exporting.run import CALIBRATION, COMPARED, Export, export_bundle
    from gesta.exporting.web import site

    task, opened = catalog.of_bundle(bundle)
    folder = Path(out) if out is not None else opened.path.with_name(f"{opened.path.stem}-{to}-{precision}")
    shown = training = None
    if data is not None:
        limits = (COMPARED, CALIBRATION * (precision == "int8"))
        shown, training = examples_for(task, opened.manifest, Path(data), limits)
    how = Export(to, precision, force, overwrite, seconds=0.0)
    if to == site.TO:
        page = site.export_site(opened, folder, how, examples=shown, calibration=training, **options)
        return Made(folder, {"bytes": page["bytes"]}, page)
    report = export_bundle(opened, folder, how, examples=shown, calibration=training, **options)
    numbers = {"bytes": report.document["bytes"], "bytes_torch": report.bytes_torch, "agrees": report.agrees}
    return Made(folder, numbers, report.document)


def compress(
    bundle: Path | str,
    data: Path | str,
    out: Path | str,
    *,
    target_bytes: int | None = None,
    max_drop: float | None = None,
    device: str = "auto",
    plan: dict[str, Any] | None = None,
    **options: Any,
) -> Made:
    """Compresses a trained model; writes the chosen model to out/best and a table of all candidates to `out`.

    `target_bytes`: choose the most accurate model of at most this size. `max_drop`: choose the smallest that loses at
    most this many percentage points (hand pose: mm). `plan`: more fields of gesta.compression.plan.Plan, such as keep,
    sparsity, epochs, steps. `device`: as for `load`. Needs PyTorch.

    Returns a Made with `.bundle` and the document of the table. Raises GestaError for invalid constraints and for
    tasks that cannot be compressed.

        small = gesta.compress("runs/mine/bundle", "my_gestures", "runs/small", target_bytes=500_000)
        print(small.bundle, small.metrics["rows"])
    """
    from gesta.compression.pipeline import BEST
    from gesta.compression.pipeline import compress as run_pipeline
    from gesta.compression.plan import Plan
    from gesta.evaluation.data import parts_for

    task, opened = catalog.of_bundle(bundle)
    parts = parts_for(task, opened.manifest, Path(data), validation=True)
    seed = opened.manifest.provenance.seed
    run = Run(Path(out), seed, device=device, progress=False)
    document = run_pipeline(opened.path, Plan(target_bytes, max_drop, **(plan or {})), parts, run, **options)
    best = Path(out) / BEST["runnable" if document["chosen"].get("runnable") is not None else "stored"]
    return Made(best, {"rows": len(document["rows"])}, document)


def benchmark(bundle: Path | str = "demo", data: Path | str | None = None, *, seconds: float = 3.0) -> Measured:
    """Measures the latency of every engine on one core; with `data` also of preprocessing, if the task has it.

    `seconds`: how long each latency is measured. The document has latencies in milliseconds (p50_ms, p95_ms). Raises
    GestaError if `bundle` is not a bundle.

        print(gesta.benchmark("demo", seconds=1.0).document["latency"])
    """
    from gesta.evaluation.benchmark import benchmark as measure

    task, _ = catalog.of_bundle(bundle)
    samples: Sequence[Any] = () if data is None else task.read(Path(data)).samples
    document = measure(bundle, samples, seconds=seconds)
    return Measured({"parameters": document["model"]["parameters"]}, document)


def inspect(data: Path | str, layout: str | None = None) -> Measured:
    """Lists the contents of a data folder and its problems, file by file.

    `layout`: the folder's layout; detected by default. Raises GestaError if `data` is not a data folder.

        found = gesta.inspect("my_gestures")
        print(found.metrics["samples"], found.document["problems"])
    """
    task = catalog.of_data(Path(data), layout)
    report = need(task, "inspect", "Inspecting data")(task.read(Path(data), layout))
    document = report.to_json()
    numbers = {name: value for name, value in document.items() if isinstance(value, int | float)}
    return Measured(numbers, document)


def crossval(
    data: Path | str, recipe: str | None = None, out: Path | str = "runs/crossval", **options: Any
) -> Measured:
    """Cross-validates a recipe: trains one model for each held-out person and evaluates all of them together.

    `recipe`: as for `train`. `out`: a folder for the models and the report; a stopped run is resumed. `options`:
    by ("subject", "label", or a number of groups of people, as text), seeds (how many), sets (settings, "key=value"),
    choose (settings, or recipes, to select within each training split: "key=A|B", "recipe=A|B"), layout, workers,
    device. Needs PyTorch.
    Raises GestaError if there are fewer than two people or labels to hold out.

        found = gesta.crossval("my_gestures", by="2", sets=["training.epochs=20"])
        print(found.metrics["accuracy"])
    """
    from gesta.experiments.crossval import crossval_data

    document = crossval_data(Path(data), recipe, Path(out), **options)
    numbers = {name: value for name, value in document.items() if isinstance(value, int | float)}
    return Measured(numbers, document)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
