"""Builds the site in build/site. Fails on a warning, a dead link, or a page that loads anything from another server.

python -m tools.site                 then open build/site/index.html; no server is needed
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tools.site import api, commands, graph, links, pages

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCE, CONFIG, SITE = BUILD / "pages", BUILD / "mkdocs.yml", BUILD / "site"
SETTINGS = Path(__file__).with_name("mkdocs.yml")


def main() -> None:
    stage()
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", str(CONFIG)])
    if done.returncode != 0:
        sys.exit(
            "the site was not built: fix the problems above (pages in build/pages are made from docs/ and the source)"
        )
    found = links.check(SITE)
    if found.dead:
        sys.exit("\n".join(["dead links:", *found.dead]))
    print(f"{found.pages} pages, {found.links} links, 0 dead: {SITE / 'index.html'}")


def stage() -> None:
    """Writes the input of the generator to build/: copied pages, generated pages, and settings."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(SETTINGS.with_name("assets"), SOURCE / "assets")
    pages.copy(ROOT, SOURCE)
    pages.insert(SOURCE / "architecture.md", "import graph", graph.picture(ROOT / "src" / "gesta"))
    (SOURCE / "api.md").write_text(api.page(), encoding="utf-8")
    named = commands.write(SOURCE / "commands")
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    for section in settings["nav"]:
        if "Commands" in section:
            section["Commands"] += [{name: f"commands/{file}"} for name, file in named.items()]
    settings |= {"docs_dir": SOURCE.name, "site_dir": SITE.name}
    CONFIG.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


if __name__ == "__main__":
    main()
