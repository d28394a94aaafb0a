/* SPDX-License-Identifier: Apache-2.0 */
/* What every database promises; run for each driver. */
#include "base/file.h"
#include "sql/sql.h"
#include "support/test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const steps[] = {
    "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL);"
    "CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT, number REAL)",
    "ALTER TABLE log ADD COLUMN extra BLOB",
};

struct place {
    char *folder;
    struct arena *arena;
    struct str location;
    struct sql *db;
};

static struct place place_open(void)
{
    struct place place = { .folder = test_folder(), .arena = arena_new() };
    struct error err;

    place.location = arena_printf(place.arena, "sqlite:%s/meta.db", place.folder);
    assert_ok(sql_open(place.location, &place.db, &err));
    assert_ok(sql_migrate(place.db, "test", steps, ARRAY_LEN(steps), &err));
    return place;
}

static void place_close(struct place *place)
{
    struct error err;

    sql_close(&place->db);
    assert_ok(folder_remove(place->folder, &err));
    arena_free(place->arena);
    free(place->folder);
}

static enum status count_up(struct sql_tx *tx, void *name, struct error *err)
{
    return sql_run(tx,
                   "INSERT INTO counts (name, n) VALUES (?1, 1)"
                   " ON CONFLICT (name) DO UPDATE SET n = n + 1",
                   SQL_ARGS(sql_arg_str(str_from(name))), err);
}

static enum status count_up_and_fail(struct sql_tx *tx, void *name, struct error *err)
{
    TRY(count_up(tx, name, err));
    return error_set(err, STATUS_CONFLICT, "changed its mind");
}

struct counted {
    const char *name;
    int64_t n;
};

static enum status read_count(struct sql_tx *tx, void *context, struct error *err)
{
    struct counted *counted = context;
    struct sql_rows *rows;

    TRY(sql_query(tx, "SELECT n FROM counts WHERE name = ?1",
                  SQL_ARGS(sql_arg_str(str_from(counted->name))), &rows, err));
    TRY(sql_next(rows, err));
    counted->n = sql_int64(rows, 0); /* the rows stay open: the read closes them */
    return STATUS_OK;
}

static int64_t count_of(struct sql *db, const char *name)
{
    struct counted counted = { name, 0 };
    struct error err;
    enum status status = sql_read(db, read_count, &counted, &err);

    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        fail_msg("%s", err.message);
    return counted.n;
}

TEST(what_is_written_is_read_even_after_reopening)
{
    struct place place = place_open();
    struct error err;

    assert_ok(sql_write(place.db, count_up, "a", &err));
    assert_ok(sql_write(place.db, count_up, "a", &err));
    assert_int_equal(count_of(place.db, "a"), 2);
    sql_close(&place.db);
    assert_ok(sql_open(place.location, &place.db, &err));
    assert_ok(sql_migrate(place.db, "test", steps, ARRAY_LEN(steps), &err));
    assert_int_equal(count_of(place.db, "a"), 2);
    place_close(&place);
}

TEST(a_failed_work_is_undone_alone)
{
    struct place place = place_open();
    struct error err;

    assert_ok(sql_write(place.db, count_up, "a", &err));
    assert_fails(STATUS_CONFLICT, sql_write(place.db, count_up_and_fail, "a", &err));
    assert_string_equal(err.message, "changed its mind");
    assert_int_equal(count_of(place.db, "a"), 1);
    place_close(&place);
}

#define THREADS 8
#define WORKS_EACH 60

static void *write_many(void *context)
{
    struct sql *db = context;
    struct error err;

    for (int i = 0; i < WORKS_EACH; i++) {
        if (i % 3 == 0)
            assert_fails(STATUS_CONFLICT, sql_write(db, count_up_and_fail, "all", &err));
        else
            assert_ok(sql_write(db, count_up, "all", &err));
        (void)count_of(db, "all");
    }
    return NULL;
}

TEST(works_of_many_threads_share_commits_and_none_is_lost)
{
    struct place place = place_open();
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, place.db), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count_of(place.db, "all"), THREADS * WORKS_EACH * 2 / 3);
    place_close(&place);
}

static enum status write_values(struct sql_tx *tx, void *context, struct error *err)
{
    int64_t *id = context;

    TRY(sql_run(tx, "INSERT INTO log (text, number, extra) VALUES (?1, ?2, ?3)",
                SQL_ARGS(sql_arg_str(STR("a\0b")), sql_arg_double(0.1),
                         ((struct value){ .type = TYPE_BYTES, .text = STR("\xff") })),
                err));
    TRY(sql_run(tx, "INSERT INTO log (text, number) VALUES (?1, ?2)",
                SQL_ARGS(sql_arg_null(), sql_arg_null()), err));
    *id = sql_last_id(tx);
    return STATUS_OK;
}

static enum status read_values(struct sql_tx *tx, void *context, struct error *err)
{
    struct arena *arena = context;
    struct sql_rows *rows, *again;

    TRY(sql_query(tx, "SELECT text, number, extra FROM log ORDER BY id", NULL, 0, &rows, err));
    TRY(sql_next(rows, err));
    assert_str_equal(sql_str(rows, arena, 0), STR("a\0b"));
    assert_true(sql_double(rows, 1) == 0.1);
    assert_str_equal(sql_str(rows, arena, 2), STR("\xff"));
    /* The same text a second time, while the first still gives rows. */
    for (int i = 0; i < 2; i++) {
        TRY(sql_query(tx, "SELECT count(*) FROM log", NULL, 0, &again, err));
        TRY(sql_next(again, err));
        assert_int_equal(sql_int64(again, 0), 2);
    }
    TRY(sql_next(rows, err));
    assert_true(sql_is_null(rows, 0) && sql_is_null(rows, 1) && sql_is_null(rows, 2));
    assert_fails(STATUS_NOT_FOUND, sql_next(rows, err));
    return STATUS_OK;
}

TEST(values_come_back_as_they_went)
{
    struct place place = place_open();
    struct error err;
    int64_t id = 0;

    assert_ok(sql_write(place.db, write_values, &id, &err));
    assert_int_equal(id, 2);
    assert_ok(sql_read(place.db, read_values, place.arena, &err));
    place_close(&place);
}

static enum status insert_twice(struct sql_tx *tx, void *context, struct error *err)
{
    (void)context;
    TRY(sql_run(tx, "INSERT INTO counts (name, n) VALUES ('x', 1)", NULL, 0, err));
    return sql_run(tx, "INSERT INTO counts (name, n) VALUES ('x', 1)", NULL, 0, err);
}

TEST(a_taken_key_is_a_conflict_and_a_reader_cannot_write)
{
    struct place place = place_open();
    struct error err;

    assert_fails(STATUS_CONFLICT, sql_write(place.db, insert_twice, NULL, &err));
    assert_fails(STATUS_UNAVAILABLE, sql_read(place.db, count_up, "x", &err));
    assert_int_equal(count_of(place.db, "x"), 0);
    place_close(&place);
}

static enum status leave_no_room(struct sql_tx *tx, void *context, struct error *err)
{
    (void)context;
    return sql_run(tx, "PRAGMA max_page_count = 1", NULL, 0, err);
}

static enum status write_much(struct sql_tx *tx, void *context, struct error *err)
{
    (void)context;
    return sql_run(tx, "INSERT INTO log (extra) VALUES (zeroblob(1000000))", NULL, 0, err);
}

TEST(a_full_disk_is_a_sentence_and_reading_goes_on)
{
    struct place place = place_open();
    struct error err;

    assert_ok(sql_write(place.db, count_up, "a", &err));
    assert_ok(sql_write(place.db, leave_no_room, NULL, &err));
    assert_fails(STATUS_UNAVAILABLE, sql_write(place.db, write_much, NULL, &err));
    assert_str_contains(str_from(err.message), STR("is full; free some space"));
    assert_int_equal(count_of(place.db, "a"), 1);
    assert_ok(sql_write(place.db, count_up, "a", &err));
    place_close(&place);
}

TEST(what_is_no_database_is_refused_with_a_sentence)
{
    char *folder = test_folder();
    struct arena *arena = arena_new();
    struct str path = arena_printf(arena, "%s/meta.db", folder);
    struct sql *db = NULL;
    struct error err;

    assert_ok(file_write(path.data,
                         STR("This is a letter to my aunt, not a database at all.\n"), &err));
    assert_fails(STATUS_UNAVAILABLE,
                 sql_open(arena_printf(arena, "sqlite:%s", path.data), &db, &err));
    assert_str_contains(str_from(err.message), STR("is damaged"));
    assert_fails(STATUS_NOT_FOUND,
                 sql_open(arena_printf(arena, "sqlite:%s/no/meta.db", folder), &db, &err));
    assert_fails(STATUS_INVALID, sql_open(STR("oracle:x"), &db, &err));
    sql_close(&db);
    assert_ok(folder_remove(folder, &err));
    arena_free(arena);
    free(folder);
}

TEST(tables_of_a_newer_program_are_left_alone)
{
    struct place place = place_open();
    struct error err;

    assert_fails(STATUS_CONFLICT, sql_migrate(place.db, "test", steps, 1, &err));
    assert_str_contains(str_from(err.message), STR("newer onggi"));
    place_close(&place);
}

/* Counts up for ever, and says each number once it was told that it is kept. */
static void count_for_ever(struct str location, int out)
{
    struct sql *db;
    struct error err;

    if (sql_open(location, &db, &err) != STATUS_OK)
        _exit(1);
    for (int64_t n = 1;; n++) {
        if (sql_write(db, count_up, "kept", &err) != STATUS_OK)
            _exit(1);
        if (write(out, &n, sizeof(n)) != sizeof(n))
            _exit(1);
    }
}

static int64_t kill_while_counting(struct str location, useconds_t after_us)
{
    int ends[2];
    int64_t told = 0, n;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0)
        count_for_ever(location, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n));
    usleep(after_us);
    kill(child, SIGKILL);
    do
        told = n;
    while (read(ends[0], &n, sizeof(n)) == sizeof(n));
    close(ends[0]);
    waitpid(child, NULL, 0);
    return told;
}

TEST(what_was_told_survives_kill_9)
{
    struct place place = place_open();
    struct error err;
    int64_t told = 0;

    sql_close(&place.db);
    for (useconds_t round = 0; round < 6; round++) {
        int64_t kept;

        told += kill_while_counting(place.location, 3000 + round * 7000);
        assert_ok(sql_open(place.location, &place.db, &err));
        kept = count_of(place.db, "kept");
        sql_close(&place.db);
        /* One more may have been kept without anybody having been told. */
        assert_true(kept == told || kept == told + 1);
        told = kept;
    }
    place_close(&place);
}

TEST_MAIN(TEST_CASE(what_is_written_is_read_even_after_reopening),
          TEST_CASE(a_failed_work_is_undone_alone),
          TEST_CASE(works_of_many_threads_share_commits_and_none_is_lost),
          TEST_CASE(values_come_back_as_they_went),
          TEST_CASE(a_taken_key_is_a_conflict_and_a_reader_cannot_write),
          TEST_CASE(a_full_disk_is_a_sentence_and_reading_goes_on),
          TEST_CASE(what_is_no_database_is_refused_with_a_sentence),
          TEST_CASE(tables_of_a_newer_program_are_left_alone),
          TEST_CASE(what_was_told_survives_kill_9))
