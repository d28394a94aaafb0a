/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading, without a lock, what another thread may replace. A reader enters,
 * loads an atomic pointer, uses what it leads to or takes a reference, and
 * leaves. Who replaces the pointer waits afterwards: then nobody reads any
 * more what was there before. Pointers are loaded and stored with C's default
 * (sequentially consistent) order.
 */

/* Between the two a reader must not block, nor enter again. They cost a few nanoseconds. */
void grace_enter(void);
void grace_leave(void);
/* Returns when all readers that were inside at the call have left. Not from inside. */
void grace_wait(void);
