"""Fingerprints of people: enough to recognize that a person occurs again, and no more."""

from __future__ import annotations

import hashlib

from gesta.schema import base

_ROUNDS = 20_000


def fingerprint(subject: str, layout: str) -> str:
    """Returns 16 hex digits: a deliberately slow hash of a person's name or number, salted with the data's base layout
    (the same for every way to read it)."""
    salt = f"gesta people 1 {base(layout)}".encode()
    return hashlib.pbkdf2_hmac("sha256", subject.strip().encode(), salt, _ROUNDS, dklen=8).hex()
