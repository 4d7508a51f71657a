/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps as the programs see them. What each holds and who inserts and deletes stands
 * in include/maps.h, beside the value's type. Capacities come from user space.
 */
#ifndef MEMTREE_MAPS_BPF_H
#define MEMTREE_MAPS_BPF_H

#include "kernel.bpf.h"

struct tracker_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_tracker);
};

struct registry_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_registration);
};

/* Arrays, because their lookup is compiled inline: both are read on the fault path. */
struct settings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_settings);
};

struct totals_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_totals);
};

struct processes_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_process);
};

struct zombies_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_zombie);
};

struct spaces_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct mt_space);
};

struct windows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct mt_window_key);
	__type(value, struct mt_window);
};

struct losses_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MT_LOSSES);
	__type(key, __u32);
	__type(value, __u64);
};

/*
 * A record is too large for the stack. One scratch slot per program and not per CPU
 * alone: from 7.0 a handler can be preempted by another one on the same CPU, though
 * never by itself.
 */
enum scratch_user {
	SCRATCH_FORK,
	SCRATCH_FORK_AGAIN,
	SCRATCH_NEWTASK,
	SCRATCH_EMPTY, /* never written */
	SCRATCH_USERS,
};

struct scratch_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_USERS);
	__type(key, __u32);
	__type(value, struct mt_process);
};

extern struct settings_map mt_settings SEC(".maps");
extern struct totals_map mt_totals SEC(".maps");
extern struct processes_map mt_processes SEC(".maps");
extern struct zombies_map mt_zombies SEC(".maps");
extern struct spaces_map mt_spaces SEC(".maps");
extern struct windows_map mt_windows SEC(".maps");
extern struct losses_map mt_losses SEC(".maps");
extern struct scratch_map mt_scratch SEC(".maps");

extern const volatile __u32 tree_slot_mask; /* tree capacity - 1 */

static __always_inline void loss_count(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&mt_losses, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#define EBUSY 16
#define EDEADLK 35
#define ETIMEDOUT 110

/*
 * The lock of a bucket may not be had for a moment: -EBUSY when this CPU was interrupted
 * while it held one (from 5.11), -EDEADLK or -ETIMEDOUT from the resilient locks (6.15).
 */
static __always_inline bool is_busy(long err)
{
	return err == -EBUSY || err == -EDEADLK || err == -ETIMEDOUT;
}

static __always_inline long map_insert(void *map, const void *key, const void *value, u64 flags)
{
	long err = bpf_map_update_elem(map, key, value, flags);

	for (int i = 0; i < 3 && is_busy(err); i++)
		err = bpf_map_update_elem(map, key, value, flags);
	if (is_busy(err))
		loss_count(MT_LOSS_BUSY);
	return err;
}

static __always_inline long map_delete(void *map, const void *key)
{
	long err = bpf_map_delete_elem(map, key);

	for (int i = 0; i < 3 && is_busy(err); i++)
		err = bpf_map_delete_elem(map, key);
	if (is_busy(err))
		loss_count(MT_LOSS_BUSY);
	return err;
}

#endif /* MEMTREE_MAPS_BPF_H */
