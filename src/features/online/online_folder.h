/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The folder of an online store that keeps its generations as files:
 *
 *   manifest.json          which generations are served; see online_manifest.h
 *   VIEW.GENERATION/       one generation; generation.json describes it
 *   lock                   held while the manifest changes, or a generation's folder is made
 *
 * A folder that the manifest does not name is being built (its builder holds
 * a lock on it), or waits to be published, or was left by a crash; publishing
 * a newer generation of its view removes it, and so does keeping other views.
 */
#include "features/online/online.h"

char *online_folder_path(struct arena *arena, const char *folder, struct str view,
                         struct str generation);
/* Takes a number that is greater than all before; see online_manifest.h. */
MUST_USE enum status online_folder_reserve(struct arena *arena, const char *folder,
                                           struct str *generation, struct error *err);
/*
 * An empty folder for a generation. *lock is a descriptor that keeps others from removing it; to be
 * closed when it is whole, or given up. -1 where the file system knows no locks.
 */
MUST_USE enum status online_folder_create(const char *folder, const char *path, int *lock,
                                          struct error *err);
MUST_USE enum status online_folder_describe(const char *path, const struct online_info *info,
                                            struct error *err);
MUST_USE enum status online_folder_info(struct arena *arena, const char *path,
                                        struct online_info *info, struct error *err);
/* Removes what was built under that number, unless it is served or its builder is at work. */
MUST_USE enum status online_folder_discard(const char *folder, struct str generation,
                                           struct error *err);
/* Writes the manifest, then removes what is older; on CONFLICT what was to be published. */
MUST_USE enum status online_folder_publish(const char *folder,
                                           const struct online_publication *items, size_t count,
                                           struct error *err);
/* Writes the manifest without the other views, then removes their folders. */
MUST_USE enum status online_folder_keep(const char *folder, const struct str *views,
                                        size_t count, struct error *err);
