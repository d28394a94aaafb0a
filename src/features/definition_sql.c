/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which words of an SQL may name a table. No grammar: a walk over its words that knows where a table
 * can stand (behind FROM, JOIN and their like) and where it cannot (behind SELECT, WHERE, ON, …), on
 * each level of parentheses. In doubt a word counts, since a source too many costs an order among
 * the sources, one too few the query.
 */
#include "features/definition_internal.h"

enum clause {
    COLUMNS,   /* no table stands here */
    TABLES,    /* any word may be one */
    CONDITION, /* ON and USING, in a list of tables: goes on to the next comma */
};

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_QUOTED, TOKEN_TEXT, TOKEN_SIGN };

struct token {
    enum token_kind kind;
    struct str text; /* without quotes */
};

struct walk {
    struct arena *arena;
    struct str sql;
    size_t at;
    enum clause clause;
    enum clause *outer; /* of the open parentheses */
    size_t depth, depth_capacity;
    struct str *found;
    size_t count, capacity;
};

static char look(const struct walk *walk, size_t ahead)
{
    return walk->at + ahead < walk->sql.len ? walk->sql.data[walk->at + ahead] : '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

static bool is_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '$';
}

/* Comments in stars nest. */
static void skip_comment(struct walk *walk)
{
    size_t open = 0;

    do {
        if (look(walk, 0) == '/' && look(walk, 1) == '*')
            open++;
        else if (look(walk, 0) == '*' && look(walk, 1) == '/')
            open--;
        else {
            walk->at++;
            continue;
        }
        walk->at += 2;
    } while (open > 0 && walk->at < walk->sql.len);
}

static void skip_blank(struct walk *walk)
{
    for (;;) {
        char c = look(walk, 0);

        if (c == '-' && look(walk, 1) == '-')
            walk->at += str_index(str_slice(walk->sql, walk->at, walk->sql.len), '\n');
        else if (c == '/' && look(walk, 1) == '*')
            skip_comment(walk);
        else if (walk->at < walk->sql.len && (unsigned char)c <= ' ')
            walk->at++;
        else
            return;
    }
}

/* Up to the quote that is not doubled, or, where backslashes count, hidden behind one. */
static struct token take_quoted(struct walk *walk, enum token_kind kind, bool has_escapes)
{
    char quote = look(walk, 0);
    size_t from = ++walk->at;

    for (; walk->at < walk->sql.len; walk->at++) {
        bool is_escape = has_escapes && look(walk, 0) == '\\';

        if (is_escape || (look(walk, 0) == quote && look(walk, 1) == quote))
            walk->at++;
        else if (look(walk, 0) == quote)
            break;
    }
    return (struct token){ kind, str_slice(walk->sql, from, walk->at++) };
}

/* "$$text$$" or "$tag$text$tag$"; false for another use of the sign. */
static bool take_dollars(struct walk *walk, struct token *out)
{
    struct str rest = str_slice(walk->sql, walk->at, walk->sql.len), mark;
    const char *end;
    size_t len = 1;

    if (look(walk, 0) != '$' || (look(walk, 1) != '$' && !is_letter(look(walk, 1))))
        return false;
    while (len < rest.len && rest.data[len] != '$' && is_word(rest.data[len]))
        len++;
    if (len == rest.len || rest.data[len] != '$')
        return false;
    mark = str_slice(rest, 0, len + 1);
    rest = str_slice(rest, mark.len, rest.len);
    end = memmem(rest.data, rest.len, mark.data, mark.len);
    *out = (struct token){ TOKEN_TEXT,
                           end == NULL ? rest : str_slice(rest, 0, (size_t)(end - rest.data)) };
    walk->at += out->text.len + 2 * mark.len;
    return true;
}

static struct token next_token(struct walk *walk)
{
    struct token token = { .kind = TOKEN_END };
    size_t from;

    skip_blank(walk);
    from = walk->at;
    if (from >= walk->sql.len)
        return token;
    if (look(walk, 0) == '\'')
        return take_quoted(walk, TOKEN_TEXT, false);
    if ((look(walk, 0) | 0x20) == 'e' && look(walk, 1) == '\'') {
        walk->at++;
        return take_quoted(walk, TOKEN_TEXT, true);
    }
    if (look(walk, 0) == '"')
        return take_quoted(walk, TOKEN_QUOTED, false);
    if (take_dollars(walk, &token))
        return token;
    do {
        walk->at++;
    } while (is_word(walk->sql.data[from]) && is_word(look(walk, 0)));
    token.kind = is_word(walk->sql.data[from]) ? TOKEN_WORD : TOKEN_SIGN;
    token.text = str_slice(walk->sql, from, walk->at);
    return token;
}

/* Reserved words only: whatever else may be the alias of a table. */
static void enter_clause(struct walk *walk, struct str word)
{
    static const struct {
        struct str word;
        enum clause clause;
    } words[] = {
        { STR_INIT("from"), TABLES },        { STR_INIT("join"), TABLES },
        { STR_INIT("table"), TABLES },       { STR_INIT("lateral"), TABLES },
        { STR_INIT("pivot"), TABLES },       { STR_INIT("unpivot"), TABLES },
        { STR_INIT("pivot_wider"), TABLES }, { STR_INIT("pivot_longer"), TABLES },
        { STR_INIT("describe"), TABLES },    { STR_INIT("show"), TABLES },
        { STR_INIT("summarize"), TABLES },   { STR_INIT("select"), COLUMNS },
        { STR_INIT("where"), COLUMNS },      { STR_INIT("group"), COLUMNS },
        { STR_INIT("having"), COLUMNS },     { STR_INIT("qualify"), COLUMNS },
        { STR_INIT("window"), COLUMNS },     { STR_INIT("order"), COLUMNS },
        { STR_INIT("limit"), COLUMNS },      { STR_INIT("offset"), COLUMNS },
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_equal_nocase(word, words[i].word))
            walk->clause = words[i].clause;
    }
    if (walk->clause == TABLES &&
        (str_equal_nocase(word, STR("on")) || str_equal_nocase(word, STR("using"))))
        walk->clause = CONDITION;
}

static void take_sign(struct walk *walk, char sign)
{
    if (sign == ',' && walk->clause == CONDITION)
        walk->clause = TABLES;
    if (sign == '(' || sign == '[' || sign == '{') {
        ARENA_PUSH(walk->arena, walk->outer, walk->depth, walk->depth_capacity) = walk->clause;
        if (walk->clause == CONDITION)
            walk->clause = COLUMNS;
    }
    if ((sign == ')' || sign == ']' || sign == '}') && walk->depth > 0)
        walk->clause = walk->outer[--walk->depth];
}

static void add_found(struct walk *walk, struct str word)
{
    if (walk->clause == TABLES && word.len > 0)
        ARENA_PUSH(walk->arena, walk->found, walk->count, walk->capacity) = word;
}

/* As in FROM query_table('payments'): each word in the text counts. */
static void add_words(struct walk *walk, struct str text)
{
    size_t from = 0;

    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && (is_word(text.data[i]) || text.data[i] == '-'))
            continue;
        add_found(walk, str_slice(text, from, i));
        from = i + 1;
    }
}

struct str *definition_sql_tables(struct arena *arena, struct str sql, size_t *count)
{
    struct walk walk = { .arena = arena, .sql = sql };
    bool is_member = false; /* "t.order" is a column, whatever the word */

    for (struct token token = next_token(&walk); token.kind != TOKEN_END;
         token = next_token(&walk)) {
        if (token.kind == TOKEN_WORD && !is_member)
            enter_clause(&walk, token.text);
        if (token.kind == TOKEN_WORD || token.kind == TOKEN_QUOTED)
            add_found(&walk, token.text);
        if (token.kind == TOKEN_TEXT)
            add_words(&walk, token.text);
        is_member = token.kind == TOKEN_SIGN && token.text.data[0] == '.';
        if (token.kind == TOKEN_SIGN)
            take_sign(&walk, token.text.data[0]);
    }
    *count = walk.count;
    return walk.found;
}
