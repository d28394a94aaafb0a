/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/registry.h"

#include "base/file.h"
#include "support/test.h"

static char *folder;
static struct arena *arena;
static struct sql *db;
static struct blob_store *blobs;
static struct registry *registry;
static struct error err;

static int open_all(void **state)
{
    (void)state;
    arena = arena_new();
    folder = test_folder();
    if (sql_open(arena_printf(arena, "sqlite:%s/meta.db", folder), &db, &err) != STATUS_OK ||
        blob_store_open(arena_printf(arena, "folder:%s/blobs", folder), &blobs, &err) !=
            STATUS_OK ||
        registry_open(db, blobs, &registry, &err) != STATUS_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    registry_close(&registry);
    blob_store_close(&blobs);
    sql_close(&db);
    (void)!folder_remove(folder, &err);
    free(folder);
    arena_free(arena);
    return 0;
}

TEST(a_run_collects_what_it_is_told)
{
    struct artifact *artifacts, artifact;
    struct run run;
    struct str text;
    size_t count;

    assert_ok(folder_create(arena_printf(arena, "%s/out/deep", folder).data, &err));
    assert_ok(
        file_write(arena_printf(arena, "%s/out/report.html", folder).data, STR("<p>"), &err));
    assert_ok(
        file_write(arena_printf(arena, "%s/out/deep/x.json", folder).data, STR("{}"), &err));
    assert_ok(run_begin(registry, STR("r1"), STR("flights"), &err));
    assert_ok(run_log_params(registry, STR("r1"), STR("{\"depth\": 6, \"eta\": 0.1}"), &err));
    assert_ok(run_log_params(registry, STR("r1"), STR("{\"depth\": 7}"), &err));
    assert_ok(
        run_log_metrics(registry, STR("r1"), STR("{\"auc\": 0.76, \"odd\": null}"), &err));
    assert_fails(STATUS_INVALID,
                 run_log_metrics(registry, STR("r1"), STR("{\"a\": \"b\"}"), &err));
    assert_fails(STATUS_NOT_FOUND, run_log_metrics(registry, STR("r2"), STR("{}"), &err));
    assert_ok(run_log_folder(registry, STR("r1"), STR("evaluate"),
                             arena_printf(arena, "%s/out", folder).data, true, &err));
    assert_ok(run_end(registry, STR("r1"), RUN_FINISHED, &err));

    assert_ok(run_get(registry, arena, STR("r1"), &run, &err));
    assert_str_equal(run.params, STR("{\"depth\":7,\"eta\":0.1}"));
    assert_str_equal(run.metrics, STR("{\"auc\":0.76}"));
    assert_int_equal(run.status, RUN_FINISHED);
    assert_true(run.ended_us >= run.started_us);
    assert_ok(run_artifacts(registry, arena, STR("r1"), &artifacts, &count, &err));
    assert_int_equal(count, 2);
    assert_ok(run_artifact_get(registry, arena, STR("r1"), STR("evaluate/report.html"),
                               &artifact, &err));
    assert_ok(blob_get(blobs, arena, artifact.hash, 100, &text, &err));
    assert_str_equal(text, STR("<p>"));
    assert_fails(STATUS_NOT_FOUND,
                 run_artifact_get(registry, arena, STR("r1"), STR("evaluate/reprot.html"),
                                  &artifact, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'evaluate/report.html'"));
}

TEST(only_a_redrive_revives_a_run)
{
    struct run run;

    assert_ok(run_ensure(registry, STR("r1"), STR("flights"), 17, &err));
    assert_ok(run_end(registry, STR("r1"), RUN_FAILED, &err));
    assert_ok(run_ensure(registry, STR("r1"), STR("flights"), 99, &err));
    assert_ok(run_get(registry, arena, STR("r1"), &run, &err));
    assert_int_equal(run.status, RUN_FAILED);
    assert_int_equal(run.started_us, 17);
    assert_ok(run_begin(registry, STR("r1"), STR("flights"), &err));
    assert_ok(run_get(registry, arena, STR("r1"), &run, &err));
    assert_int_equal(run.status, RUN_RUNNING);
    assert_int_equal(run.started_us, 17);
}

static int64_t create_version(struct str key)
{
    const struct model_version wanted = {
        .model = STR("flight_delay"),
        .created_by = STR("ann"),
        .hash = STR("abc"),
        .size = 3,
        .metrics = STR("{\"auc\":0.76}"),
    };
    int64_t version = 0;

    assert_ok(model_version_create(registry, &wanted, key, NULL, NULL, &version, &err));
    return version;
}

static bool not_any_more(void *context)
{
    (void)context;
    return false;
}

TEST(what_is_not_wanted_any_more_is_not_made)
{
    const struct model_version wanted = { .model = STR("flight_delay"), .hash = STR("abc") };
    struct str *models;
    size_t count;
    int64_t version;

    assert_fails(STATUS_CONFLICT, model_version_create(registry, &wanted, STR("k"),
                                                       not_any_more, NULL, &version, &err));
    assert_ok(model_list(registry, arena, &models, &count, &err));
    assert_int_equal(count, 0);
    assert_int_equal(create_version(STR("k")), 1);
    /* It is there already: so it was wanted in time. */
    assert_ok(
        model_version_create(registry, &wanted, STR("k"), not_any_more, NULL, &version, &err));
    assert_int_equal(version, 1);
}

TEST(a_key_makes_one_version)
{
    struct model_version *versions;
    size_t count;

    assert_int_equal(create_version(STR("execution-1/register")), 1);
    assert_int_equal(create_version(STR("execution-1/register")), 1);
    assert_int_equal(create_version(STR("execution-2/register")), 2);
    assert_int_equal(create_version(STR("")), 3);
    assert_ok(
        model_version_list(registry, arena, STR("flight_delay"), &versions, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(versions[0].version, 3);
    assert_str_equal(versions[0].params, STR("{}"));
}

static enum status decide_as(struct str who, int64_t version, enum version_status status,
                             struct str reason)
{
    const struct version_decision decision = { .model = STR("flight_delay"),
                                               .version = version,
                                               .status = status,
                                               .by = who,
                                               .reason = reason };

    return model_version_decide(registry, &decision, &err);
}

TEST(only_approved_versions_deploy)
{
    struct deployment deployment;
    struct decision *decisions;
    size_t count;

    create_version(STR(""));
    create_version(STR(""));
    assert_fails(STATUS_CONFLICT, deployment_record(registry, STR("e"), STR("flight_delay"), 1,
                                                    STR("bob"), &err));
    assert_str_contains(str_from(err.message), STR("not yet approved"));
    assert_fails(STATUS_INVALID, decide_as(STR("eve"), 1, VERSION_APPROVED, STR(" ")));
    for (int64_t version = 1; version <= 2; version++) {
        assert_ok(decide_as(STR("eve"), version, VERSION_APPROVED, STR("AUC holds")));
        assert_ok(deployment_record(registry, STR("e"), STR("flight_delay"), version,
                                    STR("bob"), &err));
    }
    assert_ok(deployment_get(registry, arena, STR("e"), &deployment, &err));
    assert_int_equal(deployment.version, 2);
    assert_fails(STATUS_NOT_FOUND,
                 deployment_get(registry, arena, STR("f"), &deployment, &err));

    assert_ok(decide_as(STR("eve"), 2, VERSION_REJECTED, STR("drifts")));
    assert_fails(STATUS_CONFLICT, deployment_record(registry, STR("e"), STR("flight_delay"), 2,
                                                    STR("bob"), &err));
    assert_ok(model_version_decisions(registry, arena, STR("flight_delay"), 2, &decisions,
                                      &count, &err));
    assert_int_equal(count, 2);
    assert_str_equal(decisions[0].reason, STR("drifts"));
}

static void decide(int64_t version, enum version_status status)
{
    assert_ok(decide_as(STR("eve"), version, status, STR("so it is")));
}

TEST(a_decision_is_about_what_the_decider_saw)
{
    struct version_decision late = { .model = STR("flight_delay"),
                                     .version = 1,
                                     .status = VERSION_APPROVED,
                                     .by = STR("bob"),
                                     .reason = STR("fine"),
                                     .has_seen = true,
                                     .seen = VERSION_PENDING };
    struct decision *decisions;
    size_t count;

    create_version(STR(""));
    decide(1, VERSION_APPROVED);
    assert_fails(STATUS_CONFLICT, decide_as(STR("bob"), 1, VERSION_APPROVED, STR("me too")));
    assert_str_contains(str_from(err.message), STR("is APPROVED by eve: so it is"));
    decide(1, VERSION_REJECTED);
    decide(1, VERSION_REJECTED); /* always taken */
    assert_fails(STATUS_CONFLICT, model_version_decide(registry, &late, &err));
    assert_str_contains(str_from(err.message), STR("is REJECTED by eve"));
    late.seen = VERSION_REJECTED;
    assert_ok(model_version_decide(registry, &late, &err));
    assert_ok(model_version_decisions(registry, arena, STR("flight_delay"), 1, &decisions,
                                      &count, &err));
    assert_int_equal(count, 4);
    assert_fails(STATUS_NOT_FOUND, decide_as(STR("bob"), 9, VERSION_APPROVED, STR("x")));
    assert_str_contains(str_from(err.message), STR("no version 9"));
}

static void deploy(int64_t version)
{
    assert_ok(
        deployment_record(registry, STR("e"), STR("flight_delay"), version, STR("bob"), &err));
}

/* Goes one back, from a version to a version; `next` is where one more would lead. */
static void roll_back(int64_t from, int64_t to, int64_t next, size_t skipped)
{
    struct rollback rollback;

    assert_ok(deployment_rollback_find(registry, arena, STR("e"), &rollback, &err));
    assert_int_equal(rollback.from.version, from);
    assert_int_equal(rollback.to.version, to);
    assert_int_equal(rollback.next, next);
    assert_int_equal(rollback.skipped_count, skipped);
    assert_ok(deployment_record_rollback(registry, &rollback.to, STR("eve"), &err));
}

static void no_way_back(void)
{
    struct rollback rollback;

    assert_fails(STATUS_CONFLICT,
                 deployment_rollback_find(registry, arena, STR("e"), &rollback, &err));
}

TEST(each_rollback_goes_one_deployment_further_back)
{
    struct deployment *history;
    size_t count;

    for (int64_t version = 1; version <= 4; version++) {
        create_version(STR(""));
        decide(version, VERSION_APPROVED);
    }
    for (int64_t version = 1; version <= 3; version++)
        deploy(version);
    deploy(3); /* again the same is no step */
    roll_back(3, 2, 1, 0);
    roll_back(2, 1, 0, 0);
    no_way_back();
    deploy(4);
    roll_back(4, 1, 0, 0);
    no_way_back();
    deploy(2);
    deploy(3);
    roll_back(3, 2, 1, 0);
    deploy(4); /* on top of 2; 3 was taken back */
    roll_back(4, 2, 1, 0);
    roll_back(2, 1, 0, 0);
    assert_ok(deployment_history(registry, arena, STR("e"), 3, &history, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(history[0].version, 1);
    assert_true(history[0].back_to != 0);
    assert_true(history[2].back_to == 0);
}

TEST(a_rollback_passes_over_what_is_rejected)
{
    for (int64_t version = 1; version <= 3; version++) {
        create_version(STR(""));
        decide(version, VERSION_APPROVED);
        deploy(version);
    }
    decide(3, VERSION_REJECTED); /* why one rolls back */
    decide(2, VERSION_REJECTED);
    roll_back(3, 1, 0, 1);
    decide(1, VERSION_REJECTED);
    no_way_back();
    assert_str_contains(str_from(err.message), STR("no other version that is approved"));
}

TEST(unknown_names_get_the_nearest)
{
    struct model_version version;

    create_version(STR(""));
    assert_fails(STATUS_NOT_FOUND,
                 model_version_get(registry, arena, STR("flight_delya"), 1, &version, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'flight_delay'"));
    assert_fails(STATUS_NOT_FOUND,
                 model_version_get(registry, arena, STR("flight_delay"), 9, &version, &err));
    assert_str_contains(str_from(err.message), STR("has no version 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_collects_what_it_is_told, open_all, close_all),
        cmocka_unit_test_setup_teardown(only_a_redrive_revives_a_run, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_key_makes_one_version, open_all, close_all),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_any_more_is_not_made, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(only_approved_versions_deploy, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_decision_is_about_what_the_decider_saw, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(each_rollback_goes_one_deployment_further_back,
                                        open_all, close_all),
        cmocka_unit_test_setup_teardown(a_rollback_passes_over_what_is_rejected, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(unknown_names_get_the_nearest, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
