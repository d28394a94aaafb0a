/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/trees/trees.h"

#include "serving/loaded.h"
#include "serving/model_file.h"

#include "support/onnx_writer.h"
#include "support/test.h"

#include <math.h>

#define FEATURES 7
#define NODES_MAX 50000
#define PARTS(...) ONNX_JOIN(arena, __VA_ARGS__)

static struct arena *arena;
static struct runtime *runtime;
static struct error err;

/* What is written into the file. */
struct forest {
    size_t nodes, weights;
    int64_t tree[NODES_MAX], node[NODES_MAX], feature[NODES_MAX], less[NODES_MAX],
        other[NODES_MAX], tracks[NODES_MAX];
    float limit[NODES_MAX];
    const char *mode[NODES_MAX];
    int64_t weight_tree[NODES_MAX], weight_node[NODES_MAX], weight_class[NODES_MAX];
    float weight[NODES_MAX];
    double ends; /* a branch does, before its depth; -1: never, 1: always */
    float base[2];
    size_t base_count;
    bool classifies, has_tracks;
    int64_t targets;
    const char *transform, *aggregate, *compare;
    const char *const *labels; /* two; NULL: 3 and 5 */
    struct str more;           /* attributes */
    struct str tail;           /* nodes and initializers behind the trees, from "l" and "s" */
    const char *label_output, *score_output; /* NULL: not the graph's */
};

static struct forest forest;
static uint64_t state;

static double draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-52 - 1;
}

static size_t add_node(int64_t tree, int64_t node)
{
    size_t at = forest.nodes++;

    forest.tree[at] = tree;
    forest.node[at] = node;
    return at;
}

static void add_leaf(size_t at, float weight)
{
    size_t k = forest.weights++;

    forest.mode[at] = "LEAF";
    forest.weight_tree[k] = forest.tree[at];
    forest.weight_node[k] = forest.node[at];
    forest.weight[k] = weight;
}

/* In the order of a walk, as converters number them; some branches end early. */
static int64_t grow(int64_t tree, int64_t *next, unsigned depth, float lowest)
{
    size_t at = add_node(tree, (*next)++);

    if (depth == 0 || (forest.node[at] > 2 && draw() < forest.ends)) {
        add_leaf(at, (float)draw() + lowest + 1);
        return forest.node[at];
    }
    forest.mode[at] = forest.compare;
    forest.feature[at] = (int64_t)((draw() + 1) / 2 * FEATURES);
    forest.limit[at] = (float)draw();
    forest.tracks[at] = draw() > 0;
    forest.less[at] = grow(tree, next, depth - 1, lowest);
    forest.other[at] = grow(tree, next, depth - 1, lowest);
    return forest.node[at];
}

static void grow_all(unsigned trees, unsigned depth, float lowest)
{
    for (unsigned i = 0; i < trees; i++) {
        int64_t next = 0;

        grow(2 * (int64_t)i, &next, depth, lowest);
    }
}

static void plant(bool classifies)
{
    memset(&forest, 0, sizeof(forest));
    state = 88172645463325252;
    forest.classifies = classifies;
    forest.targets = 1;
    forest.ends = -0.6;
    forest.compare = "BRANCH_LT";
    forest.transform = classifies ? "LOGISTIC" : "NONE";
    forest.more = forest.tail = STR_EMPTY;
    forest.label_output = "l";
    forest.score_output = "s";
}

/* One root, two leaves. */
static void plant_one(bool classifies)
{
    plant(classifies);
    for (int64_t i = 0; i < 3; i++)
        add_node(0, i);
    forest.mode[0] = forest.compare;
    forest.feature[0] = 2;
    forest.limit[0] = 0.25F;
    forest.less[0] = 1;
    forest.other[0] = 2;
    add_leaf(1, -0.5F);
    add_leaf(2, 0.75F);
}

static struct str label_attribute(void)
{
    static const int64_t numbers[] = { 3, 5 };

    if (!forest.classifies)
        return onnx_attr_int(arena, "n_targets", forest.targets);
    return forest.labels != NULL
               ? onnx_attr_texts(arena, "classlabels_strings", forest.labels, 2)
               : onnx_attr_ints(arena, "classlabels_int64s", numbers, 2);
}

static struct str weight_attributes(void)
{
    const char *side = forest.classifies ? "class" : "target";

    return PARTS(onnx_attr_ints(arena, arena_printf(arena, "%s_treeids", side).data,
                                forest.weight_tree, forest.weights),
                 onnx_attr_ints(arena, arena_printf(arena, "%s_nodeids", side).data,
                                forest.weight_node, forest.weights),
                 onnx_attr_ints(arena, arena_printf(arena, "%s_ids", side).data,
                                forest.weight_class, forest.weights),
                 onnx_attr_floats(arena, arena_printf(arena, "%s_weights", side).data,
                                  forest.weight, forest.weights));
}

static struct str attributes(void)
{
    size_t n = forest.nodes;
    struct str all = PARTS(onnx_attr_ints(arena, "nodes_treeids", forest.tree, n),
                           onnx_attr_ints(arena, "nodes_nodeids", forest.node, n),
                           onnx_attr_ints(arena, "nodes_featureids", forest.feature, n),
                           onnx_attr_ints(arena, "nodes_truenodeids", forest.less, n),
                           onnx_attr_ints(arena, "nodes_falsenodeids", forest.other, n),
                           onnx_attr_floats(arena, "nodes_values", forest.limit, n),
                           onnx_attr_texts(arena, "nodes_modes", forest.mode, n),
                           weight_attributes(), label_attribute(),
                           onnx_attr_text(arena, "post_transform", forest.transform),
                           forest.more);

    if (forest.has_tracks)
        all = PARTS(all,
                    onnx_attr_ints(arena, "nodes_missing_value_tracks_true", forest.tracks, n));
    if (forest.base_count > 0)
        all = PARTS(all,
                    onnx_attr_floats(arena, "base_values", forest.base, forest.base_count));
    if (forest.aggregate != NULL)
        all = PARTS(all, onnx_attr_text(arena, "aggregate_function", forest.aggregate));
    return all;
}

static struct str file(void)
{
    static const int64_t in[] = { ONNX_ANY, FEATURES }, label[] = { ONNX_ANY };
    const int64_t scores[] = { ONNX_ANY, forest.classifies ? 2 : 1 };
    struct str graph = PARTS(
        onnx_input(arena, "x", ONNX_FLOAT, in, 2),
        onnx_node(arena, forest.classifies ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor",
                  "ai.onnx.ml", "x", forest.classifies ? "l s" : "s", attributes()),
        forest.tail);

    if (forest.classifies && forest.label_output != NULL)
        graph = PARTS(graph,
                      onnx_output(arena, forest.label_output,
                                  forest.labels != NULL ? ONNX_STRING : ONNX_INT64, label, 1));
    if (forest.score_output != NULL)
        graph = PARTS(graph, onnx_output(arena, forest.score_output, ONNX_FLOAT, scores, 2));
    return onnx_model(arena, graph, NULL);
}

static struct trees *read_it(void)
{
    struct model_file checked;
    struct str bytes = file();

    assert_ok(model_file_check(bytes, &checked, &err));
    return trees_read(arena, bytes);
}

/* --- the same as the runtime ---------------------------------------------- */

static struct runtime_model *load_it(void)
{
    struct runtime_model *model;

    assert_ok(runtime->driver->load(runtime, file(), 1, false, &model, &err));
    return model;
}

static void assert_same_tensor(const struct tensor *ours, const struct tensor *theirs)
{
    assert_str_equal(ours->name, theirs->name);
    assert_int_equal(ours->type, theirs->type);
    assert_int_equal(ours->rank, theirs->rank);
    assert_int_equal(ours->count, theirs->count);
    for (size_t i = 0; i < ours->rank; i++)
        assert_int_equal(ours->dims[i], theirs->dims[i]);
    if (ours->type == TENSOR_STRING) {
        for (size_t i = 0; i < ours->count; i++)
            assert_str_equal(ours->strings[i], theirs->strings[i]);
        return;
    }
    assert_memory_equal(ours->data, theirs->data, ours->count * tensor_type_size(ours->type));
}

static void assert_same_answers(const struct trees *trees, struct runtime_model *model,
                                float *rows, size_t count)
{
    struct tensor input = { .name = STR("x"),
                            .type = TENSOR_FLOAT32,
                            .rank = 2,
                            .dims = { (int64_t)count, FEATURES },
                            .count = count * FEATURES,
                            .floats = rows };
    struct tensor ours[2], theirs[2];
    float *sums = ARENA_ARRAY(arena, float, count);

    assert_ok(runtime->driver->run(model, model->runners[0], arena, &input, theirs, &err));
    trees_sum(trees, rows, count, FEATURES, sums);
    trees_answer(trees, arena, sums, count, model->outputs, ours);
    for (size_t i = 0; i < model->output_count; i++)
        assert_same_tensor(&ours[i], &theirs[i]);
}

static void assert_answers_are_the_runtimes(void)
{
    static float rows[3000 * FEATURES];
    struct trees *trees = read_it();
    struct runtime_model *model = load_it();

    assert_non_null(trees);
    assert_true(trees_agree(trees, model));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double drawn = draw();

        rows[i] = drawn > 0.95 ? NAN
                  : drawn > 0.5
                      ? forest.limit[(size_t)((draw() + 1) / 2 * (double)forest.nodes)]
                      : (float)draw() * 1.2F;
    }
    assert_same_answers(trees, model, rows, 3000);
    for (size_t i = 0; i < 50; i++)
        assert_same_answers(trees, model, rows + i * FEATURES, 1);
    assert_same_answers(trees, model, rows, 100);
    runtime->driver->unload(model);
}

TEST(one_tree_decides)
{
    plant_one(true);
    assert_answers_are_the_runtimes();
}

TEST(one_tree_estimates)
{
    plant_one(false);
    assert_answers_are_the_runtimes();
}

TEST(many_trees_decide)
{
    plant(true);
    grow_all(103, 6, -1);
    forest.base[0] = 0.3F;
    forest.base_count = 1;
    assert_answers_are_the_runtimes();
}

TEST(many_trees_estimate)
{
    plant(false);
    forest.compare = "BRANCH_LEQ";
    grow_all(500, 5, -1);
    forest.base[0] = -12.5F;
    forest.base_count = 1;
    assert_answers_are_the_runtimes();
}

TEST(deep_trees_end_at_different_depths)
{
    plant(true);
    forest.compare = "BRANCH_LEQ";
    forest.ends = -0.02;
    grow_all(20, 30, -1);
    assert_answers_are_the_runtimes();
}

TEST(nan_goes_where_each_node_says)
{
    plant(true);
    forest.has_tracks = true;
    grow_all(40, 6, -1);
    assert_answers_are_the_runtimes();
}

TEST(weights_that_are_all_positive_make_a_probability)
{
    plant(true);
    forest.transform = "NONE";
    grow_all(30, 4, 0);
    for (size_t i = 0; i < forest.weights; i++)
        forest.weight[i] /= 60;
    assert_answers_are_the_runtimes();
    forest.transform = "LOGISTIC";
    assert_answers_are_the_runtimes();
}

TEST(scores_that_are_not_transformed)
{
    plant(true);
    forest.transform = "NONE";
    grow_all(30, 4, -1);
    assert_answers_are_the_runtimes();
}

TEST(labels_are_texts)
{
    static const char *const labels[] = { "fine", "fraud" };

    plant(true);
    forest.labels = labels;
    grow_all(30, 4, -1);
    assert_answers_are_the_runtimes();
}

TEST(only_the_scores_are_wanted)
{
    plant(true);
    forest.label_output = NULL;
    grow_all(30, 4, -1);
    assert_answers_are_the_runtimes();
}

static void add_tail(float factor)
{
    static const int64_t dims[] = { 1 };

    forest.tail = PARTS(onnx_node(arena, "Identity", "", "s", "t", STR_EMPTY),
                        onnx_node(arena, "Mul", "", "t factor", "u", STR_EMPTY),
                        onnx_floats(arena, "factor", dims, 1, &factor),
                        onnx_node(arena, "Cast", "", "l", "m", onnx_attr_int(arena, "to", 7)));
    forest.score_output = "u";
    forest.label_output = "m";
}

TEST(what_converters_put_behind_the_trees)
{
    plant(true);
    grow_all(30, 4, -1);
    add_tail(1);
    assert_answers_are_the_runtimes();
}

/* --- what is left to the runtime ------------------------------------------ */

#define ASSERT_REFUSED(change) \
    do { \
        plant_one(true); \
        assert_non_null(read_it()); \
        change; \
        assert_null(read_it()); \
    } while (0)

TEST(forests_that_are_none)
{
    ASSERT_REFUSED(forest.less[0] = 0);  /* itself */
    ASSERT_REFUSED(forest.less[0] = 2);  /* twice */
    ASSERT_REFUSED(forest.other[0] = 3); /* nowhere */
    ASSERT_REFUSED(forest.other[0] = -1);
    ASSERT_REFUSED(forest.node[1] = 2); /* two of one name */
    ASSERT_REFUSED(forest.node[0] = INT64_MAX);
    ASSERT_REFUSED(forest.tree[0] = -1);         /* a tree of its own, without its children */
    ASSERT_REFUSED(add_leaf(add_node(0, 3), 1)); /* reached from nowhere */
    ASSERT_REFUSED(add_node(0, 3));
    ASSERT_REFUSED(forest.weights--);          /* a leaf without a weight */
    ASSERT_REFUSED(forest.weight_node[0] = 0); /* a branch with one */
    ASSERT_REFUSED(forest.weight_node[0] = 2); /* a leaf with two */
    ASSERT_REFUSED(forest.weight_tree[0] = 9);
    ASSERT_REFUSED(forest.nodes = 0);
    ASSERT_REFUSED(forest.feature[0] = -1);
    ASSERT_REFUSED(forest.feature[0] = 1 << 20);
    ASSERT_REFUSED(forest.limit[0] = NAN);
    ASSERT_REFUSED(forest.limit[0] = INFINITY);
}

TEST(forests_of_other_kinds)
{
    ASSERT_REFUSED(forest.mode[0] = "BRANCH_GT");
    ASSERT_REFUSED(forest.mode[0] = "BRANCH_EQ");
    ASSERT_REFUSED(forest.weight_class[1] = 1);
    ASSERT_REFUSED(forest.transform = "SOFTMAX");
    ASSERT_REFUSED(forest.transform = "PROBIT");
    ASSERT_REFUSED(forest.aggregate = "MAX");
    ASSERT_REFUSED(forest.base_count = 2);
    ASSERT_REFUSED(forest.more = onnx_attr_int(arena, "unheard_of", 1));
    ASSERT_REFUSED(forest.more = onnx_attr_int(arena, "nodes_treeids", 1)); /* twice */
    ASSERT_REFUSED(forest.has_tracks = true;
                   forest.more = onnx_attr_floats(arena, "nodes_hitrates", forest.limit, 3);
                   forest.aggregate = "AVERAGE");
    plant_one(false);
    forest.targets = 2;
    assert_null(read_it());
}

TEST(graphs_that_do_more)
{
    ASSERT_REFUSED(add_tail(2));
    ASSERT_REFUSED(forest.tail = onnx_node(arena, "Neg", "", "s", "n", STR_EMPTY);
                   forest.score_output = "n");
    ASSERT_REFUSED(forest.score_output = "nowhere");
    ASSERT_REFUSED(forest.tail = onnx_input(arena, "y", ONNX_FLOAT, NULL, 0));
    ASSERT_REFUSED(
        forest.tail = onnx_node(arena, "Normalizer", "ai.onnx.ml", "s", "n", STR_EMPTY);
        forest.score_output = "n");
    ASSERT_REFUSED(forest.label_output = NULL; forest.score_output = NULL);
}

/* Two names for one thing would go round in circles. */
TEST(a_graph_that_bites_its_tail)
{
    ASSERT_REFUSED(forest.tail = PARTS(onnx_node(arena, "Identity", "", "a", "b", STR_EMPTY),
                                       onnx_node(arena, "Identity", "", "b", "a", STR_EMPTY));
                   forest.score_output = "a");
}

TEST(trees_that_differ_do_not_agree)
{
    struct runtime_model *model;
    struct tree_node *nodes;
    struct trees *trees;

    plant(true);
    forest.has_tracks = true;
    grow_all(3, 3, -1);
    trees = read_it();
    model = load_it();
    assert_true(trees_agree(trees, model));
    nodes = (struct tree_node *)(uintptr_t)trees->nodes;
    nodes[0].value = nextafterf(nodes[0].value, 1);
    assert_false(trees_agree(trees, model));
    trees = read_it();
    nodes = (struct tree_node *)(uintptr_t)trees->nodes;
    nodes[0].nan_is_less ^= 1;
    assert_false(trees_agree(trees, model));
    trees = read_it();
    trees->base = 0x1p-12F;
    assert_false(trees_agree(trees, model));
    trees = read_it();
    trees->label_numbers[1]++;
    assert_false(trees_agree(trees, model));
    trees = read_it();
    trees->outputs[0] = TREES_SCORES;
    assert_false(trees_agree(trees, model));
    trees = read_it();
    trees->width = FEATURES + 1;
    assert_false(trees_agree(trees, model));
    runtime->driver->unload(model);
}

/* Where they differ the runtime answers, and nobody is told but the log. */
TEST(trees_that_differ_are_not_served)
{
    struct loading loading = { .features = STR("{}"), .runner_count = 1 };
    struct loaded loaded;

    plant(true);
    grow_all(3, 3, -1);
    loading.bytes = file();
    loading.trees = read_it();
    assert_ok(loaded_open(arena, runtime, &loading, &loaded, &err));
    assert_ptr_equal(loaded.trees, loading.trees);
    loaded_close(&loaded);
    forest.weight[0] += 1;
    loading.bytes = file();
    assert_ok(loaded_open(arena, runtime, &loading, &loaded, &err));
    assert_null(loaded.trees);
    loaded_close(&loaded);
}

static int set_up(void **state_at)
{
    (void)state_at;
    arena = arena_new();
    runtime_onnx.prepare();
    return runtime_onnx.open(&runtime, &err) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state_at)
{
    (void)state_at;
    runtime_onnx.close(runtime);
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CASE(one_tree_decides),
        TEST_CASE(one_tree_estimates),
        TEST_CASE(many_trees_decide),
        TEST_CASE(many_trees_estimate),
        TEST_CASE(deep_trees_end_at_different_depths),
        TEST_CASE(nan_goes_where_each_node_says),
        TEST_CASE(weights_that_are_all_positive_make_a_probability),
        TEST_CASE(scores_that_are_not_transformed),
        TEST_CASE(labels_are_texts),
        TEST_CASE(only_the_scores_are_wanted),
        TEST_CASE(what_converters_put_behind_the_trees),
        TEST_CASE(forests_that_are_none),
        TEST_CASE(forests_of_other_kinds),
        TEST_CASE(graphs_that_do_more),
        TEST_CASE(a_graph_that_bites_its_tail),
        TEST_CASE(trees_that_differ_do_not_agree),
        TEST_CASE(trees_that_differ_are_not_served),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
