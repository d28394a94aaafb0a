/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint ready to answer: the service's plan, the model and the rules put together. */
#include "proxy/endpoint.h"

#include <stdlib.h>

/* What the runtime makes of a value by itself, without loss but for rounding. */
static bool can_feed(enum value_type from, enum value_type to)
{
    bool to_number = to == TYPE_FLOAT32 || to == TYPE_FLOAT64;
    bool to_integer = to == TYPE_INT32 || to == TYPE_INT64;

    if (from == to || (to_number && (from == TYPE_FLOAT32 || from == TYPE_FLOAT64)))
        return true;
    if (from == TYPE_INT32 || from == TYPE_INT64)
        return to_number || to == TYPE_INT64;
    return from == TYPE_BOOL && (to_number || to_integer);
}

/* By its own name, or as view__feature. */
static bool find_output(const struct endpoint *endpoint, struct str name, size_t *out)
{
    for (size_t i = 0; i < endpoint->output_count; i++) {
        const struct feature_output *output = &endpoint->outputs[i];

        if (str_equal(output->name, name) ||
            (name.len == output->view.len + 2 + output->name.len &&
             str_starts(name, output->view) && str_ends(name, output->name) &&
             memcmp(name.data + output->view.len, "__", 2) == 0)) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* All that are missing at once, so that a model is mended in one go. */
#define MISSING_NAMED 5
struct missing {
    struct buffer text;
    size_t count;
};

static void add_missing(const struct endpoint *endpoint, struct missing *missing,
                        struct str name)
{
    struct str *names = ARENA_ARRAY(endpoint->arena, struct str, endpoint->output_count);
    struct str near;

    if (++missing->count > MISSING_NAMED)
        return;
    for (size_t i = 0; i < endpoint->output_count; i++)
        names[i] = endpoint->outputs[i].name;
    near = str_nearest(name, names, endpoint->output_count);
    buffer_printf(&missing->text, "%s'" STR_FMT "'", missing->count > 1 ? ", " : "",
                  STR_ARG(str_slice(name, 0, 40)));
    if (near.len > 0)
        buffer_printf(&missing->text, " (did you mean '" STR_FMT "'?)", STR_ARG(near));
}

static enum status no_features(const struct endpoint *endpoint, struct missing *missing,
                               struct error *err)
{
    if (missing->count > MISSING_NAMED)
        buffer_printf(&missing->text, " and %zu more", missing->count - MISSING_NAMED);
    return error_set(
        err, STATUS_INVALID, "service '" STR_FMT "' lacks %s that the model wants: " STR_FMT,
        STR_ARG(endpoint->spec.service), missing->count == 1 ? "a feature" : "features",
        STR_ARG(buffer_str(&missing->text)));
}

static enum status connect_features(struct endpoint *endpoint, struct error *err)
{
    const struct model_feature *features = model_features(endpoint->model,
                                                          &endpoint->feed_count);
    struct missing missing = { .text = { .arena = endpoint->arena } };

    if (endpoint->feed_count == 0)
        return error_set(
            err, STATUS_INVALID,
            "the model does not say which features its inputs take; register it with"
            " a file features.json, {\"features\": [names]}, beside it");
    endpoint->feeds = ARENA_ARRAY(endpoint->arena, size_t, endpoint->feed_count);
    for (size_t i = 0; i < endpoint->feed_count; i++) {
        size_t *feed = &endpoint->feeds[i];

        if (!find_output(endpoint, features[i].name, feed)) {
            add_missing(endpoint, &missing, features[i].name);
            continue;
        }
        if (!can_feed(endpoint->outputs[*feed].type, features[i].type))
            return error_set(err, STATUS_INVALID,
                             "the model wants '" STR_FMT "' as %s, the service has it as %s",
                             STR_ARG(features[i].name), value_type_name(features[i].type),
                             value_type_name(endpoint->outputs[*feed].type));
    }
    return missing.count == 0 ? STATUS_OK : no_features(endpoint, &missing, err);
}

bool endpoint_output_type(const struct tensor_spec *output, enum value_type *out)
{
    static const enum value_type types[TENSOR_TYPE_COUNT] = {
        [TENSOR_FLOAT32] = TYPE_FLOAT32, [TENSOR_FLOAT64] = TYPE_FLOAT64,
        [TENSOR_INT32] = TYPE_INT32,     [TENSOR_INT64] = TYPE_INT64,
        [TENSOR_BOOL] = TYPE_BOOL,       [TENSOR_STRING] = TYPE_STRING,
    };

    *out = types[output->type];
    return output->rank <= 1 || (output->rank == 2 && output->dims[1] == 1);
}

struct scope {
    struct expression_name *names;
    struct rule_input *inputs;
    size_t count;
};

static void scope_add(struct scope *scope, struct str name, enum value_type type,
                      enum rule_source source, size_t index)
{
    /* What came first wins: score, then outputs, features, request fields. */
    for (size_t i = 0; i < scope->count; i++)
        if (str_equal(scope->names[i].name, name))
            return;
    scope->names[scope->count] = (struct expression_name){ name, type };
    scope->inputs[scope->count++] = (struct rule_input){ source, index };
}

static struct scope scope_of(struct endpoint *endpoint)
{
    const struct endpoint_spec *spec = &endpoint->spec;
    size_t most = 1 + endpoint->model_output_count + spec->output_count +
                  endpoint->output_count + endpoint->request_count;
    struct scope scope = { ARENA_ARRAY(endpoint->arena, struct expression_name, most),
                           ARENA_ARRAY(endpoint->arena, struct rule_input, most), 0 };
    enum value_type type;

    scope_add(&scope, STR("score"), TYPE_FLOAT64, RULE_SCORE, 0);
    for (size_t i = 0; i < endpoint->model_output_count; i++)
        if (endpoint_output_type(&endpoint->model_outputs[i], &type))
            scope_add(&scope, endpoint->model_outputs[i].name, type, RULE_OUTPUT, i);
    for (size_t i = 0; endpoint->model == NULL && i < spec->output_count; i++)
        scope_add(&scope, spec->outputs[i].name, spec->outputs[i].type, RULE_OUTPUT, i);
    for (size_t i = 0; i < endpoint->output_count; i++)
        scope_add(&scope, endpoint->outputs[i].name, endpoint->outputs[i].type, RULE_FEATURE,
                  i);
    for (size_t i = 0; i < endpoint->request_count; i++)
        scope_add(&scope, endpoint->request_fields[i].name, endpoint->request_fields[i].type,
                  RULE_REQUEST, i);
    return scope;
}

/* A rule over a score that never comes would never hold, and nobody would be told. */
static enum status need_score(const struct endpoint *endpoint, const struct endpoint_rule *rule,
                              struct error *err)
{
    struct buffer names = { .arena = endpoint->arena };

    if (endpoint->model == NULL || endpoint->score_output >= 0)
        return STATUS_OK;
    for (size_t i = 0; i < endpoint->model_output_count; i++)
        buffer_printf(&names, "%s'" STR_FMT "'", i > 0 ? ", " : "",
                      STR_ARG(endpoint->model_outputs[i].name));
    return error_set(err, STATUS_INVALID,
                     "decision '" STR_FMT
                     "' looks at the score, but none of the model's outputs"
                     " (%.200s) is sure to be it; name one in the endpoint: score: OUTPUT",
                     STR_ARG(rule->decision), arena_cstr(endpoint->arena, buffer_str(&names)));
}

static enum status compile_rule(struct endpoint *endpoint, const struct scope *scope,
                                const struct endpoint_rule *rule, struct endpoint_program *out,
                                struct error *err)
{
    const size_t *used;

    out->decision = rule->decision;
    if (rule->text.len == 0)
        return STATUS_OK;
    if (expression_compile(endpoint->arena, rule->text, scope->names, scope->count,
                           &out->expression, NULL, err) != STATUS_OK)
        return error_wrap(err, "decision '" STR_FMT "'", STR_ARG(rule->decision));
    used = expression_inputs(out->expression, &out->input_count);
    out->inputs = ARENA_ARRAY(endpoint->arena, struct rule_input, out->input_count);
    for (size_t i = 0; i < out->input_count; i++) {
        out->inputs[i] = scope->inputs[used[i]];
        if (out->inputs[i].source == RULE_SCORE)
            TRY(need_score(endpoint, rule, err));
    }
    return STATUS_OK;
}

static enum status compile_rules(struct endpoint *endpoint, struct error *err)
{
    const struct endpoint_spec *spec = &endpoint->spec;
    struct scope scope = scope_of(endpoint);

    endpoint->programs = ARENA_ARRAY(endpoint->arena, struct endpoint_program,
                                     spec->rule_count);
    endpoint->program_count = spec->rule_count;
    for (size_t i = 0; i < spec->rule_count; i++)
        TRY(compile_rule(endpoint, &scope, &spec->rules[i], &endpoint->programs[i], err));
    return STATUS_OK;
}

static enum status choose_score(struct endpoint *endpoint, struct error *err)
{
    struct str wanted = endpoint->spec.score;

    endpoint->score_output = model_score_output(endpoint->model);
    if (wanted.len == 0)
        return STATUS_OK;
    for (size_t i = 0; i < endpoint->model_output_count; i++) {
        if (str_equal(endpoint->model_outputs[i].name, wanted)) {
            endpoint->score_output = (int)i;
            return endpoint->model_outputs[i].type == TENSOR_STRING
                       ? error_set(err, STATUS_INVALID, "score: output '" STR_FMT "' is text",
                                   STR_ARG(wanted))
                       : STATUS_OK;
        }
    }
    return error_set(err, STATUS_INVALID, "score: the model has no output '" STR_FMT "'",
                     STR_ARG(wanted));
}

/* A version says nothing without its model: m 1 must never answer as n 1. */
static enum status check_name(const struct endpoint *endpoint, struct error *err)
{
    struct str name = model_name(endpoint->model);

    if (str_equal(name, endpoint->spec.model))
        return STATUS_OK;
    return error_set(err, STATUS_INVALID, "it wants model '" STR_FMT "', not '" STR_FMT "'",
                     STR_ARG(endpoint->spec.model), STR_ARG(name));
}

static enum status connect_model(struct endpoint *endpoint, struct error *err)
{
    /* A run that could outlast the time-out must not hold up a loop thread. */
    struct model_speed speed = model_speed(endpoint->model);

    endpoint->model_outputs = model_outputs(endpoint->model, &endpoint->model_output_count);
    endpoint->is_inline = speed.is_fast &&
                          speed.p99_ns < (uint64_t)endpoint->spec.timeout_us * 1000;
    TRY(check_name(endpoint, err));
    TRY(connect_features(endpoint, err));
    TRY(choose_score(endpoint, err));
    return STATUS_OK;
}

static struct metric *stage_metric(const struct endpoint *endpoint, const char *stage)
{
    struct str labels = arena_printf(endpoint->arena, "endpoint=\"" STR_FMT "\",stage=\"%s\"",
                                     STR_ARG(endpoint->spec.name), stage);

    return metric_histogram("onggi_predict_stage_seconds",
                            "Time of the stages of a prediction request", labels.data);
}

static void count_fallbacks(struct endpoint *endpoint)
{
    for (unsigned i = FALLBACK_NONE + 1; i < FALLBACK_REASONS; i++) {
        struct str labels = arena_printf(endpoint->arena,
                                         "endpoint=\"" STR_FMT "\",reason=\"%s\"",
                                         STR_ARG(endpoint->spec.name), fallback_reason_name(i));

        endpoint->fallbacks[i] = metric_counter(
            "onggi_predict_fallbacks_total", "Predictions answered by the endpoint's fallback",
            labels.data);
    }
}

struct endpoint_spec endpoint_spec_copy(struct arena *arena, const struct endpoint_spec *spec)
{
    struct endpoint_spec copy = *spec;

    copy.name = arena_str(arena, spec->name);
    copy.service = arena_str(arena, spec->service);
    copy.model = arena_str(arena, spec->model);
    copy.score = arena_str(arena, spec->score);
    copy.fallback_decision = arena_str(arena, spec->fallback_decision);
    copy.outputs = ARENA_ARRAY(arena, struct endpoint_output, spec->output_count);
    for (size_t i = 0; i < spec->output_count; i++)
        copy.outputs[i] = (struct endpoint_output){ arena_str(arena, spec->outputs[i].name),
                                                    spec->outputs[i].type };
    copy.rules = ARENA_ARRAY(arena, struct endpoint_rule, spec->rule_count);
    for (size_t i = 0; i < spec->rule_count; i++) {
        copy.rules[i] = spec->rules[i];
        copy.rules[i].decision = arena_str(arena, spec->rules[i].decision);
        copy.rules[i].text = arena_str(arena, spec->rules[i].text);
        copy.rules[i].place.file = arena_str(arena, spec->rules[i].place.file);
    }
    return copy;
}

static struct endpoint *begin(const struct endpoint_spec *spec)
{
    struct arena *arena = arena_new();
    struct endpoint *endpoint = ARENA_NEW(arena, struct endpoint);

    endpoint->arena = arena;
    atomic_init(&endpoint->references, 1);
    endpoint->score_output = -1;
    endpoint->spec = endpoint_spec_copy(arena, spec);
    endpoint->lookup_time = stage_metric(endpoint, "features");
    endpoint->model_time = stage_metric(endpoint, "model");
    endpoint->rules_time = stage_metric(endpoint, "rules");
    count_fallbacks(endpoint);
    trouble_init(&endpoint->trouble);
    return endpoint;
}

/* What all replies say alike. */
static void write_texts(struct endpoint *endpoint)
{
    struct buffer text = { 0 };

    buffer_append(&text, STR("{\"endpoint\":"));
    json_write_str(&text, endpoint->spec.name);
    buffer_append(&text, STR(",\"model\":"));
    json_write_str(&text, endpoint->model == NULL ? endpoint->spec.model
                                                  : model_name(endpoint->model));
    buffer_append(&text, STR(",\"version\":"));
    if (endpoint->model == NULL)
        buffer_append(&text, STR("null"));
    else
        json_write_int64(&text, model_version_number(endpoint->model));
    buffer_append(&text, STR(",\"request_id\":"));
    endpoint->reply_head = arena_str(endpoint->arena, buffer_str(&text));
    endpoint->output_keys = ARENA_ARRAY(endpoint->arena, struct str,
                                        endpoint->model_output_count);
    for (size_t i = 0; i < endpoint->model_output_count; i++) {
        buffer_clear(&text);
        json_write_str(&text, endpoint->model_outputs[i].name);
        buffer_append_byte(&text, ':');
        endpoint->output_keys[i] = arena_str(endpoint->arena, buffer_str(&text));
    }
    buffer_free(&text);
}

/* Its shape is known; on failure it is freed. */
static enum status finish(struct endpoint *endpoint, struct model *model, struct endpoint **out,
                          struct error *err)
{
    enum status status = STATUS_OK;

    if (model != NULL) {
        endpoint->model = model_ref(model);
        status = connect_model(endpoint, err);
    }
    if (status == STATUS_OK)
        status = compile_rules(endpoint, err);
    if (status != STATUS_OK) {
        error_wrap(err, "endpoint '" STR_FMT "'", STR_ARG(endpoint->spec.name));
        endpoint_free(endpoint);
        return status;
    }
    write_texts(endpoint);
    *out = endpoint;
    return STATUS_OK;
}

enum status endpoint_new(const struct endpoint_spec *spec, struct feature_store *store,
                         struct model *model, struct endpoint **out, struct error *err)
{
    struct endpoint *endpoint = begin(spec);

    if (feature_store_plan_get(store, spec->service, &endpoint->plan, err) != STATUS_OK) {
        endpoint_free(endpoint);
        return error_wrap(err, "endpoint '" STR_FMT "'", STR_ARG(spec->name));
    }
    endpoint->outputs = feature_plan_outputs(endpoint->plan, &endpoint->output_count);
    endpoint->request_fields = feature_plan_request(endpoint->plan, &endpoint->request_count);
    return finish(endpoint, model, out, err);
}

struct endpoint_shape endpoint_shape_of(struct arena *arena, const struct service *service)
{
    const struct plan *plan = &service->plan;
    struct feature_output *outputs = ARENA_ARRAY(arena, struct feature_output,
                                                 plan->output_count);
    struct feature_field *request = ARENA_ARRAY(arena, struct feature_field,
                                                plan->request_field_count);

    for (size_t i = 0; i < plan->output_count; i++) {
        const struct plan_output *output = &plan->outputs[i];

        outputs[i] = (struct feature_output){
            .name = plan->clash == NULL ? output->name : output->full_name,
            .view = output->feature->view->name,
            .type = output->type,
        };
    }
    for (size_t i = 0; i < plan->request_field_count; i++)
        request[i] = (struct feature_field){ plan->request_fields[i].name,
                                             plan->request_fields[i].type };
    return (struct endpoint_shape){ outputs, plan->output_count, request,
                                    plan->request_field_count };
}

enum status endpoint_new_shaped(const struct endpoint_spec *spec,
                                const struct endpoint_shape *shape, struct model *model,
                                struct endpoint **out, struct error *err)
{
    struct endpoint *endpoint = begin(spec);

    endpoint->outputs = shape->outputs;
    endpoint->output_count = shape->output_count;
    endpoint->request_fields = shape->request_fields;
    endpoint->request_count = shape->request_count;
    return finish(endpoint, model, out, err);
}

void endpoint_free(struct endpoint *endpoint)
{
    feature_plan_unref(&endpoint->plan);
    model_unref(&endpoint->model);
    trouble_fini(&endpoint->trouble);
    arena_free(endpoint->arena);
}
