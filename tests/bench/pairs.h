/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interleaved rounds of one order on two workers, a tracked and an untracked one: each
 * measurement with something attached lies between two with nothing attached, and is
 * compared with their mean.
 */
#ifndef MEMTREE_BENCH_PAIRS_H
#define MEMTREE_BENCH_PAIRS_H

#include "figures.h"
#include "stand.h"
#include "worker.h"

enum pairs_series {
	PAIRS_NOTHING,	  /* the bare cost */
	PAIRS_NOISE,	  /* nothing minus its neighbour, nothing: should be 0 */
	PAIRS_EMPTY,	  /* added by the empty program */
	PAIRS_MEMTREE,	  /* added by memtree */
	PAIRS_OVER_EMPTY, /* memtree minus empty, same round */
	PAIRS_SERIES,
};

struct pairs {
	struct samples untracked[PAIRS_SERIES];
	struct samples tracked[PAIRS_SERIES];
};

/* `unit` is what one unit of the worker's answer is in nanoseconds. */
int pairs_measure(enum worker_order order, int threads, int count, int rounds, double unit,
		  struct pairs *ret_pairs);

/* Raw lines of all series. */
void pairs_tell(const struct pairs *pairs, const char *bench);

#endif /* MEMTREE_BENCH_PAIRS_H */
