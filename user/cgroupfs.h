/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a cgroup's own files say about its memory, of version 1 and 2: where its folder is,
 * the figures, who is in it. Only explain and the tests use it; the paths are parameters.
 * Nothing is assumed: a file or line that is missing or not understood is unknown.
 */
#ifndef MEMTREE_CGROUPFS_H
#define MEMTREE_CGROUPFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroupfs_version {
	CGROUPFS_NONE,
	CGROUPFS_V1,
	CGROUPFS_V2,
};

/* What is read; the comments name the line of version 1, then that of version 2. */
enum cgroupfs_field {
	CGROUPFS_USAGE,		/* memory.usage_in_bytes; memory.current */
	CGROUPFS_PEAK,		/* memory.max_usage_in_bytes; memory.peak (5.19) */
	CGROUPFS_ANON,		/* memory.stat: total_rss; anon */
	CGROUPFS_CACHE,		/* total_cache; file. Both with shmem */
	CGROUPFS_SHMEM,		/* total_shmem; shmem */
	CGROUPFS_MAPPED,	/* total_mapped_file; file_mapped */
	CGROUPFS_INACTIVE_FILE, /* total_inactive_file; inactive_file */
	CGROUPFS_ACTIVE_FILE,	/* total_active_file; active_file */
	CGROUPFS_DIRTY,		/* total_dirty; file_dirty */
	CGROUPFS_WRITEBACK,	/* total_writeback; file_writeback */
	CGROUPFS_KERNEL,	/* memory.kmem.usage_in_bytes; memory.stat: kernel (5.18) */
	CGROUPFS_SWAP,		/* total_swap; memory.swap.current */
	CGROUPFS_LIMIT,		/* memory.limit_in_bytes; memory.max */
	CGROUPFS_LIMIT_ABOVE,	/* memory.stat: hierarchical_memory_limit; none */
	CGROUPFS_HIGH,		/* none; memory.high */
	CGROUPFS_SWAP_LIMIT,	/* memory.memsw.limit_in_bytes (memory too); memory.swap.max */
	CGROUPFS_FAILURES,	/* memory.failcnt; memory.events: max */
	CGROUPFS_OOM_KILLS,	/* memory.oom_control: oom_kill (4.13); memory.events: oom_kill */
	CGROUPFS_FIELDS,
};

/* Unknown: -ENOENT the file is missing, -ENODATA the line is missing, -EOPNOTSUPP this
 * version has no such figure, -EPROTO not understood, else why it could not be read. */
struct cgroupfs_figure {
	int err;	/* 0: known */
	bool unlimited; /* a limit that is none; `value` is 0 then */
	uint64_t value; /* bytes, or a count */
};

/* Where a cgroup is in the file system. */
struct cgroupfs_place {
	enum cgroupfs_version version;
	char *mount;  /* the mount point; its cgroup is `root` */
	char *root;   /* absolute in the hierarchy, "/" mostly */
	char *path;   /* of the cgroup, absolute in the hierarchy */
	dev_t device; /* of the mount */
};

struct cgroupfs_memory {
	enum cgroupfs_version version;
	bool is_root; /* the hierarchy's root: of version 2 it has hardly any file */
	/* Whose figures these are: the cgroup itself, or the nearest one above it that the
	 * memory controller is on for. */
	char *path;
	struct cgroupfs_figure figures[CGROUPFS_FIELDS];
	/* The smallest limit up the path, and whose it is: NULL when no cgroup that can be seen
	 * has it, or when there is none. */
	struct cgroupfs_figure limit;
	char *limit_path;
};

/*
 * Whether the line is one of the memory controller on a hierarchy of version 1, anywhere in
 * the text of /proc/self/cgroup; else it is of version 2 or not there at all.
 */
enum cgroupfs_version cgroupfs_version_parse(const char *text);

/*
 * The mount of `text`, a mountinfo, that shows the cgroup `path` (absolute in its hierarchy)
 * and the most of what is above it. -ENOENT without a mount of that version, -EXDEV when none
 * of them shows this cgroup, -EINVAL when `path` is cut ("...") or not absolute, -ENOMEM. The
 * caller frees with cgroupfs_place_free.
 */
int cgroupfs_place_parse(const char *text, enum cgroupfs_version version, const char *path,
			 struct cgroupfs_place *ret_place);
void cgroupfs_place_free(struct cgroupfs_place *place);

/* The same with the files PROC/self/cgroup and PROC/self/mountinfo. */
int cgroupfs_place_find(const char *proc, const char *path, struct cgroupfs_place *ret_place);

/* One number, "max" or what version 1 prints for no limit; or the line `key` of a list of
 * them (NULL: the text is the number). Pure. */
struct cgroupfs_figure cgroupfs_figure_parse(const char *text, const char *key);

/*
 * Reads the figures. -ENOENT when the cgroup is gone, -ESTALE when something else is mounted
 * over it, -EOPNOTSUPP when neither it nor a cgroup above it has the memory controller. The
 * caller frees with cgroupfs_memory_free.
 */
int cgroupfs_memory_read(const struct cgroupfs_place *place, struct cgroupfs_memory *ret_memory);
void cgroupfs_memory_free(struct cgroupfs_memory *memory);

/*
 * The processes of cgroup `path` and those below it, sorted, each once; NULL when there are
 * none. The caller frees. -E2BIG beyond 4096 cgroups.
 */
int cgroupfs_processes_read(const struct cgroupfs_place *place, const char *path, pid_t **ret_pids,
			    size_t *ret_count);

#endif /* MEMTREE_CGROUPFS_H */
