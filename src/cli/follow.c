/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/follow.h"

#include "base/clock.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <stdio.h>

struct follower {
    struct cli *cli;
    struct progress progress;
    char running[96]; /* the step; empty: none */
    uint64_t running_since_ns;
};

static void show_step(struct follower *follower, yyjson_val *event)
{
    struct cli *cli = follower->cli;
    struct str status = json_str(json_find(event, STR("status")));
    struct str message = json_str(json_find(event, STR("message")));
    double seconds = json_field_number(event, "seconds");

    follower->running[0] = '\0';
    if (str_equal(status, STR("RUNNING"))) {
        snprintf(follower->running, sizeof(follower->running), "%s",
                 cli_field(cli, event, "step"));
        follower->running_since_ns = clock_monotonic_ns();
        return;
    }
    /* The whole of it stands at the end, and in the log. */
    message = str_slice(message, 0, str_index(message, '\n'));
    progress_clear(&follower->progress);
    print_note("  %-10s %-10s %8s  " STR_FMT, cli_field(cli, event, "step"),
               arena_cstr(cli->arena, status),
               arena_cstr(cli->arena, text_seconds(cli->arena, seconds)), STR_ARG(message));
}

static void show_task_progress(struct follower *follower, yyjson_val *event)
{
    struct arena *arena = follower->cli->arena;
    struct str phase = json_str(json_find(event, STR("phase")));
    struct str step = json_field_text(arena, event, "step");

    if (phase.len > 0)
        step = arena_printf(arena, STR_FMT ": " STR_FMT, STR_ARG(step), STR_ARG(phase));
    progress_show(&follower->progress, step, (int64_t)json_field_number(event, "done"),
                  (int64_t)json_field_number(event, "total"),
                  json_str(json_find(event, STR("unit"))));
}

/* A script does not say how far it is: that it goes on is seen by the seconds. */
static void on_tick(void *context)
{
    struct follower *follower = context;

    if (follower->running[0] != '\0')
        progress_wait(&follower->progress, str_from(follower->running),
                      (double)(clock_monotonic_ns() - follower->running_since_ns) / 1e9);
}

static enum status on_event(void *context, struct str event, struct str data, struct error *err)
{
    struct follower *follower = context;
    struct arena_mark mark = arena_mark(follower->cli->arena);
    struct error ignored;
    yyjson_val *json;

    (void)err;
    if (json_parse(follower->cli->arena, data, &json, &ignored) == STATUS_OK) {
        if (str_equal(event, STR("step")))
            show_step(follower, json);
        else if (str_equal(event, STR("progress")))
            show_task_progress(follower, json);
    }
    arena_rewind(follower->cli->arena, mark);
    return STATUS_OK;
}

static enum status judge(struct cli *cli, yyjson_val *result, struct str id, struct error *err)
{
    struct str status = json_str(json_find(result, STR("status")));

    if (str_equal(status, STR("SUCCEEDED"))) {
        print_note("execution " STR_FMT " succeeded after %s", STR_ARG(id),
                   arena_cstr(cli->arena,
                              text_seconds(cli->arena, json_field_number(result, "seconds"))));
        return STATUS_OK;
    }
    /* The cause may have several lines: the last ones of a script. */
    return error_set(err, STATUS_INTERNAL, "execution " STR_FMT " %s: %s: " STR_FMT,
                     STR_ARG(id), cli_field(cli, result, "status"),
                     cli_field(cli, result, "error"),
                     STR_ARG(json_str(json_find(result, STR("cause")))));
}

enum status follow_execution(struct cli *cli, struct str id, yyjson_val **out,
                             struct error *err)
{
    struct follower follower = { .cli = cli };
    struct cli_request request = {
        .method = "GET",
        .target = cli_target(cli, "/api/v1/executions/", id, "/events"),
        .events = true,
        .sink = on_event,
        .sink_context = &follower,
        .tick = on_tick,
    };
    struct cli_answer answer;
    enum status status;

    *out = NULL;
    progress_init(&follower.progress);
    status = cli_ask(cli, &request, &answer, err);
    progress_clear(&follower.progress);
    if (status != STATUS_OK && cli_interrupted())
        print_note("the execution %s; 'onggi pipeline executions " STR_FMT
                   "' shows how it goes",
                   cli->server.len > 0 ? "goes on" : "goes on with the next 'onggi serve'",
                   STR_ARG(id));
    TRY(status);
    *out = answer.json;
    return judge(cli, answer.json, id, err);
}
