/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/json_path_filter.h"

#define FILTER_DEPTH_MAX 20
#define FILTER_PARTS_MAX 100

enum filter_kind { FILTER_OR, FILTER_AND, FILTER_NOT, FILTER_EXISTS, FILTER_TEST };
enum operand_kind { OPERAND_ITEM, OPERAND_ROOT, OPERAND_LITERAL };
enum filter_operator {
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS_OR_EQUAL,
    OPERATOR_GREATER_OR_EQUAL,
    OPERATOR_LESS,
    OPERATOR_GREATER,
    OPERATOR_IN,
    OPERATOR_NOT_IN,
};

struct operand {
    enum operand_kind kind;
    struct json_path path;
    yyjson_mut_val *literal;
};

struct path_filter {
    enum filter_kind kind;
    struct path_filter *parts; /* of OR, AND and NOT */
    size_t part_count;
    struct operand left, right;
    enum filter_operator operator;
};

struct filter_reader {
    struct arena *arena;
    struct str text;
    size_t at;
    unsigned depth;
    size_t parts; /* all of them */
    struct error *err;
};

static char peek(const struct filter_reader *reader)
{
    return reader->at < reader->text.len ? reader->text.data[reader->at] : '\0';
}

static void skip_spaces(struct filter_reader *reader)
{
    while (peek(reader) == ' ')
        reader->at++;
}

static enum status filter_error(const struct filter_reader *reader, const char *what)
{
    return error_set(reader->err, STATUS_INVALID,
                     "'" STR_FMT "' is no path: %s at character %zu", STR_ARG(reader->text),
                     what, reader->at + 1);
}

static bool takes(struct filter_reader *reader, const char *word)
{
    struct str rest = str_slice(reader->text, reader->at, reader->text.len);

    if (!str_starts(rest, str_from(word)))
        return false;
    reader->at += strlen(word);
    return true;
}

/* Up to what ends an operand, outside of brackets and quotes. */
static struct str operand_text(struct filter_reader *reader)
{
    size_t start = reader->at;
    char quote = '\0';
    int depth = 0;

    for (; reader->at < reader->text.len; reader->at++) {
        char c = peek(reader);

        if (quote != '\0') {
            if (c == '\\')
                reader->at++;
            else if (c == quote)
                quote = '\0';
            continue;
        }
        if (depth == 0 && strchr(" )=!<>&|", c) != NULL)
            break;
        if (c == '\'' || c == '"')
            quote = c;
        depth += (c == '[') - (c == ']');
    }
    if (reader->at > reader->text.len)
        reader->at = reader->text.len;
    return str_slice(reader->text, start, reader->at);
}

static enum status read_path(struct filter_reader *reader, struct str text, struct operand *out)
{
    char *copy = arena_cstr(reader->arena, text);

    out->kind = copy[0] == '@' ? OPERAND_ITEM : OPERAND_ROOT;
    copy[0] = '$';
    TRY(json_path_parse(reader->arena, (struct str){ copy, text.len }, &out->path,
                        reader->err));
    if (!json_path_is_reference(&out->path))
        return filter_error(reader, "only single names and indexes may stand in a filter");
    return STATUS_OK;
}

/* JSON, but that its strings may stand in single quotes. */
static struct str json_text(struct filter_reader *reader, struct str text)
{
    char *copy = arena_alloc(reader->arena, 2 * text.len + 1);
    size_t len = 0;
    char quote = '\0';

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '\\' && quote == '\'' && i + 1 < text.len && text.data[i + 1] == '\'') {
            c = text.data[++i];
        } else if (c == '\\' && i + 1 < text.len) {
            copy[len++] = c;
            c = text.data[++i];
        } else if (c == quote || (quote == '\0' && (c == '\'' || c == '"'))) {
            quote = quote == '\0' ? c : '\0';
            c = '"';
        } else if (c == '"') {
            copy[len++] = '\\';
        }
        copy[len++] = c;
    }
    return (struct str){ copy, len };
}

static enum status read_operand(struct filter_reader *reader, struct operand *out)
{
    struct error ignored;
    yyjson_val *value;
    struct str text;

    *out = (struct operand){ .kind = OPERAND_LITERAL };
    skip_spaces(reader);
    text = operand_text(reader);
    if (text.len > 0 && (text.data[0] == '@' || text.data[0] == '$'))
        return read_path(reader, text, out);
    if (text.len == 0 ||
        json_parse(reader->arena, json_text(reader, text), &value, &ignored) != STATUS_OK)
        return filter_error(reader, "expected @, $, a number, a 'text', true, false or null");
    out->literal = yyjson_val_mut_copy(json_mut_doc(reader->arena), value);
    return STATUS_OK;
}

static bool read_operator(struct filter_reader *reader, enum filter_operator *out)
{
    static const char *const signs[] = { "==", "!=", "<=", ">=", "<", ">", "in ", "nin " };

    skip_spaces(reader);
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (takes(reader, signs[i])) {
            *out = (enum filter_operator)i;
            return true;
        }
    }
    return false;
}

static enum status read_or(struct filter_reader *reader, struct path_filter *out);

static enum status read_test(struct filter_reader *reader, struct path_filter *out)
{
    TRY(read_operand(reader, &out->left));
    out->kind = FILTER_TEST;
    if (read_operator(reader, &out->operator))
        return read_operand(reader, &out->right);
    out->kind = FILTER_EXISTS;
    return out->left.kind == OPERAND_LITERAL ? filter_error(reader, "expected a comparison")
                                             : STATUS_OK;
}

static enum status read_brackets(struct filter_reader *reader, struct path_filter *out)
{
    TRY(read_or(reader, out));
    skip_spaces(reader);
    return takes(reader, ")") ? STATUS_OK : filter_error(reader, "expected ')'");
}

static enum status read_unit(struct filter_reader *reader, struct path_filter *out)
{
    enum status status;

    *out = (struct path_filter){ 0 };
    if (++reader->depth > FILTER_DEPTH_MAX || ++reader->parts > FILTER_PARTS_MAX)
        return filter_error(reader, "the filter is too long");
    skip_spaces(reader);
    if (takes(reader, "(")) {
        status = read_brackets(reader, out);
    } else if (takes(reader, "!")) {
        out->kind = FILTER_NOT;
        out->part_count = 1;
        out->parts = ARENA_NEW(reader->arena, struct path_filter);
        status = read_unit(reader, out->parts);
    } else {
        status = read_test(reader, out);
    }
    reader->depth--;
    return status;
}

typedef enum status (*read_part)(struct filter_reader *reader, struct path_filter *out);

static enum status read_joined(struct filter_reader *reader, const char *word,
                               enum filter_kind kind, read_part part, struct path_filter *out)
{
    struct path_filter all = { .kind = kind };
    size_t capacity = 0;

    do {
        struct path_filter one;

        TRY(part(reader, &one));
        ARENA_PUSH(reader->arena, all.parts, all.part_count, capacity) = one;
        skip_spaces(reader);
    } while (takes(reader, word));
    *out = all.part_count == 1 ? all.parts[0] : all;
    return STATUS_OK;
}

static enum status read_and(struct filter_reader *reader, struct path_filter *out)
{
    return read_joined(reader, "&&", FILTER_AND, read_unit, out);
}

static enum status read_or(struct filter_reader *reader, struct path_filter *out)
{
    return read_joined(reader, "||", FILTER_OR, read_and, out);
}

enum status path_filter_parse(struct arena *arena, struct str text, size_t *at,
                              struct path_filter **out, struct error *err)
{
    struct filter_reader reader = { .arena = arena, .text = text, .at = *at, .err = err };
    struct path_filter filter;

    if (!takes(&reader, "("))
        return filter_error(&reader, "expected '('");
    TRY(read_brackets(&reader, &filter));
    *at = reader.at;
    *out = ARENA_NEW(arena, struct path_filter);
    **out = filter;
    return STATUS_OK;
}

/* NULL: there is none. */
static yyjson_mut_val *operand_value(const struct operand *operand, yyjson_mut_val *root,
                                     yyjson_mut_val *item)
{
    switch (operand->kind) {
    case OPERAND_ITEM:
        return json_path_find(&operand->path, NULL, item);
    case OPERAND_ROOT:
        return json_path_find(&operand->path, NULL, root);
    case OPERAND_LITERAL:
        break;
    }
    return operand->literal;
}

/* A text that is a number counts as one beside a number. */
static bool number_of(yyjson_mut_val *value, double *out)
{
    *out = yyjson_mut_get_num(value);
    return yyjson_mut_is_num(value) ||
           (yyjson_mut_is_str(value) &&
            str_to_double((struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) },
                          out));
}

static bool are_equal(yyjson_mut_val *a, yyjson_mut_val *b)
{
    double x, y;

    if (a == NULL || b == NULL)
        return a == b;
    if (yyjson_mut_is_num(a) || yyjson_mut_is_num(b))
        return number_of(a, &x) && number_of(b, &y) && x == y;
    return yyjson_mut_equals(a, b);
}

static bool is_less(yyjson_mut_val *a, yyjson_mut_val *b)
{
    double x, y;

    if (yyjson_mut_is_num(a) && yyjson_mut_is_num(b))
        return number_of(a, &x) && number_of(b, &y) && x < y;
    return yyjson_mut_is_str(a) && yyjson_mut_is_str(b) &&
           str_compare((struct str){ yyjson_mut_get_str(a), yyjson_mut_get_len(a) },
                       (struct str){ yyjson_mut_get_str(b), yyjson_mut_get_len(b) }) < 0;
}

static bool is_in(yyjson_mut_val *value, yyjson_mut_val *list)
{
    yyjson_mut_val *item;
    size_t i, count;

    if (value != NULL && yyjson_mut_is_arr(list))
        yyjson_mut_arr_foreach(list, i, count, item)
        {
            if (are_equal(value, item))
                return true;
        }
    return false;
}

static bool test_holds(const struct path_filter *filter, yyjson_mut_val *a, yyjson_mut_val *b)
{
    switch (filter->operator) {
    case OPERATOR_EQUAL:
        return are_equal(a, b);
    case OPERATOR_UNEQUAL:
        return !are_equal(a, b);
    case OPERATOR_LESS:
        return is_less(a, b);
    case OPERATOR_GREATER:
        return is_less(b, a);
    case OPERATOR_LESS_OR_EQUAL:
        return is_less(a, b) || (a != NULL && are_equal(a, b));
    case OPERATOR_GREATER_OR_EQUAL:
        return is_less(b, a) || (a != NULL && are_equal(a, b));
    case OPERATOR_IN:
        return is_in(a, b);
    case OPERATOR_NOT_IN:
        return !is_in(a, b);
    }
    return false;
}

bool path_filter_holds(const struct path_filter *filter, yyjson_mut_val *root,
                       yyjson_mut_val *item)
{
    bool wanted = filter->kind == FILTER_OR;

    switch (filter->kind) {
    case FILTER_EXISTS:
        return operand_value(&filter->left, root, item) != NULL;
    case FILTER_TEST:
        return test_holds(filter, operand_value(&filter->left, root, item),
                          operand_value(&filter->right, root, item));
    case FILTER_NOT:
        return !path_filter_holds(filter->parts, root, item);
    case FILTER_OR:
    case FILTER_AND:
        break;
    }
    for (size_t i = 0; i < filter->part_count; i++)
        if (path_filter_holds(&filter->parts[i], root, item) == wanted)
            return wanted;
    return !wanted;
}
