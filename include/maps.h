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
#define MT_LAYOUT 14

/* The kernel's own order of mm counters (MM_FILEPAGES ... MM_SHMEMPAGES, since 4.5). */
enum mt_kind {
	MT_FILE,
	MT_ANON,
	MT_SWAP,
	MT_SHMEM,
	MT_KINDS,
};

#define MT_METRIC_RSS ((1U << MT_FILE) | (1U << MT_ANON) | (1U << MT_SHMEM))

#define MT_NAME_SIZE 64	    /* a tree's name with its NUL */
#define MT_COMM_SIZE 16	    /* TASK_COMM_LEN */
#define MT_ARGS_SIZE 384    /* arguments kept per process; keeps a slot below 1 KiB */
#define MT_DEPTH 8	    /* a tree and its ancestors, at most */
#define MT_HOOK_SIZE 256    /* a hook's command with its NUL */
#define MT_CGROUP_NAME 256  /* a folder's name with its NUL: NAME_MAX and 1 */
#define MT_CGROUP_LEVELS 32 /* of a path, from its end */

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
	MT_MAP_HEALTH,
	MT_MAP_GUIDES,
	MT_MAP_POLICIES,
	MT_MAP_CLAIMS,
	MT_MAP_PLACES,
	MT_MAP_EVENTS,
	MT_MAPS,
};

enum mt_prog {
	MT_PROG_REGISTER,
	MT_PROG_PEAK_RAISE,
	MT_PROG_TREE_ARM,
	MT_PROG_TREE_WINDOW,
	MT_PROG_TREE_DOOM,
	MT_PROG_TREE_NUDGE,
	MT_PROG_STORIES_HEAR,
	MT_PROG_CENSUS_BEGIN,
	MT_PROG_CENSUS_TASKS,
	MT_PROG_CENSUS_PROCESSES,
	MT_PROG_CENSUS_SPACES,
	MT_PROG_ARGS_STORE,
	MT_PROG_MEMBER_FORGET,
	MT_PROG_SNAPSHOT_SPACES,
	MT_PROG_SNAPSHOT_PLACED_SPACES,
	MT_PROG_SNAPSHOT_PROCESSES,
	MT_PROG_SNAPSHOT_ZOMBIES,
	MT_PROG_SNAPSHOT_THREADS,
	MT_PROG_SNAPSHOT_CGROUPS,
	MT_PROGS,
};

#define MT_LINKS_MAX 31 /* odd, for the padding */

/* Hashes whose elements have places; see below. */
enum mt_placed {
	MT_PLACED_PROCESSES,
	MT_PLACED_ZOMBIES,
	MT_PLACED_SPACES,
	MT_PLACED,
};

/*
 * Written once by the loader after everything is attached: `magic` last, so a reader
 * that finds it finds a complete tracker. Ids are the kernel's (BPF_*_GET_FD_BY_ID).
 */
struct mt_tracker {
	__u64 magic;
	__u32 layout;
	__u32 loader_tgid; /* who acts for the limits: of a pinned tracker the (last) daemon */
	__u32 map_ids[MT_MAPS];
	__u32 prog_ids[MT_PROGS];
	__u32 link_ids[MT_LINKS_MAX]; /* 0 ends the list */
	__u32 tree_capacity;	      /* a power of two */
	__u32 process_capacity;
	__u32 thread_remainders; /* 1: threads keep remainders (before 6.2), 0: CPUs do */
	__u32 error_bound_bytes; /* per kind, thread or CPU: what may be kept back */
	__u32 places[MT_PLACED]; /* how many each hash has; 0: this kernel does not tell */
	__u32 pinned;		 /* 1: it outlives its loader, and serves the whole node */
};
_Static_assert(sizeof(struct mt_tracker) ==
		       16 + 4 * (MT_MAPS + MT_PROGS + MT_LINKS_MAX + MT_PLACED) + 20,
	       "mt_tracker has no hidden padding");

/*
 * Registry: slot -> who owns it. Inserting with BPF_NOEXIST claims the slot, deleting
 * frees it; only user space writes. The slot of tree `id` is id & (tree_capacity - 1).
 */
struct mt_registration {
	char name[MT_NAME_SIZE];
	__u64 started_boot_ns; /* its root; of `run` the registration, just after the fork */
	__u32 id;
	__u32 owner_tgid; /* the memtree that waits for this tree, 0: nobody, its end closes it */
};
_Static_assert(sizeof(struct mt_registration) == 80, "mt_registration has no hidden padding");

/*
 * Settings: slot -> what the kernel side needs of a tree. Written whole when it is opened and
 * closed, else field by field by tree_arm and tree_window, so that no writer undoes what
 * another did. What is held against the alarms is the tree's total as its metric counts it,
 * inherited memory included: the fault path knows that without a clock. One event is sent per round; who
 * changes an alarm raises the round. Neither alarm_above nor stop_above is below near_above.
 */
struct mt_settings {
	__s64 near_above;  /* follow the exact counters, not the live ones; MT_NEVER_ABOVE */
	__s64 alarm_above; /* tell the loader once when more; MT_NEVER_ABOVE: never */
	__s64 alarm_below; /* likewise when less; 0: never */
	__s64 stop_above;  /* charged beyond this is stopped in the kernel; MT_NEVER_ABOVE */
	__u64 window_ns;
	__u32 alarm_round;
	__u32 flags;   /* MT_SETTINGS_ */
	__u32 id;      /* 0: the slot is free */
	__u32 parent;  /* id of the enclosing tree, 0: none */
	__u32 metric;  /* bit mask of enum mt_kind */
	__u32 last_id; /* that the slot had, so that ids only grow */
};
_Static_assert(sizeof(struct mt_settings) == 64, "mt_settings has no hidden padding");

#define MT_NEVER_ABOVE 0x7fffffffffffffffLL

#define MT_SETTINGS_STOP_PROCESS 1 /* stop who allocates, not the tree */
#define MT_SETTINGS_DISARMED 2	   /* too many trees were ended: its limit is only reported */
/* From here on: how many members it had when SIGTERM was sent; 0: SIGKILL does not follow. For the
 * next loader. */
#define MT_SETTINGS_TERMED_SHIFT 8
#define MT_SETTINGS_TERMED_MAX 0xffffff

/*
 * Totals: slot -> the tree's sums, descendants' trees included. Only the kernel side
 * writes while the slot is claimed; user space zeroes it before it opens the slot.
 * bytes[] always equals the sum of `seen` of the tree's address spaces.
 */
struct mt_totals {
	__s64 bytes[MT_KINDS];
	__s64 holds;	     /* live member processes + charged address spaces; 0: ended */
	__s64 forks;	     /* member processes ever born */
	__s64 peak;	     /* highest charged figure that the live counters showed, bytes */
	__u32 doomed;	     /* 1: every member dies at its next fork, exec or memory event */
	__u32 alarmed_round; /* of the last event that was sent */
	__u64 peak_mono_ns;
	__s64 zombies;	    /* its entries in that map: dead members not yet freed */
	__u64 ended_cpu_ns; /* cpu time of members that are gone: dead and freed */
	__u64 last_epoch;   /* the latest deadline in epochs[] */
	__u32 root_tgid;    /* the first member, 0 until it registered */
	__u32 owner_tgid;   /* the memtree that adopted it: never a member of it */
	__u32 mixed; /* 1: its members share, or shared, an address space with another tree's */
	__u32 pad;
	__u64 epochs[MT_EPOCHS]; /* ring by epoch: which window slots exist */
};
_Static_assert(sizeof(struct mt_totals) == 112 + 8 * MT_EPOCHS, "mt_totals has no padding");

/* Processes: tgid -> a live thread group. Inserted at fork or registration, deleted at
 * the exit of the last thread; the delete that succeeds uncharges. */
struct mt_process {
	__u64 start_boot_ns;   /* of the group leader: with the tgid, the identity */
	__u64 leader;	       /* struct task_struct *, renewed at exec */
	__u64 mm;	       /* struct mm_struct *, 0 until known */
	__u64 execed_boot_ns;  /* 0: not since it was born, or adopted */
	__u64 checked_boot_ns; /* the begin of the last census that found it alive */
	__u32 tree;
	__u32 born_ppid;   /* thread group of real_parent at birth: differs later for an orphan */
	__u32 args_length; /* of the whole argument area */
	__u32 args_kept;   /* bytes valid in args[] */
	char args[MT_ARGS_SIZE]; /* NUL-separated */
};
_Static_assert(sizeof(struct mt_process) == 56 + MT_ARGS_SIZE, "mt_process has no padding");

/* Zombies: tgid -> a member that is dead and not yet freed. It holds nothing. Deleted when
 * its task is freed, or by a reader that finds it freed: that event may be missed. The
 * delete that succeeds adds its cpu time to its trees. */
struct mt_zombie {
	__u64 leader; /* struct task_struct * */
	__u64 start_boot_ns;
	__u64 execed_boot_ns;
	__u64 cpu_ns;	     /* of all its threads, at its exit */
	__u64 leader_cpu_ns; /* of these, the leader's */
	__u32 tree;
	__u32 born_ppid;
	__u32 ppid; /* at its exit */
	__u32 pad;
	char comm[MT_COMM_SIZE];
};
_Static_assert(sizeof(struct mt_zombie) == 72, "mt_zombie has no hidden padding");

/* Spaces: struct mm_struct * -> a charged address space. Inserted at fork and exec,
 * deleted at the end of its teardown. */
struct mt_space {
	__s64 seen[MT_KINDS];	   /* what the tree's totals hold of it */
	__s64 inherited[MT_KINDS]; /* ratchet: only shrinks */
	__u64 deadline;		   /* epoch at which `inherited` ends, 0: none, or over */
	__u64 checked_boot_ns;	   /* the begin of the last census that found a member using it */
	__u64 owner_start_boot_ns; /* identity of the process it was made for: */
	__u32 owner_tgid;	   /* an mm pointer is recycled at once */
	__u32 tree;
};
_Static_assert(sizeof(struct mt_space) == 96, "mt_space has no hidden padding");

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

/*
 * Places: whose tree an element of one of the large hashes is of, so that who reads one tree need
 * not walk what others have. A place is an element's number in the memory that the kernel made for
 * the hash beforehand; those of MT_PLACED_PROCESSES come first, and so on. Readers map it, the
 * kernel side writes it: after an insert, and (0) before a delete. It is a hint: a reader holds
 * what it found against `holds` and walks the hashes when something is missing.
 */
#define MT_PLACES_BLOCK 16 /* an element of an array has 8 bytes at least */
struct mt_places {
	__u32 trees[MT_PLACES_BLOCK];
};

/* Guides: slot -> tgid of the member whose cgroup stands for the tree, 0: none. Written by
 * readers before they run snapshot_cgroups; any live member is right, the root best. */

/* Policies: slot -> what is done about a tree's limit. Written by who registers or changes the
 * tree, read by the loader, who acts for all trees of its tracker. After the tree's end it stays,
 * with its name, until the slot is claimed again: what happened last may be told late. */
enum mt_on_limit {
	MT_ON_LIMIT_TERM, /* SIGTERM, the grace time, SIGKILL */
	MT_ON_LIMIT_WARN, /* nothing but the report */
	MT_ON_LIMIT_KILL, /* the kernel stops it at the limit itself */
};

enum mt_rule {
	MT_RULE_EXACT, /* charged > limit */
	MT_RULE_YARN,  /* as a NodeManager's monitor: raw sums, ages as passes */
};

/* Whether the proportional set size may save a tree whose charged figure is over its limit. */
enum mt_confirm {
	MT_CONFIRM_AUTO, /* when only memory that may be shared makes the difference */
	MT_CONFIRM_PSS,	 /* always */
	MT_CONFIRM_NEVER,
};

struct mt_policy {
	__u64 limit;	  /* bytes, 0: none */
	__u64 vmem_limit; /* bytes of address space, 0: none */
	__u64 grace_ns;
	__u64 hook_timeout_ns;
	__u32 id;
	__u32 rule;	     /* enum mt_rule */
	__u32 on_limit;	     /* enum mt_on_limit */
	__u32 confirm;	     /* enum mt_confirm */
	__u32 hard_permille; /* of the limit: where the kernel stops it */
	__u32 warn_permille; /* 0: no warning */
	__u32 dry_run;
	__u32 kill_process;	 /* 1: the process that allocates, not the tree */
	char hook[MT_HOOK_SIZE]; /* a command for sh, run before the first signal; "": none */
	char name[MT_NAME_SIZE]; /* of a tree that has ended; "" while the registry has it */
};
_Static_assert(sizeof(struct mt_policy) == 64 + MT_HOOK_SIZE + MT_NAME_SIZE,
	       "mt_policy has no hidden padding");

/* Claims: inserted with BPF_NOEXIST by who sends the event of a round, deleted when the next is
 * armed. LRU, as one may come late: then it is forgotten when room is needed. */
#define MT_CLAIM_STOP 0x80000000U
struct mt_claim {
	__u32 tree;
	__u32 round; /* with MT_CLAIM_STOP for the kernel's stop */
};

/* What goes through the ring buffer: edges, and stories (fork, exec, exit) only while somebody
 * hears them. */
enum mt_event_type {
	MT_EVENT_ABOVE,
	MT_EVENT_BELOW,
	MT_EVENT_STOP,	  /* the kernel stopped the tree, or the process, `tgid` first */
	MT_EVENT_CHANGED, /* somebody changed its policy, or asks to look */
	MT_EVENT_OOM,	  /* the kernel's OOM killer chose the member `tgid` */
	MT_EVENT_END,	  /* nothing is left of the tree; of a pinned tracker only */
	MT_EVENT_FORK,	  /* a new member `tgid`, child of `ppid` */
	MT_EVENT_EXEC,
	MT_EVENT_EXIT,
};

/* `status` of a member whose end was not seen. */
#define MT_STATUS_UNKNOWN 0xffffffffU

struct mt_event {
	__u64 mono_ns;
	__s64 measured; /* as the metric counts */
	__s64 charged;	/* of MT_EVENT_STOP and MT_EVENT_OOM; else 0 */
	__u32 type;	/* enum mt_event_type */
	__u32 tree;
	__u32 round;
	__u32 tgid;
	__u32 ppid;   /* of MT_EVENT_FORK; else 0 */
	__u32 status; /* of MT_EVENT_EXIT, as wait() tells it; else 0 */
	char comm[MT_COMM_SIZE];
};
_Static_assert(sizeof(struct mt_event) == 64, "mt_event has no hidden padding");

/* Losses: reason -> per-CPU count of what the tracker could not do. */
enum mt_loss {
	MT_LOSS_PROCESSES_FULL, /* a fork or registration found no free process slot */
	MT_LOSS_ZOMBIES_FULL,	/* an exit found no free zombie slot: it is not shown */
	MT_LOSS_SPACES_FULL,	/* an address space could not be charged */
	MT_LOSS_WINDOWS_FULL,	/* inherited memory could not be exempted: it is charged */
	MT_LOSS_MISSED_BIRTH,	/* a fork was never seen: a census found the child */
	MT_LOSS_STALE_PROCESS,	/* an exit was never seen: found when its pid came back, or by a
				   census */
	MT_LOSS_STALE_SPACE,	/* an end was never seen: likewise, by its mm */
	MT_LOSS_CHILDREN,	/* a member ended whose children were unknown and stay so */
	MT_LOSS_NO_TREE,	/* a member named a tree that is gone */
	MT_LOSS_ARGS,		/* arguments could not be read at exec */
	MT_LOSS_BUSY,		/* a map's lock could not be had: an entry stays or is missing */
	MT_LOSS_EVENTS,		/* the ring buffer was full: a crossing was not told at once */
	MT_LOSS_SCRATCH,	/* no scratch record: cannot happen */
	MT_LOSS_STORIES,	/* forks, execs, exits that were not told: the ring was half full */
	MT_LOSSES,
};

/* How the tracker was when a census last healed it. Only user space writes. */
struct mt_health {
	__u64 healed_boot_ns;	 /* when, 0: never */
	__u64 censuses;		 /* how often */
	__u64 misses;		 /* of all handlers, as the kernel counted them before */
	__u64 losses[MT_LOSSES]; /* that were known before */
};
_Static_assert(sizeof(struct mt_health) == 24 + 8 * MT_LOSSES, "mt_health has no padding");

/* What the snapshot programs write, one after the other. */
struct mt_space_record {
	__u64 mm;
	__s64 exact[MT_KINDS]; /* without what threads keep back (thread_remainders) */
	__s64 vmem;	       /* bytes mapped, as of its task's rlimit */
	struct mt_space space;
};

struct mt_process_record {
	__u64 mm;
	__u64 start_boot_ns;
	__u64 execed_boot_ns;
	__u64 cpu_ns;		   /* sum over its threads that were read */
	__u64 ended_cpu_ns;	   /* of its threads that are gone */
	__s64 kept_back[MT_KINDS]; /* sum over its threads, before 6.2 */
	__u32 tgid;
	__u32 ppid;
	__u32 born_ppid;
	__u32 tree;
	__u32 threads;
	__u32 threads_read; /* fewer than `threads`: the sums are not complete */
	__u32 task_state;   /* of the leader, the kernel's bits */
	__u32 leader_known; /* 0: the leader changed under the reader */
	__u32 pid;	    /* in the reader's pid namespace; 0: not known, or not to be seen */
	__u32 pad;
	char comm[MT_COMM_SIZE];
};

/* A process with its address space, as far as it is charged: else `space.mm` is 0. */
struct mt_member_record {
	struct mt_process_record process;
	struct mt_space_record space;
};
_Static_assert(sizeof(struct mt_member_record) ==
		       sizeof(struct mt_process_record) + sizeof(struct mt_space_record),
	       "mt_member_record can be written in two pieces");

struct mt_zombie_record {
	struct mt_zombie zombie;
	__u64 cpu_ns; /* by now */
	__u32 tgid;
	__u32 reaped; /* no zombie any more, but its task is not yet freed */
};

/* One thread's part, for groups that are too large for the bounded walk. */
struct mt_thread_record {
	__u64 cpu_ns;
	__s64 kept_back[MT_KINDS];
	__u32 tgid;
	__u32 pad;
};

/*
 * What a census writes: a member whose arguments are not known, or the process that was asked
 * for; and one at the end of each pass, with tgid 0.
 */
struct mt_census_record {
	__u64 adoptions; /* that this tracker ever made */
	__u64 start_boot_ns;
	__u64 mm;
	__u64 arg_start, arg_end; /* addresses in its own space */
	__u32 tgid;
	__u32 pid;    /* in the namespace of the one who runs the census; 0: not to be seen there */
	__u32 leader; /* 1: `pid` is the thread group's own, 0: another thread's */
	__u32 live;   /* threads; 0: it has ended */
	__u32 kernel; /* 1: a kernel thread */
	__u32 tree;   /* that it is a member of, 0: none */
	char comm[MT_COMM_SIZE];
};

/*
 * The path of a guide's cgroup: its folders from the last to the first, one record each,
 * then one that ends it. Without that one nothing is known.
 */
enum mt_cgroup_end {
	MT_CGROUP_GOES_ON,
	MT_CGROUP_WHOLE, /* up to the root of its hierarchy */
	MT_CGROUP_CUT,	 /* the first folders are missing */
};
struct mt_cgroup_record {
	__u32 tgid;
	__u32 level; /* 0: the last folder; of the ending record, how many there are */
	__u32 end;   /* enum mt_cgroup_end */
	char name[MT_CGROUP_NAME];
};

#endif /* MEMTREE_MAPS_H */
