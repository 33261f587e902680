"""Third-party files that pages need and gesta does not include: locates them, or fetches them by npm or from a file.

From onnxruntime-web (MIT license, Microsoft Corporation), the single-threaded build, the smallest: it needs neither
WebGPU nor special headers from the server. From MediaPipe's vision tasks (Apache-2.0, Google), the module and its wasm
with SIMD.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gesta.files import user_data, write_whole
from gesta.schema import UNREADABLE, GestaError

LARGEST = 64 * 2**20
MOST_MEMBERS = 5000
NPM_S = 600


@dataclass(frozen=True)
class Package:
    """An npm package. `files`: name in the package's folder `inside` -> (name here and in an export, sha256)."""

    pinned: str
    command: str
    size: str
    inside: str
    files: Mapping[str, tuple[str, str]]

    @property
    def folder(self) -> Path:
        """`GESTA_DATA`/its command's name, else the same in `gesta` of the user's data folder."""
        return user_data(self.command)

    def located(self) -> dict[str, bytes]:
        """Name in an export -> content. Raises GestaError if a file is missing or differs from the published one."""
        missing = [name for name, _ in self.files.values() if not (self.folder / name).is_file()]
        if missing:
            raise GestaError(
                f"{self.folder}: lacks {', '.join(missing)}, which a page needs. Get them once: "
                f"gesta fetch {self.command} (or --from the .tgz of {self.pinned})."
            )
        found = {name: (self.folder / name).read_bytes() for name, _ in self.files.values()}
        for name, sha256 in self.files.values():
            if hashlib.sha256(found[name]).hexdigest() != sha256:
                file = self.folder / name
                raise GestaError(f"{file}: is not the one of {self.pinned}. Get it again: gesta fetch {self.command}.")
        return found

    def fetch(self, source: Path | None = None, told: Callable[[str], None] = lambda _: None) -> list[Path]:
        """Installs the files in `folder`, from a package's .tgz or unpacked folder, or by npm; returns their paths.

        Raises GestaError if the source is a different one, and if npm is missing or fails, with manual instructions.
        """
        if source is not None:
            return self._store(source)
        with tempfile.TemporaryDirectory(prefix="gesta-fetch-") as temporary:
            return self._store(self._downloaded(Path(temporary), told))

    def _downloaded(self, folder: Path, told: Callable[[str], None]) -> Path:
        """Downloads the package's file by npm with the user's settings."""
        npm = shutil.which("npm")
        told(f"downloading {self.pinned} ({self.size})")
        reason = "npm is not installed"
        if npm is not None:
            words = [npm, "pack", self.pinned, "--pack-destination", str(folder)]
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
            f"The package {self.pinned} could not be downloaded ({reason}). On a computer with npm and a network: npm "
            f"pack {self.pinned}. Copy the .tgz here, then: gesta fetch {self.command} --from FILE.tgz. It is stored "
            f"in {self.folder}."
        )

    def _store(self, source: Path) -> list[Path]:
        found = dict(self._members(source))
        for name, (_, sha256) in self.files.items():
            if hashlib.sha256(found.get(name, b"")).hexdigest() != sha256:
                what = "not the published file" if name in found else "missing"
                raise GestaError(
                    f"{source}: {name} is {what}. Expected the .tgz of {self.pinned}, or a folder of its files."
                )
        try:
            return [write_whole(self.folder / name, found[member]) for member, (name, _) in self.files.items()]
        except OSError as error:
            raise GestaError(
                f"{self.folder}: cannot be written ({error}). Free space, or choose another folder with GESTA_DATA."
            ) from error

    def _members(self, source: Path) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the files in a package's .tgz or folder. Raises GestaError if it cannot be read."""
        try:
            if source.is_dir():
                for name in self.files:
                    for path in (source / name, source / self.inside / name, source / "package" / self.inside / name):
                        if path.is_file() and path.stat().st_size <= LARGEST:
                            yield name, path.read_bytes()
                return
            with tarfile.open(source) as archive:
                for _, member in zip(range(MOST_MEMBERS), archive, strict=False):
                    name = member.name.removeprefix(f"package/{self.inside}")
                    stream = archive.extractfile(member) if name in self.files and member.size <= LARGEST else None
                    if stream is not None:
                        yield name, stream.read()
        except (*UNREADABLE, tarfile.TarError) as error:
            why = str(error).partition("\n")[0]  # tarfile gives a line for every method it tried
            raise GestaError(f"{source}: cannot be read ({why}). Expected the .tgz of {self.pinned}.") from error


ONNXRUNTIME = Package(
    "onnxruntime-web@1.30.0",
    "onnxruntime-web",
    "about 33 MB; 14 MB of it are used",
    "dist/",
    {
        "ort.wasm.bundle.min.mjs": ("ort.js", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
        "ort-wasm-simd-threaded.wasm": (
            "ort.wasm",
            "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        ),
    },
)
MEDIAPIPE = Package(
    "@mediapipe/tasks-vision@1.1.0",
    "mediapipe-web",
    "about 12 MB; 14 MB of it are used, unpacked",
    "",
    {
        name: (name, sha256)
        for name, sha256 in (
            ("vision_bundle.mjs", "9d5fc9ef74b22329cf9aa88dc543956d192b8c254210b187271614713eb5b10c"),
            ("wasm/vision_wasm_internal.js", "7c652617b5bef832f42878ce8c5f752b0724bca6054e4bc1013a37d4b1949723"),
            ("wasm/vision_wasm_internal.wasm", "782eda3ec1f414fdb4f1d66a8b59093eb4d5ab437e06117796abf05962d68eef"),
        )
    },
)
