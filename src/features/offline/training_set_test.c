/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole job over small files: what comes out is compared as text. This program is its own
 * job: job_run starts it again.
 */
#include "base/file.h"
#include "features/offline/offline.h"
#include "features/training_set.h"

#include "support/test.h"

#include <sys/stat.h>
#include <unistd.h>

static struct arena *arena;
static struct error err;
static char *folder;

static const char *in_folder(const char *name)
{
    return arena_printf(arena, "%s/%s", folder, name).data;
}

static void write_text(const char *name, const char *text)
{
    assert_ok(file_write(in_folder(name), str_from(text), &err));
}

#define SOURCE \
    "{\"name\":\"events\",\"path\":\"events.csv\",\"time\":\"at\",\"created\":\"seen\"," \
    "\"types\":{\"code\":\"string\"}}"
#define KEYS "\"keys\":[{\"name\":\"id\",\"type\":\"int64\"}]"
#define COLUMN_VIEW \
    "{\"name\":\"state\",\"source\":0,\"keys\":[0],\"ttl_us\":3600000000,\"features\":[" \
    "{\"name\":\"last_code\",\"type\":\"string\",\"column\":\"code\"}," \
    "{\"name\":\"last_amount\",\"type\":\"float64\",\"column\":\"amount\"}]}"
#define WINDOW_VIEW \
    "{\"name\":\"sums\",\"source\":0,\"keys\":[0],\"ttl_us\":0,\"features\":[" \
    "{\"name\":\"n\",\"type\":\"int64\",\"function\":\"count\",\"input\":\"\"," \
    "\"input_type\":\"int64\",\"window_us\":3600000000}," \
    "{\"name\":\"total\",\"type\":\"float64\",\"function\":\"sum\",\"input\":\"amount\"," \
    "\"input_type\":\"float64\"}," \
    "{\"name\":\"best\",\"type\":\"string\",\"function\":\"max\",\"input\":\"code\"," \
    "\"input_type\":\"string\"}]}"
#define EXPRESSION \
    "{\"name\":\"double_n\",\"type\":\"int64\",\"text\":\"state.n * factor\",\"slot\":5,\"inputs\":[" \
    "{\"name\":\"state.n\",\"type\":\"int64\",\"request\":false,\"index\":2}," \
    "{\"name\":\"factor\",\"type\":\"int64\",\"request\":true,\"index\":0}]}"
#define OUTPUTS \
    "{\"name\":\"last_code\",\"slot\":0},{\"name\":\"last_amount\",\"slot\":1}," \
    "{\"name\":\"n\",\"slot\":2},{\"name\":\"total\",\"slot\":3},{\"name\":\"best\",\"slot\":4}," \
    "{\"name\":\"double_n\",\"slot\":5}"

static struct str spec_of(const char *entities, const char *more)
{
    return arena_printf(arena,
                        "{\"project\":\"%s\",\"out\":\"%s/out.csv\",\"format\":\"csv\","
                        "\"time\":\"when\",\"entities\":%s,\"sources\":[" SOURCE "]," KEYS ","
                        "\"request\":[{\"name\":\"factor\",\"type\":\"int64\"}],"
                        "\"views\":[" COLUMN_VIEW "," WINDOW_VIEW "],\"slots\":6,"
                        "\"expressions\":[" EXPRESSION "],\"outputs\":[" OUTPUTS "]%s}",
                        folder, folder, entities, more);
}

static enum status build(const char *entities, const char *more, struct str *result)
{
    const struct job_spec spec = { .name = "training-set",
                                   .spec = spec_of(entities, more),
                                   .limits = { .memory_bytes = UINT64_C(512) << 20,
                                               .threads = 2 } };

    return job_run(arena, &spec, result, &err);
}

static struct str read_out(void)
{
    struct str text;

    assert_ok(file_read(arena, in_folder("out.csv"), 65536, &text, &err));
    return text;
}

static void write_events(void)
{
    /* Ties in time: the later created wins, a null one is the oldest, then the later line. */
    write_text("events.csv", "id,at,seen,code,amount\n"
                             "1,2024-01-01 10:00:00,2024-01-01 10:00:05,007,0.1\n"
                             "1,2024-01-01 10:00:00,2024-01-01 10:00:09,008,0.2\n"
                             "1,2024-01-01 10:00:00,,009,\n"
                             "1,2024-01-01 11:30:00,2024-01-01 11:30:01,010,1e308\n"
                             "2,2024-01-01 09:00:00,2024-01-01 09:00:00,020,5\n"
                             ",2024-01-01 09:00:00,2024-01-01 09:00:00,nobody,7\n"
                             "2,,,untimed,7\n");
}

static void write_rows(void)
{
    write_text("rows.csv", "label,when,id,factor\n"
                           "a,2024-01-01 10:00:00,1,2\n"
                           "b,2024-01-01 12:00:00,1,3\n"
                           "c,2024-01-01 10:30:00,2,\n"
                           "d,2024-01-01 10:30:00,3,1\n"
                           "e,2024-01-01 10:30:00,,1\n"
                           "f,,1,1\n"
                           "a,2024-01-01 10:00:00,1,2\n");
}

static const char *rows_file(void)
{
    return arena_printf(arena, "{\"path\":\"%s\"}", in_folder("rows.csv")).data;
}

TEST(every_row_comes_out_once_in_its_order)
{
    struct str result;

    write_events();
    write_rows();
    assert_ok(build(rows_file(), "", &result));
    assert_str_contains(result, STR("\"rows\":7,\"columns\":10"));
    /* The head of a window excludes its own instant; a column's row may be of that instant. */
    assert_str_equal(read_out(),
                     STR("label,when,id,factor,last_code,last_amount,n,total,best,double_n\n"
                         "a,2024-01-01 10:00:00,1,2,008,0.2,0,,,0\n"
                         "b,2024-01-01 12:00:00,1,3,010,1e+308,1,1e+308,010,3\n"
                         "c,2024-01-01 10:30:00,2,,,,0,5.0,020,\n"
                         "d,2024-01-01 10:30:00,3,1,,,0,,,0\n"
                         "e,2024-01-01 10:30:00,,1,,,0,,,0\n"
                         "f,,1,1,,,0,,,0\n"
                         "a,2024-01-01 10:00:00,1,2,008,0.2,0,,,0\n"));
}

TEST(as_known_sees_nothing_that_was_created_later)
{
    struct str result;

    write_events();
    write_rows();
    assert_ok(build(rows_file(), ",\"as_known\":true", &result));
    /* At 10:00:00 only the row without a created time was known. */
    assert_str_contains(read_out(), STR("a,2024-01-01 10:00:00,1,2,009,,0,,,0\n"));
}

TEST(rows_may_come_from_sql_over_sources)
{
    struct str result;

    write_events();
    assert_ok(build("{\"sql\":\"SELECT id, \\\"at\\\" AS \\\"when\\\", 1 AS factor FROM events "
                    "WHERE id = 2 AND seen IS NOT NULL; \"}",
                    "", &result));
    assert_str_contains(read_out(), STR("2,2024-01-01 09:00:00,1,020,5.0,0,,,0\n"));
}

TEST(the_fingerprint_goes_by_content)
{
    struct str one, two, three;

    write_events();
    write_rows();
    assert_ok(build(rows_file(), "", &one));
    write_events(); /* a new file with the old content */
    assert_ok(build(rows_file(), "", &two));
    write_text("rows.csv", "label,when,id,factor\na,2024-01-01 10:00:00,1,2\n");
    assert_ok(build(rows_file(), "", &three));
#define FINGERPRINT(json) str_slice(json, str_index(json, 'f'), (json).len)
    assert_str_equal(FINGERPRINT(one), FINGERPRINT(two));
    assert_false(str_equal(FINGERPRINT(one), FINGERPRINT(three)));
}

static struct str typed_source(const char *value)
{
    return arena_printf(
        arena,
        "{\"project\":\"%s\",\"out\":\"%s/out.csv\",\"format\":\"csv\","
        "\"time\":\"when\",\"entities\":{\"sql\":\"SELECT 1 AS id, TIMESTAMP "
        "'2024-01-01 10:00:00' AS \\\"when\\\"\"}," KEYS ",\"request\":[],"
        "\"sources\":[{\"name\":\"typed\",\"time\":\"at\",\"types\":{\"n\":\"int64\"},"
        "\"sql\":\"SELECT 1::BIGINT AS id, TIMESTAMP '2024-01-01 09:00:00' AS "
        "\\\"at\\\", %s AS n\"}],\"views\":[{\"name\":\"v\",\"source\":0,"
        "\"keys\":[0],\"ttl_us\":0,\"features\":[{\"name\":\"n\","
        "\"type\":\"int64\",\"column\":\"n\"}]}],\"slots\":1,\"expressions\":[],"
        "\"outputs\":[{\"name\":\"n\",\"slot\":0}]}",
        folder, folder, value);
}

/* `types:` asks for whole numbers: one that is none is an error, not another number. */
TEST(an_integer_is_never_made_by_rounding)
{
    static const struct {
        const char *value, *wanted; /* a number, or a part of the message */
        bool fails;
    } cases[] = {
        { "7.0::DOUBLE", ",7\n", false },
        { "NULL::DOUBLE", ",\n", false },
        { "'12'", ",12\n", false },
        { "9007199254740993::BIGINT", ",9007199254740993\n", false },
        { "9007199254740993::DECIMAL(20,1)", ",9007199254740993\n", false },
        { "true", ",1\n", false },
        { "7.5::DOUBLE", "source 'typed': column 'n' has 7.5, which is not a whole number",
          true },
        { "'7.5'", "has 7.5, which is not a whole number", true },
        { "1e-12::DOUBLE", "has 1e-12, which is not a whole number", true },
        { "9007199254740993.5::DECIMAL(20,1)", "not a whole number", true },
        { "1e30::DOUBLE", "source 'typed': ", true },
        { "'NaN'::DOUBLE", "source 'typed': ", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct job_spec spec = { .name = "training-set",
                                       .spec = typed_source(cases[i].value) };
        struct str result;

        if (cases[i].fails) {
            assert_fails(STATUS_INVALID, job_run(arena, &spec, &result, &err));
            assert_str_contains(str_from(err.message), str_from(cases[i].wanted));
        } else {
            assert_ok(job_run(arena, &spec, &result, &err));
            assert_str_contains(read_out(), str_from(cases[i].wanted));
        }
    }
}

/* DuckDB calls the number of a row so, and hides it behind a column of that name. */
TEST(a_column_of_the_entity_rows_may_be_called_rowid)
{
    struct str result;

    write_events();
    write_text("rows.csv", "RowId,when,id,factor\n"
                           "70,2024-01-01 10:00:00,1,2\n"
                           "60,2024-01-01 12:00:00,1,3\n");
    assert_ok(build(rows_file(), "", &result));
    assert_str_equal(read_out(),
                     STR("RowId,when,id,factor,last_code,last_amount,n,total,best,double_n\n"
                         "70,2024-01-01 10:00:00,1,2,008,0.2,0,,,0\n"
                         "60,2024-01-01 12:00:00,1,3,010,1e+308,1,1e+308,010,3\n"));
}

/* Enough rows for several threads to write: each row still meets its own features, in its place. */
TEST(many_rows_keep_their_order)
{
    enum { MANY = 300000 };
    const struct job_spec spec = {
        .name = "training-set",
        .spec = arena_printf(
            arena,
            "{\"project\":\"%s\",\"out\":\"%s/many.csv\",\"format\":\"csv\",\"time\":\"t\","
            "\"entities\":{\"sql\":\"SELECT i AS id, TIMESTAMP '2024-01-01 10:00:00' AS t FROM "
            "range(%d) r(i)\"}," KEYS ",\"request\":[{\"name\":\"id\",\"type\":\"int64\"}],"
            "\"sources\":[],\"views\":[],\"slots\":1,\"expressions\":[{\"name\":\"f\","
            "\"type\":\"int64\",\"text\":\"id * 2\",\"slot\":0,\"inputs\":[{\"name\":\"id\","
            "\"type\":\"int64\",\"request\":true,\"index\":0}]}],"
            "\"outputs\":[{\"name\":\"f\",\"slot\":0}]}",
            folder, folder, MANY),
        .limits = { .memory_bytes = UINT64_C(512) << 20, .threads = 4 },
    };
    struct str result, rest;

    assert_ok(job_run(arena, &spec, &result, &err));
    assert_ok(file_read(arena, in_folder("many.csv"), 64 << 20, &rest, &err));
    rest = str_slice(rest, str_index(rest, '\n') + 1, rest.len);
    for (int row = 0; row < MANY; row++) {
        char line[80];
        int len = snprintf(line, sizeof(line), "%d,2024-01-01 10:00:00,%d\n", row, row * 2);

        assert_true(str_starts(rest, (struct str){ line, (size_t)len }));
        rest = str_slice(rest, (size_t)len, rest.len);
    }
    assert_int_equal(rest.len, 0);
}

/* Three features of a million rows, where the limit leaves room for one. */
TEST(rows_that_do_not_fit_in_memory_are_told_with_numbers)
{
#define COPY_OF_ID(slot) \
    "{\"name\":\"f\",\"type\":\"int64\",\"text\":\"id\",\"slot\":" slot ",\"inputs\":[{" \
    "\"name\":\"id\",\"type\":\"int64\",\"request\":true,\"index\":0}]}"
    const struct job_spec spec = {
        .name = "training-set",
        .spec = arena_printf(
            arena,
            "{\"project\":\"%s\",\"out\":\"%s/out.csv\",\"format\":\"csv\",\"time\":\"t\","
            "\"entities\":{\"sql\":\"SELECT i AS id, TIMESTAMP '2024-01-01 10:00:00' AS t FROM "
            "range(1000000) r(i)\"}," KEYS
            ",\"request\":[{\"name\":\"id\",\"type\":\"int64\"}],"
            "\"sources\":[],\"views\":[],\"slots\":3,\"expressions\":[" COPY_OF_ID(
                "0") "," COPY_OF_ID("1") "," COPY_OF_ID("2") "],\"outputs\":[]}",
            folder, folder),
        .limits = { .memory_bytes = UINT64_C(90) << 20, .threads = 2 },
    };
    struct str result;

    assert_fails(STATUS_LIMIT, job_run(arena, &spec, &result, &err));
    assert_str_contains(str_from(err.message),
                        STR("1000000 entity rows and their 3 features need "));
    assert_str_contains(str_from(err.message),
                        STR(" MiB in memory, of the jobs' limit of 90 MiB they may take 36; "));
}

/* What fails leaves no file, and the message says where. */
static void assert_refused(const char *entities, const char *part)
{
    struct str result;

    unlink(in_folder("out.csv"));
    assert_fails(STATUS_INVALID, build(entities, "", &result));
    if (strstr(err.message, part) == NULL)
        fail_msg("'%s' lacks '%s'", err.message, part);
    assert_false(file_exists(in_folder("out.csv")));
    assert_false(file_exists(in_folder("out.csv.part")));
}

TEST(bad_entity_rows_are_told_with_their_mend)
{
    write_events();
    write_text("rows.csv", "label,when,ID_,factor\na,2024-01-01 10:00:00,1,2\n");
    assert_refused(rows_file(), "entity rows: entity key: there is no column 'id'");
    write_text("rows.csv", "label,when,id,factor\na,2024-01-01 10:00:00,x1,2\n");
    assert_refused(rows_file(), "column 'id' is VARCHAR, wanted is int64");
    write_text("rows.csv", "label,wenn,id,factor\na,2024-01-01 10:00:00,1,2\n");
    assert_refused(rows_file(), "there is no column 'when'; did you mean 'wenn'?");
    write_text("rows.csv", "when,id,factor,Total\n2024-01-01 10:00:00,1,2,3\n");
    assert_refused(rows_file(), "--full-names");
    write_text("rows.csv", "PAR1 and then nothing of the kind");
    assert_refused(rows_file(), "entity rows: ");
    assert_refused("{\"sql\":\"SELECT 1; DROP VIEW events\"}", "entity rows: ");
}

TEST(bad_sources_are_told_by_name)
{
    write_rows();
    write_text("events.csv", "id,at,seen,code\n1,2024-01-01 10:00:00,,x\n");
    assert_refused(rows_file(), "source 'events': there is no column 'amount'");
    write_text("events.csv", "id,at,seen,code,amount\n1,yesterday,,x,1.5\n");
    assert_refused(rows_file(), "source 'events': the event time column 'at' is VARCHAR");
    write_text("events.csv", "id,at,seen,code,amount\n1,2024-01-01 10:00:00,,x,much\n");
    assert_refused(rows_file(),
                   "source 'events': column 'amount' is VARCHAR, wanted is float64; give the "
                   "source `types: {amount: float64}` to be told which value is none");
    unlink(in_folder("events.csv"));
    {
        struct str result;

        assert_fails(STATUS_NOT_FOUND, build(rows_file(), "", &result));
        assert_str_contains(str_from(err.message),
                            STR("source 'events': there is no file events.csv"));
    }
}

static void write_bytes(const char *name, struct str bytes)
{
    assert_ok(file_write(in_folder(name), bytes, &err));
}

/* A Parquet file of ours, then one that lost its end on the way, and one with a hole in it. */
TEST(a_damaged_parquet_is_told_by_name)
{
    const struct job_spec spec = {
        .name = "training-set",
        .spec = arena_printf(
            arena,
            "{\"project\":\"%s\",\"out\":\"%s/rows.parquet\",\"time\":\"when\","
            "\"entities\":{\"sql\":\"SELECT i AS id, TIMESTAMP '2024-01-01 10:00:00' "
            "AS \\\"when\\\", i AS factor FROM range(20000) t(i)\"}," KEYS ","
            "\"request\":[{\"name\":\"factor\",\"type\":\"int64\"}],"
            "\"sources\":[],\"views\":[],\"slots\":1,\"expressions\":[{\"name\":\"f\","
            "\"type\":\"int64\",\"text\":\"factor\",\"slot\":0,\"inputs\":[{"
            "\"name\":\"factor\",\"type\":\"int64\",\"request\":true,\"index\":0}]}],"
            "\"outputs\":[{\"name\":\"f\",\"slot\":0}]}",
            folder, folder),
    };
    struct str result, whole;
    char *bytes;

    assert_ok(job_run(arena, &spec, &result, &err));
    assert_str_contains(result, STR("\"rows\":20000,\"columns\":4"));
    assert_ok(file_read(arena, in_folder("rows.parquet"), 1 << 22, &whole, &err));
    write_events();
    write_bytes("cut.parquet", str_slice(whole, 0, whole.len / 2));
    assert_refused(arena_printf(arena, "{\"path\":\"%s\"}", in_folder("cut.parquet")).data,
                   "cut.parquet");
    bytes = arena_cstr(arena, whole);
    memset(bytes + whole.len / 3, 0xa5, 2000);
    write_bytes("hole.parquet", (struct str){ bytes, whole.len });
    assert_refused(arena_printf(arena, "{\"path\":\"%s\"}", in_folder("hole.parquet")).data,
                   "entity rows: ");
}

static int count_in(const char *name)
{
    struct str *names;
    size_t count;

    assert_ok(folder_list(arena, in_folder(name), &names, &count, &err));
    return (int)count;
}

TEST(jobs_leave_nothing_behind)
{
    struct str result;

    write_events();
    write_rows();
    /* Of a process that is long gone. */
    assert_ok(folder_create(in_folder(".onggi/tmp/job-999999999"), &err));
    assert_ok(build(rows_file(), "", &result));
    assert_int_equal(count_in(".onggi/tmp"), 0);
}

TEST(sql_reads_nothing_outside_the_project)
{
    write_events();
    assert_refused(
        "{\"sql\":\"SELECT 1 AS id, now()::TIMESTAMP AS \\\"when\\\", 1 AS factor FROM "
        "read_csv('/etc/passwd')\"}",
        "entity rows: ");
    assert_refused("{\"sql\":\"SELECT * FROM read_text('../../../../../etc/passwd')\"}",
                   "entity rows: ");
}

/* Of the project, SQL reads the data; the registry and the hashes of tokens are not for it. */
TEST(sql_reads_nothing_that_is_not_data)
{
    static const char *const kept[] = { "onggi.yaml",
                                        "./onggi.yaml",
                                        "data/../onggi.yaml",
                                        ".onggi/meta.db",
                                        "data/../.onggi/meta.db",
                                        "*.yaml",
                                        ".*/*" };

    write_events();
    write_text("onggi.yaml", "users: {}\n");
    assert_ok(folder_create(in_folder("data"), &err));
    assert_ok(folder_create(in_folder(".onggi"), &err));
    write_text(".onggi/meta.db", "secret");
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        assert_refused(
            arena_printf(arena,
                         "{\"sql\":\"SELECT 1 AS id, now()::TIMESTAMP AS \\\"when\\\", 1 "
                         "AS factor FROM read_blob('%s')\"}",
                         kept[i])
                .data,
            "entity rows: ");
        assert_refused(
            arena_printf(arena,
                         "{\"sql\":\"SELECT 1 AS id, now()::TIMESTAMP AS \\\"when\\\", 1 "
                         "AS factor FROM read_blob('%s')\"}",
                         in_folder(kept[i]))
                .data,
            "entity rows: ");
    }
}

/* What no source names would be no part of the fingerprint either. */
TEST(sql_reads_files_through_sources_only)
{
    static const char *const places[] = { "'ids.csv'", "read_csv('data/*.csv')",
                                          "read_text('ids.csv')", "glob('*')" };

    write_events();
    write_text("ids.csv", "id\n2\n");
    assert_ok(folder_create(in_folder("data"), &err));
    write_text("data/ids.csv", "id\n1\n");
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        assert_refused(arena_printf(arena,
                                    "{\"sql\":\"SELECT 1 AS id, now()::TIMESTAMP AS "
                                    "\\\"when\\\", 1 AS factor FROM %s\"}",
                                    places[i])
                           .data,
                       "entity rows: SQL opens no files itself: give '");
}

static struct str describe(const char *sources)
{
    const struct job_spec spec = {
        .name = "describe",
        .spec = arena_printf(arena, "{\"project\":\"%s\",\"sources\":%s}", folder, sources),
    };
    struct str result;

    assert_ok(job_run(arena, &spec, &result, &err));
    return result;
}

TEST(sources_are_described_with_our_types)
{
    write_events();
    assert_str_equal(
        describe("[" SOURCE ",{\"name\":\"sums\",\"sql\":\"SELECT id, sum(id) AS s, [id] AS l, "
                 "1.5::DECIMAL(5,2) AS d FROM events GROUP BY id -- why\"}]"),
        STR("{\"sources\":{\"events\":{\"columns\":["
            "{\"name\":\"id\",\"native\":\"BIGINT\",\"type\":\"int64\"},"
            "{\"name\":\"at\",\"native\":\"TIMESTAMP\",\"type\":\"timestamp\"},"
            "{\"name\":\"seen\",\"native\":\"TIMESTAMP\",\"type\":\"timestamp\"},"
            "{\"name\":\"code\",\"native\":\"VARCHAR\",\"type\":\"string\"},"
            "{\"name\":\"amount\",\"native\":\"DOUBLE\",\"type\":\"float64\"}]},"
            "\"sums\":{\"columns\":["
            "{\"name\":\"id\",\"native\":\"BIGINT\",\"type\":\"int64\"},"
            "{\"name\":\"s\",\"native\":\"HUGEINT\",\"type\":\"int64\"},"
            "{\"name\":\"l\",\"native\":\"BIGINT[]\"},"
            "{\"name\":\"d\",\"native\":\"DECIMAL(5,2)\",\"type\":\"float64\"}]}}}"));
}

int main(int argc, char **argv)
{
    const struct job_kind kinds[] = { training_set_job, offline_describe_job, { 0 } };
    const struct CMUnitTest tests[] = {
        TEST_CASE(every_row_comes_out_once_in_its_order),
        TEST_CASE(as_known_sees_nothing_that_was_created_later),
        TEST_CASE(rows_may_come_from_sql_over_sources),
        TEST_CASE(an_integer_is_never_made_by_rounding),
        TEST_CASE(a_column_of_the_entity_rows_may_be_called_rowid),
        TEST_CASE(many_rows_keep_their_order),
        TEST_CASE(the_fingerprint_goes_by_content),
        TEST_CASE(rows_that_do_not_fit_in_memory_are_told_with_numbers),
        TEST_CASE(bad_entity_rows_are_told_with_their_mend),
        TEST_CASE(bad_sources_are_told_by_name),
        TEST_CASE(a_damaged_parquet_is_told_by_name),
        TEST_CASE(jobs_leave_nothing_behind),
        TEST_CASE(sql_reads_nothing_outside_the_project),
        TEST_CASE(sql_reads_nothing_that_is_not_data),
        TEST_CASE(sql_reads_files_through_sources_only),
        TEST_CASE(sources_are_described_with_our_types),
    };
    int failed;

    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return job_main(argc - 2, argv + 2, kinds);
    arena = arena_new();
    folder = test_folder();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (folder_remove(folder, &err) != STATUS_OK)
        fprintf(stderr, "%s\n", err.message);
    free(folder);
    arena_free(arena);
    return failed;
}
