/* SPDX-License-Identifier: Apache-2.0 */
/* The list of all that is wrong, and how a build adds to it. */
#include "features/definition_internal.h"

#include <stdio.h>

static void add_text(struct definition_errors *errors, struct place place, struct str message)
{
    if (errors->count == DEFINITION_ERRORS_MAX) {
        errors->left_out++;
        return;
    }
    place.file = arena_str(errors->arena, place.file);
    ARENA_PUSH(errors->arena, errors->items, errors->count, errors->capacity) =
        (struct definition_error){ place, arena_str(errors->arena, message) };
}

static void add_formatted(struct definition_errors *errors, struct place place,
                          const char *format, va_list args) PRINTF_LIKE(3, 0);

static void add_formatted(struct definition_errors *errors, struct place place,
                          const char *format, va_list args)
{
    char message[sizeof(((struct error *)NULL)->message)];

    vsnprintf(message, sizeof(message), format, args);
    add_text(errors, place, str_from(message));
}

static struct place place_of(const struct yaml_node *node)
{
    return (struct place){ node->file, node->line, node->column };
}

void definition_error_add(struct definition_errors *errors, struct place place,
                          const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(errors, place, format, args);
    va_end(args);
}

void definition_error_at(struct definition_errors *errors, const struct yaml_node *node,
                         const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(errors, place_of(node), format, args);
    va_end(args);
}

/* Takes "12:" off the front of the text. */
static bool take_number(struct str *text, int *out)
{
    size_t end = str_index(*text, ':');
    int64_t number;

    if (end == text->len || !str_to_int64(str_slice(*text, 0, end), &number) || number < 0 ||
        number > INT32_MAX)
        return false;
    *out = (int)number;
    *text = str_slice(*text, end + 1, text->len);
    return true;
}

void definition_error_take(struct definition_errors *errors, const struct error *err)
{
    struct str text = str_from(err->message);
    size_t file_end = str_index(text, ':');
    struct place place = { str_slice(text, 0, file_end), 0, 0 };
    struct str rest = str_slice(text, file_end + 1, text.len);

    if (file_end < text.len && take_number(&rest, &place.line) &&
        take_number(&rest, &place.column))
        add_text(errors, place, str_trim(rest));
    else
        add_text(errors, (struct place){ STR_EMPTY, 0, 0 }, text);
}

enum status definition_errors_set(const struct definition_errors *errors, struct error *err)
{
    const struct definition_error *first = &errors->items[0];
    size_t more = errors->count + errors->left_out - 1;

    error_set(err, STATUS_INVALID, STR_FMT ":%d:%d: " STR_FMT, STR_ARG(first->place.file),
              first->place.line, first->place.column, STR_ARG(first->message));
    if (more > 0)
        error_wrap(err, "%zu mistakes, the first", more + 1);
    return STATUS_INVALID;
}

void build_error(struct build *build, struct draft *draft, const struct yaml_node *node,
                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(build->errors, place_of(node), format, args);
    va_end(args);
    if (draft != NULL)
        draft->is_broken = true;
}

void build_note(struct build *build, struct draft *draft, enum status status,
                const struct error *err)
{
    if (status == STATUS_OK)
        return;
    definition_error_take(build->errors, err);
    if (draft != NULL)
        draft->is_broken = true;
}

bool build_check_name(struct build *build, struct draft *draft, const struct yaml_node *node)
{
    /* A dot would make "view.feature" ambiguous. */
    if (node->kind == YAML_SCALAR && str_is_name(node->text) &&
        str_index(node->text, '.') == node->text.len)
        return true;
    build_error(build, draft, node,
                "'" STR_FMT "' is no name: a letter or '_', then letters, digits, '_' and '-'",
                STR_ARG(str_slice(node->text, 0, 80)));
    return false;
}

struct draft *build_find(const struct build *build, const char *kind, struct str name)
{
    for (size_t i = 0; i < build->draft_count; i++) {
        struct draft *draft = &build->drafts[i];

        if (str_equal(draft->item.kind, str_from(kind)) && str_equal(draft->item.name, name))
            return draft;
    }
    return NULL;
}

void build_add(struct build *build, struct str kind, struct str name,
               const struct yaml_node *document)
{
    struct draft *before = build_find(build, kind.data, name);
    struct draft draft = { .item = { .kind = kind, .name = name }, .node = document };

    if (before != NULL) {
        build_error(build, NULL, document,
                    "%s '" STR_FMT "' is defined twice; " STR_FMT ":%d has it too", kind.data,
                    STR_ARG(name), STR_ARG(before->item.place.file), before->item.place.line);
        return;
    }
    if (build->draft_count == DEFINITIONS_MAX) {
        build_error(build, NULL, document, "a project has at most %d definitions",
                    DEFINITIONS_MAX);
        return;
    }
    draft.item.place = place_of(document);
    draft.item.json = json_mut_write(build->arena,
                                     yaml_to_json(json_mut_doc(build->arena), document));
    ARENA_PUSH(build->arena, build->drafts, build->draft_count, build->draft_capacity) = draft;
}

static struct str nearest(const struct build *build, const char *kind, struct str name)
{
    struct str *names = ARENA_ARRAY(build->arena, struct str, build->draft_count);
    size_t count = 0;

    for (size_t i = 0; i < build->draft_count; i++) {
        if (str_equal(build->drafts[i].item.kind, str_from(kind)))
            names[count++] = build->drafts[i].item.name;
    }
    return str_nearest(name, names, count);
}

const void *build_reference(struct build *build, struct draft *draft,
                            const struct yaml_node *node, const char *kind)
{
    struct draft *found = build_find(build, kind, node->text);
    struct str near;

    if (found != NULL) {
        if (found->is_broken)
            draft->is_broken = true;
        return found->is_broken ? NULL : found->object;
    }
    near = nearest(build, kind, node->text);
    if (near.len > 0)
        build_error(build, draft, node,
                    "there is no %s '" STR_FMT "'; did you mean '" STR_FMT "'?", kind,
                    STR_ARG(str_slice(node->text, 0, 80)), STR_ARG(near));
    else
        build_error(build, draft, node, "there is no %s '" STR_FMT "'", kind,
                    STR_ARG(str_slice(node->text, 0, 80)));
    return NULL;
}
