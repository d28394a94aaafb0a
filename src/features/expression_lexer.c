/* SPDX-License-Identifier: Apache-2.0 */
#include "features/expression_lexer.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct lexer *lexer, size_t at)
{
    return at < lexer->text.len ? lexer->text.data[at] : '\0';
}

enum status lexer_fail(struct lexer *lexer, size_t at, struct error *err, const char *what)
{
    lexer->failed_at = at;
    return error_set(err, STATUS_INVALID, "%s", what);
}

static size_t number_end(const struct lexer *lexer, size_t at)
{
    while (is_digit(peek(lexer, at)))
        at++;
    if (peek(lexer, at) == '.' && is_digit(peek(lexer, at + 1))) {
        at++;
        while (is_digit(peek(lexer, at)))
            at++;
    }
    if (peek(lexer, at) == 'e' || peek(lexer, at) == 'E') {
        size_t digits = at + 1;

        if (peek(lexer, digits) == '+' || peek(lexer, digits) == '-')
            digits++;
        while (is_digit(peek(lexer, digits)))
            at = ++digits;
    }
    return at;
}

/* "view.feature" is one name; a dot must be followed by a letter. */
static size_t name_end(const struct lexer *lexer, size_t at)
{
    for (;; at++) {
        char c = peek(lexer, at);

        if (!is_letter(c) && !is_digit(c) && !(c == '.' && is_letter(peek(lexer, at + 1))))
            return at;
    }
}

/* Behind the closing quote, which is doubled where it belongs to the text; 0: there is none. */
static size_t quoted_end(const struct lexer *lexer, size_t at)
{
    char quote = peek(lexer, at++);

    for (; at < lexer->text.len; at++) {
        if (lexer->text.data[at] != quote)
            continue;
        if (peek(lexer, at + 1) != quote)
            return at + 1;
        at++;
    }
    return 0;
}

static size_t symbol_end(const struct lexer *lexer, size_t at)
{
    static const char pairs[][3] = { "<=", ">=", "!=", "<>", "==", "//" };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (peek(lexer, at) == pairs[i][0] && peek(lexer, at + 1) == pairs[i][1])
            return at + 2;
    }
    return strchr("+-*/%()<>=,", peek(lexer, at)) != NULL ? at + 1 : at;
}

static enum status bad_symbol(struct lexer *lexer, size_t at, struct error *err)
{
    char c = lexer->text.data[at];

    if (c == '&' || c == '|' || c == '!')
        return lexer_fail(lexer, at, err, "write 'and', 'or' and 'not' as words");
    lexer->failed_at = at;
    if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f)
        return error_set(err, STATUS_INVALID, "this character has no meaning here");
    return error_set(err, STATUS_INVALID, "'%c' has no meaning here", c);
}

enum status lexer_next(struct lexer *lexer, struct error *err)
{
    size_t at = lexer->next, end;
    struct token token = { .kind = TOKEN_SYMBOL };
    char c;

    while (at < lexer->text.len && strchr(" \t\r\n", lexer->text.data[at]) != NULL &&
           lexer->text.data[at] != '\0')
        at++;
    token.at = at;
    c = peek(lexer, at);
    if (at == lexer->text.len) {
        token.kind = TOKEN_END;
        end = at;
    } else if (is_digit(c)) {
        token.kind = TOKEN_NUMBER;
        end = number_end(lexer, at);
    } else if (is_letter(c)) {
        token.kind = TOKEN_NAME;
        end = name_end(lexer, at);
    } else if (c == '\'' || c == '"') {
        token.kind = c == '"' ? TOKEN_QUOTED : TOKEN_STRING;
        end = quoted_end(lexer, at);
        if (end == 0)
            return lexer_fail(lexer, at, err, "this quote is never closed");
    } else {
        end = c == '\0' ? at : symbol_end(lexer, at);
        if (end == at)
            return bad_symbol(lexer, at, err);
    }
    token.text = str_slice(lexer->text, at, end);
    if (token.kind == TOKEN_STRING || token.kind == TOKEN_QUOTED)
        token.text = str_slice(lexer->text, at + 1, end - 1);
    lexer->token = token;
    lexer->next = end;
    return STATUS_OK;
}

bool lexer_at_symbol(const struct lexer *lexer, const char *symbol)
{
    return lexer->token.kind == TOKEN_SYMBOL && str_equal(lexer->token.text, str_from(symbol));
}

bool lexer_at_word(const struct lexer *lexer, const char *word)
{
    return lexer->token.kind == TOKEN_NAME &&
           str_equal_nocase(lexer->token.text, str_from(word));
}

bool lexer_is_glued(const struct lexer *lexer)
{
    char c = peek(lexer, lexer->next);

    return is_letter(c) || c == '.';
}
