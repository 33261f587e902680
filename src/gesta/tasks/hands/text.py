"""Command output for hand pose models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gesta.tasks import lines as text


def _train(document: Mapping[str, Any]) -> list[str]:
    metrics, parity = document["metrics"], document["parity"]
    lines = [
        f"error     {metrics['val_error_mm']:.2f} mm on {metrics['val_frames']} validation frames "
        f"(the mean pose: {document['mean_pose_mm']:.2f} mm), MSE {metrics['val_mse']:.5f}",
        f"OpenVINO  largest difference {parity['largest_difference_mm']:.1g} mm on {parity['frames']} frames",
    ]
    if "val_center_mm" in metrics:
        lines.append(
            f"detector  {metrics['val_center_mm']:.1f} mm from the annotated center on validation frames (the nearest "
            f"object: {metrics['val_center_nearest_mm']:.1f} mm)"
        )
    return text.trained(document, [*lines, *(f"note      {note}" for note in document["notes"])])


def _evaluate(document: Mapping[str, Any]) -> list[str]:
    curve = document["success_rate"]
    shares = dict(zip(curve["thresholds"], curve["shares"], strict=True))
    worst = sorted(zip(document["per_joint_mm"], document["joints"], strict=True), reverse=True)[:4]
    lines = [
        f"mean error  {document['mean_error_mm']:.2f} mm (median over frames {document['median_error_mm']:.2f})",
        f"success     {shares[20.0]:.1%} of the frames under 20 mm, {shares[40.0]:.1%} under 40; area to 80 mm "
        f"{curve['area']:.3f}",
        f"frames      {document['frames']}, {len(document['skipped'])} skipped; engine {document['engine']}",
        "weakest     " + ", ".join(f"{name} {error:.1f} mm" for error, name in worst),
    ]
    if "center_error_mm" in document:
        lines.append(f"center      {document['center']}: {document['center_error_mm']:.1f} mm from the annotated one")
    people = document["per_person"]
    if len(people) > 1:
        each = (f"{who} {one['mean_error_mm']:.2f} mm on {one['n']}" for who, one in people.items())
        lines.append("people      " + ", ".join(each))
    return lines


def _export(document: Mapping[str, Any]) -> list[str]:
    artifact, *detectors = document["artifacts"]
    pose = artifact["pose"]
    lines = [
        f"{artifact['file']}, {pose['bytes']:,} bytes: joints differ from PyTorch's by up to "
        f"{pose['largest_difference_mm']:.2g} mm "
        f"(mean {pose['mean_difference_mm']:.2g}) on {pose['frames']} {pose['source']} frames"
    ]
    if pose["error_mm"] is not None:
        lines.append(f"error    {pose['error_mm']:.2f} mm, PyTorch {pose['error_mm_torch']:.2f}")
    for detector in detectors:
        found = detector["pose"]
        lines.append(
            f"{detector['file']}, {found['bytes']:,} bytes: detected centers differ from PyTorch's by up to "
            f"{found['center_difference_mm']:.2g} mm in 99 % of the frames"
        )
    return text.exported(document, [*lines, *text.faster("frame", pose)], "DEPTH")


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    inputs = document["inputs"]
    parts = {"read": "read_ms", "center": "center_ms", "cube": "cube_ms"}
    columns = text.times_of(frame="network")
    columns |= {name: lambda row, key=key: _part(row, key, 2) for name, key in parts.items()}  # type: ignore[misc]
    columns["cube+network/s"] = lambda row: _part(row, "frames_per_s", 0)
    lines = [*text.benchmark_head(document), f"one core, milliseconds; {inputs['n']} hands ({inputs['source']})"]
    return lines + text.latency_table(document, columns)


def _part(row: Mapping[str, Any], key: str, digits: int) -> str:
    return f"{row['way'][key]:.{digits}f}" if "way" in row else "-"


LINES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "benchmark": _benchmark,
}
