// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree's totals: adding to them up the chain of enclosing trees, what is inherited with
 * its window still open, and the peak of charged.
 *
 * Nothing here takes a lock or uses an atomic's result (5.10 has neither): every change
 * is an atomic add of a difference that the caller owns or that racing CPUs agree on.
 */
#include "charge.h"
#include "trees.bpf.h"

/* NULL, and counted, when the tree is gone. */
static __always_inline struct mt_settings *tree_find(__u32 id, struct mt_totals **ret_totals)
{
	__u32 slot = id & tree_slot_mask;
	struct mt_settings *settings = bpf_map_lookup_elem(&mt_settings, &slot);
	struct mt_totals *totals = bpf_map_lookup_elem(&mt_totals, &slot);

	if (!settings || !totals)
		return NULL;
	if (settings->id != id) {
		loss_count(MT_LOSS_NO_TREE);
		return NULL;
	}
	*ret_totals = totals;
	return settings;
}

/* Inherited memory of a tree, as its metric counts it, that is exempt at `now_ns`. */
static __always_inline s64 tree_inherited_open(struct mt_settings *settings,
					       struct mt_totals *totals, u64 now_ns)
{
	struct mt_window_key key = {.tree = settings->id};
	s64 sum = 0;

	for (int i = 0; i < MT_EPOCHS; i++) {
		struct mt_window *window;

		key.epoch = totals->epochs[i];
		if (!charge_window_open(key.epoch, now_ns))
			continue;
		window = bpf_map_lookup_elem(&mt_windows, &key);
		if (window)
			sum += charge_clamp(charge_measure(window->bytes, settings->metric));
	}
	return sum;
}

/* Two CPUs may store in either order; the second look after the store lets the higher win. */
static __always_inline void peak_store(struct mt_totals *totals, s64 charged, u64 now_ns)
{
	for (int i = 0; i < 2; i++) {
		if (charged <= *(volatile s64 *)&totals->peak)
			break;
		totals->peak = charged;
		totals->peak_mono_ns = now_ns;
	}
}

__weak int tree_peak(__u32 id)
{
	struct mt_settings *settings;
	struct mt_totals *totals;
	u64 now_ns = bpf_ktime_get_ns();
	s64 charged;

	settings = tree_find(id, &totals);
	if (!settings)
		return 0;
	charged = charge_measure(totals->bytes, settings->metric);
	if (charge_window_open(totals->last_epoch, now_ns))
		charged -= tree_inherited_open(settings, totals, now_ns);
	peak_store(totals, charged, now_ns);
	return 0;
}

__weak int tree_peak_raise(__u32 id, s64 charged)
{
	struct mt_totals *totals;

	if (tree_find(id, &totals))
		peak_store(totals, charged, bpf_ktime_get_ns());
	return 0;
}

__weak int tree_add(__u32 id, __u32 kind, s64 bytes)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;
		__u32 parent;

		settings = tree_find(id, &totals);
		if (!settings)
			break;
		/* Before the change: after the last one user space may close the slot. */
		parent = settings->parent;
		/* A window that closed raised charged without an event: look before it falls. */
		if (bytes < 0 && charge_measure(totals->bytes, settings->metric) > totals->peak)
			tree_peak(id);
		__sync_fetch_and_add(&totals->bytes[kind & 3], bytes);
		if (bytes > 0 && charge_measure(totals->bytes, settings->metric) > totals->peak)
			tree_peak(id);
		id = parent;
	}
	return 0;
}

__weak int tree_hold(__u32 id, s64 holds, s64 forks)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;
		__u32 parent;

		settings = tree_find(id, &totals);
		if (!settings)
			break;
		parent = settings->parent;
		__sync_fetch_and_add(&totals->forks, forks);
		__sync_fetch_and_add(&totals->holds, holds);
		id = parent;
	}
	return 0;
}

/*
 * The slot of a deadline, made when it is the first of that epoch. Inserting with
 * BPF_NOEXIST is the claim: who wins enters it into the ring and deletes what the ring's
 * place held, 64 epochs ago or more.
 */
static __always_inline struct mt_window *window_make(struct mt_totals *totals,
						     struct mt_window_key *key)
{
	struct mt_window_key old = *key;
	struct mt_window empty = {};
	__u32 place = key->epoch % MT_EPOCHS;

	old.epoch = totals->epochs[place];
	if (old.epoch && old.epoch != key->epoch)
		map_delete(&mt_windows, &old);
	if (!map_insert(&mt_windows, key, &empty, BPF_NOEXIST)) {
		totals->epochs[place] = key->epoch;
		if (key->epoch > totals->last_epoch)
			totals->last_epoch = key->epoch;
	}
	return bpf_map_lookup_elem(&mt_windows, key);
}

/* What is taken back from a slot that is gone needs no slot: it was over long ago. */
__weak int tree_exempt(__u32 id, u64 deadline, __u32 kind, s64 bytes)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_window_key key = {.epoch = deadline, .tree = id};
		struct mt_window *window = bpf_map_lookup_elem(&mt_windows, &key);
		struct mt_settings *settings;
		struct mt_totals *totals;

		settings = tree_find(id, &totals);
		if (!settings)
			break;
		if (!window && bytes > 0)
			window = window_make(totals, &key);
		if (window)
			__sync_fetch_and_add(&window->bytes[kind & 3], bytes);
		else if (bytes > 0)
			loss_count(MT_LOSS_WINDOWS_FULL);
		id = settings->parent;
	}
	return 0;
}

__weak int tree_root(__u32 id, __u32 tgid)
{
	struct mt_totals *totals;

	if (!tree_find(id, &totals))
		return 0;
	totals->root_tgid = tgid;
	return 1;
}

__weak u64 tree_window_ns(__u32 id)
{
	struct mt_totals *totals;
	struct mt_settings *settings = tree_find(id, &totals);

	return settings ? settings->window_ns : 0;
}
