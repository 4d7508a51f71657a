// SPDX-License-Identifier: GPL-2.0-only
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "cgroup.h"
#include "charge.h"

/* Leader's task state bits, include/linux/sched.h; the letters are those of proc(5). */
#define STATE_INTERRUPTIBLE 0x01
#define STATE_UNINTERRUPTIBLE (0x02 | 0x1000 | 0x8000) /* and waiting for a lock, frozen */
#define STATE_STOPPED 0x04
#define STATE_TRACED 0x08
#define STATE_DEAD 0x80 /* a leader that has exited before its threads */

/* An address space while its pieces come together. */
struct space {
	uint64_t mm;
	const struct mt_space_record *record;
	int64_t bytes[MT_KINDS];
	int64_t inherited[MT_KINDS];
	uint32_t sharers;
	UT_hash_handle hh;
};

/* A process, to meet it only once. */
struct known {
	uint32_t tgid;
	uint64_t start_boot_ns;
	struct process *alive; /* NULL: met as a dead one */
	UT_hash_handle hh;
};

struct builder {
	const struct snapshot *snapshot;
	struct space *space_rows;
	struct space *spaces; /* table by mm */
	struct known *known_rows;
	struct known *known; /* table by tgid */
	size_t known_count;
	bool hidden; /* some tree has no name: its parent shows for it */
	struct model model;
};

int64_t bytes_rss(const int64_t bytes[MT_KINDS])
{
	return charge_measure((const __s64 *)bytes, MT_METRIC_RSS);
}

const char *model_state(const struct tree *tree)
{
	if (!tree->holds)
		return "ended";
	if (tree->doomed)
		return "dying";
	if (tree->disarmed && tree->policy.limit)
		return "disarmed";
	return tree->policy.limit && tree->charged > (int64_t)tree->policy.limit ? "over"
										 : "running";
}

static int64_t to_real(const struct snapshot *snapshot, uint64_t then, uint64_t now)
{
	return then ? snapshot->real_ns - (int64_t)(now - then) : 0;
}

static struct tree *tree_row(struct model *model, uint32_t id)
{
	for (size_t i = 0; i < model->tree_count; i++)
		if (model->trees[i].id == id)
			return &model->trees[i];
	return NULL;
}

const struct tree *model_find(const struct model *model, uint32_t id)
{
	return tree_row((struct model *)model, id);
}

uint32_t model_parent(const struct model *model, const struct tree *tree)
{
	if (!tree->parent)
		return 0;
	return tree->parent == model->around || model_find(model, tree->parent) ? tree->parent : 0;
}

bool model_is_inside(const struct model *model, uint32_t id, uint32_t ancestor)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		const struct tree *tree = model_find(model, id);

		if (id == ancestor)
			return true;
		id = tree ? tree->parent : 0;
	}
	return false;
}

static bool is_hidden(const struct tree_reading *reading)
{
	return !reading->registration.name[0];
}

/* The tree that shows for `id`: itself, or what a hidden one lies in. */
static uint32_t tree_shown(const struct builder *builder, uint32_t id)
{
	const struct snapshot *snapshot = builder->snapshot;

	for (int depth = 0; depth < MT_DEPTH && builder->hidden; depth++) {
		size_t i = 0;

		while (i < snapshot->tree_count && snapshot->trees[i].settings.id != id)
			i++;
		if (i == snapshot->tree_count || !is_hidden(&snapshot->trees[i]))
			break;
		id = snapshot->trees[i].settings.parent;
	}
	return id;
}

static void tree_fill(const struct snapshot *snapshot, const struct tree_reading *reading,
		      struct tree *tree)
{
	tree->tracker_id = snapshot->tracker_id;
	tree->id = reading->settings.id;
	tree->parent = reading->settings.parent;
	memcpy(tree->name, reading->registration.name, sizeof(tree->name));
	tree->name[MT_NAME_SIZE - 1] = '\0';
	tree->root_tgid = reading->totals.root_tgid;
	tree->owner_tgid = reading->registration.owner_tgid;
	tree->metric = reading->settings.metric;
	tree->window_ns = reading->settings.window_ns;
	tree->policy = reading->policy;
	tree->doomed = reading->totals.doomed;
	tree->disarmed = reading->settings.flags & MT_SETTINGS_DISARMED;
	tree->termed = reading->settings.flags >> MT_SETTINGS_TERMED_SHIFT;
	tree->started_real_ns = to_real(snapshot, reading->registration.started_boot_ns,
					snapshot->boot_ns);
	tree->forks = (uint64_t)reading->totals.forks;
	tree->cpu_ns = reading->totals_after.ended_cpu_ns;
	tree->cgroup = reading->guide_tgid ? cgroup_path(snapshot->cgroups, snapshot->cgroup_count,
							 reading->guide_tgid)
					   : NULL;
	tree->moved = reading->totals.holds != reading->totals_after.holds ||
		      memcmp(reading->totals.bytes, reading->totals_after.bytes,
			     sizeof(reading->totals.bytes)) != 0;
	tree->holds = charge_clamp(reading->totals.holds);
	tree->peak = reading->totals.peak;
	tree->peak_real_ns = to_real(snapshot, reading->totals.peak_mono_ns, snapshot->mono_ns);
	for (int kind = 0; kind < MT_KINDS; kind++)
		tree->live[kind] = charge_clamp(reading->totals.bytes[kind]);
}

/* A tree and every tree around it; returns how many. */
static int trees_around(struct model *model, uint32_t id, struct tree *ret_trees[MT_DEPTH])
{
	int count = 0;

	while (id && count < MT_DEPTH && (ret_trees[count] = tree_row(model, id)))
		id = ret_trees[count++]->parent;
	return count;
}

static int by_id(const void *a, const void *b)
{
	const struct tree *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

static int trees_fill(struct builder *builder)
{
	const struct snapshot *snapshot = builder->snapshot;
	struct model *model = &builder->model;

	model->trees = calloc(snapshot->tree_count + 1, sizeof(*model->trees));
	if (!model->trees)
		return -ENOMEM;
	model->around = snapshot->around.id;
	memcpy(model->around_name, snapshot->around.name, sizeof(model->around_name));
	model->around_name[MT_NAME_SIZE - 1] = '\0';
	for (size_t i = 0; i < snapshot->tree_count; i++)
		builder->hidden |= is_hidden(&snapshot->trees[i]);
	for (size_t i = 0; i < snapshot->tree_count; i++) {
		struct tree *tree = &model->trees[model->tree_count];

		if (is_hidden(&snapshot->trees[i]) ||
		    tree_row(model, snapshot->trees[i].settings.id))
			continue;
		tree_fill(snapshot, &snapshot->trees[i], tree);
		tree->parent = tree->id == snapshot->wanted ? snapshot->around.id
							    : tree_shown(builder, tree->parent);
		model->tree_count++;
	}
	qsort(model->trees, model->tree_count, sizeof(*model->trees), by_id);
	return 0;
}

static int spaces_fill(struct builder *builder)
{
	const struct snapshot *snapshot = builder->snapshot;

	builder->space_rows = calloc(snapshot->space_count + 1, sizeof(*builder->space_rows));
	if (!builder->space_rows)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->space_count; i++) {
		struct space *space = &builder->space_rows[i], *twice;

		space->record = &snapshot->spaces[i];
		space->mm = space->record->mm;
		HASH_FIND(hh, builder->spaces, &space->mm, sizeof(space->mm), twice);
		if (twice)
			continue; /* the iterator met it again after a bucket changed */
		memcpy(space->bytes, space->record->exact, sizeof(space->bytes));
		HASH_ADD(hh, builder->spaces, mm, sizeof(space->mm), space);
	}
	return 0;
}

static struct space *space_find(struct builder *builder, uint64_t mm)
{
	struct space *space;

	HASH_FIND(hh, builder->spaces, &mm, sizeof(mm), space);
	return space;
}

/* Adds what the threads of one process have: cpu time, and what they keep back. True when
 * all of them were read. */
static bool threads_add(const struct snapshot *snapshot, const struct mt_process_record *record,
			uint64_t *cpu_ns, int64_t *bytes)
{
	bool whole = record->threads_read >= record->threads;

	*cpu_ns += record->ended_cpu_ns;
	if (whole || !snapshot->thread_count) {
		*cpu_ns += record->cpu_ns;
		for (int kind = 0; kind < MT_KINDS; kind++)
			bytes[kind] += record->kept_back[kind];
		return whole;
	}
	for (size_t i = 0; i < snapshot->thread_count; i++) {
		if (snapshot->threads[i].tgid != record->tgid)
			continue;
		*cpu_ns += snapshot->threads[i].cpu_ns;
		for (int kind = 0; kind < MT_KINDS; kind++)
			bytes[kind] += snapshot->threads[i].kept_back[kind];
	}
	return true;
}

static char state_letter(uint32_t state)
{
	if (state & STATE_DEAD)
		return 'Z';
	if (state & STATE_TRACED)
		return 't';
	if (state & STATE_STOPPED)
		return 'T';
	if (state & STATE_INTERRUPTIBLE)
		return 'S';
	return state & STATE_UNINTERRUPTIBLE ? 'D' : 'R';
}

static void process_fill(struct builder *builder, const struct mt_process_record *record,
			 struct process *process)
{
	struct space *space = space_find(builder, record->mm);
	int64_t nowhere[MT_KINDS] = {};

	process->tgid = record->tgid;
	process->ppid = record->ppid;
	process->pid = record->pid;
	process->tree = tree_shown(builder, record->tree);
	process->start_boot_ns = record->start_boot_ns;
	process->execed_boot_ns = record->execed_boot_ns;
	process->threads = record->threads;
	process->state = record->leader_known ? state_letter(record->task_state) : '?';
	memcpy(process->comm, record->comm, sizeof(process->comm));
	process->mm = record->mm;
	process->inexact = !record->leader_known;
	/* A parent that died leaves its children to a reaper. */
	process->orphan = record->leader_known && record->ppid != record->born_ppid;
	if (space)
		space->sharers++;
	if (!threads_add(builder->snapshot, record, &process->cpu_ns,
			 space ? space->bytes : nowhere))
		process->inexact = true;
}

static void zombie_fill(const struct builder *builder, const struct mt_zombie_record *reading,
			struct process *process)
{
	process->tgid = reading->tgid;
	process->ppid = reading->zombie.ppid;
	process->tree = tree_shown(builder, reading->zombie.tree);
	process->start_boot_ns = reading->zombie.start_boot_ns;
	process->execed_boot_ns = reading->zombie.execed_boot_ns;
	process->cpu_ns = reading->cpu_ns;
	process->state = 'Z';
	memcpy(process->comm, reading->zombie.comm, sizeof(process->comm));
	process->zombie = true;
}

/* What it was met as before: the iterator comes back to a bucket that changed. Else NULL,
 * and it is known from now on. */
static struct known *known_meet(struct builder *builder, uint32_t tgid, uint64_t start_boot_ns,
				struct process *alive)
{
	struct known *row = &builder->known_rows[builder->known_count], *known;

	HASH_FIND(hh, builder->known, &tgid, sizeof(tgid), known);
	if (known && known->start_boot_ns == start_boot_ns)
		return known;
	if (known)
		return NULL; /* a pid used again: both are shown */
	builder->known_count++;
	row->tgid = tgid;
	row->start_boot_ns = start_boot_ns;
	row->alive = alive;
	HASH_ADD(hh, builder->known, tgid, sizeof(row->tgid), row);
	return NULL;
}

/* Reaped but not yet freed: only its cpu time is left of it. */
static void reaped_count(struct builder *builder, const struct mt_zombie_record *record)
{
	struct tree *trees[MT_DEPTH];
	uint32_t shown = tree_shown(builder, record->zombie.tree);
	int count = trees_around(&builder->model, shown, trees);

	for (int i = 0; i < count; i++)
		trees[i]->cpu_ns += record->cpu_ns;
}

static void living_fill(struct builder *builder)
{
	struct model *model = &builder->model;

	for (size_t i = 0; i < builder->snapshot->process_count; i++) {
		const struct mt_process_record *record = &builder->snapshot->processes[i];
		struct process *process = &model->processes[model->process_count];

		if (known_meet(builder, record->tgid, record->start_boot_ns, process))
			continue;
		process_fill(builder, record, process);
		model->process_count++;
	}
}

/* One whose exit ran between the two readings is in both: alive is what it was, but for
 * its cpu time, which is told twice. */
static void zombies_fill(struct builder *builder)
{
	struct model *model = &builder->model;

	for (size_t i = 0; i < builder->snapshot->zombie_count; i++) {
		const struct mt_zombie_record *record = &builder->snapshot->zombies[i];
		struct known *known = known_meet(builder, record->tgid,
						 record->zombie.start_boot_ns, NULL);

		if (known && known->alive)
			known->alive->cpu_ns = record->cpu_ns;
		else if (!known && record->reaped)
			reaped_count(builder, record);
		else if (!known)
			zombie_fill(builder, record, &model->processes[model->process_count++]);
	}
}

static int processes_fill(struct builder *builder)
{
	size_t most = builder->snapshot->process_count + builder->snapshot->zombie_count;

	builder->model.processes = calloc(most + 1, sizeof(*builder->model.processes));
	builder->known_rows = calloc(most + 1, sizeof(*builder->known_rows));
	if (!builder->model.processes || !builder->known_rows)
		return -ENOMEM;
	living_fill(builder);
	zombies_fill(builder);
	return 0;
}

/* What is exempt now: the ratchet of the kernel side, held against the exact figure. */
static void spaces_settle(struct builder *builder)
{
	struct space *space, *next;

	HASH_ITER(hh, builder->spaces, space, next) {
		const struct mt_space *charged = &space->record->space;
		bool open = charge_window_open(charged->deadline, builder->snapshot->mono_ns);

		for (int kind = 0; kind < MT_KINDS; kind++) {
			int64_t left = charge_clamp(charged->inherited[kind]);

			space->bytes[kind] = charge_clamp(space->bytes[kind]);
			if (left > space->bytes[kind])
				left = space->bytes[kind];
			space->inherited[kind] = open ? left : 0;
		}
	}
}

static void processes_settle(struct builder *builder)
{
	struct model *model = &builder->model;

	for (size_t i = 0; i < model->process_count; i++) {
		struct process *process = &model->processes[i];
		struct space *space = process->zombie ? NULL : space_find(builder, process->mm);
		const struct tree *tree = model_find(model, process->tree);

		if (!space)
			continue;
		memcpy(process->bytes, space->bytes, sizeof(process->bytes));
		memcpy(process->exempt, space->inherited, sizeof(process->exempt));
		process->inherited = charge_measure((const __s64 *)process->exempt,
						    tree ? tree->metric : MT_METRIC_RSS);
		for (int kind = 0; kind < MT_KINDS; kind++)
			process->live[kind] = charge_clamp(space->record->space.seen[kind]);
		process->vmem = space->record->vmem;
		process->payer = tree_shown(builder, space->record->space.tree);
		process->shared_mm = space->sharers > 1;
	}
}

/*
 * What it may still share copy-on-write: to break that changes no counter, so the ratchet is all
 * that is known, and after its window what is left by now. Pages that were swapped out or in
 * since have changed their kind.
 */
static int64_t space_copied(const struct space *space, uint32_t metric)
{
	const __s64 *inherited = space->record->space.inherited;
	int64_t then = charge_clamp(inherited[MT_ANON]) + charge_clamp(inherited[MT_SWAP]);
	int64_t now = charge_measure((const __s64 *)space->bytes,
				     metric & (1U << MT_ANON | 1U << MT_SWAP));

	return then < now ? then : now;
}

static void tree_charge(struct tree *tree, const struct space *space)
{
	tree->spaces++;
	tree->vmem += space->record->vmem;
	for (int kind = 0; kind < MT_KINDS; kind++) {
		tree->bytes[kind] += space->bytes[kind];
		if (tree->largest[kind] < space->bytes[kind])
			tree->largest[kind] = space->bytes[kind];
	}
	tree->inherited += charge_measure((const __s64 *)space->inherited, tree->metric);
	tree->shareable += space_copied(space, tree->metric);
}

static void trees_charge(struct builder *builder)
{
	struct tree *trees[MT_DEPTH];
	struct space *space, *next;

	HASH_ITER(hh, builder->spaces, space, next) {
		uint32_t shown = tree_shown(builder, space->record->space.tree);
		int count = trees_around(&builder->model, shown, trees);

		for (int i = 0; i < count; i++)
			tree_charge(trees[i], space);
	}
}

static void trees_count(struct builder *builder)
{
	struct model *model = &builder->model;
	struct tree *trees[MT_DEPTH];

	for (size_t i = 0; i < model->process_count; i++) {
		struct process *process = &model->processes[i];
		int count = trees_around(model, process->tree, trees);

		if (count && process->tgid == trees[0]->root_tgid)
			process->orphan = false; /* a root has nobody to lose */
		for (int j = 0; j < count; j++) {
			trees[j]->processes += !process->zombie;
			trees[j]->zombies += process->zombie;
			trees[j]->orphans += process->orphan;
			trees[j]->threads += process->threads;
			trees[j]->cpu_ns += process->cpu_ns;
			trees[j]->inexact |= process->inexact;
		}
	}
}

static int bits(uint32_t mask)
{
	return __builtin_popcount(mask);
}

/*
 * Files and shared memory beyond what the largest holder has may be the same pages once more.
 * Never less than what is exempt, which such pages may be as well.
 */
static void tree_share(struct tree *tree)
{
	const __s64 mapped[MT_KINDS] = {
		[MT_FILE] = tree->bytes[MT_FILE] - tree->largest[MT_FILE],
		[MT_SHMEM] = tree->bytes[MT_SHMEM] - tree->largest[MT_SHMEM],
	};

	tree->shareable += charge_measure(mapped, tree->metric);
	if (tree->shareable < tree->inherited)
		tree->shareable = tree->inherited;
}

static void tree_judge(const struct snapshot *snapshot, struct tree *tree)
{
	int64_t unit = snapshot->error_bound_bytes;

	tree->charged = charge_measure((const __s64 *)tree->bytes, tree->metric) - tree->inherited;
	tree_share(tree);
	tree->live_charged = charge_clamp(charge_measure((const __s64 *)tree->live, tree->metric) -
					  tree->inherited);
	tree->error_bound = snapshot->thread_remainders ? unit * tree->threads
							: unit * tree->spaces * bits(tree->metric);
	if (tree->peak < tree->charged) {
		tree->peak = tree->charged;
		tree->peak_is_news = !tree->moved;
		tree->peak_real_ns = snapshot->real_ns;
	}
}

static int by_tree_and_start(const void *a, const void *b)
{
	const struct process *left = a, *right = b;

	if (left->tree != right->tree)
		return left->tree < right->tree ? -1 : 1;
	if (left->start_boot_ns != right->start_boot_ns)
		return left->start_boot_ns < right->start_boot_ns ? -1 : 1;
	return (left->tgid > right->tgid) - (left->tgid < right->tgid);
}

int model_build(const struct snapshot *snapshot, struct model *ret_model)
{
	struct builder builder = {.snapshot = snapshot};
	int err = trees_fill(&builder);

	if (!err)
		err = spaces_fill(&builder);
	if (!err)
		err = processes_fill(&builder);
	if (!err) {
		spaces_settle(&builder);
		processes_settle(&builder);
		trees_charge(&builder);
		trees_count(&builder);
		for (size_t i = 0; i < builder.model.tree_count; i++)
			tree_judge(snapshot, &builder.model.trees[i]);
		qsort(builder.model.processes, builder.model.process_count,
		      sizeof(*builder.model.processes), by_tree_and_start);
		memcpy(builder.model.losses, snapshot->losses, sizeof(snapshot->losses));
	}
	HASH_CLEAR(hh, builder.spaces);
	HASH_CLEAR(hh, builder.known);
	free(builder.space_rows);
	free(builder.known_rows);
	if (err) {
		model_free(&builder.model);
		return err;
	}
	*ret_model = builder.model;
	return 0;
}

void model_free(struct model *model)
{
	for (size_t i = 0; i < model->tree_count; i++)
		free(model->trees[i].cgroup);
	free(model->trees);
	free(model->processes);
	memset(model, 0, sizeof(*model));
}
