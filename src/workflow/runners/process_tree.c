/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/process_tree.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* More passes than this find only what the kernel itself cannot end. */
#define PASSES_MAX 100
#define PASS_PAUSE_US 2000
#define FAMILY_MAX 100000
#define COMMAND_MAX ((size_t)4 << 20)

struct process_stat {
    char state;
    pid_t parent;
    uint64_t start_ticks;
};

static bool read_stat(pid_t pid, struct process_stat *out)
{
    char path[64], text[1024], *rest;
    unsigned long long ticks;
    FILE *file;
    size_t len;
    int parent;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    /* The name may hold spaces and brackets; the numbers follow its last bracket. */
    rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest + 1,
                               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                               "%*d %*d %*d %*d %llu",
                               &out->state, &parent, &ticks) != 3)
        return false;
    out->parent = parent;
    out->start_ticks = ticks;
    return true;
}

bool process_start_ticks(pid_t pid, uint64_t *out)
{
    struct process_stat stat;

    if (!read_stat(pid, &stat) || stat.state == 'Z' || stat.state == 'X')
        return false;
    *out = stat.start_ticks;
    return true;
}

static size_t list_all(struct arena *arena, pid_t **out)
{
    struct str *names;
    struct error err;
    size_t found = 0, count = 0;

    if (folder_list(arena, "/proc", &names, &found, &err) != STATUS_OK)
        found = 0;
    *out = ARENA_ARRAY(arena, pid_t, found + 1);
    for (size_t i = 0; i < found; i++) {
        int64_t pid;

        if (str_to_int64(names[i], &pid) && pid > 1)
            (*out)[count++] = (pid_t)pid;
    }
    return count;
}

struct link {
    pid_t pid, parent;
    bool is_below;
};

static bool is_below(const struct link *links, size_t count, pid_t root, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (links[i].pid == pid)
            return links[i].is_below;
    return pid == root;
}

void process_tree_list(struct arena *arena, pid_t root, pid_t **pids, size_t *count)
{
    pid_t *all;
    size_t total = list_all(arena, &all), links_count = 0;
    struct link *links = ARENA_ARRAY(arena, struct link, total + 1);
    bool grew = true;

    for (size_t i = 0; i < total; i++) {
        struct process_stat stat;

        if (all[i] != root && read_stat(all[i], &stat) && stat.state != 'Z')
            links[links_count++] = (struct link){ all[i], stat.parent, stat.parent == root };
    }
    /* Parents mostly have smaller numbers than their children, but numbers wrap. */
    while (grew) {
        grew = false;
        for (size_t i = 0; i < links_count; i++)
            if (!links[i].is_below && is_below(links, links_count, root, links[i].parent))
                grew = links[i].is_below = true;
    }
    *count = 0;
    for (size_t i = 0; i < links_count; i++)
        if (links[i].is_below)
            all[(*count)++] = links[i].pid;
    *pids = all;
}

uint64_t process_bytes(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* With shared pages divided among those who share them: forked workers share most of theirs. */
static uint64_t proportional_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", (long)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

struct family {
    struct arena *arena;
    pid_t *pids;
    size_t count, capacity;
};

static bool add_children_of_thread(struct family *family, pid_t pid, struct str thread)
{
    char path[96];
    FILE *file;
    long child;

    snprintf(path, sizeof(path), "/proc/%ld/task/" STR_FMT "/children", (long)pid,
             STR_ARG(thread));
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (fscanf(file, "%ld", &child) == 1)
        ARENA_PUSH(family->arena, family->pids, family->count, family->capacity) = (pid_t)child;
    fclose(file);
    return true;
}

static bool add_children(struct family *family, pid_t pid)
{
    const char *folder = arena_printf(family->arena, "/proc/%ld/task", (long)pid).data;
    struct str *threads;
    struct error err;
    size_t count;
    bool read = false;

    if (folder_list(family->arena, folder, &threads, &count, &err) != STATUS_OK)
        return false;
    for (size_t i = 0; i < count; i++)
        read = add_children_of_thread(family, pid, threads[i]) || read;
    return read;
}

/*
 * The same as process_tree_list(), from the kernel's own lists of children: quicker by as much as
 * there are other processes, but a child that leaves meanwhile may hide its neighbour.
 */
static void list_family(struct arena *arena, pid_t root, pid_t **pids, size_t *count)
{
    struct family family = { .arena = arena };

    /* Not every kernel keeps these lists. */
    if (!add_children(&family, root)) {
        process_tree_list(arena, root, pids, count);
        return;
    }
    /* It may grow while it is read. */
    for (size_t i = 0; i < family.count && family.count < FAMILY_MAX; i++)
        (void)add_children(&family, family.pids[i]);
    *pids = family.pids;
    *count = family.count;
}

uint64_t process_tree_bytes(struct arena *arena, pid_t root, uint64_t limit)
{
    struct arena_mark mark = arena_mark(arena);
    uint64_t resident = 0, proportional = 0;
    size_t count;
    pid_t *pids;

    list_family(arena, root, &pids, &count);
    for (size_t i = 0; i < count; i++)
        resident += process_bytes(pids[i]);
    /* The exact sum is dear: it is only made where the cheap one is over the limit. */
    for (size_t i = 0; limit > 0 && resident > limit && i < count; i++)
        proportional += proportional_bytes(pids[i]);
    arena_rewind(arena, mark);
    return proportional > 0 ? proportional : resident;
}

void process_tree_end(pid_t root)
{
    struct arena *arena = arena_new();
    size_t count = 1;
    pid_t *pids;

    for (unsigned pass = 0; count > 0 && pass < PASSES_MAX; pass++) {
        process_tree_list(arena, root, &pids, &count);
        for (size_t i = 0; i < count; i++)
            kill(pids[i], SIGKILL);
        arena_reset(arena);
        if (count > 0)
            usleep(PASS_PAUSE_US);
    }
    kill(root, SIGKILL);
    arena_free(arena);
}

/* What a process is called by is empty only while it becomes another program, and in the kernel's own. */
static bool is_between_programs(struct arena *arena, pid_t pid)
{
    const char *path = arena_printf(arena, "/proc/%ld/cmdline", (long)pid).data;
    char program[2];
    struct str words;
    struct error err;

    if (file_read(arena, path, COMMAND_MAX, &words, &err) != STATUS_OK || words.len > 0)
        return false;
    path = arena_printf(arena, "/proc/%ld/exe", (long)pid).data;
    return readlink(path, program, sizeof(program)) > 0;
}

enum marked { MARKED, UNMARKED, UNCLEAR };

static enum marked look_at(struct arena *arena, pid_t pid, struct str wanted)
{
    const char *path = arena_printf(arena, "/proc/%ld/environ", (long)pid).data;
    struct str environment;
    struct error err;
    enum status status = file_read(arena, path, (size_t)4 << 20, &environment, &err);

    /* It has ended, and may have started another that we have not seen. */
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return UNCLEAR;
    /* Most are not ours to read, and then not ours to end. */
    if (status != STATUS_OK)
        return UNMARKED;
    if (environment.len == 0)
        return is_between_programs(arena, pid) ? UNCLEAR : UNMARKED;
    return memmem(environment.data, environment.len, wanted.data, wanted.len) != NULL ||
                   str_starts(environment, str_slice(wanted, 1, wanted.len))
               ? MARKED
               : UNMARKED;
}

/* False when none was found and none could have been missed. */
static bool end_marked_once(struct arena *arena, struct str wanted)
{
    bool again = false;
    pid_t *pids;
    size_t count = list_all(arena, &pids);

    for (size_t i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(arena);
        enum marked found = pids[i] == getpid() ? UNMARKED : look_at(arena, pids[i], wanted);

        if (found == MARKED)
            kill(pids[i], SIGKILL);
        again |= found != UNMARKED;
        arena_rewind(arena, mark);
    }
    return again;
}

void process_end_marked(struct str variable, struct str value_start)
{
    struct arena *arena = arena_new();
    /* "\0NAME=value…": the environment is a list of such. */
    struct str wanted = arena_printf(arena, "#" STR_FMT "=" STR_FMT, STR_ARG(variable),
                                     STR_ARG(value_start));
    struct arena_mark mark;

    ((char *)(uintptr_t)wanted.data)[0] = '\0';
    mark = arena_mark(arena);
    for (unsigned pass = 0; pass < PASSES_MAX && end_marked_once(arena, wanted); pass++) {
        usleep(PASS_PAUSE_US);
        arena_rewind(arena, mark);
    }
    arena_free(arena);
}
