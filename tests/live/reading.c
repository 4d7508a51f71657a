// SPDX-License-Identifier: GPL-2.0-only
#include "reading.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "census.h"
#include "fixture.h"
#include "node.h"
#include "smaps.h"

/* As every reading command does: what the kernel left out (from 7.0) is found first. */
static void misses_heal(struct fixture *fixture)
{
	uint64_t misses = tracker_misses(fixture->tracker);

	if (misses == fixture->misses)
		return;
	assert_int_equal(census_heal(fixture->tracker), 0);
	fixture->misses = misses;
}

static void reading_take_one(const struct fixture *fixture, uint32_t tree,
			     struct reading *ret_reading)
{
	assert_int_equal(snapshot_read_tree(fixture->tracker, tree, &ret_reading->snapshot), 0);
	assert_int_equal(model_build(&ret_reading->snapshot, &ret_reading->model), 0);
}

static void reading_take_unhealed(struct fixture *fixture, struct reading *ret_reading)
{
	assert_int_equal(snapshot_read(fixture->tracker, &ret_reading->snapshot), 0);
	assert_int_equal(snapshot_read_cgroups(fixture->tracker, &ret_reading->snapshot), 0);
	assert_int_equal(model_build(&ret_reading->snapshot, &ret_reading->model), 0);
	node_peaks_keep(fixture->tracker, &ret_reading->model);
}

void reading_take(struct fixture *fixture, struct reading *ret_reading)
{
	misses_heal(fixture);
	reading_take_unhealed(fixture, ret_reading);
}

void reading_free(struct reading *reading)
{
	model_free(&reading->model);
	snapshot_free(&reading->snapshot);
}

const struct tree *reading_tree(const struct reading *reading, uint32_t tree)
{
	const struct tree *found = model_find(&reading->model, tree);

	assert_non_null(found);
	return found;
}

const struct process *reading_process(const struct reading *reading, pid_t pid)
{
	for (size_t i = 0; i < reading->model.process_count; i++)
		if (reading->model.processes[i].tgid == (uint32_t)pid)
			return &reading->model.processes[i];
	fail_msg("process %d is not tracked", pid);
	return NULL;
}

const struct mt_space *reading_space(const struct reading *reading, pid_t pid)
{
	const struct process *process = reading_process(reading, pid);

	for (size_t i = 0; i < reading->snapshot.space_count; i++)
		if (reading->snapshot.spaces[i].mm == process->mm)
			return &reading->snapshot.spaces[i].space;
	fail_msg("process %d has no address space", pid);
	return NULL;
}

struct process process_now(struct fixture *fixture, pid_t pid)
{
	struct reading reading;
	struct process process;

	reading_take(fixture, &reading);
	process = *reading_process(&reading, pid);
	reading_free(&reading);
	return process;
}

static struct tree tree_of(struct fixture *fixture, struct reading *reading)
{
	struct tree tree = *reading_tree(reading, fixture->tree);

	tree.cgroup = NULL; /* the reading's */
	reading_free(reading);
	return tree;
}

struct tree tree_now(struct fixture *fixture)
{
	struct reading reading;

	reading_take(fixture, &reading);
	return tree_of(fixture, &reading);
}

struct tree tree_unhealed(struct fixture *fixture)
{
	struct reading reading;

	reading_take_unhealed(fixture, &reading);
	return tree_of(fixture, &reading);
}

void await_held(struct fixture *fixture, int64_t holds)
{
	for (time_t end = 0;
	     registry_holds(fixture->tracker, fixture->tree) != holds && poll_on(&end);)
		misses_heal(fixture);
	assert_int_equal(registry_holds(fixture->tracker, fixture->tree), holds);
}

/* Any thread that still has the address space: the leader may have exited. */
static int process_smaps(pid_t pid, int64_t bytes[MT_KINDS])
{
	char name[64];
	FILE *list;
	int tid;

	if (!smaps_read(pid, pid, bytes) && bytes_rss(bytes))
		return 0;
	snprintf(name, sizeof(name), "ls /proc/%d/task", pid);
	list = popen(name, "re");
	while (list && fscanf(list, "%d", &tid) == 1)
		if (!smaps_read(pid, tid, bytes) && bytes_rss(bytes)) {
			pclose(list);
			return 0;
		}
	if (list)
		pclose(list);
	return -1;
}

static void assert_process_exact(const struct process *process)
{
	int64_t truth[MT_KINDS];

	assert_int_equal(process_smaps((pid_t)process->tgid, truth), 0);
	if (memcmp(process->bytes, truth, sizeof(truth)))
		print_error("process %u: file %lld anon %lld swap %lld shmem %lld, its page "
			    "tables: %lld %lld %lld %lld\n",
			    process->tgid, (long long)process->bytes[0],
			    (long long)process->bytes[1], (long long)process->bytes[2],
			    (long long)process->bytes[3], (long long)truth[0], (long long)truth[1],
			    (long long)truth[2], (long long)truth[3]);
	assert_memory_equal(process->bytes, truth, sizeof(truth));
	assert_false(process->inexact);
}

static bool is_first_sharer(const struct model *model, const struct process *process)
{
	for (const struct process *other = model->processes; other < process; other++)
		if (!other->zombie && other->mm == process->mm)
			return false;
	return true;
}

/* Without what is of the moment: clocks, cpu time, and what only commands read. */
static struct tree tree_at_rest(const struct model *model, uint32_t id)
{
	const struct tree *found = model_find(model, id);
	struct tree tree = found ? *found : (struct tree){};

	tree.cgroup = NULL;
	tree.started_real_ns = tree.peak_real_ns = 0;
	tree.cpu_ns = 0;
	tree.peak = 0;
	tree.peak_is_news = false;
	tree.parent = found ? model_parent(model, found) : 0;
	return tree;
}

/* The next process inside a tree, likewise; all zero at the end. */
static struct process process_at_rest(const struct model *model, uint32_t tree, size_t *at)
{
	while (*at < model->process_count) {
		struct process process = model->processes[(*at)++];

		process.cpu_ns = 0;
		if (model_is_inside(model, process.tree, tree))
			return process;
	}
	return (struct process){};
}

static bool trees_are_same(const struct model *one, const struct model *all, uint32_t tree)
{
	for (size_t i = 0; i < all->tree_count; i++) {
		struct tree left = tree_at_rest(one, all->trees[i].id);
		struct tree right = tree_at_rest(all, all->trees[i].id);

		if (model_is_inside(all, right.id, tree) ? memcmp(&left, &right, sizeof(left)) != 0
							 : one->around && left.id)
			return false;
	}
	return true;
}

/* What a reading shows of one tree; each field was copied into zeroed memory. */
static bool is_same(const struct model *one, const struct model *all, uint32_t tree)
{
	struct process left, right;
	size_t at = 0, with = 0;

	if (!trees_are_same(one, all, tree))
		return false;
	do {
		left = process_at_rest(one, tree, &at);
		right = process_at_rest(all, tree, &with);
		if (memcmp(&left, &right, sizeof(left)) != 0)
			return false;
	} while (left.tgid);
	return true;
}

/* A window that closed, or somebody who woke, between two readings makes no error. */
void assert_one_as_all(struct fixture *fixture, uint32_t tree)
{
	bool rested = false, same = false;

	for (time_t end = 0; !rested && poll_on(&end);) {
		struct reading before, one, after;

		reading_take(fixture, &before);
		reading_take_one(fixture, tree, &one);
		reading_take(fixture, &after);
		rested = is_same(&before.model, &after.model, tree);
		same = is_same(&one.model, &after.model, tree);
		reading_free(&before);
		reading_free(&one);
		reading_free(&after);
	}
	assert_true(rested);
	assert_true(same);
}

unsigned int assert_exact(struct fixture *fixture)
{
	struct reading reading;
	int64_t sum[MT_KINDS] = {};
	unsigned int compared = 0;

	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.model.process_count; i++) {
		const struct process *process = &reading.model.processes[i];

		if (process->zombie ||
		    !model_is_inside(&reading.model, process->tree, fixture->tree))
			continue;
		assert_process_exact(process);
		compared++;
		if (is_first_sharer(&reading.model, process))
			for (int kind = 0; kind < MT_KINDS; kind++)
				sum[kind] += process->bytes[kind];
	}
	assert_true(compared > 0);
	assert_memory_equal(sum, reading_tree(&reading, fixture->tree)->bytes, sizeof(sum));
	reading_free(&reading);
	assert_one_as_all(fixture, fixture->tree);
	return compared;
}

uint64_t events_unseen(const struct fixture *fixture, unsigned int handlers)
{
	return (tracker_misses(fixture->tracker) - fixture->misses_before) / handlers;
}

void assert_forks(struct fixture *fixture, uint64_t forks)
{
	uint64_t counted = tree_now(fixture).forks;

	assert_in_range(counted + events_unseen(fixture, 3), forks, UINT64_MAX);
	assert_true(counted <= forks);
}

void await_processes(struct fixture *fixture, unsigned int processes)
{
	for (time_t end = 0; tree_now(fixture).processes != processes && poll_on(&end);)
		;
	assert_int_equal(tree_now(fixture).processes, processes);
}

void await_zombies(struct fixture *fixture, unsigned int zombies)
{
	for (time_t end = 0; tree_now(fixture).zombies != zombies && poll_on(&end);)
		;
	assert_int_equal(tree_now(fixture).zombies, zombies);
}

struct process await_threads(struct fixture *fixture, pid_t pid, unsigned int threads)
{
	struct process process = process_now(fixture, pid);

	for (time_t end = 0; process.threads != threads && poll_on(&end);)
		process = process_now(fixture, pid);
	assert_int_equal(process.threads, threads);
	return process;
}
