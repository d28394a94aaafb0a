/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as one relation of SQL. DuckDB reads all of them by the first one's types, and casts what
 * differs; so several files are compared first, and only what loses nothing is put together.
 */
#include "base/file.h"
#include "features/offline/csv_file.h"
#include "features/offline/offline_internal.h"

#include <stdio.h>

enum file_format { FORMAT_UNKNOWN, FORMAT_PARQUET, FORMAT_CSV };

struct reader {
    struct offline *offline;
    struct arena *arena;
    const struct source_spec *source; /* NULL: entity rows */
    enum file_format format;
    struct str *paths;
    size_t count;
    char delimiter; /* of a CSV */
    struct offline_column
        *columns;     /* of all files, by the first one's names; several files only */
    size_t *typed_by; /* for each: the file that its type is of */
    size_t column_count;
    bool differs; /* in more than the rows */
};

/* As a person knows it. */
static struct str shown(const struct reader *reader, struct str path)
{
    struct str project = reader->offline->project;

    return str_starts(path, project) ? str_slice(path, project.len + 1, path.len) : path;
}

/* --- formats -------------------------------------------------------------- */

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

static enum status find_format(struct reader *reader, struct error *err)
{
    struct str first = reader->paths[0];

    reader->format = format_by_name(first);
    if (reader->format == FORMAT_UNKNOWN)
        reader->format = format_by_content(arena_cstr(reader->arena, first));
    if (reader->format == FORMAT_UNKNOWN)
        return error_set(err, STATUS_NOT_FOUND, "file " STR_FMT " cannot be read",
                         STR_ARG(shown(reader, first)));
    return STATUS_OK;
}

/* --- read_parquet and read_csv -------------------------------------------- */

/*
 * The types of a CSV have to be known before it is read: 007 as a number is 7. An instant stays text: read
 * as such, a zone in it would be dropped, or what is none become a null.
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

/* What is written in a CSV is told, not guessed: see csv_file.h. Folders' names are no columns. */
static void put_options(struct buffer *sql, const struct reader *reader)
{
    buffer_append(sql, STR(", hive_partitioning=false"));
    if (reader->format == FORMAT_PARQUET)
        return;
    buffer_append(sql, STR(", header=true, skip=0, quote='\"', escape='\"', comment=''"));
    buffer_printf(sql, ", sample_size=-1, delim='%c'", reader->delimiter);
    put_csv_types(sql, reader->source);
}

static void put_read(struct buffer *sql, const struct reader *reader, size_t first,
                     size_t count, const char *more)
{
    buffer_append(sql,
                  reader->format == FORMAT_CSV ? STR("read_csv([") : STR("read_parquet(["));
    for (size_t i = first; i < first + count; i++) {
        if (i > first)
            buffer_append_byte(sql, ',');
        sql_put_text(sql, offline_pattern(reader->arena, reader->paths[i]));
    }
    buffer_append_byte(sql, ']');
    put_options(sql, reader);
    buffer_printf(sql, "%s)", more);
}

/* --- how each CSV is written ---------------------------------------------- */

struct beginning {
    struct arena *arena;
    struct str header;
    size_t lines;
};

static enum status take_line(void *context, struct offline_query *query,
                             duckdb_data_chunk chunk, struct error *err)
{
    struct beginning *beginning = context;
    struct column lines;
    enum status status;

    column_init(&lines, TYPE_STRING);
    status = offline_take_column(query->offline, chunk, 0, DUCKDB_TYPE_VARCHAR, &lines, err);
    for (size_t i = 0; status == STATUS_OK && i < lines.count; i++) {
        if (beginning->lines++ == 0)
            beginning->header = arena_str(beginning->arena, column_get(&lines, i).text);
    }
    column_free(&lines);
    return status;
}

/* What is packed is looked at through DuckDB, as lines of one value; empty lines are none. */
static enum status look_into_packed(const struct reader *reader, struct str path,
                                    struct csv_look *out, struct error *err)
{
    struct beginning beginning = { .arena = reader->arena };
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("SELECT line FROM read_csv("));
    sql_put_text(&sql, offline_pattern(reader->arena, path));
    buffer_append(&sql,
                  STR(", columns={'line':'VARCHAR'}, delim=E'\\x01', header=false, "
                      "quote='', escape='', auto_detect=false) WHERE line <> '' LIMIT 2"));
    status = offline_select(reader->offline, buffer_str(&sql), take_line, &beginning, err);
    buffer_free(&sql);
    TRY(status);
    *out = (struct csv_look){ csv_delimiter_of(beginning.header), beginning.lines > 1 };
    return STATUS_OK;
}

static enum status look_into(const struct reader *reader, struct str path, struct csv_look *out,
                             struct error *err)
{
    if (str_ends(path, STR(".gz")))
        return look_into_packed(reader, path, out, err);
    *out = csv_look(arena_cstr(reader->arena, path));
    return STATUS_OK;
}

static const char *delimiter_name(char delimiter)
{
    return delimiter == '\t'  ? "tabs"
           : delimiter == ';' ? "';'"
           : delimiter == '|' ? "'|'"
                              : "','";
}

static enum status describe_file(struct reader *reader, size_t file,
                                 struct offline_column **columns, size_t *count,
                                 struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    put_read(&sql, reader, file, 1, "");
    status = offline_describe_sql(reader->offline, reader->arena, buffer_str(&sql), columns,
                                  count, err);
    buffer_free(&sql);
    return status;
}

static bool has_type(const struct source_spec *source, struct str column)
{
    for (size_t i = 0; source != NULL && i < source->type_count; i++) {
        if (str_equal_nocase(source->type_columns[i], column))
            return true;
    }
    return false;
}

/* Without a row there is nothing to guess a type from. */
static enum status check_header(struct reader *reader, struct error *err)
{
    struct offline_column *columns;
    size_t count;

    TRY(describe_file(reader, 0, &columns, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!has_type(reader->source, columns[i].name))
            return error_set(err, STATUS_INVALID,
                             STR_FMT " has no rows, which leaves open what column '" STR_FMT
                                     "' is%s",
                             STR_ARG(shown(reader, reader->paths[0])), STR_ARG(columns[i].name),
                             reader->source == NULL ? "" : "; name its type in `types:`");
    }
    return STATUS_OK;
}

/* Files without rows say nothing of types and add nothing: they are left out, unless all are. */
static enum status look_into_all(struct reader *reader, struct error *err)
{
    struct str *paths = ARENA_ARRAY(reader->arena, struct str, reader->count);
    size_t count = 0;
    struct csv_look look;

    for (size_t i = 0; i < reader->count; i++) {
        TRY(look_into(reader, reader->paths[i], &look, err));
        if (count == 0)
            reader->delimiter = look.delimiter;
        if (!look.has_rows)
            continue;
        if (look.delimiter != reader->delimiter)
            return error_set(
                err, STATUS_INVALID,
                STR_FMT " separates its values by %s, " STR_FMT " by %s; write them "
                        "in one way",
                STR_ARG(shown(reader, reader->paths[i])), delimiter_name(look.delimiter),
                STR_ARG(shown(reader, paths[0])), delimiter_name(reader->delimiter));
        paths[count++] = reader->paths[i];
    }
    if (count == 0)
        return check_header(reader, err);
    reader->paths = paths;
    reader->count = count;
    return STATUS_OK;
}

/* --- what several files have in common ------------------------------------ */

/* Whole numbers among others in a text are written as they come: 7 beside 7.5. */
static bool is_wider(const struct reader *reader, enum value_type from, enum value_type to)
{
    if (from == TYPE_INT32)
        return to == TYPE_INT64 || to == TYPE_FLOAT64;
    if (from == TYPE_INT64)
        return to == TYPE_FLOAT64 && reader->format == FORMAT_CSV;
    return from == TYPE_FLOAT32 && to == TYPE_FLOAT64;
}

static enum status merge_type(struct reader *reader, size_t index,
                              const struct offline_column *other, size_t file,
                              struct error *err)
{
    struct offline_column *column = &reader->columns[index];
    bool are_known = column->is_known && other->is_known;

    if (str_equal(column->duckdb, other->duckdb))
        return STATUS_OK;
    reader->differs = true;
    if (are_known &&
        (column->type == other->type || is_wider(reader, other->type, column->type)))
        return STATUS_OK;
    if (!are_known || !is_wider(reader, column->type, other->type))
        return error_set(err, STATUS_INVALID,
                         "column '" STR_FMT "' is " STR_FMT " in " STR_FMT " and " STR_FMT
                         " in " STR_FMT "; write the files with one type%s",
                         STR_ARG(column->name), STR_ARG(column->duckdb),
                         STR_ARG(shown(reader, reader->paths[reader->typed_by[index]])),
                         STR_ARG(other->duckdb), STR_ARG(shown(reader, reader->paths[file])),
                         reader->format == FORMAT_CSV ? ", or name it in `types:`" : "");
    column->type = other->type;
    column->duckdb = other->duckdb;
    reader->typed_by[index] = file;
    return STATUS_OK;
}

static enum status merge_file(struct reader *reader, size_t file, struct error *err)
{
    struct offline_column *columns;
    size_t count;

    TRY(describe_file(reader, file, &columns, &count, err));
    for (size_t i = 0; i < reader->column_count; i++) {
        size_t at = 0;

        while (at < count && !str_equal_nocase(columns[at].name, reader->columns[i].name))
            at++;
        if (at == count)
            return error_set(err, STATUS_INVALID,
                             STR_FMT " has no column '" STR_FMT "', which " STR_FMT " has",
                             STR_ARG(shown(reader, reader->paths[file])),
                             STR_ARG(reader->columns[i].name),
                             STR_ARG(shown(reader, reader->paths[0])));
        reader->differs |= at != i;
        TRY(merge_type(reader, i, &columns[at], file, err));
    }
    return STATUS_OK;
}

static enum status merge_files(struct reader *reader, struct error *err)
{
    TRY(describe_file(reader, 0, &reader->columns, &reader->column_count, err));
    reader->typed_by = ARENA_ARRAY(reader->arena, size_t, reader->column_count);
    for (size_t i = 1; i < reader->count; i++)
        TRY(merge_file(reader, i, err));
    return STATUS_OK;
}

/* --- all of it ------------------------------------------------------------ */

static void put_columns(struct buffer *sql, const struct reader *reader)
{
    buffer_append(sql, STR("SELECT "));
    for (size_t i = 0; i < reader->column_count; i++) {
        if (i > 0)
            buffer_append_byte(sql, ',');
        sql_put_name(sql, reader->columns[i].name);
    }
    buffer_append(sql, STR(" FROM "));
}

/* DuckDB finds the wider types itself. It compares CSVs by place, not by name, so each is read alone. */
static void put_merged(struct buffer *sql, const struct reader *reader)
{
    buffer_append_byte(sql, '(');
    put_columns(sql, reader);
    if (reader->format == FORMAT_PARQUET) {
        put_read(sql, reader, 0, reader->count, ", union_by_name=true");
    } else {
        put_read(sql, reader, 0, 1, "");
        for (size_t i = 1; i < reader->count; i++) {
            buffer_append(sql, STR(" UNION ALL "));
            put_columns(sql, reader);
            put_read(sql, reader, i, 1, "");
        }
    }
    buffer_append_byte(sql, ')');
}

static enum status check_names(const struct reader *reader, struct error *err)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (offline_pattern(reader->arena, reader->paths[i]).len == 0)
            return error_set(err, STATUS_INVALID,
                             "file " STR_FMT
                             ": a name with a backslash and one of '*?[' cannot "
                             "be read; rename it",
                             STR_ARG(shown(reader, reader->paths[i])));
    }
    return STATUS_OK;
}

enum status offline_put_reader(struct offline *offline, struct buffer *sql, struct str *paths,
                               size_t count, const struct source_spec *source,
                               struct error *err)
{
    struct reader reader = { .offline = offline,
                             .arena = offline->arena,
                             .source = source,
                             .paths = paths,
                             .count = count };

    TRY(check_names(&reader, err));
    TRY(find_format(&reader, err));
    if (reader.format == FORMAT_CSV)
        TRY(look_into_all(&reader, err));
    if (reader.count > 1)
        TRY(merge_files(&reader, err));
    if (reader.differs)
        put_merged(sql, &reader);
    else
        put_read(sql, &reader, 0, reader.count, "");
    return STATUS_OK;
}
