"""A hand pose evaluation as a self-contained HTML file, and the worst frames as a rotatable 3D scene."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from gesta.bundle import card
from gesta.draw import Image
from gesta.files import csv_text, json_text, write_files
from gesta.look import head, links, sorting, titled
from gesta.metrics import success_area, success_rate
from gesta.schema import GestaError, HandFrame
from gesta.tasks.base import Evaluation
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.drawing import Hand, cloud_of, cloud_view, depth_of, over_depth
from gesta.tasks.hands.evaluate import AREA_MM, PREDICTIONS, errors_mm, worst
from gesta.tasks.hands.joint_files import write_joints
from gesta.tasks.hands.scene import Shown, scene, scene_page

TRUTH, CAMERA = "truth.txt", "camera.yaml"
WORST = 8
COLORS = ("#2563af", "#c94f2d", "#2b8a57", "#8a5bb5", "#b0852a", "#3c8f9e")
CHART = (640.0, 300.0)
"""Width and height of the plot area of the success-rate chart."""


@dataclass(frozen=True)
class Curve:
    """A success-rate curve: its name, color, area, and points in SVG format."""

    name: str
    color: str
    area: float
    points: str


@dataclass(frozen=True)
class Case:
    """A frame with its pictures (PNG as data URIs) and errors."""

    id: str
    subject: str | None
    mean_mm: float
    largest_mm: float
    joint: str
    over_depth: str
    cloud: str


def write(result: Evaluation, out: Path) -> None:
    """Write the results into `out`.

    The files are `metrics.json`, `report.html`, `scene.html`, `frames.csv`, and `truth.txt`, `predictions.txt` (u v d,
    in the published format) with `camera.yaml`, so that `gesta pose compare truth.txt predictions.txt --camera
    camera.yaml` gives the same numbers. Raises GestaError.
    """
    report, turning = render(result)
    camera, unit = result.samples[0].camera, result.samples[0].depth_unit_mm
    contents = {
        "metrics.json": json_text(result.metrics),
        "report.html": report,
        "scene.html": turning,
        "frames.csv": _frames_csv(result),
        CAMERA: "".join(f"{name}: {value!r}\n" for name, value in {**asdict(camera), "depth_unit_mm": unit}.items()),
    }
    write_files(out, contents)
    try:
        for file, joints in ((TRUTH, result.truth), (PREDICTIONS, result.outputs)):
            write_joints(out / file, uvd(joints, result.samples))
    except OSError as error:
        raise GestaError(f"{out}: the results cannot be written ({error}). Give another --out.") from error


def uvd(joints_mm: NDArray[np.float64], frames: Sequence[HandFrame]) -> NDArray[np.float64]:
    """Project joints [n, J, 3] in mm to (u px, v px, depth mm) with each frame's camera."""
    rows = []
    for joints, frame in zip(joints_mm, frames, strict=True):
        camera, (x, y, z) = frame.camera, joints.T
        rows.append(np.stack([camera.cx + camera.fx * x / z, camera.cy - camera.fy * y / z, z], axis=-1))
    return np.array(rows)


def _frames_csv(result: Evaluation) -> str:
    rows = [["id", "file", "subject", "mean_error_mm", "largest_error_mm", "worst_joint"]]
    for frame, errors in zip(result.samples, errors_mm(result), strict=True):
        numbers = (f"{errors.mean():.3f}", f"{errors.max():.3f}")
        rows.append([frame.id, frame.depth, frame.subject, *numbers, result.manifest.joints[int(errors.argmax())]])
    return csv_text(rows)


def render(result: Evaluation) -> tuple[str, str]:
    """Return (report, scene), both complete pages. Frames whose images are gone have no pictures."""
    errors = errors_mm(result)
    middle = int(np.argsort(errors.mean(axis=1), kind="stable")[len(errors) // 2])
    cases, shown = [], []
    for row in dict.fromkeys([*worst(result, WORST), middle]):
        try:
            case, one = _case(result, row, errors[row])
        except GestaError:
            continue  # the file existed during evaluation; keep its numbers, skip the picture
        cases.append(case)
        shown.append(one)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    name = result.manifest.name
    title = titled(Path(result.facts.get("data", name)).name)
    page = environment.get_template("report.html").render(
        head=head(f"{title}: {result.metrics['mean_error_mm']:.2f} mm"),
        title=title,
        files=links("frames.csv", "metrics.json", "scene.html", TRUTH, PREDICTIONS),
        sorting=sorting(),
        m=result.metrics,
        manifest=result.manifest,
        card=card.render(result.manifest),
        curves=curves(result),
        chart=CHART,
        limit=round(AREA_MM),
        joints=joint_rows(result.metrics),
        shares=[(mm, float(success_rate(errors, [mm])[0])) for mm in (10, 20, 30, 40, 60, 80)],
        cases=cases,
        scene=Markup(scene(shown)) if shown else "",
    )
    return page, scene_page(title, shown) if shown else page


def curves(result: Evaluation) -> list[Curve]:
    """Return the curves of all frames and, if there are several people, of each person."""
    errors = errors_mm(result)
    people = list(result.metrics["per_person"])
    parts = {"all frames": errors}
    if len(people) > 1:
        subjects = np.array([frame.subject or "" for frame in result.samples])
        parts |= {f"person {person}": errors[subjects == person] for person in people}
    return [
        Curve(name, COLORS[i % len(COLORS)], success_area(part, AREA_MM), _points(part))
        for i, (name, part) in enumerate(parts.items())
    ]


def joint_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each joint with its error, the error relative to the largest, and the error for each person."""
    most = max(metrics["per_joint_mm"])
    return [
        {
            "name": name,
            "error": error,
            "share": error / most if most else 0.0,
            "people": [person["per_joint_mm"][i] for person in metrics["per_person"].values()],
        }
        for i, (name, error) in enumerate(zip(metrics["joints"], metrics["per_joint_mm"], strict=True))
    ]


def hand_of(result: Evaluation, row: int) -> Hand:
    """Return what is drawn for a row."""
    frame = result.samples[row]
    x, y, z = (float(v) for v in result.facts["centers_mm"][row])
    cube = Cube(frame.camera, (x, y, z), result.manifest.transform.cube_mm)
    return Hand(frame, cube, result.manifest.joints, result.truth[row], result.outputs[row])


def _case(result: Evaluation, row: int, errors: NDArray[np.float64]) -> tuple[Case, Shown]:
    hand = hand_of(result, row)
    depth = depth_of(hand.frame)
    cloud = cloud_of(hand, depth)
    mean, worst = float(errors.mean()), int(errors.argmax())
    case = Case(
        id=hand.frame.id,
        subject=hand.frame.subject,
        mean_mm=mean,
        largest_mm=float(errors[worst]),
        joint=result.manifest.joints[worst],
        over_depth=data_uri(over_depth(hand, depth)),
        cloud=data_uri(cloud_view(hand, cloud)),
    )
    person = f", person {hand.frame.subject}" if hand.frame.subject else ""
    return case, Shown(f"{hand.frame.id}{person}: {mean:.1f} mm", hand, cloud)


def data_uri(image: Image) -> str:
    """Encode RGB as a PNG data URI."""
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()


def _points(errors: NDArray[np.float64]) -> str:
    thresholds = np.linspace(0, AREA_MM, 161)
    width, height = CHART
    shares = success_rate(errors, thresholds)
    return " ".join(
        f"{width * t / AREA_MM:.1f},{height * (1 - share):.1f}" for t, share in zip(thresholds, shares, strict=True)
    )
