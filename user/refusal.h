/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why something was not done: one line that says what to do, and the status that goes with it.
 * Whoever asked decides where it is told: on stderr, or over the socket. Pure.
 */
#ifndef MEMTREE_REFUSAL_H
#define MEMTREE_REFUSAL_H

#include <stdbool.h>

/* What a command ends with, and what an answer over the socket has as its "status". */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_TREE = 3,
	EXIT_NOT_POSSIBLE = 4, /* not permitted, or not supported by this kernel */
};

struct refusal {
	int status; /* never EXIT_OK */
	char text
		[256]; /* without a newline at its end; what was asked for stands in it as it came */
};

/* Always false, for `return refusal_set(...)`. A text that is too long is cut. */
bool refusal_set(struct refusal *ret_refusal, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Of a call that failed: 4 when that is not permitted or not supported, else 1. Returns `err`, a
 * negative errno. */
int refusal_fail(struct refusal *ret_refusal, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* MEMTREE_REFUSAL_H */
