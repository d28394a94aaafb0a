/* SPDX-License-Identifier: Apache-2.0 */
/* The events that an execution makes, in the shape of GetExecutionHistory. */
#include "base/clock.h"
#include "base/hash.h"
#include "workflow/execution_internal.h"
#include "workflow/states/state.h"

#include <math.h>
#include <stdlib.h>

/* The chain of events: the first two both begin it. */
static int64_t previous_of(const struct execution *execution)
{
    return execution->last_id == 1 ? 0 : execution->last_id;
}

/* Makes an event and applies it. details is the inner object, shown under `name`EventDetails. */
static void emit(struct execution *execution, struct str type, const char *name,
                 yyjson_mut_doc *doc, yyjson_mut_val *details, struct str private_part)
{
    struct arena *arena = execution->fresh_arena;
    yyjson_mut_val *outer = yyjson_mut_obj(doc);
    struct event event = { .id = execution->last_id + 1,
                           .previous_id = previous_of(execution),
                           .time_us = execution->now_us,
                           .type = arena_str(arena, type),
                           .private_part = arena_str(arena, private_part) };
    struct error err;

    yyjson_mut_obj_add_val(doc, outer, name, details);
    event.details = json_mut_write(arena, outer);
    ARENA_PUSH(arena, execution->fresh, execution->fresh_count,
               execution->fresh_capacity) = event;
    execution->fresh_bytes += event.details.len + event.private_part.len;
    if (execution_apply(execution, &event, &err) != STATUS_OK)
        abort(); /* what we make ourselves always fits */
}

/* What shows steps need not read whole inputs for the names of their states. */
static void note_state(struct execution *execution, struct str name)
{
    execution->fresh[execution->fresh_count - 1].state = arena_str(execution->fresh_arena,
                                                                   name);
}

static void add_truncated(yyjson_mut_doc *doc, yyjson_mut_val *details, const char *key)
{
    yyjson_mut_val *flag = yyjson_mut_obj_add_obj(doc, details, key);

    yyjson_mut_obj_add_bool(doc, flag, "truncated", false);
}

void execution_start(struct execution *execution, struct str input, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    execution->now_us = now_us;
    json_add_str(doc, details, "input", input);
    add_truncated(doc, details, "inputDetails");
    json_add_str(doc, details, "roleArn", STR(EXECUTION_ROLE));
    emit(execution, STR("ExecutionStarted"), "executionStartedEventDetails", doc, details,
         STR_EMPTY);
}

void execution_make_entered(struct execution *execution)
{
    const struct cursor *cursor = &execution->cursor;
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    json_add_str(doc, details, "name", cursor->state->name);
    json_add_str(doc, details, "input", cursor->input);
    add_truncated(doc, details, "inputDetails");
    emit(execution, str_from(cursor->state->type->entered), "stateEnteredEventDetails", doc,
         details, STR_EMPTY);
    note_state(execution, cursor->state->name);
}

void execution_make_exited(struct execution *execution, struct str output,
                           yyjson_mut_val *assigned, struct str next)
{
    const struct state *state = execution->cursor.state;
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc), *private_part = yyjson_mut_obj(doc);

    json_add_str(doc, details, "name", state->name);
    json_add_str(doc, details, "output", output);
    add_truncated(doc, details, "outputDetails");
    if (assigned != NULL) {
        yyjson_mut_obj_add_val(doc, details, "assignedVariables",
                               yyjson_mut_val_mut_copy(doc, assigned));
        add_truncated(doc, details, "assignedVariablesDetails");
    }
    if (next.len > 0)
        json_add_str(doc, private_part, "next", next);
    emit(execution, str_from(state->type->exited), "stateExitedEventDetails", doc, details,
         json_mut_write(execution->scratch, private_part));
}

void execution_make_succeeded(struct execution *execution)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    json_add_str(doc, details, "output", execution->cursor.result);
    add_truncated(doc, details, "outputDetails");
    emit(execution, STR("ExecutionSucceeded"), "executionSucceededEventDetails", doc, details,
         STR_EMPTY);
}

/* At most so many characters, none of them cut in two. */
static struct str first_characters(struct str text, size_t most)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)text.data[i] & 0xC0) != 0x80 && count++ == most)
            return str_slice(text, 0, i);
    return text;
}

struct fault fault_clipped(const struct fault *fault)
{
    return (struct fault){ first_characters(fault->error, ERROR_CHARACTERS_MAX),
                           first_characters(fault->cause, CAUSE_CHARACTERS_MAX) };
}

static void add_fault(yyjson_mut_doc *doc, yyjson_mut_val *details, const struct fault *fault)
{
    const struct fault clipped = fault_clipped(fault);

    if (clipped.error.len > 0)
        json_add_str(doc, details, "error", clipped.error);
    if (clipped.cause.len > 0)
        json_add_str(doc, details, "cause", clipped.cause);
}

void execution_make_end(struct execution *execution, struct str type, const char *name,
                        const struct fault *fault)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    add_fault(doc, details, fault);
    emit(execution, type, name, doc, details, STR_EMPTY);
}

/* Who asked for it is no client's affair, but the operator's. */
static struct str asked_by(struct execution *execution, struct str user)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *private_part = yyjson_mut_obj(doc);

    json_add_str(doc, private_part, "user", user);
    return json_mut_write(execution->scratch, private_part);
}

static void add_resource(yyjson_mut_doc *doc, yyjson_mut_val *details,
                         const struct state *state)
{
    size_t colon = str_index(state->resource, ':');
    struct str rest = str_slice(state->resource, colon + (colon < state->resource.len),
                                state->resource.len);

    json_add_str(doc, details, "resourceType", str_slice(state->resource, 0, colon));
    json_add_str(doc, details, "resource", rest);
}

static void emit_task(struct execution *execution, struct str type, const char *name,
                      yyjson_mut_doc *doc, yyjson_mut_val *details, struct str private_part)
{
    add_resource(doc, details, execution->cursor.state);
    emit(execution, type, name, doc, details, private_part);
}

void execution_schedule_task(struct execution *execution, struct str parameters,
                             int64_t timeout_s, int64_t heartbeat_s)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc), *private_part = yyjson_mut_obj(doc);

    json_add_str(doc, details, "region", STR("local"));
    json_add_str(doc, details, "parameters", parameters);
    if (timeout_s > 0)
        yyjson_mut_obj_add_int(doc, details, "timeoutInSeconds", timeout_s);
    if (heartbeat_s > 0)
        yyjson_mut_obj_add_int(doc, details, "heartbeatInSeconds", heartbeat_s);
    json_add_str(doc, private_part, "token", id_new(execution->scratch));
    emit_task(execution, STR("TaskScheduled"), "taskScheduledEventDetails", doc, details,
              json_mut_write(execution->scratch, private_part));
}

static bool is_current(const struct execution *execution, struct str token, enum phase from,
                       enum phase to)
{
    return execution->status == EXECUTION_RUNNING && execution->cursor.phase >= from &&
           execution->cursor.phase <= to && str_equal(execution->cursor.token, token);
}

bool execution_task_started(struct execution *execution, struct str token,
                            struct str private_part, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);

    if (!is_current(execution, token, PHASE_SCHEDULED, PHASE_SCHEDULED))
        return false;
    execution->now_us = now_us;
    emit_task(execution, STR("TaskStarted"), "taskStartedEventDetails", doc,
              yyjson_mut_obj(doc), private_part);
    return true;
}

static void add_output(yyjson_mut_doc *doc, yyjson_mut_val *details, struct str output)
{
    json_add_str(doc, details, "output", output);
    add_truncated(doc, details, "outputDetails");
}

void execution_task_begun(struct execution *execution, int64_t now_us)
{
    execution->cursor.begun_us = now_us;
}

bool execution_task_submitted(struct execution *execution, struct str token, struct str output,
                              int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    if (!is_current(execution, token, PHASE_STARTED, PHASE_STARTED))
        return false;
    execution->now_us = now_us;
    add_output(doc, details, output);
    emit_task(execution, STR("TaskSubmitted"), "taskSubmittedEventDetails", doc, details,
              arena_printf(execution->scratch, "{\"begun_us\":%lld}",
                           (long long)execution->cursor.begun_us));
    return true;
}

bool execution_data_is_good(struct execution *execution, struct str json, struct fault *fault)
{
    struct arena *arena = execution->scratch;
    struct str name = execution->cursor.state->name;
    yyjson_val *value;
    struct error err;

    if (json.len > DATA_MAX)
        *fault = (struct fault){
            ERROR_DATA_LIMIT,
            arena_printf(arena,
                         "The state/task '" STR_FMT
                         "' returned a result with a size exceeding the "
                         "maximum number of bytes service limit.",
                         STR_ARG(name)),
        };
    else if (json_parse(arena, json, &value, &err) != STATUS_OK)
        *fault = (struct fault){ ERROR_RUNTIME,
                                 arena_printf(arena, "its data: %s", err.message) };
    else
        return true;
    return false;
}

bool execution_task_succeeded(struct execution *execution, struct str token, struct str output,
                              int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);
    struct fault fault;

    if (!is_current(execution, token, PHASE_STARTED, PHASE_SUBMITTED))
        return false;
    if (!execution_data_is_good(execution, output, &fault))
        return execution_task_failed(execution, token, &fault, now_us);
    execution->now_us = now_us;
    add_output(doc, details, output);
    emit_task(execution, STR("TaskSucceeded"), "taskSucceededEventDetails", doc, details,
              STR_EMPTY);
    return true;
}

/* States.Runtime ends the execution whoever names it; States.TaskFailed is any error but a timeout. */
static bool error_matches(struct str pattern, struct str error)
{
    if (str_equal(error, ERROR_RUNTIME))
        return false;
    if (str_equal(pattern, error) || str_equal(pattern, ERROR_ALL))
        return true;
    if (str_equal(pattern, ERROR_TASK_FAILED))
        return !str_equal(error, ERROR_TIMEOUT);
    return str_equal(pattern, ERROR_TIMEOUT) && str_equal(error, ERROR_HEARTBEAT);
}

bool error_matches_any(const struct str *patterns, size_t count, struct str error)
{
    for (size_t i = 0; i < count; i++)
        if (error_matches(patterns[i], error))
            return true;
    return false;
}

static int64_t retry_delay_us(const struct retrier *retrier, int64_t attempts)
{
    double seconds = retrier->interval_s * pow(retrier->backoff, (double)attempts);
    double most = retrier->max_delay_s > 0 ? retrier->max_delay_s : 1e9;

    if (!(seconds < most))
        seconds = most;
    if (retrier->full_jitter)
        seconds *= (double)(random_u64() >> 11) / (double)(UINT64_C(1) << 53);
    return (int64_t)(seconds * (double)US_PER_SECOND);
}

/* The first retrier that names the error decides, also when it has no tries left. */
static struct str retry_decision(struct execution *execution, struct str error)
{
    const struct cursor *cursor = &execution->cursor;

    for (size_t i = 0; i < cursor->state->retrier_count; i++) {
        const struct retrier *retrier = &cursor->state->retriers[i];

        if (!error_matches_any(retrier->errors, retrier->error_count, error))
            continue;
        if (cursor->attempts[i] >= retrier->max_attempts)
            break;
        return arena_printf(execution->scratch, "{\"retrier\":%zu,\"wake_us\":%lld}", i,
                            (long long)execution->now_us +
                                (long long)retry_delay_us(retrier, cursor->attempts[i]));
    }
    return STR_EMPTY;
}

bool execution_task_failed(struct execution *execution, struct str token,
                           const struct fault *fault, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);
    bool late = str_equal(fault->error, ERROR_TIMEOUT) ||
                str_equal(fault->error, ERROR_HEARTBEAT);

    if (!is_current(execution, token, PHASE_SCHEDULED, PHASE_SUBMITTED))
        return false;
    execution->now_us = now_us;
    add_fault(doc, details, fault);
    emit_task(execution, late ? STR("TaskTimedOut") : STR("TaskFailed"),
              late ? "taskTimedOutEventDetails" : "taskFailedEventDetails", doc, details,
              retry_decision(execution, fault->error));
    return true;
}

void execution_abort(struct execution *execution, const struct fault *fault, struct str user,
                     int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    execution->now_us = now_us;
    add_fault(doc, details, fault);
    emit(execution, STR("ExecutionAborted"), "executionAbortedEventDetails", doc, details,
         asked_by(execution, user));
}

void execution_time_out(struct execution *execution, int64_t now_us)
{
    const struct fault fault = { STR_EMPTY, STR_EMPTY };

    execution->now_us = now_us;
    execution_make_end(execution, STR("ExecutionTimedOut"), "executionTimedOutEventDetails",
                       &fault);
}

void execution_redrive(struct execution *execution, struct str user, int64_t now_us)
{
    yyjson_mut_doc *doc = json_mut_doc(execution->scratch);
    yyjson_mut_val *details = yyjson_mut_obj(doc);

    execution->now_us = now_us;
    yyjson_mut_obj_add_int(doc, details, "redriveCount", execution->redrive_count + 1);
    emit(execution, STR("ExecutionRedriven"), "executionRedrivenEventDetails", doc, details,
         asked_by(execution, user));
}
