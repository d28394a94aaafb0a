/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/csv_file.h"

#include <stdio.h>

static const char delimiters[] = { ',', ';', '\t', '|' };

struct counting {
    size_t counts[ARRAY_LEN(delimiters)];
    bool quoted;
};

static void count_byte(struct counting *counting, int byte)
{
    counting->quoted ^= byte == '"';
    for (size_t i = 0; !counting->quoted && i < ARRAY_LEN(delimiters); i++)
        counting->counts[i] += byte == delimiters[i];
}

static char most_frequent(const struct counting *counting)
{
    size_t most = 0;

    for (size_t i = 1; i < ARRAY_LEN(delimiters); i++)
        most = counting->counts[i] > counting->counts[most] ? i : most;
    return delimiters[most];
}

char csv_delimiter_of(struct str line)
{
    struct counting counting = { 0 };

    for (size_t i = 0; i < line.len; i++)
        count_byte(&counting, line.data[i]);
    return most_frequent(&counting);
}

char csv_delimiter(const char *path)
{
    struct counting counting = { 0 };
    FILE *file = fopen(path, "rbe");
    int byte;

    if (file == NULL)
        return ',';
    while ((byte = getc(file)) != EOF && (counting.quoted || (byte != '\n' && byte != '\r')))
        count_byte(&counting, byte);
    fclose(file);
    return most_frequent(&counting);
}

/* One record as it is read; a quoted value may have line breaks in it. */
struct record {
    size_t line;   /* where it begins */
    size_t values; /* 0: a blank line */
    bool is_open;  /* the file ended within quotes */
    bool has_tail; /* something stands behind a closing quote */
};

enum place { AT_START, IN_PLAIN, IN_QUOTES, BEHIND_QUOTE };

static enum place step(struct record *record, enum place place, int byte, char delimiter)
{
    if (place == IN_QUOTES)
        return byte == '"' ? BEHIND_QUOTE : IN_QUOTES;
    if (byte == delimiter) {
        record->values++;
        return AT_START;
    }
    if (byte == '"' && place != IN_PLAIN)
        return IN_QUOTES; /* a second one in quotes stands for itself */
    record->has_tail |= place == BEHIND_QUOTE && byte != '\r';
    return place == BEHIND_QUOTE ? BEHIND_QUOTE : IN_PLAIN;
}

/* False at the end of the file. */
static bool read_record(FILE *file, char delimiter, size_t *line, struct record *out)
{
    enum place place = AT_START;
    bool is_blank = true;
    int byte;

    *out = (struct record){ .line = ++*line, .values = 1 };
    /* NOLINTNEXTLINE(clang-analyzer-unix.Stream): a file stays at its end */
    while ((byte = getc(file)) != EOF && (byte != '\n' || place == IN_QUOTES)) {
        *line += byte == '\n';
        is_blank = is_blank && byte == '\r';
        place = step(out, place, byte, delimiter);
    }
    out->is_open = place == IN_QUOTES;
    if (is_blank)
        out->values = 0;
    return byte != EOF || !is_blank;
}

static bool is_wrong(const struct record *record, size_t wanted)
{
    return record->is_open || record->has_tail ||
           (record->values != wanted && record->values != 0);
}

static void describe(const struct record *record, size_t wanted, char *text, size_t size)
{
    if (record->is_open)
        snprintf(text, size, "a quote in line %zu is never closed", record->line);
    else if (record->has_tail)
        snprintf(text, size, "line %zu has text behind a closing quote", record->line);
    else
        snprintf(text, size, "line %zu has %zu value%s, the first line has %zu", record->line,
                 record->values, record->values == 1 ? "" : "s", wanted);
}

bool csv_find_mistake(const char *path, char delimiter, char *text, size_t size)
{
    FILE *file = fopen(path, "rbe");
    size_t line = 0, wanted = 0;
    struct record record;
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && read_record(file, delimiter, &line, &record)) {
        wanted = wanted == 0 ? record.values : wanted;
        found = is_wrong(&record, wanted);
    }
    fclose(file);
    if (found)
        describe(&record, wanted, text, size);
    return found;
}

struct csv_look csv_look(const char *path)
{
    struct csv_look look = { csv_delimiter(path), true };
    FILE *file = fopen(path, "rbe");
    struct record record;
    size_t line = 0, records = 0;

    if (file == NULL)
        return look;
    while (records < 2 && read_record(file, look.delimiter, &line, &record))
        records += record.values > 0;
    fclose(file);
    look.has_rows = records > 1;
    return look;
}
