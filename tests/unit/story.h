/* SPDX-License-Identifier: GPL-2.0-only */
/* Small stories, written down as the records of one reading, and what the model made of
 * them. */
#ifndef MEMTREE_TEST_STORY_H
#define MEMTREE_TEST_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "charge.h"
#include "model.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MB (1ll << 20)
#define SECOND 1000000000ull
#define MOST 16

/* The reading happens at this moment; boot began 1000 s before the monotonic clock's 0. */
#define NOW_MONO (5000 * SECOND)
#define NOW_BOOT (6000 * SECOND)
#define NOW_REAL 1767225600000000000
#define OPEN ((NOW_MONO >> MT_EPOCH_SHIFT) + 1)
#define CLOSED (NOW_MONO >> MT_EPOCH_SHIFT)

#define ANON_ONLY (1U << MT_ANON)
#define ANON_AND_SWAP (1U << MT_ANON | 1U << MT_SWAP)

/* A snapshot with room for its records. */
struct story {
	struct snapshot snapshot;
	struct tree_reading trees[MOST];
	struct mt_space_record spaces[MOST];
	struct mt_process_record processes[MOST];
	struct mt_thread_record threads[MOST];
	struct mt_zombie_record zombies[MOST];
	struct model model;
};

static inline void begin(struct story *story)
{
	memset(story, 0, sizeof(*story));
	story->snapshot.tracker_id = 77;
	story->snapshot.mono_ns = NOW_MONO;
	story->snapshot.boot_ns = NOW_BOOT;
	story->snapshot.real_ns = NOW_REAL;
	story->snapshot.error_bound_bytes = 1000;
	story->snapshot.trees = story->trees;
	story->snapshot.spaces = story->spaces;
	story->snapshot.processes = story->processes;
	story->snapshot.threads = story->threads;
	story->snapshot.zombies = story->zombies;
}

/* Tree `id` in `parent` (0: none); its root is process id * 100. */
static inline struct tree_reading *tree_opens(struct story *story, uint32_t id, uint32_t parent)
{
	struct tree_reading *tree = &story->trees[story->snapshot.tree_count++];

	assert_true(story->snapshot.tree_count <= MOST);
	tree->registration.id = tree->settings.id = id;
	tree->settings.parent = parent;
	tree->settings.metric = MT_METRIC_RSS;
	tree->totals.root_tgid = id * 100;
	snprintf(tree->registration.name, sizeof(tree->registration.name), "tree-%u", id);
	return tree;
}

static inline struct mt_space_record *space_holds(struct story *story, uint64_t mm, uint32_t tree,
						  int64_t anon)
{
	struct mt_space_record *space = &story->spaces[story->snapshot.space_count++];

	assert_true(story->snapshot.space_count <= MOST);
	space->mm = mm;
	space->exact[MT_ANON] = anon;
	space->space.tree = tree;
	return space;
}

/* A thread of its own, sleeping, born of `ppid` one second after process tgid - 1. */
static inline struct mt_process_record *process_lives(struct story *story, uint32_t tgid,
						      uint32_t ppid, uint32_t tree, uint64_t mm)
{
	struct mt_process_record *process = &story->processes[story->snapshot.process_count++];

	assert_true(story->snapshot.process_count <= MOST);
	process->tgid = tgid;
	process->ppid = process->born_ppid = ppid;
	process->tree = tree;
	process->mm = mm;
	process->start_boot_ns = tgid * SECOND;
	process->threads = process->threads_read = 1;
	process->task_state = 1;
	process->leader_known = 1;
	snprintf(process->comm, sizeof(process->comm), "p%u", tgid);
	return process;
}

static inline struct mt_zombie_record *zombie_waits(struct story *story, uint32_t tgid,
						    uint32_t ppid, uint32_t tree)
{
	struct mt_zombie_record *zombie = &story->zombies[story->snapshot.zombie_count++];

	assert_true(story->snapshot.zombie_count <= MOST);
	zombie->tgid = tgid;
	zombie->zombie.start_boot_ns = tgid * SECOND;
	zombie->zombie.tree = tree;
	zombie->zombie.ppid = zombie->zombie.born_ppid = ppid;
	memcpy(zombie->zombie.comm, "dead", 5);
	return zombie;
}

static inline void thread_keeps(struct story *story, uint32_t tgid, int64_t anon)
{
	struct mt_thread_record *thread = &story->threads[story->snapshot.thread_count++];

	assert_true(story->snapshot.thread_count <= MOST);
	thread->tgid = tgid;
	thread->kept_back[MT_ANON] = anon;
}

/* A process with an address space of its own, at the address that is its pid. */
static inline struct mt_space_record *process_with(struct story *story, uint32_t tgid,
						   uint32_t ppid, uint32_t tree, int64_t anon)
{
	process_lives(story, tgid, ppid, tree, tgid);
	return space_holds(story, tgid, tree, anon);
}

static inline void read_out(struct story *story)
{
	assert_int_equal(model_build(&story->snapshot, &story->model), 0);
}

static inline const struct tree *tree_of(const struct story *story, uint32_t id)
{
	const struct tree *tree = model_find(&story->model, id);

	assert_non_null(tree);
	assert_int_equal(tree->id, id);
	return tree;
}

static inline const struct process *process_of(const struct story *story, uint32_t tgid)
{
	const struct process *found = NULL;

	for (size_t i = 0; i < story->model.process_count; i++) {
		if (story->model.processes[i].tgid != tgid)
			continue;
		assert_null(found);
		found = &story->model.processes[i];
	}
	assert_non_null(found);
	return found;
}

static inline void end(struct story *story)
{
	model_free(&story->model);
	assert_null(story->model.trees);
	assert_null(story->model.processes);
	model_free(&story->model);
}

#endif /* MEMTREE_TEST_STORY_H */
