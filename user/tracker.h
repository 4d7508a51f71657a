/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running tracker, ours or another process's: found by walking the kernel's map list,
 * reached through the ids in its header. Readers, and `run` inside a tracked tree, use
 * the programs that the tracker loaded; nothing is loaded here.
 */
#ifndef MEMTREE_TRACKER_H
#define MEMTREE_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"

struct tracker {
	struct mt_tracker header;
	uint32_t id;	/* the header map's id: unique on this machine */
	int header_map; /* held, so that a kept tracker can be found */
	int maps[MT_MAPS];
	int progs[MT_PROGS];
	int links[MT_LINKS_MAX];     /* held only after tracker_keep */
	const void *mapped[MT_MAPS]; /* maps that are read as memory; NULL: the others */
	size_t mapped_bytes[MT_MAPS];
	struct pointers *pointers; /* kept for tracker_iterate_places, by hash */
};

/*
 * Opens the tracker whose header map is `id`. -ENOENT when that map is no tracker or is
 * gone, -EPROTO when it is another build's. The caller owns the result.
 */
int tracker_open(uint32_t id, struct tracker **ret_tracker);

/* NULL is allowed. A kept tracker goes with its last keeper. */
void tracker_close(struct tracker *tracker);

/*
 * Every tracker of this machine that follows its trees, ascending by id; the caller closes each
 * and frees the array with trackers_close. Those of another build are counted in `ret_foreign`.
 */
int trackers_find(struct tracker ***ret_trackers, int *ret_count, int *ret_foreign);
void trackers_close(struct tracker **trackers, int count);

/* Takes the daemon's out of them: the caller owns it. NULL: there is none. */
struct tracker *trackers_take_pinned(struct tracker **trackers, int count);

/* Keeps its programs attached even when the process that loaded it dies. */
int tracker_keep(struct tracker *tracker);

/* From now on the calling process acts for its limits and is believed to. Negative errno. */
int tracker_own(struct tracker *tracker);

/* Its maps stay readable for who has them open; once this is false nothing follows the trees
 * any more. */
bool tracker_is_attached(const struct tracker *tracker);

/*
 * Runs one of its raw_tp programs once, on this CPU, with `args` as its context. -errno when
 * the kernel refuses; `ret_answer`, what it returns, may be NULL.
 */
int tracker_call(const struct tracker *tracker, enum mt_prog prog, const uint64_t *args,
		 size_t count, uint32_t *ret_answer);

/*
 * Runs one of its iterators over a map, or with MT_MAPS over all tasks, and collects what it
 * writes. The caller frees the records. Negative errno; -EPROTO when a record was cut.
 */
int tracker_iterate(const struct tracker *tracker, enum mt_prog prog, enum mt_map map,
		    size_t record_size, void **ret_records, size_t *ret_count);

/* Whose tree each place of a hash is of, header.places[which] of them; NULL when not known. They
 * change meanwhile. */
const uint32_t *tracker_places(const struct tracker *tracker, enum mt_placed which);

/* Likewise over what lies at these places of its hash by now, with the program of that hash that
 * knows places. */
int tracker_iterate_places(const struct tracker *tracker, enum mt_placed which, enum mt_prog prog,
			   const uint32_t *places, size_t count, size_t record_size,
			   void **ret_records, size_t *ret_count);

/* One element of one of its maps. Negative errno. */
int tracker_lookup(const struct tracker *tracker, enum mt_map map, const void *key,
		   void *ret_value);

/* What one of the maps that are arrays by slot (settings, totals, policies) has of a slot, or of the
 * tree whose slot it is: the very memory, which changes meanwhile. */
const void *tracker_slot(const struct tracker *tracker, enum mt_map map, uint32_t slot);

/* System calls that this process made on trackers it had opened, for those who ask what a
 * reading costs. */
uint64_t tracker_calls(void);

/* Likewise the records that its iterators wrote for it. */
uint64_t tracker_records(void);

/* Makes the calling process, about to exec, the first member. */
int tracker_register_self(const struct tracker *tracker, uint32_t tree);

/* The innermost tree that the calling process is a member of, 0: none. */
uint32_t tracker_tree_of_self(const struct tracker *tracker);

/* Notes that an exact reading found the tree charged so many bytes. */
void tracker_peak_raise(const struct tracker *tracker, uint32_t tree, int64_t charged);

/* How often the kernel left out one of its handlers because that CPU was in it already; 0
 * before 5.12, which does not count. */
uint64_t tracker_misses(const struct tracker *tracker);

/* One reason's sum over CPUs. Negative errno. */
int tracker_loss(const struct tracker *tracker, enum mt_loss loss, uint64_t *ret_count);
/* All of them; `ret_losses` has MT_LOSSES places. */
int tracker_losses(const struct tracker *tracker, uint64_t *ret_losses);

/* The name of a reason, static. */
const char *loss_name(enum mt_loss loss);

#endif /* MEMTREE_TRACKER_H */
