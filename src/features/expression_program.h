/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside the expressions: the tree that the parser makes, the program that
 * the compiler makes of it, and the kernels that do the work, column by
 * column. Callers include expression.h.
 */
#include "features/expression.h"

#define EXPRESSION_NODES_MAX 1000
#define EXPRESSION_DEPTH_MAX 100
#define EXPRESSION_ARGS_MAX 4

enum expression_node_kind { NODE_LITERAL, NODE_NULL, NODE_NAME, NODE_CALL };

struct expression_node {
    enum expression_node_kind kind;
    size_t at;            /* where in the text, for messages */
    struct value literal; /* int64, float64, string or bool */
    struct str name;      /* of a name; of a call the function or the operator: "hour", "+" */
    bool is_operator;
    struct expression_node *args;
    size_t arg_count;
};

/* *at says where it failed. */
MUST_USE enum status expression_parse(struct arena *arena, struct str text,
                                      struct expression_node *out, size_t *at,
                                      struct error *err);

/* What a row of a register is. An overflow only matters if it reaches the result. */
enum row_state { ROW_VALUE = 0, ROW_NULL = 1, ROW_OVERFLOW = 2 };

/* A block of rows of one type. states is NULL when all rows have values. */
struct expression_vector {
    uint8_t *states;
    union {
        uint8_t *booleans;
        int64_t *integers;
        double *numbers;
        struct str *texts;
    };
};

/*
 * out->states is set when any argument has states or the function may make nulls; for a strict
 * function it holds the arguments' states already, otherwise it is the kernel's to write.
 */
typedef void (*expression_kernel)(struct arena *arena, size_t n,
                                  const struct expression_vector *args,
                                  struct expression_vector *out);

/* One overload. Types by letter: b(ool) i(nt64) f(loat64) s(tring) y (bytes) t(imestamp). */
struct expression_function {
    const char *name;
    const char *args;
    char result;
    expression_kernel kernel;
    bool makes_states; /* may make a null or an overflow of values */
    bool is_lazy;      /* not strict: looks at the arguments' states itself */
};

/* A name's overloads stand together; those without a conversion are tried first. */
extern const struct expression_function expression_operators[];
extern const size_t expression_operator_count;
extern const struct expression_function expression_math[];
extern const size_t expression_math_count;
extern const struct expression_function expression_texts[];
extern const size_t expression_text_count;

struct expression_op {
    const struct expression_function *function;
    uint16_t args[EXPRESSION_ARGS_MAX]; /* registers */
    uint16_t out;
    uint8_t arg_count;
};

enum register_kind { REGISTER_INPUT, REGISTER_CONSTANT, REGISTER_OP };

struct expression_register {
    enum register_kind kind;
    char letter;  /* its type */
    size_t index; /* into inputs or constants */
};

struct expression {
    struct str text;
    enum value_type type;
    size_t *inputs; /* indexes into the names given at compilation */
    size_t input_count, input_capacity;
    struct value *constants;
    size_t constant_count, constant_capacity;
    struct expression_op *ops; /* in the order of their running */
    size_t op_count, op_capacity;
    struct expression_register *registers;
    size_t register_count, register_capacity;
    uint16_t result; /* register */
};

char expression_letter(enum value_type type);
enum value_type expression_letter_type(char letter);
