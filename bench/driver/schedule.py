# SPDX-License-Identifier: MIT
"""The runs of a workload, in interleaved rounds.

In each round every implementation runs once with every number of workers, and the order moves on
from round to round: what changes slowly (other tenants, heat) hits all of them alike, and nobody
always runs after the same neighbour. What has failed once is not run again.
"""

import json
import shlex
import time
from dataclasses import dataclass, field

from . import datafile, figure, machine, peer, process


@dataclass
class Series:
    """One implementation with one number of workers."""
    implementation: str
    workers: int
    command: list = field(default_factory=list)
    says: str = ""         # the implementation that its line must name
    lines: dict = field(default_factory=dict)  # by round: what it printed
    state: str = "ok"      # "ok", "failed", "skipped", "not yet"
    reason: str = ""       # for all but ok
    others: dict = field(default_factory=dict)  # by round: cores that others had meanwhile
    took: dict = field(default_factory=dict)    # by round: seconds

    def numbers(self, one):
        """A figure of it, by round."""
        return {i: figure.read(one, line) for i, line in self.lines.items()}

    def repeat(self):
        """The command that does it again."""
        return shlex.join(self.command)


@dataclass(frozen=True)
class Builds:
    """Where programs are."""
    weft: object   # Path
    peers: object  # Path
    before: object = None  # Path: an earlier Weft, to compare with


def command_of(workload, one, workers, builds, is_quick):
    """How a run is started, pinning and all."""
    inner = workload.quick_inner_rounds if is_quick else workload.inner_rounds
    if workload.kind == "server":
        command = [str(peer.run_of(workload.place)), "--implementation", one.says, "--workers",
                   str(workers), "--rounds", "1", "--build", str(one.weft_of(builds)),
                   *workload.arguments]
        return command + list(workload.quick_arguments if is_quick else ())
    command = one.command(workload.place, builds)
    cpus = machine.pinned(workers) if workload.is_pinned else machine.cpus()
    command = ["taskset", "-c", ",".join(map(str, cpus))] + command
    environment = [f"{name}={value}" for name, value in workload.environment]
    if workload.file_bytes:
        path = datafile.path(builds.peers, workload.file_bytes_of(is_quick))
        environment.append(f"BENCH_FILE={path}")
    if environment:
        command = ["env", *environment, *command]
    command += ["--workers", str(workers), "--rounds", str(inner), *workload.arguments]
    size = workload.size(one.name, is_quick)
    if size:
        command += ["--size", str(size)]
    return command + list(workload.quick_arguments if is_quick else ())


def parse(workload, series, out):
    """The line of a run; Failure when it is not what it should be."""
    lines = [text for text in out.splitlines() if text.startswith("{")]
    try:
        line = json.loads(lines[-1])
        for one in workload.figures:
            figure.read(one, line)
    except (IndexError, ValueError) as error:
        raise process.Failure(f"it printed no result ({error}): {out.strip()[-300:]!r}") from error
    said = (line.get("workload"), line.get("implementation"), line.get("workers"))
    if said != (workload.place, series.says, series.workers):
        raise process.Failure(f"it printed the result of something else: {said}")
    return line


def run_once(workload, series, index, attempts):
    """One run, the quietest of some attempts; what it printed becomes part of the series."""
    need = workload.gib_of(series.implementation)
    free = machine.free_gib()
    if need > free:
        series.state = "skipped"
        series.reason = f"takes {need} GiB of memory, {free:.1f} are free"
        return
    try:
        for _ in range(attempts):
            with machine.Others() as others:
                out = process.run(series.command, workload.seconds_max)
            line = parse(workload, series, out)
            if others.cores <= series.others.get(index, others.cores):
                series.lines[index] = line
                series.others[index] = others.cores
                series.took[index] = others.took
            if not others.disturbed():
                break
    except process.Failure as failure:
        series.state = "failed"
        series.reason = str(failure)
        series.lines.clear()


def kind_of(workload, series):
    """What runs take equally long."""
    return workload.name, series.implementation, series.workers


def run_all(workload, all_series, rounds, progress, attempts=1):
    """All rounds of a workload. With more attempts than one, a run during which others had more
    than a tenth of a core is made again."""
    order = list(all_series)
    for index in range(rounds):
        for series in order:
            if series.state != "ok":
                progress.done(kind_of(workload, series), None)
                continue
            progress.say(f"{workload.name}: round {index + 1} of {rounds}, {series.implementation}"
                         f" with {series.workers}; about {progress.left()} left")
            begin = time.monotonic()
            run_once(workload, series, index, attempts)
            progress.done(kind_of(workload, series), time.monotonic() - begin)
        # The next round begins with another one, and every second one goes the other way round.
        order = (order[1:] + order[:1])[::-1]
    progress.clear()
