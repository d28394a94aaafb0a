#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How fast all entities of the flights example come into the online store, from the command to the
# switch, in rows of the source a second. Three runs.
#
# usage: bench/materialize.sh [BINARY] [PROJECT]

set -eu

binary=$(realpath "${1:-build/release/onggi}")
project=${2:-build/demo/flights}

cd "$project"
for run in 1 2 3; do
    start=$(date +%s%N)
    result=$("$binary" features materialize --json 2>/dev/null)
    end=$(date +%s%N)
    python3 - "$run" "$(((end - start) / 1000))" "$result" <<'END'
import json, sys
run, micros, result = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
print(f"run {run}: {result['rows']:,} rows into {result['entities']:,} entities of "
      f"{len(result['views'])} views in {micros / 1e6:.2f} s, "
      f"{result['rows'] / micros * 1e6:,.0f} rows/s")
END
done
