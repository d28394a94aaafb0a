/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What CPU one read of a service takes inside the process: keys to look-ups to values, without
 * HTTP and JSON. Reads random entities of a materialised project, one row at a time.
 *
 *     bench/features_get PROJECT SERVICE ROWS.csv
 *
 * ROWS.csv has the keys and the request fields of the service as columns.
 */
#include "base/file.h"
#include "features/apply.h"
#include "features/feature_store.h"

#include <stdio.h>
#include <time.h>

#define READS 200000
#define ROUNDS 5

struct rows {
    size_t count;
    struct value *keys;
    struct value *request;
};

/* Plain CSV: no quotes. */
static enum status parse_row(struct arena *arena, struct str line, const struct str *header,
                             size_t width, const struct feature_field *fields, size_t count,
                             struct value *out, struct error *err)
{
    struct str cell;

    for (size_t column = 0; column < width && str_split(&line, ',', &cell); column++) {
        for (size_t i = 0; i < count; i++)
            if (str_equal(fields[i].name, header[column]))
                TRY(value_parse(arena, fields[i].type, cell, &out[i], err));
    }
    return STATUS_OK;
}

static enum status load_rows(struct arena *arena, const char *path,
                             const struct feature_plan *plan, struct rows *out,
                             struct error *err)
{
    size_t key_count, request_count, width = 0, capacity = 0;
    const struct feature_field *keys = feature_plan_keys(plan, &key_count);
    const struct feature_field *request = feature_plan_request(plan, &request_count);
    struct str text, line, header_line, cell, *header = NULL;

    TRY(file_read(arena, path, (size_t)1 << 30, &text, err));
    if (!str_split(&text, '\n', &header_line))
        return error_set(err, STATUS_INVALID, "'%s' is empty", path);
    header_line = str_trim(header_line);
    while (str_split(&header_line, ',', &cell))
        ARENA_PUSH(arena, header, width, capacity) = cell;
    out->keys = ARENA_ARRAY(arena, struct value, READS * key_count);
    out->request = ARENA_ARRAY(arena, struct value, READS * request_count);
    while (out->count < READS && str_split(&text, '\n', &line)) {
        if (str_trim(line).len == 0)
            continue;
        TRY(parse_row(arena, str_trim(line), header, width, keys, key_count,
                      &out->keys[out->count * key_count], err));
        TRY(parse_row(arena, str_trim(line), header, width, request, request_count,
                      &out->request[out->count * request_count], err));
        out->count++;
    }
    return out->count > 0 ? STATUS_OK : error_set(err, STATUS_INVALID, "'%s': no rows", path);
}

static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static enum status read_all(struct feature_plan *plan, const struct rows *rows, double *us,
                            struct error *err)
{
    size_t key_count, request_count, output_count;
    struct arena *arena = arena_new();
    double start_us;

    (void)feature_plan_keys(plan, &key_count);
    (void)feature_plan_request(plan, &request_count);
    (void)feature_plan_outputs(plan, &output_count);
    start_us = cpu_us();
    for (size_t i = 0; i < READS; i++) {
        size_t row = (size_t)((i * UINT64_C(2654435761)) % rows->count);
        const struct feature_query query = { 1, &rows->keys[row * key_count],
                                             &rows->request[row * request_count], 0 };
        struct feature_answer answer = { .values = ARENA_ARRAY(arena, struct value,
                                                               output_count) };

        TRY(feature_plan_read(plan, arena, &query, &answer, err));
        arena_reset(arena);
    }
    *us = (cpu_us() - start_us) / READS;
    arena_free(arena);
    return STATUS_OK;
}

static enum status measure(struct feature_store *store, const char *service, const char *path,
                           struct error *err)
{
    struct arena *arena = arena_new();
    struct rows rows = { 0 };
    struct feature_plan *plan;
    size_t outputs;
    double us;

    TRY(feature_store_plan_get(store, str_from(service), &plan, err));
    TRY(load_rows(arena, path, plan, &rows, err));
    (void)feature_plan_outputs(plan, &outputs);
    for (int round = 0; round < ROUNDS; round++) {
        TRY(read_all(plan, &rows, &us, err));
        printf("%s: %zu features of one of %zu rows in %.2f us of CPU\n", service, outputs,
               rows.count, us);
    }
    feature_plan_unref(&plan);
    arena_free(arena);
    return STATUS_OK;
}

static enum status run(const char *project, const char *service, const char *path,
                       struct error *err)
{
    struct arena *arena = arena_new();
    struct definition_store_config definitions = { .project = project };
    struct feature_store_config features = { .project = project };
    struct feature_store *store;

    TRY(sql_open(arena_printf(arena, "sqlite:%s/.onggi/meta.db", project), &definitions.db,
                 err));
    TRY(definition_store_open(&definitions, &features.definitions, err));
    TRY(feature_store_open(&features, &store, err));
    TRY(measure(store, service, path, err));
    feature_store_close(&store);
    definition_store_close(&features.definitions);
    sql_close(&definitions.db);
    arena_free(arena);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct error err;

    if (argc != 4) {
        fprintf(stderr, "usage: %s PROJECT SERVICE ROWS.csv\n", argv[0]);
        return 2;
    }
    if (run(argv[1], argv[2], argv[3], &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
