/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

static void add_descriptions(struct arena *arena, const struct column *names,
                             const struct column *types, struct offline_column **columns,
                             size_t *count)
{
    struct offline_column *all = ARENA_ARRAY(arena, struct offline_column,
                                             *count + names->count);

    if (*count > 0)
        memcpy(all, *columns, *count * sizeof(*all));
    for (size_t row = 0; row < names->count; row++) {
        struct offline_column *column = &all[*count + row];

        column->name = arena_str(arena, names->texts[row]);
        column->duckdb = arena_str(arena, types->texts[row]);
        column->is_known = value_type_of_sql(column->duckdb, &column->type);
    }
    *columns = all;
    *count += names->count;
}

struct describing {
    struct arena *arena;
    struct offline_column *columns;
    size_t count;
};

/* DESCRIBE gives names and types as its first two columns. */
static enum status take_descriptions(void *context, struct offline_query *query,
                                     duckdb_data_chunk chunk, struct error *err)
{
    struct describing *describing = context;
    struct column names, types;
    enum status status;

    column_init(&names, TYPE_STRING);
    column_init(&types, TYPE_STRING);
    status = offline_take_column(query->offline, chunk, 0, DUCKDB_TYPE_VARCHAR, &names, err);
    if (status == STATUS_OK)
        status = offline_take_column(query->offline, chunk, 1, DUCKDB_TYPE_VARCHAR, &types,
                                     err);
    if (status == STATUS_OK)
        add_descriptions(describing->arena, &names, &types, &describing->columns,
                         &describing->count);
    column_free(&names);
    column_free(&types);
    return status;
}

enum status offline_describe_sql(struct offline *offline, struct arena *arena, struct str from,
                                 struct offline_column **columns, size_t *count,
                                 struct error *err)
{
    struct describing describing = { .arena = arena };
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("DESCRIBE SELECT * FROM "));
    buffer_append(&sql, from);
    status = offline_select(offline, buffer_str(&sql), take_descriptions, &describing, err);
    buffer_free(&sql);
    *columns = describing.columns;
    *count = describing.count;
    return status;
}

enum status offline_describe_relation(struct offline *offline, struct arena *arena,
                                      struct str name, struct offline_column **columns,
                                      size_t *count, struct error *err)
{
    struct buffer from = { 0 };
    enum status status;

    sql_put_name(&from, name);
    status = offline_describe_sql(offline, arena, buffer_str(&from), columns, count, err);
    buffer_free(&from);
    return status;
}

enum status offline_describe(struct offline *offline, struct arena *arena,
                             const struct source_spec *source, struct offline_column **columns,
                             size_t *count, struct error *err)
{
    if (offline_describe_relation(offline, arena, source->name, columns, count, err) !=
        STATUS_OK)
        return error_wrap(err, "source '" STR_FMT "'", STR_ARG(source->name));
    return STATUS_OK;
}
