/* SPDX-License-Identifier: Apache-2.0 */
/* Running a program: block by block, so that what it works on stays in the cache. */
#include "features/expression_program.h"

#define BLOCK_ROWS ((size_t)1024)
#define ALIGN_16(size) (((size) + 15) & ~(size_t)15)

struct slot {
    struct expression_vector vector;
    uint8_t *states; /* room for the vector's states, should it have any */
};

struct run {
    const struct expression *program;
    struct arena *arena;
    struct slot *slots; /* one for each register */
    size_t rows;        /* of a block */
};

static size_t size_of(char letter)
{
    return letter == 'b' ? 1 : letter == 's' || letter == 'y' ? sizeof(struct str) : 8;
}

/* Any member will do: it is the address that counts. */
static void *data_of(const struct expression_vector *vector)
{
    return vector->booleans;
}

static void fill_constant(struct expression_vector *vector, size_t rows, struct value value)
{
    for (size_t i = 0; i < rows; i++) {
        if (value.type == TYPE_BOOL)
            vector->booleans[i] = value.boolean;
        else if (value.type == TYPE_FLOAT64)
            vector->numbers[i] = value.number;
        else if (value.type == TYPE_STRING || value.type == TYPE_BYTES)
            vector->texts[i] = value.text;
        else
            vector->integers[i] = value.integer;
    }
}

static size_t scratch_size(const struct expression *program, size_t rows)
{
    size_t size = ALIGN_16(program->register_count * sizeof(struct slot));

    for (size_t i = 0; i < program->register_count; i++) {
        if (program->registers[i].kind != REGISTER_INPUT)
            size += ALIGN_16(size_of(program->registers[i].letter) * rows) + ALIGN_16(rows);
    }
    return size;
}

/* One piece of memory for everything, since for one row the allocations would cost most. */
static void run_init(struct run *run, size_t rows)
{
    const struct expression *program = run->program;
    char *next = arena_alloc(run->arena, scratch_size(program, rows));

    run->rows = rows;
    run->slots = (struct slot *)(void *)next;
    next += ALIGN_16(program->register_count * sizeof(struct slot));
    for (size_t i = 0; i < program->register_count; i++) {
        const struct expression_register *reg = &program->registers[i];
        struct slot *slot = &run->slots[i];

        if (reg->kind == REGISTER_INPUT)
            continue;
        slot->vector.booleans = (uint8_t *)next;
        next += ALIGN_16(size_of(reg->letter) * rows);
        slot->states = (uint8_t *)next;
        next += ALIGN_16(rows);
        if (reg->kind == REGISTER_CONSTANT) {
            struct value value = program->constants[reg->index];

            fill_constant(&slot->vector, rows, value);
            if (value.is_null)
                slot->vector.states = memset(slot->states, ROW_NULL, rows);
        }
    }
}

/* Kernels do not write to their arguments, so the inputs can be lent to them as they are. */
static void lend_inputs(struct run *run, const struct expression_column *inputs, size_t from)
{
    for (size_t i = 0; i < run->program->register_count; i++) {
        const struct expression_register *reg = &run->program->registers[i];
        const struct expression_column *column;
        struct expression_vector *vector = &run->slots[i].vector;

        if (reg->kind != REGISTER_INPUT)
            continue;
        column = &inputs[reg->index];
        vector->states = column->nulls == NULL ? NULL
                                               : (uint8_t *)(uintptr_t)(column->nulls + from);
        vector->booleans = (uint8_t *)(uintptr_t)column->booleans + from * size_of(reg->letter);
    }
}

/* NULL if every row has a value; else, for a strict function, the worst of the arguments'. */
static void set_states(struct slot *out, const struct expression_function *function,
                       const struct expression_vector *args, size_t arg_count, size_t n)
{
    bool any = false;

    out->vector.states = NULL;
    for (size_t i = 0; i < arg_count; i++) {
        const uint8_t *states = args[i].states;

        if (states == NULL)
            continue;
        if (!any) {
            memcpy(out->states, states, n);
        } else if (!function->is_lazy) {
            for (size_t row = 0; row < n; row++)
                out->states[row] = out->states[row] > states[row] ? out->states[row]
                                                                  : states[row];
        }
        any = true;
    }
    if (!any && !function->makes_states)
        return;
    if (!any)
        memset(out->states, ROW_VALUE, n);
    out->vector.states = out->states;
}

static void run_op(struct run *run, const struct expression_op *op, size_t n)
{
    struct expression_vector args[EXPRESSION_ARGS_MAX];
    struct slot *out = &run->slots[op->out];

    for (size_t i = 0; i < op->arg_count; i++)
        args[i] = run->slots[op->args[i]].vector;
    set_states(out, op->function, args, op->arg_count, n);
    op->function->kernel(run->arena, n, args, &out->vector);
}

static enum status too_large(const struct expression *program, size_t row, struct error *err)
{
    return error_set(err, STATUS_INVALID, "row %zu: '" STR_FMT "' goes beyond int64", row,
                     STR_ARG(str_slice(program->text, 0, 200)));
}

struct result {
    char *data;
    uint8_t *nulls;
    bool has_nulls;
};

static enum status take_result(const struct run *run, size_t from, size_t n,
                               struct result *result, struct error *err)
{
    const struct expression *program = run->program;
    const struct expression_vector *vector = &run->slots[program->result].vector;
    size_t size = size_of(program->registers[program->result].letter);

    memcpy(result->data + from * size, data_of(vector), n * size);
    if (vector->states == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < n; i++) {
        if (vector->states[i] == ROW_OVERFLOW)
            return too_large(program, from + i + 1, err);
        result->nulls[from + i] = vector->states[i];
        result->has_nulls |= vector->states[i] != ROW_VALUE;
    }
    return STATUS_OK;
}

enum status expression_eval(const struct expression *expression, struct arena *arena,
                            const struct expression_column *inputs, size_t n,
                            struct expression_column *out, struct error *err)
{
    struct run run = { .program = expression, .arena = arena };
    size_t size = size_of(expression->registers[expression->result].letter);
    struct result result = { .data = arena_array(arena, n, size),
                             .nulls = arena_alloc(arena, n) };

    run_init(&run, n < BLOCK_ROWS ? n : BLOCK_ROWS);
    for (size_t from = 0; from < n; from += run.rows) {
        size_t count = n - from < run.rows ? n - from : run.rows;

        lend_inputs(&run, inputs, from);
        for (size_t i = 0; i < expression->op_count; i++)
            run_op(&run, &expression->ops[i], count);
        TRY(take_result(&run, from, count, &result, err));
    }
    *out = (struct expression_column){ .type = expression->type };
    out->nulls = result.has_nulls ? (const bool *)result.nulls : NULL;
    out->booleans = (const bool *)result.data;
    return STATUS_OK;
}

static struct value first_row(const struct expression_column *column)
{
    struct value value = { .type = column->type };

    if (column->nulls != NULL && column->nulls[0])
        return value_null(column->type);
    switch (column->type) {
    case TYPE_BOOL:
        value.boolean = column->booleans[0];
        break;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
        value.integer = column->integers[0];
        break;
    case TYPE_FLOAT32:
    case TYPE_FLOAT64:
        value.number = column->numbers[0];
        break;
    case TYPE_STRING:
    case TYPE_BYTES:
        value.text = column->texts[0];
        break;
    }
    return value;
}

enum status expression_eval_row(const struct expression *expression, struct arena *arena,
                                const struct value *inputs, struct value *out,
                                struct error *err)
{
    size_t count = expression->input_count;
    struct expression_column *columns = ARENA_ARRAY(arena, struct expression_column, count);
    struct expression_column result;

    for (size_t i = 0; i < count; i++) {
        columns[i].type = inputs[i].type;
        columns[i].nulls = inputs[i].is_null ? &inputs[i].is_null : NULL;
        columns[i].booleans = &inputs[i].boolean; /* the union's address, whatever is in it */
    }
    TRY(expression_eval(expression, arena, columns, 1, &result, err));
    *out = first_row(&result);
    return STATUS_OK;
}

enum status expression_test(const struct expression *expression, struct arena *arena,
                            const struct value *inputs, bool *out, struct error *err)
{
    struct value value;

    TRY(expression_eval_row(expression, arena, inputs, &value, err));
    *out = !value.is_null && value.type == TYPE_BOOL && value.boolean;
    return STATUS_OK;
}
