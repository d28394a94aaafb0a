/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and numbers. */
#include "workflow/intrinsic_internal.h"

#include "base/hash.h"

#include <math.h>

#define RANGE_ITEMS_MAX 1000

/* A number without its fraction, within what a double holds exactly. */
static bool whole_of(yyjson_mut_val *value, int64_t *out)
{
    double number = yyjson_mut_get_num(value);

    if (!yyjson_mut_is_num(value) || !(fabs(number) <= 9007199254740992.0))
        return false;
    *out = (int64_t)trunc(number);
    return true;
}

/* To the nearest integer, halves upwards, of 32 bits. */
static bool rounded_of(yyjson_mut_val *value, int64_t *out)
{
    double number = floor(yyjson_mut_get_num(value) + 0.5);

    if (!yyjson_mut_is_num(value) || !(number >= INT32_MIN && number <= INT32_MAX))
        return false;
    *out = (int64_t)number;
    return true;
}

static void append_copy(const struct scope *scope, yyjson_mut_val *list, yyjson_mut_val *value)
{
    yyjson_mut_arr_append(list, yyjson_mut_val_mut_copy(scope->doc, value));
}

static bool call_array(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    (void)fault;
    *out = yyjson_mut_arr(scope->doc);
    for (size_t i = 0; i < count; i++)
        append_copy(scope, *out, args[i]);
    return true;
}

static bool call_partition(const struct scope *scope, yyjson_mut_val **args, size_t count,
                           yyjson_mut_val **out, struct fault *fault)
{
    yyjson_mut_val *item, *piece = NULL;
    size_t i, max;
    int64_t size;

    (void)count;
    if (!yyjson_mut_is_arr(args[0]) || !whole_of(args[1], &size) || size < 1)
        return intrinsic_refuse(scope, fault, "States.ArrayPartition");
    *out = yyjson_mut_arr(scope->doc);
    yyjson_mut_arr_foreach(args[0], i, max, item)
    {
        if ((int64_t)i % size == 0)
            piece = yyjson_mut_arr_add_arr(scope->doc, *out);
        append_copy(scope, piece, item);
    }
    return true;
}

/* Values are told apart by their text: 1 is in ["1"], and an object only with its keys in this order. */
static struct str shown(const struct scope *scope, yyjson_mut_val *value)
{
    return yyjson_mut_is_str(value) ? intrinsic_text(value)
                                    : json_mut_write(scope->arena, value);
}

static bool call_contains(const struct scope *scope, yyjson_mut_val **args, size_t count,
                          yyjson_mut_val **out, struct fault *fault)
{
    struct str wanted = shown(scope, args[1]);
    yyjson_mut_val *item;
    bool found = false;
    size_t i, max;

    (void)count;
    if (!yyjson_mut_is_arr(args[0]))
        return intrinsic_refuse(scope, fault, "States.ArrayContains");
    yyjson_mut_arr_foreach(args[0], i, max, item)
    {
        found = found || str_equal(shown(scope, item), wanted);
    }
    *out = yyjson_mut_bool(scope->doc, found);
    return true;
}

static bool call_range(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    int64_t from, to, step;

    (void)count;
    if (!whole_of(args[0], &from) || !whole_of(args[1], &to) || !whole_of(args[2], &step) ||
        step == 0 || (to - from) / step >= RANGE_ITEMS_MAX)
        return intrinsic_refuse(scope, fault, "States.ArrayRange");
    *out = yyjson_mut_arr(scope->doc);
    for (int64_t i = from; step > 0 ? i <= to : i >= to; i += step)
        yyjson_mut_arr_add_int(scope->doc, *out, i);
    return true;
}

static bool call_get_item(const struct scope *scope, yyjson_mut_val **args, size_t count,
                          yyjson_mut_val **out, struct fault *fault)
{
    size_t size = yyjson_mut_arr_size(args[0]);
    int64_t index;

    (void)count;
    if (!yyjson_mut_is_arr(args[0]) || !whole_of(args[1], &index) || index < 0 ||
        (size > 0 && (uint64_t)index >= size))
        return intrinsic_refuse(scope, fault, "States.ArrayGetItem");
    /* Of an empty list every item is null. */
    *out = size == 0 ? yyjson_mut_null(scope->doc)
                     : yyjson_mut_val_mut_copy(scope->doc,
                                               yyjson_mut_arr_get(args[0], (size_t)index));
    return true;
}

static bool call_length(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    (void)count;
    if (!yyjson_mut_is_arr(args[0]))
        return intrinsic_refuse(scope, fault, "States.ArrayLength");
    *out = yyjson_mut_uint(scope->doc, yyjson_mut_arr_size(args[0]));
    return true;
}

static uint64_t hash_of(yyjson_mut_val *value);

/* Of the keys in any order, but of each with its own value. */
static uint64_t hash_of_object(yyjson_mut_val *object)
{
    yyjson_mut_val *key, *item;
    uint64_t hash = 0;
    size_t i, max;

    yyjson_mut_obj_foreach(object, i, max, key, item)
    {
        const uint64_t pair[] = { hash_of(key), hash_of(item) };

        hash += hash64(pair, sizeof(pair), 0);
    }
    return hash;
}

/* The hash of what is equal is equal. */
static uint64_t hash_of(yyjson_mut_val *value)
{
    uint64_t hash = yyjson_mut_get_type(value);
    yyjson_mut_val *item;
    double number;
    size_t i, max;

    if (yyjson_mut_is_str(value))
        return hash64(yyjson_mut_get_str(value), yyjson_mut_get_len(value), hash);
    if (yyjson_mut_is_num(value)) {
        number = yyjson_mut_get_num(value);
        return hash64(&number, sizeof(number), hash);
    }
    if (yyjson_mut_is_bool(value))
        return hash + yyjson_mut_get_bool(value);
    if (yyjson_mut_is_obj(value))
        return hash_of_object(value);
    if (yyjson_mut_is_arr(value))
        yyjson_mut_arr_foreach(value, i, max, item)
        {
            const uint64_t pair[] = { hash, hash_of(item) };

            hash = hash64(pair, sizeof(pair), 0);
        }
    return hash;
}

/* The first of each, in an open table twice as large as the list. */
static bool is_new(yyjson_mut_val **table, size_t slots, yyjson_mut_val *item)
{
    size_t at = (size_t)(hash_of(item) % slots);

    for (; table[at] != NULL; at = (at + 1) % slots)
        if (yyjson_mut_equals(table[at], item))
            return false;
    table[at] = item;
    return true;
}

static bool call_unique(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    size_t slots = 2 * yyjson_mut_arr_size(args[0]) + 1, i, max;
    yyjson_mut_val **table, *item;

    (void)count;
    if (!yyjson_mut_is_arr(args[0]))
        return intrinsic_refuse(scope, fault, "States.ArrayUnique");
    table = ARENA_ARRAY(scope->arena, yyjson_mut_val *, slots);
    *out = yyjson_mut_arr(scope->doc);
    yyjson_mut_arr_foreach(args[0], i, max, item)
    {
        if (is_new(table, slots, item))
            append_copy(scope, *out, item);
    }
    return true;
}

static bool call_add(const struct scope *scope, yyjson_mut_val **args, size_t count,
                     yyjson_mut_val **out, struct fault *fault)
{
    int64_t a, b;

    (void)count;
    if (!rounded_of(args[0], &a) || !rounded_of(args[1], &b) || a + b < INT32_MIN ||
        a + b > INT32_MAX)
        return intrinsic_refuse(scope, fault, "States.MathAdd");
    *out = yyjson_mut_int(scope->doc, a + b);
    return true;
}

/* From start, inclusive, to end, exclusive; the same seed gives the same number. */
static bool call_random(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    int64_t from, to, seed = 0;
    uint64_t random;

    if (!whole_of(args[0], &from) || !whole_of(args[1], &to) || from >= to ||
        (count == 3 && !whole_of(args[2], &seed)))
        return intrinsic_refuse(scope, fault, "States.MathRandom");
    random = count == 3 ? hash64(&seed, sizeof(seed), 0) : random_u64();
    *out = yyjson_mut_int(scope->doc, from + (int64_t)(random % (uint64_t)(to - from)));
    return true;
}

const struct intrinsic list_intrinsics[] = {
    { STR_INIT("States.Array"), 0, INTRINSIC_ARGS_MAX, call_array },
    { STR_INIT("States.ArrayPartition"), 2, 2, call_partition },
    { STR_INIT("States.ArrayContains"), 2, 2, call_contains },
    { STR_INIT("States.ArrayRange"), 3, 3, call_range },
    { STR_INIT("States.ArrayGetItem"), 2, 2, call_get_item },
    { STR_INIT("States.ArrayLength"), 1, 1, call_length },
    { STR_INIT("States.ArrayUnique"), 1, 1, call_unique },
    { STR_INIT("States.MathAdd"), 2, 2, call_add },
    { STR_INIT("States.MathRandom"), 2, 3, call_random },
};
const size_t list_intrinsic_count = ARRAY_LEN(list_intrinsics);
