/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose tree an element of a large hash is of, by its place: what places mean and what they
 * promise stands beside struct mt_places. They are written with plain stores, after an insert
 * and before a delete: of two that race for a place the later tenant may stay unnoted until it
 * leaves, which costs its readers a walk and no figure its exactness.
 */
#ifndef MEMTREE_PLACES_BPF_H
#define MEMTREE_PLACES_BPF_H

#include "maps.bpf.h"

/* Of each hash in the array of places; set before load. Nothing where the count is 0. */
extern const volatile __u32 places_first[MT_PLACED];
extern const volatile __u32 places_count[MT_PLACED];
/* Where its elements lie, as places_learn found it. */
extern __u64 places_begin[MT_PLACED];
extern __u32 places_size[MT_PLACED];

/* Global functions of integers, for the reason in trees.bpf.h: each looks its element up, and
 * notes it as one of `tree` (`enter`), or frees the place if it is noted so. */
int place_process(__u32 tgid, __u32 tree, int enter);
int place_zombie(__u32 tgid, __u32 tree, int enter);
int place_space(u64 mm, __u32 tree, int enter);

/* prealloc_init() has this layout since hashes have iterators. */
static __always_inline bool places_are_known(void)
{
	return bpf_core_field_exists(struct bpf_htab, elems) &&
	       bpf_core_field_exists(struct bpf_htab, elem_size) &&
	       bpf_core_field_exists(struct htab_elem, key);
}

/* The key of the element at a place, which may be a free one's last; 0 when there is no such
 * place. */
static __always_inline u64 placed_key(enum mt_placed which, __u32 place, __u32 size)
{
	u64 key = 0;

	if (!places_are_known() || place >= places_count[which])
		return 0;
	bpf_probe_read_kernel(&key, size,
			      (void *)(places_begin[which] + (u64)place * places_size[which] +
				       bpf_core_field_offset(struct htab_elem, key)));
	return key;
}

/* Whether a value lies there: else it is another tenant's, and met at its own place. */
static __always_inline bool is_placed(enum mt_placed which, __u32 place, const void *value)
{
	u64 element = places_begin[which] + (u64)place * places_size[which];

	return (u64)value == element + bpf_core_field_offset(struct htab_elem, key) + sizeof(u64);
}

#endif /* MEMTREE_PLACES_BPF_H */
