/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/trees/trees.h"

#include "base/random.h"

#include <math.h>

#define ROWS 256
#define ALONE 16 /* of them are also run one by one */
/* Of each row's features so many times as it has any, one is moved to a limit of a tree. */
#define MOVES 2

static float any_number(uint64_t *random)
{
    static const float odd[] = { 0, -0.0F, 1, -1, NAN, NAN, INFINITY, -INFINITY };
    uint64_t drawn = random_next(random);

    if (drawn % 8 == 0)
        return odd[drawn / 8 % ARRAY_LEN(odd)];
    return (float)((double)(drawn >> 11) * 0x1p-51 - 2);
}

/* To where the trees decide, or next to it: there an answer that is nearly right shows. */
static void move_to_limit(const struct trees *trees, float *row, uint64_t *random)
{
    const struct tree_node *node = &trees->nodes[random_next(random) % trees->node_count];

    if (node->span == 0)
        return;
    switch (random_next(random) % 4) {
    case 0:
        row[node->feature] = nextafterf(node->value, -INFINITY);
        break;
    case 1:
        row[node->feature] = nextafterf(node->value, INFINITY);
        break;
    default:
        row[node->feature] = node->value;
    }
}

static void make_rows(const struct trees *trees, size_t stride, float *rows)
{
    uint64_t random = UINT64_C(0x9E3779B97F4A7C15);

    for (size_t i = 0; i < ROWS; i++) {
        float *row = rows + i * stride;

        for (size_t k = 0; k < stride; k++)
            row[k] = any_number(&random);
        for (size_t k = 0; k < MOVES * stride; k++)
            move_to_limit(trees, row, &random);
    }
}

/* To the bit, but that one NaN is as good as another. */
static bool is_same_float(float left, float right)
{
    if (isnan(left) || isnan(right))
        return isnan(left) && isnan(right);
    return left == right && signbit(left) == signbit(right);
}

static bool is_same_data(const struct tensor *left, const struct tensor *right)
{
    for (size_t i = 0; i < left->count; i++) {
        bool same = left->type == TENSOR_FLOAT32
                        ? is_same_float(left->floats[i], right->floats[i])
                    : left->type == TENSOR_INT64
                        ? left->int64s[i] == right->int64s[i]
                        : str_equal(left->strings[i], right->strings[i]);

        if (!same)
            return false;
    }
    return true;
}

static bool is_same(const struct tensor *left, const struct tensor *right)
{
    return left->type == right->type && left->rank == right->rank &&
           memcmp(left->dims, right->dims, left->rank * sizeof(*left->dims)) == 0 &&
           left->count == right->count && is_same_data(left, right);
}

static bool agree_on(const struct trees *trees, struct runtime_model *model,
                     struct arena *arena, float *rows, size_t count, size_t stride)
{
    struct tensor input = { .name = model->inputs[0].name,
                            .type = TENSOR_FLOAT32,
                            .rank = 2,
                            .dims = { (int64_t)count, (int64_t)stride },
                            .count = count * stride,
                            .floats = rows };
    struct tensor *theirs = ARENA_ARRAY(arena, struct tensor, model->output_count);
    struct tensor *ours = ARENA_ARRAY(arena, struct tensor, model->output_count);
    float *sums = ARENA_ARRAY(arena, float, count);
    struct error ignored;

    if (model->runtime->driver->run(model, model->runners[0], arena, &input, theirs,
                                    &ignored) != STATUS_OK)
        return false;
    trees_sum(trees, rows, count, stride, sums);
    trees_answer(trees, arena, sums, count, model->outputs, ours);
    for (size_t i = 0; i < model->output_count; i++)
        if (!is_same(&ours[i], &theirs[i]))
            return false;
    return true;
}

/* The columns of a row; 0: the trees want another input than this model has. */
static size_t stride_of(const struct trees *trees, const struct runtime_model *model)
{
    const struct tensor_spec *input = &model->inputs[0];
    int64_t columns;

    if (model->input_count != 1 || model->output_count != trees->output_count ||
        input->type != TENSOR_FLOAT32 || input->rank != 2 || input->dims[0] != TENSOR_ANY)
        return 0;
    columns = input->dims[1] == TENSOR_ANY ? (int64_t)trees->width : input->dims[1];
    return columns < (int64_t)trees->width ? 0 : (size_t)columns;
}

bool trees_agree(const struct trees *trees, struct runtime_model *model)
{
    size_t stride = stride_of(trees, model), numbers = ROWS * stride;
    struct arena *arena;
    float *rows;
    bool agree;

    if (stride == 0)
        return false;
    arena = arena_new();
    rows = ARENA_ARRAY(arena, float, numbers);
    make_rows(trees, stride, rows);
    agree = agree_on(trees, model, arena, rows, ROWS, stride);
    for (size_t i = 0; agree && i < ALONE; i++)
        agree = agree_on(trees, model, arena, rows + i * stride, 1, stride);
    arena_free(arena);
    return agree;
}
