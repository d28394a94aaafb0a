/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/yaml.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define THREADS_MAX 1024
#define KEEP_MAX 1000000
#define DEADLINE_MIN_US 1000
#define DEADLINE_MAX_US US_PER_DAY

static const struct {
    const char *name;
    enum permission role;
} roles[] = {
    { "viewer", PERMIT_VIEW },
    { "editor", PERMIT_EDIT },
    { "approver", PERMIT_APPROVE },
    { "admin", PERMIT_ADMIN },
};

const char *role_name(enum permission role)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (roles[i].role == role)
            return roles[i].name;
    }
    return "anyone";
}

bool role_parse(struct str name, enum permission *out)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (str_equal(name, str_from(roles[i].name))) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

/* ---- addresses */

bool host_is_loopback(struct str host)
{
    return str_equal(host, STR("::1")) || str_equal_nocase(host, STR("localhost")) ||
           str_starts(host, STR("127."));
}

static bool is_address(struct arena *arena, struct str host)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    const char *text = arena_cstr(arena, host);

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Splits at the colon before the port; an IPv6 address stands in brackets. */
static void split_listen(struct str text, struct str *host, struct str *port)
{
    size_t colon = text.len;

    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    *port = str_slice(text, colon, text.len);
    *host = colon == 0 ? STR("127.0.0.1") : str_slice(text, 0, colon - 1);
    if (colon == 1)
        *host = STR("0.0.0.0");
    if (host->len > 2 && host->data[0] == '[' && host->data[host->len - 1] == ']')
        *host = str_slice(*host, 1, host->len - 1);
    if (str_equal_nocase(*host, STR("localhost")))
        *host = STR("127.0.0.1");
}

enum status config_listen_parse(struct arena *arena, struct str text, struct str *host,
                                uint16_t *port, struct error *err)
{
    struct str address, digits;
    int64_t number;

    split_listen(text, &address, &digits);
    if (!str_to_int64(digits, &number) || number < 0 || number > UINT16_MAX)
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT
                         "' is no address to listen on: expected ADDRESS:PORT, as in "
                         "127.0.0.1:%d",
                         STR_ARG(text), DEFAULT_PORT);
    if (!is_address(arena, address))
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT
                         "' is no address of this machine: expected an IP address, as "
                         "in 0.0.0.0:%d for all",
                         STR_ARG(address), DEFAULT_PORT);
    *host = arena_str(arena, address);
    *port = (uint16_t)number;
    return STATUS_OK;
}

/* ---- scalars that yaml.h does not know */

static const struct {
    const char *unit;
    int64_t bytes;
} sizes[] = {
    { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
    { "kB", 1000 },     { "MB", 1000000 },  { "GB", 1000000000 },
};

static bool size_parse(struct str text, int64_t *out)
{
    int64_t unit = 1;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct str name = str_from(sizes[i].unit);

        if (str_ends(text, name)) {
            text = str_trim(str_slice(text, 0, text.len - name.len));
            unit = sizes[i].bytes;
            break;
        }
    }
    return str_to_int64(text, out) && *out >= 0 && !__builtin_mul_overflow(*out, unit, out);
}

static enum status want_size(const struct yaml_node *map, const char *key, size_t *out,
                             struct error *err)
{
    const struct yaml_node *node = yaml_find(map, key);
    int64_t bytes;

    if (node == NULL || node->kind == YAML_NULL)
        return STATUS_OK;
    if (node->kind != YAML_SCALAR || !size_parse(node->text, &bytes))
        return yaml_error(node, STATUS_INVALID, err, "expected a size as in 512MiB or 4GiB");
    *out = (size_t)bytes;
    return STATUS_OK;
}

static enum status want_count(const struct yaml_node *map, const char *key, int64_t max,
                              unsigned *out, struct error *err)
{
    int64_t number = *out;

    TRY(yaml_want_int64(map, key, &number, err));
    if (number < 0 || number > max)
        return yaml_error(yaml_find(map, key), STATUS_INVALID, err, "expected 0 to %lld",
                          (long long)max);
    *out = (unsigned)number;
    return STATUS_OK;
}

static enum status want_ms(const struct yaml_node *map, const char *key, int64_t *out,
                           struct error *err)
{
    int64_t us = *out * 1000;

    TRY(yaml_want_duration_us(map, key, &us, err));
    if (us < DEADLINE_MIN_US || us > DEADLINE_MAX_US)
        return yaml_error(yaml_find(map, key), STATUS_INVALID, err, "expected 1ms to 1d");
    *out = us / 1000;
    return STATUS_OK;
}

static enum status want_list(struct arena *arena, const struct yaml_node *map, const char *key,
                             struct str **out, size_t *count, struct error *err)
{
    const struct yaml_node *list = yaml_find(map, key);

    if (list == NULL || list->kind == YAML_NULL)
        return STATUS_OK;
    if (list->kind != YAML_SEQUENCE)
        return yaml_error(list, STATUS_INVALID, err, "expected a list, found %s",
                          yaml_kind_name(list));
    *out = ARENA_ARRAY(arena, struct str, list->count);
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].kind != YAML_SCALAR)
            return yaml_error(&list->items[i], STATUS_INVALID, err, "expected text, found %s",
                              yaml_kind_name(&list->items[i]));
        (*out)[i] = list->items[i].text;
    }
    *count = list->count;
    return STATUS_OK;
}

/* A mapping below `map`, empty if absent; only the known keys may stand in it. */
static enum status want_map(const struct yaml_node *map, const char *key,
                            const struct str *known, size_t count, const struct yaml_node **out,
                            struct error *err)
{
    static const struct yaml_node empty = { .kind = YAML_MAPPING };
    const struct yaml_node *node = yaml_find(map, key);

    *out = &empty;
    if (node == NULL || node->kind == YAML_NULL)
        return STATUS_OK;
    TRY(yaml_is_map(node, err));
    TRY(yaml_only_keys(node, known, count, err));
    *out = node;
    return STATUS_OK;
}

/* ---- server */

static enum status read_listen(struct arena *arena, const struct yaml_node *map,
                               struct config_server *out, struct error *err)
{
    struct str listen = STR_EMPTY;
    struct error reason;

    TRY(yaml_want_str(map, "listen", &listen, err));
    if (listen.len > 0 &&
        config_listen_parse(arena, listen, &out->host, &out->port, &reason) != STATUS_OK)
        return yaml_error(yaml_find(map, "listen"), STATUS_INVALID, err, "%.400s",
                          reason.message);
    out->listen_host = out->host;
    out->listen_port = out->port;
    return STATUS_OK;
}

static enum status read_deadlines(const struct yaml_node *map, struct config_server *out,
                                  struct error *err)
{
    static const struct str known[] = { STR_INIT("head"), STR_INIT("body"), STR_INIT("idle"),
                                        STR_INIT("handler"), STR_INIT("drain") };
    const struct yaml_node *deadlines;

    TRY(want_map(map, "deadlines", known, ARRAY_LEN(known), &deadlines, err));
    TRY(want_ms(deadlines, "head", &out->head_ms, err));
    TRY(want_ms(deadlines, "body", &out->body_ms, err));
    TRY(want_ms(deadlines, "idle", &out->idle_ms, err));
    TRY(want_ms(deadlines, "handler", &out->handler_ms, err));
    return want_ms(deadlines, "drain", &out->drain_ms, err);
}

static struct str place_of(struct arena *arena, const struct yaml_node *node)
{
    return arena_printf(arena, STR_FMT ":%d:%d", STR_ARG(node->file), node->line, node->column);
}

static enum status read_tls(struct arena *arena, const struct yaml_node *map,
                            struct config_server *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("certificate"), STR_INIT("key") };
    const struct yaml_node *tls;

    TRY(want_map(map, "tls", known, ARRAY_LEN(known), &tls, err));
    if (tls->count == 0)
        return STATUS_OK;
    TRY(yaml_need_str(tls, "certificate", &out->certificate, err));
    TRY(yaml_need_str(tls, "key", &out->key, err));
    out->certificate_place = place_of(arena, yaml_find(tls, "certificate"));
    out->key_place = place_of(arena, yaml_find(tls, "key"));
    return STATUS_OK;
}

static enum status read_server(struct arena *arena, const struct yaml_node *root,
                               struct config_server *out, struct error *err)
{
    static const struct str known[] = {
        STR_INIT("listen"),      STR_INIT("threads"), STR_INIT("workers"),
        STR_INIT("connections"), STR_INIT("hosts"),   STR_INIT("access_log"),
        STR_INIT("deadlines"),   STR_INIT("tls"),     STR_INIT("log"),
        STR_INIT("log_level"),
    };
    const struct yaml_node *map;
    struct str log = STR_EMPTY, level = STR_EMPTY;

    TRY(want_map(root, "server", known, ARRAY_LEN(known), &map, err));
    TRY(read_listen(arena, map, out, err));
    TRY(want_count(map, "threads", THREADS_MAX, &out->threads, err));
    TRY(want_count(map, "workers", THREADS_MAX, &out->workers, err));
    TRY(want_count(map, "connections", 10000000, &out->connections, err));
    TRY(want_list(arena, map, "hosts", &out->hosts, &out->host_count, err));
    TRY(yaml_want_str(map, "access_log", &out->access_log, err));
    TRY(yaml_want_str(map, "log", &log, err));
    if (log.len > 0 && !str_equal(log, STR("json")) && !str_equal(log, STR("text")))
        return yaml_error(yaml_find(map, "log"), STATUS_INVALID, err, "expected text or json");
    out->log_json = str_equal(log, STR("json"));
    TRY(yaml_want_str(map, "log_level", &level, err));
    if (level.len > 0 && !log_level_parse(level, &out->log_level))
        return yaml_error(yaml_find(map, "log_level"), STATUS_INVALID, err,
                          "expected debug, info, warn or error");
    TRY(read_deadlines(map, out, err));
    return read_tls(arena, map, out, err);
}

/* ---- users */

static bool is_sha256(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (memchr("0123456789abcdef", text.data[i], 16) == NULL)
            return false;
    }
    return text.len == SHA256_HEX_LEN;
}

static enum status read_user(const struct yaml_node *node, struct config_user *out,
                             struct error *err)
{
    static const struct str known[] = { STR_INIT("name"), STR_INIT("role"),
                                        STR_INIT("token_sha256") };
    struct str role;

    TRY(yaml_is_map(node, err));
    TRY(yaml_only_keys(node, known, ARRAY_LEN(known), err));
    TRY(yaml_need_str(node, "name", &out->name, err));
    TRY(yaml_need_str(node, "role", &role, err));
    TRY(yaml_need_str(node, "token_sha256", &out->token_sha256, err));
    if (!str_is_name(out->name))
        return yaml_error(yaml_find(node, "name"), STATUS_INVALID, err,
                          "a user's name is letters, digits, '_', '-' and '.'");
    if (!role_parse(role, &out->role))
        return yaml_error(yaml_find(node, "role"), STATUS_INVALID, err,
                          "expected viewer, editor, approver or admin, found '" STR_FMT "'",
                          STR_ARG(role));
    if (!is_sha256(out->token_sha256))
        return yaml_error(yaml_find(node, "token_sha256"), STATUS_INVALID, err,
                          "expected 64 hexadecimal digits, as 'onggi users add' writes them");
    return STATUS_OK;
}

static enum status read_users(struct arena *arena, const struct yaml_node *root,
                              struct config *out, struct error *err)
{
    const struct yaml_node *list = yaml_find(root, "users");

    if (list == NULL || list->kind == YAML_NULL)
        return STATUS_OK;
    if (list->kind != YAML_SEQUENCE)
        return yaml_error(list, STATUS_INVALID, err, "expected a list, found %s",
                          yaml_kind_name(list));
    out->users = ARENA_ARRAY(arena, struct config_user, list->count);
    for (size_t i = 0; i < list->count; i++) {
        TRY(read_user(&list->items[i], &out->users[i], err));
        for (size_t j = 0; j < i; j++) {
            if (str_equal(out->users[i].name, out->users[j].name))
                return yaml_error(&list->items[i], STATUS_INVALID, err,
                                  "there are two users '" STR_FMT "'",
                                  STR_ARG(out->users[i].name));
        }
    }
    out->user_count = list->count;
    return STATUS_OK;
}

/* ---- the whole */

static void defaults(struct config *out)
{
    *out = (struct config){
        .online = STR("lmdb:.onggi/online"),
        .metadata = STR("sqlite:.onggi/meta.db"),
        .blobs = STR("folder:.onggi/blobs"),
        .python = STR("python3"),
        .server = { .host = STR("127.0.0.1"),
                    .port = DEFAULT_PORT,
                    .connections = 10000,
                    .head_ms = 10000,
                    .body_ms = 30000,
                    .idle_ms = 75000,
                    .handler_ms = 60000,
                    .drain_ms = 30000,
                    .log_level = LOG_INFO },
    };
}

static enum status read_job(const struct yaml_node *root, struct config *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("memory"), STR_INIT("threads") };
    const struct yaml_node *job;

    TRY(want_map(root, "job", known, ARRAY_LEN(known), &job, err));
    TRY(want_size(job, "memory", &out->job_memory, err));
    return want_count(job, "threads", THREADS_MAX, &out->job_threads, err);
}

static enum status read_pipelines(const struct yaml_node *root, struct config *out,
                                  struct error *err)
{
    static const struct str known[] = { STR_INIT("keep_runs"), STR_INIT("keep_logs") };
    const struct yaml_node *pipelines;

    TRY(want_map(root, "pipelines", known, ARRAY_LEN(known), &pipelines, err));
    TRY(want_count(pipelines, "keep_runs", KEEP_MAX, &out->keep_runs, err));
    return want_count(pipelines, "keep_logs", KEEP_MAX, &out->keep_logs, err);
}

static enum status read_root(struct arena *arena, const struct yaml_node *root,
                             struct config *out, struct error *err)
{
    static const struct str known[] = {
        STR_INIT("online"), STR_INIT("metadata"), STR_INIT("blobs"), STR_INIT("python"),
        STR_INIT("job"),    STR_INIT("server"),   STR_INIT("users"), STR_INIT("pipelines"),
    };

    TRY(yaml_is_map(root, err));
    TRY(yaml_only_keys(root, known, ARRAY_LEN(known), err));
    TRY(yaml_want_str(root, "online", &out->online, err));
    TRY(yaml_want_str(root, "metadata", &out->metadata, err));
    TRY(yaml_want_str(root, "blobs", &out->blobs, err));
    TRY(yaml_want_str(root, "python", &out->python, err));
    TRY(read_job(root, out, err));
    TRY(read_pipelines(root, out, err));
    TRY(read_server(arena, root, &out->server, err));
    return read_users(arena, root, out, err);
}

enum status config_parse(struct arena *arena, struct str file_name, struct str text,
                         struct config *out, struct error *err)
{
    struct yaml_node *documents;
    struct config config;
    size_t count;

    defaults(&config);
    TRY(yaml_parse(arena, file_name, text, &documents, &count, err));
    if (count > 1)
        return yaml_error(&documents[1], STATUS_INVALID, err,
                          "a second document; the configuration is one");
    if (count == 1)
        TRY(read_root(arena, &documents[0], &config, err));
    *out = config;
    return STATUS_OK;
}

enum status config_load(struct arena *arena, const char *folder, struct config *out,
                        struct error *err)
{
    struct str path = arena_printf(arena, "%s/" CONFIG_FILE, folder), text = STR_EMPTY;

    if (file_exists(path.data))
        TRY(file_read(arena, path.data, CONFIG_MAX, &text, err));
    return config_parse(arena, STR(CONFIG_FILE), text, out, err);
}

struct str config_python(struct arena *arena, const struct config *config, const char *folder)
{
    struct str chosen = config->python;
    const char *override = getenv("ONGGI_PYTHON");

    if (override != NULL && override[0] != '\0')
        return str_from(override);
    if (folder == NULL || chosen.len == 0 || chosen.data[0] == '/' ||
        str_index(chosen, '/') == chosen.len)
        return chosen;
    return arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(chosen));
}
