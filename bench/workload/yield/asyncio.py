# SPDX-License-Identifier: MIT
"""100 tasks yield to each other with asyncio.sleep(0). It does not show more than one core: there
is one thread that runs Python.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

TASKS = 100


async def yielder(yields):
    done = 0
    for _ in range(yields):
        await asyncio.sleep(0)
        done += 1
    return done


async def run_round(size):
    tasks = [asyncio.create_task(yielder(size)) for _ in range(TASKS)]
    total = sum([await task for task in tasks])
    return total if total == TASKS * size else 0


if __name__ == "__main__":
    bench.run("yield", run_round, 1000)
