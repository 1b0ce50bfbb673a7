# SPDX-License-Identifier: MIT
"""The machine: what it is, which CPUs are there, how much memory is free."""

import os
import platform
from pathlib import Path


def cpu_model():
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def kernel():
    """The kernel's version."""
    return f"Linux {platform.release()}"


def cpus():
    """The CPUs this process may run on."""
    return sorted(os.sched_getaffinity(0))


def pinned(workers):
    """The CPUs for a program with so many workers: as many, and the same ones each time."""
    return cpus()[:workers]


def free_gib():
    """Memory that could be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return 0.0


def load():
    """How many threads want to run, the mean of the last minute."""
    return os.getloadavg()[0]
