/* SPDX-License-Identifier: Apache-2.0 */
/* Services: which features they list, and the plan that says how to compute them. */
#include "features/definition_internal.h"

struct planner {
    struct build *build;
    struct draft *draft;
    struct service *service;
    struct plan *plan;
    const struct yaml_node *node; /* the entry of `features` at work */
    size_t key_capacity, field_capacity, view_capacity, expression_capacity, output_capacity;
};

/* The index of the field in the union; equal names mean the same value, so the types must agree. */
static size_t unite(struct planner *planner, const struct field *field, struct field **fields,
                    size_t *count, size_t *capacity)
{
    for (size_t i = 0; i < *count; i++) {
        if (!str_equal((*fields)[i].name, field->name))
            continue;
        if ((*fields)[i].type != field->type)
            build_error(planner->build, planner->draft, planner->node,
                        "'" STR_FMT "' is %s here, but %s in another view of the service",
                        STR_ARG(field->name), value_type_name(field->type),
                        value_type_name((*fields)[i].type));
        return i;
    }
    ARENA_PUSH(planner->build->arena, *fields, *count, *capacity) = *field;
    return *count - 1;
}

static size_t add_request_field(struct planner *planner, const struct field *field)
{
    struct plan *plan = planner->plan;

    return unite(planner, field, &plan->request_fields, &plan->request_field_count,
                 &planner->field_capacity);
}

static struct plan_view *plan_view_of(struct planner *planner, const struct view *view)
{
    struct plan *plan = planner->plan;
    struct plan_view added = { .view = view };

    for (size_t i = 0; i < plan->view_count; i++) {
        if (plan->views[i].view == view)
            return &plan->views[i];
    }
    added.keys = ARENA_ARRAY(planner->build->arena, size_t, view->entity->key_count);
    for (size_t i = 0; i < view->entity->key_count; i++)
        added.keys[i] = unite(planner, &view->entity->keys[i], &plan->keys, &plan->key_count,
                              &planner->key_capacity);
    added.features = ARENA_ARRAY(planner->build->arena, const struct feature *,
                                 view->feature_count);
    ARENA_PUSH(planner->build->arena, plan->views, plan->view_count,
               planner->view_capacity) = added;
    return &plan->views[plan->view_count - 1];
}

static void add_stored(struct planner *planner, const struct feature *feature)
{
    struct plan_view *view = plan_view_of(planner, feature->view);

    for (size_t i = 0; i < view->feature_count; i++) {
        if (view->features[i] == feature)
            return;
    }
    view->features[view->feature_count++] = feature;
}

static void add_expression(struct planner *planner, const struct feature *feature)
{
    struct plan *plan = planner->plan;
    struct plan_expression expression = { .feature = feature };

    for (size_t i = 0; i < feature->input_count; i++) {
        const struct expression_input *input = &feature->inputs[i];

        if (input->is_request)
            add_request_field(planner, &feature->view->request_fields[input->field]);
        else
            add_stored(planner, input->feature);
    }
    ARENA_PUSH(planner->build->arena, plan->expressions, plan->expression_count,
               planner->expression_capacity) = expression;
}

static void add_output(struct planner *planner, const struct feature *feature)
{
    struct arena *arena = planner->build->arena;
    struct plan *plan = planner->plan;
    struct plan_output output = { .name = feature->name,
                                  .type = feature->type,
                                  .feature = feature };

    if (plan->output_count == FEATURES_MAX) {
        build_error(planner->build, planner->draft, planner->node,
                    "a service has at most %d features", FEATURES_MAX);
        return;
    }
    for (size_t i = 0; i < plan->output_count; i++) {
        if (plan->outputs[i].feature == feature) {
            build_error(planner->build, planner->draft, planner->node,
                        "'" STR_FMT "." STR_FMT "' is listed twice",
                        STR_ARG(feature->view->name), STR_ARG(feature->name));
            return;
        }
    }
    output.full_name = arena_printf(arena, STR_FMT "__" STR_FMT, STR_ARG(feature->view->name),
                                    STR_ARG(feature->name));
    ARENA_PUSH(arena, plan->outputs, plan->output_count, planner->output_capacity) = output;
    if (feature->view->kind == VIEW_REQUEST)
        add_expression(planner, feature);
    else
        add_stored(planner, feature);
}

static const struct feature *find_feature(struct planner *planner, const struct view *view,
                                          struct str name)
{
    const struct feature *feature = view_feature_find(view, name);
    struct str *names, near;

    if (feature != NULL)
        return feature;
    names = ARENA_ARRAY(planner->build->arena, struct str, view->feature_count);
    for (size_t i = 0; i < view->feature_count; i++)
        names[i] = view->features[i].name;
    near = str_nearest(name, names, view->feature_count);
    if (near.len > 0)
        build_error(planner->build, planner->draft, planner->node,
                    "view '" STR_FMT "' has no feature '" STR_FMT "'; did you mean '" STR_FMT
                    "'?",
                    STR_ARG(view->name), STR_ARG(name), STR_ARG(near));
    else
        build_error(planner->build, planner->draft, planner->node,
                    "view '" STR_FMT "' has no feature '" STR_FMT "'", STR_ARG(view->name),
                    STR_ARG(name));
    return NULL;
}

/* "view" stands for all its features, "view.feature" for one. */
static void add_entry(struct planner *planner, const struct yaml_node *entry)
{
    struct yaml_node view_node = *entry;
    size_t dot = str_index(entry->text, '.');
    const struct view *view;
    const struct feature *feature;

    planner->node = entry;
    if (entry->kind != YAML_SCALAR) {
        build_error(planner->build, planner->draft, entry,
                    "expected 'view' or 'view.feature', found %s", yaml_kind_name(entry));
        return;
    }
    view_node.text = str_slice(entry->text, 0, dot);
    view = build_reference(planner->build, planner->draft, &view_node, "view");
    if (view == NULL)
        return;
    if (dot == entry->text.len) {
        for (size_t i = 0; i < view->feature_count; i++)
            add_output(planner, &view->features[i]);
        return;
    }
    feature = find_feature(planner, view, str_slice(entry->text, dot + 1, entry->text.len));
    if (feature != NULL)
        add_output(planner, feature);
}

static size_t slot_of(const struct plan *plan, const struct feature *feature)
{
    for (size_t i = 0; i < plan->view_count; i++) {
        for (size_t f = 0; f < plan->views[i].feature_count; f++) {
            if (plan->views[i].features[f] == feature)
                return plan->views[i].first_slot + f;
        }
    }
    for (size_t i = 0; i < plan->expression_count; i++) {
        if (plan->expressions[i].feature == feature)
            return plan->expressions[i].slot;
    }
    return 0;
}

static size_t request_field_index(const struct plan *plan, struct str name)
{
    size_t index = 0;

    while (!str_equal(plan->request_fields[index].name, name))
        index++;
    return index;
}

static void link_inputs(struct planner *planner, struct plan_expression *expression)
{
    const struct feature *feature = expression->feature;

    expression->inputs = ARENA_ARRAY(planner->build->arena, struct plan_input,
                                     feature->input_count);
    for (size_t i = 0; i < feature->input_count; i++) {
        const struct expression_input *from = &feature->inputs[i];
        struct plan_input *input = &expression->inputs[i];

        input->is_request = from->is_request;
        input->index = from->is_request
                           ? request_field_index(
                                 planner->plan, feature->view->request_fields[from->field].name)
                           : slot_of(planner->plan, from->feature);
    }
}

/* Stored features first, view by view, so that a view's values are written side by side. */
static void assign_slots(struct planner *planner)
{
    struct plan *plan = planner->plan;

    for (size_t i = 0; i < plan->view_count; i++) {
        plan->views[i].first_slot = plan->slot_count;
        plan->slot_count += plan->views[i].feature_count;
    }
    for (size_t i = 0; i < plan->expression_count; i++) {
        plan->expressions[i].slot = plan->slot_count++;
        link_inputs(planner, &plan->expressions[i]);
    }
    for (size_t i = 0; i < plan->output_count; i++)
        plan->outputs[i].slot = slot_of(plan, plan->outputs[i].feature);
}

static void add_time(struct planner *planner)
{
    struct field time = { .name = planner->service->time, .type = TYPE_TIMESTAMP };

    if (time.name.len == 0)
        return;
    planner->node = yaml_find(planner->draft->node, "time");
    planner->plan->has_time = true;
    planner->plan->time_field = add_request_field(planner, &time);
}

/* Tables of rows, where the names become columns, know no cases of letters. */
static void find_clash(struct plan *plan)
{
    for (size_t i = 0; i < plan->output_count && plan->clash == NULL; i++) {
        for (size_t k = i + 1; k < plan->output_count; k++) {
            if (str_equal_nocase(plan->outputs[i].name, plan->outputs[k].name))
                plan->clash = &plan->outputs[i];
        }
    }
}

static const struct yaml_node *features_of(const struct planner *planner)
{
    return yaml_find(planner->draft->node, "features");
}

/* With a clash all are called by their full names. */
static void check_full_names(struct planner *planner)
{
    const struct plan *plan = planner->plan;

    for (size_t i = 0; i < plan->output_count && plan->clash != NULL; i++) {
        for (size_t k = i + 1; k < plan->output_count; k++) {
            const struct plan_output *one = &plan->outputs[i], *other = &plan->outputs[k];

            if (str_equal_nocase(one->full_name, other->full_name))
                build_error(planner->build, planner->draft, features_of(planner),
                            "'" STR_FMT "." STR_FMT "' and '" STR_FMT "." STR_FMT
                            "' cannot be told apart by name: columns of a table know no cases "
                            "of letters; rename one",
                            STR_ARG(one->feature->view->name), STR_ARG(one->name),
                            STR_ARG(other->feature->view->name), STR_ARG(other->name));
        }
    }
}

/* Keys and request fields become columns of entity rows. */
static void check_fields(struct planner *planner, const struct field *one,
                         const struct field *other)
{
    if (str_equal(one->name, other->name) && one->type != other->type)
        build_error(planner->build, planner->draft, planner->draft->node,
                    "'" STR_FMT "' is a key of type %s, but a request field of type %s",
                    STR_ARG(one->name), value_type_name(one->type),
                    value_type_name(other->type));
    if (!str_equal(one->name, other->name) && str_equal_nocase(one->name, other->name))
        build_error(planner->build, planner->draft, planner->draft->node,
                    "'" STR_FMT "' and '" STR_FMT "' cannot be told apart by name: columns of "
                    "a table know no cases of letters; rename one",
                    STR_ARG(one->name), STR_ARG(other->name));
}

static void check_clashes(struct planner *planner)
{
    struct plan *plan = planner->plan;

    find_clash(plan);
    check_full_names(planner);
    for (size_t i = 0; i < plan->key_count; i++) {
        for (size_t k = i + 1; k < plan->key_count; k++)
            check_fields(planner, &plan->keys[i], &plan->keys[k]);
        for (size_t f = 0; f < plan->request_field_count; f++)
            check_fields(planner, &plan->keys[i], &plan->request_fields[f]);
    }
    for (size_t i = 0; i < plan->request_field_count; i++) {
        for (size_t k = i + 1; k < plan->request_field_count; k++)
            check_fields(planner, &plan->request_fields[i], &plan->request_fields[k]);
    }
}

static void hash_service(struct planner *planner)
{
    const struct plan *plan = planner->plan;
    struct buffer text = { 0 };

    buffer_printf(&text, "time " STR_FMT "\n", STR_ARG(planner->service->time));
    for (size_t i = 0; i < plan->view_count; i++) {
        const struct view *view = plan->views[i].view;

        buffer_printf(&text, STR_FMT " " STR_FMT " %lld\n", STR_ARG(view->name),
                      STR_ARG(view->hash), (long long)view->ttl_us);
    }
    for (size_t i = 0; i < plan->output_count; i++)
        buffer_printf(&text, STR_FMT " " STR_FMT "\n", STR_ARG(plan->outputs[i].full_name),
                      STR_ARG(plan->outputs[i].feature->view->hash));
    planner->service->hash = definition_hash(planner->build->arena, buffer_str(&text));
    buffer_free(&text);
}

static void link_service(struct build *build, struct draft *draft)
{
    struct service *service = draft->object;
    struct planner planner = {
        .build = build, .draft = draft, .service = service, .plan = &service->plan
    };
    const struct yaml_node *features = yaml_find(draft->node, "features");

    if (draft->is_broken)
        return;
    for (size_t i = 0; i < features->count; i++)
        add_entry(&planner, &features->items[i]);
    add_time(&planner);
    if (draft->is_broken)
        return;
    assign_slots(&planner);
    check_clashes(&planner);
    hash_service(&planner);
}

void build_link_services(struct build *build)
{
    for (size_t i = 0; i < build->draft_count; i++) {
        if (str_equal(build->drafts[i].item.kind, STR("service")))
            link_service(build, &build->drafts[i]);
    }
}
