/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/asl.h"

#include "workflow/choice.h"
#include "workflow/states/state.h"

#define DEFINITION_MAX ((size_t)1 << 20)
#define NAME_MAX_LEN 80
#define SECONDS_MAX INT64_C(99999999)

const struct state *machine_find(const struct machine *machine, struct str name)
{
    for (size_t i = 0; i < machine->count; i++)
        if (str_equal(machine->states[i].name, name))
            return &machine->states[i];
    return NULL;
}

enum status state_want_int(yyjson_val *json, const char *key, int64_t least, int64_t most,
                           int64_t *out, struct error *err)
{
    int64_t value = *out;

    if (json_find(json, str_from(key)) == NULL)
        return STATUS_OK;
    TRY(json_want_int64(json, key, &value, err));
    if (value < least || value > most)
        return error_set(err, STATUS_INVALID, "%s: must be from %lld to %lld", key,
                         (long long)least, (long long)most);
    *out = value;
    return STATUS_OK;
}

enum status state_want_path(struct arena *arena, yyjson_val *json, const char *key,
                            bool reference, struct state_path *out, struct error *err)
{
    yyjson_val *value = json_find(json, str_from(key));

    *out = (struct state_path){ .presence = value == NULL ? PATH_ABSENT : PATH_GIVEN };
    if (value == NULL)
        return STATUS_OK;
    if (yyjson_is_null(value)) {
        out->presence = PATH_IS_NULL;
        return STATUS_OK;
    }
    if (!yyjson_is_str(value))
        return error_set(err, STATUS_INVALID, "%s: must be a path in quotes, or null", key);
    if (json_path_parse(arena, json_str(value), &out->path, err) != STATUS_OK)
        return error_wrap(err, "%s", key);
    if (reference && !json_path_is_reference(&out->path))
        return error_set(err, STATUS_INVALID,
                         "%s: must lead to one place in the input: names and indexes only",
                         key);
    return STATUS_OK;
}

enum status state_want_expression(struct arena *arena, yyjson_val *json, const char *key,
                                  struct str *out, struct error *err)
{
    if (json_find(json, str_from(key)) == NULL)
        return STATUS_OK;
    TRY(json_need_str(json, key, out, err));
    if (expression_check(arena, *out, err) != STATUS_OK)
        return error_wrap(err, "%s", key);
    return STATUS_OK;
}

/* A letter, then letters, digits and underscores; JSONata keeps `states` for itself. */
static bool is_variable_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;

        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0 && name.len <= VARIABLE_NAME_MAX && !str_equal(name, STR("states"));
}

enum status state_want_assign(struct arena *arena, yyjson_val *json, yyjson_val **out,
                              struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;

    TRY(json_want_object(json, "Assign", out, err));
    if (*out == NULL)
        return STATUS_OK;
    yyjson_obj_foreach(*out, i, count, key, value)
    {
        struct str name = json_str(key);

        if (str_ends(name, STR(".$")))
            name.len -= 2;
        if (!is_variable_name(name))
            return error_set(err, STATUS_INVALID,
                             "Assign: '" STR_FMT "' cannot be the name of a variable: letters, "
                             "digits and '_', at most %d",
                             STR_ARG(name), VARIABLE_NAME_MAX);
    }
    if (template_check(arena, *out, err) != STATUS_OK)
        return error_wrap(err, "Assign");
    return STATUS_OK;
}

static enum status parse_error_names(struct arena *arena, yyjson_val *json, struct str **out,
                                     size_t *count, struct error *err)
{
    yyjson_val *names = json_find(json, STR("ErrorEquals")), *name;
    size_t i, len;

    if (!yyjson_is_arr(names) || yyjson_arr_size(names) == 0)
        return error_set(
            err, STATUS_INVALID,
            "ErrorEquals: must be a list of error names, such as [\"States.ALL\"]");
    *count = yyjson_arr_size(names);
    *out = ARENA_ARRAY(arena, struct str, *count);
    yyjson_arr_foreach(names, i, len, name)
    {
        if (!yyjson_is_str(name))
            return error_set(err, STATUS_INVALID, "ErrorEquals[%zu]: must be a string", i);
        (*out)[i] = json_str(name);
        if (str_equal((*out)[i], ERROR_ALL) && *count > 1)
            return error_set(err, STATUS_INVALID, "ErrorEquals: States.ALL must stand alone");
    }
    return STATUS_OK;
}

static enum status check_all_is_last(const struct str *names, size_t index, size_t count,
                                     struct error *err)
{
    if (str_equal(names[0], ERROR_ALL) && index + 1 < count)
        return error_set(err, STATUS_INVALID,
                         "States.ALL must be the last; what follows is never reached");
    return STATUS_OK;
}

static enum status want_double(yyjson_val *json, const char *key, double least, double *out,
                               struct error *err)
{
    yyjson_val *value = json_find(json, str_from(key));

    if (value == NULL)
        return STATUS_OK;
    if (!yyjson_is_num(value) || yyjson_get_num(value) < least)
        return error_set(err, STATUS_INVALID, "%s: must be a number, at least %g", key, least);
    *out = yyjson_get_num(value);
    return STATUS_OK;
}

static enum status parse_retrier(struct arena *arena, yyjson_val *json, struct retrier *out,
                                 struct error *err)
{
    static const struct str known[] = {
        STR_INIT("ErrorEquals"), STR_INIT("IntervalSeconds"), STR_INIT("MaxAttempts"),
        STR_INIT("BackoffRate"), STR_INIT("MaxDelaySeconds"), STR_INIT("JitterStrategy"),
        STR_INIT("Comment"),
    };
    int64_t interval = 1, max_delay = 0;
    struct str jitter = STR("NONE");

    *out = (struct retrier){ .max_attempts = 3, .backoff = 2.0 };
    TRY(json_only_keys(json, known, ARRAY_LEN(known), err));
    TRY(parse_error_names(arena, json, &out->errors, &out->error_count, err));
    TRY(state_want_int(json, "IntervalSeconds", 1, SECONDS_MAX, &interval, err));
    TRY(state_want_int(json, "MaxAttempts", 0, SECONDS_MAX, &out->max_attempts, err));
    TRY(state_want_int(json, "MaxDelaySeconds", 1, 31622400, &max_delay, err));
    TRY(want_double(json, "BackoffRate", 1.0, &out->backoff, err));
    TRY(json_want_str(json, "JitterStrategy", &jitter, err));
    if (!str_equal(jitter, STR("NONE")) && !str_equal(jitter, STR("FULL")))
        return error_set(err, STATUS_INVALID, "JitterStrategy: must be FULL or NONE");
    out->interval_s = (double)interval;
    out->max_delay_s = (double)max_delay;
    out->full_jitter = str_equal(jitter, STR("FULL"));
    return STATUS_OK;
}

static enum status parse_catcher(struct arena *arena, yyjson_val *json, struct catcher *out,
                                 struct error *err)
{
    static const struct str known[] = { STR_INIT("ErrorEquals"), STR_INIT("Next"),
                                        STR_INIT("ResultPath"), STR_INIT("Assign"),
                                        STR_INIT("Comment") };

    TRY(json_only_keys(json, known, ARRAY_LEN(known), err));
    TRY(parse_error_names(arena, json, &out->errors, &out->error_count, err));
    TRY(json_need_str(json, "Next", &out->next, err));
    TRY(state_want_assign(arena, json, &out->assign, err));
    return state_want_path(arena, json, "ResultPath", true, &out->result_path, err);
}

static enum status want_list(yyjson_val *json, const char *key, yyjson_val **out, size_t *count,
                             struct error *err)
{
    *out = json_find(json, str_from(key));
    *count = yyjson_arr_size(*out);
    if (*out != NULL && !yyjson_is_arr(*out))
        return error_set(err, STATUS_INVALID, "%s: must be a list", key);
    return STATUS_OK;
}

static enum status parse_retry(struct arena *arena, yyjson_val *json, struct state *state,
                               struct error *err)
{
    yyjson_val *list, *item;
    size_t i, count;

    TRY(want_list(json, "Retry", &list, &state->retrier_count, err));
    state->retriers = ARENA_ARRAY(arena, struct retrier, state->retrier_count);
    yyjson_arr_foreach(list, i, count, item)
    {
        struct retrier *retrier = &state->retriers[i];

        if (parse_retrier(arena, item, retrier, err) != STATUS_OK ||
            check_all_is_last(retrier->errors, i, count, err) != STATUS_OK)
            return error_wrap(err, "Retry[%zu]", i);
    }
    return STATUS_OK;
}

static enum status parse_catch(struct arena *arena, yyjson_val *json, struct state *state,
                               struct error *err)
{
    yyjson_val *list, *item;
    size_t i, count;

    TRY(want_list(json, "Catch", &list, &state->catcher_count, err));
    state->catchers = ARENA_ARRAY(arena, struct catcher, state->catcher_count);
    yyjson_arr_foreach(list, i, count, item)
    {
        struct catcher *catcher = &state->catchers[i];

        if (parse_catcher(arena, item, catcher, err) != STATUS_OK ||
            check_all_is_last(catcher->errors, i, count, err) != STATUS_OK)
            return error_wrap(err, "Catch[%zu]", i);
    }
    return STATUS_OK;
}

static enum status parse_next(yyjson_val *json, struct state *state, struct error *err)
{
    bool end = false;

    TRY(json_want_str(json, "Next", &state->next, err));
    TRY(json_want_bool(json, "End", &end, err));
    if ((state->next.len > 0) == end)
        return error_set(err, STATUS_INVALID,
                         "write either \"Next\": \"a state\" or \"End\": true");
    return STATUS_OK;
}

static enum status parse_template(struct arena *arena, yyjson_val *json, const char *key,
                                  yyjson_val **out, struct error *err)
{
    *out = json_find(json, str_from(key));
    if (*out != NULL && template_check(arena, *out, err) != STATUS_OK)
        return error_wrap(err, "%s", key);
    return STATUS_OK;
}

/* Of the language, but not of this program yet: whoever writes them has made no mistake. */
static const struct str later_types[] = { STR_INIT("Wait"), STR_INIT("Parallel"),
                                          STR_INIT("Map") };
static const struct str later_fields[] = { STR_INIT("Arguments"), STR_INIT("Output") };

static bool is_one_of(struct str name, const struct str *list, size_t count)
{
    size_t i = 0;

    while (i < count && !str_equal(name, list[i]))
        i++;
    return i < count;
}

static enum status refuse_later(yyjson_val *json, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(later_fields); i++)
        if (json_find(json, later_fields[i]) != NULL)
            return error_set(err, STATUS_INVALID,
                             "field '" STR_FMT "' (JSONata) is not understood yet",
                             STR_ARG(later_fields[i]));
    return STATUS_OK;
}

/* Names by field bit, for the check of unknown fields; a bit may bring several. */
static const struct {
    unsigned field;
    struct str name;
} shared_fields[] = {
    { FIELD_INPUT_OUTPUT, STR_INIT("InputPath") },
    { FIELD_INPUT_OUTPUT, STR_INIT("OutputPath") },
    { FIELD_PARAMETERS, STR_INIT("Parameters") },
    { FIELD_RESULT_SELECTOR, STR_INIT("ResultSelector") },
    { FIELD_RESULT_PATH, STR_INIT("ResultPath") },
    { FIELD_RETRY_CATCH, STR_INIT("Retry") },
    { FIELD_RETRY_CATCH, STR_INIT("Catch") },
    { FIELD_ASSIGN, STR_INIT("Assign") },
    { FIELD_NEXT_END, STR_INIT("Next") },
    { FIELD_NEXT_END, STR_INIT("End") },
};

static enum status check_fields(struct arena *arena, const struct state_type *type,
                                yyjson_val *json, struct error *err)
{
    size_t most = 3 + ARRAY_LEN(shared_fields) + type->own_field_count, count = 0;
    struct str *known = ARENA_ARRAY(arena, struct str, most);

    known[count++] = STR("Type");
    known[count++] = STR("Comment");
    known[count++] = STR("QueryLanguage");
    for (size_t i = 0; i < ARRAY_LEN(shared_fields); i++)
        if ((type->fields & shared_fields[i].field) != 0)
            known[count++] = shared_fields[i].name;
    for (size_t i = 0; i < type->own_field_count; i++)
        known[count++] = type->own_fields[i];
    TRY(refuse_later(json, err));
    return json_only_keys(json, known, count, err);
}

static enum status check_query_language(yyjson_val *json, struct error *err)
{
    struct str language = STR("JSONPath");

    TRY(json_want_str(json, "QueryLanguage", &language, err));
    if (!str_equal(language, STR("JSONPath")))
        return error_set(err, STATUS_INVALID,
                         "QueryLanguage: '" STR_FMT "' is not understood yet; write JSONPath",
                         STR_ARG(language));
    return STATUS_OK;
}

static enum status parse_fields(const struct machine_reader *reader, yyjson_val *json,
                                struct state *state, struct error *err)
{
    struct arena *arena = reader->arena;
    const struct state_type *type = state->type;

    TRY(check_fields(arena, type, json, err));
    TRY(check_query_language(json, err));
    TRY(state_want_path(arena, json, "InputPath", false, &state->input_path, err));
    TRY(state_want_path(arena, json, "OutputPath", false, &state->output_path, err));
    TRY(state_want_path(arena, json, "ResultPath", true, &state->result_path, err));
    TRY(parse_template(arena, json, "Parameters", &state->parameters, err));
    TRY(parse_template(arena, json, "ResultSelector", &state->result_selector, err));
    TRY(state_want_assign(arena, json, &state->assign, err));
    TRY(parse_retry(arena, json, state, err));
    TRY(parse_catch(arena, json, state, err));
    if ((type->fields & FIELD_NEXT_END) != 0)
        TRY(parse_next(json, state, err));
    return type->parse == NULL ? STATUS_OK : type->parse(reader, json, state, err);
}

static enum status parse_state(const struct machine_reader *reader, yyjson_val *json,
                               struct state *state, struct error *err)
{
    struct str type, names;

    if (!yyjson_is_obj(json))
        return error_set(err, STATUS_INVALID, "a state must be an object");
    if (state->name.len == 0 || state->name.len > NAME_MAX_LEN)
        return error_set(err, STATUS_INVALID, "the name of a state has 1 to %d bytes",
                         NAME_MAX_LEN);
    TRY(json_need_str(json, "Type", &type, err));
    state->type = state_type_find(type);
    if (state->type != NULL)
        return parse_fields(reader, json, state, err);
    names = state_type_names(reader->arena);
    return error_set(
        err, STATUS_INVALID, "Type: '" STR_FMT "' is not %s; there are " STR_FMT, STR_ARG(type),
        is_one_of(type, later_types, ARRAY_LEN(later_types)) ? "understood yet" : "known",
        STR_ARG(names));
}

static enum status parse_states(const struct machine_reader *reader, yyjson_val *states,
                                struct error *err)
{
    struct machine *machine = reader->machine;
    yyjson_val *key, *value;
    size_t i, count;

    machine->count = yyjson_obj_size(states);
    machine->states = ARENA_ARRAY(reader->arena, struct state, machine->count);
    yyjson_obj_foreach(states, i, count, key, value)
    {
        struct state *state = &machine->states[i];

        state->name = json_str(key);
        if (parse_state(reader, value, state, err) != STATUS_OK)
            return error_wrap(err, "$.States." STR_FMT, STR_ARG(state->name));
    }
    return STATUS_OK;
}

static enum status check_target(const struct machine_reader *reader, struct str target,
                                const char *field, struct error *err)
{
    const struct machine *machine = reader->machine;
    struct str *names, near;

    if (target.len == 0 || machine_find(machine, target) != NULL)
        return STATUS_OK;
    names = ARENA_ARRAY(reader->arena, struct str, machine->count);
    for (size_t i = 0; i < machine->count; i++)
        names[i] = machine->states[i].name;
    near = str_nearest(target, names, machine->count);
    if (near.len > 0)
        return error_set(err, STATUS_INVALID,
                         "%s: there is no state '" STR_FMT "'; did you mean '" STR_FMT "'?",
                         field, STR_ARG(target), STR_ARG(near));
    return error_set(err, STATUS_INVALID, "%s: there is no state '" STR_FMT "'", field,
                     STR_ARG(target));
}

static enum status check_targets(const struct machine_reader *reader, const struct state *state,
                                 struct error *err)
{
    TRY(check_target(reader, state->next, "Next", err));
    TRY(check_target(reader, state->default_next, "Default", err));
    for (size_t i = 0; i < state->catcher_count; i++)
        TRY(check_target(reader, state->catchers[i].next, "Catch", err));
    for (size_t i = 0; i < state->rule_count; i++)
        TRY(check_target(reader, state->rules[i].next, "Choices", err));
    return STATUS_OK;
}

static void mark_reached(const struct machine *machine, const struct state *state,
                         bool *reached);

static void mark_target(const struct machine *machine, struct str target, bool *reached)
{
    const struct state *state = machine_find(machine, target);

    if (state != NULL && !reached[state - machine->states])
        mark_reached(machine, state, reached);
}

static void mark_reached(const struct machine *machine, const struct state *state,
                         bool *reached)
{
    reached[state - machine->states] = true;
    for (size_t i = 0; i < state->catcher_count; i++)
        mark_target(machine, state->catchers[i].next, reached);
    for (size_t i = 0; i < state->rule_count; i++)
        mark_target(machine, state->rules[i].next, reached);
    mark_target(machine, state->default_next, reached);
    mark_target(machine, state->next, reached);
}

#define STATES_MAX 10000 /* also bounds the recursion above */

static enum status check_all_reached(const struct machine_reader *reader, struct error *err)
{
    const struct machine *machine = reader->machine;
    bool *reached = ARENA_ARRAY(reader->arena, bool, machine->count);

    mark_target(machine, machine->start_at, reached);
    for (size_t i = 0; i < machine->count; i++)
        if (!reached[i])
            return error_set(err, STATUS_INVALID,
                             "$.States." STR_FMT
                             ": no state leads to it; remove it, or name it in "
                             "a Next",
                             STR_ARG(machine->states[i].name));
    return STATUS_OK;
}

static enum status check_links(const struct machine_reader *reader, struct error *err)
{
    const struct machine *machine = reader->machine;

    if (check_target(reader, machine->start_at, "StartAt", err) != STATUS_OK)
        return error_wrap(err, "$");
    for (size_t i = 0; i < machine->count; i++)
        if (check_targets(reader, &machine->states[i], err) != STATUS_OK)
            return error_wrap(err, "$.States." STR_FMT, STR_ARG(machine->states[i].name));
    return check_all_reached(reader, err);
}

static enum status parse_top(const struct machine_reader *reader, yyjson_val *json,
                             struct error *err)
{
    static const struct str known[] = { STR_INIT("Comment"),        STR_INIT("StartAt"),
                                        STR_INIT("States"),         STR_INIT("Version"),
                                        STR_INIT("TimeoutSeconds"), STR_INIT("QueryLanguage") };
    struct str version = STR("1.0");
    yyjson_val *states;

    TRY(json_only_keys(json, known, ARRAY_LEN(known), err));
    TRY(check_query_language(json, err));
    TRY(json_want_str(json, "Version", &version, err));
    if (!str_equal(version, STR("1.0")))
        return error_set(err, STATUS_INVALID, "Version: must be \"1.0\"");
    TRY(json_need_str(json, "StartAt", &reader->machine->start_at, err));
    TRY(json_need_object(json, "States", &states, err));
    if (yyjson_obj_size(states) == 0 || yyjson_obj_size(states) > STATES_MAX)
        return error_set(err, STATUS_INVALID, "States: must have 1 to %d states", STATES_MAX);
    return state_want_int(json, "TimeoutSeconds", 1, SECONDS_MAX, &reader->machine->timeout_s,
                          err);
}

enum status machine_parse(struct arena *arena, struct str definition, resource_check check,
                          void *check_context, struct machine **out, struct error *err)
{
    struct machine *machine = ARENA_NEW(arena, struct machine);
    struct machine_reader reader = { arena, machine, check, check_context };
    yyjson_val *json;

    if (definition.len > DEFINITION_MAX)
        return error_set(err, STATUS_LIMIT,
                         "a definition may have 1048576 bytes, this one has %zu",
                         definition.len);
    TRY(json_parse(arena, definition, &json, err));
    if (!yyjson_is_obj(json))
        return error_set(err, STATUS_INVALID, "$: a state machine must be a JSON object");
    if (parse_top(&reader, json, err) != STATUS_OK)
        return error_wrap(err, "$");
    TRY(parse_states(&reader, json_find(json, STR("States")), err));
    TRY(check_links(&reader, err));
    *out = machine;
    return STATUS_OK;
}
