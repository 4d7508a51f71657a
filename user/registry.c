// SPDX-License-Identifier: GPL-2.0-only
#include "registry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "policy.h"

static uint32_t slot_of(const struct tracker *tracker, uint32_t tree)
{
	return tree & (tracker->header.tree_capacity - 1);
}

static bool process_is_alive(uint32_t tgid)
{
	return tgid && (!kill((pid_t)tgid, 0) || errno != ESRCH);
}

/*
 * Its memtree was killed, or it was hidden, or left to its end. One whose root is not yet in it is
 * being made, as long as its memtree lives; a child that is let go after that finds no such tree.
 */
static bool is_left(const struct mt_registration *registration, const struct mt_totals *totals)
{
	bool owned = process_is_alive(registration->owner_tgid);

	if (!totals->root_tgid || !totals->forks)
		return !owned;
	return totals->holds <= 0 && (!registration->name[0] || !owned);
}

/* Whether another tree has the name; frees the slots of ended trees that nobody waits for. */
static bool registry_review(struct tracker *tracker, const char *name, uint32_t own)
{
	struct mt_registration registration;
	struct mt_totals totals;
	bool taken = false;

	for (__u32 slot = 0; slot < tracker->header.tree_capacity; slot++) {
		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration) ||
		    bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals) ||
		    registration.id == own)
			continue;
		if (is_left(&registration, &totals))
			registry_close(tracker, registration.id);
		else if (!strcmp(registration.name, name))
			taken = true;
	}
	return taken;
}

/* The lowest id above `least` that a free slot would give; 0: none. Negative errno. */
static int64_t id_next(const struct tracker *tracker, uint32_t least)
{
	uint32_t capacity = tracker->header.tree_capacity, next = 0;

	for (uint32_t i = 1; i <= capacity; i++) {
		__u32 slot = i & (capacity - 1);
		struct mt_settings settings;
		uint32_t id;

		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings))
			return -errno;
		id = settings.last_id ? settings.last_id + capacity : i;
		if (!settings.id && id > least && (!next || id < next))
			next = id;
	}
	return next;
}

/* Claims a free slot for the registration and gives it an id that was never given. The slot that
 * has been free for longest: what is left of its last tree may still be told. */
static int registry_claim(struct tracker *tracker, struct mt_registration *registration)
{
	int64_t id = id_next(tracker, 0);

	while (id > 0) {
		__u32 slot = slot_of(tracker, (uint32_t)id);

		registration->id = (uint32_t)id;
		if (!bpf_map_update_elem(tracker->maps[MT_MAP_REGISTRY], &slot, registration,
					 BPF_NOEXIST))
			return 0;
		if (errno != EEXIST)
			return -errno;
		id = id_next(tracker, (uint32_t)id);
	}
	return id ? (int)id : -ENOSPC;
}

/* How many trees lie around one, itself included. */
static int depth_of(const struct tracker *tracker, uint32_t tree)
{
	int depth = 0;

	while (tree && depth < MT_DEPTH) {
		struct mt_settings settings;
		__u32 slot = slot_of(tracker, tree);

		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings) ||
		    settings.id != tree)
			break;
		depth++;
		tree = settings.parent;
	}
	return depth;
}

/* The settings of a tree that is open; -ENOENT when it is not. */
static int settings_read(const struct tracker *tracker, uint32_t tree,
			 struct mt_settings *ret_settings)
{
	struct mt_settings settings;
	__u32 slot = slot_of(tracker, tree);

	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings))
		return -errno;
	if (settings.id != tree)
		return -ENOENT;
	*ret_settings = settings;
	return 0;
}

/* The loader marks all trees or none. */
static bool is_disarmed(const struct tracker *tracker, uint32_t tree)
{
	struct mt_settings settings;

	return tree && !settings_read(tracker, tree, &settings) &&
	       settings.flags & MT_SETTINGS_DISARMED;
}

/* As for a tree that holds nothing yet: the kernel's stop stands before its first page. */
static void alarms_set(struct mt_settings *settings, const struct mt_policy *wanted, bool disarmed)
{
	struct mt_policy policy = *wanted;
	struct policy_state state = {};
	const struct policy_reading nothing = {};
	struct policy_decision decision;

	if (disarmed)
		policy.on_limit = MT_ON_LIMIT_WARN;
	decision = policy_judge(&policy, &state, &nothing);

	settings->near_above = decision.near_above;
	settings->alarm_above = decision.alarm_above;
	settings->alarm_below = decision.alarm_below;
	settings->stop_above = decision.stop_above;
	settings->flags = (policy.kill_process ? MT_SETTINGS_STOP_PROCESS : 0) |
			  (disarmed ? MT_SETTINGS_DISARMED : 0);
	settings->alarm_round = 1;
}

/* Has the loader look at it. */
static int nudge(const struct tracker *tracker, uint32_t tree)
{
	const uint64_t args[] = {tree};

	return tracker_call(tracker, MT_PROG_TREE_NUDGE, args, 1, NULL);
}

int registry_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree)
{
	struct mt_registration registration = {
		.started_boot_ns = request->started_boot_ns ?: clock_ns(CLOCK_BOOTTIME),
		.owner_tgid = (uint32_t)getpid(),
	};
	struct mt_settings settings = {
		.window_ns = request->window_ns,
		.parent = request->parent,
		.metric = request->metric,
	};
	struct mt_policy policy = request->policy;
	struct mt_totals totals = {};
	__u32 slot;
	int err;

	memcpy(registration.name, request->name, sizeof(registration.name));
	if (depth_of(tracker, request->parent) >= MT_DEPTH)
		return -ELOOP;
	if (registry_review(tracker, request->name, 0))
		return -EEXIST;
	err = registry_claim(tracker, &registration);
	if (err)
		return err;
	/* Another run may have claimed the same name meanwhile: both see it and both yield. */
	if (registry_review(tracker, request->name, registration.id)) {
		registry_close(tracker, registration.id);
		return -EEXIST;
	}
	slot = slot_of(tracker, registration.id);
	settings.id = settings.last_id = policy.id = registration.id;
	alarms_set(&settings, &policy, is_disarmed(tracker, request->parent));
	if (bpf_map_update_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals, BPF_ANY) ||
	    bpf_map_update_elem(tracker->maps[MT_MAP_POLICIES], &slot, &policy, BPF_ANY) ||
	    bpf_map_update_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings, BPF_ANY)) {
		err = -errno;
		registry_close(tracker, registration.id);
		return err;
	}
	/* It is to know it before anything happens to it, as soon after it may be gone; and
	 * meanwhile all may have been disarmed, or armed again. */
	if (policy.limit || policy.vmem_limit)
		nudge(tracker, registration.id);
	*ret_tree = registration.id;
	return 0;
}

int registry_policy(struct tracker *tracker, uint32_t tree, const struct mt_policy *policy)
{
	struct mt_policy changed = *policy;
	__u32 slot = slot_of(tracker, tree);
	struct mt_settings settings;
	int err = settings_read(tracker, tree, &settings);

	if (err)
		return err;
	changed.id = tree;
	if (bpf_map_update_elem(tracker->maps[MT_MAP_POLICIES], &slot, &changed, BPF_ANY))
		return -errno;
	return nudge(tracker, tree);
}

/* The highest of that slot up to the highest that any tree had: the next of a slot that was closed
 * later is higher (id_next). */
static uint32_t id_last(const struct tracker *tracker, uint32_t tree)
{
	uint32_t capacity = tracker->header.tree_capacity, highest = tree;

	for (__u32 slot = 0; slot < capacity; slot++) {
		struct mt_settings settings;

		if (!bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings) &&
		    settings.last_id > highest)
			highest = settings.last_id;
	}
	return tree + (highest - tree) / capacity * capacity;
}

static void windows_delete(struct tracker *tracker, uint32_t tree, const struct mt_totals *totals)
{
	for (int i = 0; i < MT_EPOCHS; i++) {
		struct mt_window_key key = {.epoch = totals->epochs[i], .tree = tree};

		if (key.epoch)
			bpf_map_delete_elem(tracker->maps[MT_MAP_WINDOWS], &key);
	}
}

void registry_close(struct tracker *tracker, uint32_t tree)
{
	struct mt_registration registration;
	struct mt_settings closed = {.last_id = id_last(tracker, tree)};
	struct mt_policy policy = {};
	struct mt_totals totals = {};
	__u32 slot = slot_of(tracker, tree);

	/* Somebody else may have freed it, and a new tree may stand there. */
	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration) ||
	    registration.id != tree)
		return;
	/* With what its events have claimed. */
	registry_disarm(tracker, tree, 0);
	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_POLICIES], &slot, &policy) ||
	    policy.id != tree)
		policy = (struct mt_policy){.id = tree};
	memcpy(policy.name, registration.name, sizeof(policy.name));
	bpf_map_update_elem(tracker->maps[MT_MAP_POLICIES], &slot, &policy, BPF_ANY);
	bpf_map_update_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &closed, BPF_ANY);
	if (!bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals))
		windows_delete(tracker, tree, &totals);
	memset(&totals, 0, sizeof(totals));
	bpf_map_update_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals, BPF_ANY);
	bpf_map_delete_elem(tracker->maps[MT_MAP_REGISTRY], &slot);
	/* What was begun is told as ended. */
	if (policy.limit || policy.vmem_limit)
		nudge(tracker, tree);
}

void registry_sweep(struct tracker *tracker, uint32_t tree)
{
	for (__u32 slot = 0; slot < tracker->header.tree_capacity; slot++) {
		struct mt_registration registration;
		struct mt_totals totals;

		if (tree && slot != slot_of(tracker, tree))
			continue;
		if (!bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration) &&
		    !bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals) &&
		    (!tree || registration.id == tree) && is_left(&registration, &totals))
			registry_close(tracker, registration.id);
	}
}

int registry_disown(struct tracker *tracker, uint32_t tree)
{
	struct mt_registration registration;
	__u32 slot = slot_of(tracker, tree);

	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration))
		return -errno;
	if (registration.id != tree)
		return -ENOENT;
	registration.owner_tgid = 0;
	if (bpf_map_update_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration, BPF_EXIST))
		return -errno;
	registry_sweep(tracker, tree);
	return 0;
}

int64_t registry_holds(const struct tracker *tracker, uint32_t tree)
{
	struct mt_settings settings;
	struct mt_totals totals;
	__u32 slot = slot_of(tracker, tree);
	int err = settings_read(tracker, tree, &settings);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_TOTALS], &slot, &totals))
		return -errno;
	return totals.holds < 0 ? 0 : totals.holds;
}

static int name_write(struct tracker *tracker, uint32_t tree, const char *name,
		      char ret_before[MT_NAME_SIZE])
{
	struct mt_registration registration;
	__u32 slot = slot_of(tracker, tree);

	if (bpf_map_lookup_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration))
		return -errno;
	if (registration.id != tree)
		return -ENOENT;
	memcpy(ret_before, registration.name, MT_NAME_SIZE);
	memset(registration.name, 0, sizeof(registration.name));
	strncpy(registration.name, name, sizeof(registration.name) - 1);
	return bpf_map_update_elem(tracker->maps[MT_MAP_REGISTRY], &slot, &registration, BPF_EXIST)
		       ? -errno
		       : 0;
}

int registry_rename(struct tracker *tracker, uint32_t tree, const char *name)
{
	char before[MT_NAME_SIZE], now[MT_NAME_SIZE];
	int err;

	if (registry_review(tracker, name, tree))
		return -EEXIST;
	err = name_write(tracker, tree, name, before);
	/* Looked at again afterwards, for the reason in registry_open. */
	if (!err && registry_review(tracker, name, tree)) {
		name_write(tracker, tree, before, now);
		return -EEXIST;
	}
	return err;
}

int registry_disarm(const struct tracker *tracker, uint32_t tree, uint32_t flags)
{
	const uint64_t args[] = {tree, MT_NEVER_ABOVE, MT_NEVER_ABOVE, 0, MT_NEVER_ABOVE, flags};

	return tracker_call(tracker, MT_PROG_TREE_ARM, args, 6, NULL);
}

/* The kernel side goes on charging through its slot, and would go on stopping it. */
int registry_hide(struct tracker *tracker, uint32_t tree)
{
	const struct mt_policy none = {};
	char before[MT_NAME_SIZE];
	int err = name_write(tracker, tree, "", before);

	/* The loader disarms it too: it may be arming it at this moment. */
	if (!err)
		err = registry_policy(tracker, tree, &none);
	return err ? err : registry_disarm(tracker, tree, 0);
}

int registry_window(struct tracker *tracker, uint32_t tree, uint64_t window_ns)
{
	const uint64_t args[] = {tree, window_ns};
	uint32_t known = 0;
	int err = tracker_call(tracker, MT_PROG_TREE_WINDOW, args, 2, &known);

	return err ? err : known ? 0 : -ENOENT;
}

int registry_free_inner(struct tracker *tracker, uint32_t tree)
{
	for (__u32 slot = 0; slot < tracker->header.tree_capacity; slot++) {
		struct mt_settings settings;

		if (bpf_map_lookup_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings))
			return -errno;
		if (!settings.id || settings.parent != tree)
			continue;
		settings.parent = 0;
		if (bpf_map_update_elem(tracker->maps[MT_MAP_SETTINGS], &slot, &settings, BPF_ANY))
			return -errno;
		/* Written whole: what the loader armed meanwhile is undone, it arms it again. */
		nudge(tracker, settings.id);
	}
	return 0;
}
