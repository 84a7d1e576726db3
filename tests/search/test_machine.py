"""What a process may use, from the kernel's files as either version of control groups has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xmrc.search.machine import usable_cpus, usable_memory

GIB = 2**30
MASK = len(os.sched_getaffinity(0))
UNLIMITED = 9223372036854771712  # as version 1 writes it


def kernel(root, groups, **files):
    """A tree of the kernel's files; in a name `__` stands for a slash, `DOT` for itself."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("DOT", ".")).write_text(text)
    return root


def test_version_two_the_tightest_of_all_groups_around_it(tmp_path):
    root = kernel(
        tmp_path,
        "0::/job.slice/step\n",
        cpuDOTmax="max 100000\n",
        memoryDOTmax="max\n",
        **{
            "job.slice__cpuDOTmax": f"{100000 * MASK // 2} 100000\n",
            "job.slice__step__cpuDOTmax": "max 100000\n",
            "job.slice__memoryDOTmax": f"{3 * GIB // 2}\n",
            "job.slice__step__memoryDOTmax": f"{GIB}\n",
        },
    )
    assert usable_cpus(root) == max(1, MASK // 2)
    assert usable_memory(root) == GIB


def test_version_one_as_slurm_and_docker_write_it(tmp_path):
    root = kernel(
        tmp_path,
        "4:memory:/docker/9f\n2:cpu,cpuacct:/docker/9f\n1:name=systemd:/\n0::/\n",
        **{
            # inside the container its own group is the outermost folder
            "cpu,cpuacct__cpuDOTcfs_quota_us": "150000\n",
            "cpu,cpuacct__cpuDOTcfs_period_us": "100000\n",
            "memory__memoryDOTlimit_in_bytes": f"{2 * GIB}\n",
        },
    )
    assert usable_cpus(root) == 1, "one and a half: whole ones count"
    assert usable_memory(root) == 2 * GIB


def test_without_limits_there_are_those_of_the_machine(tmp_path):
    root = kernel(
        tmp_path,
        "4:memory:/\n2:cpu:/\n",
        cpu__cpuDOTcfs_quota_us="-1\n",
        cpu__cpuDOTcfs_period_us="100000\n",
        memory__memoryDOTlimit_in_bytes=f"{UNLIMITED}\n",
    )
    assert usable_cpus(root) == MASK
    (kilobytes,) = (
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    assert usable_memory(root) == kilobytes * 1024
    assert usable_memory(tmp_path / "no such kernel") == kilobytes * 1024


@pytest.mark.skipif(MASK < 2, reason="needs two CPUs to give one away")
def test_taskset_counts():
    script = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "import xmrc.search.machine as machine; print(machine.usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr
