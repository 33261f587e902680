"""API routes for the folder as a whole: its state, labels, recordings, imports and findings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from gesta.web.clips import shown
from gesta.web.imports import Incoming
from gesta.web.messages import (
    Finding,
    FindingBody,
    Findings,
    FinishBody,
    Id,
    Imported,
    Label,
    LabelBody,
    Name,
    Take,
    TakeBody,
    TakeDone,
)
from gesta.web.messages_work import State
from gesta.web.records import new_id
from gesta.web.refuse import Refuse
from gesta.web.studio import Studio

router = APIRouter()


async def studio_of(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


Here = Annotated[Studio, Depends(studio_of)]
"""The studio of the server that answers."""


@router.get("/state")
def state(studio: Here) -> State:
    return studio.state()


@router.put("/labels/{label_id}")
def put_label(studio: Here, label_id: Id, body: LabelBody) -> Label:
    return studio.labels.put(label_id, body.name)


@router.delete("/labels/{label_id}", status_code=204)
def delete_label(studio: Here, label_id: Id) -> None:
    studio.labels.delete(label_id)


@router.post("/takes", status_code=201)
def open_take(studio: Here, body: TakeBody) -> Take:
    return studio.takes.open(body, studio.labels.known(body.label))


@router.get("/takes/{take}")
def get_take(studio: Here, take: Id) -> Take:
    return studio.takes.get(take)


@router.delete("/takes/{take}", status_code=204)
def drop_take(studio: Here, take: Id) -> None:
    studio.takes.drop(take)


@router.put("/takes/{take}/parts/{n}")
async def put_part(request: Request, studio: Here, take: Id, n: Annotated[int, Path(ge=0, le=100_000)]) -> Take:
    return await run_in_threadpool(studio.takes.put, take, n, await request.body())


@router.post("/takes/{take}/finish")
def finish_take(studio: Here, take: Id, body: FinishBody) -> TakeDone:
    records = studio.takes.finish(take, body)
    clips = [shown(record) for record in records]
    return TakeDone(clips=clips, seconds=records[0].file_s, frames=records[0].frames)


@router.post("/imports", status_code=201)
async def post_import(
    request: Request,
    studio: Here,
    label: Annotated[Name, Query()],
    name: Annotated[str, Query(min_length=1, max_length=255)],
    subject: Annotated[str, Query(max_length=40, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$")] = "",
) -> Imported:
    """Streams the body, which is the file, to disk, so that a large one does not fill the memory."""
    studio.folder.need_space()
    file = studio.folder.place("imports") / new_id()
    try:
        with file.open("wb") as stream:
            async for piece in request.stream():
                await run_in_threadpool(stream.write, piece)
        if not file.stat().st_size:
            raise Refuse(422, "The body is empty.", "a video or a zip of videos", field="body")
        incoming = Incoming(file, name, label, subject.strip())
        return await run_in_threadpool(studio.imports.take, incoming)
    finally:
        file.unlink(missing_ok=True)


@router.get("/findings")
def findings(studio: Here) -> Findings:
    return studio.findings()


@router.put("/findings/{finding}")
def keep_finding(studio: Here, finding: Id, body: FindingBody) -> Finding:
    return studio.keep(finding, body.kept)


def jpeg_answer(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})
