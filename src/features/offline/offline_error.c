/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DuckDB's messages, as a user of ours wants them: one sentence that says what is wrong where. Its advice is
 * about settings of its own, which nobody has here.
 */
#include "features/offline/csv_file.h"
#include "features/offline/offline_internal.h"

static enum status status_of(struct str message)
{
    static const struct {
        struct str part;
        enum status status;
    } meanings[] = {
        { STR_INIT("Out of Memory Error"), STATUS_LIMIT },
        { STR_INIT("No space left on device"), STATUS_LIMIT },
        { STR_INIT("failed to offload"), STATUS_LIMIT },
        { STR_INIT("INTERRUPT Error"), STATUS_UNAVAILABLE },
        { STR_INIT("INTERNAL Error"), STATUS_INTERNAL },
        { STR_INIT("FATAL Error"), STATUS_INTERNAL },
    };

    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        if (memmem(message.data, message.len, meanings[i].part.data, meanings[i].part.len) !=
            NULL)
            return meanings[i].status;
    }
    return STATUS_INVALID;
}

/* "Binder Error: …" without the kind, which only its developers know. */
static struct str without_kind(struct str message)
{
    const char *end = memmem(message.data, message.len, " Error: ", 8);

    if (end == NULL || end - message.data > 30)
        return message;
    return str_slice(message, (size_t)(end - message.data) + 8, message.len);
}

/* What begins an end that helps nobody: advice, settings, and places in a SQL text that is not the user's. */
static struct str without_advice(struct str message)
{
    static const struct str ends[] = {
        STR_INIT("\n\nLINE "),
        STR_INIT("\n\nColumn "),
        STR_INIT("\n\nPossible "),
        STR_INIT("\nPossible "),
        STR_INIT("\nPotential "),
        STR_INIT("\n\n  file = "),
        STR_INIT("\nPlease try installing"),
        STR_INIT("\nIf you are trying to read"),
        STR_INIT(" If you are trying to read"),
        STR_INIT("\nThis can happen when"),
        STR_INIT(" This can happen when"),
    };

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        const char *end = memmem(message.data, message.len, ends[i].data, ends[i].len);

        if (end != NULL)
            message.len = (size_t)(end - message.data);
    }
    return message;
}

/* What stands between the two; empty if they are not there. */
static struct str between(struct str message, struct str before, struct str after)
{
    const char *start = memmem(message.data, message.len, before.data, before.len);
    struct str rest;
    const char *end;

    if (start == NULL)
        return STR_EMPTY;
    rest = str_slice(message, (size_t)(start - message.data) + before.len, message.len);
    end = memmem(rest.data, rest.len, after.data, after.len);
    return end == NULL ? STR_EMPTY : str_slice(rest, 0, (size_t)(end - rest.data));
}

static bool says(struct str message, struct str part)
{
    return memmem(message.data, message.len, part.data, part.len) != NULL;
}

/* Without the project's path, and on one line. */
static void put_sentence(struct buffer *out, struct str project, struct str text)
{
    while (text.len > 0) {
        if (project.len > 0 && str_starts(text, project)) {
            text = str_slice(text, project.len, text.len);
            text = str_slice(text, text.len > 0 && text.data[0] == '/', text.len);
        } else {
            buffer_append_byte(out, text.data[0] == '\n' ? ' ' : text.data[0]);
            text = str_slice(text, 1, text.len);
        }
    }
}

/* The lines of the file do not fit together. */
static void put_csv_mistake(struct buffer *out, const struct offline *offline, struct str path)
{
    char *file = arena_cstr(offline->arena, path);
    char why[128];

    put_sentence(out, offline->project, path);
    if (!str_ends(path, STR(".gz")) &&
        csv_find_mistake(file, csv_delimiter(file), why, sizeof(why)))
        buffer_printf(out, ": %s", why);
    else
        buffer_append(out,
                      STR(": its lines do not have one number of values, or a quote in it is "
                          "never closed"));
}

static bool is_damaged_parquet(struct str message)
{
    static const struct str signs[] = { STR_INIT("don't know what type"),
                                        STR_INIT("TProtocolException"),
                                        STR_INIT("Invalid Thrift"),
                                        STR_INIT("ecompression failure"), STR_INIT("Corrupt") };

    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (says(message, signs[i]))
            return true;
    }
    return false;
}

static void put_message(struct buffer *out, const struct offline *offline, struct str text)
{
    struct str path = between(text, STR("Error when sniffing file \""), STR("\""));
    struct str file = between(text, STR("\n  file = "), STR("\n"));
    struct str missing = between(text, STR("COLUMN_TYPES error: Columns with names: \""),
                                 STR("\""));

    struct str closed = between(text, STR("Permission Error: Cannot access file \""),
                                STR("\""));

    if (missing.len == 0)
        missing = between(text, STR("Column \""), STR("\" in REPLACE list not found"));
    if (closed.len > 0) {
        buffer_append(out, STR("SQL opens no files itself: give '"));
        put_sentence(out, offline->project, closed);
        buffer_append(out,
                      STR("' a source with that `path:`, and read it by the source's name"));
    } else if (path.len > 0) {
        put_csv_mistake(out, offline, path);
    } else if (missing.len > 0) {
        buffer_printf(out, "`types:` names column '" STR_FMT "', which is not there",
                      STR_ARG(missing));
    } else if (is_damaged_parquet(text)) {
        buffer_append(out, STR("a Parquet file is damaged and has to be written again ("));
        put_sentence(out, offline->project, str_trim(without_advice(without_kind(text))));
        buffer_append_byte(out, ')');
    } else {
        put_sentence(out, offline->project, str_trim(without_advice(without_kind(text))));
        if (says(text, STR("syntax error at")))
            buffer_append(out, STR("; it has to be one SELECT"));
        if (file.len > 0) {
            buffer_append(out, STR(" (in "));
            put_sentence(out, offline->project, file);
            buffer_append_byte(out, ')');
        }
    }
}

enum status offline_failed(const struct offline *offline, struct error *err,
                           const char *message)
{
    struct str text = str_from(message == NULL ? "no reason was given" : message);
    enum status status = status_of(text);
    struct buffer sentence = { 0 };

    if (says(text, STR("Out of Memory Error")))
        buffer_printf(&sentence,
                      "the job needs more than its memory limit of %llu MiB; raise the "
                      "limit, or ask for fewer rows or columns",
                      (unsigned long long)(offline->limits.memory_bytes >> 20));
    else
        put_message(&sentence, offline, text);
    error_set(err, status, STR_FMT, STR_ARG(buffer_str(&sentence)));
    buffer_free(&sentence);
    return status;
}
