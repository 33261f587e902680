"""What tests of several packages share: a small set of hands, and an untrained hand pose bundle for it."""

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
        monkeypatch.setattr("gesta.cli.ending.leave", sys.exit)  # not the tests
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
    return write_pose_bundle(tmp_path_factory.mktemp("pose") / "bundle")


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory):
    """The same with a hand detector that always answers (0.1, 0.2, 0.05). Not to be changed."""
    import torch

    from gesta.models.hand_center import HandCenter

    network = HandCenter()
    with torch.no_grad():
        network.answer.weight.zero_()
        network.answer.bias.copy_(torch.tensor([0, 0.1, 0.2, 0.05]))
    return write_pose_bundle(tmp_path_factory.mktemp("detector") / "bundle", others={"center": network})


def write_pose_bundle(folder, **more):
    import torch
    from calls import add_networks, run_of
    from training.hand_sets import NAMES

    from gesta.models.pose_catalog import build_pose
    from gesta.tasks.catalog import load_recipe
    from gesta.tasks.hands.manifest import HandManifest
    from gesta.tasks.hands.transform import HandTransform
    from gesta.training.save import provenance_of, write_bundle

    settings = ["input.size=16", "model.name=net1", "model.hidden=8"]
    recipe = load_recipe("kazakos/depth-net", settings)
    torch.manual_seed(0)
    network = build_pose(recipe.model.model_dump(), joint_names=NAMES, inputs="depth", size=16)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("out") and weight.ndim == 2:
                weight.mul_(8)  # so that hands give different joints
    run = run_of(folder, {})
    origin = provenance_of([], run, layout="hand_folder", data=b"", identities=lambda _samples: [])
    transform = HandTransform(size=16, cube_mm=300)
    write_bundle(folder, HandManifest, network, recipe, origin, joints=NAMES, transform=transform, **more)
    add_networks(folder)
    return folder
