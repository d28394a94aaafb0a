/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a prediction, each by itself on one thread: reading and writing
 * its JSON, two look-ups in LMDB, one run of the model on tensors made before,
 * and the same by our own walk of its trees.
 * Every pass takes another entity and another row: the same ones again would
 * lie in the caches and teach the processor the trees' branches.
 *
 *     bench/predict_parts model FILE            writes the model
 *     bench/predict_parts parts FILE BODIES     prints the parts as JSON; BODIES: a request a line
 */
#include "base/file.h"
#include "base/json.h"
#include "serving/runtime/runtime.h"
#include "serving/trees/trees.h"

#include "support/onnx_writer.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FEATURES 10
#define TREES 100
#define DEPTH 6
#define ENTITIES 100000
#define VALUE_BYTES 64 /* five features */
#define PASSES 50000
#define ROUNDS 5
#define BODIES_MAX ((size_t)64 << 20)
#define FILE_MAX ((size_t)64 << 20)

static uint64_t random_state = 88172645463325252;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void die(const char *what)
{
    fprintf(stderr, "predict_parts: %s\n", what);
    exit(1);
}

typedef void (*part_run)(void *context, size_t pass);

static double cpu_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* CPU of the fastest round: what disturbs only ever adds. */
static double time_part(part_run run, void *context)
{
    double best = 1e9;

    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = cpu_now_us(), us;

        for (size_t pass = 0; pass < PASSES; pass++)
            run(context, (size_t)round * PASSES + pass);
        us = (cpu_now_us() - start) / PASSES;
        best = us < best ? us : best;
    }
    return best;
}

/* --- JSON ----------------------------------------------------------------- */

struct json_part {
    struct arena *arena;
    struct str *bodies;
    size_t count;
    struct buffer reply;
    int64_t sum; /* so that nothing is left out as unused */
};

static void run_json(void *context, size_t pass)
{
    struct json_part *part = context;
    struct buffer *out = &part->reply;
    yyjson_val *body, *entities;
    struct error err;

    if (json_parse(part->arena, part->bodies[pass % part->count], &body, &err) != STATUS_OK)
        die(err.message);
    entities = json_find(body, STR("entities"));
    part->sum += yyjson_get_sint(json_find(entities, STR("customer_id")));
    part->sum += yyjson_get_sint(json_find(entities, STR("terminal_id")));
    buffer_clear(out);
    buffer_append(
        out, STR("{\"endpoint\":\"bench\",\"model\":\"bench\",\"version\":1,\"request_id\":"));
    json_write_str(out, STR("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    buffer_append(out, STR(",\"prediction\":{\"score\":"));
    json_write_float(out, (float)(next_random() >> 40) * 0x1p-24F);
    buffer_append(out, STR(",\"label\":1,\"probabilities\":["));
    json_write_float(out, (float)(next_random() >> 40) * 0x1p-24F);
    buffer_append_byte(out, ',');
    json_write_float(out, (float)(next_random() >> 40) * 0x1p-24F);
    buffer_append(out, STR("]},\"decision\":\"pass\",\"timing_us\":{"));
    for (unsigned i = 0; i < 5; i++) {
        buffer_append(out, STR("\"features\":"));
        json_write_int64(out, (int64_t)(pass % 100));
        buffer_append(out, STR(".5,"));
    }
    arena_reset(part->arena);
}

static struct json_part json_part_of(struct arena *arena, const char *path)
{
    struct json_part part = { .arena = arena_new() };
    struct str text, line;
    size_t capacity = 0;
    struct error err;

    if (file_read(arena, path, BODIES_MAX, &text, &err) != STATUS_OK)
        die(err.message);
    while (str_split(&text, '\n', &line))
        if (line.len > 0)
            ARENA_PUSH(arena, part.bodies, part.count, capacity) = line;
    if (part.count == 0)
        die("no bodies");
    return part;
}

/* --- LMDB ----------------------------------------------------------------- */

struct lmdb_part {
    MDB_env *env;
    MDB_txn *reader;
    MDB_dbi rows;
    uint64_t sum;
};

static void check(int rc)
{
    if (rc != 0)
        die(mdb_strerror(rc));
}

static void look_up(struct lmdb_part *part, unsigned kind)
{
    uint64_t key[2] = { kind, next_random() % ENTITIES };
    MDB_val name = { sizeof(key), key }, value;

    check(mdb_get(part->reader, part->rows, &name, &value));
    part->sum += *(const unsigned char *)value.mv_data;
}

static void run_lmdb(void *context, size_t pass)
{
    struct lmdb_part *part = context;

    (void)pass;
    check(mdb_txn_renew(part->reader));
    look_up(part, 0);
    look_up(part, 1);
    mdb_txn_reset(part->reader);
}

static void fill(struct lmdb_part *part)
{
    unsigned char bytes[VALUE_BYTES];
    MDB_txn *txn;

    check(mdb_txn_begin(part->env, NULL, 0, &txn));
    check(mdb_dbi_open(txn, NULL, MDB_CREATE, &part->rows));
    for (uint64_t kind = 0; kind < 2; kind++) {
        for (uint64_t i = 0; i < ENTITIES; i++) {
            uint64_t key[2] = { kind, i };
            MDB_val name = { sizeof(key), key }, value = { sizeof(bytes), bytes };

            memset(bytes, (int)(i & 0xFF), sizeof(bytes));
            check(mdb_put(txn, part->rows, &name, &value, 0));
        }
    }
    check(mdb_txn_commit(txn));
}

static struct lmdb_part lmdb_part_of(const char *path)
{
    struct lmdb_part part = { 0 };

    check(mdb_env_create(&part.env));
    check(mdb_env_set_mapsize(part.env, (size_t)1 << 30));
    check(mdb_env_open(part.env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NORDAHEAD | MDB_NOSYNC,
                       0600));
    fill(&part);
    check(mdb_txn_begin(part.env, NULL, MDB_RDONLY, &part.reader));
    mdb_txn_reset(part.reader);
    return part;
}

/* --- ONNX Runtime --------------------------------------------------------- */

struct run_part {
    struct runtime_model *model;
    struct arena *arena;
};

static void run_model(void *context, size_t pass)
{
    struct run_part *part = context;
    struct runtime_model *model = part->model;
    struct tensor outputs[2];
    struct error err;

    (void)pass;
    for (size_t i = 0; i < FEATURES; i++)
        model->runners[0]->inputs[0].floats[i] = (float)(next_random() >> 40) * 0x1p-23F - 1;
    if (model->runtime->driver->run_bound(model, model->runners[0], part->arena, outputs,
                                          &err) != STATUS_OK)
        die(err.message);
    arena_reset(part->arena);
}

static struct run_part run_part_of(struct arena *arena, const char *path)
{
    struct run_part part = { .arena = arena_new() };
    struct tensor_spec row;
    struct runtime *runtime;
    struct str bytes;
    struct error err;

    runtime_onnx.prepare();
    if (file_read(arena, path, FILE_MAX, &bytes, &err) != STATUS_OK ||
        runtime_onnx.open(&runtime, &err) != STATUS_OK ||
        runtime_onnx.load(runtime, bytes, 1, false, &part.model, &err) != STATUS_OK)
        die(err.message);
    row = part.model->inputs[0];
    row.dims[0] = 1;
    if (runtime_onnx.bind(part.model, part.model->runners[0], &row, &err) != STATUS_OK)
        die(err.message);
    return part;
}

/* --- our own walk --------------------------------------------------------- */

struct walk_part {
    const struct trees *trees;
    struct arena *arena;
    const struct runtime_model *model;
};

static void walk_trees(void *context, size_t pass)
{
    struct walk_part *part = context;
    float row[FEATURES], sum;
    struct tensor outputs[2];

    (void)pass;
    for (size_t i = 0; i < FEATURES; i++)
        row[i] = (float)(next_random() >> 40) * 0x1p-23F - 1;
    trees_sum(part->trees, row, 1, FEATURES, &sum);
    trees_answer(part->trees, part->arena, &sum, 1, part->model->outputs, outputs);
    arena_reset(part->arena);
}

static struct walk_part walk_part_of(struct arena *arena, const char *path,
                                     struct runtime_model *model)
{
    struct walk_part part = { .arena = arena_new(), .model = model };
    struct str bytes;
    struct error err;

    if (file_read(arena, path, FILE_MAX, &bytes, &err) != STATUS_OK)
        die(err.message);
    part.trees = trees_read(arena, bytes);
    if (part.trees == NULL || !trees_agree(part.trees, model))
        die("the model's trees are not walked as ONNX Runtime runs them");
    return part;
}

/* --- main ----------------------------------------------------------------- */

static int write_model(struct arena *arena, const char *path)
{
    struct str names = STR("[");
    struct error err;

    for (unsigned i = 0; i < FEATURES; i++)
        names = arena_printf(arena, STR_FMT "%s\"%c%u\"", STR_ARG(names), i == 0 ? "" : ",",
                             i < FEATURES / 2 ? 'c' : 't', i % (FEATURES / 2));
    names = arena_printf(arena, STR_FMT "]", STR_ARG(names));
    if (file_write(path, onnx_trees(arena, FEATURES, TREES, DEPTH, names.data), &err) !=
        STATUS_OK)
        die(err.message);
    return 0;
}

static int measure(struct arena *arena, const char *model, const char *bodies)
{
    const char *file = arena_printf(arena, "%s.lmdb", bodies).data;
    struct json_part json = json_part_of(arena, bodies);
    struct lmdb_part lmdb = lmdb_part_of(file);
    struct run_part run = run_part_of(arena, model);
    double json_us = time_part(run_json, &json);
    double lmdb_us = time_part(run_lmdb, &lmdb);
    double run_us = time_part(run_model, &run);
    struct walk_part walk = walk_part_of(arena, model, run.model);
    double walk_us = time_part(walk_trees, &walk);

    remove(file);
    if (json.sum + (int64_t)lmdb.sum == 0)
        die("nothing was read");
    printf("{\"json_us\":%.3f,\"lmdb_us\":%.3f,\"run_us\":%.3f,\"walk_us\":%.3f}\n", json_us,
           lmdb_us, run_us, walk_us);
    return 0;
}

int main(int argc, char **argv)
{
    struct arena *arena = arena_new();

    if (argc == 3 && strcmp(argv[1], "model") == 0)
        return write_model(arena, argv[2]);
    if (argc == 4 && strcmp(argv[1], "parts") == 0)
        return measure(arena, argv[2], argv[3]);
    fprintf(stderr, "usage: predict_parts model FILE | parts FILE BODIES\n");
    return 2;
}
