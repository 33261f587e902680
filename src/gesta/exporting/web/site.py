"""Writes the folder: page, modules, model, example, onnxruntime-web, and for skeleton models MediaPipe if available."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesta.bundle.io import Bundle
from gesta.exporting.web import runtime
from gesta.files import json_text, write_folder
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Examples, Task, need
from gesta.tasks.web import NETWORK, WebModel, network_of
from gesta.trackers.files import default_folder
from gesta.trackers.task_file import TASK, task_file
from gesta.words import command

if TYPE_CHECKING:
    from gesta.exporting.run import Export

TO = "web"
OPTION = "A page in the browser (--to web)"
STATIC = Path(__file__).with_name("static")
MODEL = "model.json"
MARKS = (MODEL, "gesta/gesta.js")
"""Files that identify an earlier export."""
EXAMPLES = {True: "example_pictures.html", False: "example_joints.html"}
"""Whether the model takes images -> the usage example that is written as example.html."""


def check_option(task: Task, bundle: Bundle[Any], out: Path, overwrite: bool) -> None:
    """Raises GestaError if the model cannot run on a page, `out` is in use, or onnxruntime-web is missing."""
    need(task, "web_check", OPTION)(bundle.manifest)
    check_out(out, overwrite)
    runtime.ONNXRUNTIME.located()


def check_out(out: Path, overwrite: bool) -> None:
    """Raises GestaError (usage) if something would be lost."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not all((out / name).is_file() for name in MARKS):
        raise GestaError(
            f"{out}: already exists and is not an exported page, so it is not replaced. Choose another --out."
        )
    if not overwrite:
        raise GestaError(
            f"{out}: already contains a page. Choose another --out, or replace it: --overwrite.", usage=True
        )


def converts(bundle: Bundle[Any]) -> bool:
    """Whether to convert the networks from the weights, which needs PyTorch; else the bundle has them in ONNX."""
    return bundle.find("weights", "torch") is not None


def export_site(
    bundle: Bundle[Any],
    out: Path,
    how: Export,
    *,
    examples: Examples | None = None,
    calibration: Examples | None = None,
    say: Callable[[str], None] = lambda _text: None,
    **options: Any,
) -> dict[str, Any]:
    """Writes the folder, comparing its network with PyTorch as for ONNX; returns a description as plain values.

    From a bundle without weights, its ONNX networks are used unchanged. `how`: its `to` is ignored. Raises GestaError
    as `check_option` and `export_bundle` do.
    """
    task, _ = catalog.of_bundle(bundle.path)
    check_option(task, bundle, out, how.overwrite)
    with tempfile.TemporaryDirectory(prefix="gesta-web-") as scratch:
        if converts(bundle):
            from gesta.exporting.run import export_bundle

            onnx = replace(how, to="onnx", seconds=0.0, roles=("step",))
            report = export_bundle(
                bundle,
                Path(scratch) / "onnx",
                onnx,
                examples=examples,
                calibration=calibration,
                say=say,
                **options,
            )
            bundle = report.bundle
        say("writing the page")
        return write_site(bundle, out, how.overwrite)


def write_site(bundle: Bundle[Any], out: Path, overwrite: bool = False) -> dict[str, Any]:
    """Writes the folder for a bundle with ONNX networks, used unchanged; returns a description as plain values.

    Raises GestaError as `check_option` does, and if the bundle has no such network or the disk is full.
    """
    task, _ = catalog.of_bundle(bundle.path)
    check_option(task, bundle, out, overwrite)
    web = need(task, "web", OPTION)(bundle)
    tracker, lacks = mediapipe(web)
    files = dict(contents(web)) | tracker
    try:
        write_folder(out, files)
    except OSError as error:
        raise GestaError(f"{out}: cannot be written ({error}). Free space, or give another --out.") from error
    sizes = {name: len(content) for name, content in files.items()}
    precision = network_of(bundle).precision
    return {"out": str(out), "to": TO, "precision": precision, "bytes": sum(sizes.values()), "files": sizes} | (
        {"lacks": lacks} if lacks else {}
    )


def mediapipe(web: WebModel) -> tuple[dict[str, bytes], str]:
    """(files that find the joints, for models of MediaPipe's skeletons; what is missing and how to get it, or "")."""
    if (web.model.get("space") or {}).get("mediapipe") is None:
        return {}, ""
    try:
        files = {**runtime.MEDIAPIPE.located(), TASK: task_file(default_folder())}
    except GestaError as error:
        return {}, str(error)
    return {f"mediapipe/{name}": content for name, content in files.items()}, ""


def contents(web: WebModel) -> Iterator[tuple[str, bytes]]:
    """Name in the folder -> content."""
    for path in sorted(STATIC.rglob("*")):
        if path.is_file() and path.name not in EXAMPLES.values():
            yield path.relative_to(STATIC).as_posix(), path.read_bytes()
    yield "example.html", (STATIC / EXAMPLES[web.golden["drawing"] is not None]).read_bytes()
    for name, content in runtime.ONNXRUNTIME.located().items():
        yield f"onnxruntime/{name}", content
    yield NETWORK, web.network
    yield "golden.json", json_text(web.golden).encode()
    yield MODEL, json_text(web.model).encode()


def told(document: dict[str, Any]) -> list[str]:
    """Human-readable lines about what was written."""
    network = document["files"][NETWORK]
    serve = command("python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", document["out"], "8000")
    lacks = [f"lacks    {document['lacks']} Then export again with --overwrite."] if "lacks" in document else []
    return [
        f"page     {document['out']}: {document['bytes'] / 1e6:.1f} MB, of which {network / 1e6:.2f} MB are the "
        "network",
        f"look     {serve}, then http://127.0.0.1:8000 in a browser",
        "use      example.html shows the model in your own page; on a server it needs https",
        *lacks,
    ]
