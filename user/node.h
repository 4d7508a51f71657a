/* SPDX-License-Identifier: GPL-2.0-only */
/* All trackers of this machine, each with its model: what the reading commands show. */
#ifndef MEMTREE_NODE_H
#define MEMTREE_NODE_H

#include "model.h"
#include "refusal.h"
#include "tracker.h"

struct node_tracker {
	struct tracker *tracker;
	struct snapshot snapshot;
	struct model model;
	uint64_t lost[MT_LOSSES]; /* what no census could heal */
};

struct node {
	struct node_tracker *trackers;
	int count;
};

#define NODE_ID_TEXT 24

/* Hands the peaks that only this reading shows back to the tracker, for later readers. */
void node_peaks_keep(const struct tracker *tracker, const struct model *model);

/*
 * The trackers alone, for trackers_close. What fails is said in one line and returned as an exit
 * status; 3 when there is none at all.
 */
int node_find(struct tracker ***ret_trackers, int *ret_count);

/*
 * Reads everything. What fails is said in one line and returned as an exit status; 3 when
 * there is no tracker at all. Losses and inexact trees are noted on stderr. The caller
 * frees with node_free.
 */
int node_read(struct node *ret_node);

/*
 * Likewise one tree, by name or "#ID", with those inside it: nothing else is read. It is of
 * trackers[0]. Also 2 when two trackers use the name, 3 when there is none.
 */
int node_read_tree(const char *name, struct node *ret_node, const struct tree **ret_tree);

/* Whether one of these trackers has a tree of that name, or "#ID". */
bool node_has_named(struct tracker *const *trackers, int count, const char *name);
void node_free(struct node *node);

/*
 * One tracker, which stays the caller's: healed, read, and its peaks handed back. Told to nobody.
 * Negative errno; the caller frees with node_tracker_free.
 */
int node_tracker_read(struct tracker *tracker, struct node_tracker *ret_entry);
void node_tracker_free(struct node_tracker *entry);

/* "TRACKER.TREE", unique on this machine; what `#ID` is compared with. */
const char *node_tree_id(const struct tree *tree, char buffer[NODE_ID_TEXT]);

/* Whether `name` is its name, or its "#ID". */
bool node_is_named(const struct tree *tree, const char *name);

/* Of one tracker: the tree that `name` (or "#ID") names. NULL with the reason when there is none. */
const struct tree *node_model_find(const struct model *model, const char *name,
				   struct refusal *ret_refusal);

/*
 * The tree that `name` (or "#ID") names; 0, or an exit status after one line on stderr:
 * 2 when two trackers use the name, 3 when there is none.
 */
int node_find_tree(const struct node *node, const char *name,
		   const struct node_tracker **ret_tracker, const struct tree **ret_tree);

#endif /* MEMTREE_NODE_H */
