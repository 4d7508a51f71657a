// SPDX-License-Identifier: GPL-2.0-only
#include "row.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

struct row *row_add(struct rows *rows, const char *key, const char *label, const char *formula, ...)
{
	struct row *row = &rows->rows[rows->count++];
	va_list args;

	assert(rows->count <= ROWS_MAX);
	*row = (struct row){.group = rows->group, .key = key, .label = label};
	va_start(args, formula);
	vsnprintf(row->formula, sizeof(row->formula), formula, args);
	va_end(args);
	return row;
}

struct row *row_know(struct row *row, int64_t value)
{
	row->known = true;
	row->value = value;
	return row;
}

void row_unknown(struct row *row, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(row->unknown, sizeof(row->unknown), format, args);
	va_end(args);
}

void row_note(struct row *row, const char *format, ...)
{
	size_t used = strlen(row->note);
	va_list args;

	if (used && used + 2 < sizeof(row->note)) {
		strcpy(row->note + used, "; ");
		used += 2;
	}
	va_start(args, format);
	vsnprintf(row->note + used, sizeof(row->note) - used, format, args);
	va_end(args);
}

void row_difference(struct row *row, int64_t charged)
{
	int64_t difference = row->value - charged;

	if (!row->known)
		return;
	if (!difference)
		row_note(row, "as charged");
	else
		row_note(row, "%s %s than charged", ROW_SIZE(llabs(difference)),
			 difference > 0 ? "more" : "less");
}

const struct row *row_find(const struct rows *rows, const char *key)
{
	for (size_t i = 0; i < rows->count; i++)
		if (!strcmp(rows->rows[i].key, key))
			return &rows->rows[i];
	return NULL;
}
