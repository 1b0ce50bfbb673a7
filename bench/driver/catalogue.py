# SPDX-License-Identifier: MIT
"""The workloads: what is run, for how many workers, what is read from it, and what Weft aims at.

A workload is a folder, bench/workload/<folder>. It is of one of two kinds:

  program   Each file <implementation>.<ext> (peer.py) is a program of its own, called with
            --workers N --rounds N [--size N].
  server    A server and a load: the folder has an executable `run`, called with
            --implementation NAME --workers N --rounds 1 --build FOLDER, FOLDER being where Weft
            was built. With --list it names its implementations, with --build-only it builds them.

Either prints one line of JSON and ends with a status other than 0 when its result was wrong:

  {"workload": <folder>, "implementation": NAME, "unit": "ns", "workers": N, "values": [a round],
   "p50": ..., "p99": ..., "p999": ..., "rss_bytes": ..., "cpu_s": ...}   and figures of its own

A row more of the same folder has a name of its own here, and its own arguments.
"""

from dataclasses import dataclass
from typing import Optional

MICRO_WORKERS = (1, 2)
SWEEP_WORKERS = (1, 2, 4, 8, 16, 64)


@dataclass(frozen=True)
class Figure:
    """A number to read from the line a run prints."""
    key: str = "values"        # "values": the median of the list; "values[0]": one of it
    label: str = ""            # what tells it from other figures of the workload
    unit: str = "ns"           # as printed
    scale: float = 1.0         # printed = line's number * scale
    is_higher_better: bool = False


@dataclass(frozen=True)
class Aim:
    """What Weft should reach: bound >= its figure divided by the peer's (for a figure of which
    more is better: <=)."""
    bound: float
    against: str = "tokio"     # a peer; "best": the best peer, round by round; "floor:N": Weft with
    #                            N workers; "": nobody, the bound is for the printed figure itself
    workers: Optional[int] = None  # None: each worker count on its own
    label: str = ""            # which figure


@dataclass(frozen=True)
class Workload:
    """A table."""
    name: str
    unit_of: str               # what a figure is of
    folder: str = ""           # where it is not the name
    kind: str = "program"      # or "server"
    workers: tuple = MICRO_WORKERS
    figures: tuple = (Figure(),)
    aims: tuple = ()
    rounds: int = 11           # runs of each program
    inner_rounds: int = 3      # rounds inside a run
    seconds: float = 1.0       # what a run takes, until it is known
    seconds_max: int = 120     # it has hung after
    arguments: tuple = ()
    quick_arguments: tuple = ()
    sizes: tuple = ()          # (implementation, --size), for those that would take for ever
    quick_size: int = 0        # --size of --quick, for those without one in `sizes`
    gib: tuple = ()            # (implementation, memory it needs); "" is everybody else
    is_sweep: bool = False     # runs only when named by --only
    is_pinned: bool = True     # to as many CPUs as there are workers; else to all

    @property
    def place(self):
        """The name of the folder."""
        return self.folder or self.name

    def size(self, implementation, is_quick):
        """The --size to give, 0 for none."""
        return dict(self.sizes).get(implementation, self.quick_size if is_quick else 0)

    def gib_of(self, implementation):
        """How much memory a run takes."""
        need = dict(self.gib)
        return need.get(implementation, need.get("", 0))


WORKLOADS = (
    Workload(
        "yield", "yield, of 100 tasks",
        aims=(Aim(1 / 5),), sizes=(("asyncio", 200), ("uvloop", 200), ("threads", 200))),
    Workload(
        "spawn", "task spawned and awaited, in batches of 1000",
        aims=(Aim(1 / 4), Aim(1.0, "floor:1", 2)),
        sizes=(("asyncio", 10), ("uvloop", 10), ("threads", 2))),
    Workload(
        "fib", "spawn, one a call of fib(27)",
        aims=(Aim(1 / 5), Aim(1 / 3, "tbb"), Aim(1 / 1.8, "floor:1", 2)),
        sizes=(("asyncio", 18), ("uvloop", 18)), gib=(("boost_fiber", 4),)),
    Workload(
        "skynet", "task, of a tree of 1.1 million",
        aims=(Aim(1 / 4),), rounds=9, inner_rounds=2, seconds=2.0,
        sizes=(("asyncio", 4), ("uvloop", 4)), quick_size=5, gib=(("boost_fiber", 8),)),
)


def find(name):
    """The workload of this name, or None."""
    return next((w for w in WORKLOADS if w.name == name), None)
