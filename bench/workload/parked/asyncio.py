# SPDX-License-Identifier: MIT
"""Tasks that wait for one event. It does not show a million of them, unless --size says so, nor
what a task holds in its variables.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

async def run_round(size):
    rss = bench.status_bytes("VmRSS")
    begun = 0

    async def parked(event, n):
        nonlocal begun
        begun += 1
        await event.wait()
        return n

    event = asyncio.Event()
    with bench.Watch(size):
        tasks = [asyncio.create_task(parked(event, n)) for n in range(size)]
        while begun < size:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
    event.set()
    right = sum([await task == n for n, task in enumerate(tasks)])
    tasks.clear()
    await asyncio.sleep(4)
    bench.bench.figures["rss_left_each"] = (bench.status_bytes("VmRSS") - rss) / size
    return size if right == size else 0


if __name__ == "__main__":
    bench.run("parked", run_round, 100000, is_cold=True)
