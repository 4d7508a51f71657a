/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a file of configuration looks like, before its values are read: is it YAML of the plain
 * kind that the schema asks for, and in which line stands each key? libcyaml reads the values, but
 * names lines only in a log for people, and not the right ones (see docs/DESIGN.md).
 */
#ifndef MEMTREE_SHAPE_H
#define MEMTREE_SHAPE_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>

#define SHAPE_KEYS_MAX 64 /* of a schema, all levels together */
#define SHAPE_WHY 192	  /* room for any reason, with its NUL */

struct shape {
	size_t count; /* 0: nothing is said */
	struct {
		const cyaml_schema_field_t *field;
		unsigned int line; /* from 1 */
	} keys[SHAPE_KEYS_MAX];
};

/*
 * Of one document whose top is a mapping by `schema`: fields are strings or mappings again (which
 * may be empty). -EINVAL with the reason, one line, and where it is: unknown keys and keys said
 * twice, values of another type or without content, aliases, tags, more documents, NULs, bytes
 * that are no UTF-8, and what is no YAML at all. -ENOMEM likewise. The reason may quote what
 * anybody wrote.
 */
int shape_read(const char *text, size_t length, const cyaml_schema_value_t *schema,
	       struct shape *ret_shape, char ret_why[SHAPE_WHY], unsigned int *ret_line);

/* The line of a field's key, 0 when it is not there. */
unsigned int shape_line(const struct shape *shape, const cyaml_schema_field_t *field);

#endif /* MEMTREE_SHAPE_H */
