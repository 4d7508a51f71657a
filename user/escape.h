/* SPDX-License-Identifier: GPL-2.0-only */
/* Hostile text (process names, arguments) made safe for terminals and for JSON. */
#ifndef MEMTREE_ESCAPE_H
#define MEMTREE_ESCAPE_H

#include <stddef.h>

/*
 * Both return a string that the caller frees, NULL without memory. `length` bytes are
 * taken, NULs included.
 */

/* For a terminal: control characters (C0, DEL, C1, line and paragraph separators, and
 * what reverses the writing direction), backslashes and invalid UTF-8 become C escapes. */
char *escape_terminal(const char *text, size_t length);

/* For JSON: invalid UTF-8 becomes U+FFFD; the JSON library escapes the rest. */
char *escape_utf8(const char *text, size_t length, size_t *ret_length);

#endif /* MEMTREE_ESCAPE_H */
