/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/serving_http.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "net/router.h"
#include "serving/serving.h"

#include "support/onnx_writer.h"
#include "support/test.h"

static struct arena *arena;
static struct error err;
static struct serving *serving;
static struct router *router;
static char *folder;
static struct answer answer;

static yyjson_val *ask(const char *method, const char *target, struct str body)
{
    const struct call call = { .method = str_from(method),
                               .target = str_from(target),
                               .content_type = STR("application/json"),
                               .body = body,
                               .identity = { STR("test"), PERMIT_VIEW } };
    yyjson_val *json;

    assert_ok(router_call(router, arena, &call, NULL, NULL, &answer, &err));
    assert_str_equal(answer.content_type, STR("application/json"));
    assert_ok(json_parse(arena, answer.body, &json, &err));
    return json;
}

static void assert_answer(const char *method, const char *target, const char *body, int code,
                          const char *part)
{
    (void)ask(method, target, str_from(body));
    if (answer.code != code)
        fail_msg("%s %s: %d " STR_FMT, target, body, answer.code, STR_ARG(answer.body));
    assert_str_contains(answer.body, str_from(part));
}

TEST(says_who_it_is_and_how_it_is)
{
    assert_answer("GET", "/v2", "", 200, "\"name\":\"onggi\"");
    assert_answer("GET", "/v2/health/live", "", 200, "{\"live\":true}");
    assert_answer("GET", "/v2/health/ready", "", 200, "{\"ready\":true}");
    assert_answer("GET", "/v2/models", "", 200, "{\"models\":[\"types\",\"x\"]}");
    assert_answer("GET", "/v2/models/x/ready", "", 200, "{\"name\":\"x\",\"ready\":true}");
    assert_answer("GET", "/v2/models/x/versions/3/ready", "", 200, "true");
}

TEST(describes_a_model)
{
    assert_answer("GET", "/v2/models/x", "", 200,
                  "{\"name\":\"x\",\"versions\":[\"3\"],\"platform\":\"onnx_onnxv1\","
                  "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2]}],"
                  "\"outputs\":[{\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[-1]},"
                  "{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[-1,2]}]}");
}

TEST(unknown_models_are_not_found)
{
    assert_answer("GET", "/v2/models/y", "", 404, "{\"error\":\"Request for unknown model: ");
    assert_answer("GET", "/v2/models/x/versions/4", "", 404, "version 4");
    assert_answer("GET", "/v2/models/x/versions/0", "", 404, "no number");
    assert_answer("GET", "/v2/models/x/versions/-3", "", 404, "no number");
    assert_answer("GET", "/v2/models/x/versions/99999999999999999999", "", 404, "no number");
    assert_answer("POST", "/v2/models/%252e%252e/infer", "{}", 404, "unknown model");
    assert_answer("POST", "/v2/models/a%2Fb/infer", "{}", 404, "unknown model");
    assert_answer("POST", "/v2/models/%20/infer", "{}", 404, "unknown model");
}

#define X(shape, data) \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" data \
    "}]}"

TEST(runs_flat_and_nested_data_alike)
{
    yyjson_val *reply = ask("POST", "/v2/models/x/infer", STR(X("[2,2]", "[0.1,0.2,-1,1]")));
    struct str flat = answer.body;

    assert_int_equal(answer.code, 200);
    assert_str_equal(json_str(json_find(reply, STR("model_version"))), STR("3"));
    assert_null(json_find(reply, STR("id")));
    assert_str_contains(
        flat,
        STR("{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[0."));
    (void)ask("POST", "/v2/models/x/versions/3/infer", STR(X("[2,2]", "[[0.1,0.2],[-1,1]]")));
    assert_str_equal(answer.body, flat);
}

TEST(gives_the_outputs_asked_for)
{
    yyjson_val *reply = ask(
        "POST", "/v2/models/x/infer",
        STR("{\"id\":\"a\\\"b\",\"model_name\":\"whatever\",\"outputs\":[{\"name\":\"label\"}],"
            "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[\"NaN\",1]}]}"));
    yyjson_val *outputs = json_find(reply, STR("outputs"));

    assert_int_equal(answer.code, 200);
    assert_str_equal(json_str(json_find(reply, STR("id"))), STR("a\"b"));
    assert_int_equal(yyjson_arr_size(outputs), 1);
    assert_str_equal(json_str(json_find(yyjson_arr_get(outputs, 0), STR("name"))),
                     STR("label"));
}

TEST(all_types_go_in_and_come_out)
{
    static const char body[] =
        "{\"inputs\":["
        "{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[1,2],\"data\":[\"a\\u0000\\\"b\",\"\"]},"
        "{\"name\":\"i\",\"datatype\":\"INT64\",\"shape\":[1,2],\"data\":[-9223372036854775808,9223372036854775807]},"
        "{\"name\":\"d\",\"datatype\":\"FP64\",\"shape\":[1,2],\"data\":[\"-Infinity\",\"NaN\"]},"
        "{\"name\":\"b\",\"datatype\":\"BOOL\",\"shape\":[1,2],\"data\":[[true,false]]}]}";

    (void)ask("POST", "/v2/models/types/infer", str_from(body));
    assert_int_equal(answer.code, 200);
    assert_str_contains(answer.body, STR("[\"a\\u0000\\\"b\",\"\"]"));
    assert_str_contains(answer.body, STR("[-9223372036854775808,9223372036854775807]"));
    assert_str_contains(answer.body, STR("[\"-Infinity\",\"NaN\"]"));
    assert_str_contains(answer.body, STR("[true,false]"));
}

TEST(what_makes_no_sense_is_refused)
{
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        { "", "JSON" },
        { "[]", "expected a JSON object" },
        { "{}", "'inputs' is missing" },
        { "{\"inputs\":3}", "inputs" },
        { "{\"inputs\":[]}", "'x' is missing" },
        { "{\"inputs\":[3]}", "expected objects" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2]}]}",
          "'data' is missing" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"data\":[1,2]}]}",
          "'shape' is missing" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP16\",\"shape\":[1,2],\"data\":[1,2]}]}",
          "FP16" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT64\",\"shape\":[1,2],\"data\":[1,2]}]}",
          "expected FP32" },
        { "{\"inputs\":[{\"name\":\"q\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]}]}",
          "unknown input 'q'" },
        { X("[1,2]", "[1]"), "data does not have its shape" },
        { X("[1,2]", "[1,2,3]"), "data does not have its shape" },
        { X("[2,2]", "[[1,2],[3]]"), "data does not have its shape" },
        { X("[2,2]", "[[1,2],3]"), "data does not have its shape" },
        { X("[1,2]", "[1,[2]]"), "expected FP32" },
        { X("[1,2]", "[1,\"2\"]"), "expected FP32" },
        { X("[1,2]", "[1,null]"), "expected FP32" },
        { X("[1,3]", "[1,2,3]"), "expected shape [-1,2], found [1,3]" },
        { X("[2]", "[1,2]"), "expected shape" },
        { X("[0,2]", "[]"), "no elements" },
        { X("[-1,2]", "[1,2]"), "dimension 0" },
        { X("[1.5,2]", "[1,2]"), "dimension 0" },
        { X("[\"1\",2]", "[1,2]"), "dimension 0" },
        { X("[1,18446744073709551615]", "[1,2]"), "dimension 1" },
        { X("[1,99999999999999999999]", "[1,2]"), "dimension 1" },
        { X("[1,1,1,1,1,1,1,1,2]", "[1,2]"), "more than 8 dimensions" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]},"
          "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"data\":[1,2]}]}",
          "'x' is given twice" },
        { "{\"outputs\":[{\"name\":\"label\"},{\"name\":\"label\"}],\"inputs\":[]}",
          "asked for twice" },
        { "{\"outputs\":[{\"name\":\"nothing\"}],\"inputs\":[]}", "unknown output 'nothing'" },
        { "{\"id\":3,\"inputs\":[]}", "id" },
        { "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2],\"parameters\":{\"binary_data_size\":8}}]}",
          "binary_data=False" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_answer("POST", "/v2/models/x/infer", cases[i].body, 400, cases[i].says);
}

TEST(small_bodies_cannot_claim_large_tensors)
{
    assert_answer("POST", "/v2/models/x/infer", X("[16,1152921504606846978]", "[1,2]"), 400,
                  "more elements than data");
    assert_answer("POST", "/v2/models/x/infer", X("[4294967296,4294967297]", "[1]"), 400,
                  "more elements than data");
    assert_answer("POST", "/v2/models/x/infer", X("[1000000,1000]", "[0]"), 400,
                  "more elements than data");
}

TEST(deep_nesting_does_no_harm)
{
    size_t depth = 250000;
    char *nest = arena_alloc(arena, depth + 1);
    struct str body;

    memset(nest, '[', depth);
    body = arena_printf(arena, "{\"parameters\":%s", nest);
    (void)ask("POST", "/v2/models/x/infer", body);
    assert_int_equal(answer.code, 400);
}

static struct str types(void)
{
    static const int64_t dims[] = { ONNX_ANY, 2 };
    static const struct {
        const char *in, *out;
        enum onnx_element type;
    } sides[] = {
        { "s", "s2", ONNX_STRING },
        { "i", "i2", ONNX_INT64 },
        { "d", "d2", ONNX_DOUBLE },
        { "b", "b2", ONNX_BOOL },
    };
    struct str graph = STR_EMPTY;

    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        graph = ONNX_JOIN(
            arena, graph,
            onnx_node(arena, "Identity", "", sides[i].in, sides[i].out, STR_EMPTY),
            onnx_input(arena, sides[i].in, sides[i].type, dims, 2),
            onnx_output(arena, sides[i].out, sides[i].type, dims, 2));
    return onnx_model(arena, graph, NULL);
}

static void publish(const char *name, int64_t version, struct str bytes)
{
    const char *path = arena_printf(arena, "%s/model.onnx", folder).data;
    const struct model_source source = {
        .name = str_from(name), .version = version, .path = path, .signature = STR("{}")
    };
    struct model *model;

    assert_ok(file_write(path, bytes, &err));
    assert_ok(model_load(serving, &source, &model, &err));
    serving_publish(serving, model);
}

static int set_up(void **unused)
{
    const struct serving_config config = { .threads = 1 };

    (void)unused;
    arena = arena_new();
    folder = test_folder();
    assert_ok(serving_open(&config, &serving, &err));
    router = router_new();
    router_mount(router, &serving_door, serving);
    publish("x", 3, onnx_trees(arena, 2, 3, 3, NULL));
    publish("types", 1, types());
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    router_free(&router);
    serving_close(&serving);
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
    return 0;
}

/* This program is its own child: probes start /proc/self/exe. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST_CASE(says_who_it_is_and_how_it_is),
        TEST_CASE(describes_a_model),
        TEST_CASE(unknown_models_are_not_found),
        TEST_CASE(runs_flat_and_nested_data_alike),
        TEST_CASE(gives_the_outputs_asked_for),
        TEST_CASE(all_types_go_in_and_come_out),
        TEST_CASE(what_makes_no_sense_is_refused),
        TEST_CASE(small_bodies_cannot_claim_large_tensors),
        TEST_CASE(deep_nesting_does_no_harm),
    };

    if (argc > 2 && strcmp(argv[2], "probe-model") == 0)
        return serving_probe_main(argc, argv);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
