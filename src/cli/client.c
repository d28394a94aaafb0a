/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "net/client.h"
#include "net/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_WAIT_MS 600000
#define SERVER_START_WAIT_MS 5000
#define JSON_TYPE STR("application/json")
#define ANSWER_MAX ((size_t)512 << 20) /* a log, at most */

/* ---- finding who answers */

static struct str environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL ? STR_EMPTY : str_from(value);
}

static struct str first_of(struct str a, struct str b)
{
    return a.len > 0 ? a : b;
}

/* A server that has the lock but has not said its address yet is about to. */
static bool await_server(struct cli *cli, struct server_info *info)
{
    uint64_t start = clock_monotonic_ns();

    while ((clock_monotonic_ns() - start) / 1000000 < SERVER_START_WAIT_MS &&
           !cli_interrupted()) {
        if (project_server_find(cli->arena, &cli->project, info))
            return true;
        usleep(20000);
    }
    return false;
}

/* It is ours, so its certificate is known, whatever name that is for. */
static void use_server(struct cli *cli, const struct server_info *info)
{
    cli->server = info->url;
    if (info->certificate.len > 0)
        cli->certificate = arena_cstr(cli->arena, info->certificate);
}

static enum status open_local(struct cli *cli, struct error *err)
{
    const struct command *command = cli->line.command;
    enum lock_mode mode = command->access <= ACCESS_READ ? LOCK_SHARED : LOCK_EXCLUSIVE;
    struct str what = arena_printf(cli->arena, "onggi %s", command->name);
    struct server_info info;
    enum status status = STATUS_OK;

    if (cli->project.folder != NULL)
        status = project_lock(&cli->project, mode, what.data, LOCK_WAIT_MS, &cli->lock, err);
    if (status == STATUS_CONFLICT && await_server(cli, &info)) {
        use_server(cli, &info);
        return STATUS_OK;
    }
    TRY(status);
    log_set_level(LOG_WARN); /* what was done, the command itself says */
    return cli->program->open_local(&cli->project, command->access, &cli->router, &cli->local,
                                    err);
}

enum status cli_connect(struct cli *cli, struct error *err)
{
    struct server_info info;

    cli->token = first_of(cli_option(cli, "token"), environment("ONGGI_TOKEN"));
    cli->server = first_of(cli_option(cli, "server"), environment("ONGGI_SERVER"));
    while (str_ends(cli->server, STR("/")))
        cli->server.len--;
    if (cli->server.len > 0)
        return STATUS_OK;
    if (cli->project.folder != NULL && project_server_find(cli->arena, &cli->project, &info)) {
        use_server(cli, &info);
        return STATUS_OK;
    }
    if (cli->line.command->access == ACCESS_SERVER)
        return error_set(
            err, STATUS_UNAVAILABLE,
            "no server runs on '%s'; start one with 'onggi serve', or name one with "
            "--server URL",
            cli->project.folder);
    return open_local(cli, err);
}

void cli_disconnect(struct cli *cli)
{
    if (cli->local != NULL)
        cli->program->close_local(cli->local);
    cli->local = NULL;
    if (cli->lock >= 0)
        close(cli->lock);
    cli->lock = -1;
}

/* ---- events */

struct listener {
    struct cli *cli;
    const struct cli_request *request;
    struct progress progress;
    struct str result;
    struct str failure;
};

static void show_progress(struct listener *listener, struct str data)
{
    struct arena *arena = arena_new();
    struct error err;
    yyjson_val *json;

    if (json_parse(arena, data, &json, &err) == STATUS_OK)
        progress_show(&listener->progress, json_field_text(arena, json, "phase"),
                      (int64_t)json_field_number(json, "done"),
                      (int64_t)json_field_number(json, "total"),
                      json_str(json_find(json, STR("unit"))));
    arena_free(arena);
}

static enum status on_event(void *context, struct str event, struct str data, struct error *err)
{
    struct listener *listener = context;

    if (cli_interrupted())
        return error_set(err, STATUS_UNAVAILABLE, "interrupted");
    if (str_equal(event, STR("result"))) {
        listener->result = arena_str(listener->cli->arena, data);
    } else if (str_equal(event, STR("error"))) {
        listener->failure = arena_str(listener->cli->arena, data);
    } else if (listener->request->sink != NULL) {
        return listener->request->sink(listener->request->sink_context, event, data, err);
    } else if (str_equal(event, STR("progress"))) {
        show_progress(listener, data);
    }
    return STATUS_OK;
}

/* ---- asking */

static enum status status_of_code(int code)
{
    switch (code) {
    case 404:
        return STATUS_NOT_FOUND;
    case 409:
        return STATUS_CONFLICT;
    case 413:
        return STATUS_LIMIT;
    case 408:
    case 504:
        return STATUS_TIMEOUT;
    case 429:
    case 502:
    case 503:
        return STATUS_UNAVAILABLE;
    default:
        return code >= 500 ? STATUS_INTERNAL : STATUS_INVALID;
    }
}

static enum status status_of_name(struct str name)
{
    for (int status = STATUS_INVALID; status <= STATUS_INTERNAL; status++) {
        if (str_equal(name, str_from(status_name((enum status)status))))
            return (enum status)status;
    }
    return STATUS_INTERNAL;
}

/* {"error": {"code", "message"}}; what is no such object is shown as it is. */
static enum status failure(struct cli *cli, int code, struct str body, struct error *err)
{
    struct error ignored;
    yyjson_val *json = NULL, *error;
    struct str message = body;
    enum status status = status_of_code(code);

    if (json_parse(cli->arena, body, &json, &ignored) == STATUS_OK) {
        error = json_find(json, STR("error"));
        message = json_str(json_find(error, STR("message")));
        if (code == 0)
            status = status_of_name(json_str(json_find(error, STR("code"))));
    }
    if (code == 401 || code == 403)
        cli->exit_code = EXIT_REFUSED;
    if (message.len == 0)
        return error_set(err, status, "the server answered with code %d and no message", code);
    return error_set(err, status, "%.*s%s", (int)message.len, message.data,
                     code == 401 && cli->token.len == 0 ? "; say who asks with ONGGI_TOKEN"
                                                        : "");
}

/* The answer of a router that has no socket to send a file through. */
static enum status keep_file(const char *path, const struct answer *answer, struct error *err)
{
    enum status status;

    if (answer->file == NULL)
        return file_write(path, answer->body, err);
    if (answer->remove_file && rename(answer->file, path) == 0)
        return STATUS_OK;
    status = file_copy(answer->file, path, err);
    if (answer->remove_file)
        unlink(answer->file);
    return status;
}

static enum status ask_local(struct cli *cli, const struct cli_request *request,
                             struct listener *listener, struct answer *out, struct error *err)
{
    struct call call = {
        .method = str_from(request->method),
        .target = request->target,
        .content_type = first_of(request->content_type, JSON_TYPE),
        .accept = request->events ? STR("text/event-stream") : STR_EMPTY,
        .body = request->body,
        .body_file = request->body_file,
        .identity = { .user = STR("local"), .role = PERMIT_ADMIN },
        .is_cancelled = cli_interrupted,
    };

    /* Whoever can write the project's files can do all but what needs a name under it. */
    if (cli->program->has_users(cli->local))
        call.identity.role = PERMIT_EDIT;
    TRY(router_call(cli->router, cli->arena, &call, request->events ? on_event : NULL, listener,
                    out, err));
    if (out->code == 200 && request->out_file != NULL)
        return keep_file(request->out_file, out, err);
    if (out->file != NULL)
        TRY(file_read(cli->arena, out->file, ANSWER_MAX, &out->body, err));
    return STATUS_OK;
}

/* What a server is asked just now: its answer may take long. */
static const struct cli_request *under_way;

static bool is_cancelled(void)
{
    if (under_way->tick != NULL)
        under_way->tick(under_way->sink_context);
    return cli_interrupted() || (under_way->output_only && !output_is_wanted());
}

static enum status ask_server(struct cli *cli, const struct cli_request *request,
                              struct listener *listener, struct answer *out, struct error *err)
{
    const struct http_options options = {
        .method = request->method,
        .content_type = first_of(request->content_type, JSON_TYPE),
        .accept = request->events ? STR("text/event-stream") : STR_EMPTY,
        .token = cli->token,
        .certificate = cli->certificate,
        .ca_file = getenv("ONGGI_CA_FILE"),
        .body = request->body,
        .body_file = request->body_file,
        .answer_file = request->out_file,
        .answer_max = ANSWER_MAX,
        .is_cancelled = is_cancelled,
        .events = request->events ? on_event : NULL,
        .events_context = listener,
    };
    struct str url = arena_printf(cli->arena, STR_FMT STR_FMT, STR_ARG(cli->server),
                                  STR_ARG(request->target));
    struct http_answer answer;

    under_way = request;
    TRY(http_call(cli->arena, url.data, &options, &answer, err));
    *out = (struct answer){ .code = answer.code,
                            .content_type = answer.content_type,
                            .body = answer.body };
    return STATUS_OK;
}

static enum status ask(struct cli *cli, const struct cli_request *request, struct answer *out,
                       struct error *err)
{
    struct listener listener = { .cli = cli, .request = request };
    enum status status;

    progress_init(&listener.progress);
    status = cli->server.len > 0 ? ask_server(cli, request, &listener, out, err)
                                 : ask_local(cli, request, &listener, out, err);
    progress_clear(&listener.progress);
    if (status != STATUS_OK && request->output_only && !output_is_wanted())
        return output_is_unwanted(cli, err);
    TRY(status);
    if (request->events && listener.result.len == 0 && cli_interrupted())
        return error_set(err, STATUS_UNAVAILABLE, "interrupted");
    if (listener.failure.len > 0)
        return failure(cli, 0, listener.failure, err);
    if (listener.result.len > 0)
        out->body = listener.result;
    if (out->code >= 400)
        return failure(cli, out->code, out->body, err);
    return STATUS_OK;
}

enum status cli_ask(struct cli *cli, const struct cli_request *request, struct cli_answer *out,
                    struct error *err)
{
    struct answer answer = { 0 };
    struct error ignored;

    TRY(ask(cli, request, &answer, err));
    *out = (struct cli_answer){ .code = answer.code, .body = answer.body };
    if (answer.body.len > 0 &&
        json_parse(cli->arena, answer.body, &out->json, &ignored) != STATUS_OK)
        out->json = NULL;
    return STATUS_OK;
}

struct str cli_target(struct cli *cli, const char *before, struct str name, const char *after)
{
    struct str encoded = url_encode(cli->arena, name);

    return arena_printf(cli->arena, "%s" STR_FMT "%s", before, STR_ARG(encoded), after);
}

enum status cli_get(struct cli *cli, struct str target, yyjson_val **out, struct error *err)
{
    struct cli_request request = { .method = "GET", .target = target };
    struct cli_answer answer;

    TRY(cli_ask(cli, &request, &answer, err));
    *out = answer.json;
    return STATUS_OK;
}

enum status cli_post(struct cli *cli, struct str target, struct str body, yyjson_val **out,
                     struct error *err)
{
    struct cli_request request = { .method = "POST", .target = target, .body = body };
    struct cli_answer answer;

    TRY(cli_ask(cli, &request, &answer, err));
    *out = answer.json;
    return STATUS_OK;
}

enum status cli_id(struct cli *cli, const char *things, struct str word, struct str *out,
                   struct error *err)
{
    yyjson_val *answer, *newest;

    *out = word;
    if (!str_equal(word, STR("last")))
        return STATUS_OK;
    TRY(cli_get(cli, arena_printf(cli->arena, "/api/v1/%s?limit=1", things), &answer, err));
    newest = yyjson_arr_get_first(json_find(answer, str_from(things)));
    if (newest == NULL)
        return error_set(err, STATUS_NOT_FOUND, "there are no %s yet", things);
    return json_need_str(newest, "id", out, err);
}

enum status cli_download(struct cli *cli, struct str target, const char *path,
                         struct error *err)
{
    struct str part = arena_printf(cli->arena, "%s.part-%ld", path, (long)getpid());
    struct cli_request request = { .method = "GET", .target = target, .out_file = part.data };
    struct cli_answer answer;
    enum status status = cli_ask(cli, &request, &answer, err);

    /* What was there stays until the whole of the new is. */
    if (status == STATUS_OK && rename(part.data, path) != 0)
        status = error_errno(err, errno, "write '%s'", path);
    if (status != STATUS_OK)
        unlink(part.data);
    return status;
}
