/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/batch.h"

#include "base/file.h"
#include "cli/client.h"
#include "cli/output.h"
#include "net/url.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status check_options(struct cli *cli, struct error *err)
{
    bool file = cli_has(cli, "entities"), sql = cli_has(cli, "entities-sql");

    if (file == sql)
        return cli_usage(cli, err, "which rows? either --entities FILE or --entities-sql SQL");
    if (!cli_has(cli, "out"))
        return cli_usage(cli, err, "where to? --out FILE");
    return STATUS_OK;
}

static enum status format_of(struct cli *cli, struct str path, const char **out,
                             struct error *err)
{
    *out = str_ends(path, STR(".csv")) ? "csv" : "parquet";
    if (!str_ends(path, STR(".csv")) && !str_ends(path, STR(".parquet")))
        return cli_usage(cli, err,
                         "'" STR_FMT "': expected a name that ends in .parquet or .csv",
                         STR_ARG(path));
    return STATUS_OK;
}

/* The options that shape the result, as the route's query names them. */
static const struct {
    const char *option, *key;
    bool is_switch;
} shape[] = {
    { "time", "time", false },
    { "as-known", "as_known", true },
    { "full-names", "full_names", true },
    { "features", "features", true },
};

static struct str query(struct cli *cli, const struct batch *batch, const char *format)
{
    struct str text = arena_printf(cli->arena, STR_FMT "?format=%s", STR_ARG(batch->target),
                                   format);

    if (batch->service.len > 0)
        text = arena_printf(cli->arena, STR_FMT "&service=" STR_FMT, STR_ARG(text),
                            STR_ARG(url_encode(cli->arena, batch->service)));
    for (size_t i = 0; i < ARRAY_LEN(shape); i++) {
        struct str value = cli_option(cli, shape[i].option);

        if (value.len > 0)
            text = arena_printf(cli->arena, STR_FMT "&%s=" STR_FMT, STR_ARG(text), shape[i].key,
                                STR_ARG(url_encode(cli->arena, value)));
    }
    return text;
}

static struct str sql_body(struct cli *cli, const struct batch *batch, const char *format)
{
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *body = yyjson_mut_obj(doc);

    if (batch->service.len > 0)
        json_add_str(doc, body, "service", batch->service);
    json_add_str(doc, body, "entities_sql", cli_option(cli, "entities-sql"));
    json_add_str(doc, body, "format", str_from(format));
    for (size_t i = 0; i < ARRAY_LEN(shape); i++) {
        struct str value = cli_option(cli, shape[i].option);

        if (value.len > 0 && shape[i].is_switch)
            yyjson_mut_obj_add_true(doc, body, shape[i].key);
        else if (value.len > 0)
            json_add_str(doc, body, shape[i].key, value);
    }
    return json_mut_write(cli->arena, body);
}

static enum status build_request(struct cli *cli, const struct batch *batch, const char *format,
                                 struct cli_request *out, struct error *err)
{
    struct str entities = cli_option(cli, "entities");
    const char *kind;

    *out = (struct cli_request){ .method = "POST", .target = batch->target, .events = true };
    if (entities.len == 0) {
        out->body = sql_body(cli, batch, format);
        return STATUS_OK;
    }
    TRY(format_of(cli, entities, &kind, err));
    out->target = query(cli, batch, format);
    out->body_file = arena_cstr(cli->arena, entities);
    out->content_type = str_equal(str_from(kind), STR("csv"))
                            ? STR("text/csv")
                            : STR("application/vnd.apache.parquet");
    if (!file_exists(out->body_file))
        return error_set(err, STATUS_NOT_FOUND, "there is no file '%s'", out->body_file);
    return STATUS_OK;
}

/* Before the work, not after it. */
static enum status check_writable(const struct cli *cli, const char *path, struct error *err)
{
    char *folder = arena_cstr(cli->arena, str_from(path)), *slash = strrchr(folder, '/');
    struct stat about;

    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return error_set(err, STATUS_INVALID, "--out: '%s' is a folder", path);
    if (slash == NULL)
        folder = (char *)arena_printf(cli->arena, ".").data;
    else
        slash[slash == folder] = '\0';
    return access(folder, W_OK) == 0
               ? STATUS_OK
               : error_errno(err, errno, "--out: write into '%s'", folder);
}

enum status batch_run(struct cli *cli, const struct batch *batch, struct error *err)
{
    struct arena *arena = cli->arena;
    struct str out = cli_option(cli, "out");
    struct cli_request request;
    struct cli_answer answer;
    const char *format;
    int64_t fallbacks;

    TRY(check_options(cli, err));
    TRY(format_of(cli, out, &format, err));
    TRY(check_writable(cli, arena_cstr(arena, out), err));
    TRY(build_request(cli, batch, format, &request, err));
    TRY(cli_ask(cli, &request, &answer, err));
    TRY(cli_download(
        cli, arena_printf(arena, "/api/v1/results/%s", cli_field(cli, answer.json, "id")),
        arena_cstr(arena, out), err));
    if (cli->json) {
        print_json(cli, answer.json);
        return STATUS_OK;
    }
    fallbacks = (int64_t)json_field_number(answer.json, "fallbacks");
    print_note(
        "%s rows × %s columns in %s: %s",
        arena_cstr(arena, text_count(arena, (int64_t)json_field_number(answer.json, "rows"))),
        cli_field(cli, answer.json, "columns"),
        arena_cstr(arena, text_seconds(arena, json_field_number(answer.json, "seconds"))),
        arena_cstr(arena, out));
    if (fallbacks > 0)
        print_note("%s of them answered by the fallback: the column 'fallback' says why",
                   arena_cstr(arena, text_count(arena, fallbacks)));
    return STATUS_OK;
}
