/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For those who write a runtime: what executes a model. Callers include
 * serving.h. Today ONNX Runtime in this process (onnx.c).
 *
 * A loaded model has a fixed number of runners, made while it is loaded. A
 * runner belongs to one thread at a time; two runners of a model never wait
 * for each other.
 */
#include "base/arena.h"
#include "base/status.h"
#include "serving/tensor.h"

/* The driver's own structs begin with these. */
struct runtime {
    const struct runtime_driver *driver;
    const char *version; /* of the library that does the work */
};

struct runtime_runner {
    struct tensor *inputs; /* after bind: one row; write the elements, not the fields */
};

struct runtime_model {
    struct runtime *runtime;
    struct tensor_spec *inputs;
    struct tensor_spec *outputs;
    size_t input_count;
    size_t output_count;
    struct runtime_runner **runners;
    size_t runner_count;
};

struct runtime_driver {
    const char *name;
    /* Once, while the process has one thread. */
    void (*prepare)(void);
    /* UNAVAILABLE if what it needs is not installed. On failure nothing is left open. */
    enum status (*open)(struct runtime **out, struct error *err);
    void (*close)(struct runtime *runtime); /* its models are unloaded */
    /* The bytes need not outlive the call. Runners that share hold the model's memory once. */
    enum status (*load)(struct runtime *runtime, struct str bytes, size_t runner_count,
                        bool shares, struct runtime_model **out, struct error *err);
    void (*unload)(struct runtime_model *model);
    /*
     * Makes the tensors of one row, once: specs are the model's inputs without TENSOR_ANY. Ends
     * with a first run, on zeros and empty strings.
     */
    enum status (*bind)(struct runtime_model *model, struct runtime_runner *runner,
                        const struct tensor_spec *specs, struct error *err);
    /* Runs what was written into runner->inputs. Outputs are copied into the arena. */
    enum status (*run_bound)(struct runtime_model *model, struct runtime_runner *runner,
                             struct arena *arena, struct tensor *outputs, struct error *err);
    /* One tensor per input, in order, of any shape. Outputs as above. */
    enum status (*run)(struct runtime_model *model, struct runtime_runner *runner,
                       struct arena *arena, struct tensor *inputs, struct tensor *outputs,
                       struct error *err);
    /* From any thread: true ends the run there is and all later ones, until false. */
    void (*stop)(struct runtime_model *model, struct runtime_runner *runner, bool stop);
};

extern const struct runtime_driver runtime_onnx;
