/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "support/test.h"

#include <sys/stat.h>
#include <unistd.h>

TEST(what_is_written_is_read)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    char *path = arena_cstr(arena, arena_printf(arena, "%s/a/b/file", folder));
    struct error err;
    struct str text;

    assert_ok(folder_create(arena_cstr(arena, arena_printf(arena, "%s/a/b", folder)), &err));
    assert_ok(file_write(path, STR("first"), &err));
    assert_ok(file_write(path, STR("second"), &err));
    assert_ok(file_read(arena, path, 100, &text, &err));
    assert_str_equal(text, STR("second"));
    assert_fails(STATUS_LIMIT, file_read(arena, path, 3, &text, &err));
    assert_ok(folder_remove(folder, &err));
    assert_false(file_exists(folder));
    assert_fails(STATUS_NOT_FOUND, file_read(arena, path, 3, &text, &err));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST(what_is_written_anew_keeps_its_mode_and_its_links)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    const char *path = arena_printf(arena, "%s/file", folder).data;
    const char *link = arena_printf(arena, "%s/link", folder).data;
    struct error err;
    struct stat about;
    struct str text;

    assert_ok(file_write(path, STR("first"), &err));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0644);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(symlink("file", link), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 12, 34), 0);
    assert_ok(file_write(link, STR("second"), &err));
    assert_ok(file_read(arena, path, 100, &text, &err));
    assert_str_equal(text, STR("second"));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    if (geteuid() == 0)
        assert_true(about.st_uid == 12 && about.st_gid == 34);
    assert_int_equal(lstat(link, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST(a_copy_keeps_content_and_mode)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    char *from = arena_cstr(arena, arena_printf(arena, "%s/from", folder));
    char *to = arena_cstr(arena, arena_printf(arena, "%s/to", folder));
    struct error err;
    struct str text;

    assert_ok(file_write(from, STR("what it says"), &err));
    assert_ok(file_write(to, STR("something longer that was there before"), &err));
    assert_ok(file_copy(from, to, &err));
    assert_ok(file_read(arena, to, 100, &text, &err));
    assert_str_equal(text, STR("what it says"));
    assert_fails(STATUS_NOT_FOUND, file_copy(folder + 1, to, &err));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST(globs_are_sorted_by_bytes)
{
    static const char *const names[] = { "b.csv", "B.csv", "a-10.csv", "a-9.csv", "other" };
    struct arena *arena = arena_new();
    char *folder = test_folder();
    struct error err;
    struct str *paths;
    size_t count;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_ok(
            file_write(arena_printf(arena, "%s/%s", folder, names[i]).data, STR("x"), &err));
    assert_ok(file_glob(arena, folder, STR("*.csv"), &paths, &count, &err));
    assert_int_equal(count, 4);
    assert_true(str_ends(paths[0], STR("/B.csv")));
    assert_true(str_ends(paths[1], STR("/a-10.csv")));
    assert_true(str_ends(paths[3], STR("/b.csv")));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

/* A folder's name is no pattern, and of a pattern only '*' and '?' stand for something else. */
TEST(a_glob_finds_nothing_beside_its_folder)
{
    static const char *const folders[] = { "p[1]", "p1", "p*", "p\\?", "px" };
    struct arena *arena = arena_new();
    char *top = test_folder();
    struct error err;
    struct str *paths;
    size_t count;

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *folder = arena_cstr(arena, arena_printf(arena, "%s/%s", top, folders[i]));

        assert_ok(folder_create(folder, &err));
        assert_ok(file_write(arena_printf(arena, "%s/a[1].csv", folder).data, STR("x"), &err));
        assert_ok(file_write(arena_printf(arena, "%s/a1.csv", folder).data, STR("x"), &err));
    }
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char *folder = arena_cstr(arena, arena_printf(arena, "%s/%s", top, folders[i]));

        assert_ok(file_glob(arena, folder, STR("a?1*.csv"), &paths, &count, &err));
        assert_int_equal(count, 1);
        assert_str_equal(paths[0], arena_printf(arena, "%s/a[1].csv", folder));
        assert_ok(file_glob(arena, folder, STR("a[1].csv"), &paths, &count, &err));
        assert_int_equal(count, 1);
        assert_str_equal(paths[0], arena_printf(arena, "%s/a[1].csv", folder));
        assert_ok(file_glob(arena, folder, STR("*.csv"), &paths, &count, &err));
        assert_int_equal(count, 2);
    }
    assert_fails(STATUS_INVALID, file_glob(arena, top, STR("../*"), &paths, &count, &err));
    assert_ok(folder_remove(top, &err));
    free(top);
    arena_free(arena);
}

TEST(paths_stay_below)
{
    struct arena *arena = arena_new();
    struct error err;
    char *path;

    assert_ok(path_below(arena, "/p", STR("a/b..c"), &path, &err));
    assert_string_equal(path, "/p/a/b..c");
    assert_fails(STATUS_INVALID, path_below(arena, "/p", STR("/etc/passwd"), &path, &err));
    assert_fails(STATUS_INVALID, path_below(arena, "/p", STR("a/../../b"), &path, &err));
    assert_fails(STATUS_INVALID, path_below(arena, "/p", STR("a\0b"), &path, &err));
    assert_fails(STATUS_INVALID, path_below(arena, "/p", STR(""), &path, &err));
    arena_free(arena);
}

TEST(a_file_that_does_not_say_its_length_is_read)
{
    struct arena *arena = arena_new();
    struct error err;
    struct str text;

    assert_ok(file_read(arena, "/proc/self/environ", 1 << 20, &text, &err));
    assert_true(text.len > 0);
    assert_ok(file_read(arena, "/proc/self/smaps", 1 << 24, &text, &err));
    assert_true(text.len > 4096);
    assert_fails(STATUS_LIMIT, file_read(arena, "/proc/self/smaps", 4096, &text, &err));
    assert_ok(file_read(arena, "/dev/null", 0, &text, &err));
    assert_int_equal(text.len, 0);
    arena_free(arena);
}

TEST(what_could_keep_the_reader_is_refused)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    const char *pipe = arena_printf(arena, "%s/pipe", folder).data;
    const char *link = arena_printf(arena, "%s/link", folder).data;
    struct error err;
    struct str text;

    assert_ok(file_write(arena_printf(arena, "%s/file", folder).data, STR(""), &err));
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(symlink("file", link), 0);
    assert_fails(STATUS_INVALID, file_read(arena, pipe, 100, &text, &err));
    assert_fails(STATUS_LIMIT, file_read(arena, "/dev/zero", 100, &text, &err));
    assert_fails(STATUS_INVALID, file_read_untrusted(arena, "/dev/zero", 100, &text, &err));
    assert_ok(file_read(arena, link, 0, &text, &err));
    assert_int_equal(text.len, 0);
    assert_fails(STATUS_INVALID, file_read_untrusted(arena, link, 100, &text, &err));
    assert_str_contains(str_from(err.message), STR("it is a link"));
    assert_fails(STATUS_INVALID, file_read_untrusted(arena, pipe, 100, &text, &err));
    assert_ok(folder_remove(folder, &err));
    arena_free(arena);
    free(folder);
}

TEST(a_read_only_folder_is_removed)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    const char *inner = arena_printf(arena, "%s/inner", folder).data;
    struct error err;

    assert_ok(folder_create(inner, &err));
    assert_ok(file_write(arena_printf(arena, "%s/file", inner).data, STR("x"), &err));
    assert_int_equal(chmod(inner, 0555), 0);
    assert_ok(folder_remove(folder, &err));
    assert_false(file_exists(folder));
    arena_free(arena);
    free(folder);
}

TEST_MAIN(TEST_CASE(what_is_written_is_read),
          TEST_CASE(what_is_written_anew_keeps_its_mode_and_its_links),
          TEST_CASE(a_copy_keeps_content_and_mode),
          TEST_CASE(a_file_that_does_not_say_its_length_is_read),
          TEST_CASE(what_could_keep_the_reader_is_refused),
          TEST_CASE(a_read_only_folder_is_removed), TEST_CASE(globs_are_sorted_by_bytes),
          TEST_CASE(a_glob_finds_nothing_beside_its_folder), TEST_CASE(paths_stay_below))
