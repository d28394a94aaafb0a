/* SPDX-License-Identifier: Apache-2.0 */
#include "features/definition_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "features/source_spec.h"
#include "support/test.h"

#include <unistd.h>

static struct error err;

/* A throw-away project; its sources' columns come from a table instead of DuckDB. */
struct project {
    struct arena *arena;
    char *folder;
    struct definition_errors errors;
    int described; /* sources whose columns were asked for */
    bool knows_all;
};

static const struct {
    const char *source, *column, *native;
    enum value_type type;
    bool is_usable;
} table[] = {
    { "transactions", "customer_id", "INTEGER", TYPE_INT32, true },
    { "transactions", "terminal", "VARCHAR", TYPE_STRING, true },
    { "transactions", "amount", "DOUBLE", TYPE_FLOAT64, true },
    { "transactions", "is_fraud", "BOOLEAN", TYPE_BOOL, true },
    { "transactions", "items", "INTEGER", TYPE_INT32, true },
    { "transactions", "tags", "VARCHAR[]", TYPE_STRING, false },
    { "transactions", "tx_time", "TIMESTAMP", TYPE_TIMESTAMP, true },
    { "transactions", "loaded_at", "TIMESTAMP", TYPE_TIMESTAMP, true },
    { "big", "customer_id", "BIGINT", TYPE_INT64, true },
    { "big", "amount", "DOUBLE", TYPE_FLOAT64, true },
    { "big", "tx_time", "TIMESTAMP", TYPE_TIMESTAMP, true },
};

#define WIDE 3000

/* k, t, and many more. */
static void describe_wide(struct arena *arena, struct source_description *out)
{
    out->count = WIDE + 2;
    out->columns = ARENA_ARRAY(arena, struct source_column, out->count);
    for (size_t i = 0; i < out->count; i++)
        out->columns[i] = (struct source_column){ arena_printf(arena, "c%zu", i), STR("DOUBLE"),
                                                  true, TYPE_FLOAT64 };
    out->columns[WIDE] = (struct source_column){ STR("customer_id"), STR("BIGINT"), true,
                                                 TYPE_INT64 };
    out->columns[WIDE + 1] = (struct source_column){ STR("tx_time"), STR("TIMESTAMP"), true,
                                                     TYPE_TIMESTAMP };
}

static enum status fake_describe(void *context, struct arena *arena,
                                 const struct source_question *question,
                                 struct source_description *out, struct error *error)
{
    struct project *project = context;

    (void)error;
    for (size_t i = 0; i < question->count; i++) {
        out[i].columns = ARENA_ARRAY(arena, struct source_column, ARRAY_LEN(table));
        project->described++;
        for (size_t t = 0; t < ARRAY_LEN(table); t++) {
            if (!str_equal(question->sources[i]->name, str_from(table[t].source)))
                continue;
            out[i].columns[out[i].count++] = (struct source_column){ str_from(table[t].column),
                                                                     str_from(table[t].native),
                                                                     table[t].is_usable,
                                                                     table[t].type };
        }
        if (str_equal(question->sources[i]->name, STR("wide")))
            describe_wide(arena, &out[i]);
        if (out[i].count == 0 && !project->knows_all)
            out[i].error = STR("this file is cut off");
    }
    return STATUS_OK;
}

static void write_in(struct project *project, const char *name, const char *text)
{
    struct str path = arena_printf(project->arena, "%s/%s", project->folder, name);

    assert_ok(
        folder_create(arena_printf(project->arena, "%s/features", project->folder).data, &err));
    assert_ok(
        folder_create(arena_printf(project->arena, "%s/data", project->folder).data, &err));
    assert_ok(file_write(path.data, str_from(text), &err));
}

static struct project project_new(const char *yaml)
{
    struct project project = { .arena = arena_new(), .folder = test_folder() };

    project.errors.arena = project.arena;
    write_in(&project, "data/tx.parquet", "x");
    write_in(&project, "features/all.yaml", yaml);
    return project;
}

static void project_free(struct project *project)
{
    assert_ok(folder_remove(project->folder, &err));
    free(project->folder);
    arena_free(project->arena);
}

static enum status load(struct project *project, const struct definitions *recorded,
                        const struct definitions **out)
{
    struct definition_input input = { .project = project->folder,
                                      .describe = fake_describe,
                                      .describe_context = project,
                                      .recorded = recorded };
    struct definitions *loaded = NULL;
    enum status status = definitions_load(&input, &project->errors, &loaded, &err);

    *out = loaded;
    return status;
}

#define BASICS \
    "entity: customer\nkey: customer_id\ntype: int64\n---\n" \
    "entity: terminal\nkeys: {customer_id: int64, terminal: string}\n---\n" \
    "source: transactions\npath: data/*.parquet\ntime: tx_time\ncreated: loaded_at\n---\n" \
    "source: big\nsql: SELECT * FROM Transactions WHERE amount > 100\ntime: tx_time\n---\n"

#define VIEWS \
    BASICS \
    "view: activity\nentity: customer\nsource: transactions\nfeatures:\n" \
    "  last: {last: amount}\n  count_1d: {count: '*', window: 1d}\n" \
    "  avg_7d: {avg: amount, window: 7d}\n  items_30d: {sum: items, window: 30d}\n" \
    "  risk_7d: {avg: is_fraud, window: 7d, delay: 7d, exact: true}\n---\n" \
    "view: place\nentity: terminal\nsource: transactions\nttl: 90d\ncolumns: [amount, items]\n---\n" \
    "view: shape\nrequest: {amount: float64, at: timestamp}\nfeatures:\n" \
    "  ratio: {expr: \"amount / activity.avg_7d\"}\n  night: {expr: hour(at) <= 6}\n---\n"

TEST(a_project_is_read_checked_and_linked)
{
    struct project project = project_new(
        VIEWS "service: fraud\ntime: at\nfeatures: [place, shape.ratio, activity.count_1d]\n");
    const struct definitions *defs;
    const struct service *service = NULL;
    const struct view *activity;
    const struct plan *plan;

    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s", err.message);
    activity = definitions_view_find(defs, STR("activity"));
    assert_int_equal(activity->kind, VIEW_AGGREGATE);
    assert_int_equal(view_feature_find(activity, STR("last"))->type, TYPE_FLOAT64);
    assert_int_equal(view_feature_find(activity, STR("count_1d"))->type, TYPE_INT64);
    assert_int_equal(view_feature_find(activity, STR("items_30d"))->type, TYPE_INT64);
    assert_int_equal(view_feature_find(activity, STR("risk_7d"))->aggregation.hop_us, 0);
    assert_int_equal(view_feature_find(activity, STR("avg_7d"))->aggregation.hop_us,
                     US_PER_HOUR);
    assert_int_equal(view_feature_find(activity, STR("items_30d"))->aggregation.hop_us,
                     US_PER_DAY);
    assert_int_equal(definitions_source_find(defs, STR("big"))->read_count, 1);
    assert_ok(definitions_service_get(defs, STR("fraud"), &service, &err));
    plan = &service->plan;
    assert_int_equal(plan->key_count, 2);
    assert_str_equal(plan->keys[0].name, STR("customer_id"));
    assert_int_equal(plan->request_field_count, 2);
    assert_true(plan->has_time);
    assert_str_equal(plan->request_fields[plan->time_field].name, STR("at"));
    assert_int_equal(plan->output_count, 4);
    assert_str_equal(plan->outputs[2].full_name, STR("shape__ratio"));
    /* place: 2 slots, activity: avg_7d for the ratio and count_1d, then the ratio itself. */
    assert_int_equal(plan->view_count, 2);
    assert_int_equal(plan->slot_count, 5);
    assert_int_equal(plan->outputs[2].slot, 4);
    assert_int_equal(plan->outputs[3].slot, 3);
    assert_false(plan->expressions[0].inputs[1].is_request);
    assert_int_equal(plan->expressions[0].inputs[1].index, 2);
    assert_null(plan->clash);
    definitions_unref(&defs);
    project_free(&project);
}

TEST(columns_of_files_that_did_not_change_are_not_asked_again)
{
    struct project project = project_new(VIEWS);
    const struct definitions *defs, *again;
    struct str path;

    assert_int_equal(load(&project, NULL, &defs), STATUS_OK);
    assert_int_equal(project.described, 2);
    assert_int_equal(load(&project, defs, &again), STATUS_OK);
    assert_int_equal(project.described, 2);
    assert_str_equal(definitions_view_find(defs, STR("activity"))->hash,
                     definitions_view_find(again, STR("activity"))->hash);
    definitions_unref(&again);
    path = arena_printf(project.arena, "%s/data/more.parquet", project.folder);
    assert_ok(file_write(path.data, STR("y"), &err));
    assert_int_equal(load(&project, defs, &again), STATUS_OK);
    assert_int_equal(project.described, 4);
    definitions_unref(&again);
    definitions_unref(&defs);
    project_free(&project);
}

/* The messages that loading the text gives, one a line. */
static void gives(const char *yaml, const char *wanted)
{
    struct project project = project_new(yaml);
    const struct definitions *defs;
    struct str found = STR_EMPTY;

    if (load(&project, NULL, &defs) == STATUS_OK)
        fail_msg("accepted: %s", yaml);
    assert_int_equal(err.status, STATUS_INVALID);
    for (size_t i = 0; i < project.errors.count; i++) {
        const struct definition_error *item = &project.errors.items[i];

        found = arena_printf(project.arena, STR_FMT STR_FMT ":%d:%d: " STR_FMT "\n",
                             STR_ARG(found), STR_ARG(item->place.file), item->place.line,
                             item->place.column, STR_ARG(item->message));
    }
    if (!str_equal(found, str_from(wanted)))
        fail_msg("%s\ngave\n%s\nwanted\n%s", yaml, found.data, wanted);
    project_free(&project);
}

TEST(mistakes_are_told_with_their_place)
{
    gives("viw: x\n", "features/all.yaml:1:1: unknown kind 'viw'; did you mean 'view'?\n");
    gives("- 1\n",
          "features/all.yaml:1:1: a definition begins with 'entity:', 'source:', 'view:' "
          "or 'service:'\n");
    gives(
        "entity: a b\nkey: x\ntype: int64\n",
        "features/all.yaml:1:9: 'a b' is no name: a letter or '_', then letters, digits, '_' and "
        "'-'\n");
    gives("entity: a\nkey: x\ntype: int6\n",
          "features/all.yaml:3:7: unknown type 'int6'; did you mean 'int64'?\n");
    gives("entity: a\nkey: x\ntype: float64\n",
          "features/all.yaml:3:7: key 'x' cannot be float64: floats do not compare well\n");
    gives(
        "entity: a\nkeys: {a: int64, b: int64, c: int64, d: int64, e: int64, f: int64, g: int64, "
        "h: int64, i: int64, j: int64, k: int64, l: int64, m: int64, n: int64, o: int64, p: int64, "
        "q: int64}\n",
        "features/all.yaml:2:7: an entity has at most 16 keys, this one 17\n");
    gives("entity: a\n",
          "features/all.yaml:1:1: an entity has either 'key' and 'type', or 'keys: "
          "{name: type, …}'\n");
    gives(
        "entity: a\nkey: x\ntype: int64\n---\nentity: a\nkey: x\ntype: int64\n",
        "features/all.yaml:5:1: entity 'a' is defined twice; features/all.yaml:1 has it too\n");
    gives(
        "source: s\npath: data/x.txt\n",
        "features/all.yaml:2:7: a path ends in .parquet, .csv, .csv.gz or .tsv and may hold * and "
        "?\n");
    gives("source: s\npath: data/none.parquet\n",
          "features/all.yaml:2:7: there is no file 'data/none.parquet' in the project\n");
    gives("source: s\npath: data/tx.parquet\n",
          "features/all.yaml:2:7: this file is cut off\n");
    gives("source: q\nsql: SELECT * FROM r\n---\nsource: r\nsql: SELECT * FROM s\n---\n"
          "source: s\npath: data/tx.parquet\n",
          "features/all.yaml:8:7: this file is cut off\n");
    gives("a:\n\tb: 1\n", "features/all.yaml:2:1: tabs may not indent; use spaces\n");
    gives("source: a\nsql: SELECT * FROM b\n---\nsource: b\nsql: SELECT * FROM a\n",
          "features/all.yaml:1:1: source 'a' reads itself by way of other sources\n"
          "features/all.yaml:4:1: source 'b' reads itself by way of other sources\n");
}

/* Whatever stands first in the file: who only reads the circle is not told again. */
TEST(sources_in_a_circle_are_told_once_each)
{
    gives("source: x\nsql: SELECT * FROM a\n---\nsource: a\nsql: SELECT * FROM b\n---\n"
          "source: b\nsql: SELECT * FROM a\n---\nsource: y\nsql: SELECT * FROM x\n",
          "features/all.yaml:4:1: source 'a' reads itself by way of other sources\n"
          "features/all.yaml:7:1: source 'b' reads itself by way of other sources\n");
    gives("source: x\nsql: SELECT * FROM a JOIN c USING (k)\n---\n"
          "source: a\nsql: SELECT * FROM b\n---\nsource: b\nsql: SELECT * FROM a, c\n---\n"
          "source: c\nsql: SELECT * FROM d\n---\nsource: d\nsql: SELECT * FROM c, a\n",
          "features/all.yaml:4:1: source 'a' reads itself by way of other sources\n"
          "features/all.yaml:7:1: source 'b' reads itself by way of other sources\n"
          "features/all.yaml:10:1: source 'c' reads itself by way of other sources\n"
          "features/all.yaml:13:1: source 'd' reads itself by way of other sources\n");
}

/* Each is looked at once, however many ways lead to it. */
TEST(sources_upon_sources)
{
    struct project project = project_new("");
    struct str yaml = STR("source: transactions\npath: data/*.parquet\n");
    const struct definitions *defs;

    for (int i = 0; i < 40; i++) {
        yaml = arena_printf(project.arena,
                            STR_FMT "---\nsource: s%d\nsql: SELECT * FROM transactions",
                            STR_ARG(yaml), i);
        for (int k = 0; k < i; k++)
            yaml = arena_printf(project.arena, STR_FMT ", s%d", STR_ARG(yaml), k);
        yaml = arena_printf(project.arena, STR_FMT "\n", STR_ARG(yaml));
    }
    write_in(&project, "features/all.yaml", yaml.data);
    assert_int_equal(load(&project, NULL, &defs), STATUS_INVALID);
    assert_int_equal(project.errors.count, 1); /* the table knows no columns of s0 */
    assert_int_equal(project.described, 41);
    project_free(&project);
}

/* The sources t, u and v that an SQL reads, as letters. */
static void reads(const char *sql, const char *wanted)
{
    char yaml[1000], found[4] = "";
    struct project project;
    const struct definitions *defs;
    const struct source *source;

    snprintf(yaml, sizeof(yaml),
             "source: t\npath: data/tx.parquet\n---\nsource: u\npath: data/tx.parquet\n---\n"
             "source: v\npath: data/tx.parquet\n---\nsource: big\nsql: |\n  %s\n",
             sql);
    project = project_new(yaml);
    project.knows_all = true;
    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s: %s", sql, err.message);
    source = definitions_source_find(defs, STR("big"));
    for (size_t i = 0; i < source->read_count; i++)
        found[i] = source->reads[i]->name.data[0];
    if (strcmp(found, wanted) != 0)
        fail_msg("%s\nreads '%s', wanted '%s'", sql, found, wanted);
    definitions_unref(&defs);
    project_free(&project);
}

TEST(a_column_of_a_sources_name_is_no_table)
{
    reads("SELECT t, u + 1 AS v FROM t WHERE v > u ORDER BY u", "t");
    reads("SELECT * FROM t JOIN u ON t.v = u.v AND v IN (SELECT v FROM t)", "tu");
    reads("SELECT * FROM t a JOIN u b ON a.order = b.order, v", "tuv");
    reads("SELECT * FROM t WHERE EXISTS (FROM v SELECT u)", "tv");
    reads("SELECT 'FROM u' AS x, \"from\" FROM t -- , u\n  /* FROM /* v */ u */", "t");
    reads("SELECT E'it\\'s', $$ FROM u $$, $x$ FROM u $x$ FROM T", "t");
    reads("WITH x AS (SELECT u FROM v) SELECT t FROM x, \"u\"", "uv");
    reads("SELECT * FROM query_table('v')", "v");
    reads("FROM main.t UNION ALL BY NAME (TABLE u)", "tu");
    reads("PIVOT t ON u USING sum(v) GROUP BY v", "t");
    reads("SELECT * FROM ((t CROSS JOIN u))", "tu");
}

TEST(mistakes_in_views)
{
    gives(BASICS
          "view: v\nentity: custmer\nsource: transactions\nfeatures: {x: {count: '*'}}\n",
          "features/all.yaml:18:9: there is no entity 'custmer'; did you mean 'customer'?\n");
    gives(BASICS
          "view: v\nentity: customer\nsource: transactions\nfeatures:\n  x: {avg: amout}\n"
          "  y: {sum: terminal}\n  z: {sum: tags}\n  w: {cnt: amount}\n",
          "features/all.yaml:24:7: unknown key 'cnt'; did you mean 'count'?\n");
    gives(
        BASICS "view: v\nentity: customer\nsource: transactions\nfeatures:\n  x: {avg: amout}\n"
               "  y: {sum: terminal}\n  z: {sum: tags}\n",
        "features/all.yaml:21:12: source 'transactions' has no column 'amout'; did you mean "
        "'amount'?\n"
        "features/all.yaml:22:12: sum wants numbers or bools, not string\n"
        "features/all.yaml:23:12: column 'tags' is VARCHAR[], which no feature can have; convert it "
        "with SQL\n");
    gives(BASICS "view: v\nentity: terminal\nsource: big\ncolumns: [amount]\n",
          "features/all.yaml:19:9: source 'big' has no column 'terminal', the key of entity "
          "'terminal'\n");
    gives(
        BASICS "view: v\nentity: customer\nsource: transactions\nfeatures:\n"
               "  x: {count: '*', window: soon}\n",
        "features/all.yaml:21:27: 'window': expected a duration like 90d, 12h, 5m, 30s or 250ms, "
        "found 'soon'\n");
    gives(
        VIEWS "view: r\nrequest: {a: float64}\nfeatures:\n  x: {expr: 'a + actvity.avg_7d'}\n",
        "features/all.yaml:42:18: unknown name 'actvity.avg_7d'; did you mean 'activity.avg_7d'?\n");
    gives(VIEWS "view: r\nsource: big\nrequest: {a: float64}\nfeatures:\n  x: {expr: a}\n",
          "features/all.yaml:40:9: 'source' has no place in a view with 'request': nothing is "
          "stored\n");
}

/* A snapshot lives for long: it holds what is defined, and not the square of it. */
TEST(a_wide_table_takes_no_more_than_its_width)
{
    struct project project = project_new("");
    struct buffer yaml = { 0 };
    const struct definitions *defs;

    buffer_append(&yaml, STR(BASICS "source: wide\npath: data/tx.parquet\ntime: tx_time\n---\n"
                                    "view: w\nentity: customer\nsource: wide\ncolumns: [c0"));
    for (int i = 1; i < WIDE; i++)
        buffer_printf(&yaml, ",c%d", i);
    buffer_append(&yaml, STR("]\n---\nservice: s\nfeatures: [w.c0"));
    for (int i = 1; i < WIDE; i++)
        buffer_printf(&yaml, ",w.c%d", i);
    buffer_append(&yaml, STR("]\n"));
    buffer_append_byte(&yaml, '\0');
    write_in(&project, "features/all.yaml", yaml.data);
    buffer_free(&yaml);
    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_int_equal(definitions_service_find(defs, STR("s"))->plan.output_count, WIDE);
    assert_true(arena_size(defs->arena) < (size_t)32 << 20);
    definitions_unref(&defs);
    project_free(&project);
}

TEST(a_project_has_so_many_definitions)
{
    struct buffer yaml = { 0 };

    for (int i = 0; i < 10001; i++)
        buffer_printf(&yaml, "entity: e%d\nkey: k\ntype: int64\n---\n", i);
    buffer_append_byte(&yaml, '\0');
    gives(yaml.data, "features/all.yaml:40001:1: a project has at most 10000 definitions\n");
    buffer_free(&yaml);
}

/* As long a chain as there may be. */
TEST(a_long_chain_of_sources_is_followed)
{
    struct project project = project_new("");
    struct buffer yaml = { 0 };
    const struct definitions *defs;
    const struct source *last;

    buffer_append(&yaml, STR("source: s0\npath: data/tx.parquet\n"));
    for (int i = 1; i < 3000; i++)
        buffer_printf(&yaml, "---\nsource: s%d\nsql: FROM s%d\n", i, i - 1);
    buffer_append_byte(&yaml, '\0');
    write_in(&project, "features/all.yaml", yaml.data);
    buffer_free(&yaml);
    project.knows_all = true;
    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s", err.message);
    last = definitions_source_find(defs, STR("s2999"));
    (void)source_specs_json(json_mut_doc(project.arena), project.arena, &last, 1);
    definitions_unref(&defs);
    project_free(&project);
}

TEST(a_view_has_so_many_features)
{
    struct arena *arena = arena_new();
    char *names = arena_alloc(arena, 10001 * 8), *to = names;

    for (int i = 0; i < 10001; i++)
        to += sprintf(to, "%sc%05d", i > 0 ? "," : "", i);
    gives(arena_printf(
              arena, BASICS "view: v\nentity: customer\nsource: transactions\ncolumns: [%s]\n",
              names)
              .data,
          "features/all.yaml:20:10: a view has at most 10000 features, this one 10001\n");
    arena_free(arena);
}

TEST(one_mistake_gives_one_message)
{
    gives(BASICS
          "view: v\nentity: customer\nsource: transactions\nfeatures:\n  x: {avg: amout}\n---\n"
          "view: r\nrequest: {a: float64}\nfeatures:\n  y: {expr: a + v.x}\n---\n"
          "service: s\nfeatures: [v, r.y]\n",
          "features/all.yaml:21:12: source 'transactions' has no column 'amout'; did you mean "
          "'amount'?\n");
}

TEST(mistakes_in_services)
{
    gives(VIEWS "service: s\nfeatures: [activity.cont_1d, plase, shape.ratio]\n",
          "features/all.yaml:40:12: view 'activity' has no feature 'cont_1d'; did you mean "
          "'count_1d'?\n"
          "features/all.yaml:40:30: there is no view 'plase'; did you mean 'place'?\n");
    gives(VIEWS "service: s\nfeatures: [activity, activity.last]\n",
          "features/all.yaml:40:22: 'activity.last' is listed twice\n");
    gives(
        VIEWS "service: s\ntime: amount\nfeatures: [shape]\n",
        "features/all.yaml:40:7: 'amount' is timestamp here, but float64 in another view of the "
        "service\n");
    gives(VIEWS "service: s\n",
          "features/all.yaml:39:1: 'features': expected a list of views and features: [view, "
          "view.feature, …]\n");
}

TEST(equal_short_names_are_noticed)
{
    struct project project = project_new(
        VIEWS "view: again\nentity: customer\nsource: big\ncolumns: [amount]\n---\n"
              "service: s\nfeatures: [place, again]\n");
    const struct definitions *defs;

    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_str_equal(definitions_service_find(defs, STR("s"))->plan.clash->full_name,
                     STR("place__amount"));
    definitions_unref(&defs);
    project_free(&project);
}

TEST(names_that_differ_in_case_only_are_no_two_names)
{
    struct project project = project_new(
        VIEWS
        "view: again\nentity: customer\nsource: big\nfeatures: {AMOUNT: {last: amount}}\n---\n"
        "service: s\nfeatures: [place, again]\n");
    const struct definitions *defs;

    if (load(&project, NULL, &defs) != STATUS_OK)
        fail_msg("%s", err.message);
    assert_str_equal(definitions_service_find(defs, STR("s"))->plan.clash->full_name,
                     STR("place__amount"));
    definitions_unref(&defs);
    project_free(&project);
    gives(BASICS "view: v\nentity: customer\nsource: transactions\nfeatures:\n"
                 "  a: {avg: amount}\n  A: {sum: amount}\n---\nservice: s\nfeatures: [v]\n",
          "features/all.yaml:25:11: 'v.a' and 'v.A' cannot be told apart by name: columns of a "
          "table know no cases of letters; rename one\n");
    gives(
        "source: a\npath: data/tx.parquet\n---\nsource: A\npath: data/tx.parquet\n",
        "features/all.yaml:4:1: source 'A' and 'a' (features/all.yaml:1) have one name for SQL, "
        "which knows no cases of letters\n"
        "features/all.yaml:2:7: this file is cut off\n");
    gives(
        VIEWS "service: s\ntime: Customer_Id\nfeatures: [place]\n",
        "features/all.yaml:39:1: 'customer_id' and 'Customer_Id' cannot be told apart by name: "
        "columns of a table know no cases of letters; rename one\n");
}

TEST(errors_are_counted_beyond_those_that_are_kept)
{
    struct project project = project_new("");
    struct str yaml = STR_EMPTY;
    const struct definitions *defs;

    for (int i = 0; i < 60; i++)
        yaml = arena_printf(project.arena, STR_FMT "---\nentity: e%d\n", STR_ARG(yaml), i);
    write_in(&project, "features/all.yaml", yaml.data);
    assert_int_equal(load(&project, NULL, &defs), STATUS_INVALID);
    assert_int_equal(project.errors.count, DEFINITION_ERRORS_MAX);
    assert_int_equal(project.errors.left_out, 10);
    assert_str_contains(str_from(err.message),
                        STR("60 mistakes, the first: features/all.yaml:2:1:"));
    project_free(&project);
}

TEST(a_project_without_features_is_empty)
{
    struct project project = project_new("");
    const struct definitions *defs;
    size_t count;
    assert_ok(
        folder_remove(arena_printf(project.arena, "%s/features", project.folder).data, &err));
    assert_int_equal(load(&project, NULL, &defs), STATUS_OK);
    definitions_items(defs, &count);
    assert_int_equal(count, 0);
    definitions_unref(&defs);
    project_free(&project);
}

TEST_MAIN(TEST_CASE(a_project_is_read_checked_and_linked),
          TEST_CASE(columns_of_files_that_did_not_change_are_not_asked_again),
          TEST_CASE(mistakes_are_told_with_their_place),
          TEST_CASE(sources_in_a_circle_are_told_once_each), TEST_CASE(sources_upon_sources),
          TEST_CASE(a_column_of_a_sources_name_is_no_table), TEST_CASE(mistakes_in_views),
          TEST_CASE(a_wide_table_takes_no_more_than_its_width),
          TEST_CASE(a_project_has_so_many_definitions),
          TEST_CASE(a_long_chain_of_sources_is_followed),
          TEST_CASE(a_view_has_so_many_features), TEST_CASE(one_mistake_gives_one_message),
          TEST_CASE(mistakes_in_services), TEST_CASE(equal_short_names_are_noticed),
          TEST_CASE(names_that_differ_in_case_only_are_no_two_names),
          TEST_CASE(errors_are_counted_beyond_those_that_are_kept),
          TEST_CASE(a_project_without_features_is_empty))
