"""The two WebSockets: /ws/state notifies pages of changes, /ws/live answers camera frames."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from gesta.schema import GestaError
from gesta.web.guard import Door
from gesta.web.live import Following, Waiting, read_shot
from gesta.web.messages_work import Changed, Hello, Kept, Thresholds, Wrong
from gesta.web.models import PACKAGED
from gesta.web.refuse import Refuse
from gesta.web.studio import Studio

router = APIRouter()
TOKEN, ORIGIN, MODEL, IDLE, LARGE, BROKEN, LACKS, MANY = 4401, 4403, 4404, 4408, 4413, 4422, 4424, 4429
HELLO_S = 10.0
TEXT_CHARACTERS = 2000


class Closing(Exception):
    """Closes the socket with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Places:
    """Counts open sockets: all of them, and live ones."""

    def __init__(self) -> None:
        self.all = self.live = 0

    @asynccontextmanager
    async def taken(self, studio: Studio, live: bool) -> Any:
        limits = studio.folder.limits
        if self.all >= limits.sockets or (live and self.live >= limits.live_sockets):
            raise Closing(MANY)
        self.all, self.live = self.all + 1, self.live + live
        try:
            yield
        finally:
            self.all, self.live = self.all - 1, self.live - live


@router.websocket("/ws/state")
async def ws_state(socket: WebSocket) -> None:
    await _served(socket, False, _tell_changes)


@router.websocket("/ws/live")
async def ws_live(socket: WebSocket) -> None:
    await _served(socket, True, _follow)


async def _tell_changes(socket: WebSocket, studio: Studio, _hello: Hello) -> None:
    queue = studio.hub.listen()
    listening = asyncio.create_task(_until_closed(socket))
    try:
        await socket.send_text(Changed(type="hello", revision=studio.hub.revision).model_dump_json())
        while not listening.done():
            change = asyncio.create_task(queue.get())
            await asyncio.wait({change, listening}, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                await socket.send_text(change.result().model_dump_json())
            else:
                change.cancel()
    finally:
        listening.cancel()
        studio.hub.leave(queue)


async def _follow(socket: WebSocket, studio: Studio, hello: Hello) -> None:
    model = socket.query_params.get("model") or next(iter([*studio.models.ids(), *PACKAGED]))
    try:
        following = await run_in_threadpool(lambda: Following(studio.models.bundle(model)))
    except Refuse as error:
        raise Closing(MODEL) from error
    except GestaError as error:
        raise Closing(LACKS) from error
    waiting, came = Waiting(), asyncio.Event()
    answering = asyncio.create_task(_answer(socket, following, waiting, came))
    try:
        while True:
            await _receive(socket, studio, hello, following, waiting)
            came.set()
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await answering


async def _receive(socket: WebSocket, studio: Studio, hello: Hello, following: Following, waiting: Waiting) -> None:
    """Handles one message: a frame, "That was wrong", or new thresholds."""
    try:
        message = await asyncio.wait_for(socket.receive(), studio.folder.limits.idle_s)
    except TimeoutError as error:
        raise Closing(IDLE) from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    if message.get("bytes") is not None:
        try:
            waiting.put(read_shot(message["bytes"], studio.folder.limits))
        except Refuse as error:
            raise Closing(LARGE if error.status == 413 else BROKEN) from error
        return
    asked = _asked(message.get("text") or "")
    if isinstance(asked, Thresholds):
        await run_in_threadpool(following.set, asked)
    else:
        await socket.send_text((await run_in_threadpool(_kept, studio, hello, following)).model_dump_json())


def _asked(text: str) -> Wrong | Thresholds:
    """Parses a text message. Raises Closing."""
    for kind in (Wrong, Thresholds):
        with suppress(ValidationError):
            found = kind.model_validate_json(text[:TEXT_CHARACTERS])
            if not isinstance(found, Thresholds) or found.off <= found.on:
                return found
    raise Closing(BROKEN)


def _kept(studio: Studio, hello: Hello, following: Following) -> Kept:
    """Saves the last seconds as a clip without label; the id is empty if there is nothing to save, or no space."""
    try:
        studio.folder.need_space()
        writes, facts = following.wrong()
        return Kept(kept=studio.clips.keep_last(writes, hello.subject, **facts).id)
    except Refuse:
        return Kept(kept="")


async def _answer(socket: WebSocket, following: Following, waiting: Waiting, came: asyncio.Event) -> None:
    """Answers queued frames as fast as the model can."""
    while True:
        await came.wait()
        came.clear()
        while (shot := waiting.take()) is not None:
            answer = await run_in_threadpool(following.step, shot)
            await socket.send_text(answer.model_dump_json())


async def _until_closed(socket: WebSocket) -> None:
    """Waits until the socket closes; ignores the page's messages."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


async def _served(socket: WebSocket, live: bool, work: Callable[[WebSocket, Studio, Hello], Awaitable[None]]) -> None:
    """Serves a socket once its token is checked; closes it with a code for the reason."""
    state = socket.app.state
    await socket.accept()
    try:
        async with state.places.taken(state.studio, live):
            await work(socket, state.studio, await _hello(socket, state.door))
    except WebSocketDisconnect:
        return
    except Closing as closing:
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(closing.code)


async def _hello(socket: WebSocket, door: Door) -> Hello:
    try:
        text = await asyncio.wait_for(socket.receive_text(), HELLO_S)
        hello = Hello.model_validate(json.loads(text[:TEXT_CHARACTERS]))
    except TimeoutError as error:
        raise Closing(IDLE) from error
    except (ValueError, KeyError, ValidationError) as error:
        raise Closing(TOKEN) from error
    if not door.opens(hello.token):
        raise Closing(TOKEN)
    return hello
