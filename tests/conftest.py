"""What tests of several rooms share: a small set of hands, and an untrained hand pose bundle for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def gesta(monkeypatch, capsys):
    """Calls the command line; returns exit_code, stdout, and stderr on one line."""

    def call(*words):
        from gesta.cli import main

        monkeypatch.setattr(sys, "argv", ["gesta", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(exit_code=end.value.code or 0, stdout=out, stderr=" ".join(err.split()))

    return call


@pytest.fixture(scope="session")
def hand_data(tmp_path_factory):
    """A folder of 20 tiny hands with joints, 80 x 60. Not to be changed."""
    from training.hand_sets import make_hands

    root = tmp_path_factory.mktemp("hands") / "data"
    make_hands(root, 20)
    return root


@pytest.fixture(scope="session")
def pose_bundle(tmp_path_factory):
    """Weights and an OpenVINO network, 16 x 16, joints as in `hand_data`. Not to be changed."""
    import torch
    from training.hand_sets import NAMES

    from gesta.bundle.io import read_pose
    from gesta.tasks.hands.transform import HandTransform
    from gesta.tasks.hands.export import add, random_hands
    from gesta.models.pose_catalog import build_pose
    from gesta.tasks.catalog import load_recipe
    from gesta.tasks.hands.save import pose_provenance, write_pose_bundle

    settings = ["input.size=16", "model.name=net1", "model.hidden=8"]
    recipe = load_recipe("kazakos/depth-net", settings)
    torch.manual_seed(0)
    network = build_pose(recipe.model.model_dump(), joint_names=NAMES, inputs="depth", size=16)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("out") and weight.ndim == 2:
                weight.mul_(8)  # so that hands give different joints
    folder = write_pose_bundle(
        tmp_path_factory.mktemp("pose") / "bundle",
        network,
        joints=NAMES,
        transform=HandTransform(size=16, cube_mm=300),
        recipe=recipe,
        provenance=pose_provenance([], layout="hand_folder"),
    )
    add(folder, random_hands(read_pose(folder).manifest, 4).images)
    return folder
