"""API routes for jobs and models."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from gesta.web.calls_folder import studio_of
from gesta.web.messages import Id
from gesta.web.messages_work import Job, JobBody, Model, Results, Thresholds

router = APIRouter()


@router.post("/jobs", status_code=201)
def add_job(request: Request, body: JobBody) -> Job:
    return studio_of(request).add_job(body)


@router.get("/jobs/{job}")
def get_job(request: Request, job: Id) -> Job:
    return studio_of(request).jobs.get(job)


@router.delete("/jobs/{job}")
def cancel_job(request: Request, job: Id) -> Job:
    return studio_of(request).jobs.cancel(job)


@router.post("/jobs/{job}/{action}")
def act_on_job(request: Request, job: Id, action: Literal["stop", "resume"]) -> Job:
    jobs = studio_of(request).jobs
    return jobs.stop(job) if action == "stop" else jobs.resume(job)


@router.get("/jobs/{job}/log", response_class=PlainTextResponse)
def job_log(request: Request, job: Id) -> PlainTextResponse:
    return PlainTextResponse(studio_of(request).jobs.log(job))


@router.patch("/models/{model}")
def patch_model(request: Request, model: Id, body: Thresholds) -> Model:
    studio = studio_of(request)
    studio.models.set_thresholds(model, body)
    studio.hub.tell("model", model)
    return studio.models.get(model, studio.clips.used())


@router.delete("/models/{model}", status_code=204)
def delete_model(request: Request, model: Id) -> None:
    studio_of(request).delete_model(model)


@router.get("/models/{model}/results")
def get_results(request: Request, model: Id) -> Results:
    return studio_of(request).results(model)


@router.get("/models/{model}/report", response_class=HTMLResponse)
def get_report(request: Request, model: Id) -> HTMLResponse:
    return HTMLResponse(studio_of(request).report(model))


@router.get("/models/{model}/files/{name}", response_class=FileResponse)
def get_file(request: Request, model: Id, name: Annotated[str, Path(max_length=200)]) -> FileResponse:
    path = studio_of(request).models.file(model, name)
    return FileResponse(path, media_type="application/zip", filename=path.name)
