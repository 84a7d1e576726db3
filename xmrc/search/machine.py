"""What this process may use of its machine. In: the kernel's files. Out: CPUs, bytes.

A scheduler (SLURM, Docker, Kubernetes, `taskset`) gives a process less than the machine has: by an
affinity mask, or by the limits of a control group and of all groups around it, in either version.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_NO_LIMIT = 2**60  # bytes; version 1 writes about 2**63 where there is none


def usable_cpus(root: Path = Path("/")) -> int:
    """Whole CPUs: those of the affinity mask, of which control groups may grant a part."""
    mask = float(len(os.sched_getaffinity(0)))
    return max(1, math.floor(min([mask, *_cpu_quotas(root)])))


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes: those of the machine, of which control groups may grant a part."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_memory_limits(root)])


def _cpu_quotas(root: Path) -> Iterator[float]:
    for group in _groups(root, "cpu"):
        old = (group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")
        quota, period, *_ = [*_words(group / "cpu.max", *old), "", ""]
        if quota.isdecimal() and period.isdecimal():  # else max, or -1
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[int]:
    for group in _groups(root, "memory"):
        for limit in _words(group / "memory.max", group / "memory.limit_in_bytes"):
            if limit.isdecimal() and int(limit) < _NO_LIMIT:
                yield int(limit)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those around it.

    Inside a container the outermost folder is that of its own group, whatever the name says.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controller, mounts / controllers]
        else:
            continue
        inner = Path(name.lstrip("/"))
        for top in tops:
            yield from (top / part for part in [inner, *inner.parents])


def _words(*paths: Path) -> list[str]:
    return [word for path in paths for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    """None of a file that this kernel does not have."""
    return path.read_text().splitlines() if path.is_file() else []
