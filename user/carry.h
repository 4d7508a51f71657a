/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Carries trees over from a pinned tracker of another layout, as after an upgrade: what its maps
 * hold is found by the names of their fields, which their BTF tells, so that any build can read any
 * other's. Trees keep names, limits and peaks and get new ids; members are adopted by their
 * identity, charged from then on by what they hold.
 */
#ifndef MEMTREE_CARRY_H
#define MEMTREE_CARRY_H

#include "tracker.h"

/*
 * From the maps that are pinned in `folder` (one layout's) into `tracker`. What is there already is
 * left alone, so it may be done again where it was cut off. Returns how many trees there were;
 * negative errno, also when only some could be carried over, with the last one's.
 */
int carry_over(const char *folder, struct tracker *tracker);

#endif /* MEMTREE_CARRY_H */
