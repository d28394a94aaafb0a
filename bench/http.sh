#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a request costs our server, against a bare loop with the same parser, in one run.
#
#   bench/http.sh [BUILD] [ROUNDS]      a release build (default build/release), rounds of each (5)

set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build/release}
rounds=${2:-5}
body=$(mktemp)
bare='' ours=''
trap 'kill $bare $ours; rm -f "$body" "$body".*' EXIT
printf '{"service":"fraud_v1","entities":{"customer_id":[42,43]},"pad":"%0190d"}' 0 >"$body"

# start PROGRAM...: runs it in the background on core 0; its id is then in $pid, its port in $port.
start()
{
    : >"$body.port"
    taskset -c 0 "$@" >"$body.port" &
    pid=$!
    until [ -s "$body.port" ]; do sleep 0.05; done
    port=$(cat "$body.port")
}

# field NAME: out of a line of JSON.
field()
{
    sed "s/.*\"$1\":\([0-9.]*\).*/\1/"
}

# median: of numbers, one a line.
median()
{
    sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

load()
{
    taskset -c 1 "$build/bench/http_load" --method POST --path /json --body "$body" --seconds 2 --warm-up 0.5 "$@"
}

start "$build/bench/bare_loop"
bare=$pid bare_port=$port
start "$build/src/net/net_test_server" --loops 1
ours=$pid our_port=$port

for _ in $(seq "$rounds"); do
    load --port "$bare_port" --pid "$bare" >>"$body.bare"
    load --port "$our_port" --pid "$ours" >>"$body.ours"
done
for name in bare ours; do
    eval "cpu_$name=$(field cpu_us <"$body.$name" | median)"
    printf '%-5s CPU %s us a request, %s requests/s, p50 %s us, p99 %s us\n' "$name" \
        "$(field cpu_us <"$body.$name" | median)" "$(field per_second <"$body.$name" | median)" \
        "$(field p50_us <"$body.$name" | median)" "$(field p99_us <"$body.$name" | median)"
done
# shellcheck disable=SC2154
awk -v a="$cpu_ours" -v b="$cpu_bare" 'BEGIN { printf "CPU ratio %.3f (reach: 1.25)\n", a / b }'
