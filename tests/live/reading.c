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
