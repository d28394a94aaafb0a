/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/pipeline_compile.h"

#include "base/clock.h"
#include "workflow/asl.h"
#include "workflow/fault.h"
#include "workflow/runners/script.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define STEPS_MAX 500
/* Names that cannot be steps', so that ours never meet theirs. */
#define STATE_DONE "all steps done"
#define STATE_CLOSED " is closed"

#define KEYS(...) \
    (const struct str[]){ __VA_ARGS__ }, \
        sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str)
#define NO_KEYS NULL, 0

static const struct step_kind kinds[] = {
    { STR_INIT("script"), "onggi:script", STR_INIT(""), NO_KEYS, NO_KEYS, STR_INIT("") },
    { STR_INIT("when"), NULL, STR_INIT(""), NO_KEYS, NO_KEYS, STR_INIT("") },
    { STR_INIT("training_set"), "onggi:training_set", STR_INIT("path"),
      KEYS(STR_INIT("service"), STR_INIT("entities"), STR_INIT("entities_sql"),
           STR_INIT("time"), STR_INIT("as_known"), STR_INIT("full_names")),
      NO_KEYS, STR_INIT("service") },
    { STR_INIT("materialize"), "onggi:materialize", STR_INIT(""),
      KEYS(STR_INIT("views"), STR_INIT("from"), STR_INIT("to")), NO_KEYS, STR_INIT("") },
    { STR_INIT("score"), "onggi:score", STR_INIT("path"),
      KEYS(STR_INIT("endpoint"), STR_INIT("entities"), STR_INIT("entities_sql"),
           STR_INIT("time")),
      NO_KEYS, STR_INIT("endpoint") },
    { STR_INIT("register"), "onggi:register", STR_INIT("version"),
      KEYS(STR_INIT("model"), STR_INIT("from"), STR_INIT("metrics"), STR_INIT("params")),
      KEYS(STR_INIT("from"), STR_INIT("metrics")), STR_INIT("model") },
    { STR_INIT("approval"), "onggi:approval", STR_INIT("version"),
      KEYS(STR_INIT("model"), STR_INIT("version")), KEYS(STR_INIT("version")),
      STR_INIT("version") },
    { STR_INIT("deploy"), "onggi:deploy", STR_INIT("version"),
      KEYS(STR_INIT("endpoint"), STR_INIT("model"), STR_INIT("version")),
      KEYS(STR_INIT("version")), STR_INIT("endpoint") },
};

static const struct str script_options[] = { STR_INIT("in"),      STR_INIT("args"),
                                             STR_INIT("out"),     STR_INIT("memory"),
                                             STR_INIT("timeout"), STR_INIT("retry") };
static const struct str task_options[] = { STR_INIT("timeout"), STR_INIT("retry") };

void compile_take(struct compiler *compiler, const struct error *err)
{
    compiler->failed = true;
    compiler->fault(compiler->context, err);
}

void compile_fault(struct compiler *compiler, const struct yaml_node *node, const char *format,
                   ...)
{
    char message[400];
    struct error err;
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    yaml_error(node, STATUS_INVALID, &err, "%s", message);
    compile_take(compiler, &err);
}

static const struct step_kind *kind_of(struct compiler *compiler, const struct yaml_node *step)
{
    const struct step_kind *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (yaml_find_str(step, kinds[i].word) == NULL)
            continue;
        if (found != NULL) {
            compile_fault(compiler, step, "a step is either '" STR_FMT "' or '" STR_FMT "'",
                          STR_ARG(found->word), STR_ARG(kinds[i].word));
            return NULL;
        }
        found = &kinds[i];
    }
    if (found == NULL)
        compile_fault(compiler, step,
                      "a step says what it does: script, training_set, materialize, score, "
                      "register, approval, deploy or when");
    return found;
}

static void check_options(struct compiler *compiler, const struct step_kind *kind,
                          const struct yaml_node *step)
{
    struct str known[ARRAY_LEN(script_options) + 1] = { kind->word };
    size_t count = 1;
    bool script = str_equal(kind->word, STR("script"));
    const struct str *options = script ? script_options : task_options;
    size_t option_count = script ? ARRAY_LEN(script_options) : ARRAY_LEN(task_options);
    struct error err;

    for (size_t i = 0; kind->resource != NULL && i < option_count; i++)
        known[count++] = options[i];
    if (yaml_only_keys(step, known, count, &err) != STATUS_OK)
        compile_take(compiler, &err);
}

static bool is_one_of(struct str key, const struct str *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(keys[i], key))
            return true;
    return false;
}

/* {in: {train: prepare.train}} */
static void compile_in(struct compiler *compiler, yyjson_mut_val *parameters,
                       const struct yaml_node *step)
{
    const struct yaml_node *in = yaml_find(step, "in");
    yyjson_mut_val *object;

    if (in == NULL || in->kind == YAML_NULL)
        return;
    if (in->kind != YAML_MAPPING) {
        compile_fault(compiler, in, "expected {channel: step.output, …}, found %s",
                      yaml_kind_name(in));
        return;
    }
    object = yyjson_mut_obj_add_obj(compiler->doc, parameters, "in");
    for (size_t i = 0; i < in->count; i++) {
        if (!str_is_name(in->keys[i].text))
            compile_fault(compiler, &in->keys[i], "'" STR_FMT "' is no name for an input",
                          STR_ARG(in->keys[i].text));
        compile_named(compiler, object, in->keys[i].text, &in->items[i]);
    }
}

static void compile_args(struct compiler *compiler, yyjson_mut_val *parameters,
                         const struct yaml_node *step)
{
    const struct yaml_node *args = yaml_find(step, "args");
    yyjson_mut_val *object;

    if (args == NULL || args->kind == YAML_NULL)
        return;
    if (args->kind != YAML_MAPPING) {
        compile_fault(compiler, args, "expected {name: value, …}, found %s",
                      yaml_kind_name(args));
        return;
    }
    object = yyjson_mut_obj_add_obj(compiler->doc, parameters, "args");
    for (size_t i = 0; i < args->count; i++)
        compile_value(compiler, object, args->keys[i].text, &args->items[i]);
}

/* What the runner itself would refuse is refused here, where the place is known. */
static void check_script(struct compiler *compiler, const struct yaml_node *step,
                         yyjson_mut_val *parameters)
{
    yyjson_val *json;
    struct error err, placed;
    struct str text = json_mut_write(compiler->arena, parameters);

    if (json_parse(compiler->arena, text, &json, &err) == STATUS_OK &&
        script_task_type.check(json, &err) == STATUS_OK)
        return;
    yaml_error(step, STATUS_INVALID, &placed, "%s", err.message);
    compile_take(compiler, &placed);
}

static void compile_script(struct compiler *compiler, struct compiled_step *self,
                           yyjson_mut_val *parameters)
{
    const struct yaml_node *step = self->node, *script = yaml_find(step, "script");
    const struct yaml_node *memory = yaml_find(step, "memory");
    yyjson_mut_val *plain = yyjson_mut_obj(compiler->doc);

    if (script->kind != YAML_SCALAR) {
        compile_fault(compiler, script, "expected the name of a file, found %s",
                      yaml_kind_name(script));
        return;
    }
    json_add_str(compiler->doc, parameters, "script", script->text);
    json_add_str(compiler->doc, plain, "script", script->text);
    compile_in(compiler, parameters, step);
    compile_args(compiler, parameters, step);
    if (self->out != NULL && self->out->kind != YAML_NULL) {
        yyjson_mut_obj_add_val(compiler->doc, parameters, "out",
                               yaml_to_json(compiler->doc, self->out));
        yyjson_mut_obj_add_val(compiler->doc, plain, "out",
                               yaml_to_json(compiler->doc, self->out));
    }
    if (memory != NULL && memory->kind == YAML_SCALAR) {
        json_add_str(compiler->doc, parameters, "memory", memory->text);
        json_add_str(compiler->doc, plain, "memory", memory->text);
    }
    check_script(compiler, step, plain);
}

/* A mapping of its own: {service: fraud_v1, …}. */
static void compile_mapping(struct compiler *compiler, const struct step_kind *kind,
                            const struct yaml_node *value, yyjson_mut_val *parameters)
{
    struct error err;

    if (value->kind == YAML_NULL && kind->needed.len == 0)
        return;
    if (yaml_is_map(value, &err) != STATUS_OK ||
        yaml_only_keys(value, kind->keys, kind->key_count, &err) != STATUS_OK) {
        compile_take(compiler, &err);
        return;
    }
    if (kind->needed.len > 0 && yaml_find_str(value, kind->needed) == NULL)
        compile_fault(compiler, value, "'" STR_FMT "' is missing", STR_ARG(kind->needed));
    for (size_t i = 0; i < value->count; i++) {
        struct str key = value->keys[i].text;

        if (is_one_of(key, kind->references, kind->reference_count))
            compile_named(compiler, parameters, key, &value->items[i]);
        else
            compile_value(compiler, parameters, key, &value->items[i]);
    }
}

static yyjson_mut_val *retrier(struct compiler *compiler, yyjson_mut_val *list,
                               const char *error, int64_t wait_s, int64_t times, double backoff)
{
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(compiler->doc, list);
    yyjson_mut_val *errors = yyjson_mut_obj_add_arr(compiler->doc, item, "ErrorEquals");

    yyjson_mut_arr_add_str(compiler->doc, errors, error);
    yyjson_mut_obj_add_int(compiler->doc, item, "IntervalSeconds", wait_s);
    yyjson_mut_obj_add_int(compiler->doc, item, "MaxAttempts", times);
    yyjson_mut_obj_add_real(compiler->doc, item, "BackoffRate", backoff);
    return item;
}

/* `retry: 3`, or `retry: {times: 3, wait: 30s}`. */
static void compile_retry(struct compiler *compiler, yyjson_mut_val *state,
                          const struct yaml_node *step)
{
    static const struct str known[] = { STR_INIT("times"), STR_INIT("wait") };
    const struct yaml_node *retry = yaml_find(step, "retry");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(compiler->doc, state, "Retry");
    int64_t times = 0, wait_us = US_PER_SECOND;
    struct error err;

    /* Cut off by a crash: run again, as often as it takes. The limit only ends an endless loop. */
    retrier(compiler, list, "Onggi.Interrupted", 1, 100, 1.0);
    if (retry == NULL || retry->kind == YAML_NULL)
        return;
    if (retry->kind == YAML_MAPPING) {
        if (yaml_only_keys(retry, known, ARRAY_LEN(known), &err) != STATUS_OK ||
            yaml_want_int64(retry, "times", &times, &err) != STATUS_OK ||
            yaml_want_duration_us(retry, "wait", &wait_us, &err) != STATUS_OK) {
            compile_take(compiler, &err);
            return;
        }
    } else if (!str_to_int64(retry->text, &times)) {
        times = 0;
    }
    if (times < 1 || times > 1000 || wait_us < US_PER_SECOND || wait_us % US_PER_SECOND != 0)
        compile_fault(compiler, retry,
                      "expected how often, from 1 to 1000, or {times: 3, wait: 30s}");
    else
        retrier(compiler, list, "States.ALL", wait_us / US_PER_SECOND, times, 2.0);
}

static void compile_timeout(struct compiler *compiler, yyjson_mut_val *state,
                            const struct yaml_node *step)
{
    int64_t timeout_us = 0;
    struct error err;

    if (yaml_want_duration_us(step, "timeout", &timeout_us, &err) != STATUS_OK)
        compile_take(compiler, &err);
    else if (timeout_us % US_PER_SECOND != 0)
        compile_fault(compiler, yaml_find(step, "timeout"),
                      "expected whole seconds, such as 90s");
    else if (timeout_us > 0)
        yyjson_mut_obj_add_int(compiler->doc, state, "TimeoutSeconds",
                               timeout_us / US_PER_SECOND);
}

static void add_next(struct compiler *compiler, yyjson_mut_val *state, struct str next)
{
    if (next.len > 0)
        json_add_str(compiler->doc, state, "Next", next);
    else
        yyjson_mut_obj_add_bool(compiler->doc, state, "End", true);
}

static yyjson_mut_val *add_state(struct compiler *compiler, struct str name, const char *type)
{
    yyjson_mut_val *state = yyjson_mut_obj(compiler->doc);

    yyjson_mut_obj_add_str(compiler->doc, state, "Type", type);
    yyjson_mut_obj_add(compiler->states, yyjson_mut_strncpy(compiler->doc, name.data, name.len),
                       state);
    return state;
}

static void compile_task(struct compiler *compiler, struct compiled_step *self, struct str next)
{
    const struct step_kind *kind = self->kind;
    yyjson_mut_val *state = add_state(compiler, self->name, "Task"), *parameters;

    yyjson_mut_obj_add_str(compiler->doc, state, "Resource", kind->resource);
    parameters = yyjson_mut_obj_add_obj(compiler->doc, state, "Parameters");
    if (kind->keys == NULL)
        compile_script(compiler, self, parameters);
    else
        compile_mapping(compiler, kind, yaml_find_str(self->node, kind->word), parameters);
    json_add_str(compiler->doc, state, "ResultPath",
                 arena_printf(compiler->arena, "$['" STR_FMT "']", STR_ARG(self->name)));
    compile_timeout(compiler, state, self->node);
    compile_retry(compiler, state, self->node);
    add_next(compiler, state, next);
}

/* A Choice that goes on, or fails telling the numbers. */
static void compile_gate(struct compiler *compiler, struct compiled_step *self, struct str next)
{
    struct str closed = arena_printf(compiler->arena, STR_FMT STATE_CLOSED,
                                     STR_ARG(self->name));
    struct str cause = STR_EMPTY;
    yyjson_mut_val *rule = compile_when(compiler, yaml_find(self->node, "when"), self->name,
                                        &cause);
    yyjson_mut_val *state, *rules;

    if (rule == NULL)
        return;
    json_add_str(compiler->doc, rule, "Next", next);
    state = add_state(compiler, self->name, "Choice");
    rules = yyjson_mut_obj_add_arr(compiler->doc, state, "Choices");
    yyjson_mut_arr_append(rules, rule);
    json_add_str(compiler->doc, state, "Default", closed);
    state = add_state(compiler, closed, "Fail");
    yyjson_mut_obj_add_str(compiler->doc, state, "Error", "Onggi.GateClosed");
    json_add_str(compiler->doc, state, "CausePath", cause);
}

static bool check_step_name(struct compiler *compiler, const struct yaml_node *key)
{
    if (!str_is_name(key->text) || key->text.len > 60 ||
        str_index(key->text, '.') < key->text.len) {
        compile_fault(compiler, key,
                      "'" STR_FMT
                      "' is no name for a step: letters, digits, '_' and '-', up to 60",
                      STR_ARG(key->text));
        return false;
    }
    if (str_equal(key->text, STR("params")) || str_equal(key->text, STR("code"))) {
        compile_fault(compiler, key, "a step cannot be called '" STR_FMT "'",
                      STR_ARG(key->text));
        return false;
    }
    return true;
}

static void compile_step(struct compiler *compiler, const struct yaml_node *key,
                         const struct yaml_node *step, struct str next)
{
    struct compiled_step self = { .name = key->text, .node = step };
    struct error err;

    if (!check_step_name(compiler, key))
        return;
    if (yaml_is_map(step, &err) != STATUS_OK) {
        compile_take(compiler, &err);
        return;
    }
    self.kind = kind_of(compiler, step);
    if (self.kind == NULL)
        return;
    self.out = yaml_find(step, "out");
    check_options(compiler, self.kind, step);
    if (self.out != NULL && self.out->kind != YAML_SEQUENCE) {
        compile_fault(compiler, self.out, "expected a list of names, found %s",
                      yaml_kind_name(self.out));
        self.out = NULL;
    }
    if (self.kind->resource == NULL)
        compile_gate(compiler, &self, next.len > 0 ? next : STR(STATE_DONE));
    else
        compile_task(compiler, &self, next);
    ARENA_PUSH(compiler->arena, compiler->steps, compiler->step_count,
               compiler->step_capacity) = self;
}

static void compile_steps(struct compiler *compiler, const struct yaml_node *steps)
{
    if (steps->kind != YAML_MAPPING || steps->count == 0 || steps->count > STEPS_MAX) {
        compile_fault(compiler, steps, "expected 1 to %d steps, each with a name", STEPS_MAX);
        return;
    }
    for (size_t i = 0; i < steps->count; i++)
        compile_step(compiler, &steps->keys[i], &steps->items[i],
                     i + 1 < steps->count ? steps->keys[i + 1].text : STR_EMPTY);
    if (compiler->step_count > 0 &&
        compiler->steps[compiler->step_count - 1].kind->resource == NULL)
        (void)add_state(compiler, STR(STATE_DONE), "Succeed");
}

static void keep_steps(struct compiler *compiler)
{
    struct pipeline *pipeline = compiler->pipeline;

    pipeline->step_count = compiler->step_count;
    pipeline->steps = ARENA_ARRAY(compiler->arena, struct pipeline_step, compiler->step_count);
    for (size_t i = 0; i < compiler->step_count; i++) {
        const char *resource = compiler->steps[i].kind->resource;

        pipeline->steps[i].name = arena_str(compiler->arena, compiler->steps[i].name);
        pipeline->steps[i].resource = str_from(resource == NULL ? "Choice" : resource);
    }
}

static void compile_params(struct compiler *compiler, const struct yaml_node *document)
{
    const struct yaml_node *params = yaml_find(document, "params");
    yyjson_mut_val *object = yyjson_mut_obj(compiler->doc);
    struct error err;

    if (params != NULL && params->kind != YAML_NULL && params->kind != YAML_MAPPING)
        compile_fault(compiler, params, "expected {name: default, …}, found %s",
                      yaml_kind_name(params));
    for (size_t i = 0; params != NULL && params->kind == YAML_MAPPING && i < params->count;
         i++) {
        const struct yaml_node *value = &params->items[i];

        if (!str_is_name(params->keys[i].text) ||
            str_index(params->keys[i].text, '.') < params->keys[i].text.len)
            compile_fault(compiler, &params->keys[i],
                          "'" STR_FMT "' is no name for a parameter",
                          STR_ARG(params->keys[i].text));
        if (value->kind != YAML_SCALAR && value->kind != YAML_NULL)
            compile_fault(compiler, value, "expected a text, a number, true or false, found %s",
                          yaml_kind_name(value));
    }
    if (params != NULL && params->kind == YAML_MAPPING)
        object = yaml_to_json(compiler->doc, params);
    if (json_parse(compiler->arena, json_mut_write(compiler->arena, object),
                   &compiler->pipeline->params, &err) != STATUS_OK)
        compile_take(compiler, &err);
}

static void compile_schedule(struct compiler *compiler, const struct yaml_node *document)
{
    const struct yaml_node *node = yaml_find(document, "schedule");
    const char *wrong;

    if (node == NULL || node->kind == YAML_NULL)
        return;
    wrong = node->kind == YAML_SCALAR ? cron_fault(node->text)
                                      : "expected a text like \"0 3 * * *\"";
    if (wrong != NULL)
        compile_fault(compiler, node, "%s", wrong);
    else
        compiler->pipeline->schedule = arena_str(compiler->arena, node->text);
}

static void keep_definition(struct compiler *compiler)
{
    yyjson_mut_val *machine = yyjson_mut_obj(compiler->doc);

    assert(compiler->step_count > 0);
    json_add_str(
        compiler->doc, machine, "Comment",
        arena_printf(compiler->arena, "pipeline " STR_FMT, STR_ARG(compiler->pipeline->name)));
    json_add_str(compiler->doc, machine, "StartAt", compiler->steps[0].name);
    yyjson_mut_obj_add_val(compiler->doc, machine, "States", compiler->states);
    compiler->pipeline->definition = json_mut_write(compiler->arena, machine);
}

static void compile_short(struct compiler *compiler, const struct yaml_node *document)
{
    static const struct str known[] = { STR_INIT("pipeline"), STR_INIT("schedule"),
                                        STR_INIT("params"),   STR_INIT("steps"),
                                        STR_INIT("owner"),    STR_INIT("description"),
                                        STR_INIT("tags") };
    const struct yaml_node *steps;
    struct error err;

    if (yaml_only_keys(document, known, ARRAY_LEN(known), &err) != STATUS_OK)
        compile_take(compiler, &err);
    if (yaml_need_str(document, "pipeline", &compiler->pipeline->name, &err) != STATUS_OK ||
        yaml_need(document, "steps", &steps, &err) != STATUS_OK) {
        compile_take(compiler, &err);
        return;
    }
    compile_schedule(compiler, document);
    compile_params(compiler, document);
    compile_steps(compiler, steps);
    keep_steps(compiler);
    if (!compiler->failed)
        keep_definition(compiler);
}

static void keep_asl_steps(struct compiler *compiler, const struct machine *machine)
{
    struct pipeline *pipeline = compiler->pipeline;

    pipeline->step_count = machine->count;
    pipeline->steps = ARENA_ARRAY(compiler->arena, struct pipeline_step, machine->count);
    for (size_t i = 0; i < machine->count; i++) {
        const struct state *state = &machine->states[i];

        pipeline->steps[i].name = state->name;
        pipeline->steps[i].resource = state->resource.len > 0 ? state->resource
                                                              : pipeline->steps[i].resource;
    }
}

static void compile_asl(struct compiler *compiler, const struct yaml_node *document)
{
    struct machine *machine;
    struct error err, placed;

    compiler->pipeline->definition = json_mut_write(compiler->arena,
                                                    yaml_to_json(compiler->doc, document));
    if (machine_parse(compiler->arena, compiler->pipeline->definition, NULL, NULL, &machine,
                      &err) == STATUS_OK) {
        keep_asl_steps(compiler, machine);
        return;
    }
    yaml_error(document, err.status, &placed, "%s", err.message);
    compile_take(compiler, &placed);
}

bool pipeline_compile(struct arena *arena, const struct yaml_node *document,
                      pipeline_fault fault, void *context, struct pipeline *out)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    struct compiler compiler = { .arena = arena,
                                 .doc = doc,
                                 .fault = fault,
                                 .context = context,
                                 .pipeline = out,
                                 .states = yyjson_mut_obj(doc) };
    struct error err;

    *out = (struct pipeline){ .file = document->file };
    if (yaml_is_map(document, &err) != STATUS_OK)
        compile_take(&compiler, &err);
    else if (yaml_find(document, "StartAt") != NULL)
        compile_asl(&compiler, document);
    else
        compile_short(&compiler, document);
    return !compiler.failed;
}
