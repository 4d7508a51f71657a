/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pass of a NodeManager's monitor over a tree, from the maps instead of /proc: what it would
 * reckon if nobody could hide from it. Members are the tree's, so an orphan, an unreadable name
 * or a root that has gone change nothing; ages and sums are yarn.h's own. Pure.
 */
#ifndef MEMTREE_PASS_H
#define MEMTREE_PASS_H

#include "model.h"
#include "yarn.h"

/* How often the monitor looks by default (yarn.nodemanager.container-monitor.interval-ms). */
#define PASS_INTERVAL_NS (3ULL * 1000 * 1000 * 1000)

/* Adds one to `passes`, zeroed before the first and freed by yarn_tree_free(); then
 * yarn_decide() tells. Live members count, those of the trees inside `tree` too. Negative errno,
 * and nothing has changed. */
int pass_make(const struct model *model, const struct tree *tree, struct yarn_tree *passes);

#endif /* MEMTREE_PASS_H */
