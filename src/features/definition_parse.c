/* SPDX-License-Identifier: Apache-2.0 */
/* Documents into structs: which keys there are, and what kind of value each takes. */
#include "features/definition_internal.h"

#include "features/offline/key_table.h"

#define KEYS(...) \
    (const struct str[]) \
    { \
        __VA_ARGS__ \
    }
#define KEY_COUNT(...) (sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))
#define NOTES STR("description"), STR("owner"), STR("tags")
#define ONLY_KEYS(build, draft, ...) \
    only_keys((build), (draft), (draft)->node, KEYS(__VA_ARGS__), KEY_COUNT(__VA_ARGS__))

static bool only_keys(struct build *build, struct draft *draft, const struct yaml_node *map,
                      const struct str *known, size_t count)
{
    struct error err;
    enum status status = yaml_only_keys(map, known, count, &err);

    build_note(build, draft, status, &err);
    return status == STATUS_OK;
}

static void parse_notes(struct build *build, struct draft *draft, struct notes *out)
{
    const struct yaml_node *tags = yaml_find(draft->node, "tags");
    struct error err;

    build_note(build, draft, yaml_want_str(draft->node, "description", &out->description, &err),
               &err);
    build_note(build, draft, yaml_want_str(draft->node, "owner", &out->owner, &err), &err);
    if (tags == NULL || tags->kind == YAML_NULL)
        return;
    if (tags->kind != YAML_MAPPING)
        build_error(build, draft, tags, "'tags': expected a mapping (key: value), found %s",
                    yaml_kind_name(tags));
    else
        out->tags = json_mut_write(build->arena,
                                   yaml_to_json(json_mut_doc(build->arena), tags));
}

static bool parse_type(struct build *build, struct draft *draft, const struct yaml_node *node,
                       enum value_type *out)
{
    struct str names[VALUE_TYPE_COUNT];
    struct str near;

    if (node->kind == YAML_SCALAR && value_type_parse(node->text, out))
        return true;
    for (unsigned i = 0; i < VALUE_TYPE_COUNT; i++)
        names[i] = str_from(value_type_name((enum value_type)i));
    near = str_nearest(node->text, names, VALUE_TYPE_COUNT);
    if (node->kind == YAML_SCALAR && near.len > 0)
        build_error(build, draft, node,
                    "unknown type '" STR_FMT "'; did you mean '" STR_FMT "'?",
                    STR_ARG(str_slice(node->text, 0, 80)), STR_ARG(near));
    else
        build_error(build, draft, node,
                    "expected a type: bool, int32, int64, float32, float64, string, bytes or "
                    "timestamp");
    return false;
}

/* "{name: type, …}" */
static void parse_fields(struct build *build, struct draft *draft, const struct yaml_node *map,
                         bool names_are_columns, struct field **out, size_t *count)
{
    struct field *fields = ARENA_ARRAY(build->arena, struct field, map->count);

    if (map->kind != YAML_MAPPING || map->count == 0) {
        build_error(build, draft, map,
                    "expected names with their types, as in {amount: float64}");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (!names_are_columns && !build_check_name(build, draft, &map->keys[i]))
            continue;
        fields[i].name = map->keys[i].text;
        parse_type(build, draft, &map->items[i], &fields[i].type);
    }
    *out = fields;
    *count = map->count;
}

static void check_key_types(struct build *build, struct draft *draft,
                            const struct entity *entity, const struct yaml_node *node)
{
    for (size_t i = 0; i < entity->key_count; i++) {
        enum value_type type = entity->keys[i].type;

        if (type == TYPE_FLOAT32 || type == TYPE_FLOAT64)
            build_error(build, draft, node,
                        "key '" STR_FMT "' cannot be %s: floats do not compare well",
                        STR_ARG(entity->keys[i].name), value_type_name(type));
    }
}

static void parse_entity(struct build *build, struct draft *draft)
{
    struct entity *entity = draft->object;
    const struct yaml_node *key = yaml_find(draft->node, "key");
    const struct yaml_node *keys = yaml_find(draft->node, "keys");
    const struct yaml_node *type = yaml_find(draft->node, "type");

    if (!ONLY_KEYS(build, draft, STR("entity"), STR("key"), STR("type"), STR("keys"), NOTES))
        return;
    parse_notes(build, draft, &entity->notes);
    if ((key == NULL) == (keys == NULL)) {
        build_error(build, draft, draft->node,
                    "an entity has either 'key' and 'type', or 'keys: {name: type, …}'");
        return;
    }
    if (keys != NULL) {
        parse_fields(build, draft, keys, false, &entity->keys, &entity->key_count);
        check_key_types(build, draft, entity, keys);
        if (entity->key_count > KEY_COLUMNS_MAX)
            build_error(build, draft, keys, "an entity has at most %d keys, this one %zu",
                        KEY_COLUMNS_MAX, entity->key_count);
        return;
    }
    if (type == NULL) {
        build_error(build, draft, draft->node, "'type' is missing: the type of the key");
        return;
    }
    entity->keys = ARENA_NEW(build->arena, struct field);
    entity->key_count = 1;
    entity->keys[0].name = key->text;
    if (build_check_name(build, draft, key) &&
        parse_type(build, draft, type, &entity->keys[0].type))
        check_key_types(build, draft, entity, type);
}

static bool is_file_of_rows(struct str path)
{
    static const struct str endings[] = { STR_INIT(".parquet"), STR_INIT(".pq"),
                                          STR_INIT(".csv"), STR_INIT(".csv.gz"),
                                          STR_INIT(".tsv") };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (str_ends(path, endings[i]))
            return true;
    }
    return false;
}

static void parse_source_text(struct build *build, struct draft *draft, struct source *source)
{
    const struct yaml_node *path = yaml_find(draft->node, "path");
    const struct yaml_node *sql = yaml_find(draft->node, "sql");
    const struct yaml_node *text = path != NULL ? path : sql;

    if ((path == NULL) == (sql == NULL)) {
        build_error(build, draft, draft->node, "a source has either 'path' or 'sql'");
        return;
    }
    if (text->kind != YAML_SCALAR || str_trim(text->text).len == 0) {
        build_error(build, draft, text, "'%s' wants text, found %s",
                    path != NULL ? "path" : "sql",
                    text->kind == YAML_SCALAR ? "nothing" : yaml_kind_name(text));
        return;
    }
    source->kind = path != NULL ? SOURCE_FILES : SOURCE_SQL;
    source->text = str_trim(text->text);
    source->text_place = (struct place){ text->file, text->line, text->column };
    if (path != NULL && !is_file_of_rows(source->text))
        build_error(build, draft, path,
                    "a path ends in .parquet, .csv, .csv.gz or .tsv and may hold * and ?");
}

static void parse_source(struct build *build, struct draft *draft)
{
    struct source *source = draft->object;
    const struct yaml_node *types = yaml_find(draft->node, "types");
    struct error err;

    if (!ONLY_KEYS(build, draft, STR("source"), STR("path"), STR("sql"), STR("time"),
                   STR("created"), STR("types"), NOTES))
        return;
    parse_notes(build, draft, &source->notes);
    parse_source_text(build, draft, source);
    build_note(build, draft, yaml_want_str(draft->node, "time", &source->time, &err), &err);
    build_note(build, draft, yaml_want_str(draft->node, "created", &source->created, &err),
               &err);
    if (types != NULL && types->kind != YAML_NULL)
        parse_fields(build, draft, types, true, &source->overrides, &source->override_count);
}

static struct feature *add_feature(struct view *view, const struct yaml_node *place,
                                   struct str name)
{
    struct feature *feature = &view->features[view->feature_count];

    feature->name = name;
    feature->view = view;
    feature->index = view->feature_count++;
    feature->place = (struct place){ place->file, place->line, place->column };
    return feature;
}

/* The one key of the feature that is an aggregate's name. */
static const struct yaml_node *find_aggregate(struct build *build, struct draft *draft,
                                              const struct yaml_node *node,
                                              enum aggregate_function *function)
{
    const struct yaml_node *found = NULL;

    for (size_t i = 0; i < node->count; i++) {
        enum aggregate_function named;

        if (!aggregate_parse(node->keys[i].text, &named))
            continue;
        if (found != NULL) {
            build_error(build, draft, &node->keys[i],
                        "a feature has one aggregate, this is the second");
            return NULL;
        }
        found = &node->items[i];
        *function = named;
    }
    if (found == NULL)
        build_error(
            build, draft, node,
            "a feature says what it is: {count: \"*\", window: 1d}, {avg: amount, window: "
            "7d}, …; or {expr: …} in a view with 'request'");
    return found;
}

static void parse_window(struct build *build, struct draft *draft, const struct yaml_node *node,
                         struct aggregation *out)
{
    const struct yaml_node *window = yaml_find(node, "window");
    struct error err;

    build_note(build, draft, yaml_want_duration_us(node, "delay", &out->delay_us, &err), &err);
    build_note(build, draft, yaml_want_bool(node, "exact", &out->exact, &err), &err);
    build_note(build, draft,
               yaml_want_bool(node, "include_current", &out->include_current, &err), &err);
    if (yaml_want_duration_us(node, "window", &out->window_us, &err) != STATUS_OK)
        build_note(build, draft, STATUS_INVALID, &err);
    else if (window != NULL && out->window_us == 0)
        build_error(build, draft, window,
                    "a window is longer than 0; without 'window' it covers everything before");
    if (out->window_us > 0 && !out->exact)
        out->hop_us = window_hop_us(out->window_us);
}

static void parse_aggregation(struct build *build, struct draft *draft, struct feature *feature,
                              const struct yaml_node *node)
{
    struct aggregation *aggregation = &feature->aggregation;
    const struct yaml_node *input = find_aggregate(build, draft, node, &aggregation->function);
    bool is_star;

    if (input == NULL)
        return;
    is_star = str_equal(input->text, STR("*"));
    if (input->kind != YAML_SCALAR || (is_star && aggregation->function != AGGREGATE_COUNT))
        build_error(build, draft, input, "%s wants the name of a column of the source",
                    aggregate_name(aggregation->function));
    else if (!is_star)
        aggregation->input = input->text;
    aggregation->input_type = TYPE_INT64;
    parse_window(build, draft, node, aggregation);
}

static void parse_feature(struct build *build, struct draft *draft, struct view *view,
                          const struct yaml_node *name, const struct yaml_node *node)
{
    struct feature *feature = add_feature(view, name, name->text);
    struct str known[AGGREGATE_FUNCTION_COUNT + 5] = { STR("description"), STR("window"),
                                                       STR("delay"), STR("exact"),
                                                       STR("include_current") };
    struct error err;

    if (!build_check_name(build, draft, name))
        return;
    if (node->kind != YAML_MAPPING) {
        build_error(build, draft, node, "feature '" STR_FMT "': expected a mapping, found %s",
                    STR_ARG(name->text), yaml_kind_name(node));
        return;
    }
    build_note(build, draft, yaml_want_str(node, "description", &feature->description, &err),
               &err);
    if (view->kind == VIEW_REQUEST) {
        struct str text;

        only_keys(build, draft, node, KEYS(STR("expr"), STR("description")), 2);
        build_note(build, draft, yaml_need_str(node, "expr", &text, &err), &err);
        return;
    }
    memcpy(known + 5, aggregate_names, sizeof(aggregate_names));
    if (yaml_find(node, "expr") != NULL)
        build_error(build, draft, node, "'expr' stands in views with 'request'");
    else if (only_keys(build, draft, node, known, ARRAY_LEN(known)))
        parse_aggregation(build, draft, feature, node);
}

static bool check_feature_count(struct build *build, struct draft *draft,
                                const struct yaml_node *features)
{
    if (features->count <= FEATURES_MAX)
        return true;
    build_error(build, draft, features, "a view has at most %d features, this one %zu",
                FEATURES_MAX, features->count);
    return false;
}

static void parse_features(struct build *build, struct draft *draft, struct view *view)
{
    const struct yaml_node *features = yaml_find(draft->node, "features");

    if (features == NULL || features->kind != YAML_MAPPING || features->count == 0) {
        build_error(build, draft, features == NULL ? draft->node : features,
                    "a view has 'features: {name: {…}}', or 'columns: [name, …]'");
        return;
    }
    if (!check_feature_count(build, draft, features))
        return;
    view->features = ARENA_ARRAY(build->arena, struct feature, features->count);
    for (size_t i = 0; i < features->count; i++)
        parse_feature(build, draft, view, &features->keys[i], &features->items[i]);
}

static bool is_repeated(const struct view *view, struct str name)
{
    return view_feature_find(view, name) != NULL;
}

static void parse_columns(struct build *build, struct draft *draft, struct view *view)
{
    const struct yaml_node *columns = yaml_find(draft->node, "columns");

    if (yaml_find(draft->node, "features") != NULL)
        build_error(build, draft, draft->node,
                    "a view has either 'columns' or 'features'; make two views of it");
    if (columns->kind != YAML_SEQUENCE || columns->count == 0) {
        build_error(build, draft, columns, "'columns': expected a list of columns, found %s",
                    yaml_kind_name(columns));
        return;
    }
    if (!check_feature_count(build, draft, columns))
        return;
    view->features = ARENA_ARRAY(build->arena, struct feature, columns->count);
    for (size_t i = 0; i < columns->count; i++) {
        const struct yaml_node *column = &columns->items[i];

        if (!build_check_name(build, draft, column))
            continue;
        if (is_repeated(view, column->text))
            build_error(build, draft, column, "column '" STR_FMT "' is here twice",
                        STR_ARG(column->text));
        else
            add_feature(view, column, column->text)->column = column->text;
    }
}

static void parse_request_view(struct build *build, struct draft *draft, struct view *view)
{
    static const char *const stored[] = { "entity", "source", "ttl", "columns" };

    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        if (yaml_find(draft->node, stored[i]) != NULL)
            build_error(build, draft, yaml_find(draft->node, stored[i]),
                        "'%s' has no place in a view with 'request': nothing is stored",
                        stored[i]);
    }
    parse_fields(build, draft, yaml_find(draft->node, "request"), false, &view->request_fields,
                 &view->request_field_count);
    parse_features(build, draft, view);
}

static void parse_view(struct build *build, struct draft *draft)
{
    struct view *view = draft->object;
    struct error err;

    ONLY_KEYS(build, draft, STR("view"), STR("entity"), STR("source"), STR("ttl"),
              STR("features"), STR("columns"), STR("request"), NOTES);
    parse_notes(build, draft, &view->notes);
    if (yaml_find(draft->node, "request") != NULL) {
        view->kind = VIEW_REQUEST;
        parse_request_view(build, draft, view);
        return;
    }
    build_note(build, draft, yaml_want_duration_us(draft->node, "ttl", &view->ttl_us, &err),
               &err);
    if (yaml_find(draft->node, "columns") != NULL) {
        view->kind = VIEW_COLUMNS;
        parse_columns(build, draft, view);
    } else {
        view->kind = VIEW_AGGREGATE;
        parse_features(build, draft, view);
    }
}

static void parse_service(struct build *build, struct draft *draft)
{
    struct service *service = draft->object;
    const struct yaml_node *features = yaml_find(draft->node, "features");
    const struct yaml_node *time = yaml_find(draft->node, "time");
    struct error err;

    ONLY_KEYS(build, draft, STR("service"), STR("time"), STR("features"), NOTES);
    parse_notes(build, draft, &service->notes);
    build_note(build, draft, yaml_want_str(draft->node, "time", &service->time, &err), &err);
    if (service->time.len > 0)
        build_check_name(build, draft, time);
    if (features == NULL || features->kind != YAML_SEQUENCE || features->count == 0)
        build_error(
            build, draft, features == NULL ? draft->node : features,
            "'features': expected a list of views and features: [view, view.feature, …]");
}

static const struct parse_kind {
    const char *name;
    void (*parse)(struct build *build, struct draft *draft);
} kinds[] = {
    { "entity", parse_entity },
    { "source", parse_source },
    { "view", parse_view },
    { "service", parse_service },
};

static size_t count_kind(const struct build *build, const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < build->draft_count; i++)
        count += str_equal(build->drafts[i].item.kind, str_from(kind));
    return count;
}

/* The next object of its kind; all have a name and a place. */
#define MAKE(objects, count, item) \
    ((objects)[count].name = (item)->name, (objects)[count].place = (item)->place, \
     &(objects)[(count)++])

/* Objects do not move once they are there, so that others can point to them. */
static void make_objects(struct build *build)
{
    struct definitions *defs = build->definitions;

    defs->entities = ARENA_ARRAY(build->arena, struct entity, count_kind(build, "entity"));
    defs->sources = ARENA_ARRAY(build->arena, struct source, count_kind(build, "source"));
    defs->views = ARENA_ARRAY(build->arena, struct view, count_kind(build, "view"));
    defs->services = ARENA_ARRAY(build->arena, struct service, count_kind(build, "service"));
    for (size_t i = 0; i < build->draft_count; i++) {
        struct draft *draft = &build->drafts[i];
        struct definition_item *item = &draft->item;

        if (str_equal(item->kind, STR("entity")))
            draft->object = MAKE(defs->entities, defs->entity_count, item);
        else if (str_equal(item->kind, STR("source")))
            draft->object = MAKE(defs->sources, defs->source_count, item);
        else if (str_equal(item->kind, STR("view")))
            draft->object = MAKE(defs->views, defs->view_count, item);
        else if (str_equal(item->kind, STR("service")))
            draft->object = MAKE(defs->services, defs->service_count, item);
    }
}

void build_parse(struct build *build)
{
    make_objects(build);
    for (size_t i = 0; i < build->draft_count; i++) {
        struct draft *draft = &build->drafts[i];

        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            if (str_equal(draft->item.kind, str_from(kinds[k].name)))
                kinds[k].parse(build, draft);
        }
    }
}
