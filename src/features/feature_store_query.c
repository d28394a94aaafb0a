/* SPDX-License-Identifier: Apache-2.0 */
#include "features/feature_store_plan.h"

/* One of the two objects of a request body, and where its values go. */
struct part {
    const char *name; /* "entities" */
    const char *one;  /* "key" */
    yyjson_val *object;
    const struct feature_field *fields;
    size_t count;
    struct value *values; /* rows × count */
};

static enum status unknown_field(const struct part *part, struct str name, struct error *err)
{
    struct arena *arena = arena_new();
    struct str *known = ARENA_ARRAY(arena, struct str, part->count);
    struct str nearest;

    for (size_t i = 0; i < part->count; i++)
        known[i] = part->fields[i].name;
    nearest = str_nearest(name, known, part->count);
    error_set(err, STATUS_INVALID, "%s: there is no %s '" STR_FMT "'%s" STR_FMT "%s",
              part->name, part->one, STR_ARG(str_slice(name, 0, 100)),
              nearest.len > 0    ? "; did you mean '"
              : part->count == 0 ? "; none is wanted"
                                 : "",
              STR_ARG(nearest), nearest.len > 0 ? "'?" : "");
    arena_free(arena);
    return STATUS_INVALID;
}

static enum status check_names(const struct part *part, struct error *err)
{
    yyjson_obj_iter iter;
    yyjson_val *key;

    if (part->object == NULL || yyjson_is_null(part->object))
        return STATUS_OK;
    if (!yyjson_is_obj(part->object))
        return error_set(err, STATUS_INVALID, "%s: expected an object of names and values",
                         part->name);
    iter = yyjson_obj_iter_with(part->object);
    while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
        size_t i = 0;

        while (i < part->count && !str_equal(part->fields[i].name, json_str(key)))
            i++;
        if (i == part->count)
            return unknown_field(part, json_str(key), err);
    }
    return STATUS_OK;
}

static enum status field_find(const struct part *part, size_t index, yyjson_val **out,
                              struct error *err)
{
    struct str name = part->fields[index].name;

    *out = part->object == NULL ? NULL : json_find(part->object, name);
    if (*out != NULL)
        return STATUS_OK;
    return error_set(err, STATUS_INVALID, "%s: %s '" STR_FMT "' (%s) is missing", part->name,
                     part->one, STR_ARG(name), value_type_name(part->fields[index].type));
}

/* All columns must be of one length; the first one sets it. */
static enum status count_rows(const struct part *part, size_t *rows, struct str *first,
                              struct error *err)
{
    for (size_t i = 0; i < part->count; i++) {
        yyjson_val *column;
        size_t size;

        TRY(field_find(part, i, &column, err));
        if (!yyjson_is_arr(column))
            return error_set(err, STATUS_INVALID,
                             "%s." STR_FMT ": expected an array, one value for each row",
                             part->name, STR_ARG(part->fields[i].name));
        size = yyjson_arr_size(column);
        if (size > FEATURE_ROWS_MAX)
            return error_set(err, STATUS_LIMIT,
                             "%s." STR_FMT ": %zu rows are more than %d in one request; ask in "
                             "pieces, or build a training set",
                             part->name, STR_ARG(part->fields[i].name), size, FEATURE_ROWS_MAX);
        if (first->len > 0 && size != *rows)
            return error_set(
                err, STATUS_INVALID, "%s." STR_FMT ": %zu values, but '" STR_FMT "' has %zu",
                part->name, STR_ARG(part->fields[i].name), size, STR_ARG(*first), *rows);
        *rows = size;
        *first = part->fields[i].name;
    }
    return STATUS_OK;
}

static enum status take_value(const struct part *part, struct arena *arena, size_t row,
                              size_t field, const yyjson_val *json, struct error *err)
{
    struct value *to = &part->values[row * part->count + field];

    if (json_to_value(arena, json, part->fields[field].type, to, err) != STATUS_OK)
        return error_wrap(err, "%s." STR_FMT, part->name, STR_ARG(part->fields[field].name));
    return STATUS_OK;
}

static enum status take_part(const struct part *part, struct arena *arena, bool columns,
                             struct error *err)
{
    for (size_t field = 0; field < part->count; field++) {
        yyjson_val *given;
        yyjson_arr_iter iter;
        yyjson_val *one;

        TRY(field_find(part, field, &given, err));
        if (!columns) {
            TRY(take_value(part, arena, 0, field, given, err));
            continue;
        }
        iter = yyjson_arr_iter_with(given);
        for (size_t row = 0; (one = yyjson_arr_iter_next(&iter)) != NULL; row++)
            if (take_value(part, arena, row, field, one, err) != STATUS_OK)
                return error_wrap(err, "row %zu", row + 1);
    }
    return STATUS_OK;
}

enum status feature_plan_cells(const struct feature_plan *plan, size_t rows, size_t *out,
                               struct error *err)
{
    size_t width = plan->plan->slot_count;

    if (width > 0 && rows > FEATURE_CELLS_MAX / width)
        return error_set(err, STATUS_LIMIT,
                         "%zu rows of %zu features are more than %d values in one request; ask "
                         "in pieces, or build a training set",
                         rows, width, FEATURE_CELLS_MAX);
    *out = rows * width;
    return STATUS_OK;
}

static enum status check_times(const struct feature_plan *plan,
                               const struct feature_query *query, struct error *err)
{
    size_t width = plan->plan->request_field_count;

    for (size_t row = 0; plan->plan->has_time && row < query->rows; row++)
        if (query->request[row * width + plan->plan->time_field].is_null)
            return error_set(err, STATUS_INVALID,
                             "request." STR_FMT
                             ": null, but it is the time that is asked about",
                             STR_ARG(plan->service->time));
    return STATUS_OK;
}

enum status feature_plan_query(const struct feature_plan *plan, struct arena *arena,
                               yyjson_val *entities, yyjson_val *request, bool columns,
                               struct feature_query *out, struct error *err)
{
    struct part parts[] = {
        { "entities", "key", entities, plan->keys, plan->plan->key_count, NULL },
        { "request", "field", request, plan->request, plan->plan->request_field_count, NULL },
    };
    struct feature_query query = { .rows = 1 };
    struct str first = STR_EMPTY;
    size_t cells;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        TRY(check_names(&parts[i], err));
        if (columns)
            TRY(count_rows(&parts[i], &query.rows, &first, err));
    }
    TRY(feature_plan_cells(plan, query.rows, &cells, err));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i].values = ARENA_ARRAY(arena, struct value, query.rows * parts[i].count);
        TRY(take_part(&parts[i], arena, columns, err));
    }
    query.keys = parts[0].values;
    query.request = parts[1].values;
    TRY(check_times(plan, &query, err));
    *out = query;
    return STATUS_OK;
}
