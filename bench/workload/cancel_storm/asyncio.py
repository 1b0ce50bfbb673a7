# SPDX-License-Identifier: MIT
"""Tasks that sleep for an hour, each cancelled and awaited. It does not show a million of them,
unless --size says so.
"""

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

async def sleeper():
    await asyncio.sleep(3600)


async def run_round(size):
    tasks = [asyncio.create_task(sleeper()) for _ in range(size)]
    await asyncio.sleep(0.01)
    begin = time.monotonic_ns()
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    bench.bench.took_ns = time.monotonic_ns() - begin
    return size if all(isinstance(end, asyncio.CancelledError) for end in ends) else 0


if __name__ == "__main__":
    bench.run("cancel_storm", run_round, 100000, is_cold=True)
