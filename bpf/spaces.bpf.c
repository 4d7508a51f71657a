// SPDX-License-Identifier: GPL-2.0-only
/* See spaces.bpf.h. */
#include "charge.h"
#include "spaces.bpf.h"

#define ENDING_MAX_NS (1000ULL * 1000 * 1000)

/* How far it turned. */
static __always_inline s64 ratchet_turn(struct mt_space *space, __u32 kind, s64 exact)
{
	u64 deadline = *(volatile u64 *)&space->deadline;
	s64 turned = deadline ? charge_ratchet(space->inherited[kind & 3], exact) : 0;

	if (turned) {
		__sync_fetch_and_add(&space->inherited[kind & 3], turned);
		tree_exempt(space->tree, deadline, kind, turned);
	}
	return turned;
}

/*
 * Against the exact value: a remainder that a CPU keeps back must not eat from the
 * exemption. One whose time is over is forgotten, so that a child which holds on to little
 * does not come here for ever; the clock is read only where the look was in vain.
 */
__weak int space_ratchet(u64 mm, __u32 kind)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (!space || ratchet_turn(space, kind, counter_exact(mm, kind & 3)))
		return 0;
	if (!charge_window_open(space->deadline, bpf_ktime_get_ns()))
		space->deadline = 0;
	return 0;
}

/*
 * Two that uncharge one space at once (a teardown, and a census that met its process in the
 * middle of an exit) would each take the same from the total, and the entry goes before the
 * next event could correct it. So who clears or ends it claims it for the while.
 */
static __always_inline bool space_claim(u64 mm)
{
	u64 now_ns = bpf_ktime_get_ns(), *since_ns;

	if (!map_insert(&mt_endings, &mm, &now_ns, BPF_NOEXIST))
		return true;
	/* Its release may have failed: nobody takes so long. */
	since_ns = bpf_map_lookup_elem(&mt_endings, &mm);
	if (!since_ns || now_ns < *since_ns + ENDING_MAX_NS)
		return false;
	*since_ns = now_ns;
	return true;
}

static __always_inline void space_release(u64 mm)
{
	map_delete(&mt_endings, &mm);
}

static __always_inline void space_uncharge(struct mt_space *space)
{
	for (__u32 kind = 0; kind < MT_KINDS; kind++) {
		s64 moved = -space->seen[kind];

		if (moved) {
			__sync_fetch_and_add(&space->seen[kind], moved);
			tree_add(space->tree, kind, moved);
		}
		ratchet_turn(space, kind, 0);
	}
	tree_edges(space->tree, 0, 0);
}

/* Looked up only under the claim: the entry may have gone before. */
__weak int space_clear(u64 mm)
{
	struct mt_space *space;

	if (!space_claim(mm))
		return 0;
	space = bpf_map_lookup_elem(&mt_spaces, &mm);
	if (space)
		space_uncharge(space);
	space_release(mm);
	return 0;
}

__weak int space_end(u64 mm)
{
	struct mt_space *space;
	__u32 tree = 0;

	if (!space_claim(mm))
		return 0;
	space = bpf_map_lookup_elem(&mt_spaces, &mm);
	if (space) {
		tree = space->tree;
		space_uncharge(space);
		place_space(mm, tree, 0);
	}
	if (space && !map_delete(&mt_spaces, &mm))
		tree_hold(tree, -1, 0);
	space_release(mm);
	return 0;
}

static __always_inline bool is_empty(u64 mm)
{
	s64 left[MT_KINDS];

	counters_exact(mm, left);
	return !(left[MT_FILE] | left[MT_ANON] | left[MT_SWAP] | left[MT_SHMEM]);
}

/* Looks again after clearing: who came with the end meanwhile has found it claimed. */
__weak int space_drain(u64 mm)
{
	if (!bpf_map_lookup_elem(&mt_spaces, &mm))
		return 0;
	if (!is_empty(mm)) {
		space_clear(mm);
		if (!is_empty(mm))
			return 0;
	}
	return space_end(mm);
}

__weak int space_end_of(u64 mm, __u32 tgid, u64 start_boot_ns)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (!space || !space_is_of(space, tgid, start_boot_ns))
		return 0;
	return space_end(mm);
}

__weak int space_end_empty(u64 mm, __u32 tgid, u64 start_boot_ns)
{
	if (BPF_CORE_READ((struct mm_struct *)mm, map_count))
		return 0;
	return space_end_of(mm, tgid, start_boot_ns);
}

/* What a forked child shares copy-on-write, and until when that is exempt. */
static __always_inline void space_inherit(struct mt_space *child, u64 mm, u64 parent_mm)
{
	s64 *now = child->inherited;
	struct mt_space *parent = bpf_map_lookup_elem(&mt_spaces, &parent_mm);
	u64 now_ns = bpf_ktime_get_ns();
	int open = parent && charge_window_open(parent->deadline, now_ns);

	child->deadline = open ? parent->deadline
			       : charge_deadline(now_ns, tree_window_ns(child->tree));
	if (!child->deadline)
		return;
	counters_exact(mm, now);
	for (__u32 kind = 0; kind < MT_KINDS; kind++)
		child->inherited[kind] = charge_inherit(now[kind],
							parent ? parent->inherited[kind] : 0, open);
}

/*
 * The one insert into mt_spaces. Who remembers that this mm is not there learns of it only by the
 * generation, so that is raised after. A function of its own for its stack, of which all frames
 * together have 512 bytes.
 */
__weak int space_open(u64 mm, u64 parent_mm, __u32 tgid, u64 start_boot_ns, __u32 tree)
{
	struct mt_space fresh = {
		.owner_start_boot_ns = start_boot_ns,
		.owner_tgid = tgid,
		.tree = tree,
	};

	if (parent_mm)
		space_inherit(&fresh, mm, parent_mm);
	if (map_insert(&mt_spaces, &mm, &fresh, BPF_NOEXIST))
		return 0;
	__sync_fetch_and_add(&spaces_generation, 1);
	place_space(mm, tree, 1);
	tree_hold(tree, 1, 0);
	for (__u32 kind = 0; kind < MT_KINDS; kind++)
		if (fresh.inherited[kind])
			tree_exempt(tree, fresh.deadline, kind, fresh.inherited[kind]);
	return 0;
}

__weak int space_add(u64 mm, u64 parent_mm, __u32 tgid, u64 start_boot_ns, __u32 tree)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);
	s64 now[MT_KINDS];

	if (space && !space_is_of(space, tgid, start_boot_ns)) {
		loss_count(MT_LOSS_STALE_SPACE);
		space_end(mm);
		space = NULL;
	}
	if (!space) {
		space_open(mm, parent_mm, tgid, start_boot_ns, tree);
		space = bpf_map_lookup_elem(&mt_spaces, &mm);
	}
	if (!space) {
		loss_count(MT_LOSS_SPACES_FULL);
		return 0;
	}
	/* Read after the insert: what moved before it told nobody. */
	counters_exact(mm, now);
	for (__u32 kind = 0; kind < MT_KINDS; kind++)
		space_settle(space, mm, kind, now[kind]);
	/* What was found on the way is not kept, for the sake of the stack. */
	tree_edges(tree, 0, 0);
	return 0;
}
