# SPDX-License-Identifier: MIT
"""What a workload takes besides its implementations: a load from elsewhere, a library, a counter.

A need is known by the name of the Debian package that brings it. Where it is missing, the workload
is left out, which is no failure.
"""

import os
import shutil
from pathlib import Path

from . import process

CAN_COUNT = ["perf", "stat", "-x", ";", "-e", "raw_syscalls:sys_enter,context-switches", "true"]
COMMANDS = {"wrk": "wrk", "fio": "fio", "redis-tools": "redis-benchmark",
            "openssl": "openssl"}
HEADERS = {"libhttp-parser-dev": "http_parser.h", "uthash-dev": "uthash.h"}


def command(name):
    """Where a command is, also one for administrators; None when there is none."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def missing(name):
    """Why a need is not met; None when it is."""
    if name in COMMANDS:
        return None if command(COMMANDS[name]) else f"no command {COMMANDS[name]}"
    if name in HEADERS:
        folders = (Path("/usr/include"), Path("/usr/local/include"))
        is_there = any((folder / HEADERS[name]).exists() for folder in folders)
        return None if is_there else f"no header <{HEADERS[name]}>"
    return counter_missing()


def counter_missing():
    """Why system calls cannot be counted; None when they can."""
    if not command("perf"):
        return "no command perf"
    try:
        out = process.run(CAN_COUNT, 30, is_merged=True)
    except process.Failure as failure:
        return f"perf may not count system calls: {failure}".splitlines()[0]
    return "perf cannot count system calls" if "<not" in out else None


def all_missing(workloads):
    """Those that are missing of what workloads take: {name: reason}."""
    names = dict.fromkeys(name for workload in workloads for name in workload.needs)
    found = {name: missing(name) for name in names}
    return {name: reason for name, reason in found.items() if reason is not None}
