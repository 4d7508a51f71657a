/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running tracker, ours or another process's: found by walking the kernel's map list,
 * reached through the ids in its header. Readers, and `run` inside a tracked tree, use
 * the programs that the tracker loaded; nothing is loaded here.
 */
#ifndef MEMTREE_TRACKER_H
#define MEMTREE_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

struct tracker {
	struct mt_tracker header;
	uint32_t id;	/* the header map's id: unique on this machine */
	int header_map; /* held, so that a kept tracker can be found */
	int maps[MT_MAPS];
	int progs[MT_PROGS];
	int links[MT_LINKS_MAX]; /* held only after tracker_keep */
};

/*
 * Opens the tracker whose header map is `id`. -ENOENT when that map is no tracker or is
 * gone, -EPROTO when it is another build's. The caller owns the result.
 */
int tracker_open(uint32_t id, struct tracker **ret_tracker);

/* NULL is allowed. A kept tracker goes with its last keeper. */
void tracker_close(struct tracker *tracker);

/*
 * Every tracker of this machine, ascending by id; the caller closes each and frees the
 * array with trackers_close. Those of another build are counted in `ret_foreign`.
 */
int trackers_find(struct tracker ***ret_trackers, int *ret_count, int *ret_foreign);
void trackers_close(struct tracker **trackers, int count);

/* Keeps its programs attached even when the process that loaded it dies. */
int tracker_keep(struct tracker *tracker);

/* What `run` asks for. */
struct tree_request {
	char name[MT_NAME_SIZE];
	uint32_t parent; /* id of a tree of the same tracker, 0: none */
	uint32_t metric;
	uint64_t window_ns;
};

/*
 * Claims a slot and opens it. -EEXIST when the name is taken, -ENOSPC when no slot is
 * free, -ELOOP when the parent lies MT_DEPTH deep already. The slot stays until
 * tracker_tree_remove; its id is never given again.
 */
int tracker_tree_create(struct tracker *tracker, const struct tree_request *request,
			uint32_t *ret_tree);

/* Frees a slot; members that still name it are counted as losses from now on. */
void tracker_tree_remove(struct tracker *tracker, uint32_t tree);

/* Makes the calling process, about to exec, the first member. */
int tracker_register_self(const struct tracker *tracker, uint32_t tree);

/* The innermost tree that the calling process is a member of, 0: none. */
uint32_t tracker_tree_of_self(const struct tracker *tracker);

/* Members plus charged address spaces; 0 when the tree has ended. Negative errno. */
int64_t tracker_tree_holds(const struct tracker *tracker, uint32_t tree);

/* Notes that an exact reading found the tree charged so many bytes. */
void tracker_peak_raise(const struct tracker *tracker, uint32_t tree, int64_t charged);

/* Sums over CPUs; `ret_losses` has MT_LOSSES places. */
int tracker_losses(const struct tracker *tracker, uint64_t *ret_losses);

/* The name of a reason, static. */
const char *loss_name(enum mt_loss loss);

#endif /* MEMTREE_TRACKER_H */
