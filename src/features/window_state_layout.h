/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What builder and reader of a window state share. A row, little endian, without padding:
 *
 *   u8 version, u8 0, u16 groups, u32 bytes of the row, i64 newest event time
 *   u32 offset of each group
 *   group:   u32 entries n, u32 offset of each column, i64 start of each entry (ascending)
 *   column:  u8 format, then by format, for each of its m partials:
 *     COUNT   u32 count
 *     INTEGER u32 count …, i64 sum …
 *     FIXED   i32 exponent, u32 count …, i128 sum × 2^exponent …
 *     ENCODED u32 offset …, u32 end, then what aggregate_encode() wrote
 *
 * Offsets count from the row's first byte; those of ENCODED from behind `end`. A group of
 * suffixes has m = n + 1 partials, the last that of the newest instant; one with a delay has m = n.
 */
#include "features/window_state.h"

#include <endian.h>

#define WINDOW_STATE_VERSION 1
#define WINDOW_HEADER_BYTES 16

/* So that millions of sums can be added in 128 bits. */
#define WINDOW_FIXED_BITS 100
#define WINDOW_EXPONENT_MIN (-1074) /* of the least double */

/* The byte before a group's partials; no row has the first. */
enum window_format { WINDOW_NONE, WINDOW_COUNT, WINDOW_INTEGER, WINDOW_FIXED, WINDOW_ENCODED };

struct window_column {
    struct aggregate_spec spec; /* sum stands for avg too: they keep the same */
    size_t input;               /* into the layout's inputs; unused if spec.counts_rows */
};

/* Tiles of one width, seen with one delay. */
struct window_group {
    int64_t hop_us; /* 0: an entry for each instant, or one for all time */
    int64_t delay_us;
    int64_t reach_us; /* the longest window; 0: all time */
    struct window_column *columns;
    size_t column_count, column_capacity;
};

/* Features with equal ranges see the same entries. */
struct window_range {
    size_t group;
    int64_t window_us; /* 0: all time */
    bool include_current;
};

struct window_feature {
    struct aggregate_spec spec;
    size_t range;
    size_t column; /* of its range's group */
};

struct window_layout {
    struct window_group *groups;
    size_t group_count;
    struct window_range *ranges;
    size_t range_count;
    struct window_feature *features;
    size_t feature_count;
    struct window_input *inputs;
    size_t input_count;
    struct str text;
};

static inline int64_t time_minus(int64_t time_us, int64_t duration_us)
{
    int64_t result;

    return __builtin_sub_overflow(time_us, duration_us, &result) ? INT64_MIN : result;
}

/* The least instant that a window with its head at `head_us` covers. */
int64_t window_tail_us(const struct window_group *group, int64_t window_us, int64_t head_us);

static inline uint32_t load_u32(const char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

static inline int64_t load_i64(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    return (int64_t)le64toh(value);
}

static inline int128 load_i128(const char *bytes)
{
    return (int128)((uint128)load_i64(bytes + 8) << 64 | (uint64_t)load_i64(bytes));
}
