"""The scripts and the image of `clusters/`, by the linters of their languages; none is started."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
CLUSTERS = REPOSITORY / "clusters"
SCRIPTS = [
    CLUSTERS / "local-multi-node.sh",
    CLUSTERS / "slurm.sbatch",
    REPOSITORY / ".ci" / "run",
]
DOCKERFILE = CLUSTERS / "Dockerfile"
SBATCH = {  # of man sbatch, SLURM 25.05
    "array", "account", "cpus-per-task", "error", "exclusive", "gpus", "gpus-per-node", "gres",
    "job-name", "mem", "mem-per-cpu", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output",
    "partition", "qos", "requeue", "signal", "time",
}  # fmt: skip


def lint(tool: str, file: Path) -> tuple[int, str]:
    """Exit code and findings of a linter that pip has installed beside this Python."""
    found = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if found is None:
        pytest.skip(f"needs {tool}: pip install -e '.[test]'")
    done = subprocess.run([found, str(file)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def unknown_directives(script: str) -> list[str]:
    used = re.findall(r"^#SBATCH --([\w-]+)", script, re.MULTILINE)
    return [name for name in used if name not in SBATCH]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_and_its_linter_accept_the_script(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    parsed = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (parsed.returncode, parsed.stderr) == (0, "")
    assert lint("shellcheck", script) == (0, "")


@pytest.mark.parametrize("part", ["setup", "run"])
def test_the_scripts_of_skypilot_are_accepted(part: str, tmp_path: Path) -> None:
    script = tmp_path / part
    script.write_text("#!/usr/bin/env bash\n" + YAML().load(CLUSTERS / "skypilot.yaml")[part])
    assert lint("shellcheck", script) == (0, "")


@pytest.mark.parametrize("begun", [True, False])
def test_kubernetes_and_skypilot_resume_where_a_study_has_begun(
    begun: bool, tmp_path: Path
) -> None:
    if begun:
        (tmp_path / "skd" / "2026").mkdir(parents=True)
        (tmp_path / "skd" / "2026" / "study.yaml").touch()
    entrypoint = list(YAML().load_all(CLUSTERS / "kuberay.yaml"))[1]["spec"]["entrypoint"]
    kubernetes = entrypoint.replace("python -m", "echo").replace("/mnt/xmrc/runs", str(tmp_path))
    # A shell reads it, `ray job submit` quotes its words anew, and the head's shell reads them.
    submitted = subprocess.list2cmdline(shlex.split(kubernetes))
    task = YAML().load(CLUSTERS / "skypilot.yaml")["run"]
    skypilot = task.replace("exec ~/env/bin/python -m", "echo")
    for command in (kubernetes, submitted, skypilot):
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "STORAGE": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.rstrip().endswith("--resume") == begun


def test_a_mistake_in_a_script_is_found(tmp_path: Path) -> None:
    script = tmp_path / "broken.sh"
    script.write_text(SCRIPTS[0].read_text().replace('"${started[@]}"', "${started[@]}"))
    code, findings = lint("shellcheck", script)
    assert code != 0
    assert "SC2068" in findings


def test_the_batch_script_is_told_before_its_time_is_over_and_goes_on_by_itself() -> None:
    script = (CLUSTERS / "slurm.sbatch").read_text()
    assert unknown_directives(script) == []
    assert unknown_directives(script.replace("--cpus-per-task", "--cpu-per-task"))
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@120"} <= set(script.splitlines())
    assert "SLURM_RESTART_COUNT" in script
    assert "RAY_AUTH_MODE=token" in script


def test_the_linter_of_images_accepts_the_dockerfile_and_finds_a_mistake(tmp_path: Path) -> None:
    assert lint("hadolint", DOCKERFILE) == (0, "")
    broken = tmp_path / "Dockerfile"
    broken.write_text(DOCKERFILE.read_text().replace("WORKDIR", "WORKDIRECTORY"))
    assert lint("hadolint", broken)[0] != 0


def test_what_the_image_copies_is_there_and_reaches_it() -> None:
    text = DOCKERFILE.read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    sent = (CLUSTERS / "Dockerfile.dockerignore").read_text().splitlines()
    assert {"constraints.txt", "xmrc", "search_spaces"} <= set(copied)
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert f"!{source}" in sent
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert {package["readme"], *package["license-files"]} <= set(copied)


def test_the_image_is_of_a_user_who_is_not_root_with_torch_for_either_device() -> None:
    text = DOCKERFILE.read_text()
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == ["1000"]
    assert "runAsUser: 1000" in (CLUSTERS / "kuberay.yaml").read_text()
    assert re.findall(r"^ARG (\w+)=(\w+)$", text, re.MULTILINE) == [("TORCH", "cpu")]
    assert "-c constraints.txt" in text
    assert "--build-arg TORCH=cuda" in text


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_tried_versions_satisfy_every_requirement() -> None:
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*package["dependencies"], *package["optional-dependencies"]["test"]]
    tried = pins()
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(tried[name]), requirement
    assert not [version for version in tried.values() if "+" in version], "resolves nowhere"
