/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `onggi demo flights`: the whole way from data to decision, by the requests
 * that a person's commands would send, with the numbers of each step.
 */
#include "base/clock.h"
#include "base/file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/demo.h"
#include "cli/examples.h"
#include "cli/follow.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_SECOND 1e9
#define BENCH_SECONDS 5
#define BENCH_CONNECTIONS 16

#define PIPELINE "flight_delay"
#define MODEL "flight_delay"
#define ENDPOINT "flight_delay"
#define REASON "demo: the gate of the pipeline was passed"
/* Just behind the newest landing of the data, so that every window has something to say. */
#define DEMO_DATE "2001-07-01T08:30:00Z"

struct demo {
    struct cli *cli;
    struct demo_server server;
    struct str python; /* to be named in onggi.yaml once it is known to do; empty: none to be */
    struct str execution;
    int64_t version;
    uint64_t step_start_ns;
    yyjson_mut_doc *doc;   /* with --json all of it is one document, printed at the end */
    yyjson_mut_val *steps; /* of that */
};

/* ---- saying what is done */

static void begin(struct demo *demo)
{
    demo->step_start_ns = clock_monotonic_ns();
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / NS_PER_SECOND;
}

static void done(struct demo *demo, const char *step, struct str text)
{
    double seconds = seconds_since(demo->step_start_ns);
    struct str took = text_seconds(demo->cli->arena, seconds);
    yyjson_mut_val *item;

    if (!demo->cli->json) {
        print_line("%-12s " STR_FMT "  [" STR_FMT "]", step, STR_ARG(text), STR_ARG(took));
        return;
    }
    print_note("%-12s " STR_FMT "  [" STR_FMT "]", step, STR_ARG(text), STR_ARG(took));
    item = yyjson_mut_arr_add_obj(demo->doc, demo->steps);
    yyjson_mut_obj_add_str(demo->doc, item, "step", step);
    json_add_str(demo->doc, item, "text", text);
    yyjson_mut_obj_add_real(demo->doc, item, "seconds", seconds);
}

static const char *count_text(struct demo *demo, yyjson_val *object, const char *key)
{
    struct arena *arena = demo->cli->arena;

    return arena_cstr(arena, text_count(arena, (int64_t)json_field_number(object, key)));
}

/* ---- the steps */

static enum status make_project(struct demo *demo, const char *folder, struct error *err)
{
    struct cli *cli = demo->cli;

    begin(demo);
    TRY(folder_create(folder, err));
    TRY(example_copy(cli->arena, cli_arg(cli, 0), folder, true, err));
    TRY(project_find(cli->arena, folder, &cli->project, err));
    TRY(folder_create(cli->project.state, err));
    demo->python = example_python(cli->arena, cli_arg(cli, 0), folder);
    if (demo->python.len > 0 &&
        setenv("ONGGI_PYTHON", arena_cstr(cli->arena, demo->python), 1) != 0)
        return error_errno(err, errno, "name the Python of the scripts");
    done(demo, "project", place_from_here(cli->arena, str_from(cli->project.folder)));
    return STATUS_OK;
}

static enum status start_server(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;

    begin(demo);
    TRY(demo_server_start(cli, &demo->server, err));
    cli->server = demo->server.info.url;
    done(demo, "serve",
         arena_printf(cli->arena, STR_FMT "%s", STR_ARG(cli->server),
                      demo->server.pid == 0 ? ", already there" : ""));
    return STATUS_OK;
}

/* Whether scripts will find what they import. */
static enum status ask_doctor(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    yyjson_val *answer, *check;
    struct error ignored;
    size_t index, max;

    /* Only admins may ask; of the others' Python nothing is known. */
    if (cli_get(cli, STR("/api/v1/doctor"), &answer, &ignored) != STATUS_OK) {
        cli->exit_code = EXIT_DONE;
        return STATUS_OK;
    }
    yyjson_arr_foreach(json_find(answer, STR("checks")), index, max, check)
    {
        if (str_equal(json_str(json_find(check, STR("name"))), STR("python")) &&
            !str_equal(json_str(json_find(check, STR("state"))), STR("ok")))
            return error_set(err, STATUS_INVALID, "python: %s", cli_field(cli, check, "text"));
    }
    return STATUS_OK;
}

/* Better now than after the training set. What a server here runs them with, later ones shall too. */
static enum status check_python(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;

    TRY(ask_doctor(demo, err));
    if (demo->python.len == 0)
        return STATUS_OK;
    return example_keep_python(cli->arena, cli->project.folder, demo->python, err);
}

static enum status apply(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    yyjson_val *answer, *problem;

    begin(demo);
    TRY(cli_post(cli, STR("/api/v1/apply"), STR_EMPTY, &answer, err));
    problem = yyjson_arr_get_first(json_find(answer, STR("errors")));
    if (problem != NULL)
        return error_set(err, STATUS_INVALID, "%s:%s:%s: %s", cli_field(cli, problem, "file"),
                         cli_field(cli, problem, "line"), cli_field(cli, problem, "column"),
                         cli_field(cli, problem, "message"));
    done(demo, "apply",
         arena_printf(cli->arena, "%zu definitions changed",
                      yyjson_arr_size(json_find(answer, STR("plan")))));
    return STATUS_OK;
}

static enum status materialize(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    const struct cli_request request = { .method = "POST",
                                         .target = STR("/api/v1/features/materialize"),
                                         .body = STR("{}"),
                                         .events = true };
    struct cli_answer answer;
    double rate;

    begin(demo);
    TRY(cli_ask(cli, &request, &answer, err));
    rate = json_field_number(answer.json, "rows") / seconds_since(demo->step_start_ns);
    done(demo, "materialize",
         arena_printf(cli->arena, "%s rows into the windows of %s entities, %s rows/s",
                      count_text(demo, answer.json, "rows"),
                      count_text(demo, answer.json, "entities"),
                      arena_cstr(cli->arena, text_count(cli->arena, (int64_t)rate))));
    return STATUS_OK;
}

static enum status run_pipeline(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    yyjson_val *answer;

    begin(demo);
    TRY(cli_post(cli, STR("/api/v1/pipelines/" PIPELINE "/executions"), STR("{}"), &answer,
                 err));
    TRY(json_need_str(answer, "execution", &demo->execution, err));
    if (!cli->json)
        print_line("%-12s " PIPELINE ", execution " STR_FMT, "pipeline",
                   STR_ARG(demo->execution));
    TRY(follow_execution(cli, demo->execution, &answer, err));
    done(demo, cli->json ? "pipeline" : "",
         STR("training set, preparation, training, evaluation, gate, registration"));
    return STATUS_OK;
}

/* The version that the pipeline has just registered, and what it is worth. */
static enum status show_version(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    yyjson_val *answer, *version, *metrics;

    begin(demo);
    TRY(cli_get(cli, STR("/api/v1/models/" MODEL), &answer, err));
    version = yyjson_arr_get_first(json_find(answer, STR("versions")));
    if (version == NULL)
        return error_set(err, STATUS_NOT_FOUND, "the pipeline registered no version");
    demo->version = (int64_t)json_field_number(version, "version");
    metrics = json_find(version, STR("metrics"));
    done(demo, "model",
         arena_printf(cli->arena,
                      MODEL " version %lld: AUC %.3f on June, %.3f without stored features; "
                            "average precision %.3f, %.3f without",
                      (long long)demo->version, json_field_number(metrics, "auc"),
                      json_field_number(metrics, "auc_baseline"),
                      json_field_number(metrics, "average_precision"),
                      json_field_number(metrics, "average_precision_baseline")));
    begin(demo);
    done(demo, "report",
         arena_printf(cli->arena,
                      STR_FMT "/api/v1/runs/" STR_FMT "/artifacts/evaluate/report.html",
                      STR_ARG(cli->server), STR_ARG(demo->execution)));
    return STATUS_OK;
}

static enum status approve(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    struct str target = arena_printf(
        cli->arena, "/api/v1/models/" MODEL "/versions/%lld/approve", (long long)demo->version);
    yyjson_val *answer;

    begin(demo);
    TRY(cli_post(cli, target, STR("{\"reason\":\"" REASON "\"}"), &answer, err));
    done(demo, "approve",
         arena_printf(cli->arena, "version %lld, by %s: " REASON, (long long)demo->version,
                      cli_field(cli, answer, "by")));
    return STATUS_OK;
}

static enum status deploy(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    struct str body = arena_printf(cli->arena, "{\"model\":\"" MODEL "\",\"version\":%lld}",
                                   (long long)demo->version);
    yyjson_val *answer;

    begin(demo);
    TRY(cli_post(cli, STR("/api/v1/endpoints/" ENDPOINT "/deploy"), body, &answer, err));
    done(demo, "deploy",
         arena_printf(cli->arena,
                      "endpoint " ENDPOINT " serves version %lld, p50 %.1f µs a row",
                      (long long)demo->version, json_field_number(answer, "p50_us")));
    return STATUS_OK;
}

/* ---- asking */

static const struct {
    const char *origin, *destination;
    int distance;
} routes[] = {
    { "ATL", "ORD", 606 }, { "LAX", "SFO", 337 }, { "LAS", "LAX", 236 },
    { "PHX", "LAX", 370 }, { "MSP", "ORD", 334 }, { "BOS", "LGA", 185 },
    { "DFW", "ORD", 802 }, { "SAN", "LAX", 109 }, { "ORD", "LAX", 1745 },
    { "SEA", "SFO", 679 }, { "DEN", "ORD", 888 }, { "JFK", "LAX", 2475 },
};

static struct str body_of(struct demo *demo, size_t route)
{
    return arena_printf(demo->cli->arena,
                        "{\"entities\":{\"origin\":\"%s\",\"destination\":\"%s\"},"
                        "\"request\":{\"date\":\"" DEMO_DATE "\",\"distance\":%d}}",
                        routes[route].origin, routes[route].destination,
                        routes[route].distance);
}

static enum status predict(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    yyjson_val *answer, *prediction;

    begin(demo);
    TRY(cli_post(cli, STR("/api/v1/endpoints/" ENDPOINT "/predict"), body_of(demo, 0), &answer,
                 err));
    prediction = json_find(answer, STR("prediction"));
    done(demo, "predict",
         arena_printf(cli->arena,
                      "%s to %s: score %s, decision %s; the server took %s µs in all",
                      routes[0].origin, routes[0].destination,
                      cli_field(cli, prediction, "score"), cli_field(cli, answer, "decision"),
                      cli_field(cli, json_find(answer, STR("timing_us")), "total")));
    return STATUS_OK;
}

static enum status bench(struct demo *demo, struct error *err)
{
    struct cli *cli = demo->cli;
    struct str bodies[ARRAY_LEN(routes)];
    struct load_result result;
    const struct load_options options = {
        .url = cli->server,
        .path = STR("/api/v1/endpoints/" ENDPOINT "/predict"),
        .token = cli->token,
        .bodies = bodies,
        .body_count = ARRAY_LEN(routes),
        .connections = BENCH_CONNECTIONS,
        .seconds = BENCH_SECONDS,
    };

    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        bodies[i] = body_of(demo, i);
    begin(demo);
    TRY(load_run(cli->arena, &options, &result, err));
    if (result.requests == 0)
        return error_set(err, STATUS_UNAVAILABLE,
                         "no request was answered; the last code was %d", result.error_code);
    done(demo, "bench",
         arena_printf(cli->arena,
                      "%.0f decisions/s over %d connections, p50 %.0f µs, p99 %.0f µs, "
                      "p99.9 %.0f µs, %llu errors",
                      (double)result.requests / result.seconds, BENCH_CONNECTIONS,
                      (double)result.p50_ns / 1e3, (double)result.p99_ns / 1e3,
                      (double)result.p999_ns / 1e3, (unsigned long long)result.errors));
    return STATUS_OK;
}

/* Three commands that work when pasted, for one who has gone to the project's folder. */
static void next_commands(struct demo *demo, bool served, struct str out[3])
{
    struct cli *cli = demo->cli;
    struct str onggi = place_command(cli, str_from(cli->project.folder));
    size_t count = 0;

    if (!served)
        out[count++] = arena_printf(cli->arena, STR_FMT " serve", STR_ARG(onggi));
    out[count++] = arena_printf(cli->arena,
                                STR_FMT " predict " ENDPOINT " origin=ATL destination=ORD "
                                        "date=" DEMO_DATE " distance=606 --explain",
                                STR_ARG(onggi));
    out[count++] = arena_printf(cli->arena, STR_FMT " models show " MODEL " %lld",
                                STR_ARG(onggi), (long long)demo->version);
    if (served)
        out[count++] = arena_printf(cli->arena, "curl " STR_FMT "/metrics",
                                    STR_ARG(cli->server));
}

static void print_summary(struct demo *demo, const struct str next[3], double seconds)
{
    yyjson_mut_val *root = yyjson_mut_obj(demo->doc), *list;

    json_add_str(demo->doc, root, "project", str_from(demo->cli->project.folder));
    json_add_str(demo->doc, root, "server", demo->cli->server);
    json_add_str(demo->doc, root, "execution", demo->execution);
    yyjson_mut_obj_add_str(demo->doc, root, "model", MODEL);
    yyjson_mut_obj_add_int(demo->doc, root, "version", demo->version);
    yyjson_mut_obj_add_real(demo->doc, root, "seconds", seconds);
    yyjson_mut_obj_add_val(demo->doc, root, "steps", demo->steps);
    list = yyjson_mut_obj_add_arr(demo->doc, root, "next");
    for (size_t i = 0; i < 3; i++)
        yyjson_mut_arr_add_strncpy(demo->doc, list, next[i].data, next[i].len);
    print_json_mut(demo->cli, root);
    output_flush();
}

static void print_next(struct demo *demo, double seconds)
{
    struct cli *cli = demo->cli;
    struct str folder = str_from(cli->project.folder), next[3];
    /* A server that this demo did not start stays when it ends. */
    bool served = !cli_has(cli, "once") || demo->server.pid == 0;

    next_commands(demo, served, next);
    if (cli->json) {
        print_summary(demo, next, seconds);
        return;
    }
    /* While it serves, the commands go into another terminal, which is who knows where. */
    if (!served)
        folder = place_from_here(cli->arena, folder);
    print_line("\nfrom data to decision in %.1f s. Go to the project, and try next:", seconds);
    print_line("  cd " STR_FMT "\n", STR_ARG(place_in_shell(cli->arena, folder)));
    for (size_t i = 0; i < ARRAY_LEN(next); i++)
        print_line("  " STR_FMT, STR_ARG(next[i]));
}

/* ---- all of it */

typedef enum status (*demo_step)(struct demo *demo, struct error *err);

static enum status walk(struct demo *demo, const char *folder, struct error *err)
{
    static const demo_step steps[] = { start_server, check_python, apply,   materialize,
                                       run_pipeline, show_version, approve, deploy,
                                       predict,      bench };
    uint64_t start = clock_monotonic_ns();

    TRY(make_project(demo, folder, err));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        TRY(steps[i](demo, err));
        if (cli_interrupted())
            return error_set(err, STATUS_UNAVAILABLE,
                             "interrupted; the same command goes through it again");
        if (!output_is_wanted())
            return output_is_unwanted(demo->cli, err);
    }
    print_next(demo, seconds_since(start));
    return STATUS_OK;
}

static enum status run_demo(struct cli *cli, struct error *err)
{
    struct demo demo = { .cli = cli, .doc = json_mut_doc(cli->arena) };
    struct str folder = cli_option(cli, "dir");
    enum status status;

    if (cli->line.arg_count == 0)
        cli->line.args[cli->line.arg_count++] = STR("flights");
    if (folder.len == 0)
        folder = cli_arg(cli, 0);
    if (!str_equal(cli_arg(cli, 0), STR("flights")))
        return error_set(err, STATUS_NOT_FOUND, "there is no demo '%s'; there is 'flights'",
                         cli_arg_z(cli, 0));
    demo.steps = yyjson_mut_arr(demo.doc);
    status = walk(&demo, arena_cstr(cli->arena, folder), err);
    if (status == STATUS_OK && !cli_has(cli, "once")) {
        print_note("\nserving at " STR_FMT " until Ctrl-C", STR_ARG(cli->server));
        while (!cli_interrupted())
            usleep(100000);
    }
    demo_server_stop(&demo.server);
    return status;
}

static const struct command_option demo_options[] = {
    { "once", NULL, "end when it is done, instead of serving", false },
    { "dir", "DIR", "the project's folder; default: the demo's name", false },
    { 0 },
};

const struct command demo_commands[] = {
    { "demo", "[flights]", "the whole way on three million real flights",
      "onggi demo flights\nonggi demo flights --once --dir flights-demo", demo_options, 0, 1,
      ACCESS_NONE, false, run_demo },
    COMMANDS_END,
};
