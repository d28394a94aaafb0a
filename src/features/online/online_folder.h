/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The folder of an online store that keeps its generations as files:
 *
 *   manifest.json          which generation of each view is served; of views that were
 *                          removed, up to which number generations are dead
 *   VIEW.GENERATION/       one generation; generation.json describes it
 *   lock                   held while the manifest changes
 *
 * The manifest is replaced by renaming, so a reader sees the old one or the
 * new one. A folder that the manifest does not name is being built, or was
 * left by a crash; publishing a newer generation of its view removes it, and
 * so does keeping other views.
 */
#include "features/online/online.h"

/* The generation of a view in the manifest; empty if it has none. */
MUST_USE enum status online_folder_current(struct arena *arena, const char *folder,
                                           struct str view, struct str *generation,
                                           struct error *err);
char *online_folder_path(struct arena *arena, const char *folder, struct str view,
                         struct str generation);
/* A fresh folder for a new generation of the view. */
MUST_USE enum status online_folder_create(struct arena *arena, const char *folder,
                                          struct str view, struct str *generation,
                                          struct error *err);
MUST_USE enum status online_folder_describe(const char *path, const struct online_info *info,
                                            struct error *err);
MUST_USE enum status online_folder_info(struct arena *arena, const char *path,
                                        struct online_info *info, struct error *err);
/* Writes the manifest, then removes what is older. */
MUST_USE enum status online_folder_publish(const char *folder,
                                           const struct online_publication *items, size_t count,
                                           struct error *err);
/* Writes the manifest without the other views, then removes their folders. */
MUST_USE enum status online_folder_keep(const char *folder, const struct str *views,
                                        size_t count, struct error *err);
