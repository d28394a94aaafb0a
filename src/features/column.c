/* SPDX-License-Identifier: Apache-2.0 */
#include "features/column.h"

#include <stdlib.h>

size_t column_width(enum value_type type)
{
    static const size_t widths[VALUE_TYPE_COUNT] = {
        [TYPE_BOOL] = sizeof(uint8_t),     [TYPE_INT32] = sizeof(int32_t),
        [TYPE_INT64] = sizeof(int64_t),    [TYPE_FLOAT32] = sizeof(float),
        [TYPE_FLOAT64] = sizeof(double),   [TYPE_STRING] = sizeof(struct str),
        [TYPE_BYTES] = sizeof(struct str), [TYPE_TIMESTAMP] = sizeof(int64_t),
    };

    return widths[type];
}

void column_init(struct column *column, enum value_type type)
{
    *column = (struct column){ .type = type };
}

void column_free(struct column *column)
{
    free(column->valid);
    free(column->data);
    arena_free(column->bytes);
    column_init(column, column->type);
}

static enum status grow(void **memory, size_t count, size_t width, struct error *err)
{
    void *grown;

    if (count > SIZE_MAX / width)
        return error_set(err, STATUS_LIMIT, "a column of %zu rows is too long", count);
    grown = realloc(*memory, count * width);
    if (grown == NULL && count > 0)
        return error_set(err, STATUS_LIMIT, "no memory is left for a column of %zu rows",
                         count);
    *memory = grown;
    return STATUS_OK;
}

enum status column_reserve(struct column *column, size_t more, struct error *err)
{
    size_t wanted = column->count + more;
    size_t capacity = column->capacity + column->capacity / 2;
    void *valid = column->valid;

    if (wanted <= column->capacity)
        return STATUS_OK;
    if (capacity < wanted)
        capacity = wanted;
    TRY(grow(&column->data, capacity, column_width(column->type), err));
    if (valid != NULL) {
        TRY(grow(&valid, capacity, 1, err));
        column->valid = valid;
    }
    column->capacity = capacity;
    return STATUS_OK;
}

enum status column_make(struct column *column, enum value_type type, size_t count,
                        struct error *err)
{
    struct column made = { .type = type, .count = count, .capacity = count };

    /* calloc takes pages that are zero already, and not before they are touched. */
    made.data = calloc(count + 1, column_width(type));
    made.valid = calloc(count + 1, 1);
    if (made.data == NULL || made.valid == NULL) {
        column_free(&made);
        return error_set(err, STATUS_LIMIT, "no memory is left for a column of %zu rows",
                         count);
    }
    *column = made;
    return STATUS_OK;
}

enum status column_need_valid(struct column *column, struct error *err)
{
    if (column->valid != NULL)
        return STATUS_OK;
    column->valid = malloc(column->capacity + 1);
    if (column->valid == NULL)
        return error_set(err, STATUS_LIMIT, "no memory is left for a column");
    memset(column->valid, 1, column->capacity);
    return STATUS_OK;
}

struct str column_keep_text(struct column *column, struct str text)
{
    if (column->bytes == NULL)
        column->bytes = arena_new();
    return arena_str(column->bytes, text);
}

enum status column_append(struct column *column, struct value value, struct error *err)
{
    bool is_text = column->type == TYPE_STRING || column->type == TYPE_BYTES;

    TRY(column_reserve(column, 1, err));
    if (value.is_null)
        TRY(column_need_valid(column, err));
    else if (is_text)
        value.text = column_keep_text(column, value.text);
    column->count++;
    if (value.is_null)
        memset((char *)column->data + (column->count - 1) * column_width(column->type), 0,
               column_width(column->type));
    column_set(column, column->count - 1, value);
    return STATUS_OK;
}

void column_set(struct column *column, size_t row, struct value value)
{
    if (column->valid != NULL)
        column->valid[row] = !value.is_null;
    if (value.is_null)
        return;
    switch (column->type) {
    case TYPE_BOOL:
        column->booleans[row] = value.boolean;
        break;
    case TYPE_INT32:
        column->int32s[row] = (int32_t)value.integer;
        break;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        column->int64s[row] = value.integer;
        break;
    case TYPE_FLOAT32:
        column->float32s[row] = (float)value.number;
        break;
    case TYPE_FLOAT64:
        column->float64s[row] = value.number;
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        column->texts[row] = value.text;
        break;
    }
}

struct value column_get(const struct column *column, size_t row)
{
    struct value value = { .type = column->type, .is_null = column_is_null(column, row) };

    if (value.is_null)
        return value;
    switch (column->type) {
    case TYPE_BOOL:
        value.boolean = column->booleans[row] != 0;
        break;
    case TYPE_INT32:
        value.integer = column->int32s[row];
        break;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        value.integer = column->int64s[row];
        break;
    case TYPE_FLOAT32:
        value.number = (double)column->float32s[row];
        break;
    case TYPE_FLOAT64:
        value.number = column->float64s[row];
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        value.text = column->texts[row];
        break;
    }
    return value;
}

static enum status append_validity(struct column *to, const struct column *from,
                                   struct error *err)
{
    if (from->valid != NULL)
        TRY(column_need_valid(to, err));
    if (to->valid == NULL)
        return STATUS_OK;
    if (from->valid != NULL)
        memcpy(to->valid + to->count, from->valid, from->count);
    else
        memset(to->valid + to->count, 1, from->count);
    return STATUS_OK;
}

enum status column_append_all(struct column *to, const struct column *from, struct error *err)
{
    size_t width = column_width(to->type);

    TRY(column_reserve(to, from->count, err));
    TRY(append_validity(to, from, err));
    if (to->type == TYPE_STRING || to->type == TYPE_BYTES) {
        for (size_t row = 0; row < from->count; row++)
            to->texts[to->count + row] = column_is_null(from, row)
                                             ? STR_EMPTY
                                             : column_keep_text(to, from->texts[row]);
    } else if (from->count > 0) {
        memcpy((char *)to->data + to->count * width, from->data, from->count * width);
    }
    to->count += from->count;
    return STATUS_OK;
}

size_t column_memory(const struct column *column)
{
    size_t bytes = column->capacity * (column_width(column->type) + (column->valid != NULL));

    return bytes + (column->bytes != NULL ? arena_size(column->bytes) : 0);
}

void table_init(struct table *table, struct arena *arena, size_t column_count)
{
    *table = (struct table){
        .column_count = column_count,
        .names = ARENA_ARRAY(arena, struct str, column_count),
        .columns = ARENA_ARRAY(arena, struct column, column_count),
    };
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        column_free(&table->columns[i]);
    table->column_count = 0;
    table->rows = 0;
}

struct column *table_find(const struct table *table, struct str name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (str_equal(table->names[i], name))
            return &table->columns[i];
    }
    return NULL;
}
