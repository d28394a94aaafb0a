/* SPDX-License-Identifier: Apache-2.0 */
/* endpoints/NAME.yaml: read, and checked against the services. */
#include "base/clock.h"
#include "features/expression_lexer.h"
#include "proxy/endpoint.h"

#include <math.h>

/* Two conditions in the same words: the second is never asked. */
static enum status check_repeated(const struct endpoint_spec *spec, size_t index,
                                  const struct yaml_node *text, struct error *err)
{
    for (size_t i = 0; i < index; i++)
        if (str_equal(spec->rules[i].text, spec->rules[index].text))
            return yaml_error(
                text, STATUS_INVALID, err,
                "'" STR_FMT "' is never reached: '" STR_FMT "' has the same condition",
                STR_ARG(spec->rules[index].decision), STR_ARG(spec->rules[i].decision));
    return STATUS_OK;
}

static enum status check_rule(const struct yaml_node *decision, const struct yaml_node *text,
                              struct error *err)
{
    if (str_trim(decision->text).len == 0)
        return yaml_error(decision, STATUS_INVALID, err, "a decision needs a name");
    if (text->kind != YAML_SCALAR && text->kind != YAML_NULL)
        return yaml_error(text, STATUS_INVALID, err, "expected an expression or true, found %s",
                          yaml_kind_name(text));
    if (text->text.len == 0) /* of nothing there is no place */
        return yaml_error(decision, STATUS_INVALID, err,
                          "expected an expression or true behind '" STR_FMT "'",
                          STR_ARG(decision->text));
    if (str_equal_nocase(text->text, STR("true")) && !str_equal(text->text, STR("true")))
        return yaml_error(text, STATUS_INVALID, err,
                          "'" STR_FMT "': a rule that always holds is written true, in small"
                          " letters",
                          STR_ARG(text->text));
    return STATUS_OK;
}

static enum status read_rules(struct arena *arena, const struct yaml_node *map,
                              struct endpoint_spec *spec, struct error *err)
{
    TRY(yaml_is_map(map, err));
    if (map->count == 0)
        return yaml_error(map, STATUS_INVALID, err,
                          "expected rules, {NAME: EXPRESSION, …}; without any, leave 'decision'"
                          " out");
    spec->rules = ARENA_ARRAY(arena, struct endpoint_rule, map->count);
    spec->rule_count = map->count;
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_node *text = &map->items[i];
        const struct yaml_node *decision = &map->keys[i];

        TRY(check_rule(decision, text, err));
        if (i > 0 && spec->rules[i - 1].text.len == 0)
            return yaml_error(decision, STATUS_INVALID, err,
                              "'" STR_FMT "' is never reached: the rule before it always holds",
                              STR_ARG(decision->text));
        spec->rules[i] = (struct endpoint_rule){
            .decision = arena_str(arena, decision->text),
            .text = str_equal(text->text, STR("true")) ? STR_EMPTY
                                                       : arena_str(arena, text->text),
            .place = { text->file, text->line, text->column },
        };
        TRY(check_repeated(spec, i, text, err));
    }
    return STATUS_OK;
}

static enum status read_outputs(struct arena *arena, const struct yaml_node *map,
                                struct endpoint_spec *spec, struct error *err)
{
    TRY(yaml_is_map(map, err));
    spec->outputs = ARENA_ARRAY(arena, struct endpoint_output, map->count);
    spec->output_count = map->count;
    for (size_t i = 0; i < map->count; i++) {
        if (map->keys[i].text.len == 0)
            return yaml_error(&map->keys[i], STATUS_INVALID, err, "an output needs a name");
        spec->outputs[i].name = arena_str(arena, map->keys[i].text);
        if (!value_type_parse(map->items[i].text, &spec->outputs[i].type))
            return yaml_error(&map->items[i], STATUS_INVALID, err,
                              "expected a type (int64, float32, string, …), found '" STR_FMT
                              "'",
                              STR_ARG(str_slice(map->items[i].text, 0, 40)));
    }
    return STATUS_OK;
}

static bool decision_is_known(const struct endpoint_spec *spec, struct str decision)
{
    for (size_t i = 0; i < spec->rule_count; i++)
        if (str_equal(spec->rules[i].decision, decision))
            return true;
    return false;
}

static enum status read_fallback(struct arena *arena, const struct yaml_node *map,
                                 struct endpoint_spec *spec, struct error *err)
{
    static const struct str known[] = { STR_INIT("score"), STR_INIT("decision") };

    TRY(yaml_is_map(map, err));
    TRY(yaml_only_keys(map, known, ARRAY_LEN(known), err));
    TRY(yaml_want_double(map, "score", &spec->fallback_score, err));
    TRY(yaml_want_str(map, "decision", &spec->fallback_decision, err));
    spec->fallback_decision = arena_str(arena, spec->fallback_decision);
    if (isnan(spec->fallback_score) && spec->fallback_decision.len == 0)
        return yaml_error(map, STATUS_INVALID, err, "expected 'score' or 'decision'");
    if (spec->fallback_decision.len > 0 && !decision_is_known(spec, spec->fallback_decision))
        return yaml_error(yaml_find(map, "decision"), STATUS_INVALID, err,
                          "no rule decides '" STR_FMT "'", STR_ARG(spec->fallback_decision));
    spec->has_fallback = true;
    return STATUS_OK;
}

static enum status read_timeout(const struct yaml_node *document, struct endpoint_spec *spec,
                                struct error *err)
{
    TRY(yaml_want_duration_us(document, "timeout", &spec->timeout_us, err));
    if (spec->timeout_us < 1000 || spec->timeout_us > ENDPOINT_TIMEOUT_MAX_US)
        return yaml_error(yaml_find(document, "timeout"), STATUS_INVALID, err,
                          "expected a timeout from 1ms to 60s");
    return STATUS_OK;
}

enum status endpoint_spec_read(struct arena *arena, const struct yaml_node *document,
                               struct endpoint_spec *out, struct error *err)
{
    static const struct str known[] = {
        STR_INIT("endpoint"), STR_INIT("service"), STR_INIT("model"),
        STR_INIT("score"),    STR_INIT("outputs"), STR_INIT("decision"),
        STR_INIT("fallback"), STR_INIT("timeout"), STR_INIT("description"),
        STR_INIT("owner"),    STR_INIT("tags"),
    };
    struct endpoint_spec spec = { .fallback_score = (double)NAN,
                                  .timeout_us = ENDPOINT_TIMEOUT_DEFAULT_US };
    const struct yaml_node *node;

    TRY(yaml_is_map(document, err));
    TRY(yaml_only_keys(document, known, ARRAY_LEN(known), err));
    TRY(yaml_need_str(document, "endpoint", &spec.name, err));
    TRY(yaml_need_str(document, "service", &spec.service, err));
    TRY(yaml_need_str(document, "model", &spec.model, err));
    TRY(yaml_want_str(document, "score", &spec.score, err));
    if (!str_is_name(spec.model))
        return yaml_error(yaml_find(document, "model"), STATUS_INVALID, err,
                          "'" STR_FMT "' is no name for a model",
                          STR_ARG(str_slice(spec.model, 0, 80)));
    spec.name = arena_str(arena, spec.name);
    spec.service = arena_str(arena, spec.service);
    spec.model = arena_str(arena, spec.model);
    spec.score = arena_str(arena, spec.score);
    if ((node = yaml_find(document, "outputs")) != NULL)
        TRY(read_outputs(arena, node, &spec, err));
    if ((node = yaml_find(document, "decision")) != NULL)
        TRY(read_rules(arena, node, &spec, err));
    if ((node = yaml_find(document, "fallback")) != NULL)
        TRY(read_fallback(arena, node, &spec, err));
    TRY(read_timeout(document, &spec, err));
    *out = spec;
    return STATUS_OK;
}

/* What a rule may name, as far as it is known without a model. */
static size_t names_of(struct arena *arena, const struct endpoint_spec *spec,
                       const struct plan *plan, struct expression_name **out)
{
    size_t most = 1 + spec->output_count + plan->output_count + plan->request_field_count;
    struct expression_name *names = ARENA_ARRAY(arena, struct expression_name, most);
    size_t count = 0;

    names[count++] = (struct expression_name){ STR("score"), TYPE_FLOAT64 };
    for (size_t i = 0; i < spec->output_count; i++)
        names[count++] = (struct expression_name){ spec->outputs[i].name,
                                                   spec->outputs[i].type };
    for (size_t i = 0; i < plan->output_count; i++)
        names[count++] = (struct expression_name){ plan->outputs[i].name,
                                                   plan->outputs[i].type };
    for (size_t i = 0; i < plan->request_field_count; i++)
        names[count++] = (struct expression_name){ plan->request_fields[i].name,
                                                   plan->request_fields[i].type };
    *out = names;
    return count;
}

static bool at_comparison(const struct lexer *lexer)
{
    static const char *const symbols[] = { "=", "==", "!=", "<>", "<", "<=", ">", ">=" };

    for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
        if (lexer_at_symbol(lexer, symbols[i]))
            return true;
    return false;
}

/* "x == null", "null != x": null is unlike everything, so the rule would never hold. Where it is. */
static bool compares_null(struct str text, size_t *at)
{
    struct lexer lexer = { .text = text };
    bool was_null = false, was_comparison = false;
    struct error ignored;

    while (lexer_next(&lexer, &ignored) == STATUS_OK && lexer.token.kind != TOKEN_END) {
        bool is_null = lexer_at_word(&lexer, "null"), is_comparison = at_comparison(&lexer);

        *at = lexer.token.at;
        if ((was_comparison && is_null) || (was_null && is_comparison))
            return true;
        was_null = is_null;
        was_comparison = is_comparison;
    }
    return false;
}

static void check_rules(const struct endpoint_spec *spec, const struct service *service,
                        struct definition_errors *errors)
{
    struct expression_name *names;
    size_t count = names_of(errors->arena, spec, &service->plan, &names);

    for (size_t i = 0; i < spec->rule_count; i++) {
        const struct endpoint_rule *rule = &spec->rules[i];
        const struct expression *expression;
        struct expression_place within = { 1, 1 };
        struct place place = rule->place;
        size_t input_count, at;
        struct error err;

        if (rule->text.len == 0)
            continue;
        if (expression_compile(errors->arena, rule->text, names, count, &expression, &within,
                               &err) != STATUS_OK) {
            place.column += within.column - 1;
            definition_error_add(errors, place, "%s", err.message);
        } else if (compares_null(rule->text, &at)) {
            place.column += (int)at;
            definition_error_add(errors, place,
                                 "a comparison with null never holds; write 'NAME is null', or"
                                 " 'NAME is not null'");
        } else if (expression_type(expression) != TYPE_BOOL) {
            definition_error_add(errors, place, "expected a condition, found a %s",
                                 value_type_name(expression_type(expression)));
        } else if (expression_inputs(expression, &input_count), input_count == 0) {
            definition_error_add(errors, place,
                                 "the condition looks at nothing, so it is always the same;"
                                 " a rule that always holds is written true");
        }
    }
}

static void check(const struct definitions *definitions, struct str name,
                  const struct yaml_node *document, struct definition_errors *errors)
{
    const struct service *service;
    struct endpoint_spec spec;
    struct error err;

    (void)name;
    if (endpoint_spec_read(errors->arena, document, &spec, &err) != STATUS_OK) {
        definition_error_take(errors, &err);
        return;
    }
    if (definitions_service_get(definitions, spec.service, &service, &err) != STATUS_OK) {
        definition_error_at(errors, yaml_find(document, "service"), "%s", err.message);
        return;
    }
    check_rules(&spec, service, errors);
}

static const char *const patterns[] = { "endpoints/*.yaml", "endpoints/*.yml", NULL };

const struct definition_kind endpoint_definition_kind = {
    .name = "endpoint",
    .patterns = patterns,
    .check = check,
};
