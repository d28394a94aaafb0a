/* SPDX-License-Identifier: Apache-2.0 */
#include "server/users.h"

#include "base/file.h"
#include "base/hash.h"
#include "server/users_text.h"

#include <pthread.h>
#include <stdlib.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define TOKEN_BYTES 32

struct users {
    char *folder;
    bool trusting;
    pthread_mutex_t writing; /* one change of the file at a time */
    void (*changed)(void *context);
    void *changed_context;
    pthread_rwlock_t lock; /* of what follows */
    struct arena *arena;
    const struct config_user *items;
    size_t count;
};

static void copy_users(struct arena *arena, const struct config *config, struct users *out)
{
    struct config copy;

    config_copy_users(arena, &copy, config);
    out->arena = arena;
    out->items = copy.users;
    out->count = copy.user_count;
}

struct users *users_new(const char *folder, const struct config *config, bool trusting)
{
    struct users *users = calloc(1, sizeof(*users));

    if (users == NULL || (users->folder = strdup(folder)) == NULL)
        abort();
    users->trusting = trusting;
    pthread_mutex_init(&users->writing, NULL);
    pthread_rwlock_init(&users->lock, NULL);
    copy_users(arena_new(), config, users);
    return users;
}

void users_free(struct users **users)
{
    if (*users == NULL)
        return;
    arena_free((*users)->arena);
    pthread_rwlock_destroy(&(*users)->lock);
    pthread_mutex_destroy(&(*users)->writing);
    free((*users)->folder);
    free(*users);
    *users = NULL;
}

static void replace(struct users *users, const struct config *config)
{
    struct arena *old;

    pthread_rwlock_wrlock(&users->lock);
    old = users->arena;
    copy_users(arena_new(), config, users);
    pthread_rwlock_unlock(&users->lock);
    arena_free(old);
    if (users->changed != NULL)
        users->changed(users->changed_context);
}

void users_hold(struct users *users)
{
    pthread_mutex_lock(&users->writing);
}

void users_take(struct users *users, const struct config *config)
{
    replace(users, config);
}

void users_release(struct users *users)
{
    pthread_mutex_unlock(&users->writing);
}

void users_on_change(struct users *users, void (*changed)(void *context), void *context)
{
    pthread_mutex_lock(&users->writing);
    users->changed = changed;
    users->changed_context = context;
    changed(context);
    pthread_mutex_unlock(&users->writing);
}

size_t users_count(struct users *users)
{
    size_t count;

    pthread_rwlock_rdlock(&users->lock);
    count = users->count;
    pthread_rwlock_unlock(&users->lock);
    return count;
}

bool users_exist(struct users *users)
{
    return users_count(users) > 0;
}

/* ---- who asks */

static bool find_token(struct users *users, struct str token_sha256, struct arena *arena,
                       struct identity *out)
{
    bool found = false;

    pthread_rwlock_rdlock(&users->lock);
    for (size_t i = 0; i < users->count; i++) {
        if (!equal_constant_time(users->items[i].token_sha256, token_sha256))
            continue;
        *out = (struct identity){ arena_str(arena, users->items[i].name),
                                  users->items[i].role };
        found = true;
    }
    pthread_rwlock_unlock(&users->lock);
    return found;
}

enum status users_authenticate(void *context, const struct request *req, struct identity *out,
                               struct error *err)
{
    struct users *users = context;
    struct str header = request_header(req, "Authorization"), token;

    if (users->trusting && !users_exist(users)) {
        *out = (struct identity){ STR("local"), PERMIT_ADMIN };
        return STATUS_OK;
    }
    if (header.len < 8 || !str_equal_nocase(str_slice(header, 0, 7), STR("Bearer ")))
        return error_set(err, STATUS_INVALID,
                         "who asks? send 'Authorization: Bearer TOKEN'; an admin makes tokens "
                         "with 'onggi users add'");
    token = str_trim(str_slice(header, 7, header.len));
    if (!find_token(users, sha256_hex(req->arena, token), req->arena, out))
        return error_set(err, STATUS_INVALID, "no user has this token");
    return STATUS_OK;
}

void users_list(struct users *users, struct arena *arena, struct user_entry **out,
                size_t *count)
{
    pthread_rwlock_rdlock(&users->lock);
    *count = users->count;
    *out = ARENA_ARRAY(arena, struct user_entry, users->count);
    for (size_t i = 0; i < users->count; i++)
        (*out)[i] = (struct user_entry){ arena_str(arena, users->items[i].name),
                                         users->items[i].role };
    pthread_rwlock_unlock(&users->lock);
}

/* ---- changing onggi.yaml */

/* Base 64 for URLs, without padding: a token must survive shells and headers. */
static struct str new_token(struct arena *arena)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[TOKEN_BYTES + 1] = { 0 };
    char *text = arena_alloc(arena, 44);
    size_t len = 0;

    random_bytes(bytes, TOKEN_BYTES);
    for (size_t bit = 0; bit < TOKEN_BYTES * 8; bit += 6) {
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

        text[len++] = digits[pair >> (10 - bit % 8) & 63];
    }
    return (struct str){ text, len };
}

static const char *config_path(const struct users *users, struct arena *arena)
{
    return arena_printf(arena, "%s/" CONFIG_FILE, users->folder).data;
}

/* The new text must read as the old one with so many users more or less; else nothing is written. */
static enum status write_config(struct users *users, struct arena *arena, struct str text,
                                size_t expected, struct error *err)
{
    struct config config;

    TRY(config_parse(arena, STR(CONFIG_FILE), text, &config, err));
    if (config.user_count != expected)
        return error_set(err, STATUS_INTERNAL, CONFIG_FILE " would not have %zu users",
                         expected);
    TRY(file_write(config_path(users, arena), text, err));
    replace(users, &config);
    return STATUS_OK;
}

static enum status read_config(struct users *users, struct arena *arena, struct str *text,
                               struct config *config, struct error *err)
{
    *text = STR_EMPTY;
    if (file_exists(config_path(users, arena)))
        TRY(file_read(arena, config_path(users, arena), CONFIG_MAX, text, err));
    return config_parse(arena, STR(CONFIG_FILE), *text, config, err);
}

static enum status add_locked(struct users *users, struct arena *arena, struct str name,
                              enum permission role, struct str token, struct error *err)
{
    struct str text, line, hash = sha256_hex(arena, token);
    struct config config;

    TRY(read_config(users, arena, &text, &config, err));
    for (size_t i = 0; i < config.user_count; i++) {
        if (str_equal(config.users[i].name, name))
            return error_set(err, STATUS_CONFLICT,
                             "there is a user '" STR_FMT "' already; remove that one first",
                             STR_ARG(name));
    }
    if (config.user_count == 0 && role != PERMIT_ADMIN)
        return error_set(err, STATUS_CONFLICT,
                         "the first user must be an admin, else nobody could add the others: "
                         "--role admin");
    line = arena_printf(arena, "{name: " STR_FMT ", role: %s, token_sha256: " STR_FMT "}",
                        STR_ARG(name), role_name(role), STR_ARG(hash));
    TRY(users_text_add(arena, text, line, &text, err));
    return write_config(users, arena, text, config.user_count + 1, err);
}

enum status users_add(struct users *users, struct arena *arena, struct str name,
                      enum permission role, struct str *token, struct error *err)
{
    struct str made = new_token(arena);
    enum status status;

    if (!str_is_name(name))
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' is no name: letters, digits, '_', '-' and '.'",
                         STR_ARG(name));
    pthread_mutex_lock(&users->writing);
    status = add_locked(users, arena, name, role, made, err);
    pthread_mutex_unlock(&users->writing);
    if (status == STATUS_OK)
        *token = made;
    return status;
}

static enum status remove_locked(struct users *users, struct arena *arena, struct str name,
                                 struct error *err)
{
    struct config config;
    struct str text;
    size_t index = 0, admins = 0;

    TRY(read_config(users, arena, &text, &config, err));
    while (index < config.user_count && !str_equal(config.users[index].name, name))
        index++;
    if (index == config.user_count)
        return error_set(err, STATUS_NOT_FOUND, "there is no user '" STR_FMT "'",
                         STR_ARG(name));
    for (size_t i = 0; i < config.user_count; i++)
        admins += i != index && config.users[i].role == PERMIT_ADMIN;
    if (admins == 0 && config.user_count > 1)
        return error_set(err, STATUS_CONFLICT,
                         "'" STR_FMT "' is the last admin; make another one first",
                         STR_ARG(name));
    TRY(users_text_remove(arena, text, index, &text, err));
    return write_config(users, arena, text, config.user_count - 1, err);
}

enum status users_remove(struct users *users, struct arena *arena, struct str name,
                         struct error *err)
{
    enum status status;

    pthread_mutex_lock(&users->writing);
    status = remove_locked(users, arena, name, err);
    pthread_mutex_unlock(&users->writing);
    return status;
}
