/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A training set of a million entity rows with 30 window features over the three million flights
 * of the example, and the same 30 columns by DuckDB's own window functions, in one run:
 *
 *     bench_training_set FLIGHTS.PARQUET [ROWS]
 *
 * Prints seconds, their ratio and the peak memory of all jobs so far. Ours runs several times, before
 * and behind DuckDB's; the middle one counts. DuckDB's windows slide, ours move their tails in hops
 * (docs/windows.md): the columns are of the same kind, not of the same values.
 */
#include "base/clock.h"
#include "base/file.h"
#include "features/job.h"
#include "features/offline/offline_internal.h"
#include "features/training_set.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUNDS 5

#define LANDINGS \
    "SELECT origin, destination, delay, CAST(delay > 15 AS BIGINT) AS late, " \
    "greatest(date, date + to_microseconds(1800000000 + distance * 7500000 + delay * 60000000)) " \
    "AS landed_at FROM flights"

static const struct {
    const char *name;
    const char *interval;
    int64_t us, hop_us;
} windows[] = {
    { "1h", "1 HOUR", US_PER_HOUR, 5 * US_PER_MINUTE },
    { "6h", "6 HOUR", 6 * US_PER_HOUR, 5 * US_PER_MINUTE },
    { "1d", "1 DAY", US_PER_DAY, US_PER_HOUR },
    { "7d", "7 DAY", 7 * US_PER_DAY, US_PER_HOUR },
    { "30d", "30 DAY", 30 * US_PER_DAY, US_PER_DAY },
};

static const struct {
    const char *name, *function, *input, *type;
} columns[] = {
    { "delay_avg", "avg", "delay", "float64" },
    { "flights", "count", "", "int64" },
    { "late_share", "avg", "late", "float64" },
};

/* --- ours ----------------------------------------------------------------- */

static void put_view(struct buffer *spec, const char *view, const char *keys)
{
    buffer_printf(spec, "{\"name\":\"%s\",\"source\":1,\"keys\":[%s],\"features\":[", view,
                  keys);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
        for (size_t w = 0; w < ARRAY_LEN(windows); w++)
            buffer_printf(spec,
                          "%s{\"name\":\"%s_%s_%s\",\"type\":\"%s\",\"function\":\"%s\","
                          "\"input\":\"%s\",\"input_type\":\"int64\",\"window_us\":%lld,"
                          "\"hop_us\":%lld}",
                          c + w == 0 ? "" : ",", view, columns[c].name, windows[w].name,
                          columns[c].type, columns[c].function, columns[c].input,
                          (long long)windows[w].us, (long long)windows[w].hop_us);
    }
    buffer_append(spec, STR("]}"));
}

static void put_outputs(struct buffer *spec)
{
    static const char *const views[] = { "origin", "route" };
    size_t slot = 0;

    buffer_append(spec, STR(",\"expressions\":[],\"slots\":30,\"outputs\":["));
    for (size_t v = 0; v < ARRAY_LEN(views); v++) {
        for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
            for (size_t w = 0; w < ARRAY_LEN(windows); w++, slot++)
                buffer_printf(spec, "%s{\"name\":\"%s_%s_%s\",\"slot\":%zu}",
                              slot == 0 ? "" : ",", views[v], columns[c].name, windows[w].name,
                              slot);
        }
    }
    buffer_append(spec, STR("]}"));
}

static void put_spec(struct buffer *spec, const char *project, int rows)
{
    buffer_printf(
        spec,
        "{\"project\":\"%s\",\"rows\":%d,\"out\":\"%s/ours.parquet\",\"time\":\"date\","
        "\"entities\":{\"path\":\"%s/entities.parquet\"},"
        "\"sources\":[{\"name\":\"flights\",\"path\":\"flights.parquet\","
        "\"time\":\"date\"},{\"name\":\"landings\",\"sql\":\"" LANDINGS
        "\",\"time\":\"landed_at\"}],\"keys\":[{\"name\":\"origin\",\"type\":\"string\"},"
        "{\"name\":\"destination\",\"type\":\"string\"}],\"request\":[],\"views\":[",
        project, rows, project, project);
    put_view(spec, "origin", "0");
    buffer_append_byte(spec, ',');
    put_view(spec, "route", "0,1");
    buffer_append_byte(spec, ']');
    put_outputs(spec);
}

/* --- the entity rows ------------------------------------------------------- */

/* Every n-th flight, as a file: what a user brings, so it is not part of what is measured. */
static enum status make_entities(struct job *job, struct arena *arena, const yyjson_val *spec,
                                 struct str *result, struct error *err)
{
    struct str project, out, sql;
    struct offline *offline;
    struct source_spec *sources;
    yyjson_val *array = NULL;
    enum status status;
    int64_t rows = 0;
    size_t count;

    TRY(json_need_str(spec, "project", &project, err));
    TRY(json_want_int64(spec, "rows", &rows, err));
    TRY(json_want_array(spec, "sources", &array, err));
    TRY(source_specs_parse(arena, array, &sources, &count, err));
    out = arena_printf(arena, STR_FMT "/entities.parquet", STR_ARG(project));
    TRY(offline_open(arena, arena_cstr(arena, project), &out, 1, job_limits(job), &offline,
                     err));
    status = offline_add_sources(offline, sources, count, err);
    sql = arena_printf(
        arena,
        "COPY (SELECT origin, destination, date, delay FROM (SELECT *, "
        "row_number() OVER () AS n FROM flights) WHERE n %% (3000000 // %lld) = 0 "
        "LIMIT %lld) TO '" STR_FMT "' (FORMAT parquet)",
        (long long)rows, (long long)rows, STR_ARG(out));
    if (status == STATUS_OK)
        status = offline_run(offline, sql, err);
    offline_close(&offline);
    *result = STR("{}");
    return status;
}

/* --- DuckDB's ------------------------------------------------------------- */

static void put_windows(struct buffer *sql, const char *view, const char *keys)
{
    buffer_printf(sql, "SELECT row_id");
    for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
        for (size_t w = 0; w < ARRAY_LEN(windows); w++)
            buffer_printf(sql, ", %s(%s) OVER w%s AS %s_%s_%s", columns[c].function,
                          columns[c].input[0] != '\0' ? columns[c].input : "delay",
                          windows[w].name, view, columns[c].name, windows[w].name);
    }
    buffer_printf(sql,
                  " FROM (SELECT origin, destination, delay, late, landed_at AS t, NULL AS "
                  "row_id FROM landings UNION ALL SELECT origin, destination, NULL, NULL, "
                  "date, row_id FROM entities) WINDOW ");
    for (size_t w = 0; w < ARRAY_LEN(windows); w++)
        buffer_printf(
            sql,
            "%sw%s AS (PARTITION BY %s ORDER BY t RANGE BETWEEN INTERVAL %s PRECEDING "
            "AND CURRENT ROW)",
            w == 0 ? "" : ", ", windows[w].name, keys, windows[w].interval);
    buffer_printf(sql, " QUALIFY row_id IS NOT NULL");
}

static enum status run_duckdb(struct job *job, struct arena *arena, const yyjson_val *spec,
                              struct str *result, struct error *err)
{
    struct buffer sql = { 0 };
    struct source_spec *sources;
    struct offline *offline;
    struct str project, entities, also[2];
    yyjson_val *array = NULL, *object;
    size_t count;

    TRY(json_need_str(spec, "project", &project, err));
    TRY(json_want_array(spec, "sources", &array, err));
    TRY(json_need_object(spec, "entities", &object, err));
    TRY(json_need_str(object, "path", &entities, err));
    TRY(source_specs_parse(arena, array, &sources, &count, err));
    also[0] = arena_printf(arena, STR_FMT "/duckdb.parquet", STR_ARG(project));
    also[1] = entities;
    TRY(offline_open(arena, arena_cstr(arena, project), also, 2, job_limits(job), &offline,
                     err));
    TRY(offline_add_sources(offline, sources, count, err));
    buffer_printf(&sql,
                  "CREATE TEMP TABLE entities AS SELECT *, row_number() OVER () AS row_id "
                  "FROM read_parquet('" STR_FMT "')",
                  STR_ARG(entities));
    TRY(offline_run(offline, buffer_str(&sql), err));
    buffer_clear(&sql);
    buffer_printf(&sql,
                  "COPY (SELECT e.*, o.* EXCLUDE row_id, r.* EXCLUDE row_id FROM entities e "
                  "JOIN (");
    put_windows(&sql, "origin", "origin");
    buffer_printf(&sql, ") o USING (row_id) JOIN (");
    put_windows(&sql, "route", "origin, destination");
    buffer_printf(&sql, ") r USING (row_id) ORDER BY row_id) TO '" STR_FMT "' (FORMAT parquet)",
                  STR_ARG(also[0]));
    TRY(offline_run(offline, buffer_str(&sql), err));
    buffer_free(&sql);
    offline_close(&offline);
    *result = STR("{}");
    return STATUS_OK;
}

/* --- both ----------------------------------------------------------------- */

struct measure {
    double seconds;
    double cpu_seconds;
    long peak_mib; /* of all children so far */
};

static double children_cpu(long *peak_mib)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    *peak_mib = usage.ru_maxrss / 1024;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool measure(struct arena *arena, const char *job, struct str spec, struct measure *out)
{
    const struct job_spec asked = { .name = job,
                                    .spec = spec,
                                    .limits = { .memory_bytes = UINT64_C(4) << 30 } };
    uint64_t started = clock_monotonic_ns();
    double cpu = children_cpu(&out->peak_mib);
    struct error err;
    struct str result;

    if (job_run(arena, &asked, &result, &err) != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", job, err.message);
        return false;
    }
    out->seconds = (double)(clock_monotonic_ns() - started) / 1e9;
    out->cpu_seconds = children_cpu(&out->peak_mib) - cpu;
    return true;
}

static int compare_seconds(const void *left, const void *right)
{
    double a = ((const struct measure *)left)->seconds;
    double b = ((const struct measure *)right)->seconds;

    return (a > b) - (a < b);
}

/* Rounds of ours before and behind DuckDB's, which takes as long as many of them. */
static bool measure_both(struct arena *arena, struct str spec, int rows)
{
    struct measure ours[ROUNDS], duckdb;

    if (!measure(arena, "entity-rows", spec, &duckdb))
        return false;
    for (size_t i = 0; i < ROUNDS; i++) {
        if (!measure(arena, "training-set", spec, &ours[i]))
            return false;
        printf("onggi   %6.2f s, %6.2f s of CPU, peak %ld MiB: %d rows x 30 window "
               "features\n",
               ours[i].seconds, ours[i].cpu_seconds, ours[i].peak_mib, rows);
        fflush(stdout);
        if (i == ROUNDS / 2) {
            if (!measure(arena, "duckdb-windows", spec, &duckdb))
                return false;
            printf("duckdb  %6.2f s, %6.2f s of CPU, peak %ld MiB\n", duckdb.seconds,
                   duckdb.cpu_seconds, duckdb.peak_mib);
            fflush(stdout);
        }
    }
    qsort(ours, ROUNDS, sizeof(*ours), compare_seconds);
    printf("ratio   %6.1f to the middle one of ours, %.2f s\n",
           duckdb.seconds / ours[ROUNDS / 2].seconds, ours[ROUNDS / 2].seconds);
    return true;
}

static int run_both(const char *flights, int rows)
{
    struct arena *arena = arena_new();
    char here[PATH_MAX - 32], folder[PATH_MAX];
    struct buffer spec = { 0 };
    struct error err;
    char *source = realpath(flights, NULL);
    bool done = source != NULL && getcwd(here, sizeof(here)) != NULL &&
                snprintf(folder, sizeof(folder), "%s/onggi-bench-XXXXXX", here) > 0 &&
                mkdtemp(folder) != NULL &&
                symlink(source, arena_printf(arena, "%s/flights.parquet", folder).data) == 0;

    if (!done)
        perror(flights);
    put_spec(&spec, folder, rows);
    done = done && measure_both(arena, buffer_str(&spec), rows);
    buffer_free(&spec);
    free(source);
    if (folder_remove(folder, &err) != STATUS_OK)
        fprintf(stderr, "%s\n", err.message);
    arena_free(arena);
    return done ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct job_kind kinds[] = { training_set_job,
                                      { "duckdb-windows", run_duckdb },
                                      { "entity-rows", make_entities },
                                      { 0 } };

    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return job_main(argc - 2, argv + 2, kinds);
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s FLIGHTS.PARQUET [ROWS]\n", argv[0]);
        return 2;
    }
    return run_both(argv[1], argc == 3 ? atoi(argv[2]) : 1000000);
}
