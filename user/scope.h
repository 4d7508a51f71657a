/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a reading is of: one tree with those inside it, or all; and at which places of the large
 * hashes their elements lie. Pure.
 */
#ifndef MEMTREE_SCOPE_H
#define MEMTREE_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"

struct scope {
	uint32_t tree;	/* with those inside it; 0: all */
	uint32_t slots; /* a power of two */
	uint32_t *ids;	/* by slot; 0: not read */
	size_t count;	/* of ids */
};

/* Chooses among the open trees, whose settings stand by slot. -ENOMEM; scope_free ends it. */
int scope_choose(const struct mt_settings *settings, uint32_t slots, uint32_t tree,
		 struct scope *ret_scope);
void scope_free(struct scope *scope);

/* Whether a tree is read. */
bool scope_has(const struct scope *scope, uint32_t tree);

/* Leaves out one that turned out to be in the making, or gone. */
void scope_drop(struct scope *scope, uint32_t tree);

/*
 * The places of one hash to read: all that are taken, or those of the trees in scope. There is
 * room for `count` of them in `ret_places`; returns how many there are.
 */
size_t scope_places(const struct scope *scope, const uint32_t *trees, uint32_t count,
		    uint32_t *ret_places);

#endif /* MEMTREE_SCOPE_H */
