/* SPDX-License-Identifier: Apache-2.0 */
/* What every online store promises; each driver runs it. */
#include "features/online/online.h"

#include "base/file.h"
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct fixture {
    char *folder;
    struct str location;
    struct arena *arena;
    struct online_store *store;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error err;

    fixture->folder = test_folder();
    fixture->arena = arena_new();
    fixture->location = arena_printf(fixture->arena, "lmdb:%s/online", fixture->folder);
    assert_ok(online_store_open(fixture->location, &fixture->store, &err));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct error err;

    online_store_close(&fixture->store);
    arena_free(fixture->arena);
    assert_ok(folder_remove(fixture->folder, &err));
    free(fixture->folder);
    free(fixture);
    return 0;
}

static struct str reserve(struct fixture *fixture)
{
    struct str generation;
    struct error err;

    assert_ok(online_store_reserve(fixture->store, fixture->arena, &generation, &err));
    return generation;
}

static struct online_builder *begin(struct fixture *fixture, const char *view,
                                    struct str generation)
{
    struct online_builder *builder;
    struct error err;

    assert_ok(online_builder_new(fixture->store, str_from(view), generation, STR("layout 1"),
                                 &builder, &err));
    return builder;
}

/* `count` rows "key-000000"…, each holding the text. */
static void finish(struct online_builder *builder, size_t count, struct str row)
{
    struct error err;

    for (size_t i = 0; i < count; i++) {
        char key[32];

        snprintf(key, sizeof(key), "key-%06zu", i);
        assert_ok(online_builder_add(builder, str_from(key), row, &err));
    }
    assert_ok(online_builder_finish(&builder, 77, &err));
}

static struct str build(struct fixture *fixture, const char *view, size_t count, struct str row)
{
    struct str generation = reserve(fixture);

    finish(begin(fixture, view, generation), count, row);
    return generation;
}

static void publish(struct fixture *fixture, const char *view, struct str generation)
{
    struct online_publication item = { str_from(view), generation };
    struct error err;

    assert_ok(online_store_publish(fixture->store, &item, 1, &err));
}

static struct online_view *view_of(struct fixture *fixture, const char *name)
{
    struct online_view *view;
    struct error err;

    assert_ok(online_store_view(fixture->store, str_from(name), &view, &err));
    return view;
}

static struct str find(struct fixture *fixture, struct online_view *view, const char *key)
{
    struct online_snapshot snapshot;
    struct str name = str_from(key);
    struct str row;
    struct error err;

    assert_ok(online_snapshot_begin(view, &snapshot, &err));
    assert_ok(online_snapshot_find(&snapshot, fixture->arena, &name, 1, &row, &err));
    if (row.data != NULL)
        row = arena_str(fixture->arena, row);
    online_snapshot_end(&snapshot);
    return row;
}

static void a_view_never_materialised_is_not_found(void **state)
{
    struct online_view *view = view_of(*state, "users");
    struct online_snapshot snapshot;
    struct error err;

    assert_fails(STATUS_NOT_FOUND, online_snapshot_begin(view, &snapshot, &err));
    build(*state, "users", 3, STR("a"));
    assert_fails(STATUS_NOT_FOUND, online_snapshot_begin(view, &snapshot, &err));
}

static void rows_are_found_once_published(void **state)
{
    struct online_view *view = view_of(*state, "users");
    struct str keys[] = { STR("key-000002"), STR("key-00000"), STR(""), STR("key-000000") };
    struct online_snapshot snapshot;
    struct str rows[4];
    struct error err;

    publish(*state, "users", build(*state, "users", 3, STR("hello")));
    assert_ok(online_snapshot_begin(view, &snapshot, &err));
    assert_str_equal(snapshot.info->layout, STR("layout 1"));
    assert_int_equal(snapshot.info->entities, 3);
    assert_int_equal(snapshot.info->newest_us, 77);
    assert_ok(online_snapshot_find(&snapshot, NULL, keys, 4, rows, &err));
    assert_str_equal(rows[0], STR("hello"));
    assert_null(rows[1].data);
    assert_null(rows[2].data);
    assert_str_equal(rows[3], STR("hello"));
    online_snapshot_end(&snapshot);
}

static void a_snapshot_keeps_its_generation(void **state)
{
    struct online_view *view = view_of(*state, "users");
    struct str key = STR("key-000001");
    struct online_snapshot snapshot;
    struct str row;
    struct error err;

    publish(*state, "users", build(*state, "users", 3, STR("old")));
    assert_ok(online_snapshot_begin(view, &snapshot, &err));
    publish(*state, "users", build(*state, "users", 3, STR("new")));
    assert_str_equal(find(*state, view, "key-000001"), STR("new"));
    assert_ok(online_snapshot_find(&snapshot, NULL, &key, 1, &row, &err));
    assert_str_equal(row, STR("old"));
    online_snapshot_end(&snapshot);
    assert_str_equal(find(*state, view, "key-000001"), STR("new"));
}

static void snapshots_nest(void **state)
{
    struct online_view *view = view_of(*state, "users");
    struct online_snapshot snapshots[20];
    struct error err;

    publish(*state, "users", build(*state, "users", 1, STR("a")));
    for (int i = 0; i < 20; i++)
        assert_ok(online_snapshot_begin(view, &snapshots[i], &err));
    for (int i = 0; i < 20; i++)
        online_snapshot_end(&snapshots[i]);
}

static void an_older_generation_does_not_replace_a_newer(void **state)
{
    struct str first = build(*state, "users", 1, STR("first"));
    struct str second = build(*state, "users", 1, STR("second"));
    struct online_publication item = { STR("users"), first };
    struct error err;

    publish(*state, "users", second);
    assert_fails(STATUS_CONFLICT,
                 online_store_publish(((struct fixture *)*state)->store, &item, 1, &err));
    assert_str_equal(find(*state, view_of(*state, "users"), "key-000000"), STR("second"));
}

static void views_are_published_together_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    struct str old = build(fixture, "b", 1, STR("old"));
    struct online_publication items[] = { { STR("a"), build(fixture, "a", 1, STR("a")) },
                                          { STR("b"), old } };
    struct online_snapshot snapshot;
    struct error err;

    publish(fixture, "b", build(fixture, "b", 1, STR("new")));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, items, 2, &err));
    assert_fails(STATUS_NOT_FOUND,
                 online_snapshot_begin(view_of(fixture, "a"), &snapshot, &err));
    assert_str_equal(find(fixture, view_of(fixture, "b"), "key-000000"), STR("new"));
}

static void only_the_published_generation_stays_on_disk(void **state)
{
    struct fixture *fixture = *state;
    struct online_builder *builder;
    struct str *names;
    size_t count;
    struct error err;

    publish(fixture, "users", build(fixture, "users", 1, STR("1")));
    build(fixture, "users", 1, STR("never published"));
    publish(fixture, "users", build(fixture, "users", 1, STR("2")));
    builder = begin(fixture, "users", reserve(fixture));
    online_builder_discard(&builder);
    assert_ok(folder_list(fixture->arena, fixture->location.data + 5, &names, &count, &err));
    assert_int_equal(count, 3); /* the generation, lock, manifest.json */
    assert_str_equal(names[2], STR("users.0000000003"));
}

static void rows_of_every_size_survive_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct str generation = reserve(fixture);
    struct online_builder *builder = begin(fixture, "big", generation);
    struct error err;
    char *big = test_malloc(3 << 20);

    for (size_t i = 0; i < 100; i++) {
        char key[32];

        snprintf(key, sizeof(key), "key-%06zu", i);
        memset(big, (int)i, 3 << 20);
        assert_ok(
            online_builder_add(builder, str_from(key), (struct str){ big, i * i * 300 }, &err));
    }
    assert_ok(online_builder_finish(&builder, 0, &err));
    publish(fixture, "big", generation);
    online_store_close(&fixture->store);
    assert_ok(online_store_open(fixture->location, &fixture->store, &err));
    for (size_t i = 1; i < 100; i++) {
        char key[32];
        struct str row;

        snprintf(key, sizeof(key), "key-%06zu", i);
        row = find(fixture, view_of(fixture, "big"), key);
        assert_int_equal(row.len, i * i * 300);
        assert_int_equal((unsigned char)row.data[row.len - 1], i);
    }
    test_free(big);
}

static void a_deleted_generation_is_as_never_materialised(void **state)
{
    struct fixture *fixture = *state;
    struct online_snapshot snapshot;
    struct error err;
    char path[4096];

    publish(fixture, "users", build(fixture, "users", 1, STR("a")));
    snprintf(path, sizeof(path), "%s/users.0000000001", fixture->location.data + 5);
    assert_ok(folder_remove(path, &err));
    assert_fails(STATUS_NOT_FOUND,
                 online_snapshot_begin(view_of(fixture, "users"), &snapshot, &err));
    publish(fixture, "users", build(fixture, "users", 1, STR("b")));
    assert_str_equal(find(fixture, view_of(fixture, "users"), "key-000000"), STR("b"));
}

static void another_store_on_the_folder_follows(void **state)
{
    struct fixture *fixture = *state;
    struct online_view *view;
    struct online_store *other;
    struct error err;

    publish(fixture, "users", build(fixture, "users", 1, STR("one")));
    assert_ok(online_store_open(fixture->location, &other, &err));
    /* Only views that the first store has not opened: LMDB wants a file opened once a process. */
    assert_ok(online_store_view(other, STR("users"), &view, &err));
    assert_str_equal(find(fixture, view, "key-000000"), STR("one"));
    publish(fixture, "users", build(fixture, "users", 1, STR("two")));
    for (int i = 0; i < 500; i++) {
        if (str_equal(find(fixture, view, "key-000000"), STR("two")))
            break;
        usleep(10000);
    }
    assert_str_equal(find(fixture, view, "key-000000"), STR("two"));
    online_store_close(&other);
}

struct hammer {
    struct online_view *view;
    atomic_bool *stop;
    unsigned long reads;
    unsigned long lost;
};

static void *read_until_stopped(void *context)
{
    struct hammer *hammer = context;
    struct str key = STR("key-000042");
    char last = 'a';

    while (!atomic_load(hammer->stop)) {
        struct online_snapshot snapshot;
        struct error err;
        struct str row;

        if (online_snapshot_begin(hammer->view, &snapshot, &err) != STATUS_OK ||
            online_snapshot_find(&snapshot, NULL, &key, 1, &row, &err) != STATUS_OK) {
            hammer->lost++;
            continue;
        }
        /* Generations only go forward. */
        if (row.data == NULL || row.len != 1 || row.data[0] < last)
            hammer->lost++;
        else
            last = row.data[0];
        online_snapshot_end(&snapshot);
        hammer->reads++;
    }
    return NULL;
}

static void switching_loses_no_read(void **state)
{
    struct fixture *fixture = *state;
    struct hammer hammers[4] = { 0 };
    pthread_t threads[4];
    atomic_bool stop = false;

    publish(fixture, "users", build(fixture, "users", 100, STR("a")));
    for (int i = 0; i < 4; i++) {
        hammers[i].view = view_of(fixture, "users");
        hammers[i].stop = &stop;
        assert_int_equal(pthread_create(&threads[i], NULL, read_until_stopped, &hammers[i]), 0);
    }
    /* NOLINTNEXTLINE(bugprone-too-small-loop-variable): 'z' is a char */
    for (char row = 'b'; row <= 'z'; row++)
        publish(fixture, "users", build(fixture, "users", 100, (struct str){ &row, 1 }));
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(hammers[i].lost, 0);
        assert_true(hammers[i].reads > 0);
    }
}

static bool is_on_disk(struct fixture *fixture, const char *name)
{
    char *path = arena_cstr(
        fixture->arena, arena_printf(fixture->arena, "%s/online/%s", fixture->folder, name));

    return access(path, F_OK) == 0;
}

static void a_view_that_is_not_kept_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct online_view *users = view_of(fixture, "users"), *shops = view_of(fixture, "shops");
    const struct str kept = STR("shops");
    struct str key = STR("key-000001");
    struct online_snapshot snapshot, none;
    struct str row;
    struct error err;

    publish(fixture, "users", build(fixture, "users", 3, STR("u")));
    publish(fixture, "shops", build(fixture, "shops", 3, STR("s")));
    build(fixture, "left", 3, STR("by a crash"));
    assert_ok(online_snapshot_begin(users, &snapshot, &err));
    assert_ok(online_store_keep(fixture->store, &kept, 1, &err));

    assert_ok(online_snapshot_find(&snapshot, NULL, &key, 1, &row, &err));
    assert_str_equal(row, STR("u"));
    online_snapshot_end(&snapshot);
    assert_fails(STATUS_NOT_FOUND, online_snapshot_begin(users, &none, &err));
    assert_str_equal(find(fixture, shops, "key-000001"), STR("s"));
    assert_false(is_on_disk(fixture, "users.0000000001"));
    assert_false(is_on_disk(fixture, "left.0000000003"));
    assert_true(is_on_disk(fixture, "shops.0000000002"));
}

static void a_crash_before_the_files_are_gone_is_mended(void **state)
{
    struct fixture *fixture = *state;
    char *path = arena_cstr(
        fixture->arena,
        arena_printf(fixture->arena, "%s/online/users.0000000001", fixture->folder));
    struct error err;

    publish(fixture, "users", build(fixture, "users", 3, STR("u")));
    assert_ok(online_store_keep(fixture->store, NULL, 0, &err));
    assert_ok(folder_create(path, &err)); /* as if it had never been removed */
    assert_ok(online_store_keep(fixture->store, NULL, 0, &err));
    assert_false(is_on_disk(fixture, "users.0000000001"));
}

static void what_is_built_of_a_removed_view_stays_out(void **state)
{
    struct fixture *fixture = *state;
    struct online_view *users = view_of(fixture, "users");
    const struct str kept = STR("users");
    struct online_publication late;
    struct online_snapshot none;
    struct error err;

    publish(fixture, "users", build(fixture, "users", 3, STR("a")));
    late = (struct online_publication){ STR("users"), build(fixture, "users", 3, STR("b")) };
    assert_ok(online_store_keep(fixture->store, NULL, 0, &err));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, &late, 1, &err));
    assert_fails(STATUS_NOT_FOUND, online_snapshot_begin(users, &none, &err));

    /* Defined again it begins anew, with a number of its own. */
    assert_ok(online_store_keep(fixture->store, &kept, 1, &err));
    publish(fixture, "users", build(fixture, "users", 3, STR("c")));
    assert_str_equal(find(fixture, users, "key-000001"), STR("c"));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, &late, 1, &err));
    assert_ok(online_store_keep(fixture->store, &kept, 1, &err));
    assert_true(is_on_disk(fixture, "users.0000000003"));
}

/* --- several at once -------------------------------------------------------- */

static void what_began_later_wins(void **state)
{
    struct fixture *fixture = *state;
    struct str first = reserve(fixture), second = reserve(fixture);
    struct online_builder *slow = begin(fixture, "users", first);
    struct online_publication late = { STR("users"), first };
    struct error err;

    finish(begin(fixture, "users", second), 3, STR("second"));
    publish(fixture, "users", second);
    assert_true(is_on_disk(fixture, "users.0000000001")); /* its builder is at work */
    finish(slow, 3, STR("first"));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, &late, 1, &err));
    assert_false(is_on_disk(fixture, "users.0000000001"));
    assert_str_equal(find(fixture, view_of(fixture, "users"), "key-000001"), STR("second"));
}

static void a_view_that_is_removed_while_it_is_built_stays_out(void **state)
{
    struct fixture *fixture = *state;
    struct str generation = reserve(fixture);
    struct online_builder *builder = begin(fixture, "users", generation);
    struct online_publication late = { STR("users"), generation };
    struct error err;

    assert_ok(online_store_keep(fixture->store, NULL, 0, &err));
    assert_true(is_on_disk(fixture, "users.0000000001"));
    finish(builder, 3, STR("late"));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, &late, 1, &err));
    assert_false(is_on_disk(fixture, "users.0000000001"));
}

static void a_generation_that_has_vanished_is_a_conflict(void **state)
{
    struct fixture *fixture = *state;
    struct str first = build(fixture, "users", 3, STR("1")), second = reserve(fixture);
    struct online_builder *builder = begin(fixture, "users", second);
    struct online_publication item = { STR("users"), first };
    char path[4096];
    struct error err;

    snprintf(path, sizeof(path), "%s/online/users.0000000001", fixture->folder);
    assert_ok(folder_remove(path, &err));
    assert_fails(STATUS_CONFLICT, online_store_publish(fixture->store, &item, 1, &err));
    snprintf(path, sizeof(path), "%s/online/users.0000000002", fixture->folder);
    assert_ok(folder_remove(path, &err));
    assert_fails(STATUS_CONFLICT, online_builder_finish(&builder, 0, &err));
}

/* Two views of one publication, read together while they change. */
struct pair {
    struct fixture *fixture;
    struct online_view *views[2];
    atomic_bool *stop;
    unsigned long reads, torn;
};

static void *read_pairs(void *context)
{
    struct pair *pair = context;
    struct str key = STR("key-000042");

    while (!atomic_load(pair->stop)) {
        struct online_snapshot snapshots[2];
        struct str rows[2] = { { 0 } };
        struct error err;
        size_t failed;

        assert_ok(online_snapshots_begin(pair->fixture->store, pair->views, 2, snapshots,
                                         &failed, &err));
        for (int i = 0; i < 2; i++)
            assert_ok(online_snapshot_find(&snapshots[i], NULL, &key, 1, &rows[i], &err));
        pair->torn += !str_equal(rows[0], rows[1]);
        pair->reads++;
        for (int i = 0; i < 2; i++)
            online_snapshot_end(&snapshots[i]);
    }
    return NULL;
}

static void publish_pair(struct fixture *fixture, char letter)
{
    struct str generation = reserve(fixture);
    struct online_publication items[] = { { STR("a"), generation }, { STR("b"), generation } };
    struct error err;

    finish(begin(fixture, "a", generation), 100, (struct str){ &letter, 1 });
    finish(begin(fixture, "b", generation), 100, (struct str){ &letter, 1 });
    assert_ok(online_store_publish(fixture->store, items, 2, &err));
}

static void views_switch_at_one_instant(void **state)
{
    struct fixture *fixture = *state;
    struct pair pairs[3] = { 0 };
    pthread_t threads[3];
    atomic_bool stop = false;

    publish_pair(fixture, 'a');
    for (int i = 0; i < 3; i++) {
        pairs[i].fixture = fixture;
        pairs[i].views[0] = view_of(fixture, "a");
        pairs[i].views[1] = view_of(fixture, "b");
        pairs[i].stop = &stop;
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &pairs[i]), 0);
    }
    /* NOLINTNEXTLINE(bugprone-too-small-loop-variable): 'z' is a char */
    for (char letter = 'b'; letter <= 'z'; letter++)
        publish_pair(fixture, letter);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(pairs[i].torn, 0);
        assert_true(pairs[i].reads > 0);
    }
}

static void the_view_that_fails_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct online_view *views[] = { view_of(fixture, "a"), view_of(fixture, "none") };
    struct online_snapshot snapshots[2];
    size_t failed = 0;
    struct error err;

    publish(fixture, "a", build(fixture, "a", 1, STR("a")));
    assert_fails(STATUS_NOT_FOUND,
                 online_snapshots_begin(fixture->store, views, 2, snapshots, &failed, &err));
    assert_int_equal(failed, 1);
}

static void a_wrong_location_is_told(void **state)
{
    struct online_store *store;
    struct error err;

    (void)state;
    assert_fails(STATUS_INVALID, online_store_open(STR("lmbd:x"), &store, &err));
    assert_str_contains(str_from(err.message), STR("did you mean 'lmdb'?"));
    assert_fails(STATUS_INVALID, online_store_open(STR("lmdb"), &store, &err));
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(STORE_TEST(a_view_never_materialised_is_not_found),
          STORE_TEST(rows_are_found_once_published),
          STORE_TEST(a_snapshot_keeps_its_generation), STORE_TEST(snapshots_nest),
          STORE_TEST(an_older_generation_does_not_replace_a_newer),
          STORE_TEST(views_are_published_together_or_not_at_all),
          STORE_TEST(only_the_published_generation_stays_on_disk),
          STORE_TEST(rows_of_every_size_survive_reopening),
          STORE_TEST(a_deleted_generation_is_as_never_materialised),
          STORE_TEST(another_store_on_the_folder_follows), STORE_TEST(switching_loses_no_read),
          STORE_TEST(a_view_that_is_not_kept_is_forgotten),
          STORE_TEST(a_crash_before_the_files_are_gone_is_mended),
          STORE_TEST(what_is_built_of_a_removed_view_stays_out),
          STORE_TEST(what_began_later_wins),
          STORE_TEST(a_view_that_is_removed_while_it_is_built_stays_out),
          STORE_TEST(a_generation_that_has_vanished_is_a_conflict),
          STORE_TEST(views_switch_at_one_instant), STORE_TEST(the_view_that_fails_is_named),
          TEST_CASE(a_wrong_location_is_told))
