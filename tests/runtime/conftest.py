import pytest
from calls import add_networks
from tiny_bundles import MODELS, clips_for, make_bundle


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Model name -> a bundle with torch weights and OpenVINO networks. Not to be changed."""

    made = {}
    for model in MODELS:
        made[model] = make_bundle(tmp_path_factory.mktemp(model) / "bundle", model)
        add_networks(made[model], clips_for(made[model]))
    return made


@pytest.fixture(scope="session")
def joint(bundles):
    return bundles["cnn3d_lstm"]
