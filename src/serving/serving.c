/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/serving.h"

#include "base/grace.h"
#include "serving/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBE_MEMORY_DEFAULT ((size_t)2 << 30)
#define PROBE_TIMEOUT_DEFAULT 30000

/* What can be found now. Never changed, only replaced. */
struct catalogue {
    size_t count;
    struct entry {
        struct model *model; /* a reference */
        bool is_current;
    } entries[]; /* by name, then version */
};

struct serving {
    struct serving_config config;
    struct keeper *keeper;
    _Atomic(struct catalogue *) catalogue;
    pthread_mutex_t change; /* held by who replaces the catalogue, or opens the runtime */
    struct runtime *runtime;
    atomic_size_t charged_bytes; /* that loaded models take */
    serving_readiness readiness; /* or NULL */
    void *readiness_context;
};

/* --- memory --------------------------------------------------------------- */

static size_t machine_memory(void)
{
    size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE), group;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");

    if (file == NULL)
        return bytes;
    if (fscanf(file, "%zu", &group) == 1 && group < bytes)
        bytes = group;
    fclose(file);
    return bytes;
}

enum status serving_charge(struct serving *serving, size_t bytes, struct error *err)
{
    size_t before = atomic_fetch_add(&serving->charged_bytes, bytes),
           most = serving->config.memory_bytes;

    if (before + bytes <= most)
        return STATUS_OK;
    atomic_fetch_sub(&serving->charged_bytes, bytes);
    return error_set(err, STATUS_LIMIT,
                     "it takes %zu MiB of memory; the models that are loaded take %zu of the"
                     " %zu MiB that they may take together, by default three quarters of the"
                     " machine's. Constants that are computed when a model is loaded can be far"
                     " larger than its file",
                     bytes >> 20, before >> 20, most >> 20);
}

void serving_discharge(struct serving *serving, size_t bytes)
{
    atomic_fetch_sub(&serving->charged_bytes, bytes);
}

/* --- open and close ------------------------------------------------------- */

static struct catalogue *catalogue_new(size_t count)
{
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue) +
                                                count * sizeof(catalogue->entries[0]));

    if (catalogue == NULL)
        abort();
    catalogue->count = count;
    return catalogue;
}

enum status serving_open(const struct serving_config *config, struct serving **out,
                         struct error *err)
{
    struct serving *serving;

    TRY(loaded_check_environment(err));
    serving = calloc(1, sizeof(*serving));
    if (serving == NULL)
        return error_set(err, STATUS_LIMIT, "out of memory");
    runtime_onnx.prepare();
    serving->config = *config;
    if (serving->config.threads == 0)
        serving->config.threads = 1;
    if (serving->config.probe_memory_bytes == 0)
        serving->config.probe_memory_bytes = PROBE_MEMORY_DEFAULT;
    if (serving->config.probe_timeout_ms == 0)
        serving->config.probe_timeout_ms = PROBE_TIMEOUT_DEFAULT;
    if (serving->config.memory_bytes == 0)
        serving->config.memory_bytes = machine_memory() / 4 * 3;
    if (keeper_start(&serving->keeper, err) != STATUS_OK) {
        free(serving);
        return err->status;
    }
    pthread_mutex_init(&serving->change, NULL);
    atomic_init(&serving->catalogue, catalogue_new(0));
    *out = serving;
    return STATUS_OK;
}

void serving_close(struct serving **at)
{
    struct serving *serving = *at;
    struct catalogue *catalogue;

    if (serving == NULL)
        return;
    catalogue = atomic_load(&serving->catalogue);
    for (size_t i = 0; i < catalogue->count; i++)
        model_unref(&catalogue->entries[i].model);
    free(catalogue);
    keeper_stop(&serving->keeper);
    if (serving->runtime != NULL)
        serving->runtime->driver->close(serving->runtime);
    pthread_mutex_destroy(&serving->change);
    free(serving);
    *at = NULL;
}

void serving_set_readiness(struct serving *serving, serving_readiness callback, void *context)
{
    serving->readiness = callback;
    serving->readiness_context = context;
}

bool serving_is_ready(struct serving *serving, struct error *why)
{
    return serving->readiness == NULL || serving->readiness(serving->readiness_context, why);
}

struct keeper *serving_keeper(struct serving *serving)
{
    return serving->keeper;
}

const struct serving_config *serving_config(const struct serving *serving)
{
    return &serving->config;
}

enum status serving_runtime(struct serving *serving, struct runtime **out, struct error *err)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&serving->change);
    if (serving->runtime == NULL)
        status = runtime_onnx.open(&serving->runtime, err);
    *out = serving->runtime;
    pthread_mutex_unlock(&serving->change);
    return status;
}

/* --- the catalogue -------------------------------------------------------- */

static bool is_called(const struct model *model, struct str name, int64_t version)
{
    return model->version == version && str_equal(model->name, name);
}

static int compare_entries(const void *a, const void *b)
{
    const struct model *left = ((const struct entry *)a)->model;
    const struct model *right = ((const struct entry *)b)->model;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order
                      : (left->version > right->version) - (left->version < right->version);
}

/* What was is given back when nobody can be reading it any more. */
static void replace(struct serving *serving, struct catalogue *next, struct model *dropped)
{
    struct catalogue *before;

    qsort(next->entries, next->count, sizeof(next->entries[0]), compare_entries);
    before = atomic_exchange(&serving->catalogue, next);
    grace_wait();
    free(before);
    model_unref(&dropped);
}

void serving_publish(struct serving *serving, struct model *model)
{
    struct catalogue *before, *next;
    struct model *dropped = NULL;

    pthread_mutex_lock(&serving->change);
    before = atomic_load(&serving->catalogue);
    next = catalogue_new(before->count + 1);
    next->count = 0;
    for (size_t i = 0; i < before->count; i++) {
        struct entry entry = before->entries[i];

        if (is_called(entry.model, model->name, model->version)) {
            dropped = entry.model;
            continue;
        }
        entry.is_current = entry.is_current && !str_equal(entry.model->name, model->name);
        next->entries[next->count++] = entry;
    }
    next->entries[next->count++] = (struct entry){ model, true };
    replace(serving, next, dropped);
    pthread_mutex_unlock(&serving->change);
}

/* Where the current version has gone, the newest that is left takes its place. */
static void choose_current(struct catalogue *catalogue, struct str name)
{
    struct entry *newest = NULL;

    for (size_t i = 0; i < catalogue->count; i++) {
        struct entry *entry = &catalogue->entries[i];

        if (!str_equal(entry->model->name, name))
            continue;
        if (entry->is_current)
            return;
        if (newest == NULL || entry->model->version > newest->model->version)
            newest = entry;
    }
    if (newest != NULL)
        newest->is_current = true;
}

void serving_withdraw(struct serving *serving, struct str name, int64_t version)
{
    struct catalogue *before, *next;
    struct model *dropped = NULL;

    pthread_mutex_lock(&serving->change);
    before = atomic_load(&serving->catalogue);
    next = catalogue_new(before->count);
    next->count = 0;
    for (size_t i = 0; i < before->count; i++) {
        if (is_called(before->entries[i].model, name, version))
            dropped = before->entries[i].model;
        else
            next->entries[next->count++] = before->entries[i];
    }
    if (dropped != NULL)
        choose_current(next, name);
    replace(serving, next, dropped);
    pthread_mutex_unlock(&serving->change);
}

static struct model *find(const struct catalogue *catalogue, struct str name, int64_t version)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        struct model *model = catalogue->entries[i].model;

        if (version == 0 ? catalogue->entries[i].is_current && str_equal(model->name, name)
                         : is_called(model, name, version))
            return model_ref(model);
    }
    return NULL;
}

static enum status unknown(struct serving *serving, struct str name, int64_t version,
                           struct error *err)
{
    struct arena *arena = arena_new();
    struct model_entry *entries;
    struct str *names, near;
    size_t count;

    serving_list(serving, arena, &entries, &count);
    names = ARENA_ARRAY(arena, struct str, count);
    for (size_t i = 0; i < count; i++)
        names[i] = entries[i].name;
    near = str_nearest(name, names, count);
    name = str_slice(name, 0, 80);
    if (near.len > 0 && str_equal(near, name))
        error_set(err, STATUS_NOT_FOUND, "version %lld of model '" STR_FMT "' is not loaded",
                  (long long)version, STR_ARG(name));
    else if (near.len > 0)
        error_set(err, STATUS_NOT_FOUND,
                  "model '" STR_FMT "' is not loaded; did you mean '" STR_FMT "'?",
                  STR_ARG(name), STR_ARG(near));
    else
        error_set(err, STATUS_NOT_FOUND, "model '" STR_FMT "' is not loaded", STR_ARG(name));
    arena_free(arena);
    return err->status;
}

enum status model_acquire(struct serving *serving, struct str name, int64_t version,
                          struct model **out, struct error *err)
{
    struct model *model;

    grace_enter();
    model = find(atomic_load(&serving->catalogue), name, version);
    grace_leave();
    if (model == NULL)
        return unknown(serving, name, version, err);
    *out = model;
    return STATUS_OK;
}

void serving_list(struct serving *serving, struct arena *arena, struct model_entry **out,
                  size_t *count)
{
    const struct catalogue *catalogue;

    grace_enter();
    catalogue = atomic_load(&serving->catalogue);
    *out = ARENA_ARRAY(arena, struct model_entry, catalogue->count);
    *count = catalogue->count;
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct model *model = catalogue->entries[i].model;

        (*out)[i] = (struct model_entry){ arena_str(arena, model->name), model->version,
                                          catalogue->entries[i].is_current };
    }
    grace_leave();
}
