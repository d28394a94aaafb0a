/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "cli/project.h"
#include "support/test.h"

#include <unistd.h>

static struct project make_project(struct arena *arena, const char *folder)
{
    struct project project;
    struct error err;

    assert_ok(file_write(arena_printf(arena, "%s/onggi.yaml", folder).data, STR(""), &err));
    assert_ok(project_find(arena, folder, &project, &err));
    return project;
}

TEST(a_project_is_found_from_below)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    char *below = arena_cstr(arena, arena_printf(arena, "%s/a/b", folder));
    struct project project;
    struct error err;

    assert_ok(folder_create(below, &err));
    assert_fails(STATUS_NOT_FOUND, project_find(arena, below, &project, &err));
    make_project(arena, folder);
    assert_ok(project_find(arena, below, &project, &err));
    assert_str_equal(str_from(project.folder), str_from(folder));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST(readers_share_and_writers_do_not)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    struct project project = make_project(arena, folder);
    struct lock_holder holder = { 0 };
    struct error err;
    int first, second;

    assert_ok(project_lock_try(&project, LOCK_SHARED, "a", &first, &holder, &err));
    assert_ok(project_lock_try(&project, LOCK_SHARED, "b", &second, &holder, &err));
    close(second);
    assert_fails(STATUS_CONFLICT,
                 project_lock_try(&project, LOCK_EXCLUSIVE, "c", &second, &holder, &err));
    close(first);
    assert_ok(project_lock_try(&project, LOCK_EXCLUSIVE, "onggi serve", &first, &holder, &err));
    assert_fails(STATUS_CONFLICT,
                 project_lock_try(&project, LOCK_SHARED, "d", &second, &holder, &err));
    assert_true(holder.is_server && holder.alive && holder.pid == getpid());
    assert_str_contains(str_from(err.message), STR("a server already runs"));
    close(first);
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST(a_server_counts_only_while_it_holds_the_lock)
{
    struct arena *arena = arena_new();
    char *folder = test_folder();
    struct project project = make_project(arena, folder);
    const struct server_info info = { .pid = getpid(),
                                      .url = STR("http://127.0.0.1:1"),
                                      .version = STR("0") };
    struct lock_holder holder = { 0 };
    struct server_info found;
    struct error err;
    int lock;

    assert_false(project_server_find(arena, &project, &found));
    assert_ok(project_lock_try(&project, LOCK_EXCLUSIVE, "onggi serve", &lock, &holder, &err));
    assert_ok(project_server_put(&project, &info, &err));
    assert_true(project_server_find(arena, &project, &found));
    assert_str_equal(found.url, info.url);
    close(lock);
    assert_false(project_server_find(arena, &project, &found));
    assert_ok(folder_remove(folder, &err));
    free(folder);
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(a_project_is_found_from_below), TEST_CASE(readers_share_and_writers_do_not),
          TEST_CASE(a_server_counts_only_while_it_holds_the_lock))
