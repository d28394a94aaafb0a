# SPDX-License-Identifier: Apache-2.0
# What the scripts in dev/ share. Sourced, never run: it leaves the caller in the root of the tree.

set -euo pipefail
export LC_ALL=C.UTF-8
me=dev/$(basename "$0")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '%s: %s\n' "$me" "$*" >&2; }

die()
{
    say "$*"
    exit 1
}

now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

# seconds_since START_US
seconds_since()
{
    local us=$(($(now_us) - $1))
    printf '%d.%d s' $((us / 1000000)) $((us / 100000 % 10))
}

# need_root WHAT: says what would need it when there is no way to be root.
need_root()
{
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        { say "$1 needs root: run dev/setup as root, or install sudo" && return 1; }
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# configure DIR [MESON OPTION]...: makes the build folder, or brings its options up to date.
# Asking meson costs half a second, so it is asked only when the options differ from last time.
configure()
{
    local dir=$1 options="${*:2}"
    shift
    if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        meson setup "$dir" "$@" >"$dir.log" 2>&1 || die_with_log "$dir.log" "meson setup $dir failed"
    elif [ "$(cat "$dir/onggi-options" 2>/dev/null)" != "$options" ]; then
        meson setup --reconfigure "$dir" "$@" >"$dir.log" 2>&1 ||
            die_with_log "$dir.log" "meson setup $dir failed"
    fi
    printf '%s\n' "$options" >"$dir/onggi-options"
}

# die_with_log LOG MESSAGE: the end of the log is what a person needs to see.
die_with_log()
{
    tail -n 40 "$1" >&2
    die "$2; all of it is in $1"
}
