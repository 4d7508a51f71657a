/* SPDX-License-Identifier: GPL-2.0-only */
/* Stops tracking a tree whose processes live on. */
#ifndef MEMTREE_FORGET_H
#define MEMTREE_FORGET_H

#include "tracker.h"

/* Forgets every member and address space of a tree that lies in no other, then closes its
 * slot; trees directly inside it stand alone from then on. Negative errno. */
int forget_tree(struct tracker *tracker, uint32_t tree);

#endif /* MEMTREE_FORGET_H */
