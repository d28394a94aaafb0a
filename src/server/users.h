/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who may ask for what. Users stand in onggi.yaml with the SHA-256 of their
 * token; the token itself is shown once and kept nowhere. Without users
 * whoever reaches the loopback is the local user and may do everything.
 */
#include "net/router.h"
#include "server/config.h"

struct users;

/*
 * The folder is copied. `trusting`: while there are no users, whoever asks is the local user;
 * otherwise nobody is let in until there is one.
 */
struct users *users_new(const char *folder, const struct config *config, bool trusting);
void users_free(struct users **users);
/* From users_hold to users_release onggi.yaml is not written: what is read in between is the newest. */
void users_hold(struct users *users);
/* The users of the file are those who count from now on. Between the two. */
void users_take(struct users *users, const struct config *config);
void users_release(struct users *users);
bool users_exist(struct users *users);
size_t users_count(struct users *users);
/* Called in the thread that changed them, once at once. */
void users_on_change(struct users *users, void (*changed)(void *context), void *context);

/* For router_set_authenticate; the context is a struct users. */
enum status users_authenticate(void *context, const struct request *req, struct identity *out,
                               struct error *err);

struct user_entry {
    struct str name;
    enum permission role;
};
void users_list(struct users *users, struct arena *arena, struct user_entry **out,
                size_t *count);
/* Writes onggi.yaml, leaving the rest of its text as it is. token: 43 characters of base 64. */
MUST_USE enum status users_add(struct users *users, struct arena *arena, struct str name,
                               enum permission role, struct str *token, struct error *err);
MUST_USE enum status users_remove(struct users *users, struct arena *arena, struct str name,
                                  struct error *err);

/* GET, POST /api/v1/users, DELETE /api/v1/users/{name}; the context is a struct users. */
extern const struct door users_door;
