/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/json_path.h"
#include "workflow/json_path_filter.h"

#define PATH_STEPS_MAX 100
#define PATH_WAYS_MAX 1000

struct path_reader {
    struct arena *arena;
    struct str text;
    size_t at;
    struct json_path *path;
    size_t capacity;
    size_t ways; /* as many values as the unions multiply to */
    bool descended;
    struct error *err;
};

static char peek(const struct path_reader *reader)
{
    return reader->at < reader->text.len ? reader->text.data[reader->at] : '\0';
}

static enum status path_error(const struct path_reader *reader, const char *what)
{
    return error_set(reader->err, STATUS_INVALID,
                     "'" STR_FMT "' is no path: %s at character %zu", STR_ARG(reader->text),
                     what, reader->at + 1);
}

static enum status push(struct path_reader *reader, struct path_step step)
{
    struct json_path *path = reader->path;

    if (path->count == PATH_STEPS_MAX)
        return path_error(reader, "more than 100 steps");
    ARENA_PUSH(reader->arena, path->steps, path->count, reader->capacity) = step;
    if (step.kind != PATH_NAME && step.kind != PATH_INDEX)
        path->definite = false;
    return STATUS_OK;
}

static bool ends_name(char c)
{
    return strchr(".[]'\"()*, ", c) != NULL;
}

/* Two of them would let a short path visit a document over and over. */
static enum status read_descent(struct path_reader *reader)
{
    if (reader->descended)
        return path_error(reader, "'..' may stand in a path once");
    reader->descended = true;
    reader->at++;
    return push(reader, (struct path_step){ .kind = PATH_DESCENT });
}

static enum status read_dotted(struct path_reader *reader)
{
    size_t start;

    reader->at++;
    if (peek(reader) == '.') {
        TRY(read_descent(reader));
        if (peek(reader) == '[')
            return STATUS_OK;
    }
    if (peek(reader) == '*') {
        reader->at++;
        return push(reader, (struct path_step){ .kind = PATH_WILDCARD });
    }
    start = reader->at;
    while (reader->at < reader->text.len && !ends_name(peek(reader)))
        reader->at++;
    if (reader->at == start)
        return path_error(reader, "a name is missing");
    return push(reader,
                (struct path_step){ .kind = PATH_NAME,
                                    .name = str_slice(reader->text, start, reader->at) });
}

/* Behind the last byte of a name in quotes; the text's end if the quote is not closed. */
static size_t end_of_quoted(const struct path_reader *reader, char quote)
{
    size_t end = reader->at + 1;

    while (end < reader->text.len && reader->text.data[end] != quote)
        end += reader->text.data[end] == '\\' && end + 1 < reader->text.len &&
                       reader->text.data[end + 1] == quote
                   ? 2
                   : 1;
    return end;
}

/* Only the quote itself is escaped; any other backslash is part of the name. */
static enum status read_quoted(struct path_reader *reader, char quote, struct path_step *out)
{
    size_t end = end_of_quoted(reader, quote), len = 0;
    char *name = arena_alloc(reader->arena, end - reader->at);

    if (end >= reader->text.len)
        return path_error(reader, "the quote is not closed");
    for (reader->at++; reader->at < end; reader->at++) {
        if (peek(reader) == '\\' && reader->text.data[reader->at + 1] == quote)
            reader->at++;
        name[len++] = peek(reader);
    }
    reader->at++;
    *out = (struct path_step){ .kind = PATH_NAME, .name = { name, len } };
    return STATUS_OK;
}

static enum status read_integer(struct path_reader *reader, bool *there, int64_t *out)
{
    size_t start = reader->at;

    if (peek(reader) == '-')
        reader->at++;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    *there = reader->at > start;
    if (*there && !str_to_int64(str_slice(reader->text, start, reader->at), out))
        return path_error(reader, "expected a whole number");
    return STATUS_OK;
}

static enum status read_index_or_slice(struct path_reader *reader, struct path_step *out)
{
    struct path_step step = { .kind = PATH_INDEX };

    TRY(read_integer(reader, &step.has_from, &step.from));
    if (peek(reader) == ':') {
        reader->at++;
        step.kind = PATH_SLICE;
        TRY(read_integer(reader, &step.has_to, &step.to));
    } else if (!step.has_from) {
        return path_error(reader,
                          "expected a name in quotes, an index, '*', a slice or a filter");
    }
    *out = step;
    return STATUS_OK;
}

static void skip_spaces(struct path_reader *reader)
{
    while (peek(reader) == ' ')
        reader->at++;
}

/* A name or an index, or a slice. */
static enum status read_choice(struct path_reader *reader, struct path_step *out)
{
    skip_spaces(reader);
    if (peek(reader) == '\'' || peek(reader) == '"')
        TRY(read_quoted(reader, peek(reader), out));
    else
        TRY(read_index_or_slice(reader, out));
    skip_spaces(reader);
    return STATUS_OK;
}

/* One of them, or several with commas. */
static enum status read_choices(struct path_reader *reader)
{
    struct path_step first, all = { .kind = PATH_UNION };
    size_t capacity = 0;

    TRY(read_choice(reader, &first));
    if (peek(reader) != ',')
        return push(reader, first);
    ARENA_PUSH(reader->arena, all.choices, all.choice_count, capacity) = first;
    while (peek(reader) == ',' && all.choice_count <= PATH_WAYS_MAX) {
        reader->at++;
        TRY(read_choice(reader, &first));
        ARENA_PUSH(reader->arena, all.choices, all.choice_count, capacity) = first;
    }
    for (size_t i = 0; i < all.choice_count; i++)
        if (all.choices[i].kind != all.choices[0].kind || all.choices[i].kind == PATH_SLICE)
            return path_error(reader, "only names, or only indexes, may stand in one bracket");
    if (all.choice_count > PATH_WAYS_MAX || reader->ways * all.choice_count > PATH_WAYS_MAX)
        return path_error(reader, "too many names or indexes in brackets");
    reader->ways *= all.choice_count;
    return push(reader, all);
}

static enum status read_filter(struct path_reader *reader)
{
    struct path_step step = { .kind = PATH_FILTER };

    reader->at++;
    TRY(path_filter_parse(reader->arena, reader->text, &reader->at, &step.filter, reader->err));
    return push(reader, step);
}

static enum status read_bracket(struct path_reader *reader)
{
    reader->at++;
    skip_spaces(reader);
    if (peek(reader) == '*') {
        reader->at++;
        TRY(push(reader, (struct path_step){ .kind = PATH_WILDCARD }));
    } else if (peek(reader) == '?') {
        TRY(read_filter(reader));
    } else {
        TRY(read_choices(reader));
    }
    skip_spaces(reader);
    if (peek(reader) != ']')
        return path_error(reader, "expected ']'");
    reader->at++;
    return STATUS_OK;
}

static bool begins_variable(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           ((unsigned char)c & 0x80) != 0;
}

static enum status read_root(struct path_reader *reader)
{
    size_t start = reader->at;

    if (peek(reader) == '$') {
        reader->path->root = PATH_OF_CONTEXT;
        reader->at++;
    } else if (begins_variable(peek(reader))) {
        while (reader->at < reader->text.len && !ends_name(peek(reader)))
            reader->at++;
        reader->path->root = PATH_OF_VARIABLE;
        reader->path->variable = str_slice(reader->text, start, reader->at);
    } else if (reader->at < reader->text.len && peek(reader) != '.' && peek(reader) != '[') {
        return path_error(reader, "expected '.', '[' or the name of a variable");
    }
    return STATUS_OK;
}

static bool is_single(const struct path_step *step)
{
    return step->kind == PATH_NAME || step->kind == PATH_INDEX;
}

/* Single steps, and several names at the end. */
static bool is_one_object(const struct json_path *path)
{
    const struct path_step *last = path->count == 0 ? NULL : &path->steps[path->count - 1];

    if (last == NULL || last->kind != PATH_UNION || last->choices[0].kind != PATH_NAME)
        return false;
    for (size_t i = 0; i + 1 < path->count; i++)
        if (!is_single(&path->steps[i]))
            return false;
    return true;
}

bool json_path_is_reference(const struct json_path *path)
{
    for (size_t i = 0; i < path->count; i++)
        if (!is_single(&path->steps[i]))
            return false;
    return path->root == PATH_OF_INPUT;
}

enum status json_path_parse(struct arena *arena, struct str text, struct json_path *out,
                            struct error *err)
{
    struct json_path path = { .text = arena_str(arena, text), .definite = true };
    struct path_reader reader = {
        .arena = arena, .text = path.text, .at = 1, .path = &path, .ways = 1, .err = err
    };

    if (text.len == 0 || text.data[0] != '$') {
        reader.at = 0;
        return path_error(&reader, "it must begin with '$'");
    }
    TRY(read_root(&reader));
    while (reader.at < text.len) {
        if (peek(&reader) == '.')
            TRY(read_dotted(&reader));
        else if (peek(&reader) == '[')
            TRY(read_bracket(&reader));
        else
            return path_error(&reader, "expected '.' or '['");
    }
    path.definite = path.definite || is_one_object(&path);
    *out = path;
    return STATUS_OK;
}
