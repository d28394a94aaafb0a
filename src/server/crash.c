/* SPDX-License-Identifier: Apache-2.0 */
#include "server/crash.h"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define STACK_BYTES (64 * 1024)

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
    static char stack_bytes[STACK_BYTES];
    const stack_t stack = { .ss_sp = stack_bytes, .ss_size = STACK_BYTES };
    void *frame[1];

    snprintf(trace_folder, sizeof(trace_folder), "%s", folder);
    /* The first call loads libgcc, which a handler must not. */
    (void)backtrace(frame, 1);
    sigaltstack(&stack, NULL); /* a stack that overflowed cannot hold the handler */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        sigaction(fatal[i], &action, NULL);
}

const char *crash_trace_of(const char *folder, long pid)
{
    static char path[4096];
    char tail[40];
    DIR *dir = opendir(folder);
    struct dirent *entry;

    path[0] = '\0';
    snprintf(tail, sizeof(tail), "-%ld.txt", pid);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);

        if (strncmp(entry->d_name, "crash-", 6) == 0 && len > strlen(tail) &&
            strcmp(entry->d_name + len - strlen(tail), tail) == 0)
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    return path[0] == '\0' ? NULL : path;
}
