# SPDX-License-Identifier: MIT
"""asyncio.timeout round a yield (Python 3.11). It does not show a time that runs out."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
sys.dont_write_bytecode = True
import bench  # noqa: E402


async def run_round(size):
    left = 0
    for _ in range(size):
        async with asyncio.timeout(1) as within:
            await asyncio.sleep(0)
        left += not within.expired()
    return left if left == size else 0


if __name__ == "__main__":
    bench.run("timeout_scope", run_round, 5000)
