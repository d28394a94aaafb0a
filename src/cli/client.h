/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Asking the API, over a socket or inside the process; the caller sees no difference. */
#include "cli/cli.h"

struct cli_request {
    const char *method;
    struct str target; /* path and query, encoded */
    struct str body;   /* JSON unless content_type says otherwise */
    const char *body_file;
    struct str content_type;
    const char *out_file; /* the answer goes there, complete or not at all */
    bool events;          /* long work: show its progress, the result event is the answer */
    bool output_only; /* what comes is only for stdout: ends when nobody reads that any more */
    /* Instead of the progress bar, for commands that show more than that. */
    event_sink sink;
    void *sink_context;
    void (*tick)(void *sink_context); /* some ten times a second while a server is waited for */
};

struct cli_answer {
    int code;
    struct str body;
    yyjson_val *json; /* of the body; NULL if it is none */
};

/* An answer of 400 and more is a failure with the sentence that came with it. */
MUST_USE enum status cli_ask(struct cli *cli, const struct cli_request *request,
                             struct cli_answer *out, struct error *err);
/* before + name, encoded + after: the target of what the name names. */
struct str cli_target(struct cli *cli, const char *before, struct str name, const char *after);
MUST_USE enum status cli_get(struct cli *cli, struct str target, yyjson_val **out,
                             struct error *err);
MUST_USE enum status cli_post(struct cli *cli, struct str target, struct str body,
                              yyjson_val **out, struct error *err);
/* "last" is the newest of "executions" or "runs"; any other word is the id itself. */
MUST_USE enum status cli_id(struct cli *cli, const char *things, struct str word,
                            struct str *out, struct error *err);
/* GET into a file, which appears complete or not at all. */
MUST_USE enum status cli_download(struct cli *cli, struct str target, const char *path,
                                  struct error *err);
/* Finds the server or opens the project; called once by cli_main for commands that need it. */
MUST_USE enum status cli_connect(struct cli *cli, struct error *err);
void cli_disconnect(struct cli *cli);
