/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the rows of a source are asked for: in an order that is always the same, since it decides
 * between rows of one time, and where SQL may give other rows each time, with what shows it.
 */
#include "features/offline/offline_internal.h"

struct selecting {
    struct offline *offline;
    struct arena *arena;
    const struct source_spec *source;
    const struct offline_want *want;
    size_t want_count;
    struct offline_column *columns; /* of the source */
    size_t column_count;
};

/* --- columns -------------------------------------------------------------- */

/* A coarse bound for what the file's own statistics can skip; keep_row() decides. */
static void put_bound(struct buffer *sql, struct str time, const char *operator,
                      int64_t bound_us)
{
    static const int64_t beyond_us = 250000LL * 365 * 86400 *
                                     1000000; /* years that DuckDB has */

    if (bound_us < -beyond_us || bound_us > beyond_us)
        return;
    buffer_append(sql, STR(" AND "));
    sql_put_name(sql, time);
    buffer_printf(sql, " %s make_timestamp(%lld)", operator,(long long) bound_us);
}

static enum status put_time(struct selecting *selecting, struct buffer *sql, struct str name,
                            const char *what, struct error *err)
{
    const struct offline_column *column;

    TRY(offline_column_get(selecting->arena, selecting->columns, selecting->column_count, name,
                           &column, err));
    if (!column->is_known || column->type != TYPE_TIMESTAMP)
        return error_set(err, STATUS_INVALID,
                         "the %s column '" STR_FMT "' is " STR_FMT
                         ", not a timestamp; cast it in SQL, or give `types:`",
                         what, STR_ARG(name), STR_ARG(column->duckdb));
    return offline_put_column(sql, column, TYPE_TIMESTAMP, STR_EMPTY, err);
}

/* One bad cell makes text of a CSV's whole column; with a type given, the cell is told by its line. */
static enum status put_wanted(struct selecting *selecting, struct buffer *sql,
                              const struct offline_column *column, enum value_type type,
                              struct error *err)
{
    bool is_text = str_equal(column->duckdb, STR("VARCHAR"));
    struct str mend = arena_printf(
        selecting->arena, "give the source `types: {" STR_FMT ": %s}`%s", STR_ARG(column->name),
        value_type_name(type),
        is_text ? " to be told which value is none" : ", or cast it in SQL");

    return offline_put_column(sql, column, type, mend, err);
}

/* Which of two rows of one time counts goes by this: rows that differ never change places. */
static void put_order(struct buffer *sql, const struct offline_column *columns, size_t count)
{
    buffer_append(sql, STR(" ORDER BY "));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(sql, ',');
        sql_put_name(sql, columns[i].name);
    }
}

/* --- order ---------------------------------------------------------------- */

/* What gives its rows in the order in which it got them, which for a file is that of its lines. */
static bool keeps_order(const yyjson_val *plan)
{
    static const struct str known[] = {
        STR_INIT("PROJECTION"),      STR_INIT("FILTER"),     STR_INIT("READ_PARQUET"),
        STR_INIT("READ_CSV"),        STR_INIT("UNNEST"),     STR_INIT("RANGE"),
        STR_INIT("STREAMING_LIMIT"), STR_INIT("DUMMY_SCAN"), STR_INIT("COLUMN_DATA_SCAN"),
        STR_INIT("EMPTY_RESULT"),
    };
    struct str name = str_trim(json_str(json_find(plan, STR("name"))));
    yyjson_val *child;
    bool keeps = false;
    size_t i, max;

    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        keeps |= str_equal(name, known[k]);
    yyjson_arr_foreach(json_find(plan, STR("children")), i, max, child)
    {
        keeps &= keeps_order(child);
    }
    return keeps;
}

struct planning {
    struct arena *arena;
    bool keeps_order;
};

/* EXPLAIN gives a key and, in the second column, the plan. */
static enum status take_plan(void *context, struct offline_query *query,
                             duckdb_data_chunk chunk, struct error *err)
{
    struct planning *planning = context;
    struct column texts;
    yyjson_val *plan;
    enum status status;

    column_init(&texts, TYPE_STRING);
    status = offline_take_column(query->offline, chunk, 1, DUCKDB_TYPE_VARCHAR, &texts, err);
    if (status == STATUS_OK && texts.count > 0 &&
        json_parse(planning->arena, texts.texts[0], &plan, err) == STATUS_OK)
        planning->keeps_order = keeps_order(yyjson_arr_get_first(plan));
    column_free(&texts);
    return status;
}

static enum status find_order(struct selecting *selecting, struct str select, bool *keeps_order,
                              struct error *err)
{
    struct planning planning = { .arena = selecting->arena };
    struct buffer sql = { 0 };
    enum status status;

    buffer_append(&sql, STR("EXPLAIN (FORMAT json) "));
    buffer_append(&sql, select);
    status = offline_select(selecting->offline, buffer_str(&sql), take_plan, &planning, err);
    buffer_free(&sql);
    *keeps_order = planning.keeps_order;
    return status;
}

/* --- what may differ each time --------------------------------------------- */

static bool is_word(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

/* The clock, chance, and what is drawn by chance; a name that means something else costs only time. */
static bool is_fickle_word(struct str word)
{
    static const struct str words[] = {
        STR_INIT("now"),     STR_INIT("today"),
        STR_INIT("age"),     STR_INIT("random"),
        STR_INIT("uuid"),    STR_INIT("uuidv4"),
        STR_INIT("uuidv7"),  STR_INIT("gen_random_uuid"),
        STR_INIT("sample"),  STR_INIT("tablesample"),
        STR_INIT("setseed"), STR_INIT("transaction_timestamp"),
    };
    static const struct str beginnings[] = { STR_INIT("current_"), STR_INIT("get_current_"),
                                             STR_INIT("localtime") };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal_nocase(word, words[i]))
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        if (word.len >= beginnings[i].len &&
            str_equal_nocase(str_slice(word, 0, beginnings[i].len), beginnings[i]))
            return true;
    }
    return false;
}

bool sql_is_fickle(struct str sql)
{
    for (size_t at = 0; at < sql.len; at++) {
        size_t end = at;

        while (end < sql.len && is_word(sql.data[end]))
            end++;
        if (is_fickle_word(str_slice(sql, at, end)))
            return true;
        at = end;
    }
    return false;
}

static void put_hash(struct selecting *selecting, struct buffer *sql)
{
    buffer_append(sql, STR(", hash("));
    for (size_t i = 0; i < selecting->want_count; i++) {
        sql_put_name(sql, selecting->want[i].column);
        buffer_append_byte(sql, ',');
    }
    sql_put_name(sql, selecting->source->time);
    if (selecting->source->created.len > 0) {
        buffer_append_byte(sql, ',');
        sql_put_name(sql, selecting->source->created);
    }
    buffer_append_byte(sql, ')');
}

/* --- all of it ------------------------------------------------------------ */

static enum status put_columns(struct selecting *selecting, struct buffer *sql,
                               struct error *err)
{
    const struct source_spec *source = selecting->source;
    const struct offline_column *column;

    buffer_append(sql, STR("SELECT "));
    for (size_t i = 0; i < selecting->want_count; i++) {
        TRY(offline_column_get(selecting->arena, selecting->columns, selecting->column_count,
                               selecting->want[i].column, &column, err));
        TRY(put_wanted(selecting, sql, column, selecting->want[i].type, err));
        buffer_append(sql, STR(", "));
    }
    TRY(put_time(selecting, sql, source->time, "event time", err));
    buffer_append(sql, STR(", "));
    if (source->created.len > 0)
        return put_time(selecting, sql, source->created, "created time", err);
    buffer_append(sql, STR("NULL::TIMESTAMP"));
    return STATUS_OK;
}

static enum status put_from(struct selecting *selecting, struct offline_range range,
                            struct buffer *sql, struct error *err)
{
    const struct source_spec *source = selecting->source;
    const struct offline_column *column;

    buffer_append(sql, STR(" FROM "));
    sql_put_name(sql, source->name);
    buffer_append(sql, STR(" WHERE "));
    sql_put_name(sql, source->time);
    buffer_append(sql, STR(" IS NOT NULL"));
    TRY(offline_column_get(selecting->arena, selecting->columns, selecting->column_count,
                           source->time, &column, err));
    /* Other units would have to be cast first, which hides the column from the statistics. */
    if (str_equal(column->duckdb, STR("TIMESTAMP"))) {
        put_bound(sql, source->time, ">=", range.from_us);
        put_bound(sql, source->time, "<=", range.to_us);
    }
    return STATUS_OK;
}

enum status offline_put_select(struct offline *offline, struct arena *arena,
                               const struct source_spec *source,
                               const struct offline_want *want, size_t want_count,
                               struct offline_range range, struct buffer *sql, bool *hashes,
                               struct error *err)
{
    struct selecting selecting = { offline, arena, source, want, want_count, NULL, 0 };
    struct buffer columns = { .arena = arena }, from = { .arena = arena };
    bool keeps_order = true;

    TRY(offline_describe_relation(offline, arena, source->name, &selecting.columns,
                                  &selecting.column_count, err));
    TRY(put_columns(&selecting, &columns, err));
    TRY(put_from(&selecting, range, &from, err));
    buffer_append(sql, buffer_str(&columns));
    buffer_append(sql, buffer_str(&from));
    if (source->sql.len > 0)
        TRY(find_order(&selecting, buffer_str(sql), &keeps_order, err));
    *hashes = offline->hashes_rows && source->sql.len > 0 &&
              (offline->is_fickle || !keeps_order);
    if (*hashes) {
        sql->len = 0;
        put_hash(&selecting, &columns);
        buffer_append(sql, buffer_str(&columns));
        buffer_append(sql, buffer_str(&from));
    }
    if (!keeps_order)
        put_order(sql, selecting.columns, selecting.column_count);
    return STATUS_OK;
}
