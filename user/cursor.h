/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text taken apart from its front, without a NUL at its end. What takes returns false when
 * the text does not go on like that; out-parameters are untouched then, the cursor is not.
 */
#ifndef MEMTREE_CURSOR_H
#define MEMTREE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const char *at, *end;
};

static inline bool cursor_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool cursor_take(struct cursor *cursor, char wanted)
{
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

/* A decimal number of at most 64 bits, without a sign. */
static inline bool cursor_count(struct cursor *cursor, uint64_t *ret_count)
{
	const char *start = cursor->at;
	uint64_t count = 0;

	for (; cursor->at < cursor->end && cursor_is_digit(*cursor->at); cursor->at++)
		if (__builtin_mul_overflow(count, 10, &count) ||
		    __builtin_add_overflow(count, (uint64_t)(*cursor->at - '0'), &count))
			return false;
	if (cursor->at == start)
		return false;
	*ret_count = count;
	return true;
}

/* So many of `unit` bytes; false when that is no int64_t. */
static inline bool cursor_bytes(struct cursor *cursor, uint64_t unit, int64_t *ret_bytes)
{
	uint64_t count;
	int64_t bytes;

	if (!cursor_count(cursor, &count) || __builtin_mul_overflow(count, unit, &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}

/* A line without its end; false when nothing is left. */
static inline bool cursor_line(struct cursor *cursor, struct cursor *ret_line)
{
	const char *end;

	if (cursor->at == cursor->end)
		return false;
	end = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));
	*ret_line = (struct cursor){.at = cursor->at, .end = end ? end : cursor->end};
	cursor->at = end ? end + 1 : cursor->end;
	return true;
}

#endif /* MEMTREE_CURSOR_H */
