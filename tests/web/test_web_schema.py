"""schemathesis asks every call of the API what its schema allows, and what it does not: no answer is a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web.studio_help import HOST, TOKEN, opened

from gesta.web.messages import TOKEN_HEADER

schemathesis = pytest.importorskip("schemathesis")
pytestmark = pytest.mark.slow
HEADERS = {TOKEN_HEADER: TOKEN, "Host": HOST}
EXAMPLES = 15


def test_no_call_fails(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.label("wave")
        page.record("wave")
        document = page.ask("GET", "/openapi.json")
        assert len(document["paths"]) > 20
        schema = schemathesis.openapi.from_dict(document)
        for found in schema.get_all_operations():
            check(page, found.ok())


def check(page: Any, operation: Any) -> None:
    """Of one call: valid and invalid requests by its schema."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def asked(data: Any) -> None:
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        arguments = case.as_transport_kwargs(base_url=f"http://{HOST}")
        arguments["headers"] = {**dict(arguments.get("headers") or {}), **HEADERS}
        answer = page.client.request(**{k: v for k, v in arguments.items() if k in KNOWN})
        assert answer.status_code < 500 or answer.status_code == 507, (arguments, answer.text)
        if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
            assert set(answer.json()) == {"error", "expected", "hint", "field"}, answer.text

    asked()


KNOWN = ("method", "url", "headers", "params", "json", "content", "data", "files", "cookies")
