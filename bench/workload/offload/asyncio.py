# SPDX-License-Identifier: MIT
"""An empty job in loop.run_in_executor, one after the other and 64 at a time. It does not show jobs
that block, nor the interpreter's lock, under which jobs that compute take turns."""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

AT_A_TIME = 64


def job(n):
    return n + 1


async def run_round(size):
    loop = asyncio.get_running_loop()
    begin = time.monotonic_ns()
    right = 0
    for n in range(size):
        right += await loop.run_in_executor(None, job, n) == n + 1
    bench.bench.took_ns = time.monotonic_ns() - begin

    begin = time.monotonic_ns()
    jobs = deque()
    total = 0
    for n in range(size):
        if len(jobs) == AT_A_TIME:
            total += await jobs.popleft()
        jobs.append(loop.run_in_executor(None, job, n))
    for one in jobs:
        total += await one
    bench.bench.figures["many_ns"] = (time.monotonic_ns() - begin) / size
    return size if right == size and total == size * (size + 1) // 2 else 0


if __name__ == "__main__":
    bench.run("offload", run_round, 2000)
