/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * manifest.json of an online store's folder: which generation of each view is
 * served, and of views that were removed, up to which one generations are
 * dead. It is replaced by renaming, so a reader sees the old one or the new
 * one; who changes it holds the folder's lock.
 *
 * A generation is a number, written with leading zeros. A materialisation takes one for all its
 * views before it reads anything, so what began later has the greater one.
 */
#include "base/json.h"
#include "base/status.h"

struct online_manifest {
    yyjson_val *views;   /* what is served; NULL when there is no manifest yet */
    yyjson_val *removed; /* this generation and all before it are dead; NULL: none */
    int64_t last; /* the greatest number that was taken; 0 in manifests of older versions */
};

/* A folder without a manifest has an empty one. */
MUST_USE enum status online_manifest_read(struct arena *arena, const char *folder,
                                          struct online_manifest *out, struct error *err);
/* The generations of a view; empty if there is none. */
struct str online_manifest_served(const struct online_manifest *manifest, struct str view);
struct str online_manifest_removed(const struct online_manifest *manifest, struct str view);
/* The greatest number that it knows of. */
int64_t online_manifest_last(const struct online_manifest *manifest);

struct str online_generation_name(struct arena *arena, int64_t number);
/* Of the folder "VIEW.GENERATION"; 0 if the name is none of that kind. */
int64_t online_generation_number(struct str folder, struct str *view);

/* A manifest that is being changed. */
struct manifest_draft {
    struct arena *arena;
    yyjson_mut_doc *doc;
    yyjson_mut_val *views, *removed;
    int64_t last;
};

struct manifest_draft online_manifest_draft(struct arena *arena,
                                            const struct online_manifest *manifest);
void manifest_draft_serve(struct manifest_draft *draft, struct str view, struct str generation);
/* The view is served no more, and nothing up to this generation will be. False: as before. */
bool manifest_draft_remove(struct manifest_draft *draft, struct str view,
                           struct str generation);
MUST_USE enum status manifest_draft_write(struct manifest_draft *draft, const char *folder,
                                          struct error *err);
