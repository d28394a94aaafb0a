/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How far long work is, on stderr: on a terminal one line that moves, elsewhere a line every few seconds. */
#include "base/str.h"

struct progress {
    bool terminal;
    uint64_t start_ns, shown_ns, phase_ns;
    char phase[96];
    bool visible;
};

void progress_init(struct progress *progress);
/* total 0: not known. unit may be empty. */
void progress_show(struct progress *progress, struct str phase, int64_t done, int64_t total,
                   struct str unit);
/* For what does not say how far it is: on a terminal the seconds go by, once a second. */
void progress_wait(struct progress *progress, struct str phase, double seconds);
/* Takes the line away, so that other lines can be printed. */
void progress_clear(struct progress *progress);
