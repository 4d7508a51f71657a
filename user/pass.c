// SPDX-License-Identifier: GPL-2.0-only
#include "pass.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

#define TICK_NS 10000000ULL /* of USER_HZ, 100 in every ABI of Linux */

static bool is_counted(const struct model *model, const struct process *process,
		       const struct tree *tree)
{
	return !process->zombie && model_is_inside(model, process->tree, tree->id);
}

/* As a child of the root, whatever became of its parents: so it is in the monitor's tree. Its
 * name is left out, as one with a line break would hide it. */
static struct procfs_stat stat_of(const struct process *process, pid_t root)
{
	bool is_root = (pid_t)process->tgid == root;

	return (struct procfs_stat){
		.pid = (pid_t)process->tgid,
		.ppid = is_root ? 0 : root,
		.session = (pid_t)process->tgid,
		.threads = process->threads,
		.utime_ticks = process->cpu_ns / TICK_NS,
		.start_ticks = process->start_boot_ns / TICK_NS,
		.vsize_bytes = (uint64_t)process->vmem,
		.rss_bytes = bytes_rss(process->bytes),
	};
}

int pass_make(const struct model *model, const struct tree *tree, struct yarn_tree *passes)
{
	_cleanup_free_ struct procfs_stat *stats = calloc(model->process_count + 1, sizeof(*stats));
	bool root_lives = false;
	size_t count = 0;

	if (!stats)
		return -ENOMEM;
	passes->root = (pid_t)tree->root_tgid;
	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *process = &model->processes[i];

		if (!is_counted(model, process, tree))
			continue;
		root_lives = root_lives || process->tgid == tree->root_tgid;
		stats[count++] = stat_of(process, passes->root);
	}
	/* An empty one in its place: the others are looked after as before. */
	if (!root_lives)
		stats[count++] = (struct procfs_stat){.pid = passes->root, .session = passes->root};
	return yarn_tree_update(passes, stats, count);
}
