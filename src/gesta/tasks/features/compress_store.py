"""A chain's weights written anew, of the backbone and of the classifier: in 32, 16 or 8 bits, sparse where smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from gesta.bundle import io, sparse
from gesta.bundle.manifest import Artifact
from gesta.compression.store import WORDS, Step
from gesta.compression.weights import Precision, Weights, count, narrowed, prunable
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.network import load_backbone
from gesta.tasks.features.predict import backbone_of

FILES = {"head": io.WEIGHTS, "backbone": "backbone.safetensors"}
"""Stage -> its file of weights."""


def store_chain(bundle: Path | str, out: Path, precision: Precision, backbone: str | Path | None = None) -> Step:
    """The chain with the weights of both stages stored in another precision, at `out`; loaded they are float32 again.

    The backbone comes from the bundle or `backbone` (as of `load_sequence`) and is in the new one whatever its size.
    Bytes and parameters are those of both stages, the backbone's own last layer included. Raises GestaError where the
    bundle has no weights, or the backbone is nowhere.
    """
    source = io.read(bundle, FeatureManifest)
    inner = load_backbone(source, backbone_of(source, backbone)).module.network
    assert isinstance(inner, nn.Module)
    stages: dict[str, Weights] = {
        "head": io.load_weights(source, "head"),
        "backbone": {name: tensor.numpy() for name, tensor in inner.state_dict().items()},
    }
    before = sum(np.asarray(array).nbytes for weights in stages.values() for array in weights.values())
    files: dict[str, bytes] = {}
    tensors: list[sparse.Stored] = []
    loaded: dict[str, Weights] = {}
    kept: list[str] = []
    for stage, weights in stages.items():
        values, scales, left = narrowed(weights, precision)
        files[FILES[stage]], stored = sparse.encode(values, scales)
        loaded[stage] = sparse.decode(files[FILES[stage]], str(out))
        tensors += stored
        kept += [f"{stage}.{name}" for name in left]
    artifacts = tuple(
        Artifact(
            role="weights", engine="torch", precision=precision, file=file, sha256=io.digest(files[file]), stage=stage
        )
        for stage, file in FILES.items()
    )
    counted = [count(weights) for weights in loaded.values()]
    done = f"weights stored in {WORDS[precision]}"
    metrics = {**source.manifest.metrics, "steps": done, "weights_bytes": sum(map(len, files.values()))}
    notes = tuple(note for note in source.manifest.notes if "is not in the bundle" not in note)
    manifest = source.manifest.model_copy(update={"artifacts": artifacts, "metrics": metrics, "notes": notes})
    io.write(out, manifest, files)
    emptied = tuple(
        f"{stage}.{name}" for stage, weights in loaded.items() for name in prunable(weights) if not weights[name].any()
    )
    return Step(
        bundle=out,
        parameters=sum(all_of for all_of, _ in counted),
        nonzero=sum(nonzero for _, nonzero in counted),
        bytes_before=before,
        bytes_after=sum(map(len, files.values())),
        tensors=tuple(tensors),
        kept=tuple(kept),
        emptied=emptied,
    )
