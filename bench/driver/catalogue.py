# SPDX-License-Identifier: MIT
"""The workloads: what is run, for how many workers, what is read from it, and what Weft aims at.

A workload is a folder, bench/workload/<folder>. It is of one of two kinds:

  program   Each file <implementation>.<ext> (peer.py) is a program of its own, called with
            --workers N --rounds N [--size N]. Where the workload reads a file, that is named in
            the environment: BENCH_FILE.
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
    quick_rounds: int = 2
    inner_rounds: int = 3      # rounds inside a run
    quick_inner_rounds: int = 1
    seconds: float = 0.6       # what a run takes, until it is known
    quick_seconds: float = 0.0  # and with --quick; 0: two fifths of that
    seconds_max: int = 120     # it has hung after
    arguments: tuple = ()
    quick_arguments: tuple = ()
    sizes: tuple = ()          # (implementation, --size), for those that would take for ever
    quick_size: int = 0        # --size of --quick, for those without one in `sizes`
    gib: tuple = ()            # (implementation, memory it needs); "" is everybody else
    without: tuple = ()        # implementations that do not take part, though others of the folder
    needs: tuple = ()          # what all implementations take (need.py)
    file_bytes: int = 0        # of the file that is read, if there is one (datafile.py)
    environment: tuple = ()    # (name, value)
    is_sweep: bool = False     # runs only when named by --only
    is_quick_too: bool = True  # with --quick too, without being named
    quick_workers: tuple = ()  # with --quick these
    is_pinned: bool = True     # to as many CPUs as there are workers; else to all

    @property
    def place(self):
        """The name of the folder."""
        return self.folder or self.name

    def size(self, implementation, is_quick):
        """The --size to give, 0 for none."""
        return dict(self.sizes).get(implementation, self.quick_size if is_quick else 0)

    def seconds_of(self, is_quick):
        """What a run takes, until it is known."""
        return (self.quick_seconds or self.seconds * 0.4) if is_quick else self.seconds

    def file_bytes_of(self, is_quick):
        """How large the file is that is read; 0 without one."""
        return self.file_bytes // 16 if is_quick else self.file_bytes

    def gib_of(self, implementation):
        """How much memory a run takes."""
        need = dict(self.gib)
        return need.get(implementation, need.get("", 0))


BYTES = "B"
P50 = Figure("p50", "p50", "us", 1e-3)
P99 = Figure("p99", "p99", "us", 1e-3)
P999 = Figure("p999", "p99.9", "us", 1e-3)
MEMORY = (Figure("rss_each", "memory", BYTES), Figure("page_tables_each", "page tables", BYTES))
BESIDE = (Figure("apart_p99", "p99, apart", "us", 1e-3), Figure("times_apart", "times apart", ""))
SLOW = ("asyncio", "uvloop")


def slow(size, *more):
    """Sizes for Python, and for others."""
    return tuple((name, size) for name in SLOW) + more


MICRO = (
    Workload(
        "yield", "yield, of 100 tasks",
        aims=(Aim(1 / 5),), sizes=slow(200, ("threads", 200))),
    Workload(
        "spawn", "task spawned and awaited, in batches of 1000",
        aims=(Aim(1 / 4), Aim(1.0, "floor:1", 2)), sizes=slow(10, ("threads", 2))),
    Workload(
        "gather", "task spawned and gathered, in batches of 1000",
        aims=(Aim(1 / 4),), sizes=slow(10)),
    Workload(
        "group", "child of a group, in batches of 1000"),
    Workload(
        "chained_spawn", "task that the one before it spawns",
        sizes=slow(10000)),
    Workload(
        "fib", "spawn, one a call of fib(27)",
        aims=(Aim(1 / 5), Aim(1 / 3, "tbb"), Aim(1 / 1.8, "floor:1", 2)),
        sizes=slow(18, ("boost_fiber", 24)), seconds=0.9,
        gib=(("boost_fiber", 4),)),
    Workload(
        "skynet", "task, of a tree of 1.1 million",
        aims=(Aim(1 / 4),), rounds=9, inner_rounds=1, seconds=1.2, quick_seconds=0.2,
        sizes=slow(4), quick_size=5,
        gib=(("boost_fiber", 8),)),
    Workload(
        "timeout_scope", "round trip of ping_pong, awaited within a time limit", sizes=slow(5000)),
    Workload(
        "ping_pong", "round trip over two channels",
        aims=(Aim(1 / 4, workers=1), Aim(1 / 3, workers=2)),
        sizes=slow(5000, ("threads", 10000))),
    Workload(
        "channel", "item, 4 producers, 4 consumers, capacity 128",
        aims=(Aim(1.0, "go"),), sizes=slow(5000)),
    Workload(
        "mutex", "lock and unlock, of 1000 tasks",
        aims=(Aim(1.0, "go"),), sizes=slow(50)),
    Workload(
        "timer_arm_cancel", "timer armed and cancelled, beside 10,000",
        sizes=slow(20)),
    Workload(
        "remote_spawn", "task spawned by a plain thread: each of many, and one by one when idle",
        figures=(Figure(label="many"), P50, P99), sizes=slow(2000), is_pinned=False, seconds=0.9,
        quick_seconds=0.5),
    Workload(
        "wake_latency", "wake of a task of an idle runtime, by a plain thread",
        figures=(P50, P99, P999), is_pinned=False, seconds=0.9, quick_seconds=0.3,
        quick_size=200),
    Workload(
        "offload", "empty job in a pool of threads, there and back: one by one, and 64 at a time",
        figures=(Figure(label="one by one"), Figure("many_ns", "of many")),
        aims=(Aim(1.0, label="one by one"), Aim(1.0, label="of many")), is_pinned=False,
        sizes=slow(2000), seconds=0.9, quick_seconds=0.3, quick_size=5000),
    Workload(
        "idle", "idle runtime: switches a second, and for each task that wakes after 1 ms",
        workers=(2, 16), figures=(Figure("idle_per_s", "idle", "/s"),
                                  Figure("switches_each", "a wake-up", ""),
                                  Figure("values", "CPU of one", "us", 1e-3)),
        aims=(Aim(5.0, "", label="idle"), Aim(1.0, label="a wake-up"),
              Aim(1.0, label="CPU of one")),
        rounds=9, inner_rounds=1, seconds=1.2, quick_seconds=1.2, quick_rounds=1,
        quick_workers=(2,)),
    Workload(
        "burner_sleepers", "wake-up of 100 tasks, how late, beside one that burns 50 ms of 100",
        workers=(2,), figures=(P50, P99, P999, *BESIDE), aims=(Aim(2.0, "", label="times apart"),),
        rounds=9, inner_rounds=1, seconds=2.2, quick_seconds=0.7, quick_size=300),
    Workload(
        "shutdown", "close of a runtime with 100,000 tasks",
        figures=(Figure(unit="ms", scale=1e-6),), rounds=7, seconds=3.0, quick_seconds=0.2,
        quick_size=10000),
)



FILE_READ = {"unit_of": "read of 4 kB at random, 32 at a time", "folder": "file_read",
             "figures": (Figure("reads_per_s", "reads", "k/s", 1e-3, True),
                         Figure("cpu_us_each", "CPU", "us")),
             "aims": (Aim(0.9, "fio", label="reads"),), "inner_rounds": 1, "seconds": 0.8,
             "quick_rounds": 1, "quick_seconds": 0.4,
             "file_bytes": 256 << 20}
FILES = (
    Workload("file_read", rounds=9, quick_size=200, **FILE_READ),
    # Only when named: the disk decides, and who rations it.
    Workload("file_read_direct", workers=(1,), is_sweep=True,
             environment=(("BENCH_FILE_DIRECT", "1"),), quick_size=200, **FILE_READ),
)

# What takes gigabytes and seconds a run.
MILLIONS = (
    Workload(
        "sleepers", "sleeper of a million, asleep for 1 to 2 seconds: CPU time and memory",
        figures=(Figure("values[0]", "CPU, cold"), Figure("values[1]", "CPU, again")) + MEMORY,
        aims=(Aim(1 / 2, label="CPU, cold"), Aim(1 / 5, label="CPU, again")),
        rounds=5, quick_rounds=1, inner_rounds=2, quick_inner_rounds=2, seconds=7.5,
        quick_seconds=4.4, quick_workers=(1,), sizes=slow(30000), quick_size=100000,
        gib=(("", 6),), is_pinned=False),
    Workload(
        "parked", "task of a million that waits: memory",
        figures=MEMORY + (Figure("rss_left_each", "left after", BYTES),),
        aims=(Aim(4396, "", label="memory"),), workers=(1,), rounds=2, quick_rounds=1,
        inner_rounds=1, seconds=8.0, is_quick_too=False, sizes=slow(30000), quick_size=100000,
        gib=(("", 6),)),
    Workload(
        "cancel_storm", "cancelled and awaited task, of a million that sleep",
        rounds=5, quick_rounds=1, inner_rounds=1, seconds=4.0, quick_seconds=0.7,
        sizes=slow(30000), quick_size=100000, gib=(("", 6),)),
)

SWEEPS = (
    Workload(
        "workers_sweep", "child that computes for a microsecond",
        workers=SWEEP_WORKERS, aims=tuple(Aim(1.25, "floor:2", n) for n in SWEEP_WORKERS[2:]),
        rounds=7, is_sweep=True),
    Workload(
        "scope", "yield in a scope, what the scope adds to it, and what to a receive that waits",
        figures=(Figure(label="in a scope"), Figure("scope", "added"),
                 Figure("parking", "to a wait")), is_sweep=True),
    Workload(
        "memory", "task of ten million that come and go: does memory stay flat?",
        figures=(Figure(label="time"), Figure("rss_growth", "growth", BYTES)),
        rounds=3, quick_rounds=1, inner_rounds=1, seconds=5.0, quick_size=1000000, is_sweep=True),
)


def served(name, folder, unit_of, arguments, **more):
    """A row of a workload that is a server and a load."""
    given = {"kind": "server", "workers": (1,), "quick_rounds": 1, "seconds": 1.7,
             "quick_seconds": 0.55,
             "quick_arguments": ("--seconds", "0.3", "--warmup", "0.1"), **more}
    return Workload(name, unit_of, folder=folder, arguments=tuple(arguments.split()), **given)


CPU_US = Figure(label="CPU", unit="us")
LATENCY_US = tuple(Figure(key, label, "us") for key, label in
                   (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")))
CPU_AIM = Aim(1.05, "ring", label="CPU")
RSS = (Figure("rss_bytes", "RSS", "MB", 1e-6),)
CALLS = (Figure("syscalls_per_request", "calls", ""),
         Figure("switches_per_request", "switches", ""))


# What Weft does in other ways than its own row: in rows that compare these.
WAYS = ("weft_calls", "weft_protocol")


def echo(name, unit_of, arguments, **more):
    """A row of echo: what the server takes, and how long the client waits."""
    more = {"without": WAYS, **more}
    figures = (CPU_US,) + (LATENCY_US if name == "echo_1" else LATENCY_US[1:])
    return served(name, "echo", unit_of, arguments, figures=figures + more.pop("more", ()), **more)


def stall(name, unit_of, arguments, **more):
    """A row of stall: how long the others wait."""
    figures = LATENCY_US + more.pop("more", ())
    return served(name, "stall", unit_of, arguments, figures=figures, workers=(2,), **more)


def key_value(name, unit_of, arguments):
    """A row of key_value: SET and GET."""
    figures = tuple(figure for word in ("set", "get") for figure in
                    (Figure(f"{word}_per_s", word.upper(), "k/s", 1e-3, True),
                     Figure(f"{word}_cpu_us", f"CPU, {word.upper()}", "us"),
                     Figure(f"{word}_p99_us", f"p99, {word.upper()}", "us")))
    return served(name, "key_value", unit_of, arguments, figures=figures, rounds=9, seconds=6,
                  quick_seconds=2, quick_arguments=("--seconds", "0.5"), is_sweep=True,
                  aims=(Aim(1.0, "redis", label="CPU, SET"), Aim(1.0, "redis", label="CPU, GET")),
                  needs=("redis-tools", "uthash-dev"))


SERVERS = (
    echo("echo_64", "64 byte echo, 64 connections", "--connections 64", aims=(CPU_AIM,), rounds=15),
    echo("echo_64_streams", "the same, Weft by streams; beside descriptors and callbacks",
         "--connections 64 --streams", aims=(Aim(1.05, "weft_calls", label="CPU"), CPU_AIM),
         rounds=15, is_sweep=True, without=()),
    served("echo_tls", "echo_tls", "64 byte echo over TLS 1.3, 64 connections", "--connections 64",
           figures=(CPU_US,) + LATENCY_US[1:] + RSS, aims=(Aim(1.0, "go", label="CPU"),), rounds=9,
           is_sweep=True, needs=("openssl",)),
    served("connections", "connections", "idle connection, of 19,000 to each of 4 servers: memory"
           " of the server, and of the kernel for both ends", "--connections 19000 --servers 4",
           figures=(Figure(label="server", unit=BYTES), Figure("kernel_bytes", "kernel", BYTES),
                    Figure("left_bytes", "left after", BYTES),
                    Figure("million_gb", "server, a million", "GB")),
           rounds=1, seconds=45, quick_seconds=4,
           quick_arguments=("--connections", "2000", "--servers", "1", "--give-back", "0"),
           is_sweep=True),
    key_value("key_value", "request of redis-benchmark, 50 connections", "--pipeline 1"),
    key_value("key_value_pipelined", "the same, 16 requests in flight", "--pipeline 16"),
    served("echo_64_calls", "echo", "64 byte echo, 64 connections: system calls and context"
           " switches a request", "--connections 64 --syscalls", figures=CALLS, rounds=1,
           seconds=3.4, is_quick_too=False, needs=("linux-perf",)),
    echo("echo_1000", "64 byte echo, 1000 connections", "--connections 1000", more=RSS,
         aims=(CPU_AIM, Aim(1.0, "ring", label="p99")), rounds=15),
    echo("echo_pipelined", "64 byte echo, 64 connections, 16 requests in flight",
         "--connections 64 --pipeline 16", aims=(CPU_AIM,), rounds=15),
    echo("echo_1", "64 byte echo, 1 connection, the load polling",
         "--connections 1 --busy-load --server-spin 50", aims=(Aim(1 / 2, label="p50"),), rounds=9),
    echo("echo_1000_w2", "64 byte echo, 1000 connections, 2 workers beside the load",
         "--connections 1000", workers=(2,), is_sweep=True),
    served("churn", "churn", "connection that lives for one echo, 64 at a time",
           "--connections 64", figures=(CPU_US,) + LATENCY_US[1:], rounds=9, without=WAYS),
    stall("burner_echo", "request beside a client that burns 50 ms of every 100", "--burn",
          more=(Figure("apart_p99", "p99, apart", "us"), Figure("times_apart", "times apart", "")),
          aims=(Aim(2.0, "", label="times apart"),), rounds=7, seconds=3.2, quick_seconds=1.4,
          without=("ideal",)),
    served("http", "http", "GET / by wrk, 64 connections", "--connections 64",
           figures=(CPU_US, Figure("throughput", "answers", "k/s", 1e-3, True)) + LATENCY_US[1:],
           aims=(Aim(1.0, "go", label="CPU"), Aim(1.0, "nginx", label="CPU")), quick_arguments=(),
           needs=("wrk", "libhttp-parser-dev"), quick_seconds=1.7),
    served("http_calls", "http", "GET / by wrk, 64 connections: system calls and context switches",
           "--connections 64 --syscalls", figures=CALLS + RSS, rounds=1, quick_arguments=(),
           seconds=3.4, is_quick_too=False, needs=("wrk", "libhttp-parser-dev", "linux-perf")),
    stall("stall_1000", "request beside those that burn 1 ms, 1 in 1000", "--one-in 1000",
          aims=(Aim(1 / 2, "best", label="p99"),), is_sweep=True),
    stall("stall_100", "request beside those that burn 1 ms, 1 in 100", "--one-in 100",
          aims=(Aim(1 / 2, "best", label="p99"), Aim(1.5, "ideal", label="p99"))),
    stall("stall_20", "request beside those that burn 1 ms, 1 in 20", "--one-in 20",
          aims=(Aim(1 / 2, "best", label="p99"), Aim(1.5, "ideal", label="p99"),
                Aim(1.0, "best", label="p99.9"))),
)

WORKLOADS = MICRO + FILES + MILLIONS + SERVERS + SWEEPS


def find(name):
    """The workload of this name, or None."""
    return next((w for w in WORKLOADS if w.name == name), None)
