/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The handler of a crash needs a stack, and a thread whose own has overflowed
 * has none left. So each thread says at its beginning that it wants another.
 */

/* For the calling thread, until it ends; one that is there already stays. */
void crash_stack_ready(void);
