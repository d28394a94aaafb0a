/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/choice.h"

#include "base/clock.h"
#include "workflow/states/state.h"

#define RULE_DEPTH_MAX 50

enum operand_type {
    OPERAND_STRING,
    OPERAND_NUMBER,
    OPERAND_BOOLEAN,
    OPERAND_TIME,
    OPERAND_PATTERN
};
enum comparison { EQUAL, LESS, GREATER, LESS_OR_EQUAL, GREATER_OR_EQUAL, MATCHES };

typedef bool (*type_question)(yyjson_mut_val *value);

struct choice_test {
    const char *name;
    enum operand_type type;
    enum comparison comparison;
    bool by_path;
    type_question question; /* of the Is… tests; the operand says whether yes or no is wanted */
};

static struct str text_of(yyjson_mut_val *value)
{
    return (struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) };
}

static bool is_null(yyjson_mut_val *value)
{
    return yyjson_mut_is_null(value);
}

static bool is_present(yyjson_mut_val *value)
{
    return value != NULL;
}

static bool is_number(yyjson_mut_val *value)
{
    return yyjson_mut_is_num(value);
}

static bool is_string(yyjson_mut_val *value)
{
    return yyjson_mut_is_str(value);
}

static bool is_boolean(yyjson_mut_val *value)
{
    return yyjson_mut_is_bool(value);
}

/* To the nanosecond, which is what Step Functions tells apart. */
struct instant {
    int64_t us;
    int64_t ns; /* beyond the microseconds */
};

static int64_t nanoseconds_of(struct str text)
{
    size_t point = str_index(text, '.');
    int64_t ns = 0;

    for (size_t i = 7; i < 10; i++) {
        char digit = point + i < text.len ? text.data[point + i] : '0';

        /* The zone may begin already. */
        if (digit < '0' || digit > '9')
            return i == 7 ? 0 : i == 8 ? ns * 100 : ns * 10;
        ns = ns * 10 + (digit - '0');
    }
    return ns;
}

static bool fraction_reaches(struct str text)
{
    size_t point = str_index(text, '.');

    for (size_t i = 1; i < 7; i++)
        if (point + i >= text.len || text.data[point + i] < '0' || text.data[point + i] > '9')
            return false;
    return true;
}

/* RFC 3339 with an upper-case T and a zone, as the language demands; our own reader is laxer. */
static bool time_of(struct str text, struct instant *out)
{
    bool zoned = str_ends(text, STR("Z")) ||
                 (text.len > 6 && strchr("+-", text.data[text.len - 6]) != NULL);

    if (text.len < 20 || text.data[10] != 'T' || !zoned || !time_parse_us(text, &out->us))
        return false;
    out->ns = fraction_reaches(text) ? nanoseconds_of(text) : 0;
    return true;
}

static bool is_time(yyjson_mut_val *value)
{
    struct instant time;

    return yyjson_mut_is_str(value) && time_of(text_of(value), &time);
}

#define COMPARE(prefix, type, word, comparison) \
    { prefix word, type, comparison, false, NULL }, \
    { \
        prefix word "Path", type, comparison, true, NULL \
    }
#define COMPARE_ALL(prefix, type) \
    COMPARE(prefix, type, "Equals", EQUAL), COMPARE(prefix, type, "LessThan", LESS), \
        COMPARE(prefix, type, "GreaterThan", GREATER), \
        COMPARE(prefix, type, "LessThanEquals", LESS_OR_EQUAL), \
        COMPARE(prefix, type, "GreaterThanEquals", GREATER_OR_EQUAL)
#define QUESTION(name, question) { name, OPERAND_BOOLEAN, EQUAL, false, question }

static const struct choice_test tests[] = {
    COMPARE_ALL("String", OPERAND_STRING),
    COMPARE_ALL("Numeric", OPERAND_NUMBER),
    COMPARE_ALL("Timestamp", OPERAND_TIME),
    COMPARE("Boolean", OPERAND_BOOLEAN, "Equals", EQUAL),
    { "StringMatches", OPERAND_PATTERN, MATCHES, false, NULL },
    QUESTION("IsNull", is_null),
    QUESTION("IsPresent", is_present),
    QUESTION("IsNumeric", is_number),
    QUESTION("IsString", is_string),
    QUESTION("IsBoolean", is_boolean),
    QUESTION("IsTimestamp", is_time),
};

static const struct choice_test *test_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        if (str_equal(str_from(tests[i].name), name))
            return &tests[i];
    return NULL;
}

static enum status unknown_field(struct str name, struct error *err)
{
    struct str known[ARRAY_LEN(tests) + 7] = {
        STR("And"),  STR("Or"),      STR("Not"),    STR("Variable"),
        STR("Next"), STR("Comment"), STR("Assign"),
    };
    struct str near;

    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        known[i + 7] = str_from(tests[i].name);
    near = str_nearest(name, known, ARRAY_LEN(known));
    if (near.len == 0)
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' is no comparison", STR_ARG(name));
    return error_set(err, STATUS_INVALID,
                     "'" STR_FMT "' is no comparison; did you mean '" STR_FMT "'?",
                     STR_ARG(name), STR_ARG(near));
}

static enum status check_operand(const struct choice_test *test, yyjson_val *operand,
                                 struct error *err)
{
    static const char *const wanted[] = { "a string", "a number", "true or false",
                                          "a time like \"2026-01-31T12:00:00Z\"", "a string" };
    struct instant time;
    bool good = false;

    switch (test->type) {
    case OPERAND_STRING:
    case OPERAND_PATTERN:
        good = yyjson_is_str(operand);
        break;
    case OPERAND_NUMBER:
        good = yyjson_is_num(operand);
        break;
    case OPERAND_BOOLEAN:
        good = yyjson_is_bool(operand);
        break;
    case OPERAND_TIME:
        good = yyjson_is_str(operand) && time_of(json_str(operand), &time);
        break;
    }
    return good ? STATUS_OK
                : error_set(err, STATUS_INVALID, "%s: must be %s", test->name,
                            wanted[test->type]);
}

static enum status parse_operand(struct arena *arena, const struct choice_test *test,
                                 yyjson_val *operand, struct choice_rule *out,
                                 struct error *err)
{
    if (out->test != NULL)
        return error_set(err, STATUS_INVALID, "two comparisons, %s and %s; join them by And",
                         out->test->name, test->name);
    out->test = test;
    out->operand = operand;
    if (!test->by_path)
        return check_operand(test, operand, err);
    if (json_path_parse(arena, json_str(operand), &out->operand_path, err) != STATUS_OK)
        return error_wrap(err, "%s", test->name);
    return STATUS_OK;
}

static bool belongs_to_any_rule(struct str name)
{
    return str_equal(name, STR("Next")) || str_equal(name, STR("Assign")) ||
           str_equal(name, STR("Comment"));
}

static enum status parse_test(struct arena *arena, yyjson_val *json, struct choice_rule *out,
                              struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;
    struct str variable;

    TRY(json_need_str(json, "Variable", &variable, err));
    if (json_path_parse(arena, variable, &out->variable, err) != STATUS_OK)
        return error_wrap(err, "Variable");
    yyjson_obj_foreach(json, i, count, key, value)
    {
        struct str name = json_str(key);
        const struct choice_test *test = test_find(name);

        if (str_equal(name, STR("Variable")) || belongs_to_any_rule(name))
            continue;
        if (test == NULL)
            return unknown_field(name, err);
        TRY(parse_operand(arena, test, value, out, err));
    }
    if (out->test == NULL)
        return error_set(err, STATUS_INVALID,
                         "there is a Variable but no comparison, such as \"NumericEquals\": 1");
    return STATUS_OK;
}

static enum status parse_rule(struct arena *arena, yyjson_val *json, bool top, unsigned depth,
                              struct choice_rule *out, struct error *err);

static enum status parse_parts(struct arena *arena, yyjson_val *json, const char *key,
                               unsigned depth, struct choice_rule *out, struct error *err)
{
    yyjson_val *parts = json_find(json, str_from(key)), *part;
    size_t i, count;

    if (!yyjson_is_arr(parts) || yyjson_arr_size(parts) == 0)
        return error_set(err, STATUS_INVALID, "%s must be a list of at least one rule", key);
    out->part_count = yyjson_arr_size(parts);
    out->parts = ARENA_ARRAY(arena, struct choice_rule, out->part_count);
    yyjson_arr_foreach(parts, i, count, part)
    {
        if (parse_rule(arena, part, false, depth + 1, &out->parts[i], err) != STATUS_OK)
            return error_wrap(err, "%s[%zu]", key, i);
    }
    return STATUS_OK;
}

static enum status parse_not(struct arena *arena, yyjson_val *json, unsigned depth,
                             struct choice_rule *out, struct error *err)
{
    out->part_count = 1;
    out->parts = ARENA_NEW(arena, struct choice_rule);
    if (parse_rule(arena, json_find(json, STR("Not")), false, depth + 1, out->parts, err) !=
        STATUS_OK)
        return error_wrap(err, "Not");
    return STATUS_OK;
}

/* What stands beside And, Or or Not would decide nothing. */
static enum status check_alone(yyjson_val *json, const char *kind, struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(json, i, count, key, value)
    {
        struct str name = json_str(key);

        if (!str_equal(name, str_from(kind)) && !belongs_to_any_rule(name))
            return error_set(err, STATUS_INVALID,
                             "'" STR_FMT "' cannot stand beside %s: put it into the list",
                             STR_ARG(name), kind);
    }
    return STATUS_OK;
}

static enum status parse_kind(struct arena *arena, yyjson_val *json, unsigned depth,
                              struct choice_rule *out, struct error *err)
{
    if (json_find(json, STR("And")) != NULL) {
        out->kind = RULE_AND;
        TRY(check_alone(json, "And", err));
        return parse_parts(arena, json, "And", depth, out, err);
    }
    if (json_find(json, STR("Or")) != NULL) {
        out->kind = RULE_OR;
        TRY(check_alone(json, "Or", err));
        return parse_parts(arena, json, "Or", depth, out, err);
    }
    if (json_find(json, STR("Not")) != NULL) {
        out->kind = RULE_NOT;
        TRY(check_alone(json, "Not", err));
        return parse_not(arena, json, depth, out, err);
    }
    out->kind = RULE_TEST;
    return parse_test(arena, json, out, err);
}

static enum status parse_rule(struct arena *arena, yyjson_val *json, bool top, unsigned depth,
                              struct choice_rule *out, struct error *err)
{
    *out = (struct choice_rule){ 0 };
    if (!yyjson_is_obj(json))
        return error_set(err, STATUS_INVALID, "a rule must be an object");
    if (depth > RULE_DEPTH_MAX)
        return error_set(err, STATUS_LIMIT, "rules are nested deeper than %d", RULE_DEPTH_MAX);
    if (top) {
        TRY(json_need_str(json, "Next", &out->next, err));
        TRY(state_want_assign(arena, json, &out->assign, err));
    } else if (json_find(json, STR("Next")) != NULL || json_find(json, STR("Assign")) != NULL) {
        return error_set(err, STATUS_INVALID,
                         "only the outermost rule may have Next and Assign");
    }
    return parse_kind(arena, json, depth, out, err);
}

enum status choice_rule_parse(struct arena *arena, yyjson_val *json, bool top,
                              struct choice_rule *out, struct error *err)
{
    return parse_rule(arena, json, top, 1, out, err);
}

/* '*' is any run of characters; "\*" and "\\" are themselves. Greedy, without recursion. */
static bool matches(struct str text, struct str pattern)
{
    size_t t = 0, p = 0, star = pattern.len, resume = 0;

    while (t < text.len) {
        /* NOLINTNEXTLINE(-Wanalyzer-null-dereference): only an empty text has no bytes */
        bool escaped = p + 1 < pattern.len && pattern.data[p] == '\\';

        /* NOLINTNEXTLINE(-Wanalyzer-null-dereference): only an empty text has no bytes */
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && pattern.data[p + escaped] == text.data[t]) {
            p += 1u + escaped;
            t++;
        } else if (star < pattern.len) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

static bool ordered(enum comparison comparison, int order)
{
    switch (comparison) {
    case EQUAL:
        return order == 0;
    case LESS:
        return order < 0;
    case GREATER:
        return order > 0;
    case LESS_OR_EQUAL:
        return order <= 0;
    case GREATER_OR_EQUAL:
        return order >= 0;
    case MATCHES:
        break;
    }
    return false;
}

/* Has the bits for every integer and every double that JSON brings. */
static long double exact(yyjson_mut_val *value)
{
    if (yyjson_mut_is_real(value))
        return yyjson_mut_get_real(value);
    if (yyjson_mut_is_sint(value))
        return (long double)yyjson_mut_get_sint(value);
    return (long double)yyjson_mut_get_uint(value);
}

static int number_order(yyjson_mut_val *a, yyjson_mut_val *b)
{
    long double x = exact(a), y = exact(b);

    return (x > y) - (x < y);
}

static bool compare_times(enum comparison comparison, struct str a, struct str b)
{
    struct instant x, y;

    if (!time_of(a, &x) || !time_of(b, &y))
        return false;
    if (x.us == y.us)
        return ordered(comparison, (x.ns > y.ns) - (x.ns < y.ns));
    return ordered(comparison, (x.us > y.us) - (x.us < y.us));
}

/* A value of another type than the test's simply does not pass it. */
static bool compare(const struct choice_test *test, yyjson_mut_val *a, yyjson_mut_val *b)
{
    switch (test->type) {
    case OPERAND_STRING:
        return yyjson_mut_is_str(a) && yyjson_mut_is_str(b) &&
               ordered(test->comparison, str_compare(text_of(a), text_of(b)));
    case OPERAND_PATTERN:
        return yyjson_mut_is_str(a) && matches(text_of(a), text_of(b));
    case OPERAND_NUMBER:
        return yyjson_mut_is_num(a) && yyjson_mut_is_num(b) &&
               ordered(test->comparison, number_order(a, b));
    case OPERAND_BOOLEAN:
        return yyjson_mut_is_bool(a) && yyjson_mut_is_bool(b) &&
               yyjson_mut_get_bool(a) == yyjson_mut_get_bool(b);
    case OPERAND_TIME:
        return yyjson_mut_is_str(a) && yyjson_mut_is_str(b) &&
               compare_times(test->comparison, text_of(a), text_of(b));
    }
    return false;
}

static bool find_variable(const struct scope *scope, const struct json_path *path,
                          yyjson_mut_val **out, struct fault *fault)
{
    yyjson_mut_val *root = scope_root(scope, path);

    *out = NULL;
    if (scope_is_full(scope, fault))
        return false;
    *out = root == NULL ? NULL : json_path_find(path, scope->doc, root);
    if (*out != NULL)
        return true;
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "Invalid path '" STR_FMT
                     "': The choice state's condition path references an invalid value.",
                     STR_ARG(path->text));
}

static bool test_holds(const struct scope *scope, const struct choice_rule *rule, bool *holds,
                       struct fault *fault)
{
    yyjson_mut_val *value = NULL, *operand;
    struct fault ignored;

    if (!find_variable(scope, &rule->variable, &value, &ignored) &&
        rule->test->question != is_present) {
        *fault = ignored;
        return false;
    }
    if (rule->test->question != NULL) {
        *holds = rule->test->question(value) == yyjson_get_bool(rule->operand);
        return true;
    }
    if (!rule->test->by_path)
        operand = yyjson_val_mut_copy(scope->doc, rule->operand);
    else if (!find_variable(scope, &rule->operand_path, &operand, fault))
        return false;
    *holds = compare(rule->test, value, operand);
    return true;
}

bool choice_rule_holds(const struct scope *scope, const struct choice_rule *rule, bool *holds,
                       struct fault *fault)
{
    /* And goes on while true, Or while false, Not has but one part. */
    bool going_on = rule->kind == RULE_AND;

    if (rule->kind == RULE_TEST)
        return test_holds(scope, rule, holds, fault);
    for (size_t i = 0; i < rule->part_count; i++) {
        if (!choice_rule_holds(scope, &rule->parts[i], holds, fault))
            return false;
        if (rule->kind != RULE_NOT && *holds != going_on)
            return true;
    }
    if (rule->kind == RULE_NOT)
        *holds = !*holds;
    return true;
}
