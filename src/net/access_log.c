/* SPDX-License-Identifier: Apache-2.0 */
#include "net/access_log.h"

#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MAX ((size_t)8 << 20)
#define WRITE_EVERY_MS 250

struct access_log {
    pthread_mutex_t lock;
    pthread_cond_t ending_set;
    pthread_t thread;
    struct buffer waiting;
    uint64_t dropped;
    char *path; /* NULL: stdout */
    int fd;
    bool reopen;
    bool ending;
};

static void write_all(struct access_log *log, struct str text)
{
    while (text.len > 0) {
        ssize_t done = write(log->fd, text.data, text.len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            log_warn("net: access log: %s; %zu bytes are lost", strerror(errno), text.len);
            return;
        }
        text = str_slice(text, (size_t)done, text.len);
    }
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void open_again(struct access_log *log)
{
    int fd = log->path == NULL ? -1 : open_file(log->path);

    if (fd < 0)
        return;
    close(log->fd);
    log->fd = fd;
}

/* With the lock held: until it is time to write, or the end. */
static void sleep_a_while(struct access_log *log)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WRITE_EVERY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (!log->ending)
        pthread_cond_timedwait(&log->ending_set, &log->lock, &until);
}

static void *log_main(void *argument)
{
    struct access_log *log = argument;
    struct buffer writing = { 0 };
    bool ending = false;

    crash_stack_ready();
    while (!ending) {
        struct buffer empty = writing;
        uint64_t dropped;
        bool reopen;

        pthread_mutex_lock(&log->lock);
        sleep_a_while(log);
        ending = log->ending;
        writing = log->waiting;
        log->waiting = empty;
        dropped = log->dropped;
        log->dropped = 0;
        reopen = log->reopen;
        log->reopen = false;
        pthread_mutex_unlock(&log->lock);
        write_all(log, buffer_str(&writing));
        buffer_clear(&writing);
        if (reopen)
            open_again(log);
        if (dropped > 0)
            log_warn("net: access log: %llu lines dropped, the disk is behind",
                     (unsigned long long)dropped);
    }
    buffer_free(&writing);
    return NULL;
}

enum status access_log_open(const char *path, struct access_log **out, struct error *err)
{
    bool is_stdout = strcmp(path, "-") == 0;
    int fd = is_stdout ? STDOUT_FILENO : open_file(path);
    struct access_log *log;

    if (fd < 0)
        return error_errno(err, errno, "open access log %s", path);
    log = calloc(1, sizeof(*log));
    if (log == NULL)
        abort();
    log->fd = fd;
    log->path = is_stdout ? NULL : strdup(path);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->ending_set, NULL);
    if (pthread_create(&log->thread, NULL, log_main, log) != 0)
        abort();
    *out = log;
    return STATUS_OK;
}

enum status server_access_log_check(const char *path, struct error *err)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDOUT_FILENO) : open_file(path);

    if (fd < 0)
        return error_errno(err, errno, "open access log %s", path);
    close(fd);
    return STATUS_OK;
}

void access_log_close(struct access_log **pointer)
{
    struct access_log *log = *pointer;

    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->ending = true;
    pthread_cond_signal(&log->ending_set);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->ending_set);
    buffer_free(&log->waiting);
    if (log->path != NULL)
        close(log->fd);
    free(log->path);
    free(log);
    *pointer = NULL;
}

void access_log_reopen(struct access_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->reopen = true;
    pthread_mutex_unlock(&log->lock);
}

static void write_line(struct buffer *out, const struct turn *turn, int code, uint64_t took_ns)
{
    const struct request *req = &turn->exchange.request;
    char time[TIME_TEXT_MAX];
    size_t len = time_format_us(clock_now_us(), time);

    buffer_printf(out, "{\"time\":\"%.*s\",\"method\":", (int)len, time);
    json_write_str(out, req->method.data == NULL ? STR_EMPTY : req->method);
    buffer_append(out, STR(",\"path\":"));
    json_write_str(out, turn->exchange.target.path);
    buffer_printf(
        out, ",\"route\":\"%s\",\"status\":%d,\"bytes\":%llu,\"us\":%llu,\"user\":",
        req->route == NULL ? "" : req->route->path, code,
        (unsigned long long)atomic_load_explicit(&turn->bytes_sent, memory_order_relaxed),
        (unsigned long long)(took_ns / 1000));
    json_write_str(out, req->identity.user.data == NULL ? STR_EMPTY : req->identity.user);
    buffer_append(out, STR(",\"request_id\":"));
    json_write_str(out, req->request_id.data == NULL ? STR_EMPTY : req->request_id);
    buffer_append(out, STR("}\n"));
}

void access_log_write(struct access_log *log, const struct turn *turn, int code,
                      uint64_t took_ns)
{
    pthread_mutex_lock(&log->lock);
    if (log->waiting.len < WAITING_MAX)
        write_line(&log->waiting, turn, code, took_ns);
    else
        log->dropped++;
    pthread_mutex_unlock(&log->lock);
}
