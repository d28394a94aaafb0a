/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where things are, as seen from where a person stands: the commands that we
 * suggest must work when pasted, wherever the program lies.
 */
#include "cli/cli.h"

/* The folder of this program's file, symbolic links followed. */
struct str place_of_program(struct arena *arena);
/* Absolute, without "." and "..". Of a relative path from the working folder. */
struct str place_absolute(struct arena *arena, struct str path);
/*
 * How `to` is written for somebody in `folder`, both absolute: relative if they have more than the root in
 * common, else as it is.
 */
struct str place_from(struct arena *arena, struct str folder, struct str to);
/* The same for somebody who stays in the working folder: relative only for what is below it. */
struct str place_from_here(struct arena *arena, struct str to);
/* Quoted, if a shell would take it apart. */
struct str place_in_shell(struct arena *arena, struct str path);
/* How the program is called in a folder: "onggi" if it was found in PATH. */
struct str place_command(struct cli *cli, struct str folder);
