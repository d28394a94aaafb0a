/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whole files. What is written appears under its name complete or not at all:
 * temporary name, fsync, rename, fsync of the folder.
 */
#include "base/arena.h"
#include "base/status.h"

/* LIMIT if it is larger than max. INVALID for folders, and for pipes, which could keep us for ever. */
MUST_USE enum status file_read(struct arena *arena, const char *path, size_t max,
                               struct str *out, struct error *err);
/* For what somebody else's program left there: regular files only, and no link to one. */
MUST_USE enum status file_read_untrusted(struct arena *arena, const char *path, size_t max,
                                         struct str *out, struct error *err);
/* Opens it for reading by the same rules; *fd is the caller's to close. */
MUST_USE enum status file_open_untrusted(const char *path, int *fd, struct error *err);
/* One that is there already keeps its owner and mode, and a link to it stays a link. */
MUST_USE enum status file_write(const char *path, struct str content, struct error *err);
/* All of it, whatever write() takes at a time; false with errno set. */
bool file_write_all(int fd, struct str content);
/* To a name that appears complete or not at all; shares the blocks where the file system can. */
MUST_USE enum status file_copy(const char *from, const char *to, struct error *err);
bool file_exists(const char *path);
/* With its parents; one that is there already is fine. */
MUST_USE enum status folder_create(const char *path, struct error *err);
/* With everything in it; follows no symbolic link; an absent one is fine. */
MUST_USE enum status folder_remove(const char *path, struct error *err);
MUST_USE enum status folder_sync(const char *path, struct error *err);
/* The folder and everything in it is on disk, and its name in the folder above; follows no link. */
MUST_USE enum status folder_sync_deep(const char *path, struct error *err);
/*
 * Names in a folder, sorted bytewise, without "." and "..". NOT_FOUND if there is no folder.
 */
MUST_USE enum status folder_list(struct arena *arena, const char *path, struct str **names,
                                 size_t *count, struct error *err);
/*
 * folder + '/' + relative, refused unless it stays below folder: no absolute path, no ".." part,
 * no NUL. Symbolic links are the caller's affair.
 */
MUST_USE enum status path_below(struct arena *arena, const char *folder, struct str relative,
                                char **out, struct error *err);
/*
 * Files below a folder that match a path with '*' and '?' in its components
 * ("data/tx-*.parquet"), sorted bytewise by path; every other byte stands for itself, and so do
 * all of the folder's. The pattern is refused as path_below() refuses.
 */
MUST_USE enum status file_glob(struct arena *arena, const char *folder, struct str pattern,
                               struct str **paths, size_t *count, struct error *err);
