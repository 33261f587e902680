import shutil
import sys
from pathlib import Path

import pytest
from calls import add_networks

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))  # tiny_bundles


@pytest.fixture(scope="session")
def _exported(tmp_path_factory):
    from tiny_bundles import clips_for, make_bundle

    folder = make_bundle(tmp_path_factory.mktemp("joint") / "bundle", "cnn3d_lstm")
    add_networks(folder, clips_for(folder))
    return folder


@pytest.fixture
def exported(_exported, tmp_path):
    """A joint bundle with its OpenVINO networks, to be changed at will."""
    return Path(shutil.copytree(_exported, tmp_path / "exported"))
