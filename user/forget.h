/* SPDX-License-Identifier: GPL-2.0-only */
/* Stops tracking a tree whose processes live on. */
#ifndef MEMTREE_FORGET_H
#define MEMTREE_FORGET_H

#include "model.h"
#include "tracker.h"

/* What `rm` does with a tree of that model: one inside another is hidden, any other one is
 * forgotten. Negative errno. */
int forget_remove(struct tracker *tracker, const struct model *model, const struct tree *tree);

/* Forgets every member and address space of a tree that lies in no other, then closes its
 * slot; trees directly inside it stand alone from then on. Negative errno. */
int forget_tree(struct tracker *tracker, uint32_t tree);

#endif /* MEMTREE_FORGET_H */
