/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

#include "base/file.h"

/* --- specifications ------------------------------------------------------- */

static enum status parse_types(struct arena *arena, const yyjson_val *object,
                               struct source_spec *source, struct error *err)
{
    yyjson_val *types = NULL, *key, *value;
    size_t i, max;

    TRY(json_want_object(object, "types", &types, err));
    if (types == NULL)
        return STATUS_OK;
    source->type_columns = ARENA_ARRAY(arena, struct str, yyjson_obj_size(types));
    source->types = ARENA_ARRAY(arena, enum value_type, yyjson_obj_size(types));
    yyjson_obj_foreach(types, i, max, key, value)
    {
        if (!value_type_parse(json_str(value), &source->types[i]))
            return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no type",
                             STR_ARG(json_str(value)));
        source->type_columns[i] = arena_str(arena, json_str(key));
        source->type_count = i + 1;
    }
    return STATUS_OK;
}

static enum status parse_source(struct arena *arena, const yyjson_val *object,
                                struct source_spec *out, struct error *err)
{
    TRY(json_need_str(object, "name", &out->name, err));
    TRY(json_want_str(object, "path", &out->path, err));
    TRY(json_want_str(object, "sql", &out->sql, err));
    TRY(json_want_str(object, "time", &out->time, err));
    TRY(json_want_str(object, "created", &out->created, err));
    if ((out->path.len == 0) == (out->sql.len == 0))
        return error_set(err, STATUS_INVALID, "source '" STR_FMT "' wants either path or sql",
                         STR_ARG(out->name));
    return parse_types(arena, object, out, err);
}

enum status source_specs_parse(struct arena *arena, yyjson_val *array, struct source_spec **out,
                               size_t *count, struct error *err)
{
    struct source_spec *specs = ARENA_ARRAY(arena, struct source_spec, yyjson_arr_size(array));
    yyjson_val *item;
    size_t i, max;

    yyjson_arr_foreach(array, i, max, item)
    {
        TRY(parse_source(arena, item, &specs[i], err));
    }
    *out = specs;
    *count = yyjson_arr_size(array);
    return STATUS_OK;
}

/* --- views ---------------------------------------------------------------- */

/* What the reader already made of a CSV's cells, or DESCRIBE tells; empty: it is not there. */
static struct str type_there(const struct source_spec *source, size_t i,
                             const struct offline_column *columns, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        if (str_equal_nocase(columns[k].name, source->type_columns[i]))
            return columns[k].duckdb;
    }
    return STR_EMPTY;
}

/* relation: what stands behind FROM. */
static enum status put_overrides(struct offline *offline, struct buffer *sql,
                                 const struct source_spec *source, struct str relation,
                                 struct error *err)
{
    struct offline_column *columns = NULL;
    size_t count = 0;

    if (source->type_count > 0)
        TRY(offline_describe_sql(offline, offline->arena, relation, &columns, &count, err));
    buffer_append(sql, STR("SELECT *"));
    for (size_t i = 0; i < source->type_count; i++) {
        struct str from = type_there(source, i, columns, count);

        if (from.len == 0)
            return error_set(err, STATUS_INVALID,
                             "`types:` names column '" STR_FMT "', which is not there",
                             STR_ARG(source->type_columns[i]));
        buffer_append(sql, i == 0 ? STR(" REPLACE (") : STR(", "));
        sql_put_exact(sql, source->type_columns[i], from, source->types[i]);
        buffer_append(sql, STR(" AS "));
        sql_put_name(sql, source->type_columns[i]);
    }
    buffer_append(sql, source->type_count > 0 ? STR(") FROM ") : STR(" FROM "));
    buffer_append(sql, relation);
    return STATUS_OK;
}

static enum status find_files(struct offline *offline, const struct source_spec *source,
                              struct str **paths, size_t *count, struct error *err)
{
    struct arena *arena = offline->arena;

    TRY(file_glob(arena, arena_cstr(arena, offline->project), source->path, paths, count, err));
    if (*count == 0)
        return error_set(err, STATUS_NOT_FOUND, "there is no file " STR_FMT,
                         STR_ARG(source->path));
    return STATUS_OK;
}

static enum status put_files(struct offline *offline, struct buffer *relation,
                             const struct source_spec *source, struct error *err)
{
    struct str *paths;
    size_t count;

    TRY(find_files(offline, source, &paths, &count, err));
    return offline_put_reader(offline, relation, paths, count, source, err);
}

static struct str without_semicolon(struct str sql)
{
    sql = str_trim(sql);
    while (str_ends(sql, STR(";")))
        sql = str_trim(str_slice(sql, 0, sql.len - 1));
    return sql;
}

static enum status put_query(struct offline *offline, struct buffer *sql,
                             const struct source_spec *source, struct error *err)
{
    struct buffer relation = { 0 };
    enum status status = STATUS_OK;

    if (source->path.len > 0) {
        status = put_files(offline, &relation, source, err);
    } else {
        buffer_append_byte(&relation, '(');
        buffer_append(&relation, without_semicolon(source->sql));
        /* The line break ends a comment at the end of the user's SQL. */
        buffer_append(&relation, STR("\n)"));
    }
    if (status == STATUS_OK)
        status = put_overrides(offline, sql, source, buffer_str(&relation), err);
    buffer_free(&relation);
    return status;
}

static enum status add_source(struct offline *offline, const struct source_spec *source,
                              struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("CREATE VIEW "));
    sql_put_name(&sql, source->name);
    buffer_append(&sql, STR(" AS "));
    status = put_query(offline, &sql, source, err);
    if (status == STATUS_OK)
        status = offline_run(offline, buffer_str(&sql), err);
    buffer_free(&sql);
    if (status != STATUS_OK)
        return error_wrap(err, "source '" STR_FMT "'", STR_ARG(source->name));
    return STATUS_OK;
}

static enum status allow_files(struct offline *offline, const struct source_spec *source,
                               struct error *err)
{
    struct str *paths;
    size_t count;

    if (source->path.len == 0)
        return STATUS_OK;
    if (find_files(offline, source, &paths, &count, err) != STATUS_OK)
        return error_wrap(err, "source '" STR_FMT "'", STR_ARG(source->name));
    for (size_t i = 0; i < count; i++)
        offline_allow(offline, paths[i]);
    return STATUS_OK;
}

enum status offline_add_sources(struct offline *offline, const struct source_spec *sources,
                                size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(allow_files(offline, &sources[i], err));
    TRY(offline_confine(offline, err));
    for (size_t i = 0; i < count; i++) {
        offline->is_fickle |= sql_is_fickle(sources[i].sql);
        TRY(add_source(offline, &sources[i], err));
    }
    return STATUS_OK;
}
