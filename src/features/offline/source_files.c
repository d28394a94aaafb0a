/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as one relation of SQL. DuckDB reads all of them by the first one's types, and casts what
 * differs; so several files are compared first, and only what loses nothing is put together.
 */
#include "base/file.h"
#include "features/offline/csv_file.h"
#include "features/offline/source_files.h"

#include <stdio.h>

/* As a person knows it. */
struct str reader_shown(const struct reader *reader, struct str path)
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
                         STR_ARG(reader_shown(reader, first)));
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

void reader_put(const struct reader *reader, struct buffer *sql, size_t first, size_t count,
                const char *more)
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

enum status reader_describe(const struct reader *reader, size_t file,
                            struct offline_column **columns, size_t *count, struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    reader_put(reader, &sql, file, 1, "");
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

    TRY(reader_describe(reader, 0, &columns, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!has_type(reader->source, columns[i].name))
            return error_set(
                err, STATUS_INVALID,
                STR_FMT " has no rows, which leaves open what column '" STR_FMT "' is%s",
                STR_ARG(reader_shown(reader, reader->paths[0])), STR_ARG(columns[i].name),
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
                STR_ARG(reader_shown(reader, reader->paths[i])), delimiter_name(look.delimiter),
                STR_ARG(reader_shown(reader, paths[0])), delimiter_name(reader->delimiter));
        paths[count++] = reader->paths[i];
    }
    if (count == 0)
        return check_header(reader, err);
    reader->paths = paths;
    reader->count = count;
    return STATUS_OK;
}

/* --- all of it ------------------------------------------------------------ */

static enum status check_names(const struct reader *reader, struct error *err)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (offline_pattern(reader->arena, reader->paths[i]).len == 0)
            return error_set(err, STATUS_INVALID,
                             "file " STR_FMT
                             ": a name with a backslash and one of '*?[' cannot "
                             "be read; rename it",
                             STR_ARG(reader_shown(reader, reader->paths[i])));
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
        TRY(reader_merge(&reader, err));
    if (reader.differs)
        reader_put_merged(&reader, sql);
    else
        reader_put(&reader, sql, 0, reader.count, "");
    return STATUS_OK;
}
