"""The cluster files, checked by Ray's own validator; nothing is launched."""

from pathlib import Path

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

CLUSTERS = sorted((Path(__file__).parents[1] / "clusters").glob("*.yaml"))


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_ray_accepts_the_file(path: Path) -> None:
    validate_config(prepare_config(YAML(typ="safe").load(path)))


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_every_node_installs_xmrc_and_finds_the_shared_corpora(path: Path) -> None:
    config = YAML(typ="safe").load(path)
    setup = "\n".join(config["setup_commands"])
    assert "pip install -q -e $HOME/xmrc" in setup
    assert "XMRC_DATA=/mnt/xmrc/data" in setup
    assert config["file_mounts"] == {"/home/ubuntu/xmrc": "."}


def test_ray_refuses_a_file_with_an_unknown_key() -> None:
    config = YAML(typ="safe").load(CLUSTERS[0])
    with pytest.raises(Exception, match="colour"):
        validate_config(prepare_config({**config, "colour": "red"}))
