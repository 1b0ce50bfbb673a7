# SPDX-License-Identifier: MIT
"""tools/bench: build Weft and its peers, run the workloads, print the tables."""

import argparse
import dataclasses
import functools
import shutil
import signal
import sys
from pathlib import Path

from . import (catalogue, datafile, installer, need, peer, plot, process, schedule, table,
               verdict)
from .progress import Progress

ROOT = peer.ROOT
QUIET_ATTEMPTS = 5
EPILOG = """\
Each workload is run in interleaved rounds: in round 1 every implementation with 1 and with 2
workers, then round 2 of all in another order, and so on. All of it takes up to an hour, --quick 3
minutes, besides the first build. Ratios are of runs in the same round. Sweeps run only when named.
The status is 0 when every run ended with a right result, whatever the figures say.

  tools/bench --quick                       everything, roughly
  tools/bench --only fib,skynet             two workloads, with intervals
  tools/bench --only yield --peers tokio    Weft and one peer
  tools/bench --plot build/bench/plots      pictures too
  tools/bench --compare ../before/build/lto    two builds of Weft, ratios of their figures
"""


def parse_arguments(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__.split(": ", 1)[1].capitalize(), epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true",
                        help="what there is: workloads, implementations, peers; runs nothing")
    parser.add_argument("--only", default="", metavar="NAME,...", help="these workloads (all but "
                        "sweeps)")
    parser.add_argument("--peers", default="", metavar="NAME,...",
                        help="these peers beside Weft (all); weft: none")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help="rounds (what the workload says, mostly 11; with --quick 1 to 3);"
                        " below 6 there are no intervals")
    parser.add_argument("--quick", dest="is_quick", action="store_true",
                        help="few rounds, small sizes: does it run, and roughly how fast")
    parser.add_argument("--undisturbed", dest="is_quiet", action="store_true",
                        help="make a run again when others had more than a tenth of a core"
                        f" meanwhile, {QUIET_ATTEMPTS} times at most; the quietest counts")
    parser.add_argument("--json", action="store_true", help="a line of JSON a figure, no tables")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="pictures as SVG and PNG")
    parser.add_argument("--build", type=Path, metavar="FOLDER",
                        help="where Weft was built already (else it is built in build/lto)")
    parser.add_argument("--compare", type=Path, metavar="FOLDER",
                        help="another build of Weft, to run beside this one as the peer 'before';"
                        " without --peers it is the only one")
    parser.add_argument("--no-install", action="store_true",
                        help="leave out peers that are missing instead of installing them")
    args = parser.parse_args(arguments)
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds must be at least 1")
    args.workloads = chosen(parser, args.only, catalogue.WORKLOADS, "workload") or \
        all_but_sweeps(args.is_quick)
    if args.is_quick:
        args.workloads = [quick(workload) for workload in args.workloads]
    args.chosen_peers = chosen(parser, args.peers, peer.PEERS, "peer") or list(peer.PEERS)
    if args.compare and not args.peers:
        args.chosen_peers = []
    if peer.WEFT not in args.chosen_peers:
        args.chosen_peers.insert(0, peer.WEFT)
    if args.compare:
        args.chosen_peers.insert(1, peer.BEFORE)
        if not (args.compare / "bench").is_dir():
            parser.error(f"--compare {args.compare}: no build of Weft with its workloads")
    return args


def all_but_sweeps(is_quick):
    """What is run when nothing is named."""
    return [w for w in catalogue.WORKLOADS if not w.is_sweep and (w.is_quick_too or not is_quick)]


def quick(workload):
    """A workload as --quick has it."""
    return dataclasses.replace(workload, workers=workload.quick_workers or workload.workers)


def chosen(parser, names, known, what):
    """Those named, in the order in which they are known."""
    names = [name for name in names.split(",") if name]
    for name in names:
        if all(one.name != name for one in known):
            parser.error(f"no {what} {name}; there are {', '.join(one.name for one in known)}")
    return [one for one in known if one.name in names]


@functools.lru_cache(None)
def served(workload):
    """The names of the servers of a workload that is a server and a load."""
    try:
        return process.run([str(peer.run_of(workload.place)), "--list"], 30).split()
    except process.Failure as failure:
        print(f"tools/bench: {workload.name}: {failure}", file=sys.stderr)
        return []


def is_there(workload):
    """Whether its programs are in the tree."""
    return workload.kind == "program" or peer.run_of(workload.place).exists()


def implementations(workload, peers):
    """Those of a workload that are there, in the tree."""
    if workload.kind == "program":
        there = [one for one in peers if one.has(workload.place)]
    else:
        names = served(workload) if is_there(workload) else []
        there = [one for one in peers if one.says in names]
    return [one for one in there if one.says not in workload.without]


def planned_seconds(workload, is_quick):
    """How long a workload takes with all peers, roughly."""
    runs = sum(workers <= one.workers_max for one in implementations(workload, peer.PEERS)
               for workers in workload.workers)
    rounds = workload.quick_rounds if is_quick else workload.rounds
    return runs * rounds * workload.seconds_of(is_quick)


def print_list():
    """What there is, and what is missing."""
    versions, missing = installer.look(peer.PEERS)
    print("workloads")
    names = max(len(one.name) for one in (*catalogue.WORKLOADS, *peer.PEERS))
    for workload in catalogue.WORKLOADS:
        there = [one.name for one in implementations(workload, peer.PEERS)]
        if "weft" not in there:
            there.insert(0, "weft (not yet)")
        shown = ", ".join(there) if is_there(workload) else "not yet"
        notes = ",".join(map(str, workload.workers)) + " workers"
        notes += "; only when named" if workload.is_sweep else ""
        notes += "" if workload.is_quick_too else "; not with --quick"
        notes += "; takes " + ", ".join(workload.needs) if workload.needs else ""
        print(f"  {workload.name:{names}} {workload.unit_of}\n  {'':{names}}   {shown}; {notes}")
    for is_quick, name in ((False, "all but sweeps"), (True, "the same with --quick")):
        seconds = sum(planned_seconds(quick(w) if is_quick else w, is_quick)
                      for w in all_but_sweeps(is_quick))
        print(f"{name}: {seconds / 60:.1f} min, once everything is built")
    print("peers")
    for one in peer.PEERS:
        if one.name in versions:
            print(f"  {one.name:{names}} {one.title}, {versions[one.name]}")
        else:
            reason = missing[one.name]
            print(f"  {one.name:{names}} {one.title}: not installed ({reason});"
                  f" {installer.how_to_get(one.name, reason)}")


def get_peers(args):
    """The versions of those that are there, after installing what may be installed."""
    wanted = [one for one in args.chosen_peers
              if any(one in implementations(w, args.chosen_peers) for w in args.workloads)]
    versions, missing = installer.look(wanted)
    if missing and not args.no_install:
        try:
            installer.install(installer.packages(missing))
        except process.Failure as failure:
            print(f"tools/bench: {failure}", file=sys.stderr)
        versions, missing = installer.look(wanted)
    for name, reason in missing.items():
        print(f"tools/bench: without {name}: {reason}; {installer.how_to_get(name, reason)}",
              file=sys.stderr)
    if args.plot and not shutil.which("gnuplot") and not args.no_install:
        try:
            installer.install(["gnuplot-nox"])
        except process.Failure as failure:
            print(f"tools/bench: {failure}", file=sys.stderr)
    if args.plot and not shutil.which("gnuplot"):
        sys.exit("tools/bench: --plot takes gnuplot: apt-get install gnuplot-nox")
    return versions


def get_needs(args):
    """What is missing of what workloads take, {name: reason}, after installing what may be."""
    lacking = need.all_missing(args.workloads)
    if lacking and not args.no_install:
        try:
            installer.install(list(lacking))
        except process.Failure as failure:
            print(f"tools/bench: {failure}", file=sys.stderr)
        lacking = need.all_missing(args.workloads)
    for name, reason in lacking.items():
        print(f"tools/bench: without {name}: {reason}; apt-get install {name}", file=sys.stderr)
    return lacking


def build_weft(args):
    """The folder where Weft is built; ends the program when that fails."""
    if args.build:
        return args.build.resolve()
    steps = [["cmake", "--preset", "lto"], ["cmake", "--build", "--preset", "lto"]]
    if not args.no_install:
        steps.insert(0, [str(ROOT / "tools/deps")])
    for step in steps:
        print(f"tools/bench: {' '.join(step)}", file=sys.stderr, flush=True)
        try:
            process.run(step, peer.BUILD_SECONDS_MAX, folder=ROOT, is_merged=True)
        except process.Failure as failure:
            sys.exit(f"tools/bench: {' '.join(step)}: {failure}")
    return ROOT / "build/lto"


def build_peers(args, versions, builds):
    """Build what the workloads take. Returns {(workload's folder, peer): Failure}."""
    faults = {}
    for one in args.chosen_peers:
        if one.name not in versions:
            continue
        places = list(dict.fromkeys(w.place for w in args.workloads if one.has(w.place)))
        if places and isinstance(one, peer.Compiled):
            print(f"tools/bench: build {one.name}: {', '.join(places)}", file=sys.stderr,
                  flush=True)
        for place, failure in one.build(places, builds):
            if failure is not None:
                faults[place, one.name] = failure
    for workload in args.workloads:
        if workload.kind == "server" and is_there(workload):
            faults.update(build_servers(workload, args, versions, builds))
    for (place, name), failure in faults.items():
        print(f"tools/bench: {place}, {name}: not built: {failure}", file=sys.stderr)
    return faults


@functools.lru_cache(None)
def build_server(place, name, build):
    """Have one server built; Failure, or None."""
    try:
        process.run([str(peer.run_of(place)), "--build-only", "--implementation", name,
                     "--build", str(build)], peer.BUILD_SECONDS_MAX)
    except process.Failure as failure:
        return failure
    return None


def build_servers(workload, args, versions, builds):
    """Have a workload's own script build its servers. Returns faults, as build_peers."""
    wanted = [one for one in implementations(workload, args.chosen_peers) if one.name in versions]
    print(f"tools/bench: build {workload.name}: {', '.join(one.name for one in wanted)}",
          file=sys.stderr, flush=True)
    found = {(workload.place, one.name): build_server(workload.place, one.says, one.weft_of(builds))
             for one in wanted}
    return {key: failure for key, failure in found.items() if failure is not None}


def skip(all_series, reason):
    """Leave a workload out."""
    for series in all_series:
        if series.state != "not yet":
            series.state, series.reason = "skipped", reason


def series_of(workload, args, versions, faults, builds):
    """What a workload will run."""
    result = []
    here = implementations(workload, args.chosen_peers)
    for workers in workload.workers:
        if all(one.name != "weft" for one in here):
            result.append(schedule.Series("weft", workers, state="not yet",
                                          reason="Weft has not what this takes"))
        for one in here:
            if one.name not in versions or workers > one.workers_max:
                continue
            series = schedule.Series(one.name, workers, schedule.command_of(
                workload, one, workers, builds, args.is_quick), one.says)
            fault = faults.get((workload.place, one.name))
            if fault is not None:
                series.state, series.reason = "failed", f"not built: {fault}"
            result.append(series)
    return result


def rounds_of(workload, args):
    """How many rounds."""
    return args.rounds or (workload.quick_rounds if args.is_quick else workload.rounds)


def plans_of(args, versions, faults, builds, lacking):
    """What will be run: [(workload, its series)]."""
    plans = [(w, series_of(w, args, versions, faults, builds)) for w in args.workloads
             if is_there(w)]
    for workload, all_series in plans:
        for name in workload.needs:
            if name in lacking:
                skip(all_series, f"it takes {name}: {lacking[name]}")
        if workload.file_bytes:
            try:
                datafile.prepare(builds.peers, workload.file_bytes_of(args.is_quick))
            except process.Failure as failure:
                skip(all_series, str(failure))
    return plans


def run_workloads(args, versions, plans):
    """Run everything; whether all of it ended as it should."""
    progress = Progress()
    for workload, all_series in plans:
        for series in all_series:
            progress.plan(schedule.kind_of(workload, series), rounds_of(workload, args),
                          workload.seconds_of(args.is_quick))
    is_right = True
    if not args.json:
        table.print_head(args, versions)
    for workload, all_series in plans:
        schedule.run_all(workload, all_series, rounds_of(workload, args), progress,
                         QUIET_ATTEMPTS if args.is_quiet else 1)
        is_right &= all(series.state != "failed" for series in all_series)
        rows = table.rows_of(workload, all_series)
        if args.json:
            table.print_json(workload, rows, versions, args)
        else:
            table.print_table(workload, rows)
            verdict.print_verdicts(workload, all_series)
            table.print_disturbance(all_series)
            table.print_failures(all_series)
            sys.stdout.flush()
        if args.plot:
            try:
                plot.draw(workload, rows, args.plot.resolve())
            except process.Failure as failure:
                print(f"tools/bench: gnuplot: {failure}", file=sys.stderr)
                is_right = False
    return is_right


def main(arguments=None):
    """The program; returns its status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = parse_arguments(arguments)
    try:
        if args.list:
            print_list()
            return 0
        versions = get_peers(args)
        lacking = get_needs(args)
        builds = schedule.Builds(build_weft(args), ROOT / "build/bench",
                                 args.compare and args.compare.resolve())
        faults = build_peers(args, versions, builds)
        plans = plans_of(args, versions, faults, builds, lacking)
        return 0 if run_workloads(args, versions, plans) else 1
    except KeyboardInterrupt:
        print("\ntools/bench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
