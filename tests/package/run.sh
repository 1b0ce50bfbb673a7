#!/bin/sh
# SPDX-License-Identifier: MIT
# Build and run an outside program against an installed tree, in each way there is.
set -eu

usage() {
    cat <<EOF
usage: tests/package/run.sh BUILD

Installs what was built in the folder BUILD into a temporary prefix, moves that elsewhere, and
builds the programs beside this script against it: by find_package and by pkg-config, with the
shared and with the static library, in C and in C++. CC and CXX choose the compilers. Status 77
("skipped") without a C++ compiler.
EOF
}

if [ "${1:-}" = --help ]; then
    usage
    exit 0
fi
if [ $# -ne 1 ] || [ ! -f "$1/CMakeCache.txt" ]; then
    usage >&2
    exit 2
fi
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
cxx=${CXX:-c++}
if ! command -v "$cxx" >/dev/null; then
    echo "SKIP: no C++ compiler ($cxx)"
    exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/moved

step() {
    printf '%s\n' "-- $*"
}

run() {
    LD_LIBRARY_PATH=$libdir "$@"
}

step "install, then move the tree"
cmake --install "$build" --prefix "$dir/installed" >"$dir/install.log"
mv "$dir/installed" "$prefix"
pc=$(find "$prefix" -name weft.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
for file in "$prefix/include/weft/weft.h" "$libdir/libweft.so" "$libdir/libweft.a"; do
    [ -e "$file" ] || {
        echo "FAIL: $file was not installed"
        exit 1
    }
done
for program in "$prefix"/bin/*; do
    [ ! -x "$program" ] || run "$program" --help >/dev/null
done

step "find_package"
cmake -S "$source" -B "$dir/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_CXX_COMPILER="$cxx" >"$dir/cmake.log" || {
    cat "$dir/cmake.log"
    exit 1
}
cmake --build "$dir/cmake" >"$dir/cmake.log" || {
    cat "$dir/cmake.log"
    exit 1
}
for program in c_shared c_static cxx_shared cxx_exceptions cxx_exceptions_static; do
    step "run $program"
    run "$dir/cmake/$program"
done

if pkg-config --exists weft-tls; then
    for program in tls_shared tls_static; do
        step "run $program"
        run "$dir/cmake/$program"
    done
    step "pkg-config, TLS"
    # shellcheck disable=SC2046
    "$cc" -o "$dir/pc_tls" "$source/tls.c" $(pkg-config --cflags --libs weft-tls)
    run "$dir/pc_tls"
    step "the library without TLS knows no OpenSSL"
    if ldd "$libdir/libweft.so" | grep -E 'libssl|libcrypto'; then
        echo "FAIL: libweft.so needs OpenSSL"
        exit 1
    fi
fi

step "pkg-config, shared library"
# shellcheck disable=SC2046
"$cc" -o "$dir/pc_shared" "$source/main.c" $(pkg-config --cflags --libs weft)
run "$dir/pc_shared"
# The library's allocator is the program's, or two would share the process.
if pkg-config --libs weft | grep -q jemalloc; then
    run env LD_DEBUG=bindings "$dir/pc_shared" 2>&1 |
        grep -q "pc_shared .*libjemalloc.*symbol .malloc'" || {
        echo "FAIL: the program's malloc is not jemalloc's"
        exit 1
    }
fi

step "pkg-config, static library, the rest shared"
# shellcheck disable=SC2046
"$cc" -o "$dir/pc_static" "$source/main.c" \
    $(pkg-config --static --cflags --libs weft | sed 's/-lweft/-l:libweft.a/')
"$dir/pc_static"

step "pkg-config, no shared library at all"
libs=$(pkg-config --static --libs weft)
echo 'int main(void) { return 0; }' >"$dir/empty.c"
# shellcheck disable=SC2046,SC2086
if "$cc" -static -o "$dir/empty" "$dir/empty.c" $(echo "$libs" | sed 's/-lweft//') 2>/dev/null; then
    "$cc" -static -o "$dir/pc_all_static" "$source/main.c" $(pkg-config --cflags weft) $libs
    "$dir/pc_all_static"
else
    echo "left out: here is no archive of one of $libs"
fi

step "pkg-config, C++"
# shellcheck disable=SC2046
"$cxx" -std=c++11 -Wall -Wextra -Wpedantic -Werror -o "$dir/pc_cxx" "$source/main.cpp" \
    $(pkg-config --cflags --libs weft)
run "$dir/pc_cxx"

step "done"
