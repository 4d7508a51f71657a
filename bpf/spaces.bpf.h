/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a charged address space: added at fork or exec, settled whenever its
 * counters move, cleared and ended with its teardown.
 *
 * The invariant: bytes[] of a tree is the sum of `seen` of its spaces. It holds without
 * locks because both change by the same difference; racing CPUs may both apply one, and
 * then the next event corrects `seen` and the total alike.
 */
#ifndef MEMTREE_SPACES_BPF_H
#define MEMTREE_SPACES_BPF_H

#include "trees.bpf.h"

/* Global functions of integers, for the reason in trees.bpf.h. */

/* Turns the ratchet of what a space inherited of one kind. */
int space_ratchet(u64 mm, __u32 kind);

/* The end of a space whose process is gone and that maps nothing: no event tells it, as
 * exit_mmap() leaves early. Of the owner's own space only. */
int space_end_empty(u64 mm, __u32 tgid, u64 start_boot_ns);

/* Ends a space that was made for this process. */
int space_end_of(u64 mm, __u32 tgid, u64 start_boot_ns);

/* In its teardown: uncharges, and ends it when nothing is left. Such events fire under the
 * page-table lock, so that from 7.0 they are not lost, as one of exit_mmap may be. */
int space_drain(u64 mm);

/* Uncharges in place; the entry stays until the teardown ends, so that an event of the
 * same space on another CPU (reclaim) finds it and is settled too. */
int space_clear(u64 mm);

/* Uncharges and forgets. The delete that succeeds releases the tree. */
int space_end(u64 mm);

/*
 * Charges a new address space of process `tgid`, with what it inherits when `parent_mm`
 * is not 0. Idempotent: the program that inserts it opens the window, its twin only
 * settles. Room is made when the pointer belonged to a space whose end was never seen:
 * pointers are recycled at once.
 */
int space_add(u64 mm, u64 parent_mm, __u32 tgid, u64 start_boot_ns, __u32 tree);
/* Its part that makes the entry. */
int space_open(u64 mm, u64 parent_mm, __u32 tgid, u64 start_boot_ns, __u32 tree);

/* Whether it was made for that process: the pointer alone may be another's by now. */
static __always_inline bool space_is_of(const struct mt_space *space, __u32 tgid, u64 start_boot_ns)
{
	return space->owner_tgid == tgid && space->owner_start_boot_ns == start_boot_ns;
}

/* Whether space_clear() would find nothing to do. */
static __always_inline bool space_is_clear(const struct mt_space *space)
{
	if (space->seen[MT_FILE] | space->seen[MT_ANON] | space->seen[MT_SWAP] |
	    space->seen[MT_SHMEM])
		return false;
	return !space->deadline || !(space->inherited[MT_FILE] | space->inherited[MT_ANON] |
				     space->inherited[MT_SWAP] | space->inherited[MT_SHMEM]);
}

static __always_inline bool space_is_charged(u64 mm, __u32 tgid, u64 start_boot_ns)
{
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	return space && space_is_of(space, tgid, start_boot_ns);
}

/* Follows one counter, now at `now` bytes as the live view has it. Returns what tree_add()
 * found. */
static __always_inline int space_settle(struct mt_space *space, u64 mm, __u32 kind, s64 now)
{
	s64 moved = now - space->seen[kind & 3];
	int found = 0;

	if (moved) {
		__sync_fetch_and_add(&space->seen[kind & 3], moved);
		found = tree_add(space->tree, kind, moved);
	}
	/* The ratchet reads the exact value, so it is asked only while less than the
	 * inherited memory seems to be left. */
	if (space->inherited[kind & 3] && now < space->inherited[kind & 3] && space->deadline)
		space_ratchet(plain_address((void *)mm), kind);
	return found;
}

#endif /* MEMTREE_SPACES_BPF_H */
