"""API routes for clips: lists, changes, pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from gesta.web import pictures
from gesta.web.calls_folder import Here, jpeg_answer
from gesta.web.clips import shown
from gesta.web.looks import span_of_motion
from gesta.web.messages import Clip, ClipPatch, Clips, Id, Motion, Seen
from gesta.web.records import Record
from gesta.web.studio import Studio

router = APIRouter()


@router.get("/clips")
def clips(
    studio: Here,
    after: Annotated[str, Query(max_length=40)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
    state: Literal["", "used", "left_out", "unlabeled", "deleted"] = "",
) -> Clips:
    everything = [one for one in studio.clips.all() if (one.state == state if state else one.state != "deleted")]
    places = {one.id: place for place, one in enumerate(everything)}
    start = places.get(after, -1) + 1
    page = everything[start : start + limit]
    kinds = studio.kinds_of(page)
    following = page[-1].id if page and start + limit < len(everything) else ""
    return Clips(clips=[shown(one, kinds.get(one.id, ())) for one in page], next=following, total=len(everything))


@router.get("/clips/{clip}")
def get_clip(studio: Here, clip: Id) -> Clip:
    return _answer(studio, studio.clips.get(clip))


@router.patch("/clips/{clip}")
def patch_clip(studio: Here, clip: Id, body: ClipPatch) -> Clip:
    if body.label is not None:
        studio.labels.known(body.label)
    return _answer(studio, studio.clips.patch(clip, body))


@router.delete("/clips/{clip}")
def delete_clip(studio: Here, clip: Id) -> Clip:
    return _answer(studio, studio.clips.delete(clip))


@router.post("/clips/{clip}/restore")
def restore_clip(studio: Here, clip: Id) -> Clip:
    return _answer(studio, studio.clips.restore(clip))


@router.get("/clips/{clip}/strip", response_class=Response)
def strip(
    studio: Here,
    clip: Id,
    n: Annotated[int, Query(ge=1, le=24)] = 8,
    height: Annotated[int, Query(ge=16, le=480)] = 120,
    whole: bool = False,
) -> Response:
    record = studio.clips.get(clip)
    times_s = studio.looker.rows(record)[:, 0]
    span = (0.0, float(times_s[-1])) if whole else (record.start, record.end or float(times_s[-1]))
    return jpeg_answer(pictures.strip(studio.clips.file(record), times_s, span, n, height))


@router.get("/clips/{clip}/video", response_class=FileResponse)
def video(studio: Here, clip: Id) -> FileResponse:
    record = studio.clips.get(clip)
    end_s = record.end or float(studio.looker.rows(record)[-1, 0])
    path = pictures.playable(studio.clips.file(record), (record.start, end_s), studio.folder.place("playable"))
    return FileResponse(path, media_type="video/mp4")


@router.get("/clips/{clip}/seen")
def seen(studio: Here, clip: Id) -> Seen:
    record = studio.clips.get(clip)
    return pictures.seen(studio.clips.file(record), (record.start_s, record.end_s), studio.transform())


@router.get("/clips/{clip}/motion")
def motion(studio: Here, clip: Id) -> Motion:
    rows = studio.looker.rows(studio.clips.get(clip))
    start_s, end_s = span_of_motion(rows)
    most = max(float(rows[:, 2].max()), 1e-9)
    times, shares = rows[:, 0].round(3).tolist(), (rows[:, 2] / most).round(3).tolist()
    return Motion(times_s=times, motion=shares, start_s=round(start_s, 3), end_s=round(end_s, 3))


def _answer(studio: Studio, record: Record) -> Clip:
    return shown(record, studio.kinds_of([record]).get(record.id, ()))
