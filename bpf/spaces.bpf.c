// SPDX-License-Identifier: GPL-2.0-only
/* See spaces.bpf.h. */
#include "charge.h"
#include "spaces.bpf.h"

static __always_inline void ratchet_turn(struct mt_space *space, __u32 kind, s64 exact)
{
	s64 turned = charge_ratchet(space->inherited[kind & 3], exact);

	if (turned) {
		__sync_fetch_and_add(&space->inherited[kind & 3], turned);
		tree_exempt(space->tree, space->deadline, kind, turned);
	}
}

/*
 * Against the exact value: a remainder that a CPU keeps back must not eat from the
 * exemption.
 */
__weak int space_ratchet(u64 mm, __u32 kind)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (space)
		ratchet_turn(space, kind, counter_exact(mm, kind & 3));
	return 0;
}

__weak int space_clear(u64 mm)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (!space)
		return 0;
	for (__u32 kind = 0; kind < MT_KINDS; kind++) {
		s64 moved = -space->seen[kind];

		if (moved) {
			__sync_fetch_and_add(&space->seen[kind], moved);
			tree_add(space->tree, kind, moved);
		}
		ratchet_turn(space, kind, 0);
	}
	return 0;
}

__weak int space_end(u64 mm)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);
	__u32 tree;

	if (!space)
		return 0;
	tree = space->tree;
	space_clear(mm);
	if (!map_delete(&mt_spaces, &mm))
		tree_hold(tree, -1, 0);
	return 0;
}

__weak int space_drain(u64 mm)
{
	s64 left[MT_KINDS];

	if (!bpf_map_lookup_elem(&mt_spaces, &mm))
		return 0;
	counters_exact(mm, left);
	if (left[MT_FILE] || left[MT_ANON] || left[MT_SWAP] || left[MT_SHMEM])
		return space_clear(mm);
	return space_end(mm);
}

static __always_inline bool space_is_of(const struct mt_space *space, __u32 tgid, u64 start_boot_ns)
{
	return space->owner_tgid == tgid && space->owner_start_boot_ns == start_boot_ns;
}

__weak int space_end_empty(u64 mm, __u32 tgid, u64 start_boot_ns)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (!space || !space_is_of(space, tgid, start_boot_ns))
		return 0;
	if (BPF_CORE_READ((struct mm_struct *)mm, map_count))
		return 0;
	return space_end(mm);
}

/* What a forked child shares copy-on-write, and until when that is exempt. */
static __always_inline void space_inherit(struct mt_space *child, u64 parent_mm,
					  const s64 now[MT_KINDS])
{
	struct mt_space *parent = bpf_map_lookup_elem(&mt_spaces, &parent_mm);
	u64 now_ns = bpf_ktime_get_ns();
	int open = parent && charge_window_open(parent->deadline, now_ns);

	child->deadline = open ? parent->deadline
			       : charge_deadline(now_ns, tree_window_ns(child->tree));
	if (!child->deadline)
		return;
	for (__u32 kind = 0; kind < MT_KINDS; kind++)
		child->inherited[kind] = charge_inherit(now[kind],
							parent ? parent->inherited[kind] : 0, open);
}

__weak int space_add(u64 mm, u64 parent_mm, __u32 tgid, u64 start_boot_ns, __u32 tree)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);
	struct mt_space fresh = {
		.owner_start_boot_ns = start_boot_ns,
		.owner_tgid = tgid,
		.tree = tree,
	};
	s64 now[MT_KINDS];

	if (space && !space_is_of(space, tgid, start_boot_ns)) {
		loss_count(MT_LOSS_STALE_SPACE);
		space_end(mm);
		space = NULL;
	}
	counters_exact(mm, now);
	if (!space) {
		if (parent_mm)
			space_inherit(&fresh, parent_mm, now);
		if (!map_insert(&mt_spaces, &mm, &fresh, BPF_NOEXIST)) {
			tree_hold(tree, 1, 0);
			for (__u32 kind = 0; kind < MT_KINDS; kind++)
				if (fresh.inherited[kind])
					tree_exempt(tree, fresh.deadline, kind,
						    fresh.inherited[kind]);
		}
		space = bpf_map_lookup_elem(&mt_spaces, &mm);
	}
	if (!space) {
		loss_count(MT_LOSS_SPACES_FULL);
		return 0;
	}
	for (__u32 kind = 0; kind < MT_KINDS; kind++)
		space_settle(space, mm, kind, now[kind]);
	return 0;
}
