/* SPDX-License-Identifier: Apache-2.0 */
/* How steps name what others made: prepare.train, params.from, "… ${params.from} …". */
#include "workflow/pipeline_compile.h"

#include "base/buffer.h"

/* What every script's output has besides its `out` names. */
static const struct str script_outputs[] = { STR_INIT("metrics"), STR_INIT("output"),
                                             STR_INIT("seconds"), STR_INIT("args") };

static const struct compiled_step *step_find(const struct compiler *compiler, struct str name)
{
    for (size_t i = 0; i < compiler->step_count; i++)
        if (str_equal(compiler->steps[i].name, name))
            return &compiler->steps[i];
    return NULL;
}

static bool fault_unknown(struct compiler *compiler, const struct yaml_node *node,
                          const char *what, struct str name, const struct str *known,
                          size_t count)
{
    struct str near = str_nearest(name, known, count);

    if (near.len > 0)
        compile_fault(compiler, node, "%s '" STR_FMT "'; did you mean '" STR_FMT "'?", what,
                      STR_ARG(name), STR_ARG(near));
    else
        compile_fault(compiler, node, "%s '" STR_FMT "'", what, STR_ARG(name));
    return false;
}

static bool fault_step(struct compiler *compiler, const struct yaml_node *node, struct str name)
{
    struct str *known = ARENA_ARRAY(compiler->arena, struct str, compiler->step_count + 1);

    for (size_t i = 0; i < compiler->step_count; i++)
        known[i] = compiler->steps[i].name;
    known[compiler->step_count] = STR("params");
    return fault_unknown(compiler, node, "no step before this one is called", name, known,
                         compiler->step_count + 1);
}

static bool check_param(struct compiler *compiler, const struct yaml_node *node,
                        struct str rest)
{
    yyjson_val *params = compiler->pipeline->params, *key, *value;
    struct str name = str_slice(rest, 0, str_index(rest, '.')), *known;
    size_t i, count;

    if (json_find(params, name) != NULL)
        return true;
    known = ARENA_ARRAY(compiler->arena, struct str, yyjson_obj_size(params));
    yyjson_obj_foreach(params, i, count, key, value) known[i] = json_str(key);
    return fault_unknown(compiler, node, "there is no parameter", name, known,
                         yyjson_obj_size(params));
}

static bool check_script_output(struct compiler *compiler, const struct yaml_node *node,
                                const struct compiled_step *step, struct str name)
{
    size_t count = step->out == NULL ? 0 : step->out->count;
    struct str *known = ARENA_ARRAY(compiler->arena, struct str,
                                    count + ARRAY_LEN(script_outputs));

    for (size_t i = 0; i < count; i++)
        known[i] = step->out->items[i].text;
    for (size_t i = 0; i < ARRAY_LEN(script_outputs); i++)
        known[count + i] = script_outputs[i];
    for (size_t i = 0; i < count + ARRAY_LEN(script_outputs); i++)
        if (str_equal(known[i], name))
            return true;
    compile_fault(compiler, node,
                  "step '" STR_FMT "' has no output '" STR_FMT "'; `out:` names them",
                  STR_ARG(step->name), STR_ARG(name));
    return false;
}

/* The bare name of a step means the one thing it is there for. */
static bool main_output(struct compiler *compiler, const struct yaml_node *node,
                        const struct compiled_step *step, struct str *out)
{
    if (step->kind->main_output.len > 0) {
        *out = step->kind->main_output;
        return true;
    }
    if (step->out != NULL && step->out->count == 1) {
        *out = step->out->items[0].text;
        return true;
    }
    compile_fault(compiler, node,
                  "step '" STR_FMT "' has no single output; write '" STR_FMT ".' and its name",
                  STR_ARG(step->name), STR_ARG(step->name));
    return false;
}

static struct str path_of(struct compiler *compiler, struct str dotted)
{
    struct str path = STR("$"), piece;

    while (str_split(&dotted, '.', &piece))
        path = arena_printf(compiler->arena, STR_FMT "['" STR_FMT "']", STR_ARG(path),
                            STR_ARG(piece));
    return path;
}

static bool is_dotted_name(struct str text)
{
    struct str piece, rest = text;

    if (text.len == 0 || text.data[text.len - 1] == '.')
        return false;
    while (str_split(&rest, '.', &piece))
        if (!str_is_name(piece))
            return false;
    return true;
}

bool compile_reference(struct compiler *compiler, const struct yaml_node *node, struct str text,
                       struct str *path)
{
    size_t dot = str_index(text, '.');
    struct str head = str_slice(text, 0, dot), output = STR_EMPTY;
    struct str rest = str_slice(text, dot + (dot < text.len), text.len);
    const struct compiled_step *step = step_find(compiler, head);

    if (!is_dotted_name(text)) {
        compile_fault(compiler, node,
                      "'" STR_FMT "' is no reference; write STEP.OUTPUT or params.NAME",
                      STR_ARG(text));
        return false;
    }
    if (str_equal(head, STR("params"))) {
        *path = path_of(compiler, text);
        return check_param(compiler, node, rest);
    }
    if (step == NULL)
        return false_of_failure(fault_step(compiler, node, head));
    if (rest.len == 0 && !main_output(compiler, node, step, &output))
        return false;
    if (rest.len > 0 && str_equal(step->kind->word, STR("script")) &&
        !check_script_output(compiler, node, step, str_slice(rest, 0, str_index(rest, '.'))))
        return false;
    *path = path_of(compiler, output.len == 0
                                  ? text
                                  : arena_printf(compiler->arena, STR_FMT "." STR_FMT,
                                                 STR_ARG(text), STR_ARG(output)));
    return true;
}

static void add_dynamic(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                        struct str expression)
{
    struct str name = arena_printf(compiler->arena, STR_FMT ".$", STR_ARG(key));

    yyjson_mut_obj_add(object, yyjson_mut_strncpy(compiler->doc, name.data, name.len),
                       yyjson_mut_strncpy(compiler->doc, expression.data, expression.len));
}

void compile_named(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                   const struct yaml_node *node)
{
    struct str path, text = node->text;

    if (node->kind != YAML_SCALAR) {
        compile_fault(compiler, node,
                      "expected what another step made, such as prepare.train; found %s",
                      yaml_kind_name(node));
        return;
    }
    /* ${params.version} is as good here as params.version. */
    if (str_starts(text, STR("${")) && str_ends(text, STR("}")))
        text = str_slice(text, 2, text.len - 1);
    if (compile_reference(compiler, node, text, &path))
        add_dynamic(compiler, object, key, path);
}

/* Characters that mean something inside States.Format('…') are escaped. */
static void append_literal(struct buffer *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("'{}\\", text.data[i]) != NULL && text.data[i] != '\0')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, text.data[i]);
    }
}

/* "… ${a} … ${b} …" as States.Format('… {} … {} …', $.a, $.b). */
static bool interpolate(struct compiler *compiler, const struct yaml_node *node,
                        struct str *out)
{
    struct buffer text = { 0 }, args = { 0 };
    struct str rest = node->text, path;
    bool good = true;

    buffer_append(&text, STR("States.Format('"));
    while (good && rest.len > 0) {
        const char *start = memmem(rest.data, rest.len, "${", 2);
        size_t at = start == NULL ? rest.len : (size_t)(start - rest.data), end;

        append_literal(&text, str_slice(rest, 0, at));
        rest = str_slice(rest, at, rest.len);
        if (rest.len == 0)
            break;
        end = str_index(rest, '}');
        good = end < rest.len &&
               compile_reference(compiler, node, str_slice(rest, 2, end), &path);
        if (good) {
            buffer_append(&text, STR("{}"));
            buffer_printf(&args, ", " STR_FMT, STR_ARG(path));
            rest = str_slice(rest, end + 1, rest.len);
        } else if (end == rest.len) {
            compile_fault(compiler, node, "'${' is not closed by '}'");
        }
    }
    buffer_append(&text, STR("'"));
    buffer_append(&text, buffer_str(&args));
    buffer_append(&text, STR(")"));
    *out = arena_str(compiler->arena, buffer_str(&text));
    buffer_free(&text);
    buffer_free(&args);
    return good;
}

static bool has_reference(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR &&
           memmem(node->text.data, node->text.len, "${", 2) != NULL;
}

static void compile_text(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                         const struct yaml_node *node)
{
    struct str text = node->text, out;

    /* A value that is nothing but one reference keeps its type. */
    if (str_starts(text, STR("${")) && str_index(text, '}') + 1 == text.len) {
        if (compile_reference(compiler, node, str_slice(text, 2, text.len - 1), &out))
            add_dynamic(compiler, object, key, out);
    } else if (interpolate(compiler, node, &out)) {
        add_dynamic(compiler, object, key, out);
    }
}

static void check_list(struct compiler *compiler, const struct yaml_node *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (has_reference(&list->items[i]) || list->items[i].kind >= YAML_SEQUENCE)
            compile_fault(compiler, &list->items[i], "a list may hold plain values only");
}

/* As deep as YAML may be nested. */
void compile_value(struct compiler *compiler, yyjson_mut_val *object, struct str key,
                   const struct yaml_node *node)
{
    yyjson_mut_val *inner;

    if (str_ends(key, STR(".$"))) {
        compile_fault(compiler, node,
                      "a key may not end in '.$' here; write \"${step.output}\"");
        return;
    }
    if (has_reference(node)) {
        compile_text(compiler, object, key, node);
        return;
    }
    if (node->kind == YAML_SEQUENCE)
        check_list(compiler, node);
    if (node->kind == YAML_MAPPING) {
        inner = yyjson_mut_obj(compiler->doc);
        for (size_t i = 0; i < node->count; i++)
            compile_value(compiler, inner, node->keys[i].text, &node->items[i]);
    } else {
        inner = yaml_to_json(compiler->doc, node);
    }
    yyjson_mut_obj_add(object, yyjson_mut_strncpy(compiler->doc, key.data, key.len), inner);
}
