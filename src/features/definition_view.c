/* SPDX-License-Identifier: Apache-2.0 */
/* Views: their entity and source, the types of their features, their expressions. */
#include "features/definition_internal.h"

/* The keys of the entity are columns of the source, under the same names. */
static bool key_fits(enum value_type key, enum value_type column)
{
    bool both_ints = (key == TYPE_INT32 || key == TYPE_INT64) &&
                     (column == TYPE_INT32 || column == TYPE_INT64);

    return key == column || both_ints;
}

static void check_keys(struct build *build, struct draft *draft, const struct view *view)
{
    for (size_t i = 0; i < view->entity->key_count; i++) {
        const struct field *key = &view->entity->keys[i];
        const struct source_column *column = source_column_find(view->source, key->name);

        if (column == NULL)
            build_error(build, draft, yaml_find(draft->node, "source"),
                        "source '" STR_FMT "' has no column '" STR_FMT
                        "', the key of entity '" STR_FMT "'",
                        STR_ARG(view->source->name), STR_ARG(key->name),
                        STR_ARG(view->entity->name));
        else if (!column->is_usable || !key_fits(key->type, column->type))
            build_error(build, draft, yaml_find(draft->node, "source"),
                        "key '" STR_FMT "' of entity '" STR_FMT "' is %s, but it is " STR_FMT
                        " in source '" STR_FMT "'",
                        STR_ARG(key->name), STR_ARG(view->entity->name),
                        value_type_name(key->type), STR_ARG(column->native),
                        STR_ARG(view->source->name));
    }
}

static void type_columns(struct build *build, struct draft *draft, struct view *view)
{
    const struct yaml_node *columns = yaml_find(draft->node, "columns");

    for (size_t i = 0; i < view->feature_count; i++) {
        const struct source_column *column = build_need_column(build, draft, view->source,
                                                               &columns->items[i]);

        if (column != NULL)
            view->features[i].type = column->type;
    }
}

static void type_aggregation(struct build *build, struct draft *draft, struct feature *feature,
                             const struct yaml_node *node)
{
    struct aggregation *aggregation = &feature->aggregation;
    const struct yaml_node *input = yaml_find(node, aggregate_name(aggregation->function));
    struct error err;

    if (aggregation->input.len > 0) {
        const struct source_column *column = build_need_column(build, draft,
                                                               feature->view->source, input);

        if (column == NULL)
            return;
        aggregation->input_type = column->type;
    }
    if (aggregate_type(aggregation->function, aggregation->input_type, &feature->type, &err) !=
        STATUS_OK)
        build_error(build, draft, input, "%s", err.message);
}

static void link_stored(struct build *build, struct draft *draft, struct view *view)
{
    const struct yaml_node *entity = NULL, *source = NULL, *features;
    struct error err;

    build_note(build, draft, yaml_need(draft->node, "entity", &entity, &err), &err);
    build_note(build, draft, yaml_need(draft->node, "source", &source, &err), &err);
    if (entity != NULL)
        view->entity = build_reference(build, draft, entity, "entity");
    if (source != NULL)
        view->source = build_reference(build, draft, source, "source");
    if (view->entity == NULL || view->source == NULL || draft->is_broken)
        return;
    if (view->source->time.len == 0)
        build_error(build, draft, source,
                    "source '" STR_FMT
                    "' has no 'time', the column of the event time, which a view needs",
                    STR_ARG(view->source->name));
    check_keys(build, draft, view);
    if (view->kind == VIEW_COLUMNS) {
        type_columns(build, draft, view);
        return;
    }
    features = yaml_find(draft->node, "features");
    for (size_t i = 0; i < view->feature_count; i++)
        type_aggregation(build, draft, &view->features[i], &features->items[i]);
}

/* What an expression may name: fields of its view, then all stored features as view.feature. */
struct scope {
    struct expression_name *names;
    const struct feature **features; /* NULL for a field */
    size_t count;
};

static struct scope scope_of(struct build *build, const struct view *view)
{
    const struct definitions *defs = build->definitions;
    struct scope scope = { .count = view->request_field_count };
    size_t most = view->request_field_count;

    for (size_t v = 0; v < defs->view_count; v++)
        most += defs->views[v].feature_count;
    scope.names = ARENA_ARRAY(build->arena, struct expression_name, most);
    scope.features = ARENA_ARRAY(build->arena, const struct feature *, most);
    for (size_t i = 0; i < view->request_field_count; i++)
        scope.names[i] = (struct expression_name){ view->request_fields[i].name,
                                                   view->request_fields[i].type };
    for (size_t v = 0; v < defs->view_count; v++) {
        const struct view *other = &defs->views[v];

        for (size_t f = 0; other->kind != VIEW_REQUEST && f < other->feature_count; f++) {
            scope.features[scope.count] = &other->features[f];
            scope.names[scope.count++] = (struct expression_name){
                arena_printf(build->arena, STR_FMT "." STR_FMT, STR_ARG(other->name),
                             STR_ARG(other->features[f].name)),
                other->features[f].type
            };
        }
    }
    return scope;
}

static void take_inputs(struct build *build, struct draft *draft, struct feature *feature,
                        const struct scope *scope)
{
    const size_t *used = expression_inputs(feature->expression, &feature->input_count);

    feature->inputs = ARENA_ARRAY(build->arena, struct expression_input, feature->input_count);
    for (size_t i = 0; i < feature->input_count; i++) {
        struct expression_input *input = &feature->inputs[i];

        input->feature = scope->features[used[i]];
        input->is_request = input->feature == NULL;
        input->field = used[i];
        if (!input->is_request &&
            build_find(build, "view", input->feature->view->name)->is_broken)
            draft->is_broken = true;
    }
}

/* An expression's own line and column, counted from where its text stands in the file. */
static struct place place_within(const struct yaml_node *node, struct expression_place at)
{
    struct place place = { node->file, node->line + at.line - 1, at.column };

    if (at.line == 1)
        place.column += node->column - 1;
    return place;
}

/* A mistake that only comes from a broken view would be told twice. */
static bool names_broken_view(const struct build *build, struct str text)
{
    for (size_t i = 0; i < build->draft_count; i++) {
        const struct draft *draft = &build->drafts[i];
        struct str prefix = arena_printf(build->arena, STR_FMT ".", STR_ARG(draft->item.name));

        if (str_equal(draft->item.kind, STR("view")) && draft->is_broken &&
            memmem(text.data, text.len, prefix.data, prefix.len) != NULL)
            return true;
    }
    return false;
}

static void compile_feature(struct build *build, struct draft *draft, struct feature *feature,
                            const struct yaml_node *text, const struct scope *scope)
{
    struct expression_place at = { 1, 1 };
    struct error err;

    if (expression_compile(build->arena, text->text, scope->names, scope->count,
                           &feature->expression, &at, &err) != STATUS_OK) {
        if (!names_broken_view(build, text->text))
            definition_error_add(build->errors, place_within(text, at), "%s", err.message);
        draft->is_broken = true;
        return;
    }
    feature->type = expression_type(feature->expression);
    take_inputs(build, draft, feature, scope);
}

static void link_request(struct build *build, struct draft *draft, struct view *view)
{
    const struct yaml_node *features = yaml_find(draft->node, "features");
    struct scope scope;

    if (draft->is_broken)
        return;
    scope = scope_of(build, view);
    for (size_t i = 0; i < view->feature_count; i++)
        compile_feature(build, draft, &view->features[i],
                        yaml_find(&features->items[i], "expr"), &scope);
}

static void put_feature(struct buffer *text, const struct feature *feature)
{
    const struct aggregation *a = &feature->aggregation;

    buffer_printf(text, STR_FMT " %s ", STR_ARG(feature->name), value_type_name(feature->type));
    if (feature->view->kind == VIEW_AGGREGATE)
        buffer_printf(
            text, "%s(" STR_FMT ") %s %lld %lld %lld %d%d", aggregate_name(a->function),
            STR_ARG(a->input), value_type_name(a->input_type), (long long)a->window_us,
            (long long)a->hop_us, (long long)a->delay_us, a->exact, a->include_current);
    if (feature->view->kind == VIEW_REQUEST)
        buffer_append(text, expression_text(feature->expression));
    buffer_append_byte(text, '\n');
}

static void put_field(struct buffer *text, const struct field *field)
{
    buffer_printf(text, STR_FMT " %s\n", STR_ARG(field->name), value_type_name(field->type));
}

static void hash_view(struct build *build, struct view *view)
{
    struct buffer text = { 0 };

    /* Not the ttl: it clips what is read, so what is stored stays good. */
    buffer_printf(&text, "%d\n", (int)view->kind);
    if (view->kind == VIEW_REQUEST) {
        for (size_t i = 0; i < view->request_field_count; i++)
            put_field(&text, &view->request_fields[i]);
    } else {
        for (size_t i = 0; i < view->entity->key_count; i++)
            put_field(&text, &view->entity->keys[i]);
        buffer_append(&text, view->source->hash);
    }
    for (size_t i = 0; i < view->feature_count; i++)
        put_feature(&text, &view->features[i]);
    view->hash = definition_hash(build->arena, buffer_str(&text));
    buffer_free(&text);
}

/* Stored ones first: expressions name their features and need their types. */
void build_link_views(struct build *build)
{
    for (size_t i = 0; i < build->draft_count; i++) {
        struct draft *draft = &build->drafts[i];
        struct view *view = draft->object;

        if (str_equal(draft->item.kind, STR("view")) && view->kind != VIEW_REQUEST)
            link_stored(build, draft, view);
    }
    for (size_t i = 0; i < build->draft_count; i++) {
        struct draft *draft = &build->drafts[i];
        struct view *view = draft->object;

        if (!str_equal(draft->item.kind, STR("view")))
            continue;
        if (view->kind == VIEW_REQUEST)
            link_request(build, draft, view);
        if (!draft->is_broken)
            hash_view(build, view);
    }
}
