"""Hand pose: load a bundle and find joints in depth images. Exported bundles need no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.schema import Camera, CenterSource, GestaError, HandEstimate, HandFrame
from gesta.tasks.hands.center import Find, nearest_object
from gesta.tasks.hands.detect import CENTER, Detector
from gesta.tasks.hands.inputs import one_hand
from gesta.tasks.hands.manifest import HandManifest
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import PreprocessedHand, preprocess_images

BATCH = 32
Hand = HandFrame | str | Path
"""A frame of a data set, or the path of a depth image."""

CenterRule = Literal["data", "nearest", "detector"]
"""data: the annotated center if there is one, else that of the model's detector or, if it has none, of the nearest
object; nearest, detector: always one of these."""
RULES: dict[str, CenterRule] = {"data": "data", "nearest": "nearest", "detector": "detector"}


def load(bundle: Bundle[HandManifest], at: Placement = Placement(), rule: CenterRule = "data") -> PoseRecognizer:
    """Load a hand pose bundle.

    Raises GestaError if the bundle is damaged or the engine is not available, and (usage) for the rule "detector" if
    the bundle has none.
    """
    if rule == "detector" and not bundle.manifest.has_detector:
        raise GestaError(
            f"--center detector: the model {bundle.manifest.name!r} has no hand detector. Use --center nearest, or "
            "train it with one: gesta train DATA --set detector=true",
            usage=True,
        )
    stages = ("network", CENTER) if bundle.manifest.has_detector and rule != "nearest" else ("network",)
    return PoseRecognizer(open_engine(bundle, at, lambda: _parts(bundle), stages), bundle.manifest, rule)


def _parts(bundle: Bundle[HandManifest]) -> list[Part]:
    from gesta.tasks.hands.network import parts

    return parts(bundle)


class PoseRecognizer:
    """Finds the joints of a hand in depth images.

    Holds a network on one device; use one PoseRecognizer per thread.

        model = gesta.load("runs/hands/bundle")
        found = model.predict("hand.png")         # with camera.yaml next to it
        print(model.joints[0], found.joints_mm[0])    # x, y, z of the first joint in mm
    """

    def __init__(self, engine: Engine, manifest: HandManifest, rule: CenterRule = "data") -> None:
        self.engine, self.manifest, self.rule = engine, manifest, rule
        detects = rule != "nearest" and bool(engine.inputs(stage=CENTER))
        self.find: Find = Detector(engine) if detects else nearest_object
        self.found_by: CenterSource = "detector" if detects else "nearest"

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the J joints, in the order of the estimates."""
        return self.manifest.joints

    @overload
    def predict(self, frame: Hand, center_mm: ArrayLike | None = None) -> HandEstimate: ...

    @overload
    def predict(self, frame: list[Hand], center_mm: ArrayLike | None = None) -> list[HandEstimate]: ...

    def predict(
        self, frame: Hand | list[Hand], center_mm: ArrayLike | None = None
    ) -> HandEstimate | list[HandEstimate]:
        """Find the joints in a depth image or HandFrame, or in each of a list of them.

        `center_mm`: center of the hand (x, y, z); by default the one annotated in the data, else that of the
        detector or of the nearest object. Raises GestaError if an image cannot be read, color is needed but missing, or
        there is no hand.
        """
        if isinstance(frame, (list, tuple)):
            return [self._predict(one, center_mm) for one in frame]
        return self._predict(frame, center_mm)  # type: ignore[arg-type]

    def _predict(self, frame: Hand, center_mm: ArrayLike | None) -> HandEstimate:
        if isinstance(frame, (str, Path)):
            frame = one_hand(Path(frame))
        depth, color = read_hand(frame, color=self.manifest.transform.needs_color)
        center, source = center_of(frame, center_mm, self.rule)
        try:
            return self.predict_images(depth, color, frame.camera, center, source, input=str(frame.depth))
        except GestaError as error:
            raise GestaError(f"{frame.depth}: {error}") from error

    def predict_images(
        self,
        depth_mm: NDArray[np.float32],
        color: NDArray[np.uint8] | None,
        camera: Camera,
        center_mm: ArrayLike | None = None,
        source: CenterSource | None = None,
        input: str = "",
    ) -> HandEstimate:
        """Find the joints in a depth image float32 [H, W] in mm (0: no reading) and, if needed, RGB uint8 [H, W, 3].

        Without `center_mm` (x, y, z), the hand is found by the detector, if the model has one, or is the nearest
        object. Raises GestaError like `predict`.
        """
        hand = preprocess_images(depth_mm, color, camera, self.manifest.transform, center_mm, self.find)
        output = self.predict_preprocessed(hand.image[None])[0]
        return estimate(hand, output, source or (self.found_by if center_mm is None else "given"), input)

    def predict_preprocessed(self, hands: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the joints [n, J, 3], in units of half the cube, of preprocessed images float32 [n, C, S, S].

        Raises GestaError if shape or dtype is wrong or the network's output is not finite.
        """
        transform = self.manifest.transform
        expected = (transform.channels, transform.size, transform.size)
        if hands.ndim != 4 or hands.shape[1:] != expected or hands.dtype != np.float32:
            raise GestaError(
                f"The model takes preprocessed hands, float32 [n, {', '.join(map(str, expected))}], "
                f"not {hands.dtype} {list(hands.shape)}. Give the depth image itself, or apply the bundle's transform."
            )
        answers = [
            self.engine.run({"hand": hands[first : first + BATCH]})["joints"] for first in range(0, len(hands), BATCH)
        ]
        found = np.concatenate(answers) if answers else np.zeros((0, len(self.joints), 3), np.float32)
        if not np.isfinite(found).all():
            raise GestaError(
                f"the network of {self.manifest.name!r} returns numbers that are not finite. Did its training stop "
                "with "
                "a loss that was not finite? Train it again with a lower learning rate."
            )
        return found


def center_of(
    frame: HandFrame, given_mm: ArrayLike | None, rule: CenterRule
) -> tuple[ArrayLike | None, CenterSource | None]:
    """Return (the center x, y, z in mm, where it comes from), or (None, None) if it is to be found in the image."""
    if given_mm is not None:
        return given_mm, "given"
    if rule == "data" and frame.center_mm is not None:
        return frame.center_mm, "data"
    return None, None


def estimate(
    hand: PreprocessedHand, output: NDArray[np.float32], source: CenterSource, input: str = ""
) -> HandEstimate:
    """Convert a network's output [J, 3] for a preprocessed hand to an estimate."""
    return HandEstimate(hand.joints_mm(output), hand.joints_uv(output), hand.cube.center_mm, source, input)
