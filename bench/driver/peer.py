# SPDX-License-Identifier: MIT
"""The implementations: which package brings one, its version, how its programs are built and run.

An implementation of a workload is the file bench/workload/<workload>/<name>.<ext>. What CMake
builds lies in the build folder of Weft under bench/; the others are built here, each into
build/bench/<workload>_<name>, with the folder build/bench/<name> for what their tools want.
"""

import re
import shutil
import sys
from pathlib import Path

from . import need, process

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "bench"
BUILD_SECONDS_MAX = 900
CRATES = Path("/usr/share/cargo/registry")
CARGO_HEAD = """\
[package]
name = "weft-bench-tokio"
version = "0.0.0"
edition = "2021"
autobins = false

[dependencies]
tokio = { version = "1", features = ["full"] }
libc = "0.2"

[profile.release]
opt-level = 3
lto = "fat"
codegen-units = 1
panic = "abort"

"""
CARGO_CONFIG = f"""\
[source.crates-io]
replace-with = "packaged"

[source.packaged]
directory = "{CRATES}"
"""


class Missing(Exception):
    """A peer that is not installed: what is missing, and Debian's packages where it is not all of
    the peer's."""

    def __init__(self, text, packages=""):
        super().__init__(text)
        self.packages = packages


def first_line(command):
    """The first line a command prints; Missing when there is no such command or it fails."""
    try:
        return process.run(command, 30, is_merged=True).strip().split("\n")[0]
    except process.Failure as failure:
        raise Missing(f"`{' '.join(command)}`: {failure}".split("\n")[0]) from failure


def defined_in(header, macros):
    """Macros' values in a system header, with points between; Missing without the header."""
    for folder in (Path("/usr/include"), Path("/usr/local/include")):
        if (folder / header).exists():
            text = (folder / header).read_text(encoding="utf-8", errors="replace")
            found = [re.search(rf"^#define {macro}\s+\"?(\w+)", text, re.M) for macro in macros]
            return ".".join(f[1] if f else "?" for f in found).replace("_", ".")
    raise Missing(f"no header <{header}>")


def is_older(output, *sources):
    """Whether something must be built (again)."""
    return not output.exists() or any(
        source.stat().st_mtime > output.stat().st_mtime for source in sources)


def run_of(workload):
    """What runs a workload that is a server and a load."""
    return BENCH / "workload" / workload / "run"


class Peer:
    """An implementation that needs nothing: CMake builds it with Weft."""
    suffix = ".c"
    packages = ""   # Debian's
    hint = ""       # where else to get it
    workers_max = 256

    def __init__(self, name, title, packages=""):
        self.name = name
        self.title = title
        self.packages = packages or self.packages

    @property
    def says(self):
        """What its programs call it in their lines."""
        return self.name

    def weft_of(self, builds):
        """The build of Weft that its programs are part of, or use."""
        return builds.weft

    def version(self):
        """Its version; Missing when it is not installed."""
        return first_line(["getconf", "GNU_LIBC_VERSION"])

    def source(self, workload):
        """The file of a workload; it need not exist."""
        return BENCH / "workload" / workload / (self.says + self.suffix)

    def has(self, workload):
        """Whether there is such a program. (Where there is a `run`, it knows what there is.)"""
        return self.source(workload).exists() and not run_of(workload).exists()

    def build(self, workloads, builds):
        """Build the programs of these workloads. Yields (workload, Failure or None)."""
        for workload in workloads:
            program, = self.command(workload, builds)
            yield workload, None if Path(program).exists() else process.Failure(
                f"{program} was not built")

    def command(self, workload, builds):
        """How to start a program."""
        return [str(self.weft_of(builds) / "bench" / f"{workload}_{self.says}")]


class Weft(Peer):
    """What is measured."""

    def version(self):
        text = (ROOT / "include/weft/version.h").read_text(encoding="utf-8")
        number = re.search(r'WEFT_VERSION_STRING "([^"]+)"', text)[1]
        try:
            commit = first_line(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])
        except Missing:
            return number
        return f"{number} ({commit})"


class Before(Peer):
    """Another build of Weft: the folder given to --compare."""
    says = "weft"

    def weft_of(self, builds):
        return builds.before

    def version(self):
        return "another build"


class Compiled(Peer):
    """A peer that is built here, one command a program."""

    def output(self, workload, builds):
        """The program."""
        return builds.peers / f"{workload}_{self.name}"

    def command(self, workload, builds):
        return [str(self.output(workload, builds))]

    def shared(self):
        """What a program is built from besides its source."""
        return []

    def build_one(self, workload, builds):
        """Build one program; Failure."""
        raise NotImplementedError

    def prepare(self, workloads, builds):
        """What comes before the first program."""

    def build(self, workloads, builds):
        builds.peers.mkdir(parents=True, exist_ok=True)
        self.prepare(workloads, builds)
        for workload in workloads:
            try:
                output = self.output(workload, builds)
                if is_older(output, self.source(workload), *self.shared()):
                    self.build_one(workload, builds)
                yield workload, None
            except process.Failure as failure:
                yield workload, failure


class Go(Compiled):
    """A package of two files for each program."""
    suffix = ".go"
    packages = "golang-go"
    hint = "https://go.dev/dl"

    def version(self):
        return first_line(["go", "version"]).split()[2]

    def shared(self):
        return [BENCH / "bench.go"]

    def build_one(self, workload, builds):
        folder = builds.peers / "go" / workload
        folder.mkdir(parents=True, exist_ok=True)
        for source in (self.source(workload), *self.shared()):
            shutil.copy(source, folder)
        process.run(["go", "build", "-o", str(self.output(workload, builds))], BUILD_SECONDS_MAX,
                    {"GO111MODULE": "off", "GOFLAGS": ""}, folder)


class Tokio(Compiled):
    """One cargo package with a program each, from Debian's crates, without a network."""
    suffix = ".rs"
    packages = "librust-tokio-dev"
    hint = "the crates of Debian or Ubuntu in " + str(CRATES)

    def version(self):
        for name in ("cargo", "rustc"):
            if shutil.which(name) is None:
                raise Missing(f"no command {name}", "librust-tokio-dev cargo rustc")
        found = sorted(CRATES.glob("tokio-[0-9]*"))
        if not found:
            raise Missing(f"no crate {CRATES}/tokio-*")
        return f"{found[-1].name.split('-')[1]}, {first_line(['rustc', '--version'])}"

    def shared(self):
        return [BENCH / "bench.rs", BENCH / "bench_jemalloc.rs"]

    def prepare(self, workloads, builds):
        folder = builds.peers / "tokio"
        (folder / ".cargo").mkdir(parents=True, exist_ok=True)
        (folder / ".cargo/config.toml").write_text(CARGO_CONFIG, encoding="utf-8")
        programs = "".join(f'[[bin]]\nname = "{workload}_tokio"\npath = "{source}"\n\n'
                           for source in sorted(BENCH.glob("workload/*/tokio.rs"))
                           for workload in [source.parent.name] if self.has(workload))
        manifest = folder / "Cargo.toml"
        if not manifest.exists() or manifest.read_text(encoding="utf-8") != CARGO_HEAD + programs:
            manifest.write_text(CARGO_HEAD + programs, encoding="utf-8")

    def build_one(self, workload, builds):
        folder = builds.peers / "tokio"
        name = f"{workload}_tokio"
        process.run(["cargo", "build", "--release", "--offline", "--quiet", "--bin", name],
                    BUILD_SECONDS_MAX, {"CARGO_TARGET_DIR": str(folder / "target")}, folder)
        shutil.copy(folder / "target/release" / name, self.output(workload, builds))


class Cxx(Compiled):
    """C++, from headers and libraries of the system; Weft's allocator is theirs too."""
    suffix = ".cpp"

    def __init__(self, name, title, packages, libraries, header, macros):
        # pylint: disable=too-many-arguments
        super().__init__(name, title, packages)
        self.libraries = libraries
        self.header = header
        self.macros = macros

    def version(self):
        if shutil.which("c++") is None:
            raise Missing("no command c++")
        return defined_in(self.header, self.macros)

    def shared(self):
        return sorted(BENCH.glob("*.hpp"))

    def build_one(self, workload, builds):
        process.run(["c++", "-std=c++17", "-O3", "-flto=auto", "-DNDEBUG", "-Wall", "-Wextra",
                     "-I", str(BENCH), str(self.source(workload)), "-o",
                     str(self.output(workload, builds)), *self.libraries, "-ljemalloc", "-pthread"],
                    BUILD_SECONDS_MAX)


class Libuv(Compiled):
    """C on libuv. CMake leaves these out, since Weft can be built without libuv. The frame is that
    of Weft's own programs, which for them starts no runtime."""
    packages = "libuv1-dev"
    hint = "https://libuv.org"

    def version(self):
        return first_line(["pkg-config", "--modversion", "libuv"])

    def shared(self):
        return [BENCH / "bench.c", BENCH / "bench.h", *sorted(BENCH.glob("workload/*/*.h"))]

    def build_one(self, workload, builds):
        folders = [word for folder in (BENCH, ROOT / "include", ROOT / "runtime")
                   for word in ("-I", str(folder))]
        weft = str(builds.weft / "libweft.a")
        flags = first_line(["pkg-config", "--cflags", "--libs", "libuv", "liburing"]).split()
        process.run(["cc", "-D_GNU_SOURCE", "-O3", "-Wall", "-Wextra", *folders,
                     str(self.source(workload)), str(BENCH / "bench.c"), "-o",
                     str(self.output(workload, builds)), weft, *flags, "-ljemalloc", "-lm",
                     "-pthread"], BUILD_SECONDS_MAX)


class Python(Peer):
    """Not built. uvloop runs asyncio's programs, with its loop. Isolated (-I), or a program called
    asyncio.py would import itself."""
    suffix = ".py"
    workers_max = 1

    def python(self):
        """The interpreter: the system's, which has the packages."""
        return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable

    def source(self, workload):
        own = super().source(workload)
        if self.name == "uvloop" and not own.exists():
            return own.with_name("asyncio.py")
        return own

    def version(self):
        if self.name == "asyncio":
            return first_line([self.python(), "--version"])
        return first_line([self.python(), "-c", "import uvloop; print(uvloop.__version__)"])

    def build(self, workloads, builds):
        for workload in workloads:
            yield workload, None

    def command(self, workload, builds):
        return [self.python(), "-I", str(self.source(workload)), "--implementation", self.name]


class Fio(Python):
    """A script around a program."""
    workers_max = 32

    def source(self, workload):
        return BENCH / "workload" / workload / "fio.py"

    def version(self):
        return first_line(["fio", "--version"]).removeprefix("fio-")


class Crate(Peer):
    """A server on a crate of its own, which is built by the `run` of its workload."""

    def __init__(self, name, title, packages):
        super().__init__(name, title, packages)
        self.hint = TOKIO.hint

    def version(self):
        TOKIO.version()
        found = sorted(CRATES.glob(f"{self.name}-[0-9]*"))
        if not found:
            raise Missing(f"no crate {CRATES}/{self.name}-*")
        return found[-1].name.split("-")[1]

    def has(self, workload):
        return False

    def build(self, workloads, builds):
        return []


class Nginx(Peer):
    """A server that is finished. Not installed from here, since Debian's package starts it."""
    hint = "apt-get install nginx-light, which also starts it, on port 80"

    def version(self):
        return first_line([need.command("nginx") or "nginx", "-v"]).split("/")[-1]

    def has(self, workload):
        return False

    def build(self, workloads, builds):
        return []


class Redis(Nginx):
    """Another server that is finished, and that Debian's package starts."""
    hint = "apt-get install redis-server, which also starts it, on port 6379"

    def version(self):
        said = first_line(["redis-server", "--version"])
        return re.search(r" v=(\S+)", said)[1]


class Variant(Peer):
    """Another way to use a peer, in workloads that are a server and a load."""

    def __init__(self, name, title, base, workers_max=256):
        super().__init__(name, title, base.packages)
        self.base = base
        self.hint = base.hint
        self.workers_max = workers_max

    def version(self):
        return self.base.version()

    def has(self, workload):
        return False

    def build(self, workloads, builds):
        return []


TOKIO = Tokio("tokio", "Tokio")

WEFT = Weft("weft", "Weft")

FIO = Fio("fio", "fio, io_uring", "fio")

PEERS = (
    WEFT,
    Variant("weft_pinned", "Weft, pinned", WEFT),
    Variant("weft_calls", "Weft, descriptors", WEFT),
    Variant("weft_protocol", "Weft, callbacks", WEFT),
    Go("go", "Go"),
    TOKIO,
    Variant("tokio_current_thread", "Tokio, one thread", TOKIO, 1),
    Variant("tokio_block_in_place", "Tokio, block_in_place", TOKIO),
    Cxx("boost_fiber", "Boost.Fiber", "g++ libboost-fiber-dev",
        ("-lboost_fiber", "-lboost_context"), "boost/version.hpp", ("BOOST_LIB_VERSION",)),
    Cxx("tbb", "oneTBB", "g++ libtbb-dev", ("-ltbb",), "oneapi/tbb/version.h",
        ("TBB_VERSION_MAJOR", "TBB_VERSION_MINOR")),
    Libuv("libuv", "libuv"),
    Python("asyncio", "asyncio", "python3"),
    Python("uvloop", "uvloop", "python3-uvloop"),
    Peer("threads", "OS threads"),
    Peer("epoll", "epoll by hand"),
    Peer("ring", "liburing by hand"),
    Peer("ideal", "ideal queue"),
    Crate("hyper", "Tokio, hyper", "librust-hyper-dev librust-tokio-dev cargo rustc"),
    Nginx("nginx", "nginx"),
    Crate("rustls", "Tokio, rustls",
          "librust-tokio-rustls-dev librust-rustls-pemfile-dev librust-tokio-dev cargo rustc"),
    Redis("redis", "redis-server"),
    FIO,
)

BEFORE = Before("before", "Weft, before")


def find(name):
    """The peer of this name, or None."""
    return next((p for p in (*PEERS, BEFORE) if p.name == name), None)
