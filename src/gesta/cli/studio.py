"""`gesta studio`: a page on which a person records, trains and tries gestures of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import need


def studio(
    data: Annotated[Path, typer.Argument(help="Folder of the recordings; made where it is missing.")] = Path(
        "my_gestures"
    ),
    port: Annotated[int, typer.Option("--port", help="Of the page.", min=1, max=65535)] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; another than this computer needs --cert.")
    ] = "127.0.0.1",
    cert: Annotated[Path | None, typer.Option("--cert", help="TLS certificate, PEM, for other devices.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Its key, where it is not in the same file.")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
) -> None:
    """Record, check, train, try and export in the browser; nothing leaves this computer.

    The folder is the truth: DATA/<gesture>/<person>_001.mkv and index.csv, as every other command reads them.
    """
    need("serve", "fastapi", "uvicorn", "websockets", "filelock")
    from gesta.web.serve import Address, serve

    serve(data, Address(host, port, cert, key), opens=not no_open)
