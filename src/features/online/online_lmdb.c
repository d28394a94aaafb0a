/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded online store: one LMDB file per view and generation, so that a
 * materialisation never blocks a reader and never leaves holes in a file.
 *
 * A read takes no lock. It claims one of the view's slots, each with a read
 * transaction that is renewed, not begun, and a reference to the generation
 * that the transaction belongs to. Publishing puts the new generation in place
 * and takes the old one away from the slots that are idle; a busy one gives it
 * up when its read ends. The last reference closes the file.
 */
#include "features/online/online_lmdb.h"

#include "base/crash_stack.h"
#include "base/file.h"
#include "base/log.h"
#include "features/online/online_folder.h"
#include "features/online/online_manifest.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

struct lmdb_store {
    struct online_store base;
    struct arena *arena; /* it lives in it, with its views; under the lock */
    const char *folder;
    pthread_mutex_t lock;
    struct lmdb_view *views;
    _Atomic uint64_t version; /* grows by one before and after a switch */
    int watch_fd;             /* inotify; another process may publish */
    int stop_fd;
    pthread_t watcher;
};

/* --- switching ------------------------------------------------------------ */

static bool view_serves(struct lmdb_view *view, struct str generation)
{
    struct generation *current = atomic_load(&view->current);

    return current == NULL ? generation.len == 0
                           : str_equal(current->info.generation, generation);
}

/* One view that has to follow the manifest. */
struct turn {
    struct lmdb_view *view;
    struct generation *next; /* NULL: none any more */
    struct generation *old;
};

struct turns {
    struct arena *arena;
    struct turn *items;
    size_t count, capacity;
};

static void keeps_old(struct lmdb_view *view, const struct error *err)
{
    const char *what = atomic_load(&view->current) == NULL
                           ? "is not served before it is materialised again"
                           : "keeps its old values";

    log_error("features: view '" STR_FMT "' %s: %s", STR_ARG(view->name), what, err->message);
}

/* All that is not as the manifest says, opened; NOT_FOUND if one has vanished since it was read. */
static enum status turns_open(struct lmdb_store *store, bool is_last_try, struct turns *turns)
{
    struct online_manifest manifest;
    struct error err;

    if (online_manifest_read(turns->arena, store->folder, &manifest, &err) != STATUS_OK) {
        log_error("features: the online store keeps its old values: %s", err.message);
        return STATUS_OK;
    }
    for (struct lmdb_view *view = store->views; view != NULL; view = view->next) {
        struct str name = online_manifest_served(&manifest, view->name);
        struct generation *next = NULL;
        enum status status = STATUS_OK;

        if (view_serves(view, name))
            continue;
        if (name.len > 0)
            status = lmdb_generation_open(store->folder, view->name, name, &next, &err);
        if (status == STATUS_NOT_FOUND && !is_last_try)
            return status;
        if (status != STATUS_OK)
            keeps_old(view, &err);
        else
            ARENA_PUSH(turns->arena, turns->items, turns->count,
                       turns->capacity) = (struct turn){ view, next, NULL };
    }
    return STATUS_OK;
}

static void turns_give_up(struct turns *turns)
{
    for (size_t i = 0; i < turns->count; i++)
        lmdb_generation_unref(turns->items[i].next);
    turns->count = 0;
}

/*
 * All at one instant: nothing but the pointers changes while the version is odd. What was served
 * before is closed behind it.
 */
static void turns_make(struct lmdb_store *store, struct turns *turns)
{
    if (turns->count == 0)
        return;
    atomic_fetch_add(&store->version, 1);
    for (size_t i = 0; i < turns->count; i++)
        turns->items[i].old = atomic_exchange(&turns->items[i].view->current,
                                              turns->items[i].next);
    atomic_fetch_add(&store->version, 1);
    for (size_t i = 0; i < turns->count; i++)
        lmdb_view_let_go(turns->items[i].view, turns->items[i].old);
}

/*
 * Brings all views to what the manifest says. Under the store's lock, so nobody else switches. A
 * generation that vanishes between reading the manifest and opening it has been replaced: look again.
 */
static void refresh_locked(struct lmdb_store *store)
{
    struct turns turns = { .arena = arena_new() };

    for (int tries = 10; tries > 0; tries--) {
        if (turns_open(store, tries == 1, &turns) == STATUS_OK)
            break;
        turns_give_up(&turns);
    }
    turns_make(store, &turns);
    arena_free(turns.arena);
}

static void store_refresh(struct lmdb_store *store)
{
    pthread_mutex_lock(&store->lock);
    refresh_locked(store);
    pthread_mutex_unlock(&store->lock);
}

/* Odd in the midst of a switch, which is a matter of a few stores. */
static uint64_t lmdb_version(struct online_store *base)
{
    struct lmdb_store *store = container_of(base, struct lmdb_store, base);
    uint64_t version;

    while (((version = atomic_load(&store->version)) & 1) != 0)
        sched_yield();
    return version;
}

static enum status lmdb_publish(struct online_store *base,
                                const struct online_publication *items, size_t count,
                                struct error *err)
{
    struct lmdb_store *store = container_of(base, struct lmdb_store, base);

    TRY(online_folder_publish(store->folder, items, count, err));
    store_refresh(store);
    return STATUS_OK;
}

static enum status lmdb_discard_all(struct online_store *base, struct str generation,
                                    struct error *err)
{
    return online_folder_discard(container_of(base, struct lmdb_store, base)->folder,
                                 generation, err);
}

static enum status lmdb_keep(struct online_store *base, const struct str *views, size_t count,
                             struct error *err)
{
    struct lmdb_store *store = container_of(base, struct lmdb_store, base);

    TRY(online_folder_keep(store->folder, views, count, err));
    store_refresh(store);
    return STATUS_OK;
}

/* --- the store ------------------------------------------------------------ */

static void *watch(void *context)
{
    struct lmdb_store *store = context;
    struct pollfd fds[2] = { { .fd = store->watch_fd, .events = POLLIN },
                             { .fd = store->stop_fd, .events = POLLIN } };
    char events[4096];

    crash_stack_ready();
    while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
        if (fds[1].revents != 0)
            break;
        if (fds[0].revents == 0)
            continue;
        if (read(store->watch_fd, events, sizeof(events)) > 0)
            store_refresh(store);
        fds[0].revents = 0;
    }
    return NULL;
}

/* The manifest is renamed into the folder; nothing else is, so any event is worth a look. */
static enum status watch_start(struct lmdb_store *store, struct error *err)
{
    int rc;

    store->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    store->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (store->watch_fd < 0 || store->stop_fd < 0 ||
        inotify_add_watch(store->watch_fd, store->folder, IN_MOVED_TO) < 0)
        return error_errno(err, errno, "watch '%s'", store->folder);
    rc = pthread_create(&store->watcher, NULL, watch, store);
    return rc == 0 ? STATUS_OK : error_errno(err, rc, "start a thread");
}

static void store_free(struct lmdb_store *store)
{
    for (struct lmdb_view *view = store->views; view != NULL; view = view->next) {
        lmdb_view_let_go(view, atomic_exchange(&view->current, NULL));
        for (size_t i = 0; i < LMDB_SLOTS; i++)
            assert(view->slots[i].generation == NULL); /* else a snapshot is still open */
        pthread_mutex_destroy(&view->lock);
    }
    if (store->watch_fd >= 0)
        close(store->watch_fd);
    if (store->stop_fd >= 0)
        close(store->stop_fd);
    pthread_mutex_destroy(&store->lock);
    arena_free(store->arena);
}

static enum status lmdb_open(struct str location, struct online_store **out, struct error *err)
{
    struct arena *arena = arena_new();
    struct lmdb_store *store = ARENA_NEW(arena, struct lmdb_store);

    store->base.driver = &online_lmdb;
    store->arena = arena;
    store->folder = arena_cstr(arena, location);
    store->watch_fd = store->stop_fd = -1;
    pthread_mutex_init(&store->lock, NULL);
    if (folder_create(store->folder, err) != STATUS_OK ||
        watch_start(store, err) != STATUS_OK) {
        store_free(store);
        return err->status;
    }
    *out = &store->base;
    return STATUS_OK;
}

static void lmdb_close(struct online_store *base)
{
    struct lmdb_store *store = container_of(base, struct lmdb_store, base);
    const uint64_t one = 1;

    /* An eventfd takes 8 bytes whole or, interrupted, not at all. */
    while (write(store->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    pthread_join(store->watcher, NULL);
    store_free(store);
}

static struct lmdb_view *view_find(struct lmdb_store *store, struct str name)
{
    struct lmdb_view *view = store->views;

    while (view != NULL && !str_equal(view->name, name))
        view = view->next;
    return view;
}

/* The arena aligns for every type, but not to cache lines. */
static struct lmdb_view *view_new(struct lmdb_store *store, struct str name)
{
    char *memory = arena_alloc(store->arena, sizeof(struct lmdb_view) + 63);
    struct lmdb_view *view = (void *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);

    view->base.driver = &online_lmdb;
    view->name = arena_str(store->arena, name);
    pthread_mutex_init(&view->lock, NULL);
    return view;
}

static enum status lmdb_view(struct online_store *base, struct str name,
                             struct online_view **out, struct error *err)
{
    struct lmdb_store *store = container_of(base, struct lmdb_store, base);
    struct lmdb_view *view;

    (void)err;
    pthread_mutex_lock(&store->lock);
    view = view_find(store, name);
    if (view == NULL) {
        view = view_new(store, name);
        view->next = store->views;
        store->views = view;
        refresh_locked(store);
    }
    pthread_mutex_unlock(&store->lock);
    *out = &view->base;
    return STATUS_OK;
}

static enum status lmdb_reserve(struct online_store *base, struct arena *arena,
                                struct str *generation, struct error *err)
{
    return online_folder_reserve(arena, container_of(base, struct lmdb_store, base)->folder,
                                 generation, err);
}

static enum status lmdb_store_build(struct online_store *base, struct str view,
                                    struct str generation, struct str layout,
                                    struct online_builder **out, struct error *err)
{
    return lmdb_build(container_of(base, struct lmdb_store, base)->folder, view, generation,
                      layout, out, err);
}

const struct online_driver online_lmdb = {
    .name = "lmdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .view = lmdb_view,
    .version = lmdb_version,
    .begin = lmdb_begin,
    .end = lmdb_end,
    .find = lmdb_find,
    .reserve = lmdb_reserve,
    .build = lmdb_store_build,
    .add = lmdb_add,
    .finish = lmdb_finish,
    .discard = lmdb_discard,
    .discard_all = lmdb_discard_all,
    .publish = lmdb_publish,
    .keep = lmdb_keep,
};
