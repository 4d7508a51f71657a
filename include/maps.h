/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract between both halves: what stands in every map and in every record that
 * the snapshot programs write. Fixed-width types only, padding named, bytes (never
 * pages), nanoseconds. Any change here raises MT_LAYOUT: a reader of another build then
 * refuses the tracker instead of misreading it.
 */
#ifndef MEMTREE_MAPS_H
#define MEMTREE_MAPS_H

#include <linux/types.h>

#define MT_MAGIC 0x6565727474656d6dULL /* "mmettree" in memory on little endian */
#define MT_LAYOUT 4

/* The kernel's own order of mm counters (MM_FILEPAGES ... MM_SHMEMPAGES, since 4.5). */
enum mt_kind {
	MT_FILE,
	MT_ANON,
	MT_SWAP,
	MT_SHMEM,
	MT_KINDS,
};

#define MT_METRIC_RSS ((1U << MT_FILE) | (1U << MT_ANON) | (1U << MT_SHMEM))

#define MT_NAME_SIZE 64	 /* a tree's name with its NUL */
#define MT_COMM_SIZE 16	 /* TASK_COMM_LEN */
#define MT_ARGS_SIZE 384 /* arguments kept per process; keeps a slot below 1 KiB */
#define MT_DEPTH 8	 /* a tree and its ancestors, at most */

/*
 * Deadlines of inherited memory lie on a grid of 2^28 ns (0.27 s), so that a tree can
 * keep its open exemptions in a few slots instead of a list of processes. 64 slots of
 * that grid bound the longest window.
 */
#define MT_EPOCH_SHIFT 28
#define MT_EPOCHS 64
#define MT_WINDOW_MAX_NS (16ULL * 1000 * 1000 * 1000)

/* One per tracker, in the map that readers look for ("mt_tracker"). */
enum mt_map {
	MT_MAP_REGISTRY,
	MT_MAP_SETTINGS,
	MT_MAP_TOTALS,
	MT_MAP_PROCESSES,
	MT_MAP_ZOMBIES,
	MT_MAP_SPACES,
	MT_MAP_WINDOWS,
	MT_MAP_LOSSES,
	MT_MAPS,
};

enum mt_prog {
	MT_PROG_REGISTER,
	MT_PROG_PEAK_RAISE,
	MT_PROG_SNAPSHOT_SPACES,
	MT_PROG_SNAPSHOT_PROCESSES,
	MT_PROG_SNAPSHOT_ZOMBIES,
	MT_PROG_SNAPSHOT_THREADS,
	MT_PROGS,
};

#define MT_LINKS_MAX 30 /* even, for the padding */

/*
 * Written once by the loader after everything is attached: `magic` last, so a reader
 * that finds it finds a complete tracker. Ids are the kernel's (BPF_*_GET_FD_BY_ID).
 */
struct mt_tracker {
	__u64 magic;
	__u32 layout;
	__u32 loader_tgid;
	__u32 map_ids[MT_MAPS];
	__u32 prog_ids[MT_PROGS];
	__u32 link_ids[MT_LINKS_MAX]; /* 0 ends the list */
	__u32 tree_capacity;	      /* a power of two */
	__u32 process_capacity;
	__u32 thread_remainders; /* 1: threads keep remainders (before 6.2), 0: CPUs do */
	__u32 error_bound_bytes; /* per kind, thread or CPU: what may be kept back */
};
_Static_assert(sizeof(struct mt_tracker) == 16 + 4 * (MT_MAPS + MT_PROGS + MT_LINKS_MAX) + 16,
	       "mt_tracker has no hidden padding");

/*
 * Registry: slot -> who owns it. Inserting with BPF_NOEXIST claims the slot, deleting
 * frees it; only user space writes. The slot of tree `id` is id & (tree_capacity - 1).
 */
struct mt_registration {
	char name[MT_NAME_SIZE];
	__u64 registered_boot_ns;
	__u32 id;
	__u32 owner_tgid; /* the memtree that waits for this tree */
};
_Static_assert(sizeof(struct mt_registration) == 80, "mt_registration has no hidden padding");

/* Settings: slot -> what the kernel side needs of a tree. Only user space writes. */
struct mt_settings {
	__u64 window_ns;
	__u32 id;      /* 0: the slot is free */
	__u32 parent;  /* id of the enclosing tree, 0: none */
	__u32 metric;  /* bit mask of enum mt_kind */
	__u32 last_id; /* that the slot had, so that ids only grow */
};
_Static_assert(sizeof(struct mt_settings) == 24, "mt_settings has no hidden padding");

/*
 * Totals: slot -> the tree's sums, descendants' trees included. Only the kernel side
 * writes while the slot is claimed; user space zeroes it before it opens the slot.
 * bytes[] always equals the sum of `seen` of the tree's address spaces.
 */
struct mt_totals {
	__s64 bytes[MT_KINDS];
	__s64 holds; /* live member processes + charged address spaces; 0: ended */
	__s64 forks; /* member processes ever born */
	__s64 peak;  /* highest charged figure that the live counters showed, bytes */
	__u64 peak_mono_ns;
	__u64 last_epoch; /* the latest deadline in epochs[] */
	__u32 root_tgid;  /* the first member, 0 until it registered */
	__u32 pad;
	__u64 epochs[MT_EPOCHS]; /* ring by epoch: which window slots exist */
};
_Static_assert(sizeof(struct mt_totals) == 80 + 8 * MT_EPOCHS, "mt_totals has no padding");

/* Processes: tgid -> a live thread group. Inserted at fork or registration, deleted at
 * the exit of the last thread; the delete that succeeds uncharges. */
struct mt_process {
	__u64 start_boot_ns;  /* of the group leader: with the tgid, the identity */
	__u64 leader;	      /* struct task_struct *, renewed at exec */
	__u64 mm;	      /* struct mm_struct *, 0 until known */
	__u64 execed_boot_ns; /* 0: not since it was born */
	__u32 tree;
	__u32 born_ppid;   /* thread group of real_parent at birth: differs later for an orphan */
	__u32 args_length; /* of the whole argument area */
	__u32 args_kept;   /* bytes valid in args[] */
	char args[MT_ARGS_SIZE]; /* NUL-separated */
};
_Static_assert(sizeof(struct mt_process) == 48 + MT_ARGS_SIZE, "mt_process has no padding");

/* Zombies: tgid -> a member that is dead and not yet reaped. It holds nothing. Deleted when
 * its task is freed, or by a reader that finds it reaped: that event may be missed. */
struct mt_zombie {
	__u64 leader; /* struct task_struct * */
	__u64 start_boot_ns;
	__u64 execed_boot_ns;
	__u32 tree;
	__u32 born_ppid;
	__u32 ppid; /* at its exit */
	__u32 pad;
	char comm[MT_COMM_SIZE];
};
_Static_assert(sizeof(struct mt_zombie) == 56, "mt_zombie has no hidden padding");

/* Spaces: struct mm_struct * -> a charged address space. Inserted at fork and exec,
 * deleted at the end of its teardown. */
struct mt_space {
	__s64 seen[MT_KINDS];	   /* what the tree's totals hold of it */
	__s64 inherited[MT_KINDS]; /* ratchet: only shrinks */
	__u64 deadline;		   /* epoch at which `inherited` ends, 0: none */
	__u64 owner_start_boot_ns; /* identity of the process it was made for: */
	__u32 owner_tgid;	   /* an mm pointer is recycled at once */
	__u32 tree;
};
_Static_assert(sizeof(struct mt_space) == 88, "mt_space has no hidden padding");

/* Windows: inherited memory of one tree whose exemption ends at one epoch. At most
 * MT_EPOCHS per tree: who opens a new one deletes the one that its ring slot held. */
struct mt_window_key {
	__u64 epoch;
	__u32 tree;
	__u32 pad;
};
struct mt_window {
	__s64 bytes[MT_KINDS];
};

/* Losses: reason -> per-CPU count of what the tracker could not do. */
enum mt_loss {
	MT_LOSS_PROCESSES_FULL, /* a fork or registration found no free process slot */
	MT_LOSS_ZOMBIES_FULL,	/* an exit found no free zombie slot: it is not shown */
	MT_LOSS_SPACES_FULL,	/* an address space could not be charged */
	MT_LOSS_WINDOWS_FULL,	/* inherited memory could not be exempted: it is charged */
	MT_LOSS_STALE_PROCESS,	/* an exit was never seen; healed when its pid came back */
	MT_LOSS_STALE_SPACE,	/* an end was never seen; healed when its mm came back */
	MT_LOSS_NO_TREE,	/* a member named a tree that is gone */
	MT_LOSS_ARGS,		/* arguments could not be read at exec */
	MT_LOSS_BUSY,		/* a map's lock could not be had: an entry stays or is missing */
	MT_LOSS_SCRATCH,	/* no scratch record: cannot happen */
	MT_LOSSES,
};

/* What the snapshot programs write, one after the other. */
struct mt_space_record {
	__u64 mm;
	__s64 exact[MT_KINDS]; /* without what threads keep back (thread_remainders) */
	struct mt_space space;
};

struct mt_process_record {
	__u64 mm;
	__u64 start_boot_ns;
	__u64 execed_boot_ns;
	__s64 kept_back[MT_KINDS]; /* sum over its threads, before 6.2 */
	__u32 tgid;
	__u32 ppid;
	__u32 born_ppid;
	__u32 tree;
	__u32 threads;
	__u32 threads_read; /* fewer than `threads`: kept_back is not complete */
	__u32 task_state;   /* of the leader, the kernel's bits */
	__u32 leader_known; /* 0: the leader changed under the reader */
	char comm[MT_COMM_SIZE];
};

struct mt_zombie_record {
	struct mt_zombie zombie;
	__u32 tgid;
	__u32 pad;
};

/* One thread's remainder, for groups that are too large for the bounded walk. */
struct mt_thread_record {
	__s64 kept_back[MT_KINDS];
	__u32 tgid;
	__u32 pad;
};

#endif /* MEMTREE_MAPS_H */
