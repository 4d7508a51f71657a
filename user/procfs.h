/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes as a proc file system tells them: the baseline that memtree is compared with.
 * Only compare, explain and the tests use it; nothing that tracks or decides does. The
 * folder is a parameter. Names and arguments are hostile bytes, given on as they are.
 *
 * All functions return 0 or a negative errno; -ESRCH when the process is gone (whatever
 * the kernel says then: ENOENT at the open, ESRCH at the read), -EPROTO when a file is not
 * as proc(5) has it. Out-parameters are untouched on failure.
 */
#ifndef MEMTREE_PROCFS_H
#define MEMTREE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCFS_COMM_SIZE 65 /* with its NUL: workers of the kernel have up to 64 */

struct procfs {
	int root;	/* fd of the folder */
	uint64_t calls; /* system calls made through it, for those who ask what it costs */
};

/* The caller owns the result; procfs_close takes one whose root is -1, too. A folder that is not
 * there is -ENOENT here. */
int procfs_open(const char *path, struct procfs *ret_procfs);
void procfs_close(struct procfs *procfs);

/* Whether the caller is in the initial namespace of that kind, and sees itself in this folder:
 * only then pids, or paths of cgroups, are those of the maps. */
enum procfs_namespace {
	PROCFS_NAMESPACE_PID,
	PROCFS_NAMESPACE_CGROUP,
};
bool procfs_namespace_is_initial(struct procfs *procfs, enum procfs_namespace kind);

/* PID/stat of a thread group. */
struct procfs_stat {
	pid_t pid, ppid;
	pid_t pgrp, session; /* -1 while it is being released */
	uint32_t threads;
	char state;
	char comm[PROCFS_COMM_SIZE]; /* cut when longer */
	uint64_t utime_ticks, stime_ticks, start_ticks;
	uint64_t vsize_bytes;
	int64_t rss_bytes; /* what the kernel keeps approximately, see get_mm_rss() */
};

/* `text` is the whole file; the name ends at its last ')'. -EPROTO when one of the first 39
 * fields is missing (there are 52; YARN wants as many) or out of range. */
int procfs_stat_parse(const char *text, size_t length, struct procfs_stat *ret_stat);
int procfs_stat_read(struct procfs *procfs, pid_t pid, struct procfs_stat *ret_stat);

/*
 * Lists the folder and reads every process's stat, in the folder's order. Those that vanish
 * meanwhile are left out; those that are there but cannot be read or understood are counted
 * in `ret_unread`. The caller frees the array.
 */
int procfs_scan(struct procfs *procfs, struct procfs_stat **ret_stats, size_t *ret_count,
		size_t *ret_unread);

/* Resident memory by kind in bytes, and what is swapped out: RssAnon, RssFile, RssShmem,
 * VmSwap of PID/task/TID/status; all 0 for a thread that has exited. */
struct procfs_kinds {
	int64_t anon, file, shmem, swap;
};
int procfs_kinds_read(struct procfs *procfs, pid_t pid, pid_t tid, struct procfs_kinds *ret_kinds);

/* PID/task/TID/statm in bytes: what top shows as VIRT, RES and SHR. */
struct procfs_statm {
	int64_t size, resident, shared;
};
int procfs_statm_read(struct procfs *procfs, pid_t pid, pid_t tid, struct procfs_statm *ret_statm);

/* One mapping of PID/task/TID/smaps, bytes. What an older kernel does not print is 0. */
struct procfs_mapping {
	char permissions[5]; /* "rw-p" */
	int64_t rss, pss, shared_clean, shared_dirty, private_clean, private_dirty;
	int64_t anonymous, swap, swap_pss;
};

/* The caller frees the array. -EACCES without permission. A kernel thread has none. Lines that
 * are not known are skipped; -EPROTO when one that is known is cut. */
int procfs_mappings_parse(const char *text, size_t length, struct procfs_mapping **ret_mappings,
			  size_t *ret_count);
int procfs_mappings_read(struct procfs *procfs, pid_t pid, pid_t tid,
			 struct procfs_mapping **ret_mappings, size_t *ret_count);

/* PID/cmdline, NULs inside as they are; a NUL follows. The caller frees it. */
int procfs_cmdline_read(struct procfs *procfs, pid_t pid, char **ret_text, size_t *ret_length);

/* A thread of `pid` that has not exited: `pid` itself, else the first other one of PID/task
 * whose stat is no zombie's. A zombie has none: -ESRCH. */
int procfs_thread_find(struct procfs *procfs, pid_t pid, pid_t *ret_tid);

#endif /* MEMTREE_PROCFS_H */
