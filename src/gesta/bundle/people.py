"""Fingerprints of people: enough to tell that a person is met again, and no more."""

from __future__ import annotations

import hashlib

from gesta.schema import base

_ROUNDS = 20_000


def fingerprint(subject: str, layout: str) -> str:
    """16 hex digits: a hash of a person's name or number, salted by the data's layout, however that was read, and slow
    on purpose."""
    salt = f"gesta people 1 {base(layout)}".encode()
    return hashlib.pbkdf2_hmac("sha256", subject.strip().encode(), salt, _ROUNDS, dklen=8).hex()
