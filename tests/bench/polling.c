// SPDX-License-Identifier: GPL-2.0-only
#include "polling.h"

#include "cleanup.h"

int polling_scan(struct procfs *procfs, struct yarn_tree *tree)
{
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;
	int err = procfs_scan(procfs, &stats, &count, &unread);

	return err ? err : yarn_tree_update(tree, stats, count);
}
