"""What launches clusters, checked as far as that goes without a cloud; nothing is launched.

Ray's own schema does not look into `provider` and `node_config`, and no schema of Kubernetes or
SkyPilot is at hand, so `fields/` has the names that are documented, each file with its source.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

from xmrc.settings import load_study

REPOSITORY = Path(__file__).parents[2]
CLUSTERS = REPOSITORY / "clusters"
FIELDS = Path(__file__).parent / "fields"
RAY_UP = [CLUSTERS / f"{name}.yaml" for name in ("aws", "azure", "gcp", "on_premises")]
CLOUDS = [path for path in RAY_UP if path.stem != "on_premises"]
WITH_STEPS = [
    *RAY_UP,
    *(CLUSTERS / name for name in ("kuberay.yaml", "skypilot.yaml", "slurm.sbatch")),
    CLUSTERS / "local-multi-node.sh",
]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path))


def known(kind: str) -> dict[str, Any]:
    """A tree of names; below None may be anything."""
    return dict(json.loads((FIELDS / f"{kind}.json").read_text())["fields"])


def unknown(value: Any, names: dict[str, Any] | None, where: str = "") -> Iterator[str]:
    """The dotted places whose name is not among the known ones."""
    if names is None:
        return
    for one in value if isinstance(value, list) else [value]:
        for key in one if isinstance(one, dict) else ():
            place = f"{where}.{key}".lstrip(".")
            if key in names:
                yield from unknown(one[key], names[key], place)
            else:
                yield place


def unknown_of_ray_up(config: dict[str, Any]) -> list[str]:
    names = known(config["provider"]["type"])
    nodes = config.get("available_node_types", {})
    found = [*unknown(config["provider"], names["provider"], "provider")]
    for name, node in nodes.items():
        found += unknown(node["node_config"], names["node_config"], name)
    return found


def unknown_of_kuberay(loaded: list[dict[str, Any]]) -> list[str]:
    return [place for one in loaded for place in unknown(one, known("kuberay")[one["kind"]])]


@named(RAY_UP)
def test_ray_accepts_the_file_and_every_name_is_documented(path: Path) -> None:
    (config,) = documents(path)
    validate_config(prepare_config(config))
    assert unknown_of_ray_up(documents(path)[0]) == []


def test_kuberay_and_skypilot_know_every_name() -> None:
    assert unknown_of_kuberay(documents(CLUSTERS / "kuberay.yaml")) == []
    assert [*unknown(documents(CLUSTERS / "skypilot.yaml")[0], known("skypilot"))] == []


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("aws", "InstanceType", "InstanceTyp"),
        ("aws", "VolumeSize", "VolumSize"),
        ("aws", "cache_stopped_nodes", "cache_stoped_nodes"),
        ("azure", "vmSize", "vmsize"),
        ("azure", "resource_group", "resourcegroup"),
        ("gcp", "onHostMaintenance", "onHostMaintainance"),
        ("gcp", "machineType", "machine_type"),
        ("on_premises", "worker_ips", "workers_ips"),
    ],
)
def test_a_misspelt_name_that_ray_accepts_is_found(kind: str, right: str, wrong: str) -> None:
    text = (CLUSTERS / f"{kind}.yaml").read_text()
    (config,) = YAML(typ="safe").load_all(re.sub(rf"\b{right}:", f"{wrong}:", text))
    found = unknown_of_ray_up(config)
    assert found
    assert all(place.endswith(wrong) for place in found)


@pytest.mark.parametrize(
    "right", ["authOptions", "mode", "minReplicas", "volumeMounts", "claimName", "accessModes"]
)
def test_a_misspelt_name_of_kubernetes_is_found(right: str) -> None:
    text = (CLUSTERS / "kuberay.yaml").read_text()
    wrong = text.replace(f"{right}:", f"{right}s:")
    assert unknown_of_kuberay(list(YAML(typ="safe").load_all(wrong)))


@pytest.mark.parametrize("right", ["use_spot", "accelerators", "job_recovery", "setup"])
def test_a_misspelt_name_of_skypilot_is_found(right: str) -> None:
    text = (CLUSTERS / "skypilot.yaml").read_text().replace(f"{right}:", f"my_{right}:")
    (task,) = YAML(typ="safe").load_all(text)
    assert [place.split(".")[-1] for place in unknown(task, known("skypilot"))] == [f"my_{right}"]


def test_ray_refuses_a_file_with_an_unknown_key() -> None:
    (config,) = documents(RAY_UP[0])
    with pytest.raises(Exception, match="colour"):
        validate_config(prepare_config({**config, "colour": "red"}))


@named(RAY_UP)
def test_every_node_has_the_tried_versions_the_token_and_the_shared_folder(path: Path) -> None:
    (config,) = documents(path)
    setup = "\n".join(config["setup_commands"])
    assert "pip install -q -e $HOME/xmrc -c $HOME/xmrc/constraints.txt" in setup
    assert "RAY_AUTH_MODE=token" in setup
    assert "RAY_JOB_STOP_WAIT_TIME_S=60" in setup, "a search needs more than Ray's 3 s to end"
    assert "XMRC_DATA=/mnt/xmrc/data" in setup
    assert config["file_mounts"] == {
        "/home/ubuntu/xmrc": ".",
        "/home/ubuntu/.ray/auth_token": "~/.ray/auth_token",
    }
    assert path in CLOUDS or "/mnt/xmrc must be the same shared folder" in path.read_text()
    assert path not in CLOUDS or "sudo mount -t nfs4" in setup


@named(CLOUDS)
def test_spot_workers_come_and_go_and_the_head_stays(path: Path) -> None:
    (config,) = documents(path)
    nodes, text = config["available_node_types"], path.read_text()
    head, gpu = nodes["head"], nodes["gpu"]
    spot = re.compile("spot", re.IGNORECASE)
    assert spot.search(json.dumps(gpu["node_config"]))
    assert not spot.search(json.dumps(head["node_config"]))
    assert (gpu["min_workers"], head["resources"]) == (0, {"CPU": 0})
    assert config["idle_timeout_minutes"] <= 15
    assert config["provider"]["cache_stopped_nodes"] is False, "a stopped disk costs too"
    assert "--set resources.wait=" in text, "the search begins before the first machine is there"
    assert "24.04" in text, "Python 3.12"
    assert "latest_dlami" not in text


@named(WITH_STEPS)
def test_the_head_says_how_to_start_watch_stop_resume_and_fetch_and_that_it_costs(
    path: Path,
) -> None:
    head = [line for line in path.read_text().splitlines()[:60] if line.startswith("#")]
    for step in ("start", "watch", "stop", "go on", "fetch"):
        assert [line for line in head if line.startswith(f"# {step} ")], step
    text = " ".join(head)
    assert re.search(r"--resume|is resumed", text)
    assert "cost" in text or "uses up the allocation" in text


@named(WITH_STEPS)
def test_every_search_that_a_file_names_can_be_loaded(path: Path) -> None:
    text = re.sub(r"\\\n#? *", " ", path.read_text())
    commands = re.findall(r"xmrc\.tune ([^$()\n]*--space search_spaces.*)", text)
    for command in commands:
        said = re.split(r" [$(]|'", command)[0]
        words = shlex.split(said, comments=True)
        values = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        load_study(REPOSITORY / words[words.index("--space") + 1], values)
    assert commands or path.suffix in (".sbatch", ".sh")
