// SPDX-License-Identifier: GPL-2.0-only
/*
 * What memtree adds to a page fault: a region is given back and touched again, page by
 * page, by threads of one address space on a CPU each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "pairs.h"
#include "talk.h"

#define ROUNDS 61
#define PASSES 40
#define GOAL 2.0

static void tracked_tell(const struct pairs *pairs)
{
	struct spread bare = samples_spread(&pairs->tracked[PAIRS_NOTHING]);
	struct spread empty = samples_spread(&pairs->tracked[PAIRS_EMPTY]);
	struct spread added = samples_spread(&pairs->tracked[PAIRS_MEMTREE]);
	char against[FIGURE_TEXT];

	snprintf(against, sizeof(against), "%.2fx empty, %.1f %% of the fault",
		 added.median / empty.median, 100 * added.median / bare.median);
	row_tell(&(struct row){.what = "  memtree, tracked process, adds",
			       .unit = "ns",
			       .decimals = 1,
			       .spread = added,
			       .against = against,
			       .goal = "at most 2x empty",
			       .verdict = figures_verdict(added.median <= GOAL * empty.median)});
}

/* Within noise: no farther from the empty program than measurements of nothing at all
 * lie from each other. */
static void untracked_tell(const struct pairs *pairs)
{
	struct spread bare = samples_spread(&pairs->untracked[PAIRS_NOTHING]);
	struct spread empty = samples_spread(&pairs->untracked[PAIRS_EMPTY]);
	struct spread added = samples_spread(&pairs->untracked[PAIRS_MEMTREE]);
	struct spread over = samples_spread(&pairs->untracked[PAIRS_OVER_EMPTY]);
	struct spread noise = samples_spread(&pairs->untracked[PAIRS_NOISE]);
	char against[FIGURE_TEXT], goal[FIGURE_TEXT];

	snprintf(against, sizeof(against), "%.2fx empty, %.1f %% of the fault",
		 added.median / empty.median, 100 * added.median / bare.median);
	snprintf(goal, sizeof(goal), "empty within noise (%.1f ns)", noise.high - noise.low);
	row_tell(&(struct row){.what = "  memtree, untracked process, adds",
			       .unit = "ns",
			       .decimals = 1,
			       .spread = added,
			       .against = against,
			       .goal = goal,
			       .verdict = figures_verdict(over.median <= noise.high - noise.low)});
}

static int threads_bench(int threads, int rounds)
{
	static struct pairs pairs;
	char head[FIGURE_TEXT], bench[FIGURE_TEXT];
	int err = pairs_measure(WORKER_FAULTS, threads, PASSES, rounds, 0.001, &pairs);

	if (err)
		return err;
	snprintf(head, sizeof(head), "page fault, %d thread%s", threads, threads > 1 ? "s" : "");
	snprintf(bench, sizeof(bench), "faults_%d", threads);
	head_tell(head);
	row_tell(&(struct row){.what = "  nothing attached",
			       .unit = "ns",
			       .decimals = 1,
			       .spread = samples_spread(&pairs.tracked[PAIRS_NOTHING])});
	row_tell(&(struct row){.what = "  empty program adds",
			       .unit = "ns",
			       .decimals = 1,
			       .spread = samples_spread(&pairs.tracked[PAIRS_EMPTY])});
	untracked_tell(&pairs);
	tracked_tell(&pairs);
	pairs_tell(&pairs, bench);
	return 0;
}

int bench_faults(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	int threads = argc > 2 ? atoi(argv[2]) : 0;
	int err;

	if (rounds < 1 || rounds > SAMPLES_MAX || threads < 0 || threads > WORKER_THREADS_MAX)
		return EXIT_USAGE;
	if (threads)
		return threads_bench(threads, rounds) ? EXIT_FAILED : EXIT_OK;
	err = threads_bench(1, rounds);
	if (!err)
		err = threads_bench(2, rounds);
	return err ? EXIT_FAILED : EXIT_OK;
}
