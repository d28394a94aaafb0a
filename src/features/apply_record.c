/* SPDX-License-Identifier: Apache-2.0 */
#include "features/apply_record.h"

#define CREATE_ITEMS \
    "CREATE TABLE definition_items (" \
    " position INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL," \
    " file TEXT NOT NULL, line INTEGER NOT NULL, json TEXT NOT NULL, UNIQUE (kind, name))"
#define CREATE_COLUMNS \
    "CREATE TABLE definition_columns (" \
    " source TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, json TEXT NOT NULL)"

static const char *const steps[] = {
    "CREATE TABLE definition_state (revision INTEGER NOT NULL)",
    "INSERT INTO definition_state VALUES (0)",
    CREATE_ITEMS,
    CREATE_COLUMNS,
};

enum status apply_record_migrate(struct sql *db, struct error *err)
{
    return sql_migrate(db, "definitions", steps, ARRAY_LEN(steps), err);
}

struct reading {
    struct arena *arena;
    struct definition_record record;
};

static enum status read_revision(struct sql_tx *tx, struct reading *reading, struct error *err)
{
    struct sql_rows *rows;

    TRY(sql_query(tx, "SELECT revision FROM definition_state", NULL, 0, &rows, err));
    TRY(sql_next(rows, err));
    reading->record.revision = sql_int64(rows, 0);
    sql_rows_close(rows);
    return STATUS_OK;
}

/* NOT_FOUND is how rows end. */
static enum status at_end(enum status status)
{
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_items(struct sql_tx *tx, struct reading *reading, struct error *err)
{
    struct definition_record *record = &reading->record;
    struct arena *arena = reading->arena;
    struct sql_rows *rows;
    size_t capacity = 0;
    enum status status;

    TRY(sql_query(tx,
                  "SELECT kind, name, file, line, json FROM definition_items ORDER BY position",
                  NULL, 0, &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK) {
        struct definition_item item = { .kind = sql_str(rows, arena, 0),
                                        .name = sql_str(rows, arena, 1),
                                        .json = sql_str(rows, arena, 4) };

        item.place = (struct place){ sql_str(rows, arena, 2), (int)sql_int64(rows, 3), 1 };
        ARENA_PUSH(arena, record->items, record->item_count, capacity) = item;
    }
    return at_end(status);
}

static enum status read_columns(struct sql_tx *tx, struct reading *reading, struct error *err)
{
    struct definition_record *record = &reading->record;
    struct arena *arena = reading->arena;
    struct sql_rows *rows;
    size_t capacity = 0;
    enum status status;

    TRY(sql_query(tx, "SELECT source, fingerprint, json FROM definition_columns", NULL, 0,
                  &rows, err));
    while ((status = sql_next(rows, err)) == STATUS_OK) {
        ARENA_PUSH(arena, record->columns, record->column_count, capacity) =
            (struct recorded_columns){ sql_str(rows, arena, 0), sql_str(rows, arena, 1),
                                       sql_str(rows, arena, 2) };
    }
    return at_end(status);
}

static enum status read_all(struct sql_tx *tx, void *context, struct error *err)
{
    TRY(read_revision(tx, context, err));
    TRY(read_items(tx, context, err));
    return read_columns(tx, context, err);
}

enum status apply_record_read(struct sql *db, struct arena *arena,
                              struct definition_record *out, struct error *err)
{
    struct reading reading = { .arena = arena };

    TRY(sql_read(db, read_all, &reading, err));
    *out = reading.record;
    return STATUS_OK;
}

static enum status write_item(struct sql_tx *tx, const struct definition_item *item,
                              size_t position, struct error *err)
{
    return sql_run(tx,
                   "INSERT INTO definition_items (position, kind, name, file, line, json)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   SQL_ARGS(sql_arg_int64((int64_t)position), sql_arg_str(item->kind),
                            sql_arg_str(item->name), sql_arg_str(item->place.file),
                            sql_arg_int64(item->place.line), sql_arg_str(item->json)),
                   err);
}

static enum status write_columns(struct sql_tx *tx, const struct source *source,
                                 struct error *err)
{
    struct arena *arena = arena_new();
    enum status status = sql_run(
        tx, "INSERT INTO definition_columns (source, fingerprint, json) VALUES (?1, ?2, ?3)",
        SQL_ARGS(sql_arg_str(source->name), sql_arg_str(source->fingerprint),
                 sql_arg_str(definition_columns_json(arena, source))),
        err);

    arena_free(arena);
    return status;
}

static enum status write_all(struct sql_tx *tx, void *context, struct error *err)
{
    const struct definitions *definitions = context;

    TRY(sql_run(tx, "DELETE FROM definition_items", NULL, 0, err));
    TRY(sql_run(tx, "DELETE FROM definition_columns", NULL, 0, err));
    TRY(sql_run(tx, "UPDATE definition_state SET revision = ?1",
                SQL_ARGS(sql_arg_int64(definitions->revision)), err));
    for (size_t i = 0; i < definitions->item_count; i++)
        TRY(write_item(tx, &definitions->items[i], i, err));
    for (size_t i = 0; i < definitions->source_count; i++)
        TRY(write_columns(tx, &definitions->sources[i], err));
    return STATUS_OK;
}

enum status apply_record_write(struct sql *db, const struct definitions *definitions,
                               struct error *err)
{
    return sql_write(db, write_all, (void *)(uintptr_t)definitions, err);
}
