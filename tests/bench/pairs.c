// SPDX-License-Identifier: GPL-2.0-only
#include "pairs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "talk.h"

#define QUIET_DEADLINE_NS 600000000000ULL /* for the others to end */
#define STEPS 5				  /* nothing, X, nothing, Y, nothing */

struct ring {
	struct stand stand;
	struct worker workers[2]; /* [1]: tracked */
	enum worker_order order;
	int threads, count;
	double unit;
};

static int both_ask(struct ring *ring, double ret_ns[2])
{
	for (int tracked = 0; tracked < 2; tracked++) {
		int64_t value;

		if (worker_ask(ring->workers[tracked].socket, ring->order, ring->threads,
			       ring->count, &value))
			return talk_error(-EIO, "the worker could not measure");
		ret_ns[tracked] = (double)value * ring->unit;
	}
	return 0;
}

static void round_enter(const double ns[STEPS][2], bool memtree_first, struct pairs *pairs)
{
	const int memtree = memtree_first ? 1 : 3, empty = memtree_first ? 3 : 1;

	for (int tracked = 0; tracked < 2; tracked++) {
		struct samples *series = tracked ? pairs->tracked : pairs->untracked;
		double beside_memtree = (ns[memtree - 1][tracked] + ns[memtree + 1][tracked]) / 2;
		double beside_empty = (ns[empty - 1][tracked] + ns[empty + 1][tracked]) / 2;
		double with_memtree = ns[memtree][tracked] - beside_memtree;
		double with_empty = ns[empty][tracked] - beside_empty;

		samples_add(&series[PAIRS_NOTHING], ns[2][tracked]);
		samples_add(&series[PAIRS_NOISE],
			    ns[2][tracked] - (ns[0][tracked] + ns[4][tracked]) / 2);
		samples_add(&series[PAIRS_EMPTY], with_empty);
		samples_add(&series[PAIRS_MEMTREE], with_memtree);
		samples_add(&series[PAIRS_OVER_EMPTY], with_memtree - with_empty);
	}
}

/* Other trackers on this machine are waited for: they would be measured too. */
static int quiet_await(struct ring *ring)
{
	const uint64_t start_ns = figures_now_ns();
	int err = stand_enter(&ring->stand, STAND_NOTHING);

	while (!err && stand_is_disturbed()) {
		if (figures_now_ns() - start_ns > QUIET_DEADLINE_NS)
			return talk_error(-EBUSY, "another program stays on the fault path, or "
						  "kernel.bpf_stats_enabled is set: end it first");
		usleep(100000);
	}
	return err;
}

static int round_try(struct ring *ring, int round, struct pairs *pairs, bool *ret_disturbed)
{
	const bool memtree_first = round % 2;
	const enum stand_state states[STEPS] = {
		STAND_NOTHING, memtree_first ? STAND_MEMTREE : STAND_EMPTY, STAND_NOTHING,
		memtree_first ? STAND_EMPTY : STAND_MEMTREE, STAND_NOTHING};
	double ns[STEPS][2];

	for (int step = 0; step < STEPS; step++) {
		int err = stand_enter(&ring->stand, states[step]);

		if (!err)
			err = both_ask(ring, ns[step]);
		if (err)
			return err;
	}
	*ret_disturbed = stand_is_disturbed();
	if (!*ret_disturbed)
		round_enter(ns, memtree_first, pairs);
	return 0;
}

/* A round in which somebody else came is done again. */
static int round_measure(struct ring *ring, int round, struct pairs *pairs)
{
	bool disturbed = true;
	int err = 0;

	while (!err && disturbed) {
		err = quiet_await(ring);
		if (!err)
			err = round_try(ring, round, pairs, &disturbed);
	}
	return err;
}

/* Before the first round and after the last: was it measured what is claimed? */
static int workers_check(struct ring *ring)
{
	int err = stand_enter(&ring->stand, STAND_MEMTREE);

	if (!err)
		err = worker_check(&ring->stand, &ring->workers[0]);
	if (!err)
		err = worker_check(&ring->stand, &ring->workers[1]);
	return err;
}

static int ring_open(struct ring *ring)
{
	int err = stand_open(&ring->stand);

	if (!err)
		err = worker_start(&ring->stand, false, &ring->workers[0]);
	if (!err)
		err = worker_start(&ring->stand, true, &ring->workers[1]);
	if (!err)
		err = stand_detach(&ring->stand);
	return err;
}

int pairs_measure(enum worker_order order, int threads, int count, int rounds, double unit,
		  struct pairs *ret_pairs)
{
	struct ring ring = {.order = order, .threads = threads, .count = count, .unit = unit};
	double warm[2];
	int err;

	memset(ret_pairs, 0, sizeof(*ret_pairs));
	for (int i = 0; i < 2; i++)
		ring.workers[i] = WORKER_NONE;
	err = ring_open(&ring);
	if (!err)
		err = workers_check(&ring);
	if (!err)
		err = both_ask(&ring, warm);
	for (int round = 0; round < rounds && !err; round++)
		err = round_measure(&ring, round, ret_pairs);
	if (!err)
		err = workers_check(&ring);
	for (int i = 0; i < 2; i++)
		worker_end(&ring.stand, &ring.workers[i]);
	stand_close(&ring.stand);
	return err;
}

void pairs_tell(const struct pairs *pairs, const char *bench)
{
	static const char *const names[PAIRS_SERIES] = {"nothing", "noise", "empty", "memtree",
							"over_empty"};
	char series[FIGURE_TEXT];

	for (int tracked = 0; tracked < 2; tracked++)
		for (int i = 0; i < PAIRS_SERIES; i++) {
			snprintf(series, sizeof(series), "%s_%s", tracked ? "tracked" : "untracked",
				 names[i]);
			samples_tell(tracked ? &pairs->tracked[i] : &pairs->untracked[i], bench,
				     series);
		}
}
