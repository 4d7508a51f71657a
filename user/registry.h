/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The trees of a tracker as slots: claimed, opened, renamed, hidden, closed. What is charged
 * to them is the kernel side's business.
 */
#ifndef MEMTREE_REGISTRY_H
#define MEMTREE_REGISTRY_H

#include "tracker.h"

/* What `run` and `add` ask for. */
struct tree_request {
	char name[MT_NAME_SIZE];
	uint32_t parent; /* id of a tree of the same tracker, 0: none */
	uint32_t metric;
	uint64_t window_ns;
	struct mt_policy policy;  /* limit 0: none */
	uint64_t started_boot_ns; /* its root, CLOCK_BOOTTIME; 0: now */
};

/*
 * Claims a slot and opens it. -EEXIST when the name is taken, -ENOSPC when no slot is
 * free, -ELOOP when the parent lies MT_DEPTH deep already. The slot stays until
 * registry_close; its id is never given again.
 */
int registry_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree);

/* Another limit, or another way to deal with it, from now on; the loader is told. -ENOENT when
 * the tree is gone. */
int registry_policy(struct tracker *tracker, uint32_t tree, const struct mt_policy *policy);

/* Frees a slot; members that still name it are counted as losses from now on. */
void registry_close(struct tracker *tracker, uint32_t tree);

/* Frees the slots of trees that have ended: those of this owner, and those that nobody waits for
 * any more. */
void registry_sweep(struct tracker *tracker, uint32_t owner_tgid);

/* Members plus charged address spaces; 0 when the tree has ended or its slot was closed.
 * Negative errno. */
int64_t registry_holds(const struct tracker *tracker, uint32_t tree);

/* -EEXIST when the name is taken, -ENOENT when the tree is gone. */
int registry_rename(struct tracker *tracker, uint32_t tree, const char *name);

/* Sets the window of inherited memory for forks from now on. -ENOENT as above. */
int registry_window(struct tracker *tracker, uint32_t tree, uint64_t window_ns);

/* Nothing is told or stopped of it any more; `flags` are its settings'. */
int registry_disarm(const struct tracker *tracker, uint32_t tree, uint32_t flags);

/* A tree inside another loses its name and its limit, and shows as part of that one. Its slot is
 * freed after its end. -ENOENT as above. */
int registry_hide(struct tracker *tracker, uint32_t tree);

/* The trees directly inside `tree` lie in none from now on. Negative errno. */
int registry_free_inner(struct tracker *tracker, uint32_t tree);

#endif /* MEMTREE_REGISTRY_H */
