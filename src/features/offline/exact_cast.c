/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Casts that give the same value or an error: DuckDB's own ones round, and take 7 for true. Which of
 * them can be checked value by value depends on the type that the column has there.
 */
#include "features/offline/offline_internal.h"

#include <stdio.h>

static bool is_text(struct str from)
{
    return str_equal(from, STR("VARCHAR")) || str_starts(from, STR("ENUM("));
}

static bool is_instant(struct str from)
{
    return str_equal(from, STR("DATE")) || str_starts(from, STR("TIMESTAMP"));
}

static void put_cast(struct buffer *sql, const char *cast, struct str column, const char *type)
{
    buffer_printf(sql, "%s(", cast);
    sql_put_name(sql, column);
    buffer_printf(sql, " AS %s)", type);
}

static void put_refusal(struct buffer *sql, struct str column, const char *why)
{
    struct buffer message = { 0 };

    buffer_printf(&message, "column '" STR_FMT "' has ", STR_ARG(column));
    buffer_append(sql, STR(" ELSE error("));
    sql_put_text(sql, buffer_str(&message));
    buffer_append(sql, STR(" || "));
    put_cast(sql, "CAST", column, "VARCHAR");
    buffer_append(sql, STR(" || "));
    sql_put_text(sql, str_from(why));
    buffer_append(sql, STR(") END"));
    buffer_free(&message);
}

/* A cast would round 7.5 to 8. Doubles show small fractions, decimals those of large numbers. */
static void put_whole_number(struct buffer *sql, struct str column, const char *type)
{
    buffer_append(sql, STR("CASE WHEN "));
    sql_put_name(sql, column);
    buffer_append(sql, STR(" IS NULL OR ("));
    put_cast(sql, "CAST", column, "DOUBLE");
    buffer_append(sql, STR(" = CAST("));
    put_cast(sql, "CAST", column, type);
    buffer_append(sql, STR(" AS DOUBLE) AND "));
    put_cast(sql, "CAST", column, "DECIMAL(38,9)");
    buffer_append(sql, STR(" = "));
    put_cast(sql, "CAST", column, type);
    buffer_append(sql, STR(") THEN "));
    put_cast(sql, "CAST", column, type);
    put_refusal(sql, column, ", which is not a whole number");
}

/* There and back again: what does not come back as it was has lost something. */
static void put_checked(struct buffer *sql, struct str column, struct str from,
                        enum value_type type)
{
    char why[160];

    snprintf(why, sizeof(why),
             ", which no %s holds without loss; ask for another type, or round it in SQL",
             value_type_name(type));
    buffer_append(sql, STR("CASE WHEN "));
    sql_put_name(sql, column);
    buffer_append(sql, STR(" IS NULL OR TRY_CAST("));
    put_cast(sql, "TRY_CAST", column, sql_type_name(type));
    buffer_printf(sql, " AS " STR_FMT ") = ", STR_ARG(from));
    sql_put_name(sql, column);
    buffer_append(sql, STR(" THEN "));
    put_cast(sql, "CAST", column, sql_type_name(type));
    put_refusal(sql, column, why);
}

static bool is_one_of(struct str from, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(from, names[i]))
            return true;
    }
    return false;
}

static bool is_integer(struct str from)
{
    static const struct str names[] = {
        STR_INIT("TINYINT"), STR_INIT("UTINYINT"), STR_INIT("SMALLINT"), STR_INIT("USMALLINT"),
        STR_INIT("INTEGER"), STR_INIT("UINTEGER"), STR_INIT("BIGINT"),   STR_INIT("UBIGINT"),
        STR_INIT("HUGEINT"), STR_INIT("UHUGEINT"),
    };

    return is_one_of(from, names, ARRAY_LEN(names));
}

static bool is_checked(struct str from, enum value_type type)
{
    /* What every double and every int64 holds; an int32 all but the last. */
    static const struct str narrow[] = {
        STR_INIT("BOOLEAN"),   STR_INIT("TINYINT"), STR_INIT("UTINYINT"), STR_INIT("SMALLINT"),
        STR_INIT("USMALLINT"), STR_INIT("INTEGER"), STR_INIT("FLOAT"),    STR_INIT("UINTEGER"),
    };
    size_t count = ARRAY_LEN(narrow) - (type == TYPE_INT32);

    if (is_text(from))
        return false;
    if (type == TYPE_INT32 || type == TYPE_INT64)
        return is_integer(from) && !is_one_of(from, narrow, count);
    if (type == TYPE_BOOL || type == TYPE_FLOAT32)
        return true;
    /* A decimal becomes the double that is nearest to it, as the text of a number does. */
    return type == TYPE_FLOAT64 && !is_one_of(from, narrow, count) &&
           !str_starts(from, STR("DECIMAL("));
}

/* A TIMESTAMP of DuckDB's drops a zone that the text names: 10:00+09:00 would be nine hours off. */
static void put_instant(struct buffer *sql, struct str column)
{
    buffer_append(sql, STR("CAST("));
    put_cast(sql, "CAST", column, "TIMESTAMP WITH TIME ZONE");
    buffer_append(sql, STR(" AS TIMESTAMP)"));
}

void sql_put_exact(struct buffer *sql, struct str column, struct str from, enum value_type type)
{
    bool is_same = str_equal(from, str_from(sql_type_name(type)));

    /* Of instants the reader knows each unit better than a cast would. */
    if (is_same || (type == TYPE_TIMESTAMP && is_instant(from)))
        sql_put_name(sql, column);
    else if (type == TYPE_TIMESTAMP)
        put_instant(sql, column);
    else if ((type == TYPE_INT32 || type == TYPE_INT64) && !is_integer(from))
        put_whole_number(sql, column, sql_type_name(type));
    else if (is_checked(from, type))
        put_checked(sql, column, from, type);
    else
        put_cast(sql, "CAST", column, sql_type_name(type));
}
