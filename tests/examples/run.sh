#!/bin/sh
# SPDX-License-Identifier: MIT
# Run one example and decide whether it did what it says.
set -eu

usage() {
    cat <<EOF
usage: tests/examples/run.sh PROGRAM SOURCE

SOURCE is tests/examples/<name>.c, PROGRAM what was built from it. Beside SOURCE may lie
  <name>.check      a shell script; it gets PROGRAM as its argument, and its status decides
  <name>.expected   what PROGRAM prints on standard output
With neither, status 0 is enough. Status 77 of the program or the script means "skipped".
EOF
}

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ $# -ne 2 ]; then
    usage >&2
    exit 2
fi
program=$1
base=${2%.c}

if [ -f "$base.check" ]; then
    exec bash "$base.check" "$program"
fi
if [ ! -f "$base.expected" ]; then
    exec "$program"
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
"$program" >"$output" || status=$?
if [ "$status" -eq 77 ]; then
    cat "$output"
    exit 77
fi
if ! diff -u "$base.expected" "$output"; then
    echo "FAIL: the output differs: - is $base.expected, + what was printed" >&2
    exit 1
fi
if [ "$status" -ne 0 ]; then
    echo "FAIL: the output is right, but the status is $status" >&2
fi
exit "$status"
