#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that conformance.md and the tests agree.

Every item of the ranges is in the name of a test, or in a table of conformance.md. Those under
"Different on purpose" have tests; those in the other tables have none.

usage: check_conformance.py [FOLDER]     the folder of the tests; default: that of this script
"""

import re
import sys
from pathlib import Path

# What is listed so far, in the order of the list.
RANGES = [
    range(1, 215),
    range(215, 235),  # streams
    range(235, 250),  # transports and protocols
    range(250, 265),  # connecting and serving
    range(268, 272),  # datagrams
    range(272, 279),  # sending files, pipes
    range(279, 288),  # TLS
    range(288, 303),  # processes
    range(303, 308),  # signals, fork
    range(308, 317),  # blocking work
    range(308, 312),  # blocking work
    range(314, 315),
    range(317, 320),  # process pools
    range(320, 322),
    range(322, 351),
]
DIFFERENT, NONE, LATER = "Different on purpose", "No counterpart in C", "Not yet"
TEST_NAME = re.compile(r"\bitem_(\d+(?:_(?:and_|to_)?\d+)*)_[a-z]")
ROW = re.compile(r"\| (\d+)(?: to (\d+))? \|")


def numbers_of(text):
    """67_68, 206_and_207, 211_to_213: the numbers that are meant."""
    numbers = []
    for part in re.split(r"_and_|_(?=\d)", text.replace("_to_", "-")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def items_of_tests(folder):
    found = {}
    for path in sorted(folder.glob("*/*.[ch]")):
        for match in TEST_NAME.finditer(path.read_text(encoding="utf-8")):
            for number in numbers_of(match.group(1)):
                found.setdefault(number, path)
    return found


def items_of_tables(path, faults):
    tables = {DIFFERENT: set(), NONE: set(), LATER: set()}
    heading = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        row = ROW.match(line)
        if row is None:
            continue
        if heading not in tables:
            faults.append(f"{path.name}: a table under '{heading}'")
            continue
        for number in range(int(row[1]), int(row[2] or row[1]) + 1):
            if any(number in table for table in tables.values()):
                faults.append(f"{path.name}: {number} is listed twice")
            tables[heading].add(number)
    return tables


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    faults = []
    tested = items_of_tests(folder)
    tables = items_of_tables(folder / "conformance.md", faults)
    listed = set().union(*tables.values())
    wanted = {number for numbers in RANGES for number in numbers}
    faults += [f"{n}: neither a test nor in a table" for n in sorted(wanted - listed - set(tested))]
    faults += [f"{n}: no such item is asked for" for n in sorted(listed - wanted)]
    faults += [f"{n}: '{DIFFERENT}', but no test shows it" for n in
               sorted(tables[DIFFERENT] - set(tested))]
    for heading in (NONE, LATER):
        faults += [f"{n}: '{heading}', but {tested[n].name} has a test" for n in
                   sorted(tables[heading] & set(tested))]
    for fault in faults:
        print(f"conformance: item {fault}" if fault[0].isdigit() else f"conformance: {fault}")
    done = len(wanted & set(tested))
    print(f"{len(wanted)} items: {done} tested, {len(tables[NONE])} without a counterpart, "
          f"{len(tables[LATER])} not yet, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
