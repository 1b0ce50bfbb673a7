# SPDX-License-Identifier: MIT
"""asyncio.gather of 1000 coroutines, of which it makes tasks. It does not show errors."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

TASKS = 1000


async def add_one(n):
    return n + 1


async def run_round(batches):
    total = 0
    for _ in range(batches):
        total += sum(await asyncio.gather(*(add_one(n) for n in range(TASKS))))
    return batches * TASKS if total == batches * TASKS * (TASKS + 1) // 2 else 0


if __name__ == "__main__":
    bench.run("gather", run_round, 10)
