/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trees whose memory is known to whoever made them, at rest: what accuracy.c compares both
 * sides on. Each is a part of this program, the root of a tree, and ends with the benchmark.
 */
#ifndef MEMTREE_BENCH_SHAPES_H
#define MEMTREE_BENCH_SHAPES_H

#include <stdatomic.h>
#include <sys/types.h>

#define SHAPE_SPACES_MAX 32

struct shape_board {
	pid_t spaces[SHAPE_SPACES_MAX]; /* one process of each address space */
	atomic_int space_count;
	atomic_int at_rest; /* threads and processes that touch nothing any more */
};

struct shape {
	const char *name, *what;
	int actors; /* that come to rest */
	int (*play)(struct shape_board *board);
};

/* Ended by an empty one. */
extern const struct shape shapes[];

/* shape NAME BOARD */
int shape_main(int argc, char **argv);

#endif /* MEMTREE_BENCH_SHAPES_H */
