/* SPDX-License-Identifier: GPL-2.0-only */
/* What memtree says to people on stderr, and the exit statuses it ends with. */
#ifndef MEMTREE_TALK_H
#define MEMTREE_TALK_H

#include <stdbool.h>

#include "refusal.h"

/* Of run alone; the others are in refusal.h. */
enum {
	EXIT_RUN_FAILED = 125,
	EXIT_CANNOT_EXEC = 126,
	EXIT_NOT_FOUND = 127,
};

enum talk_level {
	TALK_QUIET,
	TALK_NORMAL,
	TALK_VERBOSE,
};

extern enum talk_level talk_level;

/* Set by a daemon: what nobody reads is left out. A command says all, however long that takes. */
extern bool talk_never_waits;

/* An error, one line, always printed: "memtree: ...". Returns `err`, a negative errno. */
int talk_error(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A warning or a remark, not with -q. */
void talk_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Only with -v. */
void talk_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a user typed may hold anything: control characters become '?', so that it stays one
 * line and harms no terminal. */
void talk_clean(char *line);

/* The exit status for a failure: 4 for what is not permitted or not supported, else
 * `otherwise`. */
int talk_status(int err, int otherwise);

#endif /* MEMTREE_TALK_H */
