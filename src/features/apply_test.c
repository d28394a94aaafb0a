/* SPDX-License-Identifier: Apache-2.0 */
#include "features/apply.h"

#include "base/file.h"
#include "support/test.h"

/* A throw-away project with its metadata; every source has the columns k, v and t. */
struct project {
    struct arena *arena;
    char *folder;
    struct sql *db;
    struct definition_store *store;
    struct definition_changes changes;
    struct definition_errors errors;
    bool has_more_columns;
    int64_t told; /* the revision that the listener heard of */
};

static struct error err;

static enum status fake_describe(void *context, struct arena *arena,
                                 const struct source_question *question,
                                 struct source_description *out, struct error *error)
{
    const struct project *project = context;

    (void)error;
    for (size_t i = 0; i < question->count; i++) {
        out[i].columns = ARENA_ARRAY(arena, struct source_column, 4);
        out[i].columns[0] = (struct source_column){ STR("k"), STR("BIGINT"), true, TYPE_INT64 };
        out[i].columns[1] = (struct source_column){ STR("v"), STR("DOUBLE"), true,
                                                    TYPE_FLOAT64 };
        out[i].columns[2] = (struct source_column){ STR("t"), STR("TIMESTAMP"), true,
                                                    TYPE_TIMESTAMP };
        out[i].columns[3] = (struct source_column){ STR("w"), STR("DOUBLE"), true,
                                                    TYPE_FLOAT64 };
        out[i].count = project->has_more_columns ? 4 : 3;
    }
    return STATUS_OK;
}

static void check_pipeline(const struct definitions *definitions, struct str name,
                           const struct yaml_node *document, struct definition_errors *errors)
{
    const struct yaml_node *service = yaml_find(document, "service");

    (void)name;
    if (service != NULL && definitions_service_find(definitions, service->text) == NULL)
        definition_error_at(errors, service, "there is no service '" STR_FMT "'",
                            STR_ARG(service->text));
}

static const char *const patterns[] = { "pipelines/*/pipeline.yaml",
                                        "pipelines/*/pipeline.asl.json", NULL };
static const struct definition_kind pipeline_kind = { "pipeline", patterns, check_pipeline };
static const struct definition_kind *const kinds[] = { &pipeline_kind, NULL };

static void on_change(void *context, const struct definitions *now)
{
    ((struct project *)context)->told = definitions_revision(now);
}

static void store_open(struct project *project)
{
    struct definition_store_config config = { .project = project->folder,
                                              .db = project->db,
                                              .kinds = kinds,
                                              .describe = fake_describe,
                                              .describe_context = project };

    assert_ok(definition_store_open(&config, &project->store, &err));
    definition_store_on_change(project->store, on_change, project);
}

static void write_in(struct project *project, const char *name, const char *text)
{
    struct str path = arena_printf(project->arena, "%s/%s", project->folder, name);
    char *folder = arena_cstr(project->arena, path);

    *strrchr(folder, '/') = '\0';
    assert_ok(folder_create(folder, &err));
    assert_ok(file_write(path.data, str_from(text), &err));
}

#define ENTITY "entity: e\nkey: k\ntype: int64\n---\n"
#define SOURCE "source: s\npath: data/a.csv\ntime: t\n---\n"
#define VIEW "view: v\nentity: e\nsource: s\nfeatures: {n: {count: '*', window: 1d}}\n---\n"
#define SERVICE "service: x\nfeatures: [v]\n"

static struct project *project_new(void)
{
    struct project *project = test_calloc(1, sizeof(*project));
    struct str location;

    project->arena = arena_new();
    project->folder = test_folder();
    project->errors.arena = project->arena;
    location = arena_printf(project->arena, "sqlite:%s/meta.db", project->folder);
    assert_ok(sql_open(location, &project->db, &err));
    write_in(project, "data/a.csv", "k,v,t\n");
    write_in(project, "features/a.yaml", ENTITY SOURCE VIEW SERVICE);
    store_open(project);
    return project;
}

static void project_free(struct project *project)
{
    definition_store_close(&project->store);
    sql_close(&project->db);
    assert_ok(folder_remove(project->folder, &err));
    free(project->folder);
    arena_free(project->arena);
    test_free(project);
}

static enum status apply(struct project *project, bool dry_run)
{
    const struct definition_apply how = { .mode = dry_run ? APPLY_DRY_RUN : APPLY_RECORD };

    project->errors = (struct definition_errors){ .arena = project->arena };
    return definition_store_apply(project->store, project->arena, &how, &project->changes,
                                  &project->errors, &err);
}

/* "+entity e, ~view v" */
static void changes_are(const struct project *project, const char *wanted)
{
    struct str found = STR_EMPTY;

    for (size_t i = 0; i < project->changes.count; i++) {
        const struct definition_change *change = &project->changes.items[i];

        found = arena_printf(project->arena, STR_FMT "%s%c" STR_FMT " " STR_FMT, STR_ARG(found),
                             i > 0 ? ", " : "", "+~-"[change->change], STR_ARG(change->kind),
                             STR_ARG(change->name));
    }
    assert_str_equal(found, str_from(wanted));
}

TEST(a_plan_shows_what_would_change_and_apply_changes_it)
{
    struct project *project = project_new();

    assert_ok(apply(project, true));
    changes_are(project, "+entity e, +source s, +view v, +service x");
    assert_false(project->changes.applied);
    assert_int_equal(definition_store_revision(project->store), 0);
    assert_ok(apply(project, false));
    assert_true(project->changes.applied);
    assert_int_equal(definition_store_revision(project->store), 1);
    assert_int_equal(project->told, 1);
    assert_ok(apply(project, false));
    changes_are(project, "");
    assert_int_equal(definition_store_revision(project->store), 1);
    write_in(project, "features/a.yaml",
             "# moved by a comment\n" ENTITY SOURCE
             "view: v\nentity: e\nsource: s\nfeatures: {n: {count: '*', window: 2d}}\n---\n"
             "service: y\nfeatures: [v]\n");
    assert_ok(apply(project, false));
    changes_are(project, "~view v, +service y, -service x");
    assert_int_equal(definition_store_revision(project->store), 2);
    project_free(project);
}

TEST(what_is_recorded_needs_no_files)
{
    struct project *project = project_new();
    const struct definitions *before, *after;
    const struct service *service = NULL;

    assert_ok(apply(project, false));
    before = definition_store_current(project->store);
    definition_store_close(&project->store);
    assert_ok(
        folder_remove(arena_printf(project->arena, "%s/features", project->folder).data, &err));
    assert_ok(
        folder_remove(arena_printf(project->arena, "%s/data", project->folder).data, &err));
    store_open(project);
    after = definition_store_current(project->store);
    assert_int_equal(definitions_revision(after), 1);
    assert_ok(definitions_service_get(after, STR("x"), &service, &err));
    assert_int_equal(service->plan.output_count, 1);
    assert_int_equal(service->plan.outputs[0].type, TYPE_INT64);
    assert_str_equal(service->hash, definitions_service_find(before, STR("x"))->hash);
    assert_str_equal(definitions_source_find(after, STR("s"))->fingerprint,
                     definitions_source_find(before, STR("s"))->fingerprint);
    definitions_unref(&before);
    definitions_unref(&after);
    project_free(project);
}

TEST(mistakes_change_nothing)
{
    struct project *project = project_new();
    const struct definitions *current;

    assert_ok(apply(project, false));
    write_in(project, "features/a.yaml",
             ENTITY SOURCE "view: v\nentity: f\nsource: s\n"
                           "features: {n: {count: '*'}}\n");
    assert_fails(STATUS_INVALID, apply(project, false));
    assert_int_equal(project->errors.count, 1);
    assert_int_equal(project->errors.items[0].place.line, 10);
    current = definition_store_current(project->store);
    assert_int_equal(definitions_revision(current), 1);
    assert_non_null(definitions_service_find(current, STR("x")));
    definitions_unref(&current);
    project_free(project);
}

TEST(files_with_other_columns_change_their_source)
{
    struct project *project = project_new();

    assert_ok(apply(project, false));
    write_in(project, "data/a.csv", "k,v,t,w\n");
    project->has_more_columns = true;
    assert_ok(apply(project, false));
    changes_are(project, "~source s");
    project_free(project);
}

TEST(a_snapshot_outlives_its_replacement)
{
    struct project *project = project_new();
    const struct definitions *old;

    assert_ok(apply(project, false));
    old = definition_store_current(project->store);
    write_in(project, "features/a.yaml", ENTITY);
    assert_ok(apply(project, false));
    changes_are(project, "-source s, -view v, -service x");
    assert_str_equal(definitions_view_find(old, STR("v"))->entity->name, STR("e"));
    definitions_unref(&old);
    project_free(project);
}

TEST(other_kinds_are_checked_and_recorded_too)
{
    struct project *project = project_new();
    const struct definitions *current;
    const struct definition_item *item;

    write_in(project, "pipelines/p/pipeline.yaml", "pipeline: p\nservice: z\n");
    assert_fails(STATUS_INVALID, apply(project, false));
    assert_str_equal(project->errors.items[0].message, STR("there is no service 'z'"));
    assert_str_equal(project->errors.items[0].place.file, STR("pipelines/p/pipeline.yaml"));
    assert_int_equal(project->errors.items[0].place.line, 2);
    write_in(project, "pipelines/p/pipeline.yaml", "pipeline: p\nservice: x\n");
    write_in(project, "pipelines/q/pipeline.asl.json", "{\n\t\"StartAt\": \"A\"\n}\n");
    assert_ok(apply(project, false));
    changes_are(project, "+entity e, +source s, +view v, +service x, +pipeline p, +pipeline q");
    current = definition_store_current(project->store);
    item = definitions_item_find(current, STR("pipeline"), STR("q"));
    assert_str_equal(item->json, STR("{\"StartAt\":\"A\"}"));
    definitions_unref(&current);
    project_free(project);
}

TEST_MAIN(TEST_CASE(a_plan_shows_what_would_change_and_apply_changes_it),
          TEST_CASE(what_is_recorded_needs_no_files), TEST_CASE(mistakes_change_nothing),
          TEST_CASE(files_with_other_columns_change_their_source),
          TEST_CASE(a_snapshot_outlives_its_replacement),
          TEST_CASE(other_kinds_are_checked_and_recorded_too))
