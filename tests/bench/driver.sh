#!/bin/sh
# SPDX-License-Identifier: MIT
# Whether tools/bench works: it lists what there is, measures, and says when something went wrong.
set -eu

usage() {
    cat <<EOF2
usage: tests/bench/driver.sh BUILD

Runs one small workload of what was built in the folder BUILD; installs nothing, builds nothing.
EOF2
}

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ $# -ne 1 ] || [ ! -f "$1/CMakeCache.txt" ]; then
    usage >&2
    exit 2
fi
build=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    echo "FAIL: $*"
    cat "$dir/out" "$dir/err"
    exit 1
}

# bench STATUS ARGUMENTS...: run it, and see that its status is the one that is expected
bench() {
    expected=$1
    shift
    status=0
    "$root/tools/bench" "$@" >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" -eq "$expected" ] || fail "status $status of: tools/bench $*"
}

says() {
    grep -q "$1" "$dir/out" || fail "no line with: $1"
}

bench 0 --list
says 'weft, .*workers'
# What is promised: an hour for all, 3 minutes for --quick, by what a run is known to take.
for line in 'all but sweeps:60' 'the same with --quick:3'; do
    awk -F': ' -v name="${line%:*}" -v most="${line##*:}" \
        '$1 == name { found = 1; if ($2 + 0 > most) exit 1 } END { if (!found) exit 1 }' \
        "$dir/out" || fail "the plan of '${line%:*}' is longer than ${line##*:} min"
done

bench 2 --only nothing

quick="--quick --only yield --peers weft --no-install"
# shellcheck disable=SC2086
bench 0 $quick --build "$build"
says '^yield'
says ' 2 Weft .* 2$'

# shellcheck disable=SC2086
bench 0 $quick --build "$build" --rounds 1 --json
says '"workload": "yield".*"implementation": "weft", "workers": 1,.*"median": [0-9]'

# Two builds of Weft beside each other: here twice the same.
# shellcheck disable=SC2086
bench 0 --quick --only yield --no-install --build "$build" --rounds 1 --compare "$build"
says ' 2 Weft, before .* 1$'

# What reads a file makes it first, and sees what it reads.
bench 0 --quick --only file_read --peers threads --no-install --build "$build" --rounds 1
says ' 2 OS threads .* k/s .* 1$'

# What takes a helper of its own or a load from elsewhere; without wrk or perf a row is left out.
bench 0 --quick --only idle,burner_sleepers,http,echo_64_calls --peers weft --no-install \
    --build "$build" --rounds 1
says '^  a wake-up  *2 Weft .* 1$'
says '^  times apart .* 2 Weft .* 1$'
says '^  aim: times apart, 2 workers: at most 2.00: '
says '^  answers .* Weft  *\([0-9.]* .* k/s\|skipped: it takes\)'
says '^  calls .* 1 Weft  *\([0-9.]* .* 1$\|skipped: it takes\)'

# Servers whose load is not weft-load on TCP; without redis-benchmark a row is left out.
bench 0 --quick --only echo_tls,connections,key_value --peers weft,weft_protocol --no-install \
    --build "$build" --rounds 1
says '^  CPU .* Weft  *\([0-9.]* .* us\|skipped: it takes\)'
says '^  kernel .* Weft, callbacks  *[0-9.]* .* B'
says '^  SET .* Weft  *\([0-9.]* .* k/s\|skipped: it takes\)'

# Connections that come and go, counted.
"$root/tools/churn" --connections 500 --slice 0.1 --build "$build" >"$dir/out" 2>"$dir/err" ||
    fail "tools/churn"
says '^[0-9]* connections: memory .*: flat$'

# The burner of the stalls, however late the load is.
"$root/bench/workload/stall/run" --implementation weft --workers 2 --burn --seconds 0.3 \
    --warmup 0.1 --late-us 1e9 --build "$build" >"$dir/out" 2>"$dir/err" || fail "stall/run --burn"
says '"apart_p99": [0-9.]*, .*"times_apart": [0-9]'

# A program that is not there, and one that gives a wrong result.
# shellcheck disable=SC2086
bench 1 $quick --build "$dir"
says 'FAILED: Weft'
mkdir "$dir/bench"
printf '#!/bin/sh\necho "a wrong sum" >&2\nexit 1\n' >"$dir/bench/yield_weft"
chmod +x "$dir/bench/yield_weft"
# shellcheck disable=SC2086
bench 1 $quick --build "$dir"
says 'a wrong sum'
says 'again: taskset -c .*/yield_weft'

echo "done"
