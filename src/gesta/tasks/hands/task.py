"""3D hand pose estimation, implementing the contract in gesta.tasks.base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.engines.part import Part
from gesta.schema import GestaError, HandFrame, HandListing, Listing
from gesta.sources import hand_catalog
from gesta.tasks.base import (
    Evaluation,
    Examples,
    Parts,
    Quality,
    Tuning,
    deferred,
    deferred_from,
)
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.recipe import HandRecipe
from gesta.tasks.hands.split import VALIDATION_SHARE, assign_hand_splits, folds
from gesta.training.run import Fitted, Run
from gesta.words import choose


class HandTask:
    """Finds the joints of a hand in depth images, RGB-D images, or RGB images registered to depth."""

    name = "hands"
    title = "hand pose estimation"
    unit = "frames"
    recipe = HandRecipe
    manifest = HandManifest
    default_recipe = "a2j-compact"
    quality = Quality("val_error_mm", "mean_error_mm", False, "mm")
    needs_validation = True
    tuning = Tuning(
        "kazakos/depth-net",
        "val_mse",
        {
            "training.learning_rate": (1e-3, 1e-1, True),
            "training.momentum": (0.8, 0.999, True),
            "model.dropout": (0.0, 0.1, False),
        },
    )
    kept = ("mean_error_mm", "success_area", "frames")
    trained_stage = "network"
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"devices", "nodes", "layout"}),
        "evaluate": frozenset({"center"}),
        "export": frozenset({"seed", "seconds"}),
        "predict": frozenset({"annotate", "camera", "center"}),
        "benchmark": frozenset(),
        "compress": frozenset({"sparsity", "epochs", "steps", "sets"}),
        "prune": frozenset(),
    }

    identities, labeled, outputs = deferred_from("gesta.tasks.hands.evaluate", "identities labeled outputs")
    report = deferred("gesta.tasks.hands.report:write")
    examples, feeds, compare, timings = deferred_from("gesta.tasks.hands.export", "examples feeds compare timings")
    predictor = deferred("gesta.tasks.hands.predict:PoseRecognizer")
    predictions = deferred("gesta.tasks.hands.predictions:predictions")
    inspect = deferred("gesta.tasks.hands.audit:inspect_hands")
    """Return the report of `gesta data inspect`."""
    inspect_page = deferred("gesta.tasks.hands.audit:write_hand_page")
    """Write the report as a page with pictures."""
    fine_tune = deferred("gesta.tasks.hands.fine_tune:fine_tune")
    """Continue training from `weights`; weights removed by a mask stay zero."""

    def recognizes(self, data: Path, layout: str | None) -> bool:
        if layout is not None:
            return layout in hand_catalog.HAND_READERS
        return data.is_dir() and hand_catalog.detect(data) is not None

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> HandListing:  # noqa: ARG002
        return hand_catalog.read(data, layout)

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:  # noqa: ARG002
        share = float(recipe.get("training", {}).get("validation_share", VALIDATION_SHARE))
        frames, notes = assign_hand_splits(listing.samples, seed=seed, validation_share=share)
        return Parts(listing, tuple(notes)).only(frames)

    def fit(
        self,
        parts: Parts,
        recipe: HandRecipe,
        run: Run,
        start: Path | None = None,  # noqa: ARG002
        light: bool = False,
        **_: Any,
    ) -> Fitted:
        """`light`: without the hand detector, which most experiments do not measure."""
        from gesta.tasks.hands.fit import fit

        assert isinstance(parts.listing, HandListing)
        return fit(parts.listing, recipe.model_copy(update={"detector": False}) if light else recipe, run)

    def folds(
        self, samples: Sequence[HandFrame], recipe: HandRecipe, by: str, k: int | None = None, seed: int = 0
    ) -> list[tuple[str, list[HandFrame], list[HandFrame]]]:
        """Return folds: (name of the held-out group, other frames with splits train and val, held-out frames)."""
        return folds(samples, by, k, seed, recipe.training.validation_share)

    def trial_facts(self, predictor: Any, result: Evaluation, total: int, seed: int) -> dict[str, Any]:  # noqa: ARG002
        """Return what an experiment reports about a model in addition to its quality."""
        from gesta.tasks.hands.trial import facts

        return facts(predictor, result)

    def load(self, bundle: Bundle[HandManifest], at: Placement, center: str = "data", **given: Any) -> Any:
        from gesta.tasks.hands.predict import RULES, load
        from gesta.tasks.hands.predictions import parse_center

        if "camera" in given and parse_center(center).uv is not None:
            center = "data"  # the center is a pixel in the images to predict
        return load(bundle, at, RULES[choose("--center", center, RULES)])

    def warnings(self, listing: Listing, manifest: HandManifest) -> list[str]:
        names = listing.joint_names if isinstance(listing, HandListing) else ()
        if not names or tuple(names) == manifest.joints:
            return [str(problem) for problem in listing.problems]
        renamed = (
            f"The joints of the data are named {', '.join(names)}; they are assumed to be the model's joints, in this "
            "order."
        )
        return [*(str(problem) for problem in listing.problems), renamed]

    def evaluate(self, predictor: Any, samples: Sequence[HandFrame], outputs: NDArray[Any], seed: int) -> Evaluation:  # noqa: ARG002
        from gesta.tasks.hands.evaluate import evaluation

        return evaluation(predictor, samples, outputs)

    def graphs(self, bundle: Bundle[HandManifest], **_: Any) -> list[Part]:
        from gesta.tasks.hands.network import parts

        return parts(bundle)

    def rates(
        self,
        bundle: Bundle[HandManifest],
        samples: Sequence[HandFrame],
        examples: Examples,  # noqa: ARG002
        say: Any,  # noqa: ARG002
    ) -> tuple[dict[str, Any], Any]:
        """Return what `gesta benchmark` reports besides latencies, and a function that extends each latency row."""
        from gesta.tasks.hands.benchmark import rates

        return rates(bundle, samples)

    def standalone(self, bundle: Bundle[HandManifest]) -> tuple[dict[str, bytes], str]:
        """Return (files written next to an ONNX export for use without gesta, a sentence on how to use them)."""
        from gesta.tasks.hands.standalone import files

        return files.files(bundle), files.TOLD

    def web_check(self, manifest: HandManifest) -> None:  # noqa: ARG002
        """Raises GestaError (usage): browsers have no depth camera."""
        raise GestaError(
            "A page in the browser gets color images only, but hand pose models need depth images. Run it with a "
            "depth camera: gesta export BUNDLE --to onnx --with-preprocessing. For hands in color images, "
            "MediaPipe's hand "
            "landmarks can be the input of a model trained on skeletons: gesta fetch trackers, docs/trackers.md.",
            usage=True,
        )

    def differences(self, one: Evaluation, other: Evaluation) -> dict[str, float]:
        """Return the largest distance between two models' joints on the same samples."""
        from gesta.metrics import joint_errors

        return {"largest_difference_mm": float(joint_errors(one.outputs, other.outputs).max())}

    def step_unit(self, manifest: HandManifest) -> str:  # noqa: ARG002
        return "frame"

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        from gesta.tasks.hands import text

        return text.LINES[command](document)


TASK = HandTask()
