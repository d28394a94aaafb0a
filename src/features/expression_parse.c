/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree: one function for each level of precedence. */
#include "features/expression_lexer.h"
#include "features/expression_program.h"

struct parser {
    struct arena *arena;
    struct lexer lexer;
    size_t depth, nodes;
};

static enum status fail(struct parser *parser, size_t at, struct error *err, const char *what)
{
    return lexer_fail(&parser->lexer, at, err, what);
}

static enum status advance(struct parser *parser, struct error *err)
{
    return lexer_next(&parser->lexer, err);
}

static bool at_symbol(const struct parser *parser, const char *symbol)
{
    return lexer_at_symbol(&parser->lexer, symbol);
}

static bool at_word(const struct parser *parser, const char *word)
{
    return lexer_at_word(&parser->lexer, word);
}

/* The one of the symbols that comes next, or NULL. */
static const char *symbol_among(const struct parser *parser, const char *const *symbols)
{
    for (; *symbols != NULL; symbols++) {
        if (at_symbol(parser, *symbols))
            return *symbols;
    }
    return NULL;
}

static enum status expect(struct parser *parser, const char *symbol, struct error *err)
{
    if (at_symbol(parser, symbol))
        return advance(parser, err);
    parser->lexer.failed_at = parser->lexer.token.at;
    if (parser->lexer.token.kind == TOKEN_END)
        return error_set(err, STATUS_INVALID, "expected '%s' at the end", symbol);
    return error_set(err, STATUS_INVALID, "expected '%s' before '" STR_FMT "'", symbol,
                     STR_ARG(str_slice(parser->lexer.token.text, 0, 80)));
}

static enum status count_node(struct parser *parser, struct error *err)
{
    if (++parser->nodes > EXPRESSION_NODES_MAX)
        return fail(parser, parser->lexer.token.at, err, "this expression is too long");
    return STATUS_OK;
}

/* A call of an operator or a function on copies of the arguments. */
static enum status call(struct parser *parser, const char *name, size_t at,
                        const struct expression_node *args, size_t count,
                        struct expression_node *out, struct error *err)
{
    struct expression_node node = {
        .kind = NODE_CALL, .at = at, .name = str_from(name), .is_operator = true
    };

    TRY(count_node(parser, err));
    node.args = ARENA_ARRAY(parser->arena, struct expression_node, count);
    memcpy(node.args, args, count * sizeof(*args));
    node.arg_count = count;
    *out = node;
    return STATUS_OK;
}

static enum status parse_or(struct parser *parser, struct expression_node *out,
                            struct error *err);

static enum status number(struct parser *parser, bool is_negative, struct expression_node *out,
                          struct error *err)
{
    struct str text = parser->lexer.token.text;
    struct value literal = { .type = TYPE_INT64 };

    if (is_negative)
        text = arena_printf(parser->arena, "-" STR_FMT, STR_ARG(text));
    if (memchr(text.data, '.', text.len) != NULL || memchr(text.data, 'e', text.len) != NULL ||
        memchr(text.data, 'E', text.len) != NULL) {
        literal.type = TYPE_FLOAT64;
        if (!str_to_double(text, &literal.number) || literal.number - literal.number != 0)
            return fail(parser, parser->lexer.token.at, err,
                        "this number does not fit into float64");
    } else if (!str_to_int64(text, &literal.integer)) {
        return fail(parser, parser->lexer.token.at, err,
                    "this number does not fit into int64; write it with '.0' as float64");
    }
    if (lexer_is_glued(&parser->lexer))
        return fail(parser, parser->lexer.token.at, err, "this is no number");
    out->kind = NODE_LITERAL;
    out->literal = literal;
    return advance(parser, err);
}

/* Without the doubling of its quotes. */
static struct str undoubled(struct arena *arena, struct str text, char quote)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        copy[len++] = text.data[i];
        if (text.data[i] == quote)
            i++;
    }
    return (struct str){ copy, len };
}

static enum status arguments(struct parser *parser, struct expression_node *out,
                             struct error *err)
{
    size_t capacity = 0;

    TRY(expect(parser, "(", err));
    while (!at_symbol(parser, ")")) {
        struct expression_node arg;

        if (out->arg_count > 0)
            TRY(expect(parser, ",", err));
        TRY(parse_or(parser, &arg, err));
        ARENA_PUSH(parser->arena, out->args, out->arg_count, capacity) = arg;
    }
    return expect(parser, ")", err);
}

static bool is_reserved(const struct parser *parser)
{
    static const char *const words[] = { "and", "or", "not", "in", "is" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (at_word(parser, words[i]))
            return true;
    }
    return false;
}

/* A name, a call, or one of the words that are values. */
static enum status word(struct parser *parser, struct expression_node *out, struct error *err)
{
    bool is_true = at_word(parser, "true");

    if (is_reserved(parser))
        return fail(parser, parser->lexer.token.at, err, "a value is missing before this word");
    out->name = parser->lexer.token.text;
    if (is_true || at_word(parser, "false")) {
        out->kind = NODE_LITERAL;
        out->literal = (struct value){ .type = TYPE_BOOL, .boolean = is_true };
    } else if (at_word(parser, "null")) {
        out->kind = NODE_NULL;
    } else {
        out->kind = NODE_NAME;
    }
    TRY(advance(parser, err));
    if (out->kind == NODE_NAME && at_symbol(parser, "(")) {
        out->kind = NODE_CALL;
        return arguments(parser, out, err);
    }
    return STATUS_OK;
}

static enum status parse_primary(struct parser *parser, struct expression_node *out,
                                 struct error *err)
{
    *out = (struct expression_node){ .at = parser->lexer.token.at };
    TRY(count_node(parser, err));
    switch (parser->lexer.token.kind) {
    case TOKEN_NUMBER:
        return number(parser, false, out, err);
    case TOKEN_STRING:
        out->kind = NODE_LITERAL;
        out->literal = (struct value){ .type = TYPE_STRING };
        out->literal.text = undoubled(parser->arena, parser->lexer.token.text, '\'');
        return advance(parser, err);
    case TOKEN_QUOTED:
        out->kind = NODE_NAME;
        out->name = undoubled(parser->arena, parser->lexer.token.text, '"');
        return advance(parser, err);
    case TOKEN_NAME:
        return word(parser, out, err);
    case TOKEN_END:
        return fail(parser, parser->lexer.token.at, err, "a value is missing at the end");
    case TOKEN_SYMBOL:
        break;
    }
    if (!at_symbol(parser, "(")) {
        parser->lexer.failed_at = parser->lexer.token.at;
        return error_set(err, STATUS_INVALID, "a value is missing before '" STR_FMT "'",
                         STR_ARG(parser->lexer.token.text));
    }
    TRY(advance(parser, err));
    TRY(parse_or(parser, out, err));
    return expect(parser, ")", err);
}

/* Every way down comes through here, so this is where depth is counted. */
static enum status parse_unary(struct parser *parser, struct expression_node *out,
                               struct error *err)
{
    size_t at = parser->lexer.token.at;
    struct expression_node arg;
    enum status status;

    if (++parser->depth > EXPRESSION_DEPTH_MAX)
        return fail(parser, at, err, "this expression is nested too deeply");
    if (!at_symbol(parser, "-")) {
        status = parse_primary(parser, out, err);
    } else {
        TRY(advance(parser, err));
        *out = (struct expression_node){ .at = at };
        if (parser->lexer.token.kind == TOKEN_NUMBER)
            status = number(parser, true, out, err);
        else if ((status = parse_unary(parser, &arg, err)) == STATUS_OK)
            status = call(parser, "-", at, &arg, 1, out, err);
    }
    parser->depth--;
    return status;
}

typedef enum status (*level)(struct parser *parser, struct expression_node *out,
                             struct error *err);

/* Operators of one precedence, grouped from the left. */
static enum status parse_left(struct parser *parser, const char *const *symbols, level below,
                              struct expression_node *out, struct error *err)
{
    const char *symbol;

    TRY(below(parser, out, err));
    while ((symbol = symbol_among(parser, symbols)) != NULL) {
        struct expression_node args[2] = { *out };
        size_t at = parser->lexer.token.at;

        TRY(advance(parser, err));
        TRY(below(parser, &args[1], err));
        TRY(call(parser, symbol, at, args, 2, out, err));
    }
    return STATUS_OK;
}

static enum status parse_product(struct parser *parser, struct expression_node *out,
                                 struct error *err)
{
    static const char *const symbols[] = { "*", "/", "//", "%", NULL };

    return parse_left(parser, symbols, parse_unary, out, err);
}

static enum status parse_sum(struct parser *parser, struct expression_node *out,
                             struct error *err)
{
    static const char *const symbols[] = { "+", "-", NULL };

    return parse_left(parser, symbols, parse_product, out, err);
}

/* "x in (1, 2)" is "x = 1 or x = 2". */
static enum status parse_in(struct parser *parser, struct expression_node *out,
                            struct error *err)
{
    struct expression_node list = { 0 }, sides[2], tests[2];
    struct expression_node wanted = *out;
    size_t at = parser->lexer.token.at;

    TRY(advance(parser, err));
    TRY(arguments(parser, &list, err));
    if (list.arg_count == 0)
        return fail(parser, at, err, "the list after 'in' is empty");
    for (size_t i = 0; i < list.arg_count; i++) {
        sides[0] = wanted;
        sides[1] = list.args[i];
        TRY(call(parser, "=", at, sides, 2, &tests[1], err));
        if (i > 0)
            TRY(call(parser, "or", at, tests, 2, &tests[1], err));
        tests[0] = tests[1];
    }
    *out = tests[0];
    return STATUS_OK;
}

static enum status negate(struct parser *parser, size_t at, struct expression_node *out,
                          struct error *err)
{
    struct expression_node arg = *out;

    return call(parser, "not", at, &arg, 1, out, err);
}

/* "x is null", "x is not null" */
static enum status parse_is(struct parser *parser, struct expression_node *out,
                            struct error *err)
{
    struct expression_node arg = *out;
    size_t at = parser->lexer.token.at;
    bool is_not;

    TRY(advance(parser, err));
    is_not = at_word(parser, "not");
    if (is_not)
        TRY(advance(parser, err));
    if (!at_word(parser, "null"))
        return fail(parser, parser->lexer.token.at, err, "expected 'null' after 'is'");
    TRY(advance(parser, err));
    TRY(call(parser, "is_null", at, &arg, 1, out, err));
    return is_not ? negate(parser, at, out, err) : STATUS_OK;
}

static const char *const comparisons[] = { "=", "==", "!=", "<>", "<=", ">=", "<", ">", NULL };

static enum status parse_comparison(struct parser *parser, struct expression_node *out,
                                    struct error *err)
{
    struct expression_node args[2];
    const char *symbol;
    size_t at;

    TRY(parse_sum(parser, out, err));
    at = parser->lexer.token.at;
    if (at_word(parser, "is"))
        return parse_is(parser, out, err);
    if (at_word(parser, "in"))
        return parse_in(parser, out, err);
    if (at_word(parser, "not")) {
        TRY(advance(parser, err));
        if (!at_word(parser, "in"))
            return fail(parser, at, err, "expected 'in' after 'not'");
        TRY(parse_in(parser, out, err));
        return negate(parser, at, out, err);
    }
    symbol = symbol_among(parser, comparisons);
    if (symbol == NULL)
        return STATUS_OK;
    args[0] = *out;
    TRY(advance(parser, err));
    TRY(parse_sum(parser, &args[1], err));
    if (symbol_among(parser, comparisons) != NULL)
        return fail(parser, parser->lexer.token.at, err,
                    "comparisons do not chain; join two of them with 'and'");
    if (strcmp(symbol, "==") == 0)
        symbol = "=";
    else if (strcmp(symbol, "<>") == 0)
        symbol = "!=";
    return call(parser, symbol, at, args, 2, out, err);
}

static enum status parse_not(struct parser *parser, struct expression_node *out,
                             struct error *err)
{
    size_t at = parser->lexer.token.at;
    size_t nots = 0;

    for (; at_word(parser, "not"); nots++)
        TRY(advance(parser, err));
    TRY(parse_comparison(parser, out, err));
    for (; nots > 0; nots--)
        TRY(negate(parser, at, out, err));
    return STATUS_OK;
}

static enum status parse_words(struct parser *parser, const char *joining, level below,
                               struct expression_node *out, struct error *err)
{
    TRY(below(parser, out, err));
    while (at_word(parser, joining)) {
        /* NOLINTNEXTLINE(-Wanalyzer-use-of-uninitialized-value): `below` has set it */
        struct expression_node args[2] = { *out };
        size_t at = parser->lexer.token.at;

        TRY(advance(parser, err));
        TRY(below(parser, &args[1], err));
        TRY(call(parser, joining, at, args, 2, out, err));
    }
    return STATUS_OK;
}

static enum status parse_and(struct parser *parser, struct expression_node *out,
                             struct error *err)
{
    return parse_words(parser, "and", parse_not, out, err);
}

static enum status parse_or(struct parser *parser, struct expression_node *out,
                            struct error *err)
{
    return parse_words(parser, "or", parse_and, out, err);
}

static enum status parse_whole(struct parser *parser, struct expression_node *out,
                               struct error *err)
{
    if (parser->lexer.text.len > EXPRESSION_TEXT_MAX)
        return fail(parser, 0, err, "this expression is too long");
    if (!str_is_utf8(parser->lexer.text))
        return fail(parser, 0, err, "this expression is not UTF-8");
    TRY(advance(parser, err));
    if (parser->lexer.token.kind == TOKEN_END)
        return fail(parser, 0, err, "the expression is empty");
    TRY(parse_or(parser, out, err));
    if (parser->lexer.token.kind == TOKEN_END)
        return STATUS_OK;
    parser->lexer.failed_at = parser->lexer.token.at;
    return error_set(err, STATUS_INVALID, "expected an operator before '" STR_FMT "'",
                     STR_ARG(str_slice(parser->lexer.token.text, 0, 80)));
}

enum status expression_parse(struct arena *arena, struct str text, struct expression_node *out,
                             size_t *at, struct error *err)
{
    struct parser parser = { .arena = arena, .lexer = { .text = text } };
    enum status status = parse_whole(&parser, out, err);

    if (status != STATUS_OK)
        *at = parser.lexer.failed_at;
    return status;
}
