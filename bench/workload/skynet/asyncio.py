# SPDX-License-Identifier: MIT
"""A tree of tasks, each of which gathers its ten children. It does not show the million leaves that
the others have: a unit is a task, and there are fewer.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

CHILDREN = 10


async def skynet(number, height):
    if height == 0:
        return number
    return sum(await asyncio.gather(*[skynet(number * CHILDREN + i, height - 1)
                                      for i in range(CHILDREN)]))


async def run_round(levels):
    leaves = CHILDREN**levels
    tasks = sum(CHILDREN**level for level in range(levels + 1))
    return tasks if await skynet(0, levels) == leaves * (leaves - 1) // 2 else 0


if __name__ == "__main__":
    bench.run("skynet", run_round, 4)
