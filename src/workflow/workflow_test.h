/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A project with an engine for a test, and what it takes to run something there. */
#include "base/clock.h"
#include "base/file.h"
#include "support/test.h"
#include "workflow/runners/keeper.h"
#include "workflow/workflow.h"

/* The test's program also is its scripts' keeper, as the real one is. */
__attribute__((constructor)) static void be_keeper(int argc, char **argv)
{
    (void)argc;
    if (keeper_is_wanted(argv))
        exit(keeper_main());
}

struct place {
    char *folder;
    struct arena *arena;
    struct sql *db;
    struct workflow *workflow;
};

static inline void place_start(struct place *place, const struct task_type *type)
{
    struct workflow_config config = { .python = STR("sh") };
    struct error err;

    config.project = str_from(place->folder);
    assert_ok(sql_open(arena_printf(place->arena, "sqlite:%s/.onggi/meta.db", place->folder),
                       &place->db, &err));
    config.db = place->db;
    assert_ok(workflow_open(&config, &place->workflow, &err));
    if (type != NULL)
        workflow_add_task_type(place->workflow, type, NULL);
}

static inline struct place place_open(void)
{
    struct place place = { .folder = test_folder(), .arena = arena_new() };
    struct error err;

    assert_ok(folder_create(arena_printf(place.arena, "%s/.onggi", place.folder).data, &err));
    assert_ok(
        folder_create(arena_printf(place.arena, "%s/pipelines/p", place.folder).data, &err));
    return place;
}

static inline void place_stop(struct place *place)
{
    workflow_close(&place->workflow);
    sql_close(&place->db);
}

static inline void place_close(struct place *place)
{
    struct error err;

    place_stop(place);
    assert_ok(folder_remove(place->folder, &err));
    arena_free(place->arena);
    free(place->folder);
}

static inline void put(struct place *place, const char *name, const char *content)
{
    struct error err;

    assert_ok(
        file_write(arena_printf(place->arena, "%s/pipelines/p/%s", place->folder, name).data,
                   str_from(content), &err));
}

static const struct execution_starter local = { STR_INIT("local"), STR_INIT("") };

static inline struct str run(struct place *place, const char *params)
{
    struct started_execution started;
    struct error err;

    assert_ok(workflow_start_pipeline(place->workflow, place->arena, STR("p"), str_from(params),
                                      &local, &started, &err));
    return started.id;
}

static inline struct str start(struct place *place, const char *definition, struct str input)
{
    struct started_execution started;
    struct error err;

    assert_ok(workflow_start_definition(place->workflow, place->arena, str_from(definition),
                                        input, &local, &started, &err));
    return started.id;
}

static inline struct execution_info wait_for_end(struct place *place, struct str id)
{
    struct execution_info info;
    struct error err;

    for (int looks = 0; looks < 600; looks++) {
        uint64_t generation = workflow_generation(place->workflow);

        assert_ok(workflow_execution_get(place->workflow, place->arena, id, &info, &err));
        if (info.status != EXECUTION_RUNNING)
            return info;
        workflow_wait(place->workflow, generation, 100);
    }
    fail_msg("the execution does not end; it is in '" STR_FMT "'", STR_ARG(info.state));
    return info;
}

static inline size_t count_events(struct place *place, struct str id, const char *type)
{
    struct workflow_event *events = NULL;
    size_t count, found = 0;
    struct error err;

    assert_ok(
        workflow_event_list(place->workflow, place->arena, id, 0, 1000, &events, &count, &err));
    for (size_t i = 0; i < count; i++)
        found += str_equal(events[i].type, str_from(type));
    return found;
}

#define TWO_STEPS \
    "pipeline: p\n" \
    "params: {word: hello, times: 2}\n" \
    "steps:\n" \
    "  make: {script: make.sh, args: {word: \"${params.word}\", n: 1}, out: [text]}\n" \
    "  count: {script: count.sh, in: {text: make.text}, out: [model]}\n" \
    "  gate: {when: \"count.metrics.letters >= 5 and params.times == 2\"}\n"
#define MAKE_SH \
    "echo making $1 $2 $3 $4\n" \
    "mkdir -p $SM_OUTPUT_DATA_DIR/text && echo $4 > $SM_OUTPUT_DATA_DIR/text/word\n"
#define COUNT_SH \
    "set -e\n" \
    "n=$(tr -d '\\n' < $SM_CHANNEL_TEXT/word | wc -c)\n" \
    "echo model > $SM_MODEL_DIR/m\n" \
    "echo \"{\\\"letters\\\": $n}\" > $SM_OUTPUT_DATA_DIR/metrics.json\n"

static inline void put_two_steps(struct place *place)
{
    put(place, "pipeline.yaml", TWO_STEPS);
    put(place, "make.sh", MAKE_SH);
    put(place, "count.sh", COUNT_SH);
}
