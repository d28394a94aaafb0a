/* SPDX-License-Identifier: Apache-2.0 */
/* What every blob store promises. */
#include "base/file.h"
#include "blob/blob.h"
#include "support/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;
static struct arena *arena;
static struct blob_store *store;
static struct error err;

static int open_store(void **state)
{
    (void)state;
    arena = arena_new();
    folder = test_folder();
    return blob_store_open(arena_printf(arena, "folder:%s/blobs", folder), &store, &err) ==
                   STATUS_OK
               ? 0
               : -1;
}

static int close_store(void **state)
{
    (void)state;
    blob_store_close(&store);
    (void)!folder_remove(folder, &err);
    free(folder);
    arena_free(arena);
    return 0;
}

TEST(bytes_come_back_by_their_hash)
{
    struct blob blob, again;
    struct str text;

    assert_ok(blob_put(store, STR("model"), &blob, &err));
    assert_str_equal(str_from(blob.hash), sha256_hex(arena, STR("model")));
    assert_int_equal(blob.size, 5);
    assert_ok(blob_put(store, STR("model"), &again, &err));
    assert_string_equal(blob.hash, again.hash);
    assert_ok(blob_get(store, arena, str_from(blob.hash), 100, &text, &err));
    assert_str_equal(text, STR("model"));
    assert_fails(STATUS_LIMIT, blob_get(store, arena, str_from(blob.hash), 4, &text, &err));
}

TEST(what_a_killed_writer_left_is_swept_when_it_is_old)
{
    const char *old = arena_printf(arena, "%s/blobs/new-Abc123", folder).data;
    const char *young = arena_printf(arena, "%s/blobs/new-Def456", folder).data;
    const struct timespec long_ago[2] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };
    struct blob_store *another;

    assert_ok(file_write(old, STR("half a mod"), &err));
    assert_ok(file_write(young, STR("half a mod"), &err));
    assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
    assert_ok(blob_store_open(arena_printf(arena, "folder:%s/blobs", folder), &another, &err));
    blob_store_close(&another);
    assert_false(file_exists(old));
    assert_true(file_exists(young)); /* somebody may be writing it */
}

TEST(a_file_is_the_same_as_its_bytes)
{
    const char *path = arena_printf(arena, "%s/file", folder).data;
    struct blob from_file, from_bytes;

    assert_ok(file_write(path, STR("some\0bytes"), &err));
    assert_ok(blob_put_file(store, path, &from_file, &err));
    assert_ok(blob_put(store, STR("some\0bytes"), &from_bytes, &err));
    assert_string_equal(from_file.hash, from_bytes.hash);
    assert_int_equal(from_file.size, 10);
    assert_fails(STATUS_NOT_FOUND, blob_put_file(store, "/nowhere/at/all", &from_file, &err));
}

TEST(only_a_hash_is_a_name)
{
    struct str absent = sha256_hex(arena, STR("absent"));
    char *path;

    assert_fails(STATUS_NOT_FOUND, blob_path(store, arena, absent, &path, &err));
    assert_fails(STATUS_INVALID, blob_path(store, arena, STR("../../etc/passwd"), &path, &err));
    assert_fails(STATUS_INVALID,
                 blob_path(store, arena, str_slice(absent, 1, absent.len), &path, &err));
}

TEST(the_same_bytes_again_write_nothing)
{
    const char *path = arena_printf(arena, "%s/file", folder).data;
    struct stat before, after;
    struct blob blob;
    char *kept;

    assert_ok(file_write(path, STR("model"), &err));
    assert_ok(blob_put(store, STR("model"), &blob, &err));
    assert_ok(blob_path(store, arena, str_from(blob.hash), &kept, &err));
    assert_int_equal(stat(kept, &before), 0);
    assert_ok(blob_put(store, STR("model"), &blob, &err));
    assert_ok(blob_put_file(store, path, &blob, &err));
    assert_int_equal(stat(kept, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void damage(struct str hash)
{
    char *kept;

    assert_ok(blob_path(store, arena, hash, &kept, &err));
    assert_int_equal(chmod(kept, 0644), 0);
    assert_ok(file_write(kept, STR("mosel"), &err));
    assert_fails(STATUS_INTERNAL, blob_verify(store, hash, &err));
    assert_str_contains(str_from(err.message), STR("is damaged"));
}

TEST(a_damaged_blob_is_noticed_and_made_whole)
{
    const char *path = arena_printf(arena, "%s/file", folder).data;
    struct str hash = sha256_hex(arena, STR("model")), text;
    struct blob blob;

    assert_fails(STATUS_NOT_FOUND, blob_verify(store, hash, &err));
    assert_ok(file_write(path, STR("model"), &err));
    assert_ok(blob_put(store, STR("model"), &blob, &err));
    assert_ok(blob_verify(store, hash, &err));
    damage(hash);
    assert_fails(STATUS_INTERNAL, blob_get(store, arena, hash, 100, &text, &err));
    assert_ok(blob_put(store, STR("model"), &blob, &err));
    assert_ok(blob_verify(store, hash, &err));
    damage(hash);
    assert_ok(blob_put_file(store, path, &blob, &err));
    assert_ok(blob_verify(store, hash, &err));
}

TEST(only_a_regular_file_is_put)
{
    const char *pipe = arena_printf(arena, "%s/pipe", folder).data;
    const char *link = arena_printf(arena, "%s/link", folder).data;
    struct blob blob;

    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_fails(STATUS_INVALID, blob_put_file(store, pipe, &blob, &err));
    assert_fails(STATUS_INVALID, blob_put_file(store, link, &blob, &err));
    assert_fails(STATUS_INVALID, blob_put_file(store, "/dev/zero", &blob, &err));
}

TEST(nothing_half_written_stays)
{
    struct blob blob;
    struct str *names;
    size_t count;

    assert_ok(blob_put(store, STR("x"), &blob, &err));
    assert_ok(
        folder_list(arena, arena_printf(arena, "%s/blobs", folder).data, &names, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(names[0].len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_come_back_by_their_hash, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_file_is_the_same_as_its_bytes, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(only_a_hash_is_a_name, open_store, close_store),
        cmocka_unit_test_setup_teardown(the_same_bytes_again_write_nothing, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_damaged_blob_is_noticed_and_made_whole, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(only_a_regular_file_is_put, open_store, close_store),
        cmocka_unit_test_setup_teardown(nothing_half_written_stays, open_store, close_store),
        cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_swept_when_it_is_old,
                                        open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
