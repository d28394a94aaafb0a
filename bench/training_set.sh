#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A training set of 1 M entity rows x 30 window features over the 3 M flights, beside DuckDB's own
# window functions: seconds, ratio, peak memory. usage: bench/training_set.sh [BUILD_FOLDER [ROWS]]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
exec "$build/bench/bench_training_set" build/deps/data/flights-3m.parquet ${2:+"$2"}
