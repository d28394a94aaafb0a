/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles what it is given with a name of every type and runs it over rows
 * that hold nulls, extremes and NaN, as columns and one by one: both must
 * agree.
 */
#include "features/expression.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS 5

static const struct expression_name names[] = {
    { STR_INIT("b"), TYPE_BOOL },      { STR_INIT("i"), TYPE_INT64 },
    { STR_INIT("f"), TYPE_FLOAT64 },   { STR_INIT("s"), TYPE_STRING },
    { STR_INIT("t"), TYPE_TIMESTAMP }, { STR_INIT("y"), TYPE_BYTES },
    { STR_INIT("v.w"), TYPE_INT32 },
};
#define NAMES ARRAY_LEN(names)

static const bool nulls[ROWS] = { false, false, true, false, false };
static const bool booleans[ROWS] = { true, false, true, false, true };
static const int64_t integers[ROWS] = { 0, INT64_MIN, -5, INT64_MAX, 1234567890123456 };
static const double numbers[ROWS] = { 0, -1.5, 1e300, (double)NAN, (double)INFINITY };
static const struct str texts[ROWS] = { STR_INIT(""),
                                        STR_INIT("a"),
                                        { NULL, 99 },
                                        STR_INIT("2018-08-08"),
                                        STR_INIT("\xc3\xb6") };

static struct expression_column column_of(enum value_type type)
{
    struct expression_column column = { .type = type, .nulls = nulls };

    if (type == TYPE_BOOL)
        column.booleans = booleans;
    else if (type == TYPE_FLOAT64)
        column.numbers = numbers;
    else if (type == TYPE_STRING || type == TYPE_BYTES)
        column.texts = texts;
    else
        column.integers = integers;
    return column;
}

static struct value row_of(const struct expression_column *column, size_t row)
{
    struct value value = { .type = column->type };

    if (column->nulls != NULL && column->nulls[row])
        return value_null(column->type);
    if (column->type == TYPE_BOOL)
        value.boolean = column->booleans[row];
    else if (column->type == TYPE_FLOAT64)
        value.number = column->numbers[row];
    else if (column->type == TYPE_STRING || column->type == TYPE_BYTES)
        value.text = column->texts[row];
    else
        value.integer = column->integers[row];
    return value;
}

static void compare(const struct expression *expression, struct arena *arena,
                    size_t input_count, const struct expression_column *inputs,
                    const struct expression_column *out)
{
    struct value values[NAMES];
    struct value one;
    struct error err;

    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < input_count; i++)
            values[i] = row_of(&inputs[i], row);
        if (expression_eval_row(expression, arena, values, &one, &err) != STATUS_OK ||
            !value_identical(one, row_of(out, row)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    const struct expression *expression;
    struct expression_column inputs[NAMES], out;
    struct expression_place place;
    struct error err;
    size_t count;
    const size_t *used;

    if (expression_compile(arena, (struct str){ (const char *)data, size }, names, NAMES,
                           &expression, &place, &err) == STATUS_OK) {
        used = expression_inputs(expression, &count);
        for (size_t i = 0; i < count; i++)
            inputs[i] = column_of(names[used[i]].type);
        if (expression_eval(expression, arena, inputs, ROWS, &out, &err) == STATUS_OK)
            compare(expression, arena, count, inputs, &out);
    }
    arena_free(arena);
    return 0;
}
