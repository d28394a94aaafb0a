/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "server/machine_http.h"
#include "server/port_owner.h"
#include "server/run_program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define DISK_BAD ((uint64_t)256 << 20)
#define DISK_LOW ((uint64_t)2 << 30)
#define FILES_NEEDED 10500
#define PROGRAM_MS 5000
#define PYTHON_MS 20000
#define NAMES_SHOWN 3
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

/* Without a project the place where one would be made. */
static const char *folder_of(const struct report *report)
{
    const char *folder = report->machine->project->folder;

    return folder == NULL ? "." : folder;
}

static void check_project(struct report *report)
{
    const struct machine *machine = report->machine;

    if (machine->project->folder == NULL)
        say(report, OK, "project", STR("none here; 'onggi init' makes one"));
    else if (machine->problem != NULL)
        say(report, BAD, "project",
            arena_printf(report->arena, "%s cannot be opened: %s", machine->project->folder,
                         machine->problem));
    else
        say(report, OK, "project", str_from(machine->project->folder));
}

static void check_disk(struct report *report)
{
    const char *folder = folder_of(report);
    struct statvfs info;
    uint64_t free_bytes;
    enum state state;

    if (statvfs(folder, &info) != 0) {
        say(report, BAD, "disk",
            arena_printf(report->arena, "'%s' cannot be examined", folder));
        return;
    }
    free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    state = free_bytes < DISK_BAD ? BAD : free_bytes < DISK_LOW ? WARN : OK;
    say(report, state, "disk",
        arena_printf(report->arena, "%.1f GB free below %s%s", (double)free_bytes / 1e9, folder,
                     state == OK ? "" : "; make room before training"));
}

static void check_permissions(struct report *report)
{
    const struct project *project = report->machine->project;

    if (project->folder == NULL)
        return;
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

/* Which packages of the project's requirements.txt it lacks, one a line; those with a condition are left out. */
static const char missing_packages[] =
    "import importlib.metadata as m, re, sys\n"
    "for line in open(sys.argv[1], encoding='utf-8'):\n"
    "    name = re.match(r'[A-Za-z0-9][\\w.-]*', line)\n"
    "    if name and ';' not in line:\n"
    "        try: m.version(name[0])\n"
    "        except m.PackageNotFoundError: print(name[0])\n";

/* "numpy, onnx, pyarrow and 3 more" of names that stand one a line; empty if there are none. */
static struct str list_names(struct arena *arena, struct str names)
{
    struct str text = STR_EMPTY, name;
    size_t count = 0;

    while (str_split(&names, '\n', &name)) {
        if (name.len > 0 && count++ < NAMES_SHOWN)
            text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text),
                                text.len > 0 ? ", " : "", STR_ARG(name));
    }
    return count <= NAMES_SHOWN ? text
                                : arena_printf(arena, STR_FMT " and %zu more", STR_ARG(text),
                                               count - NAMES_SHOWN);
}

static void check_packages(struct report *report, const char *program, struct str version)
{
    struct str path = arena_printf(report->arena, "%s/requirements.txt", folder_of(report));
    const char *const argv[] = { program, "-c", missing_packages, path.data, NULL };
    struct str output = STR_EMPTY, missing = STR_EMPTY;

    if (report->machine->project->folder != NULL && file_exists(path.data) &&
        run_program(report->arena, argv, PYTHON_MS, &output) == 0)
        missing = list_names(report->arena, output);
    if (missing.len == 0)
        say(report, OK, "python",
            arena_printf(report->arena, STR_FMT " (%s)", STR_ARG(version), program));
    else
        say(report, WARN, "python",
            arena_printf(report->arena,
                         "'%s' lacks " STR_FMT
                         " of requirements.txt, so scripts that need them "
                         "will fail; name one that has them by ONGGI_PYTHON, or make one in %s "
                         "('python3 -m venv venv && venv/bin/pip install -r requirements.txt') "
                         "and put 'python: venv/bin/python' into onggi.yaml",
                         program, STR_ARG(missing), folder_of(report)));
}

static void check_python(struct report *report)
{
    const struct machine *machine = report->machine;
    const char *program = arena_cstr(
        report->arena, config_python(report->arena, machine->config, machine->project->folder));
    const char *const argv[] = { program, "--version", NULL };
    struct str output = STR_EMPTY;

    if (run_program(report->arena, argv, PYTHON_MS, &output) == 0)
        check_packages(report, program, str_trim(output));
    else
        say(report, WARN, "python",
            arena_printf(report->arena,
                         "'%s' does not run, so pipelines' scripts will not; set 'python:' in "
                         "onggi.yaml or ONGGI_PYTHON",
                         program));
}

/* Whether a server could listen where this one is to. Port 0 is any free one. */
static bool address_is_free(const struct config_server *server)
{
    struct sockaddr_storage address = { 0 };
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    char host[INET6_ADDRSTRLEN] = { 0 };
    int fd, yes = 1;
    bool is_free;

    memcpy(host, server->host.data,
           server->host.len < sizeof(host) ? server->host.len : sizeof(host) - 1);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(server->port);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(server->port);
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* not known: the server will say */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    is_free = bind(fd, (struct sockaddr *)&address,
                   address.ss_family == AF_INET ? sizeof(*v4) : sizeof(*v6)) == 0 ||
              errno != EADDRINUSE;
    close(fd);
    return is_free;
}

static void check_server(struct report *report)
{
    const struct machine *machine = report->machine;
    const struct config_server *server = &machine->config->server;
    bool is_v6 = str_index(server->host, ':') < server->host.len;
    struct str address = arena_printf(report->arena, is_v6 ? "[" STR_FMT "]:%u" : STR_FMT ":%u",
                                      STR_ARG(server->host), server->port);
    struct error err;

    if (machine->url.len > 0) {
        say(report, OK, "server",
            arena_printf(report->arena, "answers at " STR_FMT, STR_ARG(machine->url)));
    } else if (address_is_free(server)) {
        say(report, OK, "server",
            arena_printf(report->arena,
                         "none runs here; " STR_FMT " is free for one ('onggi serve')",
                         STR_ARG(address)));
    } else {
        (void)port_in_use(report->arena, address, server->port, &err);
        say(report, WARN, "server",
            arena_printf(report->arena, "none runs here, and could not: %s", err.message));
    }
}

enum status doctor_answer(struct request *req, struct response *res, struct error *err)
{
    struct report report = { .arena = req->arena,
                             .machine = req->context,
                             .doc = json_mut_doc(req->arena) };
    yyjson_mut_val *root = yyjson_mut_obj(report.doc);

    (void)err;
    report.checks = yyjson_mut_obj_add_arr(report.doc, root, "checks");
    check_project(&report);
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
