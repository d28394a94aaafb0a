/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A project is a folder with an onggi.yaml. Its state lives in .onggi/ beside
 * it, where a server says that it is there (server.json) and where the lock
 * keeps two writers apart: a server holds it as long as it lives, a command
 * without a server while it works.
 */
#include "base/arena.h"
#include "base/status.h"

struct project {
    char *folder; /* absolute */
    char *state;  /* folder/.onggi */
};

/* From start (NULL: the working folder) upwards to the next onggi.yaml. */
MUST_USE enum status project_find(struct arena *arena, const char *start, struct project *out,
                                  struct error *err);
/* The path of a file in the state folder. */
char *project_path(struct arena *arena, const struct project *project, const char *name);

enum lock_mode {
    LOCK_SHARED,    /* many readers */
    LOCK_EXCLUSIVE, /* one writer */
};

/* Who holds the lock exclusively, as far as it says so. */
struct lock_holder {
    int64_t pid; /* 0: not known, a reader perhaps */
    bool is_server;
    bool alive;
    char what[64]; /* "onggi serve", "onggi apply" */
};

/*
 * Takes the lock if it is free; CONFLICT otherwise, with *holder filled and a sentence in err.
 * `what` is told to whom it keeps waiting. The lock is the open file: forked children share it
 * and the last one lets go; exec lets go.
 */
MUST_USE enum status project_lock_try(const struct project *project, enum lock_mode mode,
                                      const char *what, int *fd, struct lock_holder *holder,
                                      struct error *err);
/* Waits, saying for whom on stderr; TIMEOUT after so long. A server is never waited for: CONFLICT. */
MUST_USE enum status project_lock(const struct project *project, enum lock_mode mode,
                                  const char *what, unsigned timeout_ms, int *fd,
                                  struct error *err);

struct server_info {
    int64_t pid;
    struct str url; /* "http://127.0.0.1:8470" */
    struct str version;
    struct str certificate; /* the file of it, if the url is https; empty otherwise */
};

MUST_USE enum status project_server_put(const struct project *project,
                                        const struct server_info *info, struct error *err);
/* False if no server lives on this project; a file that a killed one left behind does not count. */
bool project_server_find(struct arena *arena, const struct project *project,
                         struct server_info *out);
void project_server_remove(const struct project *project);
