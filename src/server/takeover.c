/* SPDX-License-Identifier: Apache-2.0 */
#include "server/takeover.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TAKEOVER_VARIABLE "ONGGI_TAKEOVER"

static void keep_over_exec(int fd, bool keep)
{
    (void)fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void keep_all(const struct takeover *sockets, bool keep)
{
    for (size_t i = 0; i < sockets->listener_count; i++)
        keep_over_exec(sockets->listeners[i], keep);
    keep_over_exec(sockets->lock, keep);
}

struct takeover takeover_read(void)
{
    const char *text = getenv(TAKEOVER_VARIABLE);
    struct takeover takeover = { .lock = -1 };
    long pid = 0;
    int used = 0;

    /* The pid tells a process that was run anew from a child that inherited the variable. */
    if (text == NULL ||
        sscanf(text, "%ld %d %u %ld%n", &pid, &takeover.lock, &takeover.port, &takeover.child,
               &used) != 4 ||
        pid != getpid())
        return (struct takeover){ .lock = -1 };
    text += used;
    while (takeover.listener_count < LISTENERS_MAX &&
           sscanf(text, "%d%n", &takeover.listeners[takeover.listener_count], &used) == 1) {
        takeover.listener_count++;
        text += used;
    }
    takeover.is_one = takeover.listener_count > 0;
    unsetenv(TAKEOVER_VARIABLE);
    keep_all(&takeover, false); /* jobs and scripts must not have them */
    return takeover;
}

void takeover_offer(const struct takeover *sockets, long child)
{
    char text[LISTENERS_MAX * 8 + 128];
    int len = snprintf(text, sizeof(text), "%ld %d %u %ld", (long)getpid(), sockets->lock,
                       sockets->port, child);

    for (size_t i = 0; i < sockets->listener_count; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, " %d", sockets->listeners[i]);
    setenv(TAKEOVER_VARIABLE, text, 1);
    keep_all(sockets, true);
}

void takeover_withdraw(const struct takeover *sockets)
{
    keep_all(sockets, false);
    unsetenv(TAKEOVER_VARIABLE);
}
