// SPDX-License-Identifier: GPL-2.0-only
#include "forget.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "registry.h"
#include "snapshot.h"

#define GRACE_US 50000 /* where the kernel has no such barrier (nohz_full) */
#define ROUNDS_MAX 1000

static void forget(const struct tracker *tracker, uint32_t tree, uint32_t tgid, uint64_t mm,
		   uint32_t zombie)
{
	const uint64_t args[] = {tree, tgid, mm, zombie};

	tracker_call(tracker, MT_PROG_MEMBER_FORGET, args, 4, NULL);
}

/* How many records named the tree; they are gone now. Negative errno. */
static int members_forget(const struct tracker *tracker, uint32_t tree)
{
	struct snapshot snapshot;
	int found = 0, err = snapshot_read_tree(tracker, tree, &snapshot);

	if (err)
		return err;
	for (size_t i = 0; i < snapshot.process_count; i++)
		if (snapshot.processes[i].tree == tree && ++found)
			forget(tracker, tree, snapshot.processes[i].tgid, 0, 0);
	for (size_t i = 0; i < snapshot.space_count; i++)
		if (snapshot.spaces[i].space.tree == tree && ++found)
			forget(tracker, tree, 0, snapshot.spaces[i].mm, 0);
	for (size_t i = 0; i < snapshot.zombie_count; i++)
		if (snapshot.zombies[i].zombie.tree == tree && ++found)
			forget(tracker, tree, 0, 0, snapshot.zombies[i].tgid);
	snapshot_free(&snapshot);
	return found;
}

/* Until every handler that may have seen a member has returned (synchronize_rcu()). */
static void handlers_await(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(GRACE_US);
}

/*
 * A handler that saw a member before it was forgotten may still enter a child: it has done so
 * when it has returned, and the next round finds it.
 */
int forget_tree(struct tracker *tracker, uint32_t tree)
{
	int found = 1, err = registry_free_inner(tracker, tree);

	for (int i = 0; i < ROUNDS_MAX && !err && found; i++) {
		found = members_forget(tracker, tree);
		if (found < 0)
			err = found;
		if (found > 0)
			handlers_await();
	}
	if (!err)
		registry_close(tracker, tree);
	return err;
}

int forget_remove(struct tracker *tracker, const struct model *model, const struct tree *tree)
{
	return model_parent(model, tree) ? registry_hide(tracker, tree->id)
					 : forget_tree(tracker, tree->id);
}
