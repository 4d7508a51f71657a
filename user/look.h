/* SPDX-License-Identifier: GPL-2.0-only */
/* One reading of a tracker and what it means: a snapshot and the model made of it. */
#ifndef MEMTREE_LOOK_H
#define MEMTREE_LOOK_H

#include "model.h"
#include "snapshot.h"
#include "tracker.h"

struct look {
	struct snapshot snapshot;
	struct model model;
};

/* Negative errno; the caller frees with look_free. Without what only commands show. */
int look_take(const struct tracker *tracker, struct look *ret_look);

/* Of one tree, with those inside it; see snapshot_read_tree(). */
int look_take_tree(const struct tracker *tracker, uint32_t tree, struct look *ret_look);

/* Likewise, with the cgroups of its trees and with what was lost; `tree` 0: of all. */
int look_take_shown(const struct tracker *tracker, uint32_t tree, struct look *ret_look);

/* One that is all zero is allowed. */
void look_free(struct look *look);

#endif /* MEMTREE_LOOK_H */
