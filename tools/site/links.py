"""Finds dead links of a built site: every URL in its pages must lead to a file and, if given, to an anchor in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
"""Elements whose URL the browser loads automatically."""
HARMLESS = ("canonical", "prev", "next", "preconnect", "dns-prefetch")


@dataclass
class Found:
    """The result of a check."""

    pages: int = 0
    links: int = 0
    dead: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """The links and anchors of one page; `elsewhere`: what it would load from another server."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.elsewhere: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := named.get(name))}
        address = named.get(LOADED.get(tag, "href" if tag == "a" else "")) or ""
        if re.match(r"(https?:)?//", address):
            if tag in LOADED and named.get("rel") not in HARMLESS:
                self.elsewhere.append(address)
        elif address and not re.match(r"(data|mailto|javascript):", address):
            self.links.append(address)


def check(site: Path) -> Found:
    """Checks every page of the site; links without a target and files loaded from other servers are dead."""
    read = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = Found(len(read), sum(len(page.links) for page in read.values()))
    for path, page in read.items():
        name = path.relative_to(site).as_posix()
        found.dead += [f"{name}: loads {address} from another server" for address in page.elsewhere]
        found.dead += [f"{name}: {link}" for link in dict.fromkeys(page.links) if not _leads(link, path, site, read)]
    return found


def _leads(link: str, page: Path, site: Path, read: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    target = (
        page
        if not parts.path
        else (site if parts.path.startswith("/") else page.parent) / unquote(parts.path).lstrip("/")
    )
    target = target.resolve()
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return False
    return not parts.fragment or target not in read or unquote(parts.fragment) in read[target].places
