// SPDX-License-Identifier: GPL-2.0-only
/* See places.bpf.h. */
#include "places.bpf.h"

__u64 places_begin[MT_PLACED];
__u32 places_size[MT_PLACED];

/* What does not lie as it should is not noted: then readers walk. Keys have 8 bytes at most. */
static __always_inline void place_note(enum mt_placed which, void *value, __u32 tree, int enter)
{
	u64 size = places_size[which], at, place;
	struct mt_places *block;
	__u32 index;

	if (!value || !places_are_known() || !size)
		return;
	at = plain_address(value) - bpf_core_field_offset(struct htab_elem, key) - sizeof(u64) -
	     places_begin[which];
	place = at / size;
	if (place >= places_count[which] || place * size != at)
		return;
	place += places_first[which];
	index = place / MT_PLACES_BLOCK;
	place %= MT_PLACES_BLOCK;
	block = bpf_map_lookup_elem(&mt_places, &index);
	if (block && (enter || block->trees[place] == tree))
		block->trees[place] = enter ? tree : 0;
}

__weak int place_process(__u32 tgid, __u32 tree, int enter)
{
	place_note(MT_PLACED_PROCESSES, bpf_map_lookup_elem(&mt_processes, &tgid), tree, enter);
	return 0;
}

__weak int place_zombie(__u32 tgid, __u32 tree, int enter)
{
	place_note(MT_PLACED_ZOMBIES, bpf_map_lookup_elem(&mt_zombies, &tgid), tree, enter);
	return 0;
}

__weak int place_space(u64 mm, __u32 tree, int enter)
{
	place_note(MT_PLACED_SPACES, bpf_map_lookup_elem(&mt_spaces, &mm), tree, enter);
	return 0;
}

static __always_inline bool place_learn(enum mt_placed which, void *map)
{
	struct bpf_htab *hash = (void *)plain_address(map);

	if (!places_are_known())
		return false;
	places_begin[which] = (u64)BPF_CORE_READ(hash, elems);
	places_size[which] = BPF_CORE_READ(hash, elem_size);
	return places_begin[which] && places_size[which];
}

/* Run once before anything is attached; whether places are known here. */
SEC("raw_tp")
int places_learn(struct bpf_raw_tracepoint_args *ctx)
{
	return place_learn(MT_PLACED_PROCESSES, &mt_processes) &&
	       place_learn(MT_PLACED_ZOMBIES, &mt_zombies) &&
	       place_learn(MT_PLACED_SPACES, &mt_spaces);
}
