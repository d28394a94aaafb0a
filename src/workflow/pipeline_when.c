/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition of a gate: comparisons of what steps made with numbers, texts
 * or each other, joined by and, or, not and brackets. It becomes a rule of a
 * Choice state.
 */
#include "workflow/pipeline_compile.h"

#include "base/buffer.h"

#include <ctype.h>

#define WHEN_DEPTH_MAX 40

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_SIGN, TOKEN_BAD };

struct token {
    enum token_kind kind;
    struct str text; /* without quotes */
    size_t at;
};

struct when_reader {
    struct compiler *compiler;
    const struct yaml_node *node;
    struct str text;
    size_t at;
    struct token token; /* the next one */
    unsigned depth;
    bool inverted;        /* under an odd number of nots */
    struct str names[64]; /* what is compared, for the message */
    struct str paths[64];
    size_t name_count;
};

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static size_t end_of_word(struct str text, size_t at)
{
    while (at < text.len && is_word_byte(text.data[at]))
        at++;
    return at;
}

static struct token read_text(struct when_reader *reader, size_t start, char quote)
{
    size_t end = start + 1;

    while (end < reader->text.len && reader->text.data[end] != quote)
        end++;
    reader->at = end + 1;
    if (end == reader->text.len)
        return (struct token){ TOKEN_BAD, STR_EMPTY, start };
    return (struct token){ TOKEN_TEXT, str_slice(reader->text, start + 1, end), start };
}

static struct token read_sign(struct when_reader *reader, size_t start)
{
    static const struct str signs[] = { STR_INIT(">="), STR_INIT("<="), STR_INIT("=="),
                                        STR_INIT("!="), STR_INIT(">"),  STR_INIT("<"),
                                        STR_INIT("("),  STR_INIT(")") };
    struct str rest = str_slice(reader->text, start, reader->text.len);

    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (!str_starts(rest, signs[i]))
            continue;
        reader->at = start + signs[i].len;
        return (struct token){ TOKEN_SIGN, signs[i], start };
    }
    return (struct token){ TOKEN_BAD, STR_EMPTY, start };
}

static void next_token(struct when_reader *reader)
{
    struct str text = reader->text;
    size_t at = reader->at;
    double number;
    char c;

    while (at < text.len && isspace((unsigned char)text.data[at]))
        at++;
    if (at >= text.len) {
        reader->token = (struct token){ TOKEN_END, STR_EMPTY, at };
        return;
    }
    c = text.data[at];
    if (c == '\'' || c == '"') {
        reader->token = read_text(reader, at, c);
    } else if (is_word_byte(c)) {
        reader->at = end_of_word(text, at);
        reader->token = (struct token){ TOKEN_WORD, str_slice(text, at, reader->at), at };
        if (str_to_double(reader->token.text, &number))
            reader->token.kind = TOKEN_NUMBER;
    } else {
        reader->token = read_sign(reader, at);
    }
}

static yyjson_mut_val *when_fault(struct when_reader *reader, const char *what)
{
    struct yaml_node place = *reader->node;

    /* In a text on one line the column of the very spot can be told. */
    place.column += (int)reader->token.at;
    compile_fault(reader->compiler, &place, "%s", what);
    return NULL;
}

static bool is_sign(const struct when_reader *reader, const char *sign)
{
    return reader->token.kind == TOKEN_SIGN && str_equal(reader->token.text, str_from(sign));
}

static bool is_word(const struct when_reader *reader, const char *word)
{
    return reader->token.kind == TOKEN_WORD && str_equal(reader->token.text, str_from(word));
}

static bool is_literal(const struct token *token)
{
    return token->kind == TOKEN_NUMBER || token->kind == TOKEN_TEXT ||
           (token->kind == TOKEN_WORD &&
            (str_equal(token->text, STR("true")) || str_equal(token->text, STR("false"))));
}

static const char *operator_word(struct str sign)
{
    static const struct {
        struct str sign;
        const char *word;
    } words[] = {
        { STR_INIT("=="), "Equals" },         { STR_INIT("!="), "Equals" },
        { STR_INIT("<"), "LessThan" },        { STR_INIT(">"), "GreaterThan" },
        { STR_INIT("<="), "LessThanEquals" }, { STR_INIT(">="), "GreaterThanEquals" }
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal(words[i].sign, sign))
            return words[i].word;
    return NULL;
}

/* 0.8 <= x is x >= 0.8. */
static struct str turned(struct str sign)
{
    if (str_equal(sign, STR("<")))
        return STR(">");
    if (str_equal(sign, STR(">")))
        return STR("<");
    if (str_equal(sign, STR("<=")))
        return STR(">=");
    if (str_equal(sign, STR(">=")))
        return STR("<=");
    return sign;
}

static bool name_path(struct when_reader *reader, const struct token *token, struct str *path)
{
    if (token->kind != TOKEN_WORD) {
        (void)when_fault(reader, "expected a name such as evaluate.metrics.auc");
        return false;
    }
    if (!compile_reference(reader->compiler, reader->node, token->text, path))
        return false;
    if (reader->name_count < ARRAY_LEN(reader->names)) {
        reader->names[reader->name_count] = token->text;
        reader->paths[reader->name_count++] = *path;
    }
    return true;
}

static yyjson_mut_val *negated(struct when_reader *reader, yyjson_mut_val *rule)
{
    yyjson_mut_val *outer = yyjson_mut_obj(reader->compiler->doc);

    yyjson_mut_obj_add_val(reader->compiler->doc, outer, "Not", rule);
    return outer;
}

/* {"Variable": path, test: operand} */
static yyjson_mut_val *test_rule(struct when_reader *reader, struct str path, struct str test,
                                 yyjson_mut_val *operand)
{
    yyjson_mut_doc *doc = reader->compiler->doc;
    yyjson_mut_val *rule = yyjson_mut_obj(doc);

    json_add_str(doc, rule, "Variable", path);
    yyjson_mut_obj_add(rule, yyjson_mut_strncpy(doc, test.data, test.len), operand);
    return rule;
}

static yyjson_mut_val *question(struct when_reader *reader, struct str path, const char *test,
                                bool wanted)
{
    return test_rule(reader, path, str_from(test),
                     yyjson_mut_bool(reader->compiler->doc, wanted));
}

static yyjson_mut_val *joined(struct when_reader *reader, const char *key, size_t count,
                              yyjson_mut_val *const *parts)
{
    yyjson_mut_doc *doc = reader->compiler->doc;
    yyjson_mut_val *outer = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, outer, key);

    for (size_t i = 0; i < count; i++)
        yyjson_mut_arr_append(list, parts[i]);
    return outer;
}

static bool is_ordered(struct str sign)
{
    return str_index(STR("<>"), sign.data[0]) < 2;
}

static const char *literal_type(const struct token *literal)
{
    return literal->kind == TOKEN_NUMBER ? "Numeric"
           : literal->kind == TOKEN_TEXT ? "String"
                                         : "Boolean";
}

static yyjson_mut_val *literal_value(struct when_reader *reader, const struct token *literal)
{
    yyjson_mut_doc *doc = reader->compiler->doc;
    double number = 0;

    if (literal->kind == TOKEN_NUMBER && str_to_double(literal->text, &number))
        return yyjson_mut_real(doc, number);
    if (literal->kind == TOKEN_TEXT)
        return yyjson_mut_strncpy(doc, literal->text.data, literal->text.len);
    return yyjson_mut_bool(doc, str_equal(literal->text, STR("true")));
}

/*
 * Choice finds a value of another kind neither less nor greater, so a Not around it would open the
 * gate for a metric that is missing or a text. Where one stands around, another kind counts as a
 * hit: the gate stays closed.
 */
static yyjson_mut_val *with_literal(struct when_reader *reader, struct str path,
                                    struct str sign, const struct token *literal)
{
    const char *type = literal_type(literal);
    struct str test = arena_printf(reader->compiler->arena, "%s%s", type, operator_word(sign));
    yyjson_mut_val *rule = test_rule(reader, path, test, literal_value(reader, literal));
    bool guarded = literal->kind == TOKEN_NUMBER || is_ordered(sign);

    if (!reader->inverted || !guarded)
        return rule;
    return joined(reader, "Or", 2,
                  (yyjson_mut_val *[]){
                      question(reader, path,
                               literal->kind == TOKEN_NUMBER ? "IsNumeric" : "IsString", false),
                      rule });
}

static yyjson_mut_val *both(struct when_reader *reader, const char *test, struct str a,
                            struct str b)
{
    return joined(reader, "And", 2,
                  (yyjson_mut_val *[]){ question(reader, a, test, true),
                                        question(reader, b, test, true) });
}

static yyjson_mut_val *by_path(struct when_reader *reader, const char *type, struct str sign,
                               struct str a, struct str b)
{
    struct str test = arena_printf(reader->compiler->arena, "%s%sPath", type,
                                   operator_word(sign));

    return test_rule(reader, a, test, yyjson_mut_strncpy(reader->compiler->doc, b.data, b.len));
}

/* What stands in a state for a metric that JSON has no number for. */
static yyjson_mut_val *is_odd(struct when_reader *reader, struct str a, struct str b)
{
    static const char *const odd[] = { "NaN", "Infinity", "-Infinity" };
    yyjson_mut_val *tests[2 * ARRAY_LEN(odd)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        tests[count++] = test_rule(reader, a, STR("StringEquals"),
                                   yyjson_mut_str(reader->compiler->doc, odd[i]));
        tests[count++] = test_rule(reader, b, STR("StringEquals"),
                                   yyjson_mut_str(reader->compiler->doc, odd[i]));
    }
    return joined(reader, "Or", count, tests);
}

/* Which kind two names have is known only when the gate is reached. */
static yyjson_mut_val *by_any_kind(struct when_reader *reader, struct str a, struct str sign,
                                   struct str b)
{
    yyjson_mut_val *parts[4] = { by_path(reader, "Numeric", sign, a, b),
                                 by_path(reader, "String", sign, a, b) };
    size_t count = 2;

    if (!is_ordered(sign)) {
        parts[count++] = by_path(reader, "Boolean", sign, a, b);
        parts[count++] = both(reader, "IsNull", a, b);
    } else if (reader->inverted) {
        yyjson_mut_val *same[] = { both(reader, "IsNumeric", a, b),
                                   both(reader, "IsString", a, b) };

        parts[count++] = negated(reader, joined(reader, "Or", 2, same));
    }
    return joined(reader, "Or", count, parts);
}

/* As texts two NaNs would be equal, and an Infinity less than a NaN: no gate opens for them. */
static yyjson_mut_val *with_name(struct when_reader *reader, struct str a, struct str sign,
                                 struct str b)
{
    yyjson_mut_val *rule = by_any_kind(reader, a, sign, b), *odd = is_odd(reader, a, b);

    if (reader->inverted)
        return joined(reader, "Or", 2, (yyjson_mut_val *[]){ odd, rule });
    return joined(reader, "And", 2, (yyjson_mut_val *[]){ negated(reader, odd), rule });
}

static yyjson_mut_val *positive_rule(struct when_reader *reader, struct token left,
                                     struct str sign, struct token right)
{
    struct str path, other;

    if (is_literal(&left)) {
        struct token swap = left;

        left = right;
        right = swap;
        sign = turned(sign);
    }
    if (!name_path(reader, &left, &path))
        return NULL;
    if (is_literal(&right)) {
        if (is_ordered(sign) && right.kind == TOKEN_WORD)
            return when_fault(reader, "true and false can only be compared by == and !=");
        return with_literal(reader, path, sign, &right);
    }
    return name_path(reader, &right, &other) ? with_name(reader, path, sign, other) : NULL;
}

static yyjson_mut_val *make_rule(struct when_reader *reader, struct token left, struct str sign,
                                 struct token right)
{
    bool unequal = str_equal(sign, STR("!="));
    yyjson_mut_val *rule;

    reader->inverted = reader->inverted != unequal;
    rule = positive_rule(reader, left, sign, right);
    reader->inverted = reader->inverted != unequal;
    return rule != NULL && unequal ? negated(reader, rule) : rule;
}

static yyjson_mut_val *read_comparison(struct when_reader *reader)
{
    struct token left = reader->token, right;
    struct str sign;

    if (left.kind != TOKEN_WORD && !is_literal(&left))
        return when_fault(reader, "expected a comparison such as evaluate.metrics.auc >= 0.8");
    next_token(reader);
    sign = reader->token.text;
    if (reader->token.kind != TOKEN_SIGN || operator_word(sign) == NULL)
        return when_fault(reader, "expected one of == != < <= > >=");
    next_token(reader);
    right = reader->token;
    if (right.kind != TOKEN_WORD && !is_literal(&right))
        return when_fault(reader, "expected a number, a 'text' or a name");
    next_token(reader);
    return make_rule(reader, left, sign, right);
}

static yyjson_mut_val *read_or(struct when_reader *reader);

static yyjson_mut_val *read_unit(struct when_reader *reader)
{
    yyjson_mut_val *rule;

    if (++reader->depth > WHEN_DEPTH_MAX)
        return when_fault(reader, "too many brackets");
    if (is_word(reader, "not")) {
        next_token(reader);
        reader->inverted = !reader->inverted;
        rule = read_unit(reader);
        reader->inverted = !reader->inverted;
        rule = rule == NULL ? NULL : negated(reader, rule);
    } else if (is_sign(reader, "(")) {
        next_token(reader);
        rule = read_or(reader);
        if (rule != NULL && !is_sign(reader, ")"))
            return when_fault(reader, "expected ')'");
        next_token(reader);
    } else {
        rule = read_comparison(reader);
    }
    reader->depth--;
    return rule;
}

typedef yyjson_mut_val *(*read_part)(struct when_reader *reader);

/* part, or part word part …, as {"And": [part, …]}. */
static yyjson_mut_val *read_joined(struct when_reader *reader, const char *word,
                                   const char *key, read_part part)
{
    yyjson_mut_doc *doc = reader->compiler->doc;
    yyjson_mut_val *first = part(reader), *outer, *list;

    if (first == NULL || !is_word(reader, word))
        return first;
    outer = yyjson_mut_obj(doc);
    list = yyjson_mut_obj_add_arr(doc, outer, key);
    yyjson_mut_arr_append(list, first);
    while (is_word(reader, word)) {
        yyjson_mut_val *more;

        next_token(reader);
        more = part(reader);
        if (more == NULL)
            return NULL;
        yyjson_mut_arr_append(list, more);
    }
    return outer;
}

static yyjson_mut_val *read_and(struct when_reader *reader)
{
    return read_joined(reader, "and", "And", read_unit);
}

static yyjson_mut_val *read_or(struct when_reader *reader)
{
    return read_joined(reader, "or", "Or", read_and);
}

static void append_escaped(struct buffer *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("'{}\\", text.data[i]) != NULL && text.data[i] != '\0')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, text.data[i]);
    }
}

/* States.Format('the gate … does not hold: a is {}', $.a) */
static struct str make_cause(const struct when_reader *reader, struct str gate)
{
    struct buffer cause = { 0 };
    struct str copy;

    buffer_append(&cause, STR("States.Format('"));
    append_escaped(&cause, gate);
    buffer_append(&cause, STR(" is closed: "));
    append_escaped(&cause, reader->text);
    buffer_append(&cause, STR(" does not hold"));
    for (size_t i = 0; i < reader->name_count; i++)
        buffer_printf(&cause, "%s" STR_FMT " is {}", i == 0 ? "; " : ", ",
                      STR_ARG(reader->names[i]));
    buffer_append(&cause, STR("'"));
    for (size_t i = 0; i < reader->name_count; i++)
        buffer_printf(&cause, ", " STR_FMT, STR_ARG(reader->paths[i]));
    buffer_append(&cause, STR(")"));
    copy = arena_str(reader->compiler->arena, buffer_str(&cause));
    buffer_free(&cause);
    return copy;
}

yyjson_mut_val *compile_when(struct compiler *compiler, const struct yaml_node *node,
                             struct str gate, struct str *cause)
{
    struct when_reader reader = { .compiler = compiler, .node = node, .text = node->text };
    yyjson_mut_val *rule;

    if (node->kind != YAML_SCALAR) {
        compile_fault(compiler, node, "expected a condition in quotes, found %s",
                      yaml_kind_name(node));
        return NULL;
    }
    next_token(&reader);
    rule = read_or(&reader);
    if (rule != NULL && reader.token.kind != TOKEN_END)
        return when_fault(&reader, "expected 'and', 'or' or the end");
    if (rule != NULL)
        *cause = make_cause(&reader, gate);
    return rule; /* NOLINT(cppcheck-returnDanglingLifetime): it lives in the document */
}
