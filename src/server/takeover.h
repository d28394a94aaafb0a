/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a program hands to the one that is run in its place: the listening
 * sockets and the lock, which stay open, and in the environment their numbers.
 */
#include <stdbool.h>
#include <stddef.h>

#define LISTENERS_MAX 256

struct takeover {
    bool is_one;
    int lock;
    int listeners[LISTENERS_MAX];
    size_t listener_count;
    unsigned port;
    long child; /* still serves */
};

/* Reads what was left in the environment, and removes it there. */
struct takeover takeover_read(void);
/* Before exec: the sockets and the lock outlive it, and the environment tells of them. */
void takeover_offer(const struct takeover *sockets, long child);
/* exec has failed: as before. */
void takeover_withdraw(const struct takeover *sockets);
