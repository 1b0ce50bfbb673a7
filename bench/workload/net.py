# SPDX-License-Identifier: MIT
"""What the network workloads (echo, stall, churn) share: peers, servers, the load, the report.

A peer is one server program, in bench/workload/<workload>/. Those in C are built with Weft by
CMake; the others by build() here, into build/bench/<workload>/, each optimised as its own tools
do it. Nothing is fetched: compilers, crates and modules come from Debian packages.
"""

import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "build/bench"
CRATES = Path("/usr/share/cargo/registry")
START_SECONDS = 10
CORES_MAX = 1e6
LOOK_SECONDS = 0.2
PERF_START_SECONDS = 0.3  # until it surely counts
BUILD_SECONDS = 900

CARGO_HEAD = """[package]
name = "weft-bench-net"
version = "0.0.0"
edition = "2021"
autobins = false

[dependencies]
tokio = { version = "1", features = ["full"] }

[profile.release]
lto = "fat"
codegen-units = 1
panic = "abort"
"""


class Failed(Exception):
    """A run that cannot be counted; the text says why."""


def tool(name):
    """A program as Debian packages it, or else the one on the path; None when there is none."""
    packaged = Path("/usr/bin") / name
    return str(packaged) if packaged.exists() else shutil.which(name)


def run_tool(command, **more):
    """Run a compiler, quietly when all is well."""
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          timeout=BUILD_SECONDS, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                     f"{done.stdout}{done.stderr}")


class Peer:
    """One implementation of a workload: how it is built and started, and what that needs."""

    def __init__(self, name, source=None, *, options=(), workers_max=None):
        self.name = name
        self.source = source  # in the workload's folder; None: a program CMake builds
        self.options = list(options)
        self.workers_max = workers_max  # None: any number

    def missing(self):
        """The Debian package that is not there, or None."""
        return None

    def program(self, workload, build):
        raise NotImplementedError

    def build(self, workload):
        """Compile, when it is out of date."""

    def command(self, workload, build, workers):
        return [str(self.program(workload, build)), "--port", "0", "--workers", str(workers),
                *self.options]


class CMakePeer(Peer):
    """Built with Weft: <build>/bench/<workload>_<name>, or the program named."""

    def program(self, workload, build):
        return build / (self.source or f"bench/{workload}_{self.name}")


class EpollPeer(CMakePeer):
    """The same where io_uring is refused."""

    def command(self, workload, build, workers):
        return [tool("env"), "WEFT_BACKEND=epoll", *super().command(workload, build, workers)]


class BuiltPeer(Peer):
    """Built by compile() into build/bench/<workload>/<name of the source>."""

    def program(self, workload, build):
        return PEERS / workload / Path(self.source).stem

    def sources(self, workload):
        return [ROOT / "bench/workload" / workload / self.source]

    def build(self, workload):
        program = self.program(workload, None)
        sources = self.sources(workload)
        if program.exists() and all(s.stat().st_mtime < program.stat().st_mtime for s in sources):
            return
        program.parent.mkdir(parents=True, exist_ok=True)
        self.compile(sources[0], program)
        os.utime(program)

    def compile(self, source, program):
        raise NotImplementedError


class GoPeer(BuiltPeer):
    def missing(self):
        return None if tool("go") else "golang-go"

    def compile(self, source, program):
        run_tool([tool("go"), "build", "-o", str(program), str(source)],
                 env={**os.environ, "GO111MODULE": "off", "GOFLAGS": ""})


class TokioPeer(BuiltPeer):
    """All Tokio peers are programs of one generated package, so that Tokio is compiled once."""

    def missing(self):
        if not tool("cargo") or not tool("rustc"):
            return "cargo"
        return None if list(CRATES.glob("tokio-1.*")) else "librust-tokio-dev"

    def compile(self, source, program):
        self.compile_crate("cargo-net", source, program)

    @staticmethod
    def compile_crate(package, source, program, dependencies=""):
        """With the others of that file name; dependencies: lines more for the package."""
        folder = PEERS / package
        folder.mkdir(parents=True, exist_ok=True)
        crate = f"{source.parent.name}-{source.stem}"
        bins = [f'\n[[bin]]\nname = "{s.parent.name}-{s.stem}"\npath = "{s}"\n'
                for s in sorted(source.parent.parent.glob(f"*/{source.name}"))
                if (s.parent / "run").exists()]
        (folder / "Cargo.toml").write_text(
            CARGO_HEAD.replace("\n[profile", dependencies + "\n[profile") + "".join(bins),
            encoding="utf-8")
        run_tool([tool("cargo"), "build", "--release", "--offline", "--bin", crate,
                  "--config", 'source.crates-io.replace-with="packaged"',
                  "--config", f'source.packaged.directory="{CRATES}"'],
                 cwd=folder, env={**os.environ, "RUSTC": tool("rustc"), "CARGO_TARGET_DIR":
                                  str(folder / "target")})
        shutil.copy(folder / "target/release" / crate, program)


class LibuvPeer(BuiltPeer):
    def sources(self, workload):
        folder = ROOT / "bench/workload"
        return [*super().sources(workload), folder / "echo/floor.h",
                *(folder / workload).glob("*.h")]

    def missing(self):
        if not tool("cc"):
            return "gcc"
        return None if Path("/usr/include/uv.h").exists() else "libuv1-dev"

    def compile(self, source, program):
        run_tool([tool("cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                  f"-I{source.parent}", f"-I{ROOT / 'bench/workload/echo'}", str(source), "-o",
                  str(program), "-luv", "-pthread"])


class PythonPeer(Peer):
    """Run by Debian's interpreter, which has Debian's modules."""

    def __init__(self, name, source, *, module):
        super().__init__(name, source, options=["--loop", module], workers_max=1)
        self.module = module

    def missing(self):
        if not tool("python3"):
            return "python3"
        found = subprocess.run([tool("python3"), "-I", "-c", f"import {self.module}"], check=False,
                               capture_output=True).returncode == 0
        return None if found else f"python3-{self.module}"

    def program(self, workload, build):
        return ROOT / "bench/workload" / workload / self.source

    def command(self, workload, build, workers):
        return [tool("python3"), "-I", *super().command(workload, build, workers)]


def cpu_seconds(pids):
    """What processes have used of the CPU, by the kernel's clocks of them (CPUCLOCK_SCHED)."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def echo_peers():
    """The servers of echo, which churn uses as well. What weft does by calls on descriptors unless
    it is told otherwise, weft_calls does always."""
    return [
        CMakePeer("weft", "bin/weft-echo", options=["--grace", "0"]),
        CMakePeer("weft_calls", "bin/weft-echo", options=["--grace", "0"]),
        CMakePeer("weft_protocol", "bin/weft-echo", options=["--grace", "0", "--protocol"]),
        EpollPeer("weft_epoll", "bin/weft-echo", options=["--grace", "0"]),
        CMakePeer("epoll"),
        CMakePeer("ring"),
        GoPeer("go", "go.go"),
        TokioPeer("tokio", "tokio.rs"),
        TokioPeer("tokio_current_thread", "tokio.rs", options=["--current-thread"], workers_max=1),
        LibuvPeer("libuv", "libuv.c"),
        PythonPeer("uvloop", "python.py", module="uvloop"),
        PythonPeer("asyncio", "python.py", module="asyncio"),
    ]


def prepare(workload, peer, build, workers):
    """See that the peer can be run with so many workers; raises Failed."""
    package = peer.missing()
    if package:
        raise Failed(f"{peer.name} needs the Debian package {package}")
    if peer.workers_max and workers > peer.workers_max:
        raise Failed(f"{peer.name} has {peer.workers_max} worker at most")
    peer.build(workload)
    if not peer.program(workload, build).exists():
        raise Failed(f"{peer.program(workload, build)} is not there; build it first:\n"
                     "  cmake --preset release && cmake --build --preset release")


def pinned_to(cpu):
    """A function for the child to run before exec; None leaves it where it may be."""
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


def rss_most_bytes(pid):
    """The most that was resident of a process so far."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


class Server:
    """A server process on a free port, ended with the block."""

    def __init__(self, command, cpu=None):
        self.command = command
        self.cpu = cpu
        self.process = None
        self.port = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=pinned_to(self.cpu))
        try:
            self.port = self.port_read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def port_read(self):
        def out_of_time(*_):
            raise Failed(f"{' '.join(self.command)} said nothing in {START_SECONDS} s")
        # A server that says nothing must not hold us up for ever.
        signal.signal(signal.SIGALRM, out_of_time)
        signal.alarm(START_SECONDS)
        try:
            line = self.process.stdout.readline()
        finally:
            signal.alarm(0)
        found = re.match(r"listening on (?:port |[\d.]+:)(\d+)", line)
        if not found:
            raise Failed(f"{' '.join(self.command)} did not start: {line!r}")
        return found[1]

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    @property
    def pid(self):
        return self.process.pid

    def rss_bytes(self):
        """The most that was resident so far."""
        return rss_most_bytes(self.pid)


class Counted:
    """Counts system calls and context switches of a process by perf while the block runs.

    Unlike strace it hardly slows the process down. `counts` is None when perf may not be used.
    """

    EVENTS = ("raw_syscalls:sys_enter", "context-switches")

    def __init__(self, pid):
        self.pid = pid
        self.perf = None
        self.counts = None

    def __enter__(self):
        if tool("perf"):
            self.perf = subprocess.Popen(
                [tool("perf"), "stat", "-x", ";", "-e", ",".join(self.EVENTS), "-p",
                 str(self.pid)], stderr=subprocess.PIPE, text=True)
            time.sleep(PERF_START_SECONDS)
        return self

    def __exit__(self, *_):
        if self.perf is None:
            return
        self.perf.send_signal(signal.SIGINT)
        text = self.perf.communicate()[1]
        found = dict.fromkeys(self.EVENTS)
        for line in text.splitlines():
            fields = line.split(";")
            if len(fields) > 2 and fields[2] in found and fields[0].isdigit():
                found[fields[2]] = int(fields[0])
        if None not in found.values():
            self.counts = found


def run_load(command, seconds, cpu=None):
    """Run a load to its end and return what it printed; raises Failed when it was not content."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=seconds + 120, preexec_fn=pinned_to(cpu))
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not there; build it first:\n"
                     "  cmake --preset release && cmake --build --preset release") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)} did not end") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def usable_cpus(*cpus):
    """Check that the CPUs named may be used here; raises Failed."""
    missing = {c for c in cpus if c is not None} - os.sched_getaffinity(0)
    if missing:
        raise Failed(f"CPU {missing.pop()} may not be used here; see --server-cpu and --load-cpu")


class Busy:
    """How many cores others had while a server and its load ran: what spoils a figure.

    Counted by the kernel's ticks, so good to a few hundredths of a core in a second.
    """

    def __enter__(self):
        self.cores = None
        self.begin = self.reading()
        return self

    def __exit__(self, *_):
        end = self.reading()
        seconds = max(end[0] - self.begin[0], 1e-9)
        self.cores = max(0.0, round((end[1] - self.begin[1]) / seconds, 3))

    @staticmethod
    def reading():
        """The time, and the CPU seconds of everybody but us and our children that have ended."""
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = (int(n) for n in first)
        everybody = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF,
                                                     resource.RUSAGE_CHILDREN)]
        return time.monotonic(), everybody - sum(u.ru_utime + u.ru_stime for u in usage)


class Row:
    """A line of arguments that is worth a table, and what it is called."""

    def __init__(self, name, arguments):
        self.name = name
        self.arguments = arguments.split()


class Workload:
    """What a run is made of; main() is the command."""

    def __init__(self, name, peers, rows, columns, parser, measure, *, built_as=None):
        self.name = name
        self.built_as = built_as or name  # the workload whose servers these are
        self.peers = peers
        self.rows = rows
        self.columns = columns  # of the table: key of the JSON line, heading, format
        self.parser = parser
        self.measure = measure  # (peer, args) -> the line as a dict; may raise Failed
        self.add_arguments()

    def add_arguments(self):
        add = self.parser.add_argument
        add("--implementation", choices=[p.name for p in self.peers], help="which server to run")
        add("--list", action="store_true", help="print the implementations")
        add("--rows", action="store_true",
            help="print what --table measures: a name, a tab, the arguments")
        add("--table", action="store_true",
            help="measure every row (or those whose name has --row in it) with every"
                 " implementation (or that one) in turn, and print medians")
        add("--row", default="", metavar="TEXT", help="see --table")
        add("--others-max", type=float, default=CORES_MAX, metavar="CORES",
            help="for --table: a round counts only if others had no more than that; before it"
                 " begins this is waited for (no limit)")
        add("--patience", type=float, default=60, metavar="S",
            help="how long that is tried (60)")
        add("--build-only", action="store_true",
            help="compile the peers (or the one named) into build/bench")
        add("--build", type=Path, default=ROOT / "build/release", metavar="FOLDER",
            help="where Weft was built (build/release)")
        add("--workers", type=int, default=1, metavar="N", help="(%(default)s)")
        add("--rounds", type=int, default=1, metavar="N",
            help="runs, each with a fresh server (1)")

    def main(self):
        args = self.parser.parse_args()
        if args.list:
            print("\n".join(p.name for p in self.peers))
            return
        if args.rows:
            print("\n".join(f"{r.name}\t{' '.join(r.arguments)}" for r in self.rows))
            return
        try:
            self.obey(args, [p for p in self.peers if args.implementation in (None, p.name)])
        except Failed as error:
            sys.exit(f"{self.name}: {error}")

    def obey(self, args, chosen):
        if args.build_only:
            sys.exit(self.build_all(chosen))
        if args.table:
            self.print_table(args, chosen)
            return
        if args.implementation is None:
            self.parser.error("--implementation is needed")
        prepare(self.built_as, chosen[0], args.build, args.workers)
        print(json.dumps(self.measure(chosen[0], args)), flush=True)

    def build_all(self, peers):
        """Build what can be built and say what is missing. Returns the exit status."""
        status = 0
        for peer in peers:
            package = peer.missing()
            if package:
                print(f"{self.name}: {peer.name} cannot be built: install {package}",
                      file=sys.stderr)
                continue
            try:
                peer.build(self.built_as)
            except Failed as error:
                print(f"{self.name}: {peer.name}: {error}", file=sys.stderr)
                status = 1
        return status

    def print_table(self, args, chosen):
        for row in self.rows:
            if args.row in row.name:
                # What the user says goes before what the row says.
                print(f"# {self.name}: {row.name}; medians of {args.rounds}")
                print(f"{'':22}" + "".join(title for _, title, _ in self.columns), flush=True)
                self.print_row(self.parser.parse_args(row.arguments + sys.argv[1:]), chosen)

    def print_row(self, args, chosen):
        lines = {}
        failures = {}
        rounds, args.rounds = args.rounds, 1
        for i in range(rounds):
            for peer in chosen[i % len(chosen):] + chosen[:i % len(chosen)]:
                try:
                    prepare(self.built_as, peer, args.build, args.workers)
                    lines.setdefault(peer.name, []).append(self.measure_undisturbed(peer, args))
                except Failed as error:
                    failures[peer.name] = error
        for peer in chosen:
            if peer.name in lines:
                self.print_line(peer.name, lines[peer.name])
            if peer.name in failures:
                print(f"# {failures[peer.name]}", flush=True)

    def measure_undisturbed(self, peer, args):
        """A line for which others had at most --others-max cores."""
        give_up = time.monotonic() + args.patience
        while True:
            with Busy() as before:
                time.sleep(LOOK_SECONDS)
            if before.cores <= args.others_max:
                line = self.measure(peer, args)
                if line.get("others_cores", 0) <= args.others_max:
                    return line
            if time.monotonic() > give_up:
                raise Failed(f"{peer.name}: others kept the machine busy for {args.patience} s"
                             " (see --others-max)")

    def print_line(self, name, lines):
        text = f"{name:22}"
        for key, title, form in self.columns:
            values = [line["values"][0] if key == "values" else line.get(key) for line in lines]
            text += (form.format(statistics.median(values)) if None not in values else "-"
                     ).rjust(len(title))
        print(text, flush=True)
