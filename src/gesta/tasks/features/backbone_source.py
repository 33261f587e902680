"""Find the weights of a frozen backbone: in the bundle, in another bundle, or in a file."""

from __future__ import annotations

from pathlib import Path

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.safe import is_zipped_bundle
from gesta.schema import GestaError
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest

SUFFIXES = (".safetensors", ".pth", ".pt")
"""Suffixes of weight files searched for in a folder; a file given explicitly may have any."""


def backbone_of(bundle: Bundle[FeatureManifest], given: str | Path | None) -> Bundle[FeatureManifest] | Path:
    """Return what holds the backbone: the bundle itself or `given`. Raises GestaError saying what to pass."""
    used = bundle.manifest.backbone
    if given is None:
        if holds(bundle):
            return bundle
        raise GestaError(
            f"{bundle.path}: its backbone {used.name} (weights {used.weights[:12]}) is not in the bundle because it is "
            "too large. Give it: --backbone-weights FILE, the weights that gesta features was run with, or a bundle or "
            "folder that contains them."
        )
    path = Path(given)
    if str(given).partition(":")[0] == "random" or (path.is_file() and not is_zipped_bundle(path)):
        return path
    if not path.exists():
        raise GestaError(f"--backbone-weights {given}: there is no such file or folder.", usage=True)
    if path.is_dir() and not (path / io.MANIFEST).exists():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        named = [file for file in files if file.stem.replace("-", "_").startswith(used.name)] or files
        if len(named) != 1:
            found = ", ".join(file.name for file in named) or "none"
            raise GestaError(
                f"--backbone-weights {given}: expected one weights file of {used.name} in it, found {found}. "
                "Give the file itself.",
                usage=True,
            )
        return named[0]
    other = io.read(path, FeatureManifest)
    if not holds(other) or other.manifest.backbone.weights != used.weights:
        raise GestaError(
            f"--backbone-weights {given}: does not contain the backbone {used.name} with the weights "
            f"{used.weights[:12]}. "
            "Give the file that the features were computed with."
        )
    if _place(other.manifest.backbone) != _place(used):
        raise GestaError(
            f"--backbone-weights {given}: its backbone computes other features than that of {bundle.path}. Give a "
            "weights file."
        )
    return other


def holds(bundle: Bundle[FeatureManifest]) -> bool:
    """Return whether the backbone is in the bundle."""
    return any(artifact.stage == "backbone" for artifact in bundle.manifest.artifacts)


def _place(used: BackboneUse) -> tuple[str, str, int, int]:
    return used.name, used.stage, used.size, used.window
