/* SPDX-License-Identifier: Apache-2.0 */
#include "features/expression.h"
#include "features/offline/training_set_engine.h"

/* Rows at a time: enough for tight loops, few enough to stay in the processor's cache. */
#define BATCH 4096

/* --- our columns as the expressions want them: wide ------------------------ */

static const bool *nulls_of(struct arena *arena, const struct column *column, size_t from,
                            size_t n)
{
    bool *nulls;

    if (column->valid == NULL || memchr(column->valid + from, 0, n) == NULL)
        return NULL;
    nulls = ARENA_ARRAY(arena, bool, n);
    for (size_t i = 0; i < n; i++)
        nulls[i] = column->valid[from + i] == 0;
    return nulls;
}

static struct expression_column widen(struct arena *arena, const struct column *column,
                                      size_t from, size_t n)
{
    struct expression_column wide = { .type = column->type,
                                      .nulls = nulls_of(arena, column, from, n) };

    switch (column->type) {
    case TYPE_BOOL: {
        bool *booleans = ARENA_ARRAY(arena, bool, n);

        for (size_t i = 0; i < n; i++)
            booleans[i] = column->booleans[from + i] != 0;
        wide.booleans = booleans;
        break;
    }
    case TYPE_INT32: {
        int64_t *integers = ARENA_ARRAY(arena, int64_t, n);

        for (size_t i = 0; i < n; i++)
            integers[i] = column->int32s[from + i];
        wide.integers = integers;
        break;
    }
    case TYPE_FLOAT32: {
        double *numbers = ARENA_ARRAY(arena, double, n);

        for (size_t i = 0; i < n; i++)
            numbers[i] = (double)column->float32s[from + i];
        wide.numbers = numbers;
        break;
    }
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        wide.integers = column->int64s + from;
        break;
    case TYPE_FLOAT64:
        wide.numbers = column->float64s + from;
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        wide.texts = column->texts + from;
        break;
    }
    return wide;
}

static struct value value_at(const struct expression_column *column, size_t i,
                             enum value_type type)
{
    struct value value = { .type = type };

    value.is_null = column->nulls != NULL && column->nulls[i];
    if (value.is_null)
        return value;
    switch (column->type) {
    case TYPE_BOOL:
        value.boolean = column->booleans[i];
        break;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        value.integer = column->integers[i];
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        value.number = column->numbers[i];
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        value.text = column->texts[i];
        break;
    }
    return value;
}

/* --- evaluation ----------------------------------------------------------- */

struct evaluation {
    struct engine *engine;
    const struct spec_expression *spec;
    const struct expression *program;
    const size_t *used; /* which of spec->inputs the program wants, in its order */
    size_t used_count;
};

static const struct column *input_column(const struct evaluation *evaluation, size_t index)
{
    const struct spec_input *input = &evaluation->spec->inputs[index];

    return input->is_request ? &evaluation->engine->rows.request[input->index]
                             : &evaluation->engine->slots[input->index];
}

static enum status evaluate_batch(const struct evaluation *evaluation, struct arena *arena,
                                  size_t from, size_t n, struct column *out, struct error *err)
{
    struct expression_column *inputs = ARENA_ARRAY(arena, struct expression_column,
                                                   evaluation->used_count);
    struct expression_column result;
    bool is_text = out->type == TYPE_STRING || out->type == TYPE_BYTES;

    for (size_t i = 0; i < evaluation->used_count; i++)
        inputs[i] = widen(arena, input_column(evaluation, evaluation->used[i]), from, n);
    if (expression_eval(evaluation->program, arena, inputs, n, &result, err) != STATUS_OK)
        return error_wrap(err, "in the %zu rows behind row %zu", n, from);
    for (size_t i = 0; i < n; i++) {
        struct value value = value_at(&result, i, out->type);

        if (is_text && !value.is_null)
            value.text = column_keep_text(out, value.text);
        column_set(out, from + i, value);
    }
    return STATUS_OK;
}

static enum status compile(struct evaluation *evaluation, struct error *err)
{
    const struct spec_expression *spec = evaluation->spec;
    struct arena *arena = evaluation->engine->arena;
    struct expression_name *names = ARENA_ARRAY(arena, struct expression_name,
                                                spec->input_count);

    for (size_t i = 0; i < spec->input_count; i++)
        names[i] = (struct expression_name){ spec->inputs[i].name, spec->inputs[i].type };
    TRY(expression_compile(arena, spec->text, names, spec->input_count, &evaluation->program,
                           NULL, err));
    evaluation->used = expression_inputs(evaluation->program, &evaluation->used_count);
    return STATUS_OK;
}

static enum status evaluate(struct evaluation *evaluation, struct column *out,
                            struct error *err)
{
    size_t rows = evaluation->engine->rows.count;
    struct arena *arena = arena_new();
    enum status status = compile(evaluation, err);

    for (size_t from = 0; status == STATUS_OK && from < rows; from += BATCH) {
        size_t n = rows - from < BATCH ? rows - from : BATCH;

        status = evaluate_batch(evaluation, arena, from, n, out, err);
        arena_reset(arena);
    }
    arena_free(arena);
    if (status != STATUS_OK)
        return error_wrap(err, "feature '" STR_FMT "'", STR_ARG(evaluation->spec->name));
    return STATUS_OK;
}

enum status engine_expressions(struct engine *engine, struct error *err)
{
    for (size_t i = 0; i < engine->spec->expression_count; i++) {
        struct evaluation evaluation = { .engine = engine,
                                         .spec = &engine->spec->expressions[i] };
        struct column *out = &engine->slots[evaluation.spec->slot];

        TRY(column_make(out, evaluation.spec->type, engine->rows.count, err));
        TRY(evaluate(&evaluation, out, err));
    }
    return STATUS_OK;
}
