/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model_file.h"

#include "support/onnx_writer.h"
#include "support/test.h"

static struct arena *arena;
static struct error err;
static const int64_t column[] = { ONNX_ANY, 1 };

/* x -> y, with whatever else the graph is to hold. */
static struct str model_with(struct str node_attributes, const char *domain, struct str more)
{
    return onnx_model(arena,
                      ONNX_JOIN(arena,
                                onnx_node(arena, "Identity", domain, "x", "y", node_attributes),
                                more, onnx_input(arena, "x", ONNX_FLOAT, column, 2),
                                onnx_output(arena, "y", ONNX_FLOAT, column, 2)),
                      NULL);
}

TEST(tells_what_a_model_is)
{
    struct model_file file;

    assert_ok(model_file_check(onnx_trees(arena, 3, 2, 2, "[\"a\",\"b\",\"c\"]"), &file, &err));
    assert_int_equal(file.nodes, 1);
    assert_int_equal(file.ir_version, 8);
    assert_int_equal(file.opset, 15);
    assert_int_equal(file.opset_ml, 3);
    assert_str_equal(file.producer, STR("onggi-test"));
    assert_str_equal(file.features, STR("[\"a\",\"b\",\"c\"]"));
}

TEST(refuses_what_is_no_model)
{
    static const struct str texts[] = {
        STR_INIT(""),
        STR_INIT("hello, world"),
        STR_INIT("{\"a\": 1}"),
        STR_INIT("\x08\x08"),
        STR_INIT("\x08"),
        STR_INIT("PK\x03\x04"),
        STR_INIT("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        STR_INIT("\x3a\x05"
                 "abc"),
    };
    struct model_file file;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_fails(STATUS_INVALID, model_file_check(texts[i], &file, &err));
        assert_str_contains(str_from(err.message), STR("no ONNX model"));
    }
}

TEST(refuses_a_model_that_is_cut_off)
{
    struct str whole = onnx_trees(arena, 3, 2, 2, NULL);
    struct model_file file;

    /* The rest after the graph is small; a cut there leaves a model without operator sets. */
    for (size_t len = 1; len < whole.len - 20; len += 7)
        assert_fails(STATUS_INVALID, model_file_check(str_slice(whole, 0, len), &file, &err));
}

TEST(refuses_data_in_other_files)
{
    struct model_file file;
    struct str direct = onnx_external(arena, "w", "../../etc/passwd");
    struct str inner = onnx_attr_graph(arena, "body", direct);

    assert_fails(STATUS_INVALID,
                 model_file_check(model_with(STR_EMPTY, "", direct), &file, &err));
    assert_str_contains(str_from(err.message), STR("save_as_external_data=False"));
    assert_fails(STATUS_INVALID,
                 model_file_check(model_with(inner, "", STR_EMPTY), &file, &err));
    assert_str_contains(str_from(err.message), STR("other files"));
}

TEST(refuses_operators_that_are_not_built_in)
{
    struct model_file file;

    assert_ok(model_file_check(model_with(STR_EMPTY, "ai.onnx", STR_EMPTY), &file, &err));
    assert_fails(
        STATUS_INVALID,
        model_file_check(model_with(STR_EMPTY, "com.example", STR_EMPTY), &file, &err));
    assert_str_contains(str_from(err.message), STR("com.example"));
}

/* ModelProto.functions: FunctionProto with name 1, node 7, domain 10. */
static struct str with_function(struct str model, const char *domain)
{
    struct str node = onnx_node(arena, "Identity", "", "a", "b", STR_EMPTY),
               name = STR("\x0a\x01"
                          "f");
    struct str function = ONNX_JOIN(
        arena, name, arena_printf(arena, "\x3a%c", (int)(node.len - 2)),
        str_slice(node, 2, node.len),
        arena_printf(arena, "\x52%c%s", (int)strlen(domain), domain));

    return ONNX_JOIN(arena, model, arena_printf(arena, "\xca\x01%c", (int)function.len),
                     function);
}

TEST(takes_operators_that_the_model_brings_along)
{
    struct str model = model_with(STR_EMPTY, "com.example", STR_EMPTY);
    struct model_file file;

    assert_ok(model_file_check(with_function(model, "com.example"), &file, &err));
    assert_fails(STATUS_INVALID,
                 model_file_check(with_function(model, "com.other"), &file, &err));
    assert_str_contains(str_from(err.message), STR("com.example"));
}

static struct str nested(unsigned depth)
{
    struct str graph = onnx_node(arena, "Identity", "", "x", "y", STR_EMPTY);

    for (unsigned i = 0; i < depth; i++)
        graph = onnx_node(arena, "If", "", "x", "y",
                          onnx_attr_graph(arena, "then_branch", graph));
    return graph;
}

TEST(refuses_graphs_without_a_bottom)
{
    struct model_file file;

    assert_ok(model_file_check(onnx_model(arena, nested(10), NULL), &file, &err));
    assert_fails(STATUS_INVALID,
                 model_file_check(onnx_model(arena, nested(200), NULL), &file, &err));
    assert_str_contains(str_from(err.message), STR("nested"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CASE(tells_what_a_model_is),
        TEST_CASE(refuses_what_is_no_model),
        TEST_CASE(refuses_a_model_that_is_cut_off),
        TEST_CASE(refuses_data_in_other_files),
        TEST_CASE(refuses_operators_that_are_not_built_in),
        TEST_CASE(takes_operators_that_the_model_brings_along),
        TEST_CASE(refuses_graphs_without_a_bottom),
    };
    int failed;

    arena = arena_new();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
