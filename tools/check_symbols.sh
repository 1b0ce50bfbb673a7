#!/bin/sh
# SPDX-License-Identifier: MIT
# Check the names that the two libraries give to the linker.
set -eu

usage() {
    cat <<EOF
usage: tools/check_symbols.sh LIBWEFT.SO LIBWEFT.A HEADER...

Fails when
  - the shared library exports a name that does not begin with weft_, or that none of
    the headers marks WEFT_PUBLIC
  - a header declares a WEFT_PUBLIC function that the shared library lacks
  - the static library has a global name that does not begin with weft_ (weft__ is for internal
    names that cross files), and so could clash with one of the program's
  - the shared library asks for an executable stack
EOF
}

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ $# -lt 3 ]; then
    usage >&2
    exit 2
fi
shared=$1
static=$2
shift 2
failed=0

report() {
    if [ -n "$2" ]; then
        failed=1
        echo "$1:"
        echo "$2" | sed 's/^/    /'
    fi
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$shared" | awk '$2 ~ /[A-Z]/ { print $3 }' | sed 's/@.*//' |
    sort -u >"$dir/exported"
# A declaration is everything from WEFT_PUBLIC to the semicolon; its name stands before the first
# parenthesis that is not an attribute's.
cat "$@" | tr '\n' ' ' | grep -o 'WEFT_PUBLIC [^;]*;' |
    grep -o 'weft_[a-z0-9_]*(' | tr -d '(' | sort -u >"$dir/declared"

report "$shared exports names without weft_" "$(grep -v '^weft_[a-z]' "$dir/exported" || true)"
report "$shared exports names that no public header declares" \
    "$(comm -23 "$dir/exported" "$dir/declared" | grep '^weft_[a-z]' || true)"
report "declared WEFT_PUBLIC, but not in $shared" "$(comm -13 "$dir/exported" "$dir/declared")"
report "$static has globals without weft_ (make them static, or weft__...)" \
    "$(nm -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 { print $3 }' | grep -v '^weft_' |
        sort -u || true)"
report "$shared asks for an executable stack (a .S without .note.GNU-stack?)" \
    "$(readelf -lW "$shared" | grep GNU_STACK | grep RWE || true)"

if [ "$failed" -eq 0 ]; then
    echo "$(wc -l <"$dir/exported") exported names, all declared and all named right"
fi
exit "$failed"
