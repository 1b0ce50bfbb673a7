# SPDX-License-Identifier: MIT
"""The machine: what it is, which CPUs are there, how much memory is free."""

import os
import platform
import resource
import time
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


def governor():
    """How the clock is governed, as text to append; empty where nobody knows, as in most virtual
    machines."""
    place = Path(f"/sys/devices/system/cpu/cpu{cpus()[0]}/cpufreq/scaling_governor")
    try:
        return f", governor {place.read_text(encoding='ascii').strip()}"
    except OSError:
        return ""


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


class Others:
    """How much CPU others had while a child ran in the block: what spoils a figure. Counted by the
    kernel's ticks, so good to a few hundredths of a second."""

    def __enter__(self):
        self.seconds = 0.0  # of CPU
        self.begin = self.reading()
        return self

    def __exit__(self, *_):
        end = self.reading()
        self.took = end[0] - self.begin[0]
        self.seconds = max(end[1] - self.begin[1], 0.0)

    @property
    def cores(self):
        """The mean over the block."""
        return self.seconds / max(self.took, 1e-9)

    def disturbed(self):
        """Whether it was more than the ticks' coarseness, and more than a tenth of a core."""
        return self.seconds > 0.03 + self.took / 10

    @staticmethod
    def reading():
        """The time, and the CPU seconds of everybody but us and our children that have ended."""
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = (int(n) for n in first)
        everybody = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF,
                                                    resource.RUSAGE_CHILDREN)]
        return time.monotonic(), everybody - sum(u.ru_utime + u.ru_stime for u in ours)
