/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracker that outlives who loaded it: everything of it is pinned in a folder of a BPF file
 * system, one folder inside for each layout of its maps, so that two builds never misread each
 * other. Who has locked the folder is the node's daemon.
 */
#ifndef MEMTREE_PINS_H
#define MEMTREE_PINS_H

#include "tracker.h"

/*
 * Makes the folder and locks it until `ret_lock` is closed or its holder has died. A BPF file
 * system is mounted on /sys/fs/bpf where none is. -ENODEV when the folder lies in no BPF file
 * system, -EPERM when it is another user's, -EBUSY when somebody else has locked it; other negative
 * errno.
 */
int pins_lock(const char *folder, int *ret_lock);

/* The tracker of our layout that is pinned there. -ENOENT when there is none. */
int pins_find(const char *folder, uint32_t *ret_id);

/* Pins a tracker whole or not at all. Negative errno. */
int pins_make(const char *folder, struct tracker *tracker);

#define PINS_LAYOUT 32 /* room for the name of a layout's folder */

/* One that has another layout: the name of its folder inside. -ENOENT when there is none. */
int pins_find_other(const char *folder, char ret_name[PINS_LAYOUT]);
int pins_remove_layout(const char *folder, const char *name);

/* Takes away what is pinned, of every layout, and the folder. Returns how many trackers there
 * were; negative errno. */
int pins_remove(const char *folder);

#endif /* MEMTREE_PINS_H */
