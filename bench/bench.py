# SPDX-License-Identifier: MIT
"""The frame of a workload's program in Python; bench.h says what a frame does.

asyncio and uvloop run the same programs: --implementation uvloop takes the other loop. There is one
thread that runs tasks; more than one worker is refused.
"""

import argparse
import asyncio
import inspect
import json
import sys
import threading
import time


class Bench:
    """What a round may set."""

    def __init__(self):
        self.took_ns = None   # this is how long the round took
        self.latencies = []   # ns
        self.figures = {}     # of several rounds the last one's are shown


bench = Bench()


def status_bytes(name):
    """A figure of /proc/self/status, such as VmRSS, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0


class Watch:
    """Notes how much memory there is at most while the block runs, for so many units."""

    before = None  # at the begin of the first round

    def __init__(self, units):
        self.units = units
        self.is_ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    @staticmethod
    def look():
        return {"rss_each": status_bytes("VmRSS"), "page_tables_each": status_bytes("VmPTE")}

    def run(self):
        while not self.is_ended.wait(0.02):
            now = self.look()
            self.most = {key: max(self.most[key], now[key]) for key in now}

    def __enter__(self):
        Watch.before = Watch.before or self.look()
        self.most = dict(Watch.before)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_ended.set()
        self.thread.join()
        for key, most in self.most.items():
            bench.figures[key] = (most - Watch.before[key]) / self.units


def arguments(size):
    parser = argparse.ArgumentParser()
    parser.add_argument("--implementation", default="asyncio", choices=("asyncio", "uvloop"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=size)
    return parser.parse_args()


def run(workload, one_round, size, is_cold=False):
    """Run the rounds and print the line. one_round(size) is a coroutine that returns how many units
    it did, or 0 when its result was wrong; a plain function makes its loops itself."""
    args = arguments(size)
    if args.workers != 1:
        sys.exit(f"{args.implementation} has one worker")
    if args.implementation == "uvloop":
        import uvloop
        uvloop.install()
    values = []
    warmups = 0 if is_cold else 1

    def note(index, begin, units):
        took = time.monotonic_ns() - begin if bench.took_ns is None else bench.took_ns
        if not units:
            sys.exit(f"{workload}: a round gave a wrong result")
        if index >= warmups:
            values.append(round(took / units, 3))
        elif index == warmups - 1:
            bench.latencies.clear()

    async def all_rounds():
        for index in range(warmups + args.rounds):
            bench.took_ns = None
            note(index, time.monotonic_ns(), await one_round(args.size))

    if inspect.iscoroutinefunction(one_round):
        asyncio.run(all_rounds())
    else:
        for index in range(warmups + args.rounds):
            bench.took_ns = None
            note(index, time.monotonic_ns(), one_round(args.size))
    line = {"workload": workload, "implementation": args.implementation, "unit": "ns",
            "workers": 1, "values": values, **bench.figures}
    if bench.latencies:
        ordered = sorted(bench.latencies)
        for key, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
            line[key] = ordered[int((len(ordered) - 1) * share)]
    line["cpu_s"] = round(time.process_time(), 3)
    print(json.dumps(line))
