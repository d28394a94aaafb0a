/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/intrinsic.h"

#include "workflow/intrinsic_internal.h"

#define CALL_DEPTH_MAX 10

/* One call or argument, as written; evaluated when the state runs. */
enum term_kind { TERM_CALL, TERM_PATH, TERM_TEXT, TERM_JSON };

struct term {
    enum term_kind kind;
    const struct intrinsic *function;
    struct term *args;
    size_t count, capacity;
    struct json_path path;
    struct str text; /* of TERM_JSON, a literal; of TERM_TEXT, but its \' with backslashes */
};

struct call_reader {
    struct arena *arena;
    struct str text;
    size_t at;
    struct error *err;
};

bool intrinsic_is(struct str text)
{
    return str_starts(text, STR("States."));
}

bool(intrinsic_refuse)(const struct scope *scope, struct fault *fault, const char *name)
{
    return fault_set(scope, fault, ERROR_RUNTIME, "Invalid arguments in %s", name);
}

static enum status call_error(const struct call_reader *reader, const char *what)
{
    return error_set(reader->err, STATUS_INVALID, "'" STR_FMT "': %s at character %zu",
                     STR_ARG(reader->text), what, reader->at + 1);
}

static char peek(const struct call_reader *reader)
{
    return reader->at < reader->text.len ? reader->text.data[reader->at] : '\0';
}

static void skip_spaces(struct call_reader *reader)
{
    while (peek(reader) == ' ')
        reader->at++;
}

static size_t end_of_text(const struct call_reader *reader)
{
    size_t end = reader->at + 1;

    while (end < reader->text.len && reader->text.data[end] != '\'')
        end += reader->text.data[end] == '\\' ? 2 : 1;
    return end;
}

/* \' is a quote; other backslashes mean more to States.Format than elsewhere. */
static enum status read_text(struct call_reader *reader, struct term *out)
{
    size_t end = end_of_text(reader), len = 0;
    char *text;

    if (end >= reader->text.len)
        return call_error(reader, "the quote is not closed");
    text = arena_alloc(reader->arena, end - reader->at);
    for (reader->at++; reader->at < end; reader->at++) {
        if (peek(reader) == '\\') {
            if (reader->text.data[reader->at + 1] != '\'')
                text[len++] = peek(reader);
            reader->at++;
        }
        text[len++] = peek(reader);
    }
    reader->at++;
    *out = (struct term){ .kind = TERM_TEXT, .text = { text, len } };
    return STATUS_OK;
}

/* Up to the ',' or ')' that ends it, outside of brackets and quotes. */
static struct str bare_text(struct call_reader *reader)
{
    size_t start = reader->at;
    char quote = '\0';
    int depth = 0;

    for (; reader->at < reader->text.len; reader->at++) {
        char c = peek(reader);

        if (quote != '\0') {
            quote = c == quote ? '\0' : quote;
            continue;
        }
        if ((c == ',' || c == ')') && depth == 0)
            break;
        if (c == '\'' || c == '"')
            quote = c;
        depth += (c == '[') - (c == ']');
    }
    return str_trim(str_slice(reader->text, start, reader->at));
}

static enum status read_bare(struct call_reader *reader, struct term *out)
{
    struct str text = bare_text(reader);
    yyjson_val *value;

    if (str_starts(text, STR("$"))) {
        out->kind = TERM_PATH;
        return json_path_parse(reader->arena, text, &out->path, reader->err);
    }
    *out = (struct term){ .kind = TERM_JSON, .text = text };
    if (json_parse(reader->arena, text, &value, reader->err) != STATUS_OK ||
        yyjson_is_ctn(value))
        return call_error(reader, "expected a path, a 'text', a number, true, false or null");
    return STATUS_OK;
}

static const struct intrinsic *find_in(const struct intrinsic *list, size_t count,
                                       struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(list[i].name, name))
            return &list[i];
    return NULL;
}

static const struct intrinsic *intrinsic_named(struct str name)
{
    const struct intrinsic *found = find_in(list_intrinsics, list_intrinsic_count, name);

    return found != NULL ? found : find_in(text_intrinsics, text_intrinsic_count, name);
}

static enum status unknown_function(const struct call_reader *reader, struct str name)
{
    size_t count = list_intrinsic_count + text_intrinsic_count;
    struct str *names = ARENA_ARRAY(reader->arena, struct str, count), near;

    for (size_t i = 0; i < count; i++)
        names[i] = i < list_intrinsic_count ? list_intrinsics[i].name
                                            : text_intrinsics[i - list_intrinsic_count].name;
    near = str_nearest(name, names, count);
    if (near.len == 0)
        return call_error(reader, "this intrinsic function is not known");
    return error_set(reader->err, STATUS_INVALID,
                     "'" STR_FMT "': '" STR_FMT "' is not known; did you mean '" STR_FMT "'?",
                     STR_ARG(reader->text), STR_ARG(name), STR_ARG(near));
}

static enum status read_call(struct call_reader *reader, unsigned depth, struct term *out);

static enum status read_term(struct call_reader *reader, unsigned depth, struct term *out)
{
    skip_spaces(reader);
    if (peek(reader) == '\'')
        return read_text(reader, out);
    if (intrinsic_is(str_slice(reader->text, reader->at, reader->text.len)))
        return read_call(reader, depth + 1, out);
    return read_bare(reader, out);
}

static enum status read_args(struct call_reader *reader, unsigned depth, struct term *out)
{
    skip_spaces(reader);
    while (peek(reader) != ')') {
        struct term term = { .kind = TERM_TEXT };

        if (out->count == INTRINSIC_ARGS_MAX)
            return call_error(reader, "too many arguments");
        TRY(read_term(reader, depth, &term));
        ARENA_PUSH(reader->arena, out->args, out->count, out->capacity) = term;
        skip_spaces(reader);
        if (peek(reader) == ',')
            reader->at++;
        else if (peek(reader) != ')')
            return call_error(reader, "expected ',' or ')'");
    }
    reader->at++;
    return STATUS_OK;
}

static enum status read_call(struct call_reader *reader, unsigned depth, struct term *out)
{
    size_t start = reader->at;
    struct term term = { .kind = TERM_CALL };

    if (depth > CALL_DEPTH_MAX)
        return call_error(reader, "calls are nested deeper than 10");
    while (reader->at < reader->text.len && peek(reader) != '(' && peek(reader) != ' ')
        reader->at++;
    term.function = intrinsic_named(str_slice(reader->text, start, reader->at));
    if (term.function == NULL)
        return unknown_function(reader, str_slice(reader->text, start, reader->at));
    if (peek(reader) != '(')
        return call_error(reader, "expected '('");
    reader->at++;
    TRY(read_args(reader, depth, &term));
    if (term.count < term.function->args_min || term.count > term.function->args_max)
        return call_error(reader, "wrong number of arguments");
    *out = term;
    return STATUS_OK;
}

static enum status read_whole(struct arena *arena, struct str text, struct term *out,
                              struct error *err)
{
    struct call_reader reader = { arena, text, 0, err };

    TRY(read_call(&reader, 1, out));
    if (reader.at != text.len)
        return call_error(&reader, "nothing may follow the call");
    return STATUS_OK;
}

enum status intrinsic_check(struct arena *arena, struct str text, struct error *err)
{
    struct term term;

    return read_whole(arena, text, &term, err);
}

/* \\, \{ and \} are the characters themselves; any other backslash is one. */
static struct str plain_text(struct arena *arena, struct str text)
{
    char *plain = arena_alloc(arena, text.len);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\' && i + 1 < text.len && text.data[i + 1] != '\0' &&
            strchr("\\{}", text.data[i + 1]) != NULL)
            i++;
        plain[len++] = text.data[i];
    }
    return (struct str){ plain, len };
}

static yyjson_mut_val *text_value(const struct scope *scope, struct str text)
{
    return yyjson_mut_strncpy(scope->doc, text.len == 0 ? "" : text.data, text.len);
}

static bool path_argument(const struct scope *scope, const struct json_path *path,
                          yyjson_mut_val **out, struct fault *fault)
{
    yyjson_mut_val *root = scope_root(scope, path);
    struct str seen;

    *out = root == NULL ? NULL : json_path_find(path, scope->doc, root);
    if (*out != NULL)
        return true;
    seen = json_mut_write(scope->arena, root == NULL ? scope->input : root);
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "The JsonPath argument for the field '" STR_FMT
                     "' could not be found in the input '" STR_FMT "'",
                     STR_ARG(path->text), STR_ARG(seen));
}

static bool term_value(const struct scope *scope, const struct term *term, yyjson_mut_val **out,
                       struct fault *fault);

static bool call_value(const struct scope *scope, const struct term *term, yyjson_mut_val **out,
                       struct fault *fault)
{
    yyjson_mut_val **args = ARENA_ARRAY(scope->arena, yyjson_mut_val *, term->count);

    for (size_t i = 0; i < term->count; i++) {
        bool template;

        if (scope_is_full(scope, fault))
            return false;
        template = i == 0 && term->args[i].kind == TERM_TEXT &&str_equal(term->function->name,
                                                                         STR("States.Format"));

        if (template)
            args[i] = text_value(scope, term->args[i].text);
        else if (!term_value(scope, &term->args[i], &args[i], fault))
            return false;
    }
    return term->function->call(scope, args, term->count, out, fault);
}

static bool term_value(const struct scope *scope, const struct term *term, yyjson_mut_val **out,
                       struct fault *fault)
{
    struct error err;
    yyjson_val *value;

    switch (term->kind) {
    case TERM_TEXT:
        *out = text_value(scope, plain_text(scope->arena, term->text));
        return true;
    case TERM_JSON:
        if (json_parse(scope->arena, term->text, &value, &err) != STATUS_OK)
            return fault_set(scope, fault, ERROR_RUNTIME, "%s", err.message);
        *out = yyjson_val_mut_copy(scope->doc, value);
        return true;
    case TERM_PATH:
        return path_argument(scope, &term->path, out, fault);
    case TERM_CALL:
        break;
    }
    return call_value(scope, term, out, fault);
}

bool intrinsic_value(const struct scope *scope, struct str text, yyjson_mut_val **out,
                     struct fault *fault)
{
    struct fault inner;
    struct error err;
    struct term term;

    if (read_whole(scope->arena, text, &term, &err) != STATUS_OK)
        return fault_set(scope, fault, ERROR_RUNTIME, "%s", err.message);
    if (term_value(scope, &term, out, &inner))
        return true;
    if (!str_equal(inner.error, ERROR_RUNTIME)) {
        *fault = inner;
        return false;
    }
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "The function '" STR_FMT "' had the following error: " STR_FMT,
                     STR_ARG(text), STR_ARG(inner.cause));
}
