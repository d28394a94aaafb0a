/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/offline_internal.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* DuckDB keeps to its limit on the whole, not to the byte, and our own columns need room too. */
#define MEMORY_SHARE(bytes) ((bytes) / 5 * 3)

/* --- SQL text ------------------------------------------------------------- */

static void put_quoted(struct buffer *sql, struct str text, char quote)
{
    buffer_append_byte(sql, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == quote)
            buffer_append_byte(sql, quote);
        buffer_append_byte(sql, text.data[i]);
    }
    buffer_append_byte(sql, quote);
}

void sql_put_name(struct buffer *sql, struct str name)
{
    put_quoted(sql, name, '"');
}

void sql_put_text(struct buffer *sql, struct str text)
{
    put_quoted(sql, text, '\'');
}

static const struct {
    const char *sql;
    duckdb_type type;
} types[VALUE_TYPE_COUNT] = {
    [TYPE_BOOL] = { "BOOLEAN", DUCKDB_TYPE_BOOLEAN },
    [TYPE_INT32] = { "INTEGER", DUCKDB_TYPE_INTEGER },
    [TYPE_INT64] = { "BIGINT", DUCKDB_TYPE_BIGINT },
    [TYPE_FLOAT32] = { "FLOAT", DUCKDB_TYPE_FLOAT },
    [TYPE_FLOAT64] = { "DOUBLE", DUCKDB_TYPE_DOUBLE },
    [TYPE_STRING] = { "VARCHAR", DUCKDB_TYPE_VARCHAR },
    [TYPE_BYTES] = { "BLOB", DUCKDB_TYPE_BLOB },
    [TYPE_TIMESTAMP] = { "TIMESTAMP", DUCKDB_TYPE_TIMESTAMP },
};

const char *sql_type_name(enum value_type type)
{
    return types[type].sql;
}

duckdb_type duckdb_type_of(enum value_type type)
{
    return types[type].type;
}

bool value_type_of_sql(struct str sql, enum value_type *out)
{
    /* Wider integers are checked value by value when they are read; decimals become floats. */
    static const struct {
        struct str name;
        enum value_type type;
    } known[] = {
        { STR_INIT("BOOLEAN"), TYPE_BOOL },
        { STR_INIT("TINYINT"), TYPE_INT32 },
        { STR_INIT("SMALLINT"), TYPE_INT32 },
        { STR_INIT("INTEGER"), TYPE_INT32 },
        { STR_INIT("UTINYINT"), TYPE_INT32 },
        { STR_INIT("USMALLINT"), TYPE_INT32 },
        { STR_INIT("UINTEGER"), TYPE_INT64 },
        { STR_INIT("BIGINT"), TYPE_INT64 },
        { STR_INIT("UBIGINT"), TYPE_INT64 },
        { STR_INIT("HUGEINT"), TYPE_INT64 },
        { STR_INIT("UHUGEINT"), TYPE_INT64 },
        { STR_INIT("FLOAT"), TYPE_FLOAT32 },
        { STR_INIT("DOUBLE"), TYPE_FLOAT64 },
        { STR_INIT("VARCHAR"), TYPE_STRING },
        { STR_INIT("UUID"), TYPE_STRING },
        { STR_INIT("BLOB"), TYPE_BYTES },
        { STR_INIT("DATE"), TYPE_TIMESTAMP },
        { STR_INIT("TIMESTAMP"), TYPE_TIMESTAMP },
        { STR_INIT("TIMESTAMP_S"), TYPE_TIMESTAMP },
        { STR_INIT("TIMESTAMP_MS"), TYPE_TIMESTAMP },
        { STR_INIT("TIMESTAMP_NS"), TYPE_TIMESTAMP },
        { STR_INIT("TIMESTAMP WITH TIME ZONE"), TYPE_TIMESTAMP },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_equal(sql, known[i].name)) {
            *out = known[i].type;
            return true;
        }
    }
    *out = str_starts(sql, STR("DECIMAL(")) ? TYPE_FLOAT64 : TYPE_STRING;
    /* A list of anything ends with brackets: ENUM('a')[]. */
    return (str_starts(sql, STR("DECIMAL(")) || str_starts(sql, STR("ENUM("))) &&
           !str_ends(sql, STR("]"));
}

/* --- where what does not fit in memory goes -------------------------------- */

#define SPILL_PREFIX "job-"

/* -1 if it is not there, or somebody else has it. */
static int lock_folder(const char *path, int operation)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, operation) == 0)
        return fd;
    close(fd);
    return -1;
}

/*
 * Folders of jobs that were killed before they could remove their own. Who works holds a lock on its
 * folder; the number in a name may be another process's by now, or a dead one's that nobody waited for.
 */
static void remove_stale(struct arena *arena, const char *folder)
{
    struct error ignored;
    struct str *names;
    size_t count;

    if (folder_list(arena, folder, &names, &count, &ignored) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = arena_cstr(arena,
                                arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(names[i])));
        int fd;

        if (!str_starts(names[i], STR(SPILL_PREFIX)))
            continue;
        fd = lock_folder(path, LOCK_EX | LOCK_NB);
        if (fd < 0)
            continue;
        if (folder_remove(path, &ignored) != STATUS_OK)
            log_warn("features: %s", ignored.message);
        close(fd);
    }
}

/* Under a lock of all of them, so that a folder is not taken for stale before it is locked. */
static enum status make_spill(struct offline *offline, struct error *err)
{
    const char *folder =
        arena_printf(offline->arena, STR_FMT "/.onggi/tmp", STR_ARG(offline->project)).data;
    enum status status;
    int all;

    TRY(folder_create(folder, err));
    all = lock_folder(folder, LOCK_EX);
    remove_stale(offline->arena, folder);
    offline->spill = arena_printf(offline->arena, "%s/" SPILL_PREFIX "%d", folder,
                                  (int)getpid());
    status = folder_create(offline->spill.data, err);
    offline->spill_fd = lock_folder(offline->spill.data, LOCK_EX | LOCK_NB);
    if (all >= 0)
        close(all);
    return status;
}

/* --- life ----------------------------------------------------------------- */

static enum status set_options(struct offline *offline, duckdb_config config, struct error *err)
{
    char memory[32], threads[16];
    struct {
        const char *name, *value;
    } options[] = {
        { "memory_limit", memory },
        { "threads", threads },
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
        { "allow_community_extensions", "false" },
        { "preserve_insertion_order", "true" },
        { "custom_user_agent", "onggi" },
    };

    snprintf(memory, sizeof(memory), "%llu MiB",
             (unsigned long long)(MEMORY_SHARE(offline->limits.memory_bytes) >> 20));
    snprintf(threads, sizeof(threads), "%u", offline->limits.threads);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (offline->duckdb->set_config(config, options[i].name, options[i].value) !=
            DuckDBSuccess)
            return error_set(err, STATUS_INTERNAL, "DuckDB knows no setting '%s'",
                             options[i].name);
    }
    return STATUS_OK;
}

static enum status open_database(struct offline *offline, struct error *err)
{
    const struct duckdb_library *duckdb = offline->duckdb;
    duckdb_config config = NULL;
    char *message = NULL;
    enum status status;

    if (duckdb->create_config(&config) != DuckDBSuccess)
        return error_set(err, STATUS_INTERNAL, "DuckDB does not start");
    status = set_options(offline, config, err);
    if (status == STATUS_OK &&
        duckdb->open_ext(NULL, &offline->database, config, &message) != DuckDBSuccess) {
        status = offline_failed(offline, err, message);
        duckdb->free(message);
    }
    duckdb->destroy_config(&config);
    TRY(status);
    if (duckdb->connect(offline->database, &offline->connection) != DuckDBSuccess)
        return error_set(err, STATUS_INTERNAL, "DuckDB takes no connection");
    return STATUS_OK;
}

static enum status set_texts(struct offline *offline, const char *name, const struct str *texts,
                             size_t count, bool is_list, struct error *err)
{
    struct buffer sql = { 0 };
    enum status status;

    buffer_printf(&sql, "SET %s=%s", name, is_list ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(&sql, ',');
        sql_put_text(&sql, texts[i]);
    }
    if (is_list)
        buffer_append_byte(&sql, ']');
    status = offline_run(offline, buffer_str(&sql), err);
    buffer_free(&sql);
    return status;
}

/* DuckDB takes every name for a pattern; a class of one byte stands for that byte, but not a backslash. */
struct str offline_pattern(struct arena *arena, struct str path)
{
    struct buffer pattern = { .arena = arena };
    bool is_plain = true;

    for (size_t i = 0; i < path.len; i++) {
        bool is_special = memchr("*?[", path.data[i], 3) != NULL;

        buffer_printf(&pattern, is_special ? "[%c]" : "%c", path.data[i]);
        is_plain &= !is_special;
    }
    if (is_plain)
        return path;
    return memchr(path.data, '\\', path.len) == NULL ? buffer_str(&pattern) : STR_EMPTY;
}

static void allow(struct offline *offline, struct str path)
{
    ARENA_PUSH(offline->arena, offline->files, offline->file_count,
               offline->file_capacity) = path;
}

/* Where a symbolic link leads: the project's owner made it, and DuckDB goes by what it stands for. */
void offline_allow(struct offline *offline, struct str path)
{
    char *real = realpath(arena_cstr(offline->arena, path), NULL);

    allow(offline, path);
    allow(offline, offline_pattern(offline->arena, path));
    /* None is a file that is still to be written, or a link to nowhere: opening it says so. */
    if (real != NULL)
        allow(offline, arena_str(offline->arena, str_from(real)));
    free(real);
}

/*
 * In this order: once access is closed, what is allowed cannot be widened any more. What no source names
 * stays closed, so that SQL reads nothing that the fingerprint does not know of.
 */
enum status offline_confine(struct offline *offline, struct error *err)
{
    TRY(offline_run(offline, STR("SET TimeZone='UTC'"), err));
    TRY(set_texts(offline, "temp_directory", &offline->spill, 1, false, err));
    TRY(set_texts(offline, "allowed_paths", offline->files, offline->file_count, true, err));
    TRY(set_texts(offline, "allowed_directories", &offline->spill, 1, true, err));
    TRY(offline_run(offline, STR("SET enable_external_access=false"), err));
    return offline_run(offline, STR("SET lock_configuration=true"), err);
}

enum status offline_open(struct arena *arena, const char *project, const struct str *also,
                         size_t also_count, const struct job_limits *limits,
                         struct offline **out, struct error *err)
{
    struct offline *offline = ARENA_NEW(arena, struct offline);
    enum status status;

    offline->arena = arena;
    offline->project = arena_str(arena, str_from(project));
    offline->limits = *limits;
    TRY(duckdb_library_get(&offline->duckdb, err));
    offline->spill_fd = -1;
    /* What SQL names by a relative path lies in the project, wherever the server was started. */
    if (chdir(arena_cstr(arena, offline->project)) != 0)
        return error_errno(err, errno, "open the project " STR_FMT, STR_ARG(offline->project));
    TRY(make_spill(offline, err));
    for (size_t i = 0; i < also_count; i++)
        offline_allow(offline, also[i]);
    status = open_database(offline, err);
    if (status != STATUS_OK) {
        offline_close(&offline);
        return status;
    }
    *out = offline;
    return STATUS_OK;
}

void offline_close(struct offline **offline)
{
    struct error ignored;

    if (*offline == NULL)
        return;
    if ((*offline)->connection != NULL)
        (*offline)->duckdb->disconnect(&(*offline)->connection);
    if ((*offline)->database != NULL)
        (*offline)->duckdb->close(&(*offline)->database);
    if ((*offline)->spill_fd >= 0)
        close((*offline)->spill_fd);
    if (folder_remove((*offline)->spill.data, &ignored) != STATUS_OK)
        log_warn("features: %s", ignored.message);
    *offline = NULL;
}
