"""`gesta studio`: a page on which a person records, trains and tries gestures of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import need


def studio(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the recordings; created if missing.")] = Path(
        "my_gestures"
    ),
    port: Annotated[int, typer.Option("--port", help="Port of the page.", min=1, max=65535)] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any other than this computer's needs --cert.")
    ] = "127.0.0.1",
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="TLS certificate (PEM), so that other devices can connect."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Key of the certificate, if it is in a separate file."),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
) -> None:
    """Record, train and try your own gestures in the browser.

    Opens a page that records clips, checks them, trains a model, and shows it live. Nothing leaves this computer. The
    clips are ordinary files, DATA/<gesture>/<person>_001.mkv and index.csv, which all other commands read as well.

    Example:
      gesta studio my_gestures
    """
    need("serve", "fastapi", "uvicorn", "websockets", "filelock")
    from gesta.web.serve import Address, serve

    serve(data, Address(host, port, cert, key), opens=not no_open)
