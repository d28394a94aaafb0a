/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/script.h"

#include "base/clock.h"
#include "base/file.h"
#include "workflow/engine.h"
#include "workflow/runners/process.h"
#include "workflow/runners/sagemaker.h"
#include "workflow/runners/script_result.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LOG_MAX ((uint64_t)256 << 20)

/* "512MiB", "2GB", or bytes as a number. */
static enum status memory_parse(yyjson_val *value, uint64_t *out, struct error *err)
{
    static const struct {
        struct str unit;
        uint64_t bytes;
    } units[] = { { STR_INIT("KiB"), 1u << 10 },
                  { STR_INIT("MiB"), 1u << 20 },
                  { STR_INIT("GiB"), 1u << 30 },
                  { STR_INIT("MB"), 1000000 },
                  { STR_INIT("GB"), 1000000000 } };
    struct str text = json_str(value), digits;
    int64_t count;

    *out = yyjson_get_uint(value);
    if (value == NULL || (yyjson_is_uint(value) && *out > 0))
        return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        digits = str_slice(text, 0, text.len - units[i].unit.len);
        if (!str_ends(text, units[i].unit) || !str_to_int64(str_trim(digits), &count) ||
            count <= 0 || count > INT64_MAX / (int64_t)units[i].bytes)
            continue;
        *out = (uint64_t)count * units[i].bytes;
        return STATUS_OK;
    }
    return error_set(err, STATUS_INVALID,
                     "memory: expected a size like 512MiB or 4GiB, found '" STR_FMT "'",
                     STR_ARG(text));
}

static enum status check_name(struct str name, struct error *err)
{
    bool bad = name.len == 0 || name.data[0] == '/' || name.data[0] == '-' ||
               memmem(name.data, name.len, "..", 2) != NULL || str_index(name, '\0') < name.len;

    return bad ? error_set(err, STATUS_INVALID,
                           "script: '" STR_FMT "' must name a file in the pipeline's folder",
                           STR_ARG(name))
               : STATUS_OK;
}

static enum status read_names(yyjson_val *list, struct error *err)
{
    yyjson_val *item;
    size_t i, count;

    yyjson_arr_foreach(list, i, count, item)
    {
        struct str name = json_str(item);

        if (!str_is_name(name))
            return error_set(err, STATUS_INVALID, "out: '" STR_FMT "' is no name of an output",
                             STR_ARG(name));
        if (str_equal(name, STR("metrics")) || str_equal(name, STR("output")) ||
            str_equal(name, STR("log")))
            return error_set(err, STATUS_INVALID,
                             "out: '" STR_FMT "' is there anyway; choose another name",
                             STR_ARG(name));
    }
    return STATUS_OK;
}

static enum status read_script(yyjson_val *input, struct script *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("script"), STR_INIT("in"), STR_INIT("args"),
                                        STR_INIT("out"), STR_INIT("memory") };

    *out = (struct script){ 0 };
    TRY(json_only_keys(input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(input, "script", &out->name, err));
    TRY(check_name(out->name, err));
    TRY(json_want_object(input, "in", &out->in, err));
    TRY(json_want_object(input, "args", &out->args, err));
    TRY(json_want_array(input, "out", &out->out, err));
    TRY(read_names(out->out, err));
    return memory_parse(json_find(input, STR("memory")), &out->memory_bytes, err);
}

static enum status check(yyjson_val *parameters, struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;
    struct script script;

    if (!yyjson_is_obj(parameters))
        return error_set(err, STATUS_INVALID, "must be an object with \"script\": \"FILE\"");
    /* Fields that are evaluated when the state runs are checked then. */
    yyjson_obj_foreach(parameters, i, count, key, value)
    {
        if (str_ends(json_str(key), STR(".$")))
            return STATUS_OK;
    }
    return read_script(parameters, &script, err);
}

struct watched {
    struct task *task;
    const char *log;
    off_t bytes;
};

/* A script that prints is alive. */
static bool wants_to_end(void *context)
{
    struct watched *watched = context;
    struct stat log;

    if (stat(watched->log, &log) == 0 && log.st_size != watched->bytes) {
        watched->bytes = log.st_size;
        task_heartbeat(watched->task);
    }
    return task_is_cancelled(watched->task);
}

static void log_command(struct task *task, const struct surroundings *around)
{
    struct str line = STR_EMPTY;

    for (char **arg = around->argv; *arg != NULL; arg++)
        line = arena_printf(task->arena, STR_FMT " %s", STR_ARG(line), *arg);
    task_log(task, "--- try %u:" STR_FMT, task->retry + 1, STR_ARG(line));
}

/* The process is recorded before it runs, so that after a crash it can be found and ended. */
static enum status start_process(struct task *task, const struct process_spec *spec,
                                 struct process *process, struct error *err)
{
    struct str record;

    TRY(process_spawn(spec, process, err));
    record = arena_printf(task->arena, "{\"pid\":%ld,\"start_ticks\":%llu}",
                          (long)process->keeper, (unsigned long long)process->start_ticks);
    if (task_started(task, record, err) == STATUS_OK)
        return process_release(process, err);
    process_abandon(process);
    return err->status;
}

static struct str python_of(const struct workflow *workflow)
{
    const char *wanted = getenv("ONGGI_PYTHON");

    if (wanted != NULL && wanted[0] != '\0')
        return str_from(wanted);
    return workflow->python.len > 0 ? workflow->python : STR("python3");
}

static uint64_t memory_of(const struct workflow *workflow, const struct script *script)
{
    if (script->memory_bytes > 0)
        return script->memory_bytes;
    return workflow->memory_limit > 0 ? workflow->memory_limit : process_default_memory();
}

static enum status check_there(const struct task *task, const struct script *script,
                               struct error *err)
{
    struct str path = arena_printf(task->arena, STR_FMT "/" STR_FMT, STR_ARG(task->code),
                                   STR_ARG(script->name));

    if (task->pipeline.len == 0)
        return error_set(err, STATUS_INVALID,
                         "scripts run in pipelines, which have a code folder");
    if (!file_exists(path.data))
        return error_set(err, STATUS_NOT_FOUND,
                         "there is no script pipelines/" STR_FMT "/" STR_FMT,
                         STR_ARG(task->pipeline), STR_ARG(script->name));
    return STATUS_OK;
}

static enum status run(struct task *task, void *context, struct str *output, struct error *err)
{
    const struct workflow *workflow = context;
    struct script script;
    struct surroundings around;
    struct process process;
    struct process_end end;
    struct str log = log_path(task->arena, task->project, task->execution, task->state);
    struct process_limits limits = { .log_bytes = LOG_MAX, .log = log.data };
    uint64_t begun_ns = clock_monotonic_ns();
    double seconds;

    TRY(read_script(task->input, &script, err));
    TRY(check_there(task, &script, err));
    TRY(sagemaker_prepare(task, &script, python_of(workflow), &around, err));
    limits.memory_bytes = memory_of(workflow, &script);
    log_command(task, &around);
    TRY(start_process(task,
                      &(struct process_spec){ around.program, around.argv, around.envp,
                                              task->code.data, log.data },
                      &process, err));
    process_wait(&process, &limits, wants_to_end,
                 &(struct watched){ .task = task, .log = log.data }, &end);
    if (end.left_some)
        process_end_marked(STR("ONGGI_TASK_FOLDER"), task->folder);
    if (end.kind != PROCESS_EXITED || end.code != 0)
        return script_fail(task, &script, &end, &limits, err);
    seconds = (double)((clock_monotonic_ns() - begun_ns) / 1000000) / 1000.0;
    return script_make_result(task, &script, &around, &end, seconds, output, err);
}

static void clean_up(struct str project, yyjson_val *private_part)
{
    pid_t pid = (pid_t)yyjson_get_sint(yyjson_obj_get(private_part, "pid"));
    uint64_t recorded = yyjson_get_uint(yyjson_obj_get(private_part, "start_ticks"));

    (void)project;
    if (pid > 1)
        process_end_kept(pid, recorded);
}

void script_end_orphans(struct str project)
{
    struct arena *arena = arena_new();

    process_end_marked(STR("ONGGI_TASK_FOLDER"),
                       arena_printf(arena, STR_FMT "/.onggi/runs/", STR_ARG(project)));
    arena_free(arena);
}

const struct task_type script_task_type = {
    .resource = "onggi:script",
    .run = run,
    .start = TASK_START_BY_ITSELF,
    .check = check,
    .clean_up = clean_up,
};
