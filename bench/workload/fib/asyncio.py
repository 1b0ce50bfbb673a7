# SPDX-License-Identifier: MIT
"""A task a call. It does not show coroutines that are awaited without being made tasks, which is
how this would be written.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

async def fib(n):
    if n < 2:
        return n
    child = asyncio.create_task(fib(n - 1))
    b = await fib(n - 2)
    return await child + b


async def run_round(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return b - 1 if await fib(n) == a else 0


if __name__ == "__main__":
    bench.run("fib", run_round, 18)
