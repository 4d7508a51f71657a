// SPDX-License-Identifier: GPL-2.0-only
#include "yarn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uthash.h>

#include "cleanup.h"

/* ProcessInfo of ProcfsBasedProcessTree. */
struct info {
	pid_t pid, ppid;
	int64_t vsize, rss_pages;
	uint64_t utime, stime;
	struct info *children, *sibling, *next; /* next: in the queue */
	UT_hash_handle hh;
};

static int stat_parse(char *text, struct info *info)
{
	char *name_end = strrchr(text, ')');
	char state;

	if (!name_end)
		return -EPROTO;
	if (sscanf(name_end + 2,
		   "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d "
		   "%*d %*u %ld %ld",
		   &state, &info->ppid, &info->utime, &info->stime, &info->vsize,
		   &info->rss_pages) != 6)
		return -EPROTO;
	return 0;
}

/* NULL when the process went away meanwhile, which YARN skips. */
static struct info *stat_read(const char *pid)
{
	char name[300], text[1024];
	struct info *info;
	ssize_t got;

	snprintf(name, sizeof(name), "/proc/%s/stat", pid);
	_cleanup_close_ int file = open(name, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return NULL;
	got = read(file, text, sizeof(text) - 1);
	if (got <= 0)
		return NULL;
	text[got] = '\0';
	info = calloc(1, sizeof(*info));
	if (info && stat_parse(text, info)) {
		free(info);
		return NULL;
	}
	if (info)
		info->pid = (pid_t)atol(pid);
	return info;
}

static int processes_list(struct info **ret_all)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		struct info *info;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		info = stat_read(entry->d_name);
		if (info)
			HASH_ADD_INT(*ret_all, pid, info);
	}
	closedir(directory);
	return 0;
}

static void children_link(struct info *all)
{
	for (struct info *info = all; info; info = info->hh.next) {
		struct info *parent;

		HASH_FIND_INT(all, &info->ppid, parent);
		if (parent && parent != info) {
			info->sibling = parent->children;
			parent->children = info;
		}
	}
}

static void tree_sum(struct info *root, struct yarn_sum *sum)
{
	const int64_t page = sysconf(_SC_PAGESIZE);
	struct info *last = root;

	for (struct info *info = root; info; info = info->next) {
		sum->processes++;
		sum->rss_bytes += info->rss_pages * page;
		sum->vmem_bytes += info->vsize;
		sum->cpu_ticks += info->utime + info->stime;
		for (struct info *child = info->children; child; child = child->sibling) {
			last->next = child;
			last = child;
		}
	}
}

int yarn_scan(pid_t root, struct yarn_sum *ret_sum)
{
	struct info *all = NULL, *info, *after;
	struct yarn_sum sum = {};
	int err = processes_list(&all);

	if (err)
		return err;
	children_link(all);
	HASH_FIND_INT(all, &root, info);
	tree_sum(info, &sum);
	HASH_ITER(hh, all, info, after) {
		HASH_DEL(all, info);
		free(info);
	}
	*ret_sum = sum;
	return 0;
}
