"""`gesta fetch`: published networks and a runtime that gesta uses and does not contain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesta.cli.common import JsonFlag, console, emit, existing, group
from gesta.cli.help import Command

if TYPE_CHECKING:
    from gesta.exporting.web.runtime import Package

TgzOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Take it from the package's .tgz (npm pack) or a folder."),
]

app = group("Download the networks and the runtime that other commands need.")


@app.command(cls=Command)
def trackers(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take them from a mediapipe 0.10.21 wheel, a .task bundle, or a folder of .tflite files.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Download networks that find hands and bodies in RGB video.

    21 MB, license Apache-2.0, by pip or from a file. They are stored in your user data folder, or in
    GESTA_DATA if that is set.

    Example:
      gesta fetch trackers
    """
    from gesta.trackers.files import SHA256, default_folder, fetch, fingerprint

    folder = default_folder()
    files = fetch(
        folder,
        None if source is None else existing(source, "file or folder"),
        told=lambda text: console.print(text, highlight=False),
    )
    missing = [name for name in SHA256 if not (folder / f"{name}.tflite").is_file()]
    prints = {file.stem: fingerprint(file) for file in files}
    document = {"folder": str(folder), "files": prints, "missing": missing}
    lines = [f"{name}.tflite  sha256 {sha256}" for name, sha256 in prints.items()] + [f"in {folder}"]
    if missing:
        lines.append(f"not in {source}: {', '.join(missing)}")
    emit(document, "\n".join(lines), json)


@app.command("onnxruntime-web", cls=Command)
def onnxruntime_web(source: TgzOption = None, json: JsonFlag = False) -> None:
    """Download what runs networks in a browser, for gesta export --to web.

    14 MB, license MIT, by npm or from a file. It is stored in your user data folder, or in GESTA_DATA if that is set.

    Example:
      gesta fetch onnxruntime-web
    """
    from gesta.exporting.web.runtime import ONNXRUNTIME

    _fetched(ONNXRUNTIME, source, json)


@app.command("mediapipe-web", cls=Command)
def mediapipe_web(source: TgzOption = None, json: JsonFlag = False) -> None:
    """Download what finds bodies in a browser, for skeleton models with gesta export --to web.

    14 MB, license Apache-2.0, by npm or from a file. It is stored in your user data folder, or in
    GESTA_DATA if that is set. The page also needs the networks of gesta fetch trackers.

    Example:
      gesta fetch mediapipe-web
    """
    from gesta.exporting.web.runtime import MEDIAPIPE

    _fetched(MEDIAPIPE, source, json)


def _fetched(package: Package, source: Path | None, json: bool) -> None:
    """The files of a package of npm, put into its folder and told."""
    given = None if source is None else existing(source, "file or folder")
    files = package.fetch(given, told=lambda text: console.print(text, highlight=False))
    sizes = {file.name: file.stat().st_size for file in files}
    lines = [f"{name}  {size / 1e6:.1f} MB" for name, size in sizes.items()]
    document = {"folder": str(package.folder), "package": package.pinned, "files": sizes}
    emit(document, "\n".join([*lines, f"in {package.folder}"]), json)
