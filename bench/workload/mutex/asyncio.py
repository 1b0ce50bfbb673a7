# SPDX-License-Identifier: MIT
"""1000 tasks take an asyncio.Lock and count. It does not show contention: nobody waits under it."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

TASKS = 1000


async def run_round(size):
    count = 0
    lock = asyncio.Lock()

    async def counter():
        nonlocal count
        for _ in range(size):
            async with lock:
                count += 1

    for task in [asyncio.create_task(counter()) for _ in range(TASKS)]:
        await task
    return count if count == TASKS * size else 0


if __name__ == "__main__":
    bench.run("mutex", run_round, 50)
