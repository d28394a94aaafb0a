/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `onggi job library NAME`: loads a shared library as the rest would, and prints its version. */

int library_check_main(const char *name);
