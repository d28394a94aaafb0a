/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a tree: a lexer and one function for each level of precedence. */
#include "features/expression_program.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_NAME,
    TOKEN_QUOTED,
    TOKEN_SYMBOL
};

struct token {
    enum token_kind kind;
    struct str text; /* a string and a quoted name without their quotes, still doubled inside */
    size_t at;
};

struct parser {
    struct arena *arena;
    struct str text;
    size_t next; /* behind the current token */
    struct token token;
    size_t depth, nodes;
    size_t failed_at;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct parser *parser, size_t at)
{
    return at < parser->text.len ? parser->text.data[at] : '\0';
}

static enum status fail(struct parser *parser, size_t at, struct error *err, const char *what)
{
    parser->failed_at = at;
    return error_set(err, STATUS_INVALID, "%s", what);
}

static size_t number_end(const struct parser *parser, size_t at)
{
    while (is_digit(peek(parser, at)))
        at++;
    if (peek(parser, at) == '.' && is_digit(peek(parser, at + 1))) {
        at++;
        while (is_digit(peek(parser, at)))
            at++;
    }
    if (peek(parser, at) == 'e' || peek(parser, at) == 'E') {
        size_t digits = at + 1;

        if (peek(parser, digits) == '+' || peek(parser, digits) == '-')
            digits++;
        while (is_digit(peek(parser, digits)))
            at = ++digits;
    }
    return at;
}

/* "view.feature" is one name; a dot must be followed by a letter. */
static size_t name_end(const struct parser *parser, size_t at)
{
    for (;; at++) {
        char c = peek(parser, at);

        if (!is_letter(c) && !is_digit(c) && !(c == '.' && is_letter(peek(parser, at + 1))))
            return at;
    }
}

/* Behind the closing quote, which is doubled where it belongs to the text; 0: there is none. */
static size_t quoted_end(const struct parser *parser, size_t at)
{
    char quote = peek(parser, at++);

    for (; at < parser->text.len; at++) {
        if (parser->text.data[at] != quote)
            continue;
        if (peek(parser, at + 1) != quote)
            return at + 1;
        at++;
    }
    return 0;
}

static size_t symbol_end(const struct parser *parser, size_t at)
{
    static const char pairs[][3] = { "<=", ">=", "!=", "<>", "==", "//" };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (peek(parser, at) == pairs[i][0] && peek(parser, at + 1) == pairs[i][1])
            return at + 2;
    }
    return strchr("+-*/%()<>=,", peek(parser, at)) != NULL ? at + 1 : at;
}

static enum status bad_symbol(struct parser *parser, size_t at, struct error *err)
{
    char c = parser->text.data[at];

    if (c == '&' || c == '|' || c == '!')
        return fail(parser, at, err, "write 'and', 'or' and 'not' as words");
    parser->failed_at = at;
    if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f)
        return error_set(err, STATUS_INVALID, "this character has no meaning here");
    return error_set(err, STATUS_INVALID, "'%c' has no meaning here", c);
}

static enum status advance(struct parser *parser, struct error *err)
{
    size_t at = parser->next, end;
    struct token token = { .kind = TOKEN_SYMBOL };
    char c;

    while (at < parser->text.len && strchr(" \t\r\n", parser->text.data[at]) != NULL &&
           parser->text.data[at] != '\0')
        at++;
    token.at = at;
    c = peek(parser, at);
    if (at == parser->text.len) {
        token.kind = TOKEN_END;
        end = at;
    } else if (is_digit(c)) {
        token.kind = TOKEN_NUMBER;
        end = number_end(parser, at);
    } else if (is_letter(c)) {
        token.kind = TOKEN_NAME;
        end = name_end(parser, at);
    } else if (c == '\'' || c == '"') {
        token.kind = c == '"' ? TOKEN_QUOTED : TOKEN_STRING;
        end = quoted_end(parser, at);
        if (end == 0)
            return fail(parser, at, err, "this quote is never closed");
    } else {
        end = c == '\0' ? at : symbol_end(parser, at);
        if (end == at)
            return bad_symbol(parser, at, err);
    }
    token.text = str_slice(parser->text, at, end);
    if (token.kind == TOKEN_STRING || token.kind == TOKEN_QUOTED)
        token.text = str_slice(parser->text, at + 1, end - 1);
    parser->token = token;
    parser->next = end;
    return STATUS_OK;
}

static bool at_symbol(const struct parser *parser, const char *symbol)
{
    return parser->token.kind == TOKEN_SYMBOL &&
           str_equal(parser->token.text, str_from(symbol));
}

static bool at_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_NAME &&
           str_equal_nocase(parser->token.text, str_from(word));
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
    parser->failed_at = parser->token.at;
    if (parser->token.kind == TOKEN_END)
        return error_set(err, STATUS_INVALID, "expected '%s' at the end", symbol);
    return error_set(err, STATUS_INVALID, "expected '%s' before '" STR_FMT "'", symbol,
                     STR_ARG(str_slice(parser->token.text, 0, 80)));
}

static enum status count_node(struct parser *parser, struct error *err)
{
    if (++parser->nodes > EXPRESSION_NODES_MAX)
        return fail(parser, parser->token.at, err, "this expression is too long");
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
    struct str text = parser->token.text;
    struct value literal = { .type = TYPE_INT64 };

    if (is_negative)
        text = arena_printf(parser->arena, "-" STR_FMT, STR_ARG(text));
    if (memchr(text.data, '.', text.len) != NULL || memchr(text.data, 'e', text.len) != NULL ||
        memchr(text.data, 'E', text.len) != NULL) {
        literal.type = TYPE_FLOAT64;
        if (!str_to_double(text, &literal.number) || literal.number - literal.number != 0)
            return fail(parser, parser->token.at, err, "this number does not fit into float64");
    } else if (!str_to_int64(text, &literal.integer)) {
        return fail(parser, parser->token.at, err,
                    "this number does not fit into int64; write it with '.0' as float64");
    }
    if (is_letter(peek(parser, parser->next)) || peek(parser, parser->next) == '.')
        return fail(parser, parser->token.at, err, "this is no number");
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
        return fail(parser, parser->token.at, err, "a value is missing before this word");
    out->name = parser->token.text;
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
    *out = (struct expression_node){ .at = parser->token.at };
    TRY(count_node(parser, err));
    switch (parser->token.kind) {
    case TOKEN_NUMBER:
        return number(parser, false, out, err);
    case TOKEN_STRING:
        out->kind = NODE_LITERAL;
        out->literal = (struct value){ .type = TYPE_STRING };
        out->literal.text = undoubled(parser->arena, parser->token.text, '\'');
        return advance(parser, err);
    case TOKEN_QUOTED:
        out->kind = NODE_NAME;
        out->name = undoubled(parser->arena, parser->token.text, '"');
        return advance(parser, err);
    case TOKEN_NAME:
        return word(parser, out, err);
    case TOKEN_END:
        return fail(parser, parser->token.at, err, "a value is missing at the end");
    case TOKEN_SYMBOL:
        break;
    }
    if (!at_symbol(parser, "(")) {
        parser->failed_at = parser->token.at;
        return error_set(err, STATUS_INVALID, "a value is missing before '" STR_FMT "'",
                         STR_ARG(parser->token.text));
    }
    TRY(advance(parser, err));
    TRY(parse_or(parser, out, err));
    return expect(parser, ")", err);
}

/* Every way down comes through here, so this is where depth is counted. */
static enum status parse_unary(struct parser *parser, struct expression_node *out,
                               struct error *err)
{
    size_t at = parser->token.at;
    struct expression_node arg;
    enum status status;

    if (++parser->depth > EXPRESSION_DEPTH_MAX)
        return fail(parser, at, err, "this expression is nested too deeply");
    if (!at_symbol(parser, "-")) {
        status = parse_primary(parser, out, err);
    } else {
        TRY(advance(parser, err));
        *out = (struct expression_node){ .at = at };
        if (parser->token.kind == TOKEN_NUMBER)
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
        size_t at = parser->token.at;

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
    size_t at = parser->token.at;

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
    size_t at = parser->token.at;
    bool is_not;

    TRY(advance(parser, err));
    is_not = at_word(parser, "not");
    if (is_not)
        TRY(advance(parser, err));
    if (!at_word(parser, "null"))
        return fail(parser, parser->token.at, err, "expected 'null' after 'is'");
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
    at = parser->token.at;
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
        return fail(parser, parser->token.at, err,
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
    size_t at = parser->token.at;
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
        struct expression_node args[2] = { *out };
        size_t at = parser->token.at;

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
    if (parser->text.len > EXPRESSION_TEXT_MAX)
        return fail(parser, 0, err, "this expression is too long");
    if (!str_is_utf8(parser->text))
        return fail(parser, 0, err, "this expression is not UTF-8");
    TRY(advance(parser, err));
    if (parser->token.kind == TOKEN_END)
        return fail(parser, 0, err, "the expression is empty");
    TRY(parse_or(parser, out, err));
    if (parser->token.kind == TOKEN_END)
        return STATUS_OK;
    parser->failed_at = parser->token.at;
    return error_set(err, STATUS_INVALID, "expected an operator before '" STR_FMT "'",
                     STR_ARG(str_slice(parser->token.text, 0, 80)));
}

enum status expression_parse(struct arena *arena, struct str text, struct expression_node *out,
                             size_t *at, struct error *err)
{
    struct parser parser = { .arena = arena, .text = text };
    enum status status = parse_whole(&parser, out, err);

    if (status != STATUS_OK)
        *at = parser.failed_at;
    return status;
}
