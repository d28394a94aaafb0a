/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/intrinsic.h"

#include "base/buffer.h"

#define CALL_DEPTH_MAX 10
#define CALL_ARGS_MAX 100

/* One call or argument, as written; evaluated when the state runs. */
enum term_kind { TERM_CALL, TERM_PATH, TERM_TEXT, TERM_JSON };

struct term {
    enum term_kind kind;
    const struct intrinsic *function;
    struct term *args;
    size_t count, capacity;
    struct json_path path;
    struct str text; /* of TERM_TEXT, unescaped; of TERM_JSON, a literal */
};

struct intrinsic {
    struct str name;
    size_t args_min, args_max;
    bool (*call)(const struct scope *scope, yyjson_mut_val **args, size_t count,
                 yyjson_mut_val **out, struct fault *fault);
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

static void append_shown(const struct scope *scope, struct buffer *out, yyjson_mut_val *value);

static void append_object(const struct scope *scope, struct buffer *out, yyjson_mut_val *object)
{
    yyjson_mut_val *key, *value;
    size_t i, count;

    buffer_append_byte(out, '{');
    yyjson_mut_obj_foreach(object, i, count, key, value)
    {
        if (i > 0)
            buffer_append(out, STR(", "));
        append_shown(scope, out, key);
        buffer_append_byte(out, '=');
        append_shown(scope, out, value);
    }
    buffer_append_byte(out, '}');
}

static void append_list(const struct scope *scope, struct buffer *out, yyjson_mut_val *list)
{
    yyjson_mut_val *value;
    size_t i, count;

    buffer_append_byte(out, '[');
    yyjson_mut_arr_foreach(list, i, count, value)
    {
        if (i > 0)
            buffer_append(out, STR(", "));
        append_shown(scope, out, value);
    }
    buffer_append_byte(out, ']');
}

/* As Step Functions shows values in a text: no quotes, and objects as {key=value}. */
static void append_shown(const struct scope *scope, struct buffer *out, yyjson_mut_val *value)
{
    if (yyjson_mut_is_str(value))
        buffer_append(out,
                      (struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) });
    else if (yyjson_mut_is_obj(value))
        append_object(scope, out, value);
    else if (yyjson_mut_is_arr(value))
        append_list(scope, out, value);
    else
        buffer_append(out, json_mut_write(scope->arena, value));
}

static bool format_template(const struct scope *scope, struct str template,
                            yyjson_mut_val **args, size_t count, struct buffer *out,
                            struct fault *fault)
{
    size_t used = 0;

    for (size_t i = 0; i < template.len; i++) {
        if (template.data[i] == '\\' && i + 1 < template.len &&
            strchr("{}\\", template.data[i + 1])) {
            buffer_append_byte(out, template.data[++i]);
        } else if (template.data[i] == '{' && i + 1 < template.len &&
                   template.data[i + 1] == '}') {
            if (used == count)
                return fault_set(scope, fault, ERROR_INTRINSIC,
                                 "States.Format has more {} than arguments");
            append_shown(scope, out, args[used++]);
            i++;
        } else {
            buffer_append_byte(out, template.data[i]);
        }
    }
    if (used != count)
        return fault_set(scope, fault, ERROR_INTRINSIC,
                         "States.Format has fewer {} than arguments");
    return true;
}

static bool call_format(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    struct str template = { yyjson_mut_get_str(args[0]), yyjson_mut_get_len(args[0]) };
    struct buffer text = { 0 };
    bool ok;

    if (template.data == NULL)
        return fault_set(scope, fault, ERROR_INTRINSIC,
                         "the first argument of States.Format must be a string");
    ok = format_template(scope, template, args + 1, count - 1, &text, fault);
    if (ok)
        *out = yyjson_mut_strncpy(scope->doc, text.len == 0 ? "" : text.data, text.len);
    buffer_free(&text);
    return ok;
}

static const struct intrinsic intrinsics[] = {
    { STR_INIT("States.Format"), 1, CALL_ARGS_MAX, call_format },
};

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

static enum status read_text(struct call_reader *reader, struct term *out)
{
    char *text = arena_alloc(reader->arena, reader->text.len);
    size_t len = 0;

    for (reader->at++; peek(reader) != '\''; reader->at++) {
        if (reader->at >= reader->text.len)
            return call_error(reader, "the quote is not closed");
        /* \' is a quote; what else a backslash means is the function's affair. */
        if (peek(reader) == '\\' && reader->at + 1 < reader->text.len) {
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

static const struct intrinsic *intrinsic_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(intrinsics); i++)
        if (str_equal(intrinsics[i].name, name))
            return &intrinsics[i];
    return NULL;
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
        return call_error(reader,
                          "this intrinsic function is not known; there is States.Format");
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

static bool term_value(const struct scope *scope, struct str field, const struct term *term,
                       yyjson_mut_val **out, struct fault *fault)
{
    yyjson_mut_val **args;
    struct error err;
    yyjson_val *value;

    switch (term->kind) {
    case TERM_TEXT:
        *out = yyjson_mut_strncpy(scope->doc, term->text.data, term->text.len);
        return true;
    case TERM_JSON:
        if (json_parse(scope->arena, term->text, &value, &err) != STATUS_OK)
            return fault_set(scope, fault, ERROR_INTRINSIC, "%s", err.message);
        *out = yyjson_val_mut_copy(scope->doc, value);
        return true;
    case TERM_PATH:
        return path_value(scope, field, &term->path, out, fault);
    case TERM_CALL:
        break;
    }
    args = ARENA_ARRAY(scope->arena, yyjson_mut_val *, term->count);
    for (size_t i = 0; i < term->count; i++)
        if (!term_value(scope, field, &term->args[i], &args[i], fault))
            return false;
    return term->function->call(scope, args, term->count, out, fault);
}

bool intrinsic_value(const struct scope *scope, struct str field, struct str text,
                     yyjson_mut_val **out, struct fault *fault)
{
    struct error err;
    struct term term;

    if (read_whole(scope->arena, text, &term, &err) != STATUS_OK)
        return fault_set(scope, fault, ERROR_INTRINSIC, "%s", err.message);
    return term_value(scope, field, &term, out, fault);
}
