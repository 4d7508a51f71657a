/* SPDX-License-Identifier: GPL-2.0-only */
/* A small node and a container on it, told as stories, pass by pass. */
#ifndef MEMTREE_TEST_CONTAINER_H
#define MEMTREE_TEST_CONTAINER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "yarn.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MOST 16
#define PAGE sysconf(_SC_PAGESIZE)
#define KB 1024ll
#define MB (1024 * KB)
#define GB (1024 * MB)

/* A node, and the container on it that is watched. */
struct story {
	struct procfs_stat all[MOST];
	size_t count;
	struct yarn_tree tree;
};

static inline void begin(struct story *story, pid_t root)
{
	memset(story, 0, sizeof(*story));
	story->tree.root = root;
}

/* Groups and sessions are the parent's, as after a plain fork; 1000 * pid bytes and pid pages,
 * as Hadoop's tests have it. */
static inline struct procfs_stat *lives(struct story *story, pid_t pid, pid_t ppid, pid_t session)
{
	struct procfs_stat *stat = &story->all[story->count++];

	assert_true(story->count <= MOST);
	*stat = (struct procfs_stat){
		.pid = pid,
		.ppid = ppid,
		.pgrp = session,
		.session = session,
		.threads = 1,
		.state = 'S',
		.comm = "java",
		.vsize_bytes = (uint64_t)pid * 1000,
		.rss_bytes = pid * PAGE,
	};
	return stat;
}

static inline struct procfs_stat *worked(struct procfs_stat *stat, uint64_t utime, uint64_t stime)
{
	stat->utime_ticks = utime;
	stat->stime_ticks = stime;
	return stat;
}

static inline void pass(struct story *story)
{
	assert_int_equal(yarn_tree_update(&story->tree, story->all, story->count), 0);
}

static inline void end(struct story *story)
{
	yarn_tree_free(&story->tree);
	assert_null(story->tree.processes);
	assert_int_equal(story->tree.count, 0);
	yarn_tree_free(&story->tree);
}

#endif /* MEMTREE_TEST_CONTAINER_H */
