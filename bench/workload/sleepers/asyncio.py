# SPDX-License-Identifier: MIT
"""Tasks in asyncio.sleep for one to two seconds. It does not show a million of them, unless --size
says so.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

STEP = 2654435761


async def sleeper(n):
    await asyncio.sleep(1 + n * STEP % 1_000_000_000 / 1e9)
    return n


async def run_round(size):
    with bench.Watch(size):
        begin = time.process_time_ns()
        tasks = [asyncio.create_task(sleeper(n)) for n in range(size)]
        woken = sum([await task == n for n, task in enumerate(tasks)])
        bench.bench.took_ns = time.process_time_ns() - begin
    return size if woken == size else 0


if __name__ == "__main__":
    bench.run("sleepers", run_round, 100000, is_cold=True)
