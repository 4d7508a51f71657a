// SPDX-License-Identifier: GPL-2.0-only
#include "cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cgroup_tree *tree_find(struct cgroup_tree *trees, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (trees[i].id == id)
			return &trees[i];
	return NULL;
}

/* A root counts as older than anybody. */
static void guide_offer(struct cgroup_tree *tree, const struct mt_process_record *process)
{
	bool is_root = process->tgid == tree->root_tgid && process->tree == tree->id;
	uint64_t start_boot_ns = is_root ? 0 : process->start_boot_ns;

	if (tree->guide_tgid && tree->guide_start_boot_ns <= start_boot_ns)
		return;
	tree->guide_tgid = process->tgid;
	tree->guide_start_boot_ns = start_boot_ns;
}

void cgroup_guides_find(struct cgroup_tree *trees, size_t tree_count,
			const struct mt_process_record *processes, size_t process_count)
{
	for (size_t i = 0; i < process_count; i++) {
		uint32_t id = processes[i].leader_known ? processes[i].tree : 0;

		for (int depth = 0; depth < MT_DEPTH && id; depth++) {
			struct cgroup_tree *tree = tree_find(trees, tree_count, id);

			if (!tree)
				break;
			guide_offer(tree, &processes[i]);
			id = tree->parent;
		}
	}
}

/* The record that ends the path of `tgid`, its folders right before it; `count`: none. */
static size_t ending_find(const struct mt_cgroup_record *records, size_t count, uint32_t tgid)
{
	uint32_t folders = 0;

	for (size_t i = 0; i < count; i++) {
		bool follows = records[i].tgid == tgid && records[i].level == folders;

		if (follows && records[i].end)
			return i;
		folders = follows ? folders + 1 : 0;
	}
	return count;
}

char *cgroup_path(const struct mt_cgroup_record *records, size_t count, uint32_t tgid)
{
	size_t ending = ending_find(records, count, tgid), used = 0;
	char *path;

	if (ending == count)
		return NULL;
	path = malloc(sizeof("...") + records[ending].level * (size_t)(MT_CGROUP_NAME + 1) + 1);
	if (!path)
		return NULL;
	if (records[ending].end == MT_CGROUP_CUT || !records[ending].level)
		used = (size_t)sprintf(path, "%s", records[ending].level ? "..." : "/");
	for (size_t level = 1; level <= records[ending].level; level++) {
		const char *name = records[ending - level].name;
		size_t length = strnlen(name, MT_CGROUP_NAME);

		path[used++] = '/';
		memcpy(path + used, name, length);
		used += length;
	}
	path[used] = '\0';
	return path;
}
