/* SPDX-License-Identifier: Apache-2.0 */
/* From a tree to a program: names become inputs, types choose the overloads. */
#include "features/expression_program.h"

#include "base/clock.h"

struct compiler {
    struct arena *arena;
    const struct expression_name *names;
    size_t name_count;
    struct expression *program;
    size_t failed_at;
};

/* The value of a subtree: a register, or a literal whose type the context may still choose. */
struct operand {
    const struct expression_node *node;
    char letter; /* 'n': the word null */
    uint16_t reg;
};

static const char letters[VALUE_TYPE_COUNT + 1] = {
    [TYPE_BOOL] = 'b',    [TYPE_INT32] = 'i',  [TYPE_INT64] = 'i', [TYPE_FLOAT32] = 'f',
    [TYPE_FLOAT64] = 'f', [TYPE_STRING] = 's', [TYPE_BYTES] = 'y', [TYPE_TIMESTAMP] = 't',
};

char expression_letter(enum value_type type)
{
    return letters[type];
}

enum value_type expression_letter_type(char letter)
{
    switch (letter) {
    case 'b':
        return TYPE_BOOL;
    case 'i':
        return TYPE_INT64;
    case 'f':
        return TYPE_FLOAT64;
    case 's':
        return TYPE_STRING;
    case 'y':
        return TYPE_BYTES;
    default:
        return TYPE_TIMESTAMP;
    }
}

static const char *letter_name(char letter)
{
    return letter == 'n' ? "null" : value_type_name(expression_letter_type(letter));
}

static const struct function_table {
    const struct expression_function *functions;
    const size_t *count;
} tables[] = {
    { expression_operators, &expression_operator_count },
    { expression_math, &expression_math_count },
    { expression_texts, &expression_text_count },
};

static bool is_called(const struct expression_function *function, struct str name)
{
    return str_equal(str_from(function->name), name);
}

static uint16_t add_register(struct compiler *compiler, enum register_kind kind, char letter,
                             size_t index)
{
    struct expression *program = compiler->program;

    ARENA_PUSH(compiler->arena, program->registers, program->register_count,
               program->register_capacity) = (struct expression_register){ kind, letter,
                                                                           index };
    return (uint16_t)(program->register_count - 1);
}

static uint16_t add_constant(struct compiler *compiler, struct value value)
{
    struct expression *program = compiler->program;

    if (value.type == TYPE_STRING && !value.is_null)
        value.text = arena_str(compiler->arena, value.text);
    ARENA_PUSH(compiler->arena, program->constants, program->constant_count,
               program->constant_capacity) = value;
    return add_register(compiler, REGISTER_CONSTANT, expression_letter(value.type),
                        program->constant_count - 1);
}

static enum status add_op(struct compiler *compiler, const struct expression_node *node,
                          const struct expression_function *function, const uint16_t *args,
                          uint16_t *out, struct error *err)
{
    struct expression *program = compiler->program;
    struct expression_op op = { .function = function,
                                .arg_count = (uint8_t)strlen(function->args) };

    /* 'x in (…)' repeats its x, so a short text can ask for more than it seems. */
    if (program->op_count == EXPRESSION_NODES_MAX) {
        compiler->failed_at = node->at;
        return error_set(err, STATUS_INVALID, "this expression is too long");
    }
    memcpy(op.args, args, op.arg_count * sizeof(*args));
    op.out = add_register(compiler, REGISTER_OP, function->result, program->op_count);
    ARENA_PUSH(compiler->arena, program->ops, program->op_count, program->op_capacity) = op;
    *out = op.out;
    return STATUS_OK;
}

static struct str nearest_name(const struct compiler *compiler, struct str wanted)
{
    struct str *names = ARENA_ARRAY(compiler->arena, struct str, compiler->name_count);

    for (size_t i = 0; i < compiler->name_count; i++)
        names[i] = compiler->names[i].name;
    return str_nearest(wanted, names, compiler->name_count);
}

static enum status unknown_name(struct compiler *compiler, const struct expression_node *node,
                                struct error *err)
{
    struct str shown = str_slice(node->name, 0, 80);
    struct str near = nearest_name(compiler, node->name);

    compiler->failed_at = node->at;
    if (near.len > 0)
        return error_set(err, STATUS_INVALID,
                         "unknown name '" STR_FMT "'; did you mean '" STR_FMT "'?",
                         STR_ARG(shown), STR_ARG(near));
    return error_set(err, STATUS_INVALID, "unknown name '" STR_FMT "'", STR_ARG(shown));
}

static enum status compile_name(struct compiler *compiler, const struct expression_node *node,
                                struct operand *out, struct error *err)
{
    struct expression *program = compiler->program;
    size_t index = 0;

    while (index < compiler->name_count && !str_equal(compiler->names[index].name, node->name))
        index++;
    if (index == compiler->name_count)
        return unknown_name(compiler, node, err);
    out->letter = expression_letter(compiler->names[index].type);
    for (size_t i = 0; i < program->register_count; i++) {
        const struct expression_register *reg = &program->registers[i];

        if (reg->kind == REGISTER_INPUT && program->inputs[reg->index] == index) {
            out->reg = (uint16_t)i;
            return STATUS_OK;
        }
    }
    ARENA_PUSH(compiler->arena, program->inputs, program->input_count,
               program->input_capacity) = index;
    out->reg = add_register(compiler, REGISTER_INPUT, out->letter, program->input_count - 1);
    return STATUS_OK;
}

#define IMPOSSIBLE 100

/* 0: as it is, 1: by a conversion that loses nothing worth mentioning. */
static int conversion_cost(const struct operand *operand, char wanted)
{
    bool is_literal = operand->node->kind == NODE_LITERAL;

    if (operand->letter == wanted)
        return 0;
    if (operand->letter == 'n' || (operand->letter == 'i' && wanted == 'f') ||
        (operand->letter == 's' && wanted == 't' && is_literal))
        return 1;
    return IMPOSSIBLE;
}

static enum status time_literal(struct compiler *compiler, const struct expression_node *node,
                                uint16_t *reg, struct error *err)
{
    struct value value = { .type = TYPE_TIMESTAMP };

    if (!time_parse_us(node->literal.text, &value.integer)) {
        compiler->failed_at = node->at;
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' is no time; write it as '2018-08-08T10:00:00Z'",
                         STR_ARG(str_slice(node->literal.text, 0, 80)));
    }
    *reg = add_constant(compiler, value);
    return STATUS_OK;
}

static const struct expression_function *function_of(const char *name, const char *args)
{
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].count; i++) {
            const struct expression_function *function = &tables[t].functions[i];

            if (strcmp(function->name, name) == 0 && strcmp(function->args, args) == 0)
                return function;
        }
    }
    return NULL;
}

static enum status convert(struct compiler *compiler, const struct operand *operand,
                           char wanted, uint16_t *reg, struct error *err)
{
    const struct expression_node *node = operand->node;

    *reg = operand->reg;
    if (operand->letter == wanted)
        return STATUS_OK;
    if (operand->letter == 'n') {
        *reg = add_constant(compiler, value_null(expression_letter_type(wanted)));
        return STATUS_OK;
    }
    if (wanted == 't')
        return time_literal(compiler, node, reg, err);
    if (node->kind == NODE_LITERAL) {
        struct value value = { .type = TYPE_FLOAT64, .number = (double)node->literal.integer };

        *reg = add_constant(compiler, value);
        return STATUS_OK;
    }
    return add_op(compiler, node, function_of("float", "i"), &operand->reg, reg, err);
}

/* The cheapest overload, the first of equal ones; NULL if none takes these types. */
static const struct expression_function *overload(struct str name,
                                                  const struct operand *operands, size_t count,
                                                  bool *known)
{
    const struct expression_function *best = NULL;
    int best_cost = IMPOSSIBLE;

    *known = false;
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].count; i++) {
            const struct expression_function *function = &tables[t].functions[i];
            int cost = 0;

            if (!is_called(function, name))
                continue;
            *known = true;
            if (strlen(function->args) != count)
                continue;
            for (size_t a = 0; a < count; a++)
                cost += conversion_cost(&operands[a], function->args[a]);
            if (cost < best_cost) {
                best = function;
                best_cost = cost;
            }
        }
    }
    return best;
}

static struct str nearest_function(struct compiler *compiler, struct str wanted)
{
    struct str *names = NULL;
    size_t count = 0, capacity = 0;

    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].count; i++) {
            struct str name = str_from(tables[t].functions[i].name);

            if (name.len > 0 && name.data[0] >= 'a' && name.data[0] <= 'z')
                ARENA_PUSH(compiler->arena, names, count, capacity) = name;
        }
    }
    return str_nearest(wanted, names, count);
}

static enum status unknown_function(struct compiler *compiler,
                                    const struct expression_node *node, struct error *err)
{
    struct str near = nearest_function(compiler, node->name);
    struct str shown = str_slice(node->name, 0, 80);

    if (near.len > 0)
        return error_set(err, STATUS_INVALID,
                         "unknown function '" STR_FMT "'; did you mean '" STR_FMT "'?",
                         STR_ARG(shown), STR_ARG(near));
    return error_set(err, STATUS_INVALID, "unknown function '" STR_FMT "'", STR_ARG(shown));
}

static struct str types_of(struct arena *arena, const struct operand *operands, size_t count,
                           const char *between)
{
    struct str text = STR_EMPTY;

    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, STR_FMT "%s%s", STR_ARG(text), i > 0 ? between : "",
                            letter_name(operands[i].letter));
    return text;
}

/* "(timestamp)", "(int64) or (float64)": what a function would have taken. */
static struct str signatures(struct arena *arena, struct str name)
{
    struct str text = STR_EMPTY;

    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].count; i++) {
            const struct expression_function *function = &tables[t].functions[i];
            struct operand operands[EXPRESSION_ARGS_MAX] = { 0 };
            size_t count = strlen(function->args);

            if (!is_called(function, name))
                continue;
            for (size_t a = 0; a < count; a++)
                operands[a].letter = function->args[a];
            text = arena_printf(arena, STR_FMT "%s(" STR_FMT ")", STR_ARG(text),
                                text.len > 0 ? " or " : "",
                                STR_ARG(types_of(arena, operands, count, ", ")));
        }
    }
    return text;
}

static enum status no_overload(struct compiler *compiler, const struct expression_node *node,
                               const struct operand *operands, struct error *err)
{
    struct arena *arena = compiler->arena;

    compiler->failed_at = node->at;
    if (node->is_operator)
        return error_set(err, STATUS_INVALID, "'" STR_FMT "' does not take " STR_FMT,
                         STR_ARG(node->name),
                         STR_ARG(types_of(arena, operands, node->arg_count, " and ")));
    return error_set(
        err, STATUS_INVALID, STR_FMT " does not take (" STR_FMT "); it takes " STR_FMT,
        STR_ARG(node->name), STR_ARG(types_of(arena, operands, node->arg_count, ", ")),
        STR_ARG(signatures(arena, node->name)));
}

static bool is_one_of(struct str name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (str_equal(name, str_from(*names)))
            return true;
    }
    return false;
}

/* min(a, b, c) is min(a, min(b, c)); so are max and coalesce. */
static struct expression_node fold_variadic(struct compiler *compiler,
                                            const struct expression_node *node)
{
    static const char *const variadic[] = { "min", "max", "coalesce", NULL };
    struct expression_node folded = *node;
    struct expression_node rest = *node;

    if (node->arg_count <= 2 || !is_one_of(node->name, variadic))
        return folded;
    rest.args = node->args + 1;
    rest.arg_count = node->arg_count - 1;
    folded.args = ARENA_ARRAY(compiler->arena, struct expression_node, 2);
    folded.args[0] = node->args[0];
    folded.args[1] = rest;
    folded.arg_count = 2;
    return folded;
}

/* "UTC", "+09:00", "-03:30" */
static bool parse_zone(struct arena *arena, struct str text, int64_t *offset_us)
{
    struct str probe;
    int64_t us;

    *offset_us = 0;
    if (str_equal(text, STR("UTC")))
        return true;
    if (text.len != 6 || (text.data[0] != '+' && text.data[0] != '-'))
        return false;
    /* The reader of times knows how offsets are written. */
    probe = arena_printf(arena, "1970-01-03T00:00:00" STR_FMT, STR_ARG(text));
    if (!time_parse_us(probe, &us))
        return false;
    *offset_us = 2 * US_PER_DAY - us;
    return true;
}

/* hour(t, '+09:00') is hour of t shifted by the zone. */
static enum status apply_zone(struct compiler *compiler, struct expression_node *node,
                              struct error *err)
{
    static const char *const parts[] = { "hour", "minute", "second", "weekday",
                                         "day",  "month",  "year",   NULL };
    const struct expression_node *zone;
    struct expression_node shift = { .kind = NODE_CALL, .name = STR_INIT("@shift") };
    int64_t offset_us;

    if (node->is_operator || node->arg_count != 2 || !is_one_of(node->name, parts))
        return STATUS_OK;
    zone = &node->args[1];
    if (zone->kind != NODE_LITERAL || zone->literal.type != TYPE_STRING ||
        !parse_zone(compiler->arena, zone->literal.text, &offset_us)) {
        compiler->failed_at = zone->at;
        return error_set(err, STATUS_INVALID, "a zone is 'UTC' or an offset like '+09:00'");
    }
    shift.at = node->at;
    shift.args = ARENA_ARRAY(compiler->arena, struct expression_node, 2);
    shift.arg_count = 2;
    shift.args[0] = node->args[0];
    shift.args[1] = (struct expression_node){ .kind = NODE_LITERAL,
                                              .at = zone->at,
                                              .literal = { .type = TYPE_INT64,
                                                           .integer = offset_us } };
    node->args = ARENA_ARRAY(compiler->arena, struct expression_node, 1);
    node->args[0] = shift;
    node->arg_count = 1;
    return STATUS_OK;
}

static enum status compile_node(struct compiler *compiler, const struct expression_node *node,
                                struct operand *out, struct error *err);

static enum status compile_call(struct compiler *compiler, const struct expression_node *node,
                                struct operand *out, struct error *err)
{
    struct expression_node call = fold_variadic(compiler, node);
    struct operand operands[EXPRESSION_ARGS_MAX] = { 0 };
    uint16_t args[EXPRESSION_ARGS_MAX];
    const struct expression_function *function;
    bool known;

    TRY(apply_zone(compiler, &call, err));
    compiler->failed_at = node->at;
    if (call.arg_count > EXPRESSION_ARGS_MAX)
        return error_set(err, STATUS_INVALID, STR_FMT " takes fewer arguments",
                         STR_ARG(call.name));
    for (size_t i = 0; i < call.arg_count; i++)
        TRY(compile_node(compiler, &call.args[i], &operands[i], err));
    function = overload(call.name, operands, call.arg_count, &known);
    compiler->failed_at = node->at;
    if (!known)
        return unknown_function(compiler, node, err);
    if (function == NULL)
        return no_overload(compiler, &call, operands, err);
    for (size_t i = 0; i < call.arg_count; i++)
        TRY(convert(compiler, &operands[i], function->args[i], &args[i], err));
    out->letter = function->result;
    return add_op(compiler, node, function, args, &out->reg, err);
}

static enum status compile_node(struct compiler *compiler, const struct expression_node *node,
                                struct operand *out, struct error *err)
{
    out->node = node;
    switch (node->kind) {
    case NODE_NULL:
        out->letter = 'n';
        return STATUS_OK;
    case NODE_LITERAL:
        out->letter = expression_letter(node->literal.type);
        out->reg = add_constant(compiler, node->literal);
        return STATUS_OK;
    case NODE_NAME:
        return compile_name(compiler, node, out, err);
    case NODE_CALL:
        break;
    }
    return compile_call(compiler, node, out, err);
}

static enum status compile_whole(struct compiler *compiler, struct str text, struct error *err)
{
    struct expression_node *root = ARENA_NEW(compiler->arena, struct expression_node);
    struct operand result = { 0 };

    TRY(expression_parse(compiler->arena, text, root, &compiler->failed_at, err));
    TRY(compile_node(compiler, root, &result, err));
    if (result.letter == 'n') {
        compiler->failed_at = 0;
        return error_set(err, STATUS_INVALID, "this is always null");
    }
    compiler->program->result = result.reg;
    compiler->program->type = expression_letter_type(result.letter);
    return STATUS_OK;
}

static struct expression_place place_of(struct str text, size_t at)
{
    struct expression_place place = { 1, 1 };

    for (size_t i = 0; i < at && i < text.len; i++) {
        place.column++;
        if (text.data[i] == '\n')
            place = (struct expression_place){ place.line + 1, 1 };
    }
    return place;
}

enum status expression_compile(struct arena *arena, struct str text,
                               const struct expression_name *names, size_t count,
                               const struct expression **out, struct expression_place *place,
                               struct error *err)
{
    struct compiler compiler = { .arena = arena, .names = names, .name_count = count };
    enum status status;

    compiler.program = ARENA_NEW(arena, struct expression);
    compiler.program->text = arena_str(arena, text);
    status = compile_whole(&compiler, compiler.program->text, err);
    if (status == STATUS_OK)
        *out = compiler.program;
    else if (place != NULL)
        *place = place_of(text, compiler.failed_at);
    return status;
}

enum value_type expression_type(const struct expression *expression)
{
    return expression->type;
}

struct str expression_text(const struct expression *expression)
{
    return expression->text;
}

const size_t *expression_inputs(const struct expression *expression, size_t *count)
{
    *count = expression->input_count;
    return expression->inputs;
}
