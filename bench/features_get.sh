#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# CPU of one read of the demo's 45 windows of three entities, inside the process.
#
# usage: bench/features_get.sh [BUILD] [PROJECT]

set -eu
build=$(realpath "${1:-build/release}")
project=${2:-build/demo/flights}
rows=$(mktemp --suffix .csv)
trap 'rm -f "$rows"' EXIT

python3 - >"$rows" <<'END'
import random
random.seed(7)
airports = "ATL ORD DFW LAX PHX STL DTW MSP DEN BOS SFO LAS".split()
print("origin,destination,date,distance")
for _ in range(20000):
    origin, destination = random.sample(airports, 2)
    print(f"{origin},{destination},2001-07-01T{random.randrange(9, 24):02}:{random.randrange(60):02}:00Z,{random.randrange(100, 2500)}")
END
"$build/bench/features_get" "$project" flight_v1 "$rows"
