"""The pieces of work behind tables about actions, each a job: fine-tune a backbone, store features, train on them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesta.experiments.parallel import Job, key_of
from gesta.experiments.trial import identity
from gesta.schema import Listing, Sample
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.features.recipe import FeatureClassifierRecipe, StoredFeatures

if TYPE_CHECKING:
    from torch import nn

    from gesta.models.sequence import SequenceNet

START = "network.safetensors"


def backbone_job(train: Sequence[Sample], recipe: ClipRecipe, folder: Path, layout: str, device: str) -> Job:
    """Leaves the weights of the image network in its argument `leaves`."""
    key = key_of("backbone", recipe.model_dump(mode="json"), layout, identity(train))
    leaves = folder / f"backbone-{key}.safetensors"
    arguments = {
        "train": train,
        "recipe": recipe,
        "folder": folder / f"training-{key}",
        "layout": layout,
        "device": device,
        "leaves": leaves,
    }
    title = "fine-tuning on single frames"
    return Job(title, "gesta.experiments.action_trials:run_backbone", arguments, key, folder / f"{key}.json")


def run_backbone(
    train: Sequence[Sample], recipe: ClipRecipe, folder: Path, layout: str, device: str, leaves: Path
) -> dict[str, Any]:
    """Trains a spatio-temporal ResNet of context 1, that is an image network on single frames."""
    import safetensors.torch

    from gesta.bundle import io
    from gesta.files import write_whole
    from gesta.tasks.clips.fit import fit, settle_for
    from gesta.tasks.clips.network import load_network

    begun = time.monotonic()
    settled, notes = settle_for(train, recipe)
    fitted = fit(train, settled, folder, layout=layout, device=device, notes=notes, progress=False)
    network: Any = load_network(io.read(fitted.bundle, ClipManifest))
    write_whole(leaves, safetensors.torch.save(network.network.state_dict()))
    shutil.rmtree(folder, ignore_errors=True)
    return {"validation": fitted.metrics, "seconds": time.monotonic() - begun}


def feature_job(
    layout: str,
    samples: Sequence[Sample],
    data: Path,
    out: Path,
    wanted: StoredFeatures,
    backbone: str,
    size: int | None,
    weights: str | None,
    tuned: Job | None,
) -> Job:
    """Leaves the features in its argument `leaves`; `tuned`: whose network computes them."""
    given = weights if tuned is None else str(tuned.arguments["leaves"])
    made_by = weights if tuned is None else tuned.key
    key = key_of("features", layout, identity(samples), wanted.model_dump(), backbone, size, made_by)
    arguments = {
        "listing": Listing(data, layout, tuple(samples)),
        "wanted": wanted,
        "backbone": backbone,
        "size": size,
        "weights": given,
        "leaves": out / "features" / key,
    }
    title = f"features of {backbone}, {wanted.stage or 'last stage'}"
    return Job(title, "gesta.experiments.action_trials:run_features", arguments, key, out / "rows" / f"{key}.json")


def run_features(
    listing: Listing, wanted: StoredFeatures, backbone: str, size: int | None, weights: str | None, leaves: Path
) -> dict[str, Any]:
    """Stores the features of all samples, as `gesta features` does."""
    from gesta.tasks.features.backbones import describe, extractor
    from gesta.tasks.features.extraction import Machines, run
    from gesta.tasks.features.store import FeatureRecipe

    begun = time.monotonic()
    ready = extractor(backbone, weights, stage=wanted.stage, size=size)
    recipe = FeatureRecipe(**describe(ready), frames=wanted.frames, every=wanted.every)
    summary = run(listing, leaves, ready, recipe, machines=Machines(device="auto", threads=1))
    videos = 0 if summary is None else summary.videos
    return {"videos": videos, "folder": str(leaves), "seconds": time.monotonic() - begun}


def sequence_job(
    title: str,
    features: Job,
    recipe: FeatureClassifierRecipe,
    folder: Path,
    seed: int,
    device: str,
    start: Job | None = None,
    frozen: bool = False,
) -> Job:
    """A classifier of stored features; `start`: the training whose network it begins with. Leaves its weights."""
    key = key_of(recipe.model_dump(mode="json"), seed, features.key, None if start is None else start.key, frozen)
    place = folder / f"training-{key}"
    arguments = {
        "features": features.arguments["leaves"],
        "recipe": recipe,
        "folder": place,
        "seed": seed,
        "device": device,
        "start": None if start is None else start.arguments["leaves"],
        "frozen": frozen,
        "leaves": place / START,
    }
    return Job(title, "gesta.experiments.action_trials:run_sequence", arguments, key, folder / f"{key}.json")


def run_sequence(
    features: Path,
    recipe: FeatureClassifierRecipe,
    folder: Path,
    seed: int,
    device: str,
    start: Path | None,
    frozen: bool,
    leaves: Path,
) -> dict[str, Any]:
    """Trains on stored features and measures on the test part; the splits are the same in every line of a seed.

    Returns accuracy and loss of the test part, validation, history, parameters, seconds.
    """
    import safetensors.torch

    from gesta.files import write_whole
    from gesta.tasks.features.fit import fit_sequences

    begun = time.monotonic()

    def begin(network: SequenceNet) -> nn.Module | None:
        return None if start is None else begin_with(network, start, frozen)

    fitted = fit_sequences(features, recipe, folder, seed=seed, device=device, progress=False, begin=begin)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in fitted.network.state_dict().items()}
    write_whole(leaves, safetensors.torch.save(tensors))
    seconds = time.monotonic() - begun
    return {
        "accuracy": fitted.metrics["test_accuracy"],
        "loss": fitted.metrics["test_loss"],
        "n": fitted.metrics["test_clips"],
        "validation": fitted.metrics,
        "history": fitted.history,
        "parameters": sum(tensor.numel() for tensor in fitted.network.parameters()),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "notes": list(fitted.notes),
        "training_seconds": seconds,
        "seconds": seconds,
    }


def begin_with(network: SequenceNet, start: Path, frozen: bool) -> nn.Module | None:
    """Another classifier's weights, all but its last layer's; what stays in eval, if the recurrent layers are `frozen`.

    Raises WeightsError listing every tensor that does not fit.
    """
    from gesta.models.weights import load_tensors, read_tensors
    from gesta.training.transfer import freeze, last_layer, layers

    last = tuple(f"{name}." for name in last_layer(network))
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(last)}
    given = {name: tensor for name, tensor in read_tensors(start).items() if not name.startswith(last)}
    load_tensors(network, {**given, **own}, str(start))
    recurrent = [layer for layer in layers(network) if layer.startswith("recurrent")]
    return freeze(network, ",".join(recurrent)) if frozen and recurrent else None
