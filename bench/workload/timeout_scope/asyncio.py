# SPDX-License-Identifier: MIT
"""The round trip of ping_pong, each answer awaited in asyncio.timeout (Python 3.11). It does not
show a time that runs out."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402


async def answer(there, back):
    while (n := await there.get()) is not None:
        await back.put(n + 1)


async def run_round(size):
    there, back = asyncio.Queue(1), asyncio.Queue(1)
    task = asyncio.create_task(answer(there, back))
    right = 0
    for n in range(size):
        await there.put(n)
        async with asyncio.timeout(1):
            right += await back.get() == n + 1
    await there.put(None)
    await task
    return size if right == size else 0


if __name__ == "__main__":
    bench.run("timeout_scope", run_round, 5000)
