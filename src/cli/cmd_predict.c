/* SPDX-License-Identifier: Apache-2.0 */
/* Asking endpoints: one decision, many of them from a file, and as fast as they come. */
#include "base/clock.h"
#include "base/file.h"
#include "cli/batch.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/service.h"

#define REQUESTS_MAX ((size_t)64 << 20)
#define DEFAULT_CONNECTIONS 16
#define DEFAULT_SECONDS 5

/* ---- one */

static void print_members(struct cli *cli, const char *title, yyjson_val *object)
{
    size_t index, max;
    yyjson_val *key, *value;

    if (yyjson_obj_size(object) == 0)
        return;
    print_line("%s", title);
    yyjson_obj_foreach(object, index, max, key, value)
    {
        print_line("  %-28s %s", cli_text(cli, key), cli_text(cli, value));
    }
}

/* The answers' fallback; NULL if the model answered. */
static yyjson_val *fallback_of(yyjson_val *answer)
{
    yyjson_val *reason = json_find(answer, STR("fallback"));

    return yyjson_is_null(reason) ? NULL : reason;
}

static const char *fallback_text(struct str reason)
{
    static const struct {
        const char *reason, *text;
    } known[] = {
        { "no_model", "no version is deployed" },
        { "timeout", "the model did not answer in time" },
        { "features_unavailable", "the features could not be read" },
        { "null_input", "a null came for an input that the model needs" },
        { "model_error", "the model failed" },
        { "nan_score", "the model's score is not a number" },
        { "rule_error", "a rule could not be worked out" },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_equal(reason, str_from(known[i].reason)))
            return known[i].text;
    }
    return "it was not the model that answered";
}

static void print_prediction(struct cli *cli, yyjson_val *answer, uint64_t took_ns)
{
    yyjson_val *fallback = fallback_of(answer);

    print_line("decision %s", cli_field(cli, answer, "decision"));
    if (fallback != NULL)
        print_line("fallback %s: %s", cli_text(cli, fallback),
                   fallback_text(json_str(fallback)));
    print_members(cli, "prediction", json_find(answer, STR("prediction")));
    print_members(cli, "features", json_find(answer, STR("features")));
    print_members(cli, "timing_us", json_find(answer, STR("timing_us")));
    print_note("%s version %s, %s after %.2f ms", cli_field(cli, answer, "model"),
               cli_field(cli, answer, "version"),
               fallback == NULL ? "answered" : "in whose place the fallback answered",
               (double)took_ns / 1e6);
}

static enum status predict_body(struct cli *cli, struct str endpoint, struct str *out,
                                struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);
    yyjson_val *definition;
    struct str service;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/endpoints/", endpoint, ""), &definition, err));
    TRY(json_need_str(definition, "service", &service, err));
    TRY(service_fill(cli, service, 1, false, doc, body, err));
    *out = json_mut_write(cli->arena, body);
    return STATUS_OK;
}

static enum status predict_one(struct cli *cli, struct error *err)
{
    const char *rest = cli_has(cli, "explain") ? "/predict?explain=features" : "/predict";
    struct str endpoint = cli_arg(cli, 0), body;
    yyjson_val *answer;
    uint64_t start;

    TRY(predict_body(cli, endpoint, &body, err));
    start = clock_monotonic_ns();
    TRY(cli_post(cli, cli_target(cli, "/api/v1/endpoints/", endpoint, rest), body, &answer,
                 err));
    if (cli->json)
        print_json(cli, answer);
    else
        print_prediction(cli, answer, clock_monotonic_ns() - start);
    return STATUS_OK;
}

/* What belongs to a file of rows, and what to one question. */
static enum status check_predict(struct cli *cli, bool rows, struct error *err)
{
    static const char *const of_rows[] = { "out", "time", "as-known", "features",
                                           "full-names" };

    for (size_t i = 0; !rows && i < ARRAY_LEN(of_rows); i++) {
        if (cli_has(cli, of_rows[i]))
            return cli_usage(cli, err, "--%s needs rows: --entities FILE", of_rows[i]);
    }
    if (rows && cli->line.arg_count > 1)
        return cli_usage(cli, err, "'%s' beside --entities: the file has the rows, one by one",
                         cli_arg_z(cli, 1));
    if (rows && cli_has(cli, "explain"))
        return cli_usage(cli, err,
                         "--explain is for one question; --features writes the values "
                         "of a file of rows");
    return STATUS_OK;
}

static enum status run_predict(struct cli *cli, struct error *err)
{
    const struct batch batch = {
        .target = cli_target(cli, "/api/v1/endpoints/", cli_arg(cli, 0), "/score"),
    };
    bool rows = cli_has(cli, "entities") || cli_has(cli, "entities-sql");

    TRY(check_predict(cli, rows, err));
    return rows ? batch_run(cli, &batch, err) : predict_one(cli, err);
}

/* ---- bench */

/* A JSON body a line; without a file the one that k=v describes. */
static enum status bench_bodies(struct cli *cli, struct str **bodies, size_t *count,
                                struct error *err)
{
    struct str file = cli_option(cli, "requests"), text, line;
    size_t capacity = 0;

    *bodies = NULL;
    *count = 0;
    if (file.len == 0) {
        ARENA_PUSH(cli->arena, *bodies, *count, capacity) = STR_EMPTY;
        return predict_body(cli, cli_arg(cli, 0), &(*bodies)[0], err);
    }
    if (cli->line.arg_count > 1)
        return cli_usage(cli, err, "'%s' beside --requests: the file has the requests",
                         cli_arg_z(cli, 1));
    TRY(file_read(cli->arena, arena_cstr(cli->arena, file), REQUESTS_MAX, &text, err));
    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0)
            ARENA_PUSH(cli->arena, *bodies, *count, capacity) = line;
    }
    if (*count == 0)
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' has no requests: a JSON body a line", STR_ARG(file));
    return STATUS_OK;
}

static enum status bench_number(struct cli *cli, const char *name, double fallback, double max,
                                double *out, struct error *err)
{
    *out = fallback;
    if (!cli_has(cli, name))
        return STATUS_OK;
    if (!str_to_double(cli_option(cli, name), out) || *out <= 0 || *out > max)
        return cli_usage(cli, err, "--%s: expected a number above 0, at most %g", name, max);
    return STATUS_OK;
}

static void print_load(const struct cli *cli, const struct load_result *result)
{
    double rate = (double)result->requests / result->seconds;

    if (cli->json) {
        print_line("{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
                   "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}",
                   (unsigned long long)result->requests, (unsigned long long)result->errors,
                   result->seconds, rate, (double)result->p50_ns / 1e3,
                   (double)result->p99_ns / 1e3, (double)result->p999_ns / 1e3,
                   (double)result->max_ns / 1e3);
        return;
    }
    print_line("%.0f decisions/s   p50 %.0f µs   p99 %.0f µs   p99.9 %.0f µs   errors %llu",
               rate, (double)result->p50_ns / 1e3, (double)result->p99_ns / 1e3,
               (double)result->p999_ns / 1e3, (unsigned long long)result->errors);
}

static enum status run_bench(struct cli *cli, struct error *err)
{
    struct load_options options = {
        .url = cli->server,
        .path = cli_target(cli, "/api/v1/endpoints/", cli_arg(cli, 0), "/predict"),
        .token = cli->token,
    };
    struct load_result result;
    struct str *bodies;
    double connections;

    TRY(bench_number(cli, "seconds", DEFAULT_SECONDS, 3600, &options.seconds, err));
    TRY(bench_number(cli, "connections", DEFAULT_CONNECTIONS, 1000, &connections, err));
    TRY(bench_bodies(cli, &bodies, &options.body_count, err));
    options.bodies = bodies;
    options.connections = (unsigned)connections;
    TRY(load_run(cli->arena, &options, &result, err));
    print_load(cli, &result);
    if (cli_interrupted())
        return error_set(err, STATUS_UNAVAILABLE, "interrupted");
    if (result.requests == 0)
        return error_set(err, STATUS_UNAVAILABLE,
                         "no request was answered; the last code was %d", result.error_code);
    return STATUS_OK;
}

static const struct command_option predict_options[] = {
    { "explain", NULL, "show the feature values that the model saw", false },
    BATCH_OPTIONS,
    { "as-known", NULL, "only what had been loaded by then (the source's created column)",
      false },
    { "features", NULL, "write the features too", false },
    { "full-names", NULL, "name their columns view__feature", false },
    { 0 },
};
static const struct command_option bench_options[] = {
    { "seconds", "S", "how long; default 5", false },
    { "connections", "N", "at a time; default 16", false },
    { "requests", "FILE", "bodies to send in turn, JSON, one a line", false },
    { 0 },
};

const struct command predict_commands[] = {
    { "predict", "ENDPOINT k=v …", "one decision, or with --entities a file of them",
      "onggi predict flight_delay origin=ATL destination=ORD date=2001-07-01T08:30:00Z "
      "distance=606 --explain\n"
      "onggi predict flight_delay --entities data/flights-3m.parquet --out scored.parquet",
      predict_options, 1, -1, ACCESS_MODELS, false, run_predict },
    { "bench predict", "ENDPOINT k=v …", "how fast an endpoint answers over HTTP",
      "onggi bench predict flight_delay origin=ATL destination=ORD date=2001-07-01T08:30:00Z "
      "distance=606 --seconds 5 --connections 16",
      bench_options, 1, -1, ACCESS_SERVER, false, run_bench },
    COMMANDS_END,
};
