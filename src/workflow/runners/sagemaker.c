/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/sagemaker_internal.h"

#include "base/file.h"
#include "workflow/runners/python_text.h"

#include <errno.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct str sagemaker_output(struct arena *arena, const struct surroundings *around,
                            struct str name)
{
    if (str_equal(name, STR("model")))
        return around->model;
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(around->data), STR_ARG(name));
}

struct str sagemaker_below(const struct maker *maker, const char *relative)
{
    return arena_printf(maker->arena, STR_FMT "/%s", STR_ARG(maker->task->folder), relative);
}

void sagemaker_set(struct maker *maker, const char *name, struct str value)
{
    struct str text = arena_printf(maker->arena, "%s=" STR_FMT, name, STR_ARG(value));

    ARENA_PUSH(maker->arena, maker->vars, maker->var_count,
               maker->var_capacity) = (char *)(uintptr_t)text.data;
}

/* SM_CHANNEL_ and the name in capitals, as the toolkit does. */
static void set_upper(struct maker *maker, const char *prefix, struct str name,
                      struct str value)
{
    struct str full = arena_printf(maker->arena, "%s" STR_FMT, prefix, STR_ARG(name));

    for (char *c = (char *)(uintptr_t)full.data; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    sagemaker_set(maker, full.data, value);
}

/* As the toolkit's mapping.py fills the environment. */
static struct str variable_text(struct arena *arena, yyjson_val *value)
{
    if (yyjson_is_null(value))
        return STR_EMPTY;
    return yyjson_is_str(value) ? json_str(value) : python_json(arena, value);
}

/* As the toolkit's mapping.py makes arguments of what it has read. */
static struct str argument_text(struct arena *arena, yyjson_val *value)
{
    struct str text = STR_EMPTY;
    yyjson_val **keys;
    size_t count;

    if (yyjson_is_null(value))
        return text;
    if (!yyjson_is_obj(value))
        return python_str(arena, value);
    keys = python_sorted_keys(arena, value, &count);
    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(text),
                            i > 0 ? "," : "", STR_ARG(json_str(keys[i])),
                            STR_ARG(python_str(arena, unsafe_yyjson_get_next(keys[i]))));
    return text;
}

/* program script --name value …, names in order, one-letter ones with one dash. */
static void make_argv(struct maker *maker, struct str python)
{
    size_t count, used = 0;
    yyjson_val **keys = python_sorted_keys(maker->arena, maker->script->args, &count);
    char **argv = ARENA_ARRAY(maker->arena, char *, 2 * count + 4);
    bool is_python = str_ends(maker->script->name, STR(".py"));
    yyjson_mut_val *user_args = yyjson_mut_arr(maker->doc);

    argv[used++] = is_python ? arena_cstr(maker->arena, python)
                             : arena_cstr(maker->arena, STR("sh"));
    argv[used++] = arena_cstr(maker->arena, maker->script->name);
    for (size_t i = 0; i < count; i++) {
        struct str name = json_str(keys[i]);
        yyjson_val *argument = unsafe_yyjson_get_next(keys[i]);
        struct str value = argument_text(maker->arena, argument);
        struct str flag = arena_printf(maker->arena, "%s" STR_FMT, name.len == 1 ? "-" : "--",
                                       STR_ARG(name));

        argv[used++] = (char *)(uintptr_t)flag.data;
        argv[used++] = arena_cstr(maker->arena, value);
        yyjson_mut_arr_add_strncpy(maker->doc, user_args, flag.data, flag.len);
        yyjson_mut_arr_add_strncpy(maker->doc, user_args, value.data, value.len);
        set_upper(maker, "SM_HP_", name, variable_text(maker->arena, argument));
    }
    maker->around->argv = argv;
    sagemaker_set_json(maker, "SM_USER_ARGS", user_args);
}

static enum status find_in_path(struct arena *arena, struct str name, const char **out,
                                struct error *err)
{
    const char *path = getenv("PATH");
    struct str rest = str_from(path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path), folder;

    while (str_split(&rest, ':', &folder)) {
        struct str candidate = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(folder),
                                            STR_ARG(name));

        if (access(candidate.data, X_OK) == 0) {
            *out = candidate.data;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no program '" STR_FMT "'; set `python:` in onggi.yaml, or the "
                     "variable ONGGI_PYTHON",
                     STR_ARG(name));
}

/* A command of the PATH, or a path, relative to the project. */
static enum status find_program(struct maker *maker, struct str python, struct error *err)
{
    struct arena *arena = maker->arena;
    const char *home = python.len > 0 && python.data[0] == '/' ? "" : "/";
    struct str path;

    if (!str_ends(maker->script->name, STR(".py")))
        return find_in_path(arena, STR("sh"), &maker->around->program, err);
    if (str_index(python, '/') == python.len)
        return find_in_path(arena, python, &maker->around->program, err);
    path = home[0] == '\0' ? arena_str(arena, python)
                           : arena_printf(arena, STR_FMT "/" STR_FMT,
                                          STR_ARG(maker->task->project), STR_ARG(python));
    maker->around->program = path.data;
    if (access(path.data, X_OK) == 0)
        return STATUS_OK;
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no program '%s'; set `python:` in onggi.yaml, or the variable "
                     "ONGGI_PYTHON",
                     path.data);
}

static enum status link_to(const char *target, const char *link, struct error *err)
{
    if (symlink(target, link) != 0)
        return error_errno(err, errno, "link '%s'", link);
    return STATUS_OK;
}

/* A channel is a folder: the one given, or one with the file given in it. */
static enum status make_channel(struct maker *maker, struct str name, struct str path,
                                struct error *err)
{
    struct arena *arena = maker->arena;
    struct str link = arena_printf(arena, STR_FMT "/input/data/" STR_FMT,
                                   STR_ARG(maker->task->folder), STR_ARG(name));
    char *target;
    struct stat info;

    TRY(path_below(arena, maker->task->project.data, path, &target, err));
    if (stat(target, &info) != 0)
        return error_errno(err, errno, "'" STR_FMT "'", STR_ARG(path));
    json_add_str(maker->doc, maker->channels, name.data, link);
    set_upper(maker, "SM_CHANNEL_", name, link);
    if (S_ISDIR(info.st_mode))
        return link_to(target, link.data, err);
    TRY(folder_create(link.data, err));
    return link_to(
        target,
        arena_printf(arena, STR_FMT "/%s", STR_ARG(link), strrchr(target, '/') + 1).data, err);
}

static enum status make_channels(struct maker *maker, struct error *err)
{
    size_t count;
    yyjson_val **keys = python_sorted_keys(maker->arena, maker->script->in, &count);
    yyjson_mut_val *names = yyjson_mut_arr(maker->doc);

    maker->channels = yyjson_mut_obj(maker->doc);
    TRY(folder_create(sagemaker_below(maker, "input/data").data, err));
    for (size_t i = 0; i < count; i++) {
        struct str name = arena_str(maker->arena, json_str(keys[i]));
        yyjson_val *path = unsafe_yyjson_get_next(keys[i]);

        if (!yyjson_is_str(path))
            return error_set(err, STATUS_INVALID, "input '" STR_FMT "' is no path",
                             STR_ARG(name));
        if (make_channel(maker, name, json_str(path), err) != STATUS_OK)
            return error_wrap(err, "input '" STR_FMT "'", STR_ARG(name));
        yyjson_mut_arr_add_strncpy(maker->doc, names, name.data, name.len);
    }
    sagemaker_set_json(maker, "SM_CHANNELS", names);
    return STATUS_OK;
}

static enum status make_outputs(struct maker *maker, struct error *err)
{
    yyjson_val *name;
    size_t i, count;

    TRY(folder_create(maker->around->model.data, err));
    TRY(folder_create(maker->around->data.data, err));
    TRY(folder_create(sagemaker_below(maker, "output/intermediate").data, err));
    yyjson_arr_foreach(maker->script->out, i, count, name) TRY(
        folder_create(sagemaker_output(maker->arena, maker->around, json_str(name)).data, err));
    return STATUS_OK;
}

static void set_places(struct maker *maker)
{
    struct str module = maker->script->name;

    if (str_ends(module, STR(".py")))
        module.len -= 3;
    sagemaker_set(maker, "SM_MODEL_DIR", maker->around->model);
    sagemaker_set(maker, "SM_OUTPUT_DATA_DIR", maker->around->data);
    sagemaker_set(maker, "SM_OUTPUT_DIR", sagemaker_below(maker, "output"));
    sagemaker_set(maker, "SM_OUTPUT_INTERMEDIATE_DIR",
                  sagemaker_below(maker, "output/intermediate"));
    sagemaker_set(maker, "SM_INPUT_DIR", sagemaker_below(maker, "input"));
    sagemaker_set(maker, "SM_INPUT_CONFIG_DIR", sagemaker_below(maker, "input/config"));
    sagemaker_set(maker, "SM_MODULE_DIR", maker->task->code);
    sagemaker_set(maker, "SM_MODULE_NAME", module);
    sagemaker_set(maker, "SM_FRAMEWORK_MODULE", STR_EMPTY);
    sagemaker_set(maker, "SM_USER_ENTRY_POINT", maker->script->name);
    sagemaker_set(maker, "SAGEMAKER_BASE_DIR", maker->task->folder);
    sagemaker_set(maker, "TRAINING_JOB_NAME", maker->task->state);
}

static bool is_set(const struct maker *maker, const char *variable)
{
    size_t len = strcspn(variable, "=") + 1;

    for (size_t i = 0; i < maker->var_count; i++)
        if (strncmp(maker->vars[i], variable, len) == 0)
            return true;
    return false;
}

/* Of two equal names some shells take the last, others the first. What opens our API stays with us. */
static void add_inherited(struct maker *maker)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if (strncmp(*variable, "ONGGI_", 6) != 0 && strncmp(*variable, "SM_", 3) != 0 &&
            !is_set(maker, *variable))
            ARENA_PUSH(maker->arena, maker->vars, maker->var_count,
                       maker->var_capacity) = *variable;
    ARENA_PUSH(maker->arena, maker->vars, maker->var_count, maker->var_capacity) = NULL;
}

enum status sagemaker_prepare(struct task *task, const struct script *script, struct str python,
                              struct surroundings *out, struct error *err)
{
    struct maker maker = { .task = task,
                           .arena = task->arena,
                           .script = script,
                           .around = out,
                           .doc = json_mut_doc(task->arena) };

    *out = (struct surroundings){ .model = sagemaker_below(&maker, "model"),
                                  .data = sagemaker_below(&maker, "output/data") };
    TRY(make_channels(&maker, err));
    TRY(make_outputs(&maker, err));
    TRY(find_program(&maker, python, err));
    TRY(sagemaker_write_configs(&maker, err));
    make_argv(&maker, python);
    set_places(&maker);
    sagemaker_set_machine(&maker);
    add_inherited(&maker);
    out->envp = maker.vars;
    return STATUS_OK;
}
