/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A command is a row in a table: its name, what it takes, what its help says,
 * and the function that does it. Reading the command line, help and "did you
 * mean" come from the table alone.
 */
#include "base/arena.h"
#include "base/status.h"

struct cli;

struct command_option {
    const char *name;  /* "service", given as --service */
    const char *value; /* what help puts for its value, "NAME"; NULL: a switch */
    const char *help;
    bool needed; /* without it the command makes no sense */
};

/* What the command needs of the project when no server answers. */
enum command_access {
    ACCESS_NONE,   /* needs no project at all */
    ACCESS_FOLDER, /* only where the project is */
    ACCESS_DOCTOR, /* as read; also where no project is, or one that cannot be opened */
    ACCESS_READ,   /* the lock, shared */
    ACCESS_WRITE,  /* the lock, exclusively */
    ACCESS_MODELS, /* as write, with the deployed models loaded */
    ACCESS_ENGINE, /* as write, and the workflow engine runs in this process */
    ACCESS_SERVER, /* refused without a server */
};

struct command {
    const char *name;     /* one word or two: "apply", "features get" */
    const char *args;     /* "NAME", "[DIR]", "ENDPOINT k=v …" */
    const char *summary;  /* one line; what follows a line break only shows in its own help */
    const char *examples; /* whole lines */
    const struct command_option *options; /* ends with a zeroed one; NULL: none */
    int args_min, args_max;               /* args_max -1: any number */
    enum command_access access;
    bool hidden;
    enum status (*run)(struct cli *cli, struct error *err);
};
#define COMMANDS_END { 0 }

struct command_line_option {
    struct str name, value;
};

struct command_line {
    const struct command *command; /* NULL: help was asked for, or nothing at all */
    struct str group;              /* with help: "features" of `onggi features --help` */
    bool help, version;
    struct str *args;
    size_t arg_count;
    struct command_line_option *options; /* the command's and the general ones */
    size_t option_count;
};

/*
 * Flags may stand anywhere, as --name value or --name=value; "--" ends them. A value that begins with "--"
 * is given by '='. INVALID with a sentence and the nearest known name. tables ends with NULL.
 */
MUST_USE enum status command_line_parse(struct arena *arena,
                                        const struct command *const *tables, int argc,
                                        char **argv, struct command_line *out,
                                        struct error *err);
/* Empty if absent; a switch that is there has the value "true". */
struct str command_line_option(const struct command_line *line, const char *name);

/* All commands; those of one group; one command. */
struct str command_help(struct arena *arena, const struct command *const *tables,
                        const struct command_line *line);
