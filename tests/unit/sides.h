/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both sides of a comparison, told as one story: the maps before, what /proc showed then, the
 * maps after. What is told of `before` holds for the others too, until a test changes them.
 */
#ifndef MEMTREE_TEST_SIDES_H
#define MEMTREE_TEST_SIDES_H

#include <errno.h>

#include "story.h"

#include "comparison.h"

#define TICK (SECOND / 100)
#define BOUND (256 << 10) /* may be kept back, per CPU or thread and kind */
#define STATS_MOST 64

struct sides {
	struct story before, after;
	struct procfs_stat all[STATS_MOST];
	size_t count;
	struct yarn_tree yarn;
	struct comparison_sources sources;
	struct comparison result;
};

static inline void sides_begin(struct sides *sides)
{
	memset(sides, 0, sizeof(*sides));
	begin(&sides->before);
	sides->sources = (struct comparison_sources){
		.begun_boot_ns = NOW_BOOT,
		.ticks_per_second = SECOND / TICK,
		.kept_back_bytes = BOUND,
	};
}

static inline struct tree_reading *tree_stands(struct sides *sides, uint32_t id, uint32_t parent)
{
	struct tree_reading *tree = tree_opens(&sides->before, id, parent);

	tree->totals.holds = tree->totals_after.holds = 1;
	return tree;
}

static inline int64_t space_rss(const struct mt_space_record *space)
{
	return space->exact[MT_ANON] + space->exact[MT_FILE] + space->exact[MT_SHMEM];
}

static inline struct mt_space_record *space_of(struct story *story, uint64_t mm)
{
	for (size_t i = 0; i < story->snapshot.space_count; i++)
		if (story->spaces[i].mm == mm)
			return &story->spaces[i];
	return NULL;
}

static inline struct mt_process_record *record_of(struct story *story, uint32_t tgid)
{
	for (size_t i = 0; i < story->snapshot.process_count; i++)
		if (story->processes[i].tgid == tgid)
			return &story->processes[i];
	return NULL;
}

/* The session is that of the first process told of, unless a test says otherwise. */
static inline struct procfs_stat *stat_shows(struct sides *sides, uint32_t pid, uint32_t ppid,
					     int64_t rss)
{
	struct procfs_stat *stat = &sides->all[sides->count++];

	assert_true(sides->count <= STATS_MOST);
	*stat = (struct procfs_stat){
		.pid = (pid_t)pid,
		.ppid = (pid_t)ppid,
		.pgrp = sides->all[0].pid,
		.session = sides->all[0].pid,
		.threads = 1,
		.state = 'S',
		.start_ticks = pid * SECOND / TICK,
		.rss_bytes = rss,
	};
	snprintf(stat->comm, sizeof(stat->comm), "p%u", pid);
	return stat;
}

/* What /proc shows of everyone in `before`: exactly what each has. */
static inline void procfs_agrees(struct sides *sides)
{
	struct story *story = &sides->before;

	for (size_t i = 0; i < story->snapshot.process_count; i++) {
		const struct mt_process_record *process = &story->processes[i];
		const struct mt_space_record *space = space_of(story, process->mm);
		struct procfs_stat *stat = stat_shows(sides, process->tgid, process->ppid,
						      space ? space_rss(space) : 0);

		stat->threads = process->threads;
		stat->start_ticks = process->start_boot_ns / TICK;
	}
	for (size_t i = 0; i < story->snapshot.zombie_count; i++)
		stat_shows(sides, story->zombies[i].tgid, story->zombies[i].zombie.ppid, 0)->state =
			'Z';
}

static inline struct procfs_stat *stat_of(struct sides *sides, uint32_t pid)
{
	for (size_t i = 0; i < sides->count; i++)
		if (sides->all[i].pid == (pid_t)pid)
			return &sides->all[i];
	return NULL;
}

static inline void stat_vanishes(struct sides *sides, uint32_t pid)
{
	*stat_of(sides, pid) = sides->all[sides->count - 1];
	sides->count--;
}

/* From here on a test tells what is different after. */
static inline void later(struct sides *sides)
{
	struct story *after = &sides->after;

	*after = sides->before;
	after->snapshot.trees = after->trees;
	after->snapshot.spaces = after->spaces;
	after->snapshot.processes = after->processes;
	after->snapshot.threads = after->threads;
	after->snapshot.zombies = after->zombies;
}

static inline void process_gone(struct story *story, uint32_t tgid)
{
	*record_of(story, tgid) = story->processes[story->snapshot.process_count - 1];
	story->snapshot.process_count--;
}

static inline void space_gone(struct story *story, uint64_t mm)
{
	*space_of(story, mm) = story->spaces[story->snapshot.space_count - 1];
	story->snapshot.space_count--;
}

static inline int64_t causes_sum(const struct comparison *comparison)
{
	int64_t sum = 0;

	for (int cause = 0; cause < CAUSES; cause++)
		sum += comparison->causes[cause].bytes;
	return sum;
}

/* Compares tree `id`; the sum of all causes is the difference, whatever was told. */
static inline void compare(struct sides *sides, uint32_t id)
{
	struct comparison *result = &sides->result;

	read_out(&sides->before);
	read_out(&sides->after);
	sides->yarn.root = (pid_t)tree_of(&sides->before, id)->root_tgid;
	assert_int_equal(yarn_tree_update(&sides->yarn, sides->all, sides->count), 0);
	sides->sources.before = &sides->before.model;
	sides->sources.after = &sides->after.model;
	sides->sources.all = sides->all;
	sides->sources.all_count = sides->count;
	sides->sources.yarn = &sides->yarn;
	assert_int_equal(comparison_make(&sides->sources, id, result), 0);
	assert_int_equal(result->difference, result->charged - result->procfs_rss);
	assert_int_equal(causes_sum(result), result->difference);
}

static inline void sides_end(struct sides *sides)
{
	comparison_free(&sides->result);
	comparison_free(&sides->result);
	yarn_tree_free(&sides->yarn);
	end(&sides->before);
	end(&sides->after);
}

/* A tree with its root, process 100 with 10 MB. */
static inline struct mt_space_record *root_stands(struct sides *sides)
{
	sides_begin(sides);
	tree_stands(sides, 1, 0);
	return process_with(&sides->before, 100, 1, 1, 10 * MB);
}

/* These bytes of these processes, and nothing else. */
static inline void assert_cause(const struct sides *sides, enum cause cause, int64_t bytes,
				uint32_t processes)
{
	assert_int_equal(sides->result.causes[cause].bytes, bytes);
	assert_int_equal(sides->result.causes[cause].processes, processes);
}

static inline void assert_only(const struct sides *sides, enum cause cause, int64_t bytes,
			       uint32_t processes)
{
	for (int other = 0; other < CAUSES; other++)
		if (other != (int)cause)
			assert_cause(sides, (enum cause)other, 0, 0);
	assert_cause(sides, cause, bytes, processes);
}

static inline void assert_agreed(const struct sides *sides)
{
	assert_only(sides, CAUSE_MOVED, 0, 0);
	assert_int_equal(sides->result.difference, 0);
	assert_int_equal(sides->result.missed_by_procfs_count, 0);
	assert_int_equal(sides->result.missed_by_map_count, 0);
}

static inline enum missed missed_of(const struct comparison_process *list, size_t count,
				    uint32_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].pid == pid)
			return list[i].why;
	return MISSED_NOT;
}

static inline enum missed missed_by_procfs(const struct sides *sides, uint32_t pid)
{
	return missed_of(sides->result.missed_by_procfs, sides->result.missed_by_procfs_count, pid);
}

static inline enum missed missed_by_map(const struct sides *sides, uint32_t pid)
{
	return missed_of(sides->result.missed_by_map, sides->result.missed_by_map_count, pid);
}

static inline void everything_rests(struct sides *sides)
{
	procfs_agrees(sides);
	later(sides);
}

#endif /* MEMTREE_TEST_SIDES_H */
