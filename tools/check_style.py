#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check what the house style can be checked for; print each fault as file:line: rule.

All sources      SPDX line, no tabs, no blanks at the end of a line, 100 columns, final newline
C                functions of 70 lines at most, files of 600 (a private header: 250) without the
                 opening comment, include guards WEFT_<NAME>_H, no names with a leading underscore
include          each public call has a comment of its own right above it
include arrows   include <- runtime <- io, include <- io/tls; within runtime downward
                 (RUNTIME_LAYERS)
elsewhere        no atomic access in the order that it has by default: it is named
runtime, io      <stdatomic.h> and unnamed orders only in runtime/atomic.h; at each atomic access
                 `ORD Pn:` or `ORD none:` with a reason; a pair named once has no partner
"""

import argparse
import re
import sys
from pathlib import Path

LINE_COLUMNS = 100
FUNCTION_LINES = 70
SOURCE_LINES = 600
HEADER_LINES = 250
ORD_LINES_ABOVE = 4

FOLDERS = ("include", "runtime", "io", "tests", "bench", "tools", ".ci")
SUFFIXES = (".c", ".h", ".cpp", ".S", ".py", ".sh", ".cmake", ".in")
TEXT_FILES = ("CMakeLists.txt",)
TOP_FILES = ("CMakeLists.txt",)

# Who may include whom inside runtime/: a file may include its own row and those before it. A name
# that no row has comes after them: what knows tasks and workers.
RUNTIME_LAYERS = (
    ("base", "atomic barrier check crash_text list mpsc recent rng sanitize"),
    ("mechanism", "deque ownership inject context stack_slab stack fatal message runnable "
                  "poller"),
)
# What io/ must not know: how work is found and shared out.
SCHEDULER_HEADERS = {"worker.h", "deque.h", "steal.h", "idle.h", "inject.h", "context.h", "stack.h"}
# The part of io/ that knows a ring and nothing of tasks.
RING_FILES = {"ring", "probe", "bufring", "regfile"}
# The words shared with the kernel are plain integers to C.
KERNEL_WORDS = {"io/ring.c", "io/ring.h"}
# Libraries that public headers must not drag in, and that only io/ talks to.
FOREIGN_HEADERS = re.compile(r"^(liburing|jemalloc|json-c|cmocka|openssl)\b")

ORDERED = re.compile(
    r"\batomic_(?:load|store|exchange|add|sub|or|and|cas)_"
    r"(?:relaxed|acquire|release|acq_rel|seq_cst)\s*\(")
UNORDERED = re.compile(
    r"\b(?:atomic_(?:load|store|exchange|fetch_\w+|compare_exchange_\w+)(?:_explicit)?"
    r"|atomic_thread_fence|atomic_signal_fence|__sync_\w+|__atomic_\w+)\s*\(")
# The functions of <stdatomic.h> that say no order.
DEFAULT_ORDER = re.compile(
    r"\batomic_(?:load|store|exchange|fetch_(?:add|sub|or|xor|and)"
    r"|compare_exchange_(?:strong|weak)|flag_test_and_set|flag_clear)\s*\(")
# Pairs are of the file's own table, or of the one in brackets: `ORD P4, P5 (future.h): why`.
PAIRS = r"\bP\d+(?:(?:, | and )P\d+)*"
ORD = re.compile(rf"\bORD (?:{PAIRS}(?: \((?:\w+\.[ch]|below|above)\))?|none):\s*\S")
PAIR = re.compile(rf"(?:\b(\w+)\.[ch] )?({PAIRS})\b(?: \((\w+)\.[ch]\))?")

# Names with a leading underscore that belong to the compiler, the C library or the kernel.
SYSTEM_NAME = re.compile(
    r"_(?:GNU_SOURCE|Atomic|Static_assert|Noreturn|Alignas|Alignof|Generic|Thread_local|Bool|Pragma"
    r"|NSIG|sigev_un|exit|Exit|IO\w*|SC_\w+|mm_\w+|start|end|Unwind_\w+|URC_\w+)"
    r"|__(?:VERSION__|builtin_\w+|atomic_\w+|sync_\w+|asm__|attribute__|extension__|typeof__"
    r"|volatile__"
    r"|inline__|alignof__|func__|FUNCTION__|FILE__|LINE__|COUNTER__|VA_ARGS__|VA_OPT__|NR_\w+"
    r"|has_\w+|[sub]e?\d+|kernel_\w+|(?:a|t|l|ub)san_\w+|sanitizer_\w+|SANITIZE_\w+|cxa_\w+"
    r"|libc_\w+|start_\w+|stop_\w+|real_\w*|wrap_\w*|thread|x86_64__|aarch64__|AVX512F__"
    r"|linux__|clang__|getdelim|GNUC\w*|GLIBC\w*|cplusplus"
    r"|STDC_\w+|STRICT_ANSI__|OPTIMIZE__|ELF__|CET__|SIZEOF_\w+|BYTE_ORDER__|ORDER_\w+|NDEBUG\w*"
    r"|WORDSIZE|SHSTK__|ARM_\w+|start|BASE_FILE__|DATE__|TIME__|[a-z_]+_ptr_t|rseq_\w+|rlimit_\w+)")
UNDERSCORE = re.compile(r"(?<![\w.>])_\w+")


class Source:
    """One file: its lines, and for C the same lines with comments or code blanked out."""

    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.top = self.name.split("/")[0]
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.is_c = path.suffix in (".c", ".h", ".cpp")
        self.code, self.comments = split_comments(self.text) if self.is_c else ([], [])


def split_comments(text):
    """The text's lines twice: without comments and strings, and with nothing but comments."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    blank = lambda s: re.sub(r"[^\n]", " ", s)
    code, comments, at = [], [], 0
    for match in token.finditer(text):
        between, found = text[at:match.start()], match.group()
        code += [between, blank(found)]
        comments += [blank(between), found if found.startswith("/") else blank(found)]
        at = match.end()
    code.append(text[at:])
    comments.append(blank(text[at:]))
    return "".join(code).split("\n"), "".join(comments).split("\n")


class Faults:
    """The faults found so far, each at a line of a file."""

    def __init__(self):
        self.found = []

    def add(self, source, line, rule):
        """Note a fault; line counts from 1."""
        self.found.append((source.name, line, rule))


def check_text(source, faults):
    """What holds for a source in any language."""
    if not any("SPDX-License-Identifier: MIT" in line for line in source.lines[:3]):
        if source.path.suffix != ".in":
            faults.add(source, 1, "no line 'SPDX-License-Identifier: MIT' at the top")
    if source.text and not source.text.endswith("\n"):
        faults.add(source, len(source.lines), "no newline at the end of the file")
    for number, line in enumerate(source.lines, 1):
        if "\t" in line:
            faults.add(source, number, "a tab; indent with 4 spaces")
        if line != line.rstrip():
            faults.add(source, number, "blanks at the end of the line")
        if len(line) > LINE_COLUMNS:
            faults.add(source, number, f"{len(line)} columns, at most {LINE_COLUMNS}")


def check_sizes(source, faults):
    """Functions and files that want to be split."""
    start = None
    for i, line in enumerate(source.code):
        if line.rstrip() == "{":
            start = i
            while start > 0 and source.code[start - 1].strip() and \
                    not re.match(r"#|.*[;}]\s*$", source.code[start - 1]):
                start -= 1
        elif line.startswith("}") and start is not None:
            length = i - start + 1
            if length > FUNCTION_LINES:
                faults.add(source, start + 1,
                           f"a function of {length} lines, at most {FUNCTION_LINES}")
            start = None

    private_header = source.name.endswith(".h") and source.top != "include"
    limit = HEADER_LINES if private_header else SOURCE_LINES
    essay = 0
    while essay < len(source.code) and not source.code[essay].strip():
        essay += 1
    length = len(source.lines) - essay
    if length > limit and source.top != "include":
        faults.add(source, 1, f"{length} lines after the opening comment, at most {limit}")


def check_names(source, faults):
    """Include guards, and names that belong to the compiler."""
    if source.name.endswith(".h"):
        noun = re.sub(r"\W", "_", source.path.stem).upper()
        only_includes = all(re.match(r"\s*(#include .*)?$", line) for line in source.code)
        guard = "WEFT_H" if noun == "WEFT" else rf"WEFT_\w*{noun}\w*_H"
        if not only_includes and not re.search(rf"^#ifndef {guard}$", source.text, re.M):
            faults.add(source, 1, f"no include guard WEFT_{noun}_H")
    for number, line in enumerate(source.code, 1):
        if line.lstrip().startswith("#include"):
            continue
        for match in UNDERSCORE.finditer(line):
            if not SYSTEM_NAME.fullmatch(match.group()):
                faults.add(source, number, f"{match.group()} begins with an underscore")


def check_public_calls(source, faults):
    """Each call of a public header has its own comment."""
    for at, line in enumerate(source.code):
        if not re.match(r"WEFT_PUBLIC\b.*\(", line):
            continue
        above = at - 1
        while above >= 0 and source.code[above].strip() and not re.search(r"[;{}]\s*$",
                                                                          source.code[above]):
            above -= 1
        if above < 0 or not source.lines[above].rstrip().endswith("*/"):
            faults.add(source, at + 1, "a public call without a comment of its own")


def is_tls(source):
    """Of weft-tls, a library that stands on the public headers, in io/ for its place only."""
    return source.name.startswith("io/tls/")


def is_inside(source):
    """Of the library itself, with its own atomics."""
    return source.top in ("runtime", "io") and not is_tls(source)


def layer_of(stem):
    """The row of a runtime file; the last one for a file that no row names."""
    for row, (_, names) in enumerate(RUNTIME_LAYERS):
        if stem in names.split():
            return row
    return len(RUNTIME_LAYERS)


def arrow_fault(source, quoted, target, root):
    """Why this file must not include that one; None when it may."""
    base = target.split("/")[-1]
    in_io = (root / "io" / base).exists() and not (root / "runtime" / base).exists()
    in_runtime = (root / "runtime" / base).exists()
    stem = source.path.stem
    if source.top == "include":
        if quoted:
            return "a public header includes <weft/...> and the C library only"
        if FOREIGN_HEADERS.match(target):
            return f"a public header must not need <{target}>"
    if source.top == "runtime":
        if quoted and in_io or FOREIGN_HEADERS.match(target) or target == "linux/io_uring.h":
            return f"runtime/ knows no ring: {target}"
        if quoted and in_runtime and layer_of(base.split(".")[0]) > layer_of(stem):
            return f"{stem} is below {base} (RUNTIME_LAYERS in tools/check_style.py)"
    if source.top == "io" and quoted and in_runtime:
        if base in SCHEDULER_HEADERS:
            return f"io/ must not know {base}"
        if stem in RING_FILES and layer_of(base.split(".")[0]) > 0:
            return f"{stem} knows a ring and no tasks; {base} is above the base layer"
    if is_tls(source) and quoted and (in_io or in_runtime):
        return f"io/tls/ stands on the public headers: {base}"
    if source.name.startswith("tests/examples/") or re.match(r"tools/.*\.[ch]$", source.name):
        if quoted and (in_io or in_runtime) and not (source.path.parent / target).exists():
            return f"what a user could write includes no private header: {base}"
    return None


def check_includes(source, faults, root):
    """Include arrows."""
    for number, line in enumerate(source.lines, 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        target = match.group(2)
        fault = arrow_fault(source, match.group(1) == '"', target, root)
        if fault:
            faults.add(source, number, fault)
        if target == "stdatomic.h" and is_inside(source) and \
                source.name != "runtime/atomic.h":
            faults.add(source, number, "include atomic.h, not <stdatomic.h>")


def check_default_orders(source, faults):
    """Atomic accesses outside the library: named, too."""
    for number, line in enumerate(source.code, 1):
        if DEFAULT_ORDER.search(line):
            faults.add(source, number, "an atomic access that does not name its order")


def is_tagged(source, at):
    """Whether the access in line at (from 0) has its ORD comment: beside it, up to the end of the
    statement, or in a comment of which some line is among the few lines above."""
    end = at
    while end < len(source.code) - 1 and not re.search(r"[;{]", source.code[end]):
        end += 1
    first = max(0, at - ORD_LINES_ABOVE)
    while first > 0 and source.comments[first].strip() and not source.code[first].strip():
        first -= 1
    return any(ORD.search(line) for line in source.comments[first:end + 1])


def check_orders(sources, faults):
    """Atomic accesses in runtime/ and io/: named, explained, paired."""
    places = {}  # (module, pair) -> where it is named
    for source in sources:
        for at, line in enumerate(source.code):
            for prefix, pairs, suffix in PAIR.findall(source.comments[at]):
                module = prefix or suffix or source.path.stem
                for pair in re.findall(r"\d+", pairs):
                    places.setdefault((module, int(pair)), []).append((source, at + 1))
            if source.name == "runtime/atomic.h":
                continue
            if UNORDERED.search(line) and source.name not in KERNEL_WORDS:
                faults.add(source, at + 1, "an atomic access without the names of atomic.h")
            if ORDERED.search(line) and not is_tagged(source, at):
                faults.add(source, at + 1,
                           "an atomic access without `ORD Pn:` or `ORD none:` and a reason")
    for (module, pair), where in sorted(places.items()):
        source, line = where[0]
        if all(place.path.stem != module for place, _ in where):
            faults.add(source, line, f"{module} has no pair P{pair}")
        elif len(where) == 1:
            faults.add(source, line, f"the pair P{pair} is named only here")


def find_sources(root):
    """Every source of the project."""
    paths = [root / name for name in TOP_FILES]
    for folder in FOLDERS:
        paths += sorted((root / folder).rglob("*"))
    for path in paths:
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        script = path.suffix == "" and path.read_bytes()[:2] == b"#!"
        if path.suffix in SUFFIXES or path.name in TEXT_FILES or script:
            yield Source(root, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("root", nargs="?", default=here, type=Path,
                        help="the checkout (default: the one this script is in)")
    root = parser.parse_args().root.resolve()

    faults = Faults()
    sources = list(find_sources(root))
    for source in sources:
        check_text(source, faults)
        if source.is_c:
            check_sizes(source, faults)
            check_names(source, faults)
            check_includes(source, faults, root)
        if source.top == "include":
            check_public_calls(source, faults)
        if source.is_c and not is_inside(source):
            check_default_orders(source, faults)
    check_orders([s for s in sources if s.is_c and is_inside(s)], faults)

    for name, line, rule in sorted(faults.found):
        print(f"{name}:{line}: {rule}")
    print(f"{len(sources)} files, {len(faults.found)} faults")
    return 1 if faults.found else 0


if __name__ == "__main__":
    sys.exit(main())
