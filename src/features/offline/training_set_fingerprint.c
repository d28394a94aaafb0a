/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a training set was made of, as one hash: the question, the content of all files, and the rows
 * that SQL made where they could be others next time. Files are hashed before they are read, and
 * looked at again afterwards.
 */
#include "base/file.h"
#include "base/hash.h"
#include "features/offline/training_set_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this of a source is not read again to be hashed: size and time of change stand for it. */
#define HASHED_MAX (INT64_C(1) << 30)

/* --- which files, and how they lie there ----------------------------------- */

/* A line for each: what changes when the file does, and its name. */
static enum status put_stamp(const struct engine *engine, struct buffer *stamps,
                             struct str path, struct error *err)
{
    struct stat info;

    if (stat(arena_cstr(engine->arena, path), &info) != 0)
        return error_errno(err, errno, "read " STR_FMT, STR_ARG(path));
    buffer_printf(stamps, "%llu %lld %lld.%09ld " STR_FMT "\n", (unsigned long long)info.st_ino,
                  (long long)info.st_size, (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                  STR_ARG(path));
    return STATUS_OK;
}

static enum status find_files(const struct engine *engine, const struct source_spec *source,
                              struct str **paths, size_t *count, struct error *err)
{
    *paths = NULL;
    *count = 0;
    if (source->path.len == 0)
        return STATUS_OK;
    return file_glob(engine->arena, arena_cstr(engine->arena, engine->spec->project),
                     source->path, paths, count, err);
}

static enum status put_stamps(const struct engine *engine, struct buffer *stamps,
                              struct error *err)
{
    const struct training_set_spec *spec = engine->spec;

    if (spec->entities_path.len > 0)
        TRY(put_stamp(engine, stamps, spec->entities_path, err));
    for (size_t i = 0; i < spec->source_count; i++) {
        struct str *paths;
        size_t count;

        TRY(find_files(engine, &spec->sources[i], &paths, &count, err));
        for (size_t k = 0; k < count; k++)
            TRY(put_stamp(engine, stamps, paths[k], err));
    }
    return STATUS_OK;
}

/* The first file that is not as it was; the last pieces of its line, behind three numbers. */
static struct str first_changed(struct str before, struct str after)
{
    struct str was = STR_EMPTY, is = STR_EMPTY;

    while (str_equal(was, is) && (before.len > 0 || after.len > 0)) {
        was = is = STR_EMPTY;
        if (!str_split(&before, '\n', &was) || !str_split(&after, '\n', &is))
            break;
    }
    is = is.len > 0 ? is : was;
    for (int i = 0; i < 3; i++)
        is = str_slice(is, str_index(is, ' ') + 1, is.len);
    return is;
}

static enum status check_unchanged(const struct engine *engine, struct error *err)
{
    struct buffer stamps = { .arena = engine->arena };
    struct str project = engine->spec->project, path;

    TRY(put_stamps(engine, &stamps, err));
    if (str_equal(buffer_str(&stamps), engine->stamps))
        return STATUS_OK;
    path = first_changed(engine->stamps, buffer_str(&stamps));
    if (str_starts(path, project))
        path = str_slice(path, project.len + 1, path.len);
    return error_set(err, STATUS_CONFLICT,
                     "file " STR_FMT " changed while it was read; ask again", STR_ARG(path));
}

/* --- content -------------------------------------------------------------- */

static enum status hash_content(struct sha256 *hash, const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char piece[65536];
    enum status status = STATUS_OK;
    ssize_t got;

    if (fd < 0)
        return error_errno(err, errno, "read %s", path);
    while ((got = read(fd, piece, sizeof(piece))) > 0)
        sha256_add(hash, piece, (size_t)got);
    if (got < 0)
        status = error_errno(err, errno, "read %s", path);
    close(fd);
    return status;
}

static enum status hash_file(struct engine *engine, const char *path, struct error *err)
{
    struct stat info;
    struct str line;

    if (stat(path, &info) != 0)
        return error_errno(err, errno, "read %s", path);
    if (info.st_size <= HASHED_MAX) {
        line = arena_printf(engine->arena, "file %lld\n", (long long)info.st_size);
        sha256_add(engine->hash, line.data, line.len);
        return hash_content(engine->hash, path, err);
    }
    line = arena_printf(engine->arena, "file %lld %lld.%09ld\n", (long long)info.st_size,
                        (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    sha256_add(engine->hash, line.data, line.len);
    return STATUS_OK;
}

static enum status hash_source(struct engine *engine, const struct source_spec *source,
                               struct error *err)
{
    struct str *paths;
    size_t count;

    TRY(find_files(engine, source, &paths, &count, err));
    for (size_t i = 0; i < count; i++)
        TRY(hash_file(engine, arena_cstr(engine->arena, paths[i]), err));
    return STATUS_OK;
}

/* What was asked, without where it was asked from and where it goes. */
static void hash_question(struct engine *engine, const yyjson_val *json)
{
    static const char *const parts[] = { "as_known", "time",        "sources",
                                         "keys",     "request",     "views",
                                         "slots",    "expressions", "outputs" };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const yyjson_val *part = json_find(json, str_from(parts[i]));
        struct str text = part == NULL ? STR_EMPTY : json_write(engine->arena, part);

        sha256_add(engine->hash, text.data, text.len);
        sha256_add(engine->hash, "\n", 1);
    }
    sha256_add(engine->hash, engine->spec->entities_sql.data, engine->spec->entities_sql.len);
}

/* --- both ends ------------------------------------------------------------ */

enum status engine_hash_files(struct engine *engine, const yyjson_val *json, struct error *err)
{
    const struct training_set_spec *spec = engine->spec;
    struct buffer stamps = { .arena = engine->arena };

    engine->hash = sha256_new();
    engine->offline->hashes_rows = true;
    TRY(put_stamps(engine, &stamps, err));
    engine->stamps = buffer_str(&stamps);
    hash_question(engine, json);
    if (spec->entities_path.len > 0)
        TRY(hash_file(engine, arena_cstr(engine->arena, spec->entities_path), err));
    for (size_t i = 0; i < spec->source_count; i++)
        TRY(hash_source(engine, &spec->sources[i], err));
    return STATUS_OK;
}

enum status engine_fingerprint(struct engine *engine, struct str *out, struct error *err)
{
    char *hex = arena_alloc(engine->arena, SHA256_HEX_LEN + 1);
    uint64_t rows = engine->offline->rows_hash;

    TRY(check_unchanged(engine, err));
    if (engine->spec->entities_sql.len > 0)
        TRY(entity_rows_hash(engine->offline, &engine->rows, engine->hash, err));
    sha256_add(engine->hash, &rows, sizeof(rows));
    sha256_end(engine->hash, hex);
    engine->hash = NULL;
    *out = (struct str){ hex, SHA256_HEX_LEN };
    return STATUS_OK;
}
