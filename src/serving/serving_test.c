/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/serving.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "serving/probe.h"

#include "support/onnx_writer.h"
#include "support/test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define OUTPUTS_MAX 4

static struct arena *arena;
static struct error err;
static struct serving *serving;
static char *folder;
static const int64_t column[] = { ONNX_ANY, 1 };

static enum status load(struct str bytes, const char *signature, int64_t version,
                        struct model **out)
{
    const struct model_source source = {
        .name = STR("m"),
        .version = version,
        .path = arena_printf(arena, "%s/model.onnx", folder).data,
        .signature = str_from(signature),
    };

    assert_ok(file_write(source.path, bytes, &err));
    return model_load(serving, &source, out, &err);
}

static struct value number(double value)
{
    return (struct value){ .type = TYPE_FLOAT64, .number = value };
}

static struct value integer(int64_t value)
{
    return (struct value){ .type = TYPE_INT64, .integer = value };
}

/* --- trees ---------------------------------------------------------------- */

TEST(trees_answer_a_row_and_many_rows_alike)
{
    struct value rows[5 * 3];
    struct tensor one[OUTPUTS_MAX], all[OUTPUTS_MAX];
    float matrix[5 * 3];
    struct model *model;
    size_t count;

    assert_ok(load(onnx_trees(arena, 3, 20, 4, "[\"a\",\"b\",\"c\"]"), "{}", 1, &model));
    (void)model_features(model, &count);
    assert_int_equal(count, 3);
    assert_int_equal(model_score_output(model), 1);
    assert_true(model_takes_matrix(model));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i] = number(sin((double)i));
        matrix[i] = (float)rows[i].number;
    }
    assert_ok(model_run_rows(model, arena, 5, rows, 0, all, &err));
    assert_int_equal(all[1].dims[0], 5);
    assert_int_equal(all[1].dims[1], 2);
    for (size_t row = 0; row < 5; row++) {
        double score;

        assert_ok(model_run_row(model, arena, rows + 3 * row, 0, one, &err));
        score = model_score_of(model, one, 0);
        assert_true(score > 0 && score < 1);
        assert_true(score == model_score_of(model, all, row));
        assert_int_equal(one[0].int64s[0], score > 0.5);
    }
    assert_ok(model_run_matrix(model, arena, 5, matrix, 0, one, &err));
    assert_memory_equal(one[1].floats, all[1].floats, 10 * sizeof(float));
    assert_true(model_speed(model).is_fast);
    assert_true(model_speed(model).p50_ns <= model_speed(model).p99_ns);
    model_unref(&model);
}

/* The first block of rows is always done; between two the clock counts. */
TEST(a_walk_of_many_rows_keeps_its_deadline)
{
    float *rows = ARENA_ARRAY(arena, float, 2000);
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(onnx_trees(arena, 2, 20, 4, "[\"a\",\"b\"]"), "{}", 1, &model));
    assert_true(model_is_walked(model));
    assert_ok(model_run_matrix(model, arena, 100, rows, 1, outputs, &err));
    assert_fails(STATUS_TIMEOUT, model_run_matrix(model, arena, 1000, rows, 1, outputs, &err));
    assert_ok(model_run_matrix(model, arena, 1000, rows, 0, outputs, &err));
    assert_int_equal(outputs[1].dims[0], 1000);
    model_unref(&model);
}

TEST(null_is_nan_and_text_is_refused)
{
    const struct value nothing[] = { value_null(TYPE_FLOAT64), value_null(TYPE_STRING) };
    const struct value text[] = { number(1), { .type = TYPE_STRING, .text = STR_INIT("x") } };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(
        load(onnx_trees(arena, 2, 1, 1, NULL), "{\"features\": [\"a\", \"b\"]}", 1, &model));
    assert_ok(model_run_row(model, arena, nothing, 0, outputs, &err));
    assert_fails(STATUS_INVALID, model_run_row(model, arena, text, 0, outputs, &err));
    assert_str_equal(str_from(err.message), STR("feature 'b': expected float32, found string"));
    model_unref(&model);
}

TEST(a_network_gives_its_only_number_as_the_score)
{
    const int64_t widths[] = { 4, 8, 1 };
    struct value row[] = {
        number(0.5), integer(1), { .type = TYPE_BOOL, .boolean = true }, number(-1)
    };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(onnx_network(arena, widths, 3, "[\"a\",\"b\",\"c\",\"d\"]"), "", 1, &model));
    assert_ok(model_run_row(model, arena, row, 0, outputs, &err));
    assert_int_equal(model_score_output(model), 0);
    assert_true(model_score_of(model, outputs, 0) > 0 && model_score_of(model, outputs, 0) < 1);
    model_unref(&model);
}

/* --- several inputs of several types -------------------------------------- */

static struct str all_types(void)
{
    return onnx_model(
        arena,
        ONNX_JOIN(arena, onnx_node(arena, "Identity", "", "amount", "amount_out", STR_EMPTY),
                  onnx_node(arena, "Identity", "", "count", "count_out", STR_EMPTY),
                  onnx_node(arena, "Identity", "", "city", "city_out", STR_EMPTY),
                  onnx_node(arena, "Identity", "", "rate", "rate_out", STR_EMPTY),
                  onnx_input(arena, "amount", ONNX_FLOAT, column, 2),
                  onnx_input(arena, "count", ONNX_INT64, column, 2),
                  onnx_input(arena, "city", ONNX_STRING, column, 2),
                  onnx_input(arena, "rate", ONNX_DOUBLE, column, 1),
                  onnx_output(arena, "amount_out", ONNX_FLOAT, column, 2),
                  onnx_output(arena, "count_out", ONNX_INT64, column, 2),
                  onnx_output(arena, "city_out", ONNX_STRING, column, 2),
                  onnx_output(arena, "rate_out", ONNX_DOUBLE, column, 1)),
        NULL);
}

static void assert_all_types(struct model *model, const struct value row[4])
{
    struct tensor outputs[OUTPUTS_MAX];
    struct value two[8];

    assert_ok(model_run_row(model, arena, row, 0, outputs, &err));
    assert_true(outputs[0].floats[0] == 1.5F);
    assert_int_equal(outputs[1].int64s[0], 7);
    assert_str_equal(outputs[2].strings[0], STR("Łódź\0!"));
    assert_true(outputs[3].doubles[0] == 0.1);
    memcpy(two, row, 4 * sizeof(*two));
    memcpy(two + 4, row, 4 * sizeof(*two));
    assert_ok(model_run_rows(model, arena, 2, two, 0, outputs, &err));
    assert_int_equal(outputs[2].count, 2);
    assert_str_equal(outputs[2].strings[1], STR("Łódź\0!"));
}

TEST(inputs_of_all_types_are_filled_by_their_names)
{
    struct value row[] = { number(1.5),
                           integer(7),
                           { .type = TYPE_STRING, .text = STR_INIT("Łódź\0!") },
                           number(0.1) };
    const struct model_feature *features;
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;
    size_t count;

    assert_ok(load(all_types(), "{}", 1, &model));
    features = model_features(model, &count);
    assert_int_equal(count, 4);
    assert_str_equal(features[1].name, STR("count"));
    assert_int_equal(features[1].type, TYPE_INT64);
    assert_all_types(model, row);
    row[1] = number(7);
    assert_all_types(model, row);
    row[1] = number(7.5);
    assert_fails(STATUS_INVALID, model_run_row(model, arena, row, 0, outputs, &err));
    row[1] = value_null(TYPE_INT64);
    assert_fails(STATUS_INVALID, model_run_row(model, arena, row, 0, outputs, &err));
    assert_str_equal(str_from(err.message), STR("feature 'count': expected int64, found null"));
    model_unref(&model);
}

TEST(a_signature_may_list_the_inputs_in_another_order)
{
    struct value row[] = {
        integer(7), number(0.1), { .type = TYPE_STRING, .text = STR_INIT("x") }, number(1.5)
    };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(all_types(), "[\"count\",\"rate\",\"city\",\"amount\"]", 1, &model));
    assert_ok(model_run_row(model, arena, row, 0, outputs, &err));
    assert_int_equal(outputs[1].int64s[0], 7);
    assert_true(outputs[0].floats[0] == 1.5F);
    model_unref(&model);
}

TEST(a_signature_that_does_not_fit_is_refused)
{
    static const struct {
        const char *signature;
        struct str says;
    } cases[] = {
        { "[\"a\"]", STR_INIT("1 features are named") },
        { "[\"a\",\"a\",\"b\"]", STR_INIT("'a' is listed twice") },
        { "[\"a\", 3]", STR_INIT("item 1 is no name") },
        { "\"a\"", STR_INIT("expected a list") },
        { "[\"a\"", STR_INIT("features") },
    };
    struct model *model;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_fails(STATUS_INVALID,
                     load(onnx_trees(arena, 3, 1, 1, NULL), cases[i].signature, 1, &model));
        assert_str_contains(str_from(err.message), cases[i].says);
    }
}

TEST(one_row_models_answer_many_rows)
{
    const int64_t one[] = { 1, 2 };
    struct str bytes = onnx_model(arena,
                                  ONNX_JOIN(arena,
                                            onnx_node(arena, "Neg", "", "x", "y", STR_EMPTY),
                                            onnx_input(arena, "x", ONNX_FLOAT, one, 2),
                                            onnx_output(arena, "y", ONNX_FLOAT, one, 2)),
                                  "[\"a\",\"b\"]");
    struct value rows[] = { number(1), number(2), number(3), number(4) };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(bytes, "{}", 1, &model));
    assert_ok(model_run_rows(model, arena, 2, rows, 0, outputs, &err));
    assert_int_equal(outputs[0].dims[0], 2);
    assert_true(outputs[0].floats[3] == -4 && outputs[0].floats[0] == -1);
    model_unref(&model);
}

/* --- models that misbehave ------------------------------------------------ */

TEST(what_is_no_model_is_refused)
{
    struct model_source source = {
        .name = STR("m"), .version = 1, .path = "absent.onnx", .signature = STR("{}")
    };
    struct model *model;

    assert_fails(STATUS_INVALID, load(STR("not a model"), "{}", 3, &model));
    assert_str_contains(str_from(err.message),
                        STR("model m version 3: the file is no ONNX model"));
    assert_fails(STATUS_NOT_FOUND, model_load(serving, &source, &model, &err));
    source.name = STR("a\"b");
    assert_fails(STATUS_INVALID, model_load(serving, &source, &model, &err));
}

TEST(a_list_of_maps_is_refused_with_how_to_mend_it)
{
    const int64_t labels[] = { 0, 1 }, in[] = { ONNX_ANY, 2 };
    struct str bytes = onnx_model(
        arena,
        ONNX_JOIN(arena,
                  onnx_node(arena, "ZipMap", "ai.onnx.ml", "x", "y",
                            onnx_attr_ints(arena, "classlabels_int64s", labels, 2)),
                  onnx_input(arena, "x", ONNX_FLOAT, in, 2), onnx_output_maps(arena, "y")),
        NULL);
    struct model *model;

    assert_fails(STATUS_INVALID, load(bytes, "{}", 1, &model));
    assert_str_contains(str_from(err.message), STR("options={'zipmap': False}"));
}

TEST(a_model_that_never_ends_does_not_get_in)
{
    uint64_t start = clock_monotonic_ns();
    struct model *model;

    assert_fails(STATUS_INVALID, load(onnx_endless(arena, -1), "{}", 1, &model));
    assert_str_contains(str_from(err.message), STR("within 2000 ms"));
    assert_true(clock_monotonic_ns() - start < UINT64_C(10000000000));
}

TEST(a_run_that_overstays_is_ended_and_the_next_one_is_well)
{
    struct value row[] = { number(5000) };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(onnx_endless(arena, 1000), "{}", 1, &model));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t start = clock_monotonic_ns();

        row[0] = number(5000);
        assert_fails(STATUS_TIMEOUT, model_run_row(model, arena, row,
                                                   start + UINT64_C(30000000), outputs, &err));
        assert_true(clock_monotonic_ns() - start >= UINT64_C(30000000));
        assert_true(clock_monotonic_ns() - start < UINT64_C(1000000000));
        row[0] = number(5);
        assert_ok(model_run_row(model, arena, row, clock_monotonic_ns() + UINT64_C(5000000000),
                                outputs, &err));
        assert_true(outputs[0].floats[0] == 5);
    }
    model_unref(&model);
}

TEST(the_runtime_does_not_report_home)
{
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "1");
}

/* Wants eight gigabytes at once. */
static struct str hungry(void)
{
    const int64_t scalar[] = { 1 };

    return onnx_model(
        arena,
        ONNX_JOIN(arena, onnx_node(arena, "ConstantOfShape", "", "n", "big", STR_EMPTY),
                  onnx_node(arena, "ReduceSum", "", "big", "y", STR_EMPTY),
                  onnx_int64s(arena, "n", scalar, 1, &(int64_t){ INT64_C(1) << 31 }),
                  onnx_node(arena, "Identity", "", "x", "z", STR_EMPTY),
                  onnx_input(arena, "x", ONNX_FLOAT, column, 2),
                  onnx_output(arena, "y", ONNX_FLOAT, column, 2),
                  onnx_output(arena, "z", ONNX_FLOAT, column, 2)),
        NULL);
}

TEST(a_model_that_eats_all_memory_does_not_get_in)
{
    struct model *model;

    if (!probe_limits_memory)
        skip();
    assert_fails(STATUS_INVALID, load(hungry(), "{}", 1, &model));
}

/* y = table[x - 5]: of three places, for x from 2 on; zeros are none of its categories. */
static struct str particular(void)
{
    const int64_t three[] = { 3 }, scalar[] = { 1 };
    const float table[] = { 0.25F, 0.5F, 0.75F };

    return onnx_model(arena,
                      ONNX_JOIN(arena,
                                onnx_node(arena, "Cast", "", "x", "at",
                                          onnx_attr_int(arena, "to", ONNX_INT64)),
                                onnx_node(arena, "Sub", "", "at five", "place", STR_EMPTY),
                                onnx_node(arena, "Gather", "", "table place", "y", STR_EMPTY),
                                onnx_int64s(arena, "five", scalar, 1, &(int64_t){ 5 }),
                                onnx_floats(arena, "table", three, 1, table),
                                onnx_input(arena, "x", ONNX_FLOAT, column, 2),
                                onnx_output(arena, "y", ONNX_FLOAT, column, 2)),
                      NULL);
}

TEST(a_model_that_takes_no_zeros_serves)
{
    struct value row[] = { number(6) };
    struct tensor outputs[OUTPUTS_MAX];
    struct model *model;

    assert_ok(load(particular(), "{}", 1, &model));
    assert_false(model_speed(model).is_fast);
    assert_ok(model_run_row(model, arena, row, 0, outputs, &err));
    assert_true(outputs[0].floats[0] == 0.5F);
    row[0] = number(0);
    assert_fails(STATUS_INVALID, model_run_row(model, arena, row, 0, outputs, &err));
    model_unref(&model);
}

#define CONSTANT_BYTES ((size_t)160 << 20)

/* y = big[x]: a file of some hundred bytes, and a constant that is made of it. */
static struct str swelling(void)
{
    const int64_t scalar[] = { 1 };

    return onnx_model(
        arena,
        ONNX_JOIN(
            arena, onnx_node(arena, "ConstantOfShape", "", "n", "big", STR_EMPTY),
            onnx_node(arena, "Cast", "", "x", "at", onnx_attr_int(arena, "to", ONNX_INT64)),
            onnx_node(arena, "Gather", "", "big at", "y", STR_EMPTY),
            onnx_int64s(arena, "n", scalar, 1, &(int64_t){ CONSTANT_BYTES / 4 }),
            onnx_input(arena, "x", ONNX_FLOAT, column, 2),
            onnx_output(arena, "y", ONNX_FLOAT, column, 2)),
        NULL);
}

static size_t resident_bytes(void)
{
    unsigned long total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL)
        abort();
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

TEST(a_model_that_swells_is_there_once)
{
    size_t before = resident_bytes();
    struct model *model;

    assert_ok(load(swelling(), "{}", 1, &model));
    assert_true(model_memory(model) >= CONSTANT_BYTES);
    assert_true(resident_bytes() - before < model_memory(model) + CONSTANT_BYTES / 2);
    model_unref(&model);
}

static enum status load_with(const struct serving_config *config, struct str hash)
{
    const struct model_source source = {
        .name = STR("m"),
        .version = 1,
        .path = arena_printf(arena, "%s/model.onnx", folder).data,
        .hash = hash,
        .signature = STR("{}"),
    };
    struct serving *other;
    struct model *model = NULL;
    enum status status;

    assert_ok(serving_open(config, &other, &err));
    status = model_load(other, &source, &model, &err);
    model_unref(&model);
    serving_close(&other);
    return status;
}

static void put(struct str bytes)
{
    assert_ok(file_write(arena_printf(arena, "%s/model.onnx", folder).data, bytes, &err));
}

TEST(models_may_take_only_so_much_together)
{
    const struct serving_config config = { .threads = 2, .memory_bytes = (size_t)100 << 20 };

    put(swelling());
    assert_fails(STATUS_LIMIT, load_with(&config, STR_EMPTY));
    assert_str_contains(str_from(err.message), STR("of the 100 MiB that they may take"));
}

TEST(a_file_that_has_changed_is_not_what_was_registered)
{
    const struct serving_config config = { .threads = 1 };
    struct str bytes = onnx_trees(arena, 2, 5, 3, NULL);
    struct str hash = sha256_hex(arena, bytes), changed = arena_str(arena, bytes);

    put(bytes);
    assert_ok(load_with(&config, hash));
    ((char *)(uintptr_t)changed.data)[changed.len / 2] ^= 1;
    put(changed);
    assert_fails(STATUS_INTERNAL, load_with(&config, hash));
    assert_str_contains(str_from(err.message), STR("has changed since it was registered"));
}

TEST(what_was_tried_is_not_tried_again)
{
    const char *tried = arena_printf(arena, "%s/tried", folder).data;
    const struct serving_config patient = { .threads = 1, .tried_folder = tried };
    struct serving_config hasty = { .threads = 1, .probe_timeout_ms = 1 };

    put(onnx_trees(arena, 2, 5, 3, NULL));
    assert_ok(load_with(&patient, STR_EMPTY));
    assert_fails(STATUS_INVALID, load_with(&hasty, STR_EMPTY));
    hasty.tried_folder = tried;
    assert_ok(load_with(&hasty, STR_EMPTY));
    put(onnx_trees(arena, 2, 6, 3, NULL));
    assert_fails(STATUS_INVALID, load_with(&hasty, STR_EMPTY));
}

/* --- many at once --------------------------------------------------------- */

#define THREADS 4 /* more than the runners there are */

struct storm {
    atomic_bool done;
    atomic_uint answered;
    atomic_uint failed;
};

static void *ask(void *context)
{
    struct storm *storm = context;
    struct arena *own = arena_new();

    while (!atomic_load(&storm->done)) {
        struct value row[] = { number(0.1), number(0.2) };
        struct tensor outputs[OUTPUTS_MAX];
        struct model *model;
        struct error problem;

        if (model_acquire(serving, STR("m"), 0, &model, &problem) != STATUS_OK ||
            model_run_row(model, own, row, clock_monotonic_ns() + UINT64_C(5000000000), outputs,
                          &problem) != STATUS_OK)
            atomic_fetch_add(&storm->failed, 1);
        else
            atomic_fetch_add(&storm->answered, 1);
        model_unref(&model);
        arena_reset(own);
    }
    arena_free(own);
    return NULL;
}

TEST(a_model_is_replaced_under_load_without_a_lost_answer)
{
    struct storm storm = { 0 };
    pthread_t threads[THREADS];
    struct model *model;

    assert_ok(load(onnx_trees(arena, 2, 5, 3, "[\"a\",\"b\"]"), "{}", 1, &model));
    serving_publish(serving, model);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &storm), 0);
    for (int64_t version = 2; version < 8; version++) {
        assert_ok(load(onnx_trees(arena, 2, 5, 3, "[\"a\",\"b\"]"), "{}", version, &model));
        serving_publish(serving, model);
        serving_withdraw(serving, STR("m"), version - 1);
    }
    atomic_store(&storm.done, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&storm.failed), 0);
    assert_true(atomic_load(&storm.answered) > 100);
    serving_withdraw(serving, STR("m"), 7);
}

TEST(models_are_found_by_name_and_version)
{
    struct model *first, *second, *found;
    struct model_entry *entries;
    size_t count;

    assert_ok(load(onnx_trees(arena, 2, 1, 1, NULL), "{}", 1, &first));
    serving_publish(serving, first);
    assert_ok(load(onnx_trees(arena, 2, 1, 1, NULL), "{}", 2, &second));
    serving_publish(serving, second);
    assert_ok(model_acquire(serving, STR("m"), 0, &found, &err));
    assert_int_equal(model_version_number(found), 2);
    model_unref(&found);
    assert_ok(model_acquire(serving, STR("m"), 1, &found, &err));
    assert_int_equal(model_version_number(found), 1);
    model_unref(&found);
    serving_list(serving, arena, &entries, &count);
    assert_int_equal(count, 2);
    assert_true(entries[1].is_current && !entries[0].is_current);
    assert_fails(STATUS_NOT_FOUND, model_acquire(serving, STR("m"), 9, &found, &err));
    assert_str_contains(str_from(err.message), STR("version 9 of model 'm'"));
    assert_fails(STATUS_NOT_FOUND, model_acquire(serving, STR("n"), 0, &found, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'm'?"));
    serving_withdraw(serving, STR("m"), 1);
    serving_withdraw(serving, STR("m"), 2);
}

/* --- tensors -------------------------------------------------------------- */

static struct tensor floats(const char *name, int64_t rows, int64_t columns)
{
    const int64_t dims[] = { rows, columns };

    return tensor_new(arena, str_from(name), TENSOR_FLOAT32, dims, 2);
}

TEST(tensors_are_checked_against_the_inputs)
{
    struct tensor outputs[OUTPUTS_MAX], inputs[2] = { floats("x", 4, 3), floats("x", 4, 3) };
    struct model *model;

    assert_ok(load(onnx_trees(arena, 3, 2, 2, NULL), "{}", 1, &model));
    assert_ok(model_infer(model, arena, inputs, 1, 0, outputs, &err));
    assert_int_equal(outputs[1].dims[0], 4);
    assert_fails(STATUS_INVALID, model_infer(model, arena, inputs, 2, 0, outputs, &err));
    assert_str_contains(str_from(err.message), STR("'x' is given twice"));
    assert_fails(STATUS_INVALID, model_infer(model, arena, inputs, 0, 0, outputs, &err));
    assert_str_contains(str_from(err.message), STR("'x' is missing"));
    inputs[0] = floats("x", 4, 2);
    assert_fails(STATUS_INVALID, model_infer(model, arena, inputs, 1, 0, outputs, &err));
    assert_str_contains(str_from(err.message), STR("expected shape [-1,3], found [4,2]"));
    inputs[0] = floats("x", 0, 3);
    assert_fails(STATUS_INVALID, model_infer(model, arena, inputs, 1, 0, outputs, &err));
    inputs[0] = floats("y", 1, 3);
    assert_fails(STATUS_INVALID, model_infer(model, arena, inputs, 1, 0, outputs, &err));
    assert_str_contains(str_from(err.message), STR("unknown input 'y'; there is 'x'"));
    model_unref(&model);
}

static const struct CMUnitTest tests[] = {
    TEST_CASE(trees_answer_a_row_and_many_rows_alike),
    TEST_CASE(a_walk_of_many_rows_keeps_its_deadline),
    TEST_CASE(null_is_nan_and_text_is_refused),
    TEST_CASE(a_network_gives_its_only_number_as_the_score),
    TEST_CASE(inputs_of_all_types_are_filled_by_their_names),
    TEST_CASE(a_signature_may_list_the_inputs_in_another_order),
    TEST_CASE(a_signature_that_does_not_fit_is_refused),
    TEST_CASE(one_row_models_answer_many_rows),
    TEST_CASE(what_is_no_model_is_refused),
    TEST_CASE(a_list_of_maps_is_refused_with_how_to_mend_it),
    TEST_CASE(a_model_that_never_ends_does_not_get_in),
    TEST_CASE(a_run_that_overstays_is_ended_and_the_next_one_is_well),
    TEST_CASE(the_runtime_does_not_report_home),
    TEST_CASE(a_model_that_eats_all_memory_does_not_get_in),
    TEST_CASE(a_model_that_takes_no_zeros_serves),
    TEST_CASE(a_model_that_swells_is_there_once),
    TEST_CASE(models_may_take_only_so_much_together),
    TEST_CASE(a_file_that_has_changed_is_not_what_was_registered),
    TEST_CASE(what_was_tried_is_not_tried_again),
    TEST_CASE(a_model_is_replaced_under_load_without_a_lost_answer),
    TEST_CASE(models_are_found_by_name_and_version),
    TEST_CASE(tensors_are_checked_against_the_inputs),
};

/* This program is its own child: probes start /proc/self/exe. */
int main(int argc, char **argv)
{
    const struct serving_config config = { .threads = 2, .probe_timeout_ms = 2000 };
    int failed;

    if (argc > 2 && strcmp(argv[2], "probe-model") == 0)
        return serving_probe_main(argc, argv);
    arena = arena_new();
    folder = test_folder();
    if (serving_open(&config, &serving, &err) != STATUS_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    serving_close(&serving);
    failed += folder_remove(folder, &err) != STATUS_OK;
    free(folder);
    arena_free(arena);
    return failed;
}
