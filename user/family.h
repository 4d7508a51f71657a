/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The processes of one tree by parentage, with subtree totals: pure arithmetic on a
 * model, for whoever draws it.
 */
#ifndef MEMTREE_FAMILY_H
#define MEMTREE_FAMILY_H

#include "model.h"

struct member {
	const struct process *process;
	struct member *parent; /* NULL: the root, an orphan, or its parent is no member */
	int64_t own;   /* charged bytes; of a shared address space, 0 but in its first user */
	int64_t total; /* own, and that of all descendants */
};

struct family {
	struct member *members; /* the largest total first */
	size_t count;
};

/* The members of `tree` and of the trees inside it. Negative errno; family_free. */
int family_build(const struct model *model, const struct tree *tree, struct family *ret_family);
void family_free(struct family *family);

#endif /* MEMTREE_FAMILY_H */
