"""Who ran what: the tags that say where a run came from.

In: nothing but this machine. Out: tags for MLflow, those of its own names where it has some.
"""

import getpass
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_CODE = Path(__file__).parent
_PACKAGES = (
    "xmrc", "torch", "transformers", "tokenizers", "datasets", "ray", "optuna", "mlflow", "pyarrow",
    "numpy",
)  # fmt: skip


def provenance(code: Path = _CODE) -> dict[str, str]:
    """User, command, commit and whether the working tree differs from it, Python, packages.

    The commit is that of the repository that holds `code`, else of the working directory's.
    """
    return {
        "mlflow.user": _user(),
        "mlflow.source.name": Path(sys.argv[0]).name or "python",
        "mlflow.source.type": "LOCAL",
        "version.python": platform.python_version(),
        **(_commit(code) or _commit(Path.cwd())),
        **_versions(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def _commit(folder: Path) -> dict[str, str]:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    clean = _git(folder, "status", "--porcelain", "--untracked-files=no") == ""
    return {"mlflow.source.git.commit": commit, "xmrc.git_clean": str(clean).lower()}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, None where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _versions() -> dict[str, str]:
    installed = {name: _version(name) for name in _PACKAGES}
    return {f"version.{name}": version for name, version in installed.items() if version}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
