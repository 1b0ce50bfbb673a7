#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check that libraries and programs are hardened as the build means them to be: no executable stack,
# no segment that can be written and executed, all that is relocated read-only from the start,
# programs that can be placed anywhere. In static libraries, where the C library's own start files
# do not decide it: landing pads for indirect branches, and no claim to work with shadow stacks.
set -eu

usage() {
    cat <<EOF
usage: check_hardening.sh FILE...

Looks at libraries and programs with readelf; says what is missing, and exits with 1 then.
EOF
}

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ $# -eq 0 ]; then
    usage >&2
    exit 2
fi
failed=0

# want FILE WHAT EXPECTED TEXT: a line of the text matches.
want() {
    if ! echo "$4" | grep -Eq "$3"; then
        failed=1
        echo "$1: $2"
    fi
}

# refuse FILE WHAT UNWANTED TEXT: no line of the text matches.
refuse() {
    if echo "$4" | grep -Eq "$3"; then
        failed=1
        echo "$1: $2"
    fi
}

check_archive() {
    notes=$(readelf -nW "$1" 2>/dev/null)
    refuse "$1" "it claims to work with shadow stacks" 'SHSTK|GCS' "$notes"
    objects=$(ar t "$1" | wc -l)
    padded=$(echo "$notes" | grep -Ec 'feature: .*(IBT|BTI)' || true)
    if [ "$padded" -ne "$objects" ]; then
        failed=1
        echo "$1: $padded of $objects objects have landing pads for branches (IBT, BTI)"
    fi
}

check_linked() {
    segments=$(readelf -lW "$1")
    dynamic=$(readelf -dW "$1")
    want "$1" "its stack is executable" 'GNU_STACK.* RW +0x' "$segments"
    want "$1" "no RELRO" 'GNU_RELRO' "$segments"
    want "$1" "not bound at the start (-z now)" 'BIND_NOW|FLAGS_1.*NOW' "$dynamic"
    want "$1" "not position independent" 'file type is DYN' "$segments"
    refuse "$1" "a segment can be written and executed" 'LOAD.* RWE' "$segments"
    refuse "$1" "its code is relocated (TEXTREL)" 'TEXTREL' "$dynamic"
}

for file in "$@"; do
    case $file in
    *.a) check_archive "$file" ;;
    *) check_linked "$file" ;;
    esac
done
exit $failed
