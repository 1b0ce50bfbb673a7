# SPDX-License-Identifier: MIT
# For the checks of examples that serve: start one on a free port, stop it, say what went wrong.
# Sourced by bash.
# shellcheck disable=SC2034

scratch=$(mktemp -d)

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# What is left when the script ends, however it does.
clean_up() {
    local process
    for process in $(jobs -p); do
        kill -KILL "$process" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT

# need COMMAND...: skip the test where one is not installed
need() {
    local command
    for command in "$@"; do
        if ! command -v "$command" >/dev/null; then
            echo "SKIP: $command is not installed"
            exit 77
        fi
    done
}

# start_server PROGRAM [ARGUMENT]...: in the background; sets server, port, and the descriptor said,
# from which all that it says comes
start_server() {
    mkfifo "$scratch/said"
    "$@" >"$scratch/said" 2>&1 &
    server=$!
    exec {said}<"$scratch/said"
    read -r line <&"$said" || fail "it ends at once: $*"
    port=${line##* }
    [[ $line == "listening on port "* ]] || fail "it says '$line'"
}

# stop_server SIGNAL: it is to end by itself, with status 0
stop_server() {
    local status=0
    kill -s "$1" "$server"
    wait "$server" || status=$?
    [ "$status" -eq 0 ] || fail "status $status after SIG$1; it says: $(cat <&"$said")"
}

# check_text WHAT EXPECTED GOT
check_text() {
    [ "$2" = "$3" ] && return
    diff <(echo "$2") <(echo "$3") >&2 || true
    fail "$1: < is expected, > is what came"
}
