/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For those who write a type of state; callers include asl.h and execution.h.
 * A new type is one file here, one line in the table of states.c and one in
 * the build.
 */
#include "workflow/asl.h"

struct execution;

/* Fields that several types share; the rest of a type's fields are its own. */
enum state_field {
    FIELD_INPUT_OUTPUT = 1 << 0, /* InputPath, OutputPath */
    FIELD_PARAMETERS = 1 << 1,
    FIELD_RESULT_SELECTOR = 1 << 2,
    FIELD_RESULT_PATH = 1 << 3,
    FIELD_RETRY_CATCH = 1 << 4,
    FIELD_NEXT_END = 1 << 5,
    FIELD_ASSIGN = 1 << 6,
};

struct machine_reader {
    struct arena *arena;
    struct machine *machine;
    resource_check check;
    void *check_context;
};

struct state_type {
    const char *name;    /* "Pass" */
    const char *entered; /* event types: "PassStateEntered" */
    const char *exited;
    unsigned fields;
    const struct str *own_fields;
    size_t own_field_count;
    /* Optional: reads the own fields. */
    enum status (*parse)(const struct machine_reader *reader, yyjson_val *json,
                         struct state *state, struct error *err);
    /*
     * Does the work of a state that was entered, or begins it: ends with an event, by
     * execution_exit(), execution_fail() or others of execution.h.
     */
    void (*work)(struct execution *execution, const struct state *state);
};

extern const struct state_type pass_state, choice_state, succeed_state, fail_state, task_state;

/* NULL if there is none. */
const struct state_type *state_type_find(struct str name);
/* "Pass, Choice, …" for messages. */
struct str state_type_names(struct arena *arena);
/* The state that has this entered event or exited event; NULL if none. */
bool state_type_is_entered_event(struct str event);
bool state_type_is_exited_event(struct str event);

/* Helpers for parse(): the field's value if there; a wrong kind or value is INVALID. */
MUST_USE enum status state_want_path(struct arena *arena, yyjson_val *json, const char *key,
                                     bool reference, struct state_path *out, struct error *err);
MUST_USE enum status state_want_int(yyjson_val *json, const char *key, int64_t least,
                                    int64_t most, int64_t *out, struct error *err);
MUST_USE enum status state_want_assign(struct arena *arena, yyjson_val *json, yyjson_val **out,
                                       struct error *err);
/* A path in *Path fields; kept as text, may be an intrinsic where allowed. */
MUST_USE enum status state_want_expression(struct arena *arena, yyjson_val *json,
                                           const char *key, struct str *out, struct error *err);
