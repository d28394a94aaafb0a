/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/csv_file.h"
#include "features/offline/offline_internal.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

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

/* --- files ---------------------------------------------------------------- */

enum file_format { FORMAT_UNKNOWN, FORMAT_PARQUET, FORMAT_CSV };

static enum file_format format_by_name(struct str path)
{
    static const struct {
        struct str ending;
        enum file_format format;
    } endings[] = {
        { STR_INIT(".parquet"), FORMAT_PARQUET }, { STR_INIT(".pq"), FORMAT_PARQUET },
        { STR_INIT(".csv"), FORMAT_CSV },         { STR_INIT(".csv.gz"), FORMAT_CSV },
        { STR_INIT(".tsv"), FORMAT_CSV },
    };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (str_ends(path, endings[i].ending))
            return endings[i].format;
    }
    return FORMAT_UNKNOWN;
}

/* An upload has no telling name. */
static enum file_format format_by_content(const char *path)
{
    char magic[4] = { 0 };
    FILE *file = fopen(path, "rbe");
    size_t got;

    if (file == NULL)
        return FORMAT_UNKNOWN;
    got = fread(magic, 1, sizeof(magic), file);
    fclose(file);
    return got == 4 && memcmp(magic, "PAR1", 4) == 0 ? FORMAT_PARQUET : FORMAT_CSV;
}

/* What is written in a CSV is told, not guessed: see csv_file.h. In a packed file the delimiter has to be. */
static void put_csv_format(struct buffer *sql, struct str path, const char *file)
{
    buffer_append(sql, STR(", header=true, skip=0, quote='\"', escape='\"', comment=''"));
    buffer_append(sql, STR(", sample_size=-1"));
    if (!str_ends(path, STR(".gz")))
        buffer_printf(sql, ", delim='%c'", csv_delimiter(file));
}

/*
 * The types of a CSV have to be known before it is read: 007 as a number is 7. An instant stays text until
 * put_overrides(): read as such, a zone in it would be dropped, or what is none become a null.
 */
static void put_csv_types(struct buffer *sql, const struct source_spec *source)
{
    if (source == NULL || source->type_count == 0)
        return;
    buffer_append(sql, STR(", types={"));
    for (size_t i = 0; i < source->type_count; i++) {
        enum value_type type = source->types[i];

        if (i > 0)
            buffer_append_byte(sql, ',');
        sql_put_text(sql, source->type_columns[i]);
        buffer_printf(sql, ":'%s'", sql_type_name(type == TYPE_TIMESTAMP ? TYPE_STRING : type));
    }
    buffer_append_byte(sql, '}');
}

enum status offline_put_reader(struct offline *offline, struct buffer *sql,
                               const struct str *paths, size_t count,
                               const struct source_spec *source, struct error *err)
{
    enum file_format format = format_by_name(paths[0]);

    if (format == FORMAT_UNKNOWN)
        format = format_by_content(arena_cstr(offline->arena, paths[0]));
    if (format == FORMAT_UNKNOWN)
        return error_set(err, STATUS_NOT_FOUND, "file " STR_FMT " cannot be read",
                         STR_ARG(paths[0]));
    buffer_append(sql, format == FORMAT_CSV ? STR("read_csv([") : STR("read_parquet(["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(sql, ',');
        sql_put_text(sql, paths[i]);
    }
    buffer_append_byte(sql, ']');
    if (format == FORMAT_CSV) {
        put_csv_format(sql, paths[0], arena_cstr(offline->arena, paths[0]));
        put_csv_types(sql, source);
    }
    buffer_append_byte(sql, ')');
    return STATUS_OK;
}

/* --- views ---------------------------------------------------------------- */

/* To DuckDB a TIMESTAMP drops a zone that the text names: 10:00+09:00 would be nine hours off. Ours is UTC. */
static const char *zoned_type(enum value_type type)
{
    return type == TYPE_TIMESTAMP ? "TIMESTAMP WITH TIME ZONE" : sql_type_name(type);
}

static void put_cast(struct buffer *sql, struct str column, const char *type)
{
    buffer_append(sql, STR("CAST("));
    sql_put_name(sql, column);
    buffer_printf(sql, " AS %s)", type);
}

/* A cast would round 7.5 to 8. Doubles show small fractions, decimals those of large numbers. */
static void put_whole_number(struct buffer *sql, struct str column, const char *type)
{
    struct buffer message = { 0 };

    buffer_printf(&message, "column '" STR_FMT "' has ", STR_ARG(column));
    buffer_append(sql, STR("CASE WHEN "));
    sql_put_name(sql, column);
    buffer_append(sql, STR(" IS NULL OR ("));
    put_cast(sql, column, "DOUBLE");
    buffer_append(sql, STR(" = CAST("));
    put_cast(sql, column, type);
    buffer_append(sql, STR(" AS DOUBLE) AND "));
    put_cast(sql, column, "DECIMAL(38,9)");
    buffer_append(sql, STR(" = "));
    put_cast(sql, column, type);
    buffer_append(sql, STR(") THEN "));
    put_cast(sql, column, type);
    buffer_append(sql, STR(" ELSE error("));
    sql_put_text(sql, buffer_str(&message));
    buffer_append(sql, STR(" || "));
    put_cast(sql, column, "VARCHAR");
    buffer_append(sql, STR(" || ', which is not a whole number') END"));
    buffer_free(&message);
}

static void put_override(struct buffer *sql, struct str column, enum value_type type)
{
    if (type == TYPE_INT32 || type == TYPE_INT64) {
        put_whole_number(sql, column, sql_type_name(type));
        return;
    }
    buffer_append(sql, STR("CAST("));
    put_cast(sql, column, zoned_type(type));
    buffer_printf(sql, " AS %s)", sql_type_name(type));
}

static void put_overrides(struct buffer *sql, const struct source_spec *source)
{
    buffer_append(sql, STR("SELECT *"));
    for (size_t i = 0; i < source->type_count; i++) {
        buffer_append(sql, i == 0 ? STR(" REPLACE (") : STR(", "));
        put_override(sql, source->type_columns[i], source->types[i]);
        buffer_append(sql, STR(" AS "));
        sql_put_name(sql, source->type_columns[i]);
    }
    buffer_append(sql, source->type_count > 0 ? STR(") FROM ") : STR(" FROM "));
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

static enum status put_files(struct offline *offline, struct buffer *sql,
                             const struct source_spec *source, struct error *err)
{
    struct str *paths;
    size_t count;

    TRY(find_files(offline, source, &paths, &count, err));
    put_overrides(sql, source);
    return offline_put_reader(offline, sql, paths, count, source, err);
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
    if (source->path.len > 0)
        return put_files(offline, sql, source, err);
    put_overrides(sql, source);
    buffer_append_byte(sql, '(');
    buffer_append(sql, without_semicolon(source->sql));
    /* The line break ends a comment at the end of the user's SQL. */
    buffer_append(sql, STR("\n)"));
    return STATUS_OK;
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

/* Where symbolic links lead: the project's owner made them, and DuckDB goes by what they stand for. */
static enum status allow_files(struct offline *offline, const struct source_spec *source,
                               struct error *err)
{
    struct str *paths;
    size_t count;

    if (source->path.len == 0)
        return STATUS_OK;
    if (find_files(offline, source, &paths, &count, err) != STATUS_OK)
        return error_wrap(err, "source '" STR_FMT "'", STR_ARG(source->name));
    for (size_t i = 0; i < count; i++) {
        char *real = realpath(arena_cstr(offline->arena, paths[i]), NULL);

        if (real == NULL)
            continue; /* a link to nowhere: opening it says so */
        ARENA_PUSH(offline->arena, offline->files, offline->file_count,
                   offline->file_capacity) = arena_str(offline->arena, str_from(real));
        free(real);
    }
    return STATUS_OK;
}

enum status offline_add_sources(struct offline *offline, const struct source_spec *sources,
                                size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        TRY(allow_files(offline, &sources[i], err));
    TRY(offline_confine(offline, err));
    for (size_t i = 0; i < count; i++)
        TRY(add_source(offline, &sources[i], err));
    return STATUS_OK;
}

/* --- description ---------------------------------------------------------- */

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

enum status offline_describe_relation(struct offline *offline, struct arena *arena,
                                      struct str name, struct offline_column **columns,
                                      size_t *count, struct error *err)
{
    struct describing describing = { .arena = arena };
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("DESCRIBE "));
    sql_put_name(&sql, name);
    status = offline_select(offline, buffer_str(&sql), take_descriptions, &describing, err);
    buffer_free(&sql);
    *columns = describing.columns;
    *count = describing.count;
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
