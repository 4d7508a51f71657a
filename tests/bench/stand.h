/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test stand: the tracker's own programs, attached and detached at will while its
 * maps and members live on. So one and the same process is measured with nothing, with
 * the empty program and with memtree, in any order, within milliseconds.
 */
#ifndef MEMTREE_BENCH_STAND_H
#define MEMTREE_BENCH_STAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loader.h"
#include "root.h"
#include "tracker.h"

enum stand_state {
	STAND_NOTHING,
	STAND_EMPTY,
	STAND_MEMTREE,
	STAND_STATES,
};

struct programs {
	int fds[MT_LINKS_MAX];
	int links[MT_LINKS_MAX]; /* -1: detached */
	int count;
};

struct empty_bpf;

struct stand {
	struct loader *loader; /* until stand_detach */
	struct tracker *tracker;
	struct empty_bpf *empty;
	struct programs programs[STAND_STATES];
};

/* Loads both; memtree is attached. Each failure is said on stderr. */
int stand_open(struct stand *ret_stand);

/* Ends the loader: from now on nothing is attached but what stand_enter attaches. */
int stand_detach(struct stand *stand);

/* Attaches what belongs to `state`, and nothing else. */
int stand_enter(struct stand *stand, enum stand_state state);

void stand_close(struct stand *stand);

/*
 * Whether somebody else's program sits on the fault path, or run statistics are kept. A
 * tracepoint with a second program on it calls both through a slow loop, so nothing that
 * is measured then tells what one costs. To be called in STAND_NOTHING.
 */
bool stand_is_disturbed(void);

/* What memtree's programs have done since they were loaded, whoever set them off. The kernel
 * keeps it only while somebody has its run statistics on. */
struct stand_cost {
	uint64_t events, run_ns;
};
int stand_cost_read(const struct stand *stand, struct stand_cost *ret_cost);

/* A worker process of the stand, see worker.h. */
struct worker {
	struct root root; /* when it is tracked */
	pid_t untracked;  /* else; -1: none */
	int socket;
};

#define WORKER_NONE ((struct worker){.root = ROOT_NONE, .untracked = -1, .socket = -1})

/* Starts `memtree-bench worker`, as the root of a tree when `tracked`. */
int worker_start(struct stand *stand, bool tracked, struct worker *ret_worker);
void worker_end(struct stand *stand, struct worker *worker);

/* Fails unless a tracked worker's memory is followed by the attached handler, and an
 * untracked one is not known at all. To be called in STAND_MEMTREE. */
int worker_check(struct stand *stand, const struct worker *worker);

#endif /* MEMTREE_BENCH_STAND_H */
