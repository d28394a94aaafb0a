/* SPDX-License-Identifier: Apache-2.0 */
#include "server/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TCP_LISTEN 10 /* "0A" in the table */

/* The inode of a socket that listens on the port, from the kernel's own table; 0: none. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
    FILE *file = fopen(table, "re");
    char line[512];
    unsigned long found = 0;

    while (file != NULL && found == 0 && fgets(line, sizeof(line), file) != NULL) {
        unsigned local_port, state;
        unsigned long inode;

        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                   &local_port, &state, &inode) == 3 &&
            local_port == port && state == TCP_LISTEN)
            found = inode;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char folder[300], wanted[64];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    snprintf(folder, sizeof(folder), "/proc/%s/fd", pid);
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    dir = opendir(folder);
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        char link[64];
        /* NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions): an open folder has a descriptor */
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

        if (len > 0) {
            link[len] = '\0';
            found = strcmp(link, wanted) == 0;
        }
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

/* The first process that has the socket; NULL when there is none that we may look at. */
static const char *owner_of(struct arena *arena, unsigned long inode)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    const char *owner = NULL;

    while (dir != NULL && owner == NULL && (entry = readdir(dir)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, inode))
            owner = arena_cstr(arena, str_from(entry->d_name));
    }
    if (dir != NULL)
        closedir(dir);
    return owner;
}

static struct str name_of(struct arena *arena, const char *pid)
{
    char path[300], name[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return STR("?");
    if (fgets(name, sizeof(name), file) == NULL)
        name[0] = '\0';
    fclose(file);
    return str_trim(arena_str(arena, str_from(name)));
}

enum status port_in_use(struct arena *arena, struct str address, uint16_t port,
                        struct error *err)
{
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    const char *pid;
    struct str who = STR("another process");

    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", port);
    pid = inode == 0 ? NULL : owner_of(arena, inode);
    if (pid != NULL) {
        struct str name = name_of(arena, pid);

        who = arena_printf(arena, "process %s (" STR_FMT ")", pid, STR_ARG(name));
    }
    return error_set(err, STATUS_CONFLICT,
                     "the address " STR_FMT " is in use by " STR_FMT
                     "; stop that one, or choose another port: onggi serve --listen "
                     "127.0.0.1:%u",
                     STR_ARG(address), STR_ARG(who), port + 1u);
}
