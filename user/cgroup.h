/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The path of a tree's cgroup: which member stands for the tree, and the path put together
 * from the folders that the kernel side told. Pure: the records are the caller's.
 */
#ifndef MEMTREE_CGROUP_H
#define MEMTREE_CGROUP_H

#include <stddef.h>
#include <stdint.h>

#include "maps.h"

/* A tree, as far as the choice of its guide goes. */
struct cgroup_tree {
	uint32_t id, parent; /* parent 0: none */
	uint32_t root_tgid;
	uint32_t guide_tgid; /* the answer; 0: it has no live member */
	uint64_t guide_start_boot_ns;
};

/*
 * Finds for each tree the member that stands for it: its root while that lives, else its
 * oldest live member, those of the trees inside included.
 */
void cgroup_guides_find(struct cgroup_tree *trees, size_t tree_count,
			const struct mt_process_record *processes, size_t process_count);

/*
 * "/a/b" of the process `tgid`, absolute in its hierarchy and not in the reader's cgroup
 * namespace; ".../a/b" when it is deeper than was read. NULL when nothing is known of it or
 * without memory. The caller frees.
 */
char *cgroup_path(const struct mt_cgroup_record *records, size_t count, uint32_t tgid);

#endif /* MEMTREE_CGROUP_H */
