/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "server/machine_http.h"
#include "server/run_program.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define DISK_BAD ((uint64_t)256 << 20)
#define DISK_LOW ((uint64_t)2 << 30)
#define FILES_NEEDED 10500
#define PROGRAM_MS 5000
/* Before this the program did not exist, so a clock that says so is wrong. */
#define YEAR_2024_US (INT64_C(1704067200) * US_PER_SECOND)

struct report {
    struct arena *arena;
    const struct machine *machine;
    yyjson_mut_doc *doc;
    yyjson_mut_val *checks;
};

enum state { OK, WARN, BAD };

static void say(struct report *report, enum state state, const char *name, struct str text)
{
    static const char *const words[] = { "ok", "warn", "bad" };
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(report->doc, report->checks);

    yyjson_mut_obj_add_str(report->doc, item, "state", words[state]);
    yyjson_mut_obj_add_str(report->doc, item, "name", name);
    json_add_str(report->doc, item, "text", text);
}

static void check_disk(struct report *report)
{
    struct statvfs info;
    uint64_t free_bytes;
    enum state state;

    if (statvfs(report->machine->project->folder, &info) != 0) {
        say(report, BAD, "disk", STR("the project's folder cannot be examined"));
        return;
    }
    free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    state = free_bytes < DISK_BAD ? BAD : free_bytes < DISK_LOW ? WARN : OK;
    say(report, state, "disk",
        arena_printf(report->arena, "%.1f GB free below %s%s", (double)free_bytes / 1e9,
                     report->machine->project->folder,
                     state == OK ? "" : "; make room before training"));
}

static void check_permissions(struct report *report)
{
    const struct project *project = report->machine->project;

    if (access(project->folder, W_OK) != 0 || access(project->state, W_OK) != 0)
        say(report, BAD, "permissions",
            arena_printf(report->arena, "%s or %s cannot be written by user %u",
                         project->folder, project->state, (unsigned)geteuid()));
    else
        say(report, OK, "permissions", STR("the project and its .onggi can be written"));
}

static void check_files(struct report *report)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max < FILES_NEEDED)
        say(report, WARN, "file limit",
            arena_printf(
                report->arena,
                "%llu open files at most, 10,000 connections need %d; raise 'ulimit -Hn'",
                (unsigned long long)limit.rlim_max, FILES_NEEDED));
    else
        say(report, OK, "file limit",
            arena_printf(report->arena, "%llu open files at most",
                         (unsigned long long)limit.rlim_max));
}

static void check_clock(struct report *report)
{
    struct timex time = { 0 };
    char text[TIME_TEXT_MAX];
    size_t len = time_format_us(floor_to_int64(clock_now_us(), US_PER_SECOND), text);

    if (clock_now_us() < YEAR_2024_US)
        say(report, BAD, "clock",
            arena_printf(report->arena, "it says %.*s, which cannot be", (int)len, text));
    else if (adjtimex(&time) == TIME_ERROR && (time.status & STA_UNSYNC) != 0)
        say(report, WARN, "clock",
            arena_printf(report->arena, "%.*s, and nothing keeps it right (no NTP)", (int)len,
                         text));
    else
        say(report, OK, "clock", arena_printf(report->arena, "%.*s", (int)len, text));
}

/* In a process of its own: a library that does not load must not take the server along. */
static void check_library(struct report *report, const char *name, const char *needed_for)
{
    const char *const argv[] = { "/proc/self/exe", "job", "library", name, NULL };
    struct str output = STR_EMPTY;
    int code = run_program(report->arena, argv, PROGRAM_MS, &output);

    output = str_trim(output);
    if (code == 0)
        say(report, OK, name, output);
    else
        say(report, BAD, name,
            arena_printf(report->arena, STR_FMT "; without it no %s; dev/setup brings it",
                         STR_ARG(output), needed_for));
}

static void check_python(struct report *report)
{
    const char *chosen = getenv("ONGGI_PYTHON");
    const char *program = chosen != NULL && chosen[0] != '\0'
                              ? chosen
                              : arena_cstr(report->arena, report->machine->config->python);
    const char *const argv[] = { program, "--version", NULL };
    struct str output = STR_EMPTY;

    if (run_program(report->arena, argv, PROGRAM_MS, &output) == 0)
        say(report, OK, "python",
            arena_printf(report->arena, STR_FMT " (%s)", STR_ARG(str_trim(output)), program));
    else
        say(report, WARN, "python",
            arena_printf(report->arena,
                         "'%s' does not run, so pipelines' scripts will not; set 'python:' in "
                         "onggi.yaml or ONGGI_PYTHON",
                         program));
}

static void check_server(struct report *report)
{
    const struct machine *machine = report->machine;

    if (machine->url.len > 0)
        say(report, OK, "server",
            arena_printf(report->arena, "answers at " STR_FMT, STR_ARG(machine->url)));
    else
        say(report, OK, "server", STR("none runs on this project; 'onggi serve' starts one"));
}

enum status doctor_answer(struct request *req, struct response *res, struct error *err)
{
    struct report report = { .arena = req->arena,
                             .machine = req->context,
                             .doc = json_mut_doc(req->arena) };
    yyjson_mut_val *root = yyjson_mut_obj(report.doc);

    (void)err;
    report.checks = yyjson_mut_obj_add_arr(report.doc, root, "checks");
    check_server(&report);
    check_permissions(&report);
    check_disk(&report);
    check_files(&report);
    check_clock(&report);
    check_library(&report, "duckdb", "training sets and materialisation");
    check_library(&report, "onnxruntime", "model");
    check_python(&report);
    return response_json(res, 200, json_mut_write(req->arena, root));
}
