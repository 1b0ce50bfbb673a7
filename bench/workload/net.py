# SPDX-License-Identifier: MIT
"""What the network workloads (echo, stall, churn) share: peers, servers, the load, the report.

A peer is one server program, in bench/workload/<workload>/. Those in C are built with Weft by
CMake; the others by build() here, into build/bench/<workload>/, each optimised as its own tools
do it. Nothing is fetched: compilers, crates and modules come from Debian packages.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "build/bench"
CRATES = Path("/usr/share/cargo/registry")
START_SECONDS = 10
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
        folder = PEERS / "cargo-net"
        folder.mkdir(parents=True, exist_ok=True)
        crate = f"{source.parent.name}-{source.stem}"
        bins = [f'\n[[bin]]\nname = "{s.parent.name}-{s.stem}"\npath = "{s}"\n'
                for s in sorted(source.parent.parent.glob("*/tokio.rs"))
                if s.parent.name in ("echo", "stall")]
        (folder / "Cargo.toml").write_text(CARGO_HEAD + "".join(bins), encoding="utf-8")
        run_tool([tool("cargo"), "build", "--release", "--offline", "--bin", crate,
                  "--config", 'source.crates-io.replace-with="packaged"',
                  "--config", f'source.packaged.directory="{CRATES}"'],
                 cwd=folder, env={**os.environ, "RUSTC": tool("rustc"), "CARGO_TARGET_DIR":
                                  str(folder / "target")})
        shutil.copy(folder / "target/release" / crate, program)


class LibuvPeer(BuiltPeer):
    def sources(self, workload):
        return [*super().sources(workload), ROOT / "bench/workload/echo/floor.h"]

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


WEFT_ECHO = ("bin/weft-echo", ["--grace", "0"])


def echo_peers():
    """The servers of echo, which churn uses as well."""
    return [
        CMakePeer("weft", WEFT_ECHO[0], options=WEFT_ECHO[1]),
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
        found = re.match(r"listening on [\d.]+:(\d+)", line)
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
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


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


def add_arguments(parser, peers):
    """The options that all runs have."""
    names = [p.name for p in peers]
    parser.add_argument("--implementation", choices=names, help="which server to run")
    parser.add_argument("--list", action="store_true", help="print the implementations")
    parser.add_argument("--build-only", action="store_true",
                        help="compile the peers (or the one named) into build/bench")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", metavar="FOLDER",
                        help="where Weft was built (build/release)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="(1)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N",
                        help="runs, each with a fresh server (1)")


def main(workload, peers, parser, measure):
    """The command: list, build, or call measure(peer, args) and print the JSON line it returns."""
    args = parser.parse_args()
    if args.list:
        print("\n".join(p.name for p in peers))
        return
    chosen = [p for p in peers if args.implementation in (None, p.name)]
    try:
        if args.build_only:
            sys.exit(build_all(workload, chosen))
        if args.implementation is None:
            parser.error("--implementation is needed")
        prepare(workload, chosen[0], args.build, args.workers)
        print(measure(chosen[0], args), flush=True)
    except Failed as error:
        sys.exit(f"{workload}: {error}")


def build_all(workload, peers):
    """Build what can be built and say what is missing. Returns the exit status."""
    status = 0
    for peer in peers:
        package = peer.missing()
        if package:
            print(f"{workload}: {peer.name} cannot be built: install {package}", file=sys.stderr)
            continue
        try:
            peer.build(workload)
        except Failed as error:
            print(f"{workload}: {peer.name}: {error}", file=sys.stderr)
            status = 1
    return status
