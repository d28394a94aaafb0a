/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/probe.h"

#include "base/clock.h"
#include "base/file.h"
#include "serving/loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_MAX 512
/* The first rows of the warm-up. */
#define TRIAL_RUNS 50
#define NS_PER_MS UINT64_C(1000000)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

const bool probe_limits_memory = !IS_SANITIZED;

/* --- the parent ----------------------------------------------------------- */

struct child {
    pid_t pid;
    int report; /* one sentence if it fails, else how many bytes it took; read from here */
    char text[REPORT_MAX];
    size_t len;
    bool overstayed;
};

static enum status bytes_file(struct str bytes, int *out, struct error *err)
{
    int fd = memfd_create("onggi-model", MFD_CLOEXEC);
    int reason;

    if (fd < 0)
        return error_errno(err, errno, "try the model");
    if (file_write_all(fd, bytes) && lseek(fd, 0, SEEK_SET) == 0) {
        *out = fd;
        return STATUS_OK;
    }
    reason = errno;
    close(fd);
    return error_errno(err, reason, "try the model");
}

static int spawn(struct child *child, int model, int report, struct str features,
                 const struct probe_limits *limits)
{
    char memory[32], seconds[32], parent[32];
    char *names = strndup(features.data, features.len);
    char *argv[] = { "onggi", "job", "probe-model", memory, seconds, parent, names, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc;

    if (names == NULL)
        return ENOMEM;
    snprintf(memory, sizeof(memory), "%zu", limits->memory_bytes);
    snprintf(seconds, sizeof(seconds), "%u", limits->timeout_ms / 1000 + 1);
    snprintf(parent, sizeof(parent), "%ld", (long)getpid());
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, model, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, report, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    /* A group of its own: Ctrl-C is the parent's to answer. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    rc = posix_spawn(&child->pid, "/proc/self/exe", &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    free(names);
    return rc;
}

static enum status start(struct child *child, int model, struct str features,
                         const struct probe_limits *limits, struct error *err)
{
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_errno(err, errno, "try the model");
    rc = spawn(child, model, ends[1], features, limits);
    close(ends[1]);
    child->report = ends[0];
    if (rc == 0)
        return STATUS_OK;
    close(ends[0]);
    return error_errno(err, rc, "try the model");
}

/* Until the child has ended, or its time has. */
static void listen_to(struct child *child, unsigned timeout_ms)
{
    uint64_t end_ns = clock_monotonic_ns() + timeout_ms * NS_PER_MS;

    for (;;) {
        struct pollfd waited = { .fd = child->report, .events = POLLIN };
        uint64_t now_ns = clock_monotonic_ns();
        char rest[REPORT_MAX];
        bool is_full = child->len == sizeof(child->text);
        ssize_t got;

        if (now_ns >= end_ns) {
            child->overstayed = true;
            return;
        }
        if (poll(&waited, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1) <= 0)
            continue;
        got = is_full ? read(child->report, rest, sizeof(rest))
                      : read(child->report, child->text + child->len,
                             sizeof(child->text) - child->len);
        if (got <= 0)
            return;
        child->len += is_full ? 0 : (size_t)got;
    }
}

static enum status judge(const struct child *child, int how, const struct probe_limits *limits,
                         int64_t *memory_bytes, struct error *err)
{
    if (child->overstayed || (WIFSIGNALED(how) && WTERMSIG(how) == SIGXCPU))
        return error_set(err, STATUS_INVALID,
                         "the model did not load and answer one row within %u ms",
                         limits->timeout_ms);
    if (WIFSIGNALED(how))
        return error_set(err, STATUS_INVALID,
                         "the model crashes its runtime (%s; %zu MiB of memory are allowed)",
                         strsignal(WTERMSIG(how)), limits->memory_bytes >> 20);
    if (WEXITSTATUS(how) == 0 &&
        str_to_int64((struct str){ child->text, child->len }, memory_bytes))
        return STATUS_OK;
    if (child->len == 0)
        return error_set(err, STATUS_INVALID, "the model ended its runtime (exit code %d)",
                         WEXITSTATUS(how));
    return error_set(
        err, WEXITSTATUS(how) == STATUS_UNAVAILABLE ? STATUS_UNAVAILABLE : STATUS_INVALID,
        "%.*s", (int)child->len, child->text);
}

enum status probe_model(struct str bytes, struct str features,
                        const struct probe_limits *limits, size_t *memory_bytes,
                        struct error *err)
{
    struct child child = { 0 };
    int64_t took_bytes = 0;
    enum status status;
    int model = -1, how = 0;

    TRY(bytes_file(bytes, &model, err));
    status = start(&child, model, features, limits, err);
    close(model);
    TRY(status);
    listen_to(&child, limits->timeout_ms);
    close(child.report);
    if (child.overstayed)
        kill(child.pid, SIGKILL);
    while (waitpid(child.pid, &how, 0) < 0 && errno == EINTR)
        ;
    TRY(judge(&child, how, limits, &took_bytes, err));
    *memory_bytes = (size_t)took_bytes;
    return STATUS_OK;
}

/* --- the child ------------------------------------------------------------ */

static void limit(int resource, uint64_t value)
{
    struct rlimit both = { value, value };

    (void)setrlimit((__rlimit_resource_t)resource, &both);
}

static void confine(uint64_t memory_bytes, uint64_t seconds, int64_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != (pid_t)parent)
        _exit(STATUS_INTERNAL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    signal(SIGXFSZ, SIG_IGN); /* a library's last words would hide what it died of */
    limit(RLIMIT_CPU, seconds);
    if (probe_limits_memory)
        limit(RLIMIT_AS, memory_bytes);
}

static enum status map_model(struct str *out, struct error *err)
{
    struct stat info;
    void *data;

    if (fstat(STDIN_FILENO, &info) != 0 || info.st_size == 0)
        return error_set(err, STATUS_INVALID, "no model on standard input");
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
    if (data == MAP_FAILED)
        return error_errno(err, errno, "read the model");
    *out = (struct str){ data, (size_t)info.st_size };
    return STATUS_OK; /* NOLINT(cppcheck-memleak): it stays mapped while this process lives */
}

/* Of /proc/self/statm: pages, of which the second number is resident and the third a file's. */
static int64_t own_bytes(void)
{
    unsigned long total, resident = 0, of_files = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file != NULL && fscanf(file, "%lu %lu %lu", &total, &resident, &of_files) != 3)
        resident = of_files = 0;
    if (file != NULL)
        fclose(file);
    return (int64_t)(resident - of_files) * sysconf(_SC_PAGESIZE);
}

/* As the server will: what crashes on a row of the warm-up does so here. */
static enum status try_model(struct str features, int64_t *took_bytes, struct error *err)
{
    struct loading loading = { .features = features, .runner_count = 1 };
    struct runtime *runtime;
    struct loaded loaded;
    struct arena *arena = arena_new();
    uint64_t times[TRIAL_RUNS];
    int64_t before;

    runtime_onnx.prepare();
    TRY(map_model(&loading.bytes, err));
    loading.trees = loaded_read_trees(arena, loading.bytes);
    TRY(runtime_onnx.open(&runtime, err));
    before = own_bytes();
    TRY(loaded_open(arena, runtime, &loading, &loaded, err));
    (void)loaded_warm_up(&loaded, TRIAL_RUNS, times);
    *took_bytes = own_bytes() > before ? own_bytes() - before : 0;
    return STATUS_OK;
}

int serving_probe_main(int argc, char **argv)
{
    int64_t memory, seconds, parent, took_bytes;
    char text[24];
    struct error err;

    if (argc != 7 || !str_to_int64(str_from(argv[3]), &memory) ||
        !str_to_int64(str_from(argv[4]), &seconds) || !str_to_int64(str_from(argv[5]), &parent))
        return STATUS_INTERNAL;
    confine((uint64_t)memory, (uint64_t)seconds, parent);
    if (try_model(str_from(argv[6]), &took_bytes, &err) == STATUS_OK) {
        snprintf(text, sizeof(text), "%lld", (long long)took_bytes);
        _exit(file_write_all(STDOUT_FILENO, str_from(text)) ? 0 : (int)STATUS_INTERNAL);
    }
    (void)file_write_all(STDOUT_FILENO, str_from(err.message));
    /* Nothing is tidied up: the process was for this one try. */
    _exit((int)err.status);
}
