/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/training_set_engine.h"
#include "features/training_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- writing -------------------------------------------------------------- */

static enum status check_name(const struct engine *engine, struct str name, const char *what,
                              struct error *err)
{
    for (size_t i = 0; i < engine->rows.column_count; i++) {
        if (str_equal_nocase(engine->rows.columns[i].name, name))
            return error_set(err, STATUS_INVALID,
                             "the entity rows have a column '" STR_FMT "', which is also %s",
                             STR_ARG(name), what);
    }
    return STATUS_OK;
}

static enum status feature_table(const struct engine *engine, struct table *out,
                                 struct error *err)
{
    engine_features(engine, out);
    for (size_t i = 0; i < out->column_count; i++)
        TRY(check_name(engine, out->names[i],
                       "a feature's name; ask for full names (--full-names)", err));
    return STATUS_OK;
}

/* In whatever case of letters: a table's columns know none. */
static bool is_feature(const struct table *features, struct str name)
{
    for (size_t i = 0; i < features->column_count; i++) {
        if (str_equal_nocase(features->names[i], name))
            return true;
    }
    return false;
}

static enum status made_table(const struct engine *engine, const struct table *features,
                              struct table *out, struct error *err)
{
    const struct table *made = &engine->made;

    table_init(out, engine->arena, features->column_count + made->column_count);
    out->rows = engine->rows.count;
    memcpy(out->names, features->names, features->column_count * sizeof(*out->names));
    memcpy(out->columns, features->columns, features->column_count * sizeof(*out->columns));
    for (size_t i = 0; i < made->column_count; i++) {
        TRY(check_name(engine, made->names[i], "the name of a result; rename it", err));
        if (is_feature(features, made->names[i]))
            return error_set(err, STATUS_INVALID,
                             "'" STR_FMT "' is the name of a feature and of a result; ask for "
                             "full names (--full-names)",
                             STR_ARG(made->names[i]));
        out->names[features->column_count + i] = made->names[i];
        out->columns[features->column_count + i] = made->columns[i];
    }
    return STATUS_OK;
}

/* What stands beside the entity rows. */
static enum status output_table(const struct engine *engine, struct table *out,
                                struct error *err)
{
    struct table features;

    if (engine->stage == NULL)
        return feature_table(engine, out, err);
    table_init(&features, engine->arena, 0);
    if (engine->stage->keeps_features)
        TRY(feature_table(engine, &features, err));
    return made_table(engine, &features, out, err);
}

/* As bits, and without a way out in the middle: a compiler makes wide instructions of it. */
static bool has_minus_zero(const struct column *column)
{
    const uint64_t *doubles = column->data;
    const uint32_t *floats = column->data;
    uint64_t found = 0;

    for (size_t row = 0; column->type == TYPE_FLOAT64 && row < column->count; row++)
        found |= doubles[row] == UINT64_C(1) << 63;
    for (size_t row = 0; column->type == TYPE_FLOAT32 && row < column->count; row++)
        found |= floats[row] == UINT32_C(1) << 31;
    return found != 0;
}

static bool is_float(const struct offline_column *column)
{
    return column->is_known && (column->type == TYPE_FLOAT32 || column->type == TYPE_FLOAT64) &&
           !str_starts(column->duckdb, STR("DECIMAL"));
}

/*
 * DuckDB 1.5 writes both zeroes as one entry of a dictionary: the one that it met first. Floats of
 * the entity rows are not looked at one by one; that they are there is enough.
 */
static bool needs_plain_floats(const struct engine *engine, const struct table *table)
{
    for (size_t i = 0; i < engine->rows.column_count; i++) {
        if (is_float(&engine->rows.columns[i]))
            return true;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (has_minus_zero(&table->columns[i]))
            return true;
    }
    return false;
}

static const char *copy_options(const struct engine *engine, const struct table *table)
{
    if (engine->spec->is_csv)
        return "FORMAT csv, HEADER";
    return needs_plain_floats(engine, table)
               ? "FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 0"
               : "FORMAT parquet, COMPRESSION snappy";
}

static enum status copy_to(struct engine *engine, struct str path, struct error *err)
{
    struct table table;
    uint64_t rows;

    TRY(output_table(engine, &table, err));
    engine->column_count = engine->rows.column_count + table.column_count;
    TRY(offline_copy_beside(engine->offline, STR(ENTITY_ROWS_TABLE), &table, path,
                            copy_options(engine, &table), &rows, err));
    if (rows != engine->rows.count)
        return error_set(err, STATUS_INTERNAL, "%llu rows were written instead of %zu",
                         (unsigned long long)rows, engine->rows.count);
    return STATUS_OK;
}

/* On disk, and only then under its name. */
static enum status settle(const char *temporary, const char *out, uint64_t *bytes,
                          struct error *err)
{
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    struct stat info;
    bool safe;

    if (fd < 0)
        return error_errno(err, errno, "write %s", out);
    safe = fsync(fd) == 0 && fstat(fd, &info) == 0;
    close(fd);
    if (!safe || rename(temporary, out) != 0)
        return error_errno(err, errno, "write %s", out);
    *bytes = (uint64_t)info.st_size;
    return STATUS_OK;
}

enum status engine_write(struct engine *engine, uint64_t *bytes, struct error *err)
{
    const char *out = arena_cstr(engine->arena, engine->spec->out);
    struct str temporary = training_set_temporary(engine->arena, engine->spec);
    enum status status;

    job_progress(engine->job, "write", 0, engine->rows.count);
    status = copy_to(engine, temporary, err);
    if (status == STATUS_OK)
        status = settle(temporary.data, out, bytes, err);
    if (status != STATUS_OK) {
        unlink(temporary.data);
        return error_wrap(err, "write the result");
    }
    job_progress(engine->job, "write", engine->rows.count, engine->rows.count);
    return STATUS_OK;
}

struct str training_set_temporary(struct arena *arena, const struct training_set_spec *spec)
{
    return arena_printf(arena, STR_FMT TRAINING_SET_PART, STR_ARG(spec->out));
}
