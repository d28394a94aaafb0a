/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * State machines in the Amazon States Language, read and checked: what stands
 * in a struct machine can be run. Each type of state is an entry in the table
 * of states/state.h.
 *
 * A machine lives in the arena it was parsed into and is read-only after that.
 */
#include "workflow/task.h"
#include "workflow/template.h"

struct state_type;
struct choice_rule;

/* InputPath, OutputPath, ResultPath: null means "nothing", absent means "$". */
enum path_presence { PATH_ABSENT, PATH_IS_NULL, PATH_GIVEN };
struct state_path {
    enum path_presence presence;
    struct json_path path;
};

struct retrier {
    struct str *errors;
    size_t error_count;
    double interval_s, backoff, max_delay_s; /* max_delay_s 0: none */
    int64_t max_attempts;
    bool full_jitter;
};

struct catcher {
    struct str *errors;
    size_t error_count;
    struct str next;
    struct state_path result_path;
    yyjson_val *assign; /* NULL if absent */
};

struct state {
    struct str name;
    const struct state_type *type;
    struct str next; /* empty: the machine ends here */
    struct state_path input_path, output_path, result_path;
    yyjson_val *parameters, *result_selector, *result, *assign; /* NULL if absent */
    struct retrier *retriers;
    size_t retrier_count;
    struct catcher *catchers;
    size_t catcher_count;
    /* Choice */
    struct choice_rule *rules;
    size_t rule_count;
    struct str default_next; /* empty: none */
    /* Fail; the paths may be intrinsics */
    struct str error, cause, error_path, cause_path;
    /* Task; 0 seconds: no limit */
    struct str resource;
    int64_t timeout_s, heartbeat_s;
    struct str timeout_path, heartbeat_path;
};

struct machine {
    struct str start_at;
    struct state *states;
    size_t count;
    int64_t timeout_s; /* 0: none */
};

/* Which resources a Task may name, and what their Parameters may be; NULL accepts any. */
typedef enum status (*resource_check)(void *context, struct str resource,
                                      yyjson_val *parameters, struct error *err);

/* The message begins with the place, as in "$.States.Train.Next: …". */
MUST_USE enum status machine_parse(struct arena *arena, struct str definition,
                                   resource_check check, void *check_context,
                                   struct machine **out, struct error *err);
const struct state *machine_find(const struct machine *machine, struct str name);
