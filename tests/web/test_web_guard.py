"""What the server refuses before it looks: strangers, calls without the token, large bodies, names that lead away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect
from web.studio_help import HOST, Page, opened

from gesta.schema import GestaError
from gesta.web.guard import hosts_of
from gesta.web.messages import Limits
from gesta.web.naming import next_file, slug
from gesta.web.serve import Address, qr_code


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with opened(tmp_path / "data") as found:
        yield found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1:9999"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": f"https://{HOST}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://{HOST}"}, 200),
        ({"Origin": "http://localhost:8765", "Host": "localhost:8765"}, 403),
        ({"X-Gesta-Token": "wrong"}, 401),
        ({"X-Gesta-Token": ""}, 401),
    ],
)
def test_strangers_and_calls_without_the_token(page: Page, headers: dict[str, str], status: int) -> None:
    answer = page.client.get("/api/state", headers=headers)
    assert answer.status_code == status
    assert status == 200 or set(answer.json()) == {"error", "expected", "hint", "field"}


def test_a_foreign_host_gets_no_page_either(page: Page) -> None:
    assert page.client.get("/", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("socket", ["/api/ws/state", "/api/ws/live"])
def test_a_socket_of_another_site_is_closed(page: Page, socket: str) -> None:
    with (
        page.client.websocket_connect(socket, headers={"Origin": "http://evil.example"}) as found,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        found.receive_json()
    assert closed.value.code == 4403


def test_every_answer_has_the_policy(page: Page) -> None:
    for path in ("/", "/nothing.js", "/api/state"):
        headers = page.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers


@pytest.mark.parametrize("name", ["../serve.py", "%2e%2e/serve.py", "page/../../serve.py", "/etc/passwd", "serve.py"])
def test_files_of_the_page_only(page: Page, name: str) -> None:
    assert page.client.get(f"/{name}").status_code == 404


@pytest.mark.parametrize("length", [str(10 * 2**30), "1" * 30, "-1", "x"])
def test_ten_gigabytes_by_content_length(page: Page, length: str) -> None:
    body = {"headers": {"Content-Length": length}, "content": b"x"}
    answer = page.client.post("/api/imports?label=wave&name=a.mp4", **body)
    assert answer.status_code in (400, 413)
    assert not list((page.studio.folder.hidden / "imports").glob("*"))


def test_ten_gigabytes_as_they_come(tmp_path: Path) -> None:
    """Without a length the server counts, and stops long before; nothing stays on the disk."""
    sent = 0

    def pieces() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 2**16
            yield bytes(2**16)

    with opened(tmp_path, import_bytes=2**20) as page:
        answer = page.client.post("/api/imports?label=wave&name=a.mp4", content=pieces())
        assert (answer.status_code, answer.json()["expected"]) == (413, "at most 1 MB")
        assert not list((page.studio.folder.hidden / "imports").glob("*"))
        answer = page.client.put("/api/labels/a", content=pieces())
        assert answer.status_code == 413


def test_scripts_in_names_stay_text(page: Page) -> None:
    name = '<script>alert("x")</script>'
    page.label(name)
    clip = page.record(name, '"><img src=x onerror=alert(1)>')[0]
    answer = page.client.get("/api/state")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["labels"][0]["name"] == name
    assert clip["path"] == "script-alert-x-script/img-src-x-onerror-alert-1_001.mkv"


@pytest.mark.parametrize(
    "name", ["CON", "nul", "Com1", "../..", "/etc/passwd", "..", "train", "挥手", "a" * 40, "index"]
)
def test_names_become_safe_files(page: Page, name: str) -> None:
    page.label(name)
    clip = page.record(name, name)[0]
    folder, file = clip["path"].split("/")
    assert folder.isascii() and folder.replace("-", "").isalnum() and folder not in ("con", "nul", "com1", "train")
    assert (page.studio.folder.root / folder / file).is_file()
    assert sorted(p.name for p in page.studio.folder.root.iterdir()) == sorted([".studio", "index.csv", folder])


def test_slugs(tmp_path: Path) -> None:
    assert [slug("Swipe  left!"), slug("Über"), slug("aux"), slug("!!")] == [
        "swipe-left",
        "uber",
        "gesture-aux",
        "gesture",
    ]
    (tmp_path / "anna_007.mkv").touch()
    assert next_file(tmp_path, "Anna", ".mkv", ["anna_009.mkv", "annabel_020.mkv"]).name == "anna_010.mkv"


def test_addresses(tmp_path: Path) -> None:
    assert hosts_of("127.0.0.1", 8765) == ("127.0.0.1:8765", "localhost:8765")
    assert hosts_of("::1", 443) == ("::1", "[::1]:443")
    assert hosts_of("Host.local", 9000) == ("host.local:9000",)
    with pytest.raises(GestaError, match="Give --cert"):
        Address("0.0.0.0").checked()
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(GestaError, match="cannot be used"):
        Address("192.168.1.5", cert=tmp_path / "cert.pem").checked()
    assert Address().checked().link("t") == "http://127.0.0.1:8765/#token=t"
    assert len(qr_code("https://192.168.1.5:8765/#token=abc").splitlines()) > 10
    assert Limits().import_bytes == 200 * 2**20


def test_at_every_address_the_link_names_one_that_others_can_open(monkeypatch):
    monkeypatch.setattr("gesta.web.serve.outward", lambda v6: ("fd00::7",) if v6 else ("192.168.1.5",))
    every = Address("0.0.0.0")
    assert every.link("t") == "http://192.168.1.5:8765/#token=t"
    assert "localhost" in every.names and "0.0.0.0" not in every.names
    assert Address("::").link("t") == "http://[fd00::7]:8765/#token=t"
    monkeypatch.setattr("gesta.web.serve.outward", lambda _: ())  # no network
    assert every.names[-1] == "localhost" and len(every.names) == 2
