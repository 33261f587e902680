"""Checks every request before anything else: correct host, from the server's own page, with the token, not too large.

A separate ASGI layer, so that no route can bypass it.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from gesta.web.messages import PREFIX, TOKEN_HEADER, Limits, Refusal
from gesta.web.report import sources

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SMALL_BODY = 64 * 1024


@dataclass(frozen=True)
class Door:
    """The addresses of the server (`127.0.0.1:8765`), whether it uses TLS, and the token."""

    token: str
    hosts: tuple[str, ...]
    secure: bool = False

    def is_own_host(self, host: str) -> bool:
        return host.lower() in self.hosts

    def is_own_origin(self, origin: str) -> bool:
        scheme, _, host = origin.lower().partition("://")
        return scheme == ("https" if self.secure else "http") and host in self.hosts

    def opens(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self.token.encode())

    @property
    def policy(self) -> str:
        """The page's content security policy."""
        sockets = " ".join(f"{'wss' if self.secure else 'ws'}://{host}" for host in self.hosts)
        return (
            f"default-src 'self'; {sources()}; connect-src 'self' {sockets}; "
            "img-src 'self' blob:; media-src 'self' blob:; "
            "frame-src blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )


def hosts_of(host: str, port: int) -> tuple[str, ...]:
    """Valid values of the Host header for a server at this address."""
    names = {host.lower(), "127.0.0.1", "localhost"} if host in ("127.0.0.1", "localhost") else {host.lower()}
    standard = {name for name in names if port in (80, 443)}
    return tuple(sorted({f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names} | standard))


class Guard:
    """Rejects a foreign host or origin with 403, a call without the token with 401, and large bodies with 413."""

    def __init__(self, app: Any, door: Door, limits: Limits) -> None:
        self._app, self._door, self._limits = app, door, limits
        self._headers = [
            (b"content-security-policy", door.policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(self), microphone=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["type"] == "websocket":
            await self._socket(headers, scope, receive, send)
            return
        refusal = self._refusal(headers, scope)
        if refusal is not None:
            await self._refuse(*refusal, send)
            return
        await self._limited(scope, receive, send)

    def _stranger(self, headers: Mapping[str, str]) -> Refusal | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._door.is_own_host(host):
            return Refusal(error=f"This server is not {host[:80]}.", expected=self._door.hosts[0], field="Host")
        if origin is not None and not self._door.is_own_origin(origin):
            return Refusal(
                error="Pages of other sites may not call this server.", expected="its own page", field="Origin"
            )
        return None

    def _refusal(self, headers: Mapping[str, str], scope: Scope) -> tuple[int, Refusal] | None:
        stranger = self._stranger(headers)
        if stranger is not None:
            return 403, stranger
        if scope["path"].startswith(PREFIX) and not self._door.opens(headers.get(TOKEN_HEADER.lower(), "")):
            hint = "Open the address that gesta studio printed."
            return 401, Refusal(error="The token is missing or wrong.", expected=TOKEN_HEADER, hint=hint, field="token")
        length = headers.get("content-length", "0")
        allowed = self._allowed(scope)
        if not length.isdecimal() or len(length) > 18:
            return 400, Refusal(error="Content-Length is not a number.", field="Content-Length")
        if int(length) > allowed:
            return 413, _too_large(allowed)
        return None

    async def _socket(self, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Accepts unauthorized sockets and closes them with a code: to a page, a rejected one looks like no network."""
        if self._stranger(headers) is None:
            await self._app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4403})

    def _allowed(self, scope: Scope) -> int:
        if scope["method"] == "POST" and scope["path"] == f"{PREFIX}/imports":
            return self._limits.import_bytes
        if scope["method"] == "PUT" and re.fullmatch(rf"{PREFIX}/takes/[^/]+/parts/[^/]+", scope["path"]):
            return self._limits.part_bytes
        return SMALL_BODY

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application; responds with 413 if the body exceeds the limit."""
        allowed, came, begun, refused = self._allowed(scope), 0, False, False

        async def bounded() -> Message:
            nonlocal came, refused
            message = await receive()
            came += len(message.get("body", b""))
            if came > allowed:
                refused = True
                if not begun:
                    await self._refuse(413, _too_large(allowed), send)
                return {"type": "http.disconnect"}
            return message

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if refused:
                return
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        try:
            await self._app(scope, bounded, with_headers)
        except Exception:
            if not refused:
                raise

    async def _refuse(self, status: int, refusal: Refusal, send: Send) -> None:
        body = json.dumps(refusal.model_dump()).encode()
        kind = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers = [*kind, (b"connection", b"close"), *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _too_large(allowed: int) -> Refusal:
    shown = f"{allowed / 2**20:.0f} MB" if allowed >= 2**20 else f"{allowed // 1024} KB"
    return Refusal(error="The body is too large.", expected=f"at most {shown}", field="body")
