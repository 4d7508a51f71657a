/* SPDX-License-Identifier: GPL-2.0-only */
/* One number that people quote: its formula, its value or why there is none, and a note. */
#ifndef MEMTREE_ROW_H
#define MEMTREE_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum row_unit {
	ROW_BYTES,
	ROW_COUNT,
};

struct row {
	const char *group, *key, *label; /* static */
	char formula[112];
	enum row_unit unit;
	bool known, unlimited; /* a limit that is none is known and has no value */
	int64_t value;
	char unknown[128]; /* the reason */
	char note[224];
};

#define ROWS_MAX 64

struct rows {
	struct row rows[ROWS_MAX];
	size_t count;
	const char *group; /* of those that are added next */
};

/* At the end, unknown as yet. The pointers stay valid. */
struct row *row_add(struct rows *rows, const char *key, const char *label, const char *formula, ...)
	__attribute__((format(printf, 4, 5)));

/* Returns the row. */
struct row *row_know(struct row *row, int64_t value);
void row_unknown(struct row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds to what is noted already. */
void row_note(struct row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes how far a known value is from what is charged. */
void row_difference(struct row *row, int64_t charged);

/* NULL when there is none. */
const struct row *row_find(const struct rows *rows, const char *key);

/* For format strings: a size that lives as long as the block. */
#define ROW_SIZE(bytes) units_format_size((bytes), (char[UNITS_SIZE_TEXT]){0})

#endif /* MEMTREE_ROW_H */
