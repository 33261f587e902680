"""The server's application: error handling, the page's files, and the other modules' routes behind the guard."""

from __future__ import annotations

import errno
import re
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from gesta.schema import GestaError
from gesta.web import calls_clips, calls_folder, calls_jobs, calls_sockets
from gesta.web.guard import Door, Guard
from gesta.web.messages import PREFIX, Refusal
from gesta.web.refuse import Refuse
from gesta.web.studio import Studio, page_folder

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
_FILE = re.compile(r"[\w-]+(/[\w-]+)?(\.[\w-]+)+")


def create(studio: Studio, door: Door) -> Guard:
    """Creates the guarded application of a studio."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> Any:
        studio.start()
        yield
        studio.stop()

    app = FastAPI(
        title="gesta studio", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=f"{PREFIX}/openapi.json"
    )
    app.state.studio, app.state.door, app.state.places = studio, door, calls_sockets.Places()
    for module in (calls_folder, calls_clips, calls_jobs):
        app.include_router(
            module.router, prefix=PREFIX, responses={"4XX": {"model": Refusal}, "5XX": {"model": Refusal}}
        )
    app.include_router(calls_sockets.router, prefix=PREFIX)
    _answer_errors(app)
    app.get("/", include_in_schema=False)(lambda: _page("index.html"))
    app.get("/{name:path}", include_in_schema=False)(_page)
    return Guard(app, door, studio.folder.limits)


def _page(name: str) -> Response:
    """Serves a file of the page; its name cannot escape the folder."""
    path = page_folder() / name
    if not _FILE.fullmatch(name) or path.suffix not in KINDS or not path.is_file():
        return PlainTextResponse("There is no such page.", status_code=404)
    return FileResponse(path, media_type=KINDS[path.suffix], headers={"Cache-Control": "no-cache"})


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, refusal: Refusal) -> JSONResponse:
        return JSONResponse(refusal.model_dump(), status_code=status)

    @app.exception_handler(Refuse)
    def _refuse(_request: Request, error: Refuse) -> JSONResponse:
        return answer(error.status, error.body)

    @app.exception_handler(RequestValidationError)
    def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return answer(
            422, Refusal(error=f"{field or 'The body'}: {first['msg']}.", expected="see docs/studio.md", field=field)
        )

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> JSONResponse:
        response = answer(error.status_code, Refusal(error=str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(GestaError)
    def _gesta(_request: Request, error: GestaError) -> JSONResponse:
        return answer(409, Refusal(error=str(error)))

    @app.exception_handler(OSError)
    def _system(_request: Request, error: OSError) -> JSONResponse:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return answer(507, Refusal(error="The disk is full.", hint="Free some space. Finished work is kept."))
        return answer(500, Refusal(error=f"A file cannot be read or written ({error.strerror})."))

    @app.exception_handler(Exception)
    def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
        hint = "Finished work is kept. See the log of gesta studio for details."
        return answer(500, Refusal(error="Something went wrong in the server.", hint=hint))
