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
#include "scope.h"

#define READING_TRIES 4
#define READING_MISSES 2 /* readings by places in vain; then the hashes are walked */
#define ZOMBIES_TRIES 20
#define ZOMBIES_PATIENCE 4 /* tries; then who frees one may have lost its CPU */
#define ZOMBIES_PAUSE_US 500

/* One try. */
struct reading {
	const struct tracker *tracker;
	struct snapshot *snapshot;
	struct scope scope;
	bool walks; /* the hashes, whatever the places say */
	bool whole; /* what was found is all that the trees hold */
	bool mixed; /* its members share address spaces with other trees' */
};

/* What one of the large hashes is read with. */
struct source {
	enum mt_placed placed;
	enum mt_map map;
	enum mt_prog by_place, by_walk;
	size_t record_size;
};

static const struct source members_source = {MT_PLACED_PROCESSES, MT_MAP_PROCESSES,
					     MT_PROG_SNAPSHOT_PROCESSES, MT_PROG_SNAPSHOT_PROCESSES,
					     sizeof(struct mt_member_record)};
static const struct source zombies_source = {MT_PLACED_ZOMBIES, MT_MAP_ZOMBIES,
					     MT_PROG_SNAPSHOT_ZOMBIES, MT_PROG_SNAPSHOT_ZOMBIES,
					     sizeof(struct mt_zombie_record)};
static const struct source spaces_source = {MT_PLACED_SPACES, MT_MAP_SPACES,
					    MT_PROG_SNAPSHOT_PLACED_SPACES, MT_PROG_SNAPSHOT_SPACES,
					    sizeof(struct mt_space_record)};

static int source_read(const struct reading *reading, const struct source *source,
		       void **ret_records, size_t *ret_count)
{
	const struct tracker *tracker = reading->tracker;
	const uint32_t *trees = reading->walks ? NULL : tracker_places(tracker, source->placed);
	uint32_t count = tracker->header.places[source->placed];
	_cleanup_free_ uint32_t *places = trees ? malloc((count + 1) * sizeof(*places)) : NULL;

	/* What fails that way is read the other way. */
	if (places && !tracker_iterate_places(tracker, source->placed, source->by_place, places,
					      scope_places(&reading->scope, trees, count, places),
					      source->record_size, ret_records, ret_count))
		return 0;
	return tracker_iterate(tracker, source->by_walk, source->map, source->record_size,
			       ret_records, ret_count);
}

/* Whether a record is to be shown: of all trees also what names none. */
static bool is_wanted(const struct reading *reading, uint32_t tree)
{
	return !reading->scope.tree || scope_has(&reading->scope, tree);
}

/* The nearest tree around one that shows by a name. */
static void around_find(struct reading *reading, const struct mt_settings *settings)
{
	const struct scope *scope = &reading->scope;
	uint32_t id = scope->tree;

	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		uint32_t slot = id & (scope->slots - 1);
		struct mt_registration registration;

		if (settings[slot].id != id)
			return;
		id = settings[slot].parent;
		slot = id & (scope->slots - 1);
		if (id &&
		    !tracker_lookup(reading->tracker, MT_MAP_REGISTRY, &slot, &registration) &&
		    registration.id == id && registration.name[0]) {
			reading->snapshot->around = registration;
			return;
		}
	}
}

static void tree_read(struct reading *reading, uint32_t id)
{
	const struct tracker *tracker = reading->tracker;
	struct snapshot *snapshot = reading->snapshot;
	struct tree_reading *tree = &snapshot->trees[snapshot->tree_count];
	uint32_t slot = id & (reading->scope.slots - 1);

	if (tracker_lookup(tracker, MT_MAP_REGISTRY, &slot, &tree->registration) ||
	    tree->registration.id != id) {
		scope_drop(&reading->scope, id); /* being opened or closed */
		return;
	}
	memcpy(&tree->settings, tracker_slot(tracker, MT_MAP_SETTINGS, id), sizeof(tree->settings));
	memcpy(&tree->totals, tracker_slot(tracker, MT_MAP_TOTALS, id), sizeof(tree->totals));
	memcpy(&tree->policy, tracker_slot(tracker, MT_MAP_POLICIES, id), sizeof(tree->policy));
	if (tree->settings.id != id) {
		scope_drop(&reading->scope, id);
		return;
	}
	reading->mixed = reading->mixed || tree->totals.mixed;
	snapshot->tree_count++;
}

static int trees_read(struct reading *reading, uint32_t wanted)
{
	uint32_t slots = reading->tracker->header.tree_capacity;
	const struct mt_settings *settings = tracker_slot(reading->tracker, MT_MAP_SETTINGS, 0);
	int err = scope_choose(settings, slots, wanted, &reading->scope);

	if (err)
		return err;
	reading->snapshot->trees = calloc(reading->scope.count + 1, sizeof(struct tree_reading));
	if (!reading->snapshot->trees)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < slots; slot++)
		if (reading->scope.ids[slot])
			tree_read(reading, reading->scope.ids[slot]);
	if (wanted) {
		reading->snapshot->wanted = wanted;
		around_find(reading, settings);
	}
	return 0;
}

/* The totals once more: what stands still in between was read as one moment. True when no
 * dead member moved its cpu time to them since they were read last. */
static bool totals_read_again(const struct reading *reading)
{
	struct snapshot *snapshot = reading->snapshot;
	bool settled = true;

	for (size_t i = 0; i < snapshot->tree_count; i++) {
		struct tree_reading *tree = &snapshot->trees[i];
		uint64_t before = tree->totals_after.ended_cpu_ns;

		memcpy(&tree->totals_after,
		       tracker_slot(reading->tracker, MT_MAP_TOTALS, tree->settings.id),
		       sizeof(tree->totals_after));
		settled = settled && tree->totals_after.ended_cpu_ns == before;
	}
	return settled;
}

/* Of the outermost ones, which include the others. */
struct sums {
	int64_t holds_before, holds_after;
	int64_t zombies; /* by now */
};

static struct sums trees_sum(const struct reading *reading)
{
	const struct snapshot *snapshot = reading->snapshot;
	struct sums sums = {};

	for (size_t i = 0; i < snapshot->tree_count; i++) {
		const struct tree_reading *tree = &snapshot->trees[i];

		if (scope_has(&reading->scope, tree->settings.parent))
			continue;
		sums.holds_before += tree->totals.holds;
		sums.holds_after += tree->totals_after.holds;
		sums.zombies += tree->totals_after.zombies;
	}
	return sums;
}

static bool zombies_are_all(const struct reading *reading)
{
	const struct snapshot *snapshot = reading->snapshot;
	int64_t zombies = trees_sum(reading).zombies;

	for (size_t i = 0; i < snapshot->zombie_count; i++)
		zombies -= scope_has(&reading->scope, snapshot->zombies[i].zombie.tree);
	return !zombies;
}

static int zombies_take(struct reading *reading)
{
	struct snapshot *snapshot = reading->snapshot;
	struct mt_zombie_record *zombies;
	size_t count;
	int err = source_read(reading, &zombies_source, (void **)&zombies, &count);

	if (err)
		return err;
	free(snapshot->zombies);
	snapshot->zombies = zombies;
	snapshot->zombie_count = 0;
	for (size_t i = 0; i < count; i++)
		if (is_wanted(reading, zombies[i].zombie.tree))
			zombies[snapshot->zombie_count++] = zombies[i];
	return 0;
}

/*
 * The dead tell their cpu time until they are freed; then the totals have it. So again, a
 * few times, until none was freed while they were read, and none is missing that is not in
 * the totals yet.
 */
static int zombies_read(struct reading *reading)
{
	bool settled = zombies_are_all(reading);

	for (int i = 0; i < ZOMBIES_TRIES && !settled; i++) {
		int err;

		if (i >= ZOMBIES_PATIENCE) {
			reading->walks = true;
			usleep(ZOMBIES_PAUSE_US);
		}
		err = zombies_take(reading);
		if (err)
			return err;
		settled = totals_read_again(reading) && zombies_are_all(reading);
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
static int64_t members_hold(const struct scope *scope, const struct mt_member_record *members,
			    size_t count)
{
	int64_t holds = 0;

	for (size_t i = 0; i < count; i++) {
		const struct mt_process_record *process = &members[i].process;
		const struct mt_space *space = &members[i].space.space;

		holds += scope_has(scope, process->tree);
		if (members[i].space.mm && space->owner_tgid == process->tgid &&
		    space->owner_start_boot_ns == process->start_boot_ns)
			holds += scope_has(scope, space->tree);
	}
	return holds;
}

/* The members' two records, apart: of a shared address space the model keeps one. */
static int members_part(const struct reading *reading, const struct mt_member_record *members,
			size_t count)
{
	struct snapshot *snapshot = reading->snapshot;

	snapshot->processes = malloc((count + 1) * sizeof(*snapshot->processes));
	snapshot->spaces = malloc((count + 1) * sizeof(*snapshot->spaces));
	if (!snapshot->processes || !snapshot->spaces)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(reading, members[i].process.tree))
			continue;
		snapshot->processes[snapshot->process_count++] = members[i].process;
		if (members[i].space.mm)
			snapshot->spaces[snapshot->space_count++] = members[i].space;
	}
	return 0;
}

/* Reads the members; mostly they and what they own are all that the trees hold by then. */
static int members_read(struct reading *reading)
{
	_cleanup_free_ struct mt_member_record *members = NULL;
	size_t count;
	int err = source_read(reading, &members_source, (void **)&members, &count);

	if (err)
		return err;
	totals_read_again(reading);
	reading->whole = members_hold(&reading->scope, members, count) ==
			 trees_sum(reading).holds_after;
	return members_part(reading, members, count);
}

static int by_mm(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Processes and address spaces that were read, each once. Negative errno. */
static int64_t all_hold(const struct reading *reading)
{
	const struct snapshot *snapshot = reading->snapshot;
	_cleanup_free_ uint64_t *mms = malloc((snapshot->space_count + 1) * sizeof(*mms));
	size_t count = 0;
	int64_t holds = 0;

	if (!mms)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->process_count; i++)
		holds += scope_has(&reading->scope, snapshot->processes[i].tree);
	for (size_t i = 0; i < snapshot->space_count; i++)
		if (scope_has(&reading->scope, snapshot->spaces[i].space.tree))
			mms[count++] = snapshot->spaces[i].mm;
	qsort(mms, count, sizeof(*mms), by_mm);
	for (size_t i = 0; i < count; i++)
		holds += !i || mms[i] != mms[i - 1];
	return holds;
}

/* What trees that moved held meanwhile is no one number. */
static bool holds_are_met(const struct reading *reading, int64_t holds)
{
	struct sums sums = trees_sum(reading);
	bool shrunk = sums.holds_after < sums.holds_before;

	return holds >= (shrunk ? sums.holds_after : sums.holds_before) &&
	       holds <= (shrunk ? sums.holds_before : sums.holds_after);
}

/* Some are held by no member: in their teardown, or by a process that is no member. */
static int spaces_read(struct reading *reading)
{
	struct snapshot *snapshot = reading->snapshot;
	_cleanup_free_ struct mt_space_record *others = NULL;
	struct mt_space_record *all;
	size_t count;
	int64_t holds;
	int err = source_read(reading, &spaces_source, (void **)&others, &count);

	if (err)
		return err;
	all = reallocarray(snapshot->spaces, snapshot->space_count + count + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	snapshot->spaces = all;
	for (size_t i = 0; i < count; i++)
		if (is_wanted(reading, others[i].space.tree))
			all[snapshot->space_count++] = others[i];
	totals_read_again(reading);
	holds = all_hold(reading);
	reading->whole = holds_are_met(reading, holds);
	return holds < 0 ? (int)holds : 0;
}

static int everything_read(struct reading *reading, uint32_t wanted)
{
	int err = trees_read(reading, wanted);

	if (err || (wanted && reading->mixed))
		return err;
	err = members_read(reading);
	if (!err)
		err = threads_read(reading->tracker, reading->snapshot);
	if (!err && !reading->whole)
		err = spaces_read(reading);
	if (!err)
		err = zombies_read(reading);
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

/* `ret_reading` tells how it went; its scope is gone. */
static int snapshot_try(const struct tracker *tracker, uint32_t wanted, bool walks,
			struct snapshot *ret_snapshot, struct reading *ret_reading)
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
	struct reading reading = {.tracker = tracker, .snapshot = &snapshot, .walks = walks};
	int err = everything_read(&reading, wanted);

	scope_free(&reading.scope);
	if (err) {
		snapshot_free(&snapshot);
		return err;
	}
	*ret_snapshot = snapshot;
	*ret_reading = reading;
	return 0;
}

/*
 * Again, a few times, while members are freed meanwhile: their cpu time may be told twice. And when
 * something was at no place that is known: in the middle of a fork it will be found the next time.
 */
static int snapshot_take(const struct tracker *tracker, uint32_t wanted,
			 struct snapshot *ret_snapshot)
{
	struct snapshot snapshot = {};
	int misses = 0, err = 0;

	for (int i = 0; i < READING_TRIES && !err; i++) {
		bool walks = misses >= READING_MISSES ||
			     !tracker_places(tracker, MT_PLACED_PROCESSES);
		struct reading reading;

		snapshot_free(&snapshot);
		err = snapshot_try(tracker, wanted, walks, &snapshot, &reading);
		if (err)
			break;
		if (wanted && reading.mixed)
			wanted = 0;
		else if (!reading.whole && !walks)
			misses++;
		else if (!any_freed(&snapshot))
			break;
	}
	if (!err)
		*ret_snapshot = snapshot;
	return err;
}

int snapshot_read(const struct tracker *tracker, struct snapshot *ret_snapshot)
{
	return snapshot_take(tracker, 0, ret_snapshot);
}

int snapshot_read_tree(const struct tracker *tracker, uint32_t tree, struct snapshot *ret_snapshot)
{
	return snapshot_take(tracker, tree, ret_snapshot);
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

int snapshot_read_losses(const struct tracker *tracker, struct snapshot *snapshot)
{
	return tracker_losses(tracker, snapshot->losses);
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
