// SPDX-License-Identifier: GPL-2.0-only
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cgroup.h"
#include "cleanup.h"
#include "clock.h"

#define READING_TRIES 4
#define ZOMBIES_TRIES 20
#define ZOMBIES_PATIENCE 4 /* tries; then who frees one may have lost its CPU */
#define ZOMBIES_PAUSE_US 500

/* Slot by slot: a walk from key to key starts again when its key is deleted meanwhile. */
static int trees_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	uint32_t capacity = tracker->header.tree_capacity;

	snapshot->trees = calloc(capacity, sizeof(*snapshot->trees));
	if (!snapshot->trees)
		return -ENOMEM;
	for (__u32 slot = 0; slot < capacity; slot++) {
		struct tree_reading *tree = &snapshot->trees[snapshot->tree_count];

		if (!tracker_lookup(tracker, MT_MAP_REGISTRY, &slot, &tree->registration) &&
		    !tracker_lookup(tracker, MT_MAP_SETTINGS, &slot, &tree->settings) &&
		    !tracker_lookup(tracker, MT_MAP_TOTALS, &slot, &tree->totals) &&
		    tree->settings.id == tree->registration.id) {
			bpf_map_lookup_elem(tracker->maps[MT_MAP_POLICIES], &slot, &tree->policy);
			snapshot->tree_count++; /* else it is being opened or closed */
		}
	}
	return 0;
}

/* The totals once more: what stands still in between was read as one moment. True when no
 * dead member moved its cpu time to them since they were read last. */
static bool totals_read_again(const struct tracker *tracker, struct snapshot *snapshot)
{
	bool settled = true;

	for (size_t i = 0; i < snapshot->tree_count; i++) {
		struct tree_reading *tree = &snapshot->trees[i];
		__u32 slot = tree->settings.id & (tracker->header.tree_capacity - 1);
		uint64_t before = tree->totals_after.ended_cpu_ns;

		tracker_lookup(tracker, MT_MAP_TOTALS, &slot, &tree->totals_after);
		settled = settled && tree->totals_after.ended_cpu_ns == before;
	}
	return settled;
}

static bool is_outermost(const struct snapshot *snapshot, const struct tree_reading *tree)
{
	for (size_t i = 0; i < snapshot->tree_count; i++)
		if (tree->settings.parent == snapshot->trees[i].settings.id)
			return false;
	return true;
}

static bool tree_is_read(const struct tracker *tracker, const uint32_t *ids, uint32_t tree)
{
	return tree && ids[tree & (tracker->header.tree_capacity - 1)] == tree;
}

/* What all trees hold by now, and how many zombies they have: of the outermost ones, which
 * include the others. */
static int64_t trees_hold(const struct snapshot *snapshot, int64_t *ret_zombies)
{
	int64_t holds = 0;

	*ret_zombies = 0;
	for (size_t i = 0; i < snapshot->tree_count; i++) {
		if (!is_outermost(snapshot, &snapshot->trees[i]))
			continue;
		holds += snapshot->trees[i].totals_after.holds;
		*ret_zombies += snapshot->trees[i].totals_after.zombies;
	}
	return holds;
}

static bool zombies_are_all(const struct tracker *tracker, const struct snapshot *snapshot,
			    const uint32_t *ids)
{
	int64_t zombies;

	trees_hold(snapshot, &zombies);
	for (size_t i = 0; i < snapshot->zombie_count; i++)
		zombies -= tree_is_read(tracker, ids, snapshot->zombies[i].zombie.tree);
	return !zombies;
}

/*
 * The dead tell their cpu time until they are freed; then the totals have it. So again, a
 * few times, until none was freed while they were read, and none is missing that is not in
 * the totals yet.
 */
static int zombies_read(const struct tracker *tracker, struct snapshot *snapshot,
			const uint32_t *ids)
{
	bool settled = zombies_are_all(tracker, snapshot, ids);

	for (int i = 0; i < ZOMBIES_TRIES && !settled; i++) {
		int err;

		if (i >= ZOMBIES_PATIENCE)
			usleep(ZOMBIES_PAUSE_US);
		free(snapshot->zombies);
		snapshot->zombies = NULL;
		snapshot->zombie_count = 0;
		err = tracker_iterate(tracker, MT_PROG_SNAPSHOT_ZOMBIES, MT_MAP_ZOMBIES,
				      sizeof(*snapshot->zombies), (void **)&snapshot->zombies,
				      &snapshot->zombie_count);
		if (err)
			return err;
		settled = totals_read_again(tracker, snapshot) &&
			  zombies_are_all(tracker, snapshot, ids);
	}
	return 0;
}

/* Only when a walk along a group's threads hit its bound does a pass over tasks help. */
static int threads_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	bool needed = false;

	for (size_t i = 0; i < snapshot->process_count; i++)
		if (snapshot->processes[i].leader_known &&
		    snapshot->processes[i].threads_read < snapshot->processes[i].threads)
			needed = true;
	if (!needed)
		return 0;
	return tracker_iterate(tracker, MT_PROG_SNAPSHOT_THREADS, MT_MAPS,
			       sizeof(*snapshot->threads), (void **)&snapshot->threads,
			       &snapshot->thread_count);
}

/* What of the trees' holds these members are. An address space that several share counts
 * with its owner. */
static int64_t members_hold(const struct tracker *tracker, const uint32_t *ids,
			    const struct mt_member_record *members, size_t count)
{
	int64_t holds = 0;

	for (size_t i = 0; i < count; i++) {
		const struct mt_process_record *process = &members[i].process;
		const struct mt_space *space = &members[i].space.space;

		holds += tree_is_read(tracker, ids, process->tree);
		if (members[i].space.mm && space->owner_tgid == process->tgid &&
		    space->owner_start_boot_ns == process->start_boot_ns)
			holds += tree_is_read(tracker, ids, space->tree);
	}
	return holds;
}

/* The members' two records, apart: of a shared address space the model keeps one. */
static int members_part(const struct mt_member_record *members, size_t count,
			struct snapshot *snapshot)
{
	snapshot->processes = malloc((count + 1) * sizeof(*snapshot->processes));
	snapshot->spaces = malloc((count + 1) * sizeof(*snapshot->spaces));
	if (!snapshot->processes || !snapshot->spaces)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		snapshot->processes[snapshot->process_count++] = members[i].process;
		if (members[i].space.mm)
			snapshot->spaces[snapshot->space_count++] = members[i].space;
	}
	return 0;
}

/* Reads the members; whether they are all that the trees hold by then. */
static int members_read(const struct tracker *tracker, struct snapshot *snapshot,
			const uint32_t *ids, bool *ret_all)
{
	_cleanup_free_ struct mt_member_record *members = NULL;
	int64_t zombies;
	size_t count;
	int err = tracker_iterate(tracker, MT_PROG_SNAPSHOT_PROCESSES, MT_MAP_PROCESSES,
				  sizeof(*members), (void **)&members, &count);

	if (err)
		return err;
	totals_read_again(tracker, snapshot);
	*ret_all = members_hold(tracker, ids, members, count) == trees_hold(snapshot, &zombies);
	return members_part(members, count, snapshot);
}

/* Some are held by no member: in their teardown, or by a process that is no member. */
static int spaces_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	_cleanup_free_ struct mt_space_record *others = NULL;
	struct mt_space_record *all;
	size_t count;
	int err = tracker_iterate(tracker, MT_PROG_SNAPSHOT_SPACES, MT_MAP_SPACES, sizeof(*others),
				  (void **)&others, &count);

	if (err)
		return err;
	all = reallocarray(snapshot->spaces, snapshot->space_count + count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all + snapshot->space_count, others, count * sizeof(*all));
	snapshot->spaces = all;
	snapshot->space_count += count;
	return 0;
}

static int everything_read(const struct tracker *tracker, struct snapshot *snapshot)
{
	uint32_t capacity = tracker->header.tree_capacity;
	_cleanup_free_ uint32_t *ids = calloc(capacity, sizeof(*ids)); /* by slot */
	bool all = false;
	int err = ids ? trees_read(tracker, snapshot) : -ENOMEM;

	for (size_t i = 0; i < snapshot->tree_count; i++)
		ids[snapshot->trees[i].settings.id & (capacity - 1)] =
			snapshot->trees[i].settings.id;
	if (!err)
		err = members_read(tracker, snapshot, ids, &all);
	if (!err)
		err = threads_read(tracker, snapshot);
	if (!err && !all)
		err = spaces_read(tracker, snapshot);
	if (!err)
		err = tracker_losses(tracker, snapshot->losses);
	if (!err)
		err = zombies_read(tracker, snapshot, ids);
	return err;
}

/* A member that was read alive and has been freed since is in the totals as well. */
static bool any_freed(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->tree_count; i++)
		if (snapshot->trees[i].totals.ended_cpu_ns !=
		    snapshot->trees[i].totals_after.ended_cpu_ns)
			return true;
	return false;
}

static int snapshot_try(const struct tracker *tracker, struct snapshot *ret_snapshot)
{
	struct snapshot snapshot = {
		.tracker_id = tracker->id,
		.loader_tgid = tracker->header.loader_tgid,
		.thread_remainders = tracker->header.thread_remainders,
		.error_bound_bytes = tracker->header.error_bound_bytes,
		.process_capacity = tracker->header.process_capacity,
		.mono_ns = clock_ns(CLOCK_MONOTONIC),
		.boot_ns = clock_ns(CLOCK_BOOTTIME),
		.real_ns = (int64_t)clock_ns(CLOCK_REALTIME),
	};
	int err = everything_read(tracker, &snapshot);

	if (err) {
		snapshot_free(&snapshot);
		return err;
	}
	*ret_snapshot = snapshot;
	return 0;
}

/* Again, a few times, while members are freed meanwhile: their cpu time may be told twice. */
int snapshot_read(const struct tracker *tracker, struct snapshot *ret_snapshot)
{
	struct snapshot snapshot = {};
	int tries = READING_TRIES, err;

	do {
		snapshot_free(&snapshot);
		err = snapshot_try(tracker, &snapshot);
	} while (!err && --tries && any_freed(&snapshot));
	if (!err)
		*ret_snapshot = snapshot;
	return err;
}

/* Says in the map of guides, for the program and for every reader, whom to ask. */
static int guides_write(const struct tracker *tracker, struct snapshot *snapshot,
			struct cgroup_tree *trees)
{
	for (size_t i = 0; i < snapshot->tree_count; i++) {
		struct tree_reading *reading = &snapshot->trees[i];

		trees[i].id = reading->settings.id;
		trees[i].parent = reading->settings.parent;
		trees[i].root_tgid = reading->totals.root_tgid;
	}
	cgroup_guides_find(trees, snapshot->tree_count, snapshot->processes,
			   snapshot->process_count);
	for (size_t i = 0; i < snapshot->tree_count; i++) {
		__u32 slot = trees[i].id & (tracker->header.tree_capacity - 1);

		snapshot->trees[i].guide_tgid = trees[i].guide_tgid;
		if (bpf_map_update_elem(tracker->maps[MT_MAP_GUIDES], &slot, &trees[i].guide_tgid,
					BPF_ANY))
			return -errno;
	}
	return 0;
}

int snapshot_read_cgroups(const struct tracker *tracker, struct snapshot *snapshot)
{
	_cleanup_free_ struct cgroup_tree *trees = calloc(snapshot->tree_count + 1, sizeof(*trees));
	int err = trees ? guides_write(tracker, snapshot, trees) : -ENOMEM;

	if (err)
		return err;
	return tracker_iterate(tracker, MT_PROG_SNAPSHOT_CGROUPS, MT_MAP_GUIDES,
			       sizeof(*snapshot->cgroups), (void **)&snapshot->cgroups,
			       &snapshot->cgroup_count);
}

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->trees);
	free(snapshot->spaces);
	free(snapshot->processes);
	free(snapshot->threads);
	free(snapshot->zombies);
	free(snapshot->cgroups);
	memset(snapshot, 0, sizeof(*snapshot));
}

int snapshot_args(const struct tracker *tracker, uint32_t tgid, uint64_t start_boot_ns,
		  struct mt_process *ret_process)
{
	struct mt_process process;
	int err = tracker_lookup(tracker, MT_MAP_PROCESSES, &tgid, &process);

	if (err)
		return err;
	if (process.start_boot_ns != start_boot_ns)
		return -ENOENT;
	*ret_process = process;
	return 0;
}
