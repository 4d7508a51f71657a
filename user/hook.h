/* SPDX-License-Identifier: GPL-2.0-only */
/* A tree's hook: a command for sh that may help it before anybody is signalled. */
#ifndef MEMTREE_HOOK_H
#define MEMTREE_HOOK_H

#include "errand.h"
#include "model.h"

/*
 * Starts the hook of the tree's policy, in the tree's name but not as its member. It finds there
 * MEMTREE_TREE, MEMTREE_ID (as #ID takes it), MEMTREE_ROOT_PID, MEMTREE_CHARGED and MEMTREE_LIMIT
 * (bytes) and MEMTREE_REASON. Negative errno.
 */
int hook_start(struct event_base *loop, const struct mt_policy *policy, const struct tree *tree,
	       errand_done_fn done, void *context, struct errand **ret_errand);

#endif /* MEMTREE_HOOK_H */
