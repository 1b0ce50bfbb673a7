# SPDX-License-Identifier: MIT
"""Peers that are missing: install them where that is possible, say how to where it is not."""

import os
import shutil
import sys

from . import peer, process

APT_SECONDS_MAX = 1200


def look(peers):
    """What is installed: ({name: version}, {name: Missing})."""
    versions, missing = {}, {}
    for one in peers:
        try:
            versions[one.name] = one.version()
        except peer.Missing as reason:
            missing[one.name] = reason
    return versions, missing


def packages(missing):
    """Debian's packages for those that are missing."""
    wanted = []
    for name, reason in missing.items():
        for package in (reason.packages or peer.find(name).packages).split():
            if package not in wanted:
                wanted.append(package)
    return wanted


def how_to_get(name, reason):
    """A sentence on how to get one."""
    one = peer.find(name)
    ways = []
    if reason.packages or one.packages:
        ways.append(f"apt-get install {reason.packages or one.packages}")
    if one.hint:
        ways.append(one.hint)
    return " or ".join(ways)


def as_root():
    """What to put before a command to run it as root; None where that is not possible."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        try:
            process.run(["sudo", "-n", "true"], 10)
            return ["sudo", "-n"]
        except process.Failure:
            pass
    return None


def install(names):
    """Install packages with apt-get; Failure says why not."""
    prefix = as_root()
    if not names:
        return
    if shutil.which("apt-get") is None:
        raise process.Failure("there is no apt-get")
    line = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    if prefix is None:
        raise process.Failure("installing takes root; ask for: apt-get install " + " ".join(names))
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *names]):
        print(f"tools/bench: apt-get {' '.join(arguments)}", file=sys.stderr, flush=True)
        process.run([*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *line, *arguments],
                    APT_SECONDS_MAX)
