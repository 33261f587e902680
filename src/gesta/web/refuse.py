"""Errors that reject a request with an HTTP status."""

from __future__ import annotations

from gesta.web.messages import Refusal


class Refuse(Exception):
    """Becomes a response with this status: what happened, what was expected, what to do next."""

    def __init__(self, status: int, error: str, expected: str = "", hint: str = "", field: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.body = Refusal(error=error, expected=expected, hint=hint, field=field)


def missing(what: str, name: str) -> Refuse:
    """A 404 error."""
    return Refuse(404, f"There is no {what} {name!r}.", hint="Load the page again: it may have been deleted.")
