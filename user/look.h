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

/* Negative errno; the caller frees with look_free. Without its cgroups. */
int look_take(const struct tracker *tracker, struct look *ret_look);

/* Likewise, with the cgroups of its trees. */
int look_take_cgroups(const struct tracker *tracker, struct look *ret_look);

/* One that is all zero is allowed. */
void look_free(struct look *look);

#endif /* MEMTREE_LOOK_H */
