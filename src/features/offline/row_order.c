/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/row_order.h"

#include "features/offline/parallel.h"

#include <stdlib.h>

#define RUN 16           /* rows that are sorted by insertion before runs are merged */
#define TASK_ROWS 131072 /* about: keys are shared out to threads in such portions */

struct item {
    int64_t time;
    uint32_t row;
};

struct sorting {
    const struct row_order_input *input;
    struct row_order *order;
    uint32_t *firsts; /* first key of each task, and key_count at the end */
};

/* --- one key -------------------------------------------------------------- */

static bool is_after(const int64_t *created, const struct item *a, const struct item *b)
{
    if (a->time != b->time || created == NULL)
        return a->time > b->time;
    return created[a->row] > created[b->row];
}

static void sort_run(const int64_t *created, struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item item = items[i];
        size_t to = i;

        for (; to > 0 && is_after(created, &items[to - 1], &item); to--)
            items[to] = items[to - 1];
        items[to] = item;
    }
}

static void merge(const int64_t *created, const struct item *from, size_t middle, size_t count,
                  struct item *to)
{
    size_t left = 0, right = middle;

    /* Data mostly comes in order of time. */
    if (middle >= count || !is_after(created, &from[middle - 1], &from[middle])) {
        memcpy(to, from, count * sizeof(*from));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool take_right = left == middle ||
                          (right < count && is_after(created, &from[left], &from[right]));

        to[i] = take_right ? from[right++] : from[left++];
    }
}

/* Stable. Both arrays have `count` items; returns the one that holds the result. */
static struct item *sort_items(const int64_t *created, struct item *items, struct item *other,
                               size_t count)
{
    for (size_t i = 0; i < count; i += RUN)
        sort_run(created, items + i, count - i < RUN ? count - i : RUN);
    for (size_t width = RUN; width < count; width *= 2) {
        struct item *swap = items;

        for (size_t i = 0; i < count; i += 2 * width) {
            size_t rest = count - i;

            merge(created, items + i, rest < width ? rest : width,
                  rest < 2 * width ? rest : 2 * width, other + i);
        }
        items = other;
        other = swap;
    }
    return items;
}

static bool is_sorted(const struct row_order_input *input, const uint32_t *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item a = { input->times[rows[i - 1]], rows[i - 1] };
        struct item b = { input->times[rows[i]], rows[i] };

        if (is_after(input->created, &a, &b))
            return false;
    }
    return true;
}

static enum status sort_key(const struct sorting *sorting, uint32_t key, struct error *err)
{
    const struct row_order_input *input = sorting->input;
    uint32_t *rows = sorting->order->rows + sorting->order->starts[key];
    size_t count = sorting->order->starts[key + 1] - sorting->order->starts[key];
    struct item *items, *sorted;

    if (is_sorted(input, rows, count))
        return STATUS_OK;
    items = malloc(2 * count * sizeof(*items));
    if (items == NULL)
        return error_set(err, STATUS_LIMIT, "no memory is left to sort %zu rows", count);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct item){ input->times[rows[i]], rows[i] };
    sorted = sort_items(input->created, items, items + count, count);
    for (size_t i = 0; i < count; i++)
        rows[i] = sorted[i].row;
    free(items);
    return STATUS_OK;
}

/* --- all keys ------------------------------------------------------------- */

static enum status sort_task(void *context, size_t task, unsigned thread, struct error *err)
{
    const struct sorting *sorting = context;

    (void)thread;
    for (uint32_t key = sorting->firsts[task]; key < sorting->firsts[task + 1]; key++)
        TRY(sort_key(sorting, key, err));
    return STATUS_OK;
}

size_t row_order_tasks(const struct row_order *order, uint32_t *firsts)
{
    size_t count = 0;
    uint32_t begun = 0;

    firsts[count++] = 0;
    for (uint32_t key = 1; key < order->key_count; key++) {
        if (order->starts[key] - begun < TASK_ROWS)
            continue;
        begun = order->starts[key];
        firsts[count++] = key;
    }
    firsts[count] = order->key_count;
    return order->key_count == 0 ? 0 : count;
}

size_t row_order_tasks_max(const struct row_order *order)
{
    return order->starts[order->key_count] / TASK_ROWS + 3;
}

/* Counts each key's rows, then puts every row behind those of its key before it. */
static void scatter(const struct row_order_input *input, struct row_order *order)
{
    uint32_t *starts = order->starts;

    for (size_t row = 0; row < input->rows; row++) {
        if (input->keys[row] < input->key_count)
            starts[input->keys[row] + 1]++;
    }
    for (uint32_t key = 0; key < input->key_count; key++)
        starts[key + 1] += starts[key];
    /* starts[k] runs to the start of k + 1 while rows are put; then all move up by one. */
    for (size_t row = 0; row < input->rows; row++) {
        if (input->keys[row] < input->key_count)
            order->rows[starts[input->keys[row]]++] = (uint32_t)row;
    }
    memmove(starts + 1, starts, input->key_count * sizeof(*starts));
    starts[0] = 0;
}

enum status row_order_make(const struct row_order_input *input, unsigned threads,
                           struct row_order *out, struct error *err)
{
    struct row_order order = { .key_count = input->key_count };
    struct sorting sorting = { .input = input, .order = &order };
    enum status status;

    if (input->rows >= UINT32_MAX)
        return error_set(err, STATUS_LIMIT, "%zu rows are more than a job can sort",
                         input->rows);
    order.rows = malloc((input->rows + 1) * sizeof(*order.rows));
    order.starts = calloc((size_t)input->key_count + 1, sizeof(*order.starts));
    if (order.rows != NULL && order.starts != NULL) {
        scatter(input, &order);
        sorting.firsts = calloc(row_order_tasks_max(&order), sizeof(*sorting.firsts));
    }
    if (sorting.firsts == NULL)
        status = error_set(err, STATUS_LIMIT, "no memory is left to sort %zu rows",
                           input->rows);
    else
        status = parallel_run(threads, row_order_tasks(&order, sorting.firsts), sort_task,
                              &sorting, err);
    free(sorting.firsts);
    if (status != STATUS_OK) {
        row_order_free(&order);
        return status;
    }
    *out = order;
    return STATUS_OK;
}

void row_order_free(struct row_order *order)
{
    free(order->rows);
    free(order->starts);
    *order = (struct row_order){ 0 };
}
