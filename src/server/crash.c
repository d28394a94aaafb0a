/* SPDX-License-Identifier: Apache-2.0 */
#include "server/crash.h"

#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/file.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define TRACES_KEPT 20

static const int fatal[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };

static char trace_folder[3072];

/* Only what may be called from a signal handler is used from here on. */
static size_t add_text(char *to, size_t at, const char *text)
{
    while (*text != '\0')
        to[at++] = *text++;
    to[at] = '\0';
    return at;
}

static size_t add_number(char *to, size_t at, long long number)
{
    char digits[24];
    size_t len = 0;

    do
        digits[len++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (len > 0)
        to[at++] = digits[--len];
    to[at] = '\0';
    return at;
}

static int open_trace(void)
{
    char path[sizeof(trace_folder) + 80];
    size_t at = add_text(path, 0, trace_folder);

    at = add_text(path, at, "/crash-");
    at = add_number(path, at, time(NULL));
    at = add_text(path, at, "-");
    at = add_number(path, at, getpid());
    add_text(path, at, ".txt");
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static void on_crash(int number, siginfo_t *info, void *unused)
{
    void *frames[FRAMES_MAX];
    char line[128];
    size_t len;
    int fd = open_trace(), count;

    (void)unused;
    if (fd >= 0) {
        len = add_text(line, 0, "onggi " ONGGI_VERSION ", signal ");
        len = add_number(line, len, number);
        len = add_text(line, len,
                       number == SIGSEGV && info->si_addr == NULL ? ", NULL\n" : "\n");
        if (write(fd, line, len) == (ssize_t)len) {
            count = backtrace(frames, FRAMES_MAX);
            backtrace_symbols_fd(frames, count, fd);
        }
        close(fd);
    }
    /* SA_RESETHAND: this time it is the end, with a core where the system keeps them. */
    raise(number);
}

void crash_trace_into(const char *folder)
{
    struct sigaction action = { .sa_sigaction = on_crash,
                                .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK) };
    void *frame[1];

    snprintf(trace_folder, sizeof(trace_folder), "%s", folder);
    /* The first call loads libgcc, which a handler must not. */
    (void)backtrace(frame, 1);
    crash_stack_ready();
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        sigaction(fatal[i], &action, NULL);
}

/* ---- what was left */

/* "crash-SECONDS-PID.txt" */
static bool read_name(const char *name, long long *seconds, long *pid)
{
    int used = 0;

    return sscanf(name, "crash-%lld-%ld.txt%n", seconds, pid, &used) == 2 && used > 0 &&
           name[used] == '\0';
}

bool crash_trace_find(struct arena *arena, const char *folder, long pid, int64_t since_us,
                      const char **out)
{
    struct error ignored;
    struct str *names;
    size_t count;
    bool found = false;

    if (folder_list(arena, folder, &names, &count, &ignored) != STATUS_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        long long seconds;
        long whose;

        /* Process numbers come again: an old trace is another one's. */
        if (!read_name(names[i].data, &seconds, &whose) || whose != pid ||
            seconds < since_us / US_PER_SECOND)
            continue;
        *out = arena_printf(arena, "%s/%s", folder, names[i].data).data;
        found = true;
    }
    return found;
}

void crash_traces_prune(const char *folder)
{
    struct arena *arena = arena_new();
    struct str *names = NULL;
    struct error ignored;
    size_t count = 0, kept = 0;
    long long seconds;
    long pid;

    if (folder_list(arena, folder, &names, &count, &ignored) != STATUS_OK)
        count = 0;
    /* By name, which is by time for the next two centuries: from the newest on. */
    for (size_t i = count; i-- > 0;) {
        if (read_name(names[i].data, &seconds, &pid) && ++kept > TRACES_KEPT)
            unlink(arena_printf(arena, "%s/%s", folder, names[i].data).data);
    }
    arena_free(arena);
}
