"""The messages between the studio's page and server: all requests, responses and limits; those on jobs, models,
results and live recognition are in gesta.web.messages_work. docs/studio.md lists the calls. Times are in seconds unless
a name says otherwise; timestamps are seconds since 1970; labels are the data's own (`none` is shown as "nothing");
names of people and labels are text, never HTML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

PREFIX = "/api"
TOKEN_HEADER = "X-Gesta-Token"
NONE = "none"
"""The label for "nothing"."""

_NAME = r"^[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=_NAME)]
"""1 to 40 characters, no control characters."""
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Message(BaseModel):
    """Rejects unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Refusal(Message):
    """The body of every 4xx and 5xx response."""

    error: str = Field(description="what happened")
    expected: str = ""
    hint: str = Field("", description="what to do next")
    field: str = Field("", description="which part of the request")


class Limits(Message):
    """Limits enforced by the server and respected by the page."""

    labels: int = 60
    name_characters: int = 40
    open_takes: int = 4
    part_bytes: int = 8 * 2**20
    part_frames: int = 120
    take_s: float = 60.0
    take_parts: int = 400
    side_pixels: int = 1280
    import_bytes: int = 200 * 2**20
    import_s: float = 600.0
    import_frames: int = 20_000
    zip_files: int = 500
    zip_unpacked_bytes: int = 2 * 2**30
    waiting_jobs: int = 8
    page: int = 200
    live_bytes: int = 256 * 2**10
    live_sockets: int = 8
    sockets: int = 16
    idle_s: float = 30.0
    free_bytes: int = Field(2**30, description="free disk space below which nothing is recorded")


class LabelBody(Message):
    """PUT /labels/{id}: creates a label, or renames it with all its clips; 409 if another label has the name."""

    name: Name


class Label(Message):
    id: Id
    name: str = Field(description="as in the data; `none` is fixed")
    clips: int = Field(0, description="clips used in training")
    seconds: float = Field(0.0, description="total length of these clips")
    recordings: int = Field(0, description="number of their files; several clips of nothing are in one file")
    people: dict[str, int] = Field(default_factory=dict, description="person -> clips")


class Person(Message):
    name: str
    clips: int


class Ready(Message):
    """Whether training can begin."""

    ok: bool
    sentence: str = Field("", description="why not, or what is still missing for a good model")
    button: str = Field("", description="text of the button if not ok")


class Counts(Message):
    clips: int = Field(0, description="clips used in training")
    left_out: int = 0
    unlabeled: int = Field(0, description="kept with `That was wrong`, to be labeled in Check")
    findings: int = Field(0, description="findings that no one has accepted")
    none_s: float = Field(0.0, description="seconds of nothing")


class Abilities(Message):
    """Which optional features are installed."""

    train: bool
    onnx: bool
    web: bool
    missing: str = Field("", description="the command that installs what is missing for training")


class TakeBody(Message):
    """POST /takes."""

    label: Name = Field(description="an existing label")
    subject: Name
    length_s: float = Field(2.0, ge=0.5, le=60, description="requested length; for nothing, of the whole recording")
    span_s: float = Field(
        2.0, ge=0.5, le=10, description="for nothing: length of the clips that the recording is cut into"
    )
    width: int = Field(ge=16, le=1280)
    height: int = Field(ge=16, le=1280)


class Take(Message):
    """An open recording. `parts`: numbers of the parts on disk."""

    take: Id
    label: str
    subject: str
    parts: list[int] = []
    frames: int = 0
    seconds: float = 0.0


class FinishBody(Message):
    """POST /takes/{id}/finish. `parts`: how many there are, 0 to parts - 1."""

    parts: int = Field(ge=1, le=400)
    lost: int = Field(0, ge=0, le=1_000_000, description="frames that the browser reports as not shown")
    reason: Literal["", "camera", "page"] = Field("", description="why it ended early, if it did")


class Clip(Message):
    """One recorded gesture: a row of index.csv, or a clip excluded or deleted from it."""

    id: Id
    label: str = Field(description="empty: not labeled yet")
    subject: str
    name: str = Field(description="display name, as in 'anna 004'")
    path: str = Field(description="inside the folder")
    start_s: float
    end_s: float
    file_s: float = Field(description="length of the whole file")
    frames: int
    fps: float
    width: int
    height: int
    brightness: float = Field(description="mean gray level, 0 to 255")
    lost: int = Field(0, description="frames of the camera that the browser lost")
    made: float = Field(description="when it was recorded")
    state: Literal["used", "left_out", "unlabeled", "deleted"] = "used"
    revision: int = Field(description="increases with every change; sent back with the next change")
    findings: list[str] = Field(
        default_factory=list, description="kinds of findings that no one has accepted, worst first"
    )


class TakeDone(Message):
    """Response of finish: one clip, or the clips that a recording of nothing was cut into."""

    clips: list[Clip]
    seconds: float
    frames: int


class Clips(Message):
    """GET /clips?after=&state=: newest first. `next`: value of `after` for the next page; empty at the end."""

    clips: list[Clip]
    next: str = ""
    total: int


class ClipPatch(Message):
    """PATCH /clips/{id}: changes the given fields; 409 if `revision` is not the clip's."""

    revision: int
    label: Name | None = None
    subject: Name | None = None
    start_s: float | None = Field(None, ge=0)
    end_s: float | None = Field(None, gt=0)
    left_out: bool | None = None


class Motion(Message):
    """GET /clips/{id}/motion: for trimming. `start_s, end_s`: 2 to 98 % of the motion, slightly widened."""

    times_s: list[float] = Field(description="in the file, from its first frame")
    motion: list[float] = Field(description="relative to the largest of the clip, 0 to 1")
    start_s: float
    end_s: float


class Channel(Message):
    name: str
    jpeg: str = Field(description="base64 of a JPEG: the moments side by side")


class Seen(Message):
    """GET /clips/{id}/seen: the network's input."""

    times_s: list[float]
    channels: list[Channel]


class Finding(Message):
    """Something to review; `clip` is empty if it concerns the folder."""

    id: Id
    kind: str
    clip: str = ""
    sentence: str
    hint: str = ""
    stops: bool = Field(False, description="training cannot begin")
    kept: bool = Field(False, description="accepted: keep the clip as it is")
    fixes: list[Literal["record", "trim", "leave_out", "keep", "relabel"]] = []
    start_s: float | None = Field(None, description="a better span, for Trim")
    end_s: float | None = None


class Findings(Message):
    """GET /findings: worst first. `looked` of `of` clips have been measured."""

    findings: list[Finding]
    looked: int
    of: int
    ready: Ready


class FindingBody(Message):
    """PUT /findings/{id}."""

    kept: bool


class Refused(Message):
    name: str
    reason: str


class Imported(Message):
    """POST /imports?label=&subject=&name=: one video or zip, streamed as the body."""

    clips: list[Clip]
    refused: list[Refused] = []
