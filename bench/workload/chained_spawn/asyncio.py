# SPDX-License-Identifier: MIT
"""Each task makes the next one and ends. It does not show call_soon, which makes no task."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402

async def link(left, end):
    if left == 1:
        end.set_result(True)
    else:
        asyncio.create_task(link(left - 1, end))


async def run_round(size):
    end = asyncio.get_running_loop().create_future()
    asyncio.create_task(link(size, end))
    return size if await end else 0


if __name__ == "__main__":
    bench.run("chained_spawn", run_round, 20000)
