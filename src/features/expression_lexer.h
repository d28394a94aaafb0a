/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The words of an expression, one by one. */
#include "base/status.h"

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

struct lexer {
    struct str text;
    size_t next; /* behind the current token */
    struct token token;
    size_t failed_at; /* after a failure: where in the text */
};

/* Takes the next token; TOKEN_END at the end, again and again. */
MUST_USE enum status lexer_next(struct lexer *lexer, struct error *err);
bool lexer_at_symbol(const struct lexer *lexer, const char *symbol);
/* Words are known in any case. */
bool lexer_at_word(const struct lexer *lexer, const char *word);
/* Whether the token runs straight into something that could belong to it. */
bool lexer_is_glued(const struct lexer *lexer);
/* INVALID with these words, at this place of the text. */
enum status lexer_fail(struct lexer *lexer, size_t at, struct error *err, const char *what);
