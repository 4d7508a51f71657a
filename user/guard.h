/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Acts for the limits of all trees of one tracker: the only reader of its ring buffer. It
 * sleeps until the kernel side tells a crossing, a window closes or a grace time ends; then
 * the tree's ward acts. Where too many trees are ended, it disarms them all for a minute. What
 * happens it also tells to readers, by serve.h.
 */
#ifndef MEMTREE_GUARD_H
#define MEMTREE_GUARD_H

#include <event2/event.h>
#include <sys/types.h>

#include "refusal.h"
#include "tracker.h"

struct choices;
struct guard;
struct store;

/* Loop, tracker and store (NULL: verdicts are kept in memory alone) stay the caller's. At most
 * `max_kills` trees are ended within a minute, with 0 any number. Negative errno; the caller owns
 * the result. */
int guard_open(struct event_base *loop, struct tracker *tracker, uint32_t max_kills,
	       struct store *store, struct guard **ret_guard);

/* Another number from now on. */
void guard_set_max_kills(struct guard *guard, uint32_t max_kills);

/*
 * From now on others may ask for trees, and root may add, change, remove and end them
 * (control.h), over a socket at `path`: root, and who may read there, by `gid` as
 * listener_open_path has it. `base` is what a tree takes that is added where nothing is said
 * (NULL: choice_default); it stays the caller's, who may change it. Negative errno with the reason.
 */
int guard_listen(struct guard *guard, const char *path, gid_t gid, const struct choices *base,
		 struct refusal *ret_refusal);

/* NULL is allowed. Alarms and the kernel's stop stay as they are armed. */
void guard_close(struct guard *guard);

#endif /* MEMTREE_GUARD_H */
