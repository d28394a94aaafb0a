/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `onggi job NAME`: what runs in a process of its own. Not for people. */

/* argv is main's: argv[1] is "job", argv[2] the name. Returns the exit code. */
int jobs_main(int argc, char **argv);
