/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/template.h"

#include "workflow/intrinsic.h"

#define EVALUATION_MAX ((size_t)128 << 20)

#include <stdarg.h>
#include <stdio.h>

bool(fault_set)(const struct scope *scope, struct fault *fault, struct str error,
                const char *format, ...)
{
    va_list args, again;
    int len;
    char *cause;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    cause = arena_alloc(scope->arena, (size_t)len + 1);
    vsnprintf(cause, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    *fault = (struct fault){ error, { cause, (size_t)len } };
    return false;
}

static bool is_dynamic(yyjson_val *key)
{
    return str_ends(json_str(key), STR(".$"));
}

enum status expression_check(struct arena *arena, struct str text, struct error *err)
{
    struct json_path path;

    if (intrinsic_is(text))
        return intrinsic_check(arena, text, err);
    return json_path_parse(arena, text, &path, err);
}

/* "a" and "a.$" would both become "a". */
static enum status check_twice(struct arena *arena, yyjson_val *object, yyjson_val *key,
                               struct error *err)
{
    struct str name = json_str(key);

    if (is_dynamic(key) ||
        json_find(object, arena_printf(arena, STR_FMT ".$", STR_ARG(name))) == NULL)
        return STATUS_OK;
    return error_set(err, STATUS_INVALID, "'" STR_FMT "' is there twice, once with \".$\"",
                     STR_ARG(name));
}

static enum status check_field(struct arena *arena, yyjson_val *key, yyjson_val *value,
                               struct error *err)
{
    struct str name = json_str(key);
    enum status status;

    if (!is_dynamic(key))
        status = template_check(arena, value, err);
    else if (!yyjson_is_str(value))
        status = error_set(err, STATUS_INVALID,
                           "must be a path or an intrinsic function, in quotes");
    else
        status = expression_check(arena, json_str(value), err);
    return status == STATUS_OK ? status : error_wrap(err, STR_FMT, STR_ARG(name));
}

enum status template_check(struct arena *arena, yyjson_val *template, struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;

    if (yyjson_is_obj(template))
        yyjson_obj_foreach(template, i, count, key, value)
        {
            TRY(check_twice(arena, template, key, err));
            TRY(check_field(arena, key, value, err));
        }
    if (yyjson_is_arr(template))
        yyjson_arr_foreach(template, i, count, value) TRY(template_check(arena, value, err));
    return STATUS_OK;
}

bool scope_is_full(const struct scope *scope, struct fault *fault)
{
    if (arena_size(scope->arena) <= EVALUATION_MAX)
        return false;
    (void)fault_set(scope, fault, ERROR_DATA_LIMIT,
                    "The paths and functions of the state make more than %zu MiB of data.",
                    EVALUATION_MAX >> 20);
    return true;
}

static yyjson_mut_val *variable_value(const struct scope *scope, struct str name)
{
    const struct variable *variable = variables_find(scope->variables, name);
    yyjson_val *value;
    struct error err;

    if (variable == NULL || json_parse(scope->arena, variable->json, &value, &err) != STATUS_OK)
        return NULL;
    return yyjson_val_mut_copy(scope->doc, value);
}

yyjson_mut_val *scope_root(const struct scope *scope, const struct json_path *path)
{
    switch (path->root) {
    case PATH_OF_CONTEXT:
        return scope->context;
    case PATH_OF_VARIABLE:
        return variable_value(scope, path->variable);
    case PATH_OF_INPUT:
        break;
    }
    return scope->input;
}

bool path_value(const struct scope *scope, struct str field, const struct json_path *path,
                yyjson_mut_val **out, struct fault *fault)
{
    yyjson_mut_val *root = scope_root(scope, path);
    struct str seen;

    *out = root == NULL ? NULL : json_path_find(path, scope->doc, root);
    if (*out != NULL)
        return true;
    seen = json_mut_write(scope->arena, root == NULL ? scope->input : root);
    return fault_set(scope, fault, ERROR_RUNTIME,
                     "The JSONPath '" STR_FMT "' specified for the field '" STR_FMT
                     "' could not be found in the input '" STR_FMT "'",
                     STR_ARG(path->text), STR_ARG(field), STR_ARG(seen));
}

bool path_select(const struct scope *scope, const struct json_path *path, yyjson_mut_val **out,
                 struct fault *fault)
{
    yyjson_mut_val *root = scope_root(scope, path);
    struct str why;

    *out = root == NULL ? NULL : json_path_find(path, scope->doc, root);
    if (*out != NULL)
        return true;
    why = root == NULL ? STR("there is no variable of this name")
                       : json_path_failure(path, scope->arena, root);
    return fault_set(scope, fault, ERROR_RUNTIME, "Invalid path '" STR_FMT "' : " STR_FMT,
                     STR_ARG(path->text), STR_ARG(why));
}

bool expression_value(const struct scope *scope, struct str field, struct str text,
                      yyjson_mut_val **out, struct fault *fault)
{
    struct json_path path;
    struct error err;

    if (scope_is_full(scope, fault))
        return false;
    if (intrinsic_is(text))
        return intrinsic_value(scope, text, out, fault);
    if (json_path_parse(scope->arena, text, &path, &err) != STATUS_OK)
        return fault_set(scope, fault, ERROR_RUNTIME, "%s", err.message);
    if (!path_value(scope, field, &path, out, fault))
        return false;
    *out = yyjson_mut_val_mut_copy(scope->doc, *out);
    return true;
}

bool expression_select(const struct scope *scope, struct str text, yyjson_mut_val **out,
                       struct fault *fault)
{
    struct json_path path;
    struct error err;

    if (intrinsic_is(text))
        return intrinsic_value(scope, text, out, fault);
    if (json_path_parse(scope->arena, text, &path, &err) != STATUS_OK)
        return fault_set(scope, fault, ERROR_RUNTIME, "%s", err.message);
    return path_select(scope, &path, out, fault);
}

static bool eval_field(const struct scope *scope, yyjson_val *key, yyjson_val *value,
                       yyjson_mut_val *object, struct fault *fault)
{
    struct str name = json_str(key);
    yyjson_mut_val *made;

    if (is_dynamic(key)) {
        if (!expression_value(scope, name, json_str(value), &made, fault))
            return false;
        name.len -= 2;
    } else if (!template_eval(scope, value, &made, fault)) {
        return false;
    }
    yyjson_mut_obj_add(object, yyjson_mut_strncpy(scope->doc, name.data, name.len), made);
    return true;
}

static bool eval_object(const struct scope *scope, yyjson_val *template, yyjson_mut_val **out,
                        struct fault *fault)
{
    yyjson_mut_val *object = yyjson_mut_obj(scope->doc);
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(template, i, count, key, value)
    {
        if (!eval_field(scope, key, value, object, fault))
            return false;
    }
    *out = object;
    return true;
}

static bool eval_list(const struct scope *scope, yyjson_val *template, yyjson_mut_val **out,
                      struct fault *fault)
{
    yyjson_mut_val *list = yyjson_mut_arr(scope->doc), *made;
    yyjson_val *value;
    size_t i, count;

    yyjson_arr_foreach(template, i, count, value)
    {
        if (!template_eval(scope, value, &made, fault))
            return false;
        yyjson_mut_arr_append(list, made);
    }
    *out = list;
    return true;
}

/* As deep as the definition is nested: JSON_DEPTH_MAX at most. */
bool template_eval(const struct scope *scope, yyjson_val *template, yyjson_mut_val **out,
                   struct fault *fault)
{
    if (yyjson_is_obj(template))
        return eval_object(scope, template, out, fault);
    if (yyjson_is_arr(template))
        return eval_list(scope, template, out, fault);
    *out = yyjson_val_mut_copy(scope->doc, template);
    return true;
}
