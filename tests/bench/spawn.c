// SPDX-License-Identifier: GPL-2.0-only
/* What memtree adds to fork, exec and exit of /bin/true, waited for, on one CPU. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "pairs.h"
#include "talk.h"

#define ROUNDS 61
#define SPAWNS 40
#define GOAL_PERCENT 3.0

static void added_tell(const char *what, const struct samples series[PAIRS_SERIES])
{
	struct spread bare = samples_spread(&series[PAIRS_NOTHING]);
	struct spread added = samples_spread(&series[PAIRS_MEMTREE]);
	struct spread noise = samples_spread(&series[PAIRS_NOISE]);
	double percent = 100 * added.median / bare.median;
	char against[FIGURE_TEXT];

	snprintf(against, sizeof(against), "%+.1f %%, noise %.1f %%", percent,
		 100 * (noise.high - noise.low) / bare.median);
	row_tell(&(struct row){.what = what,
			       .unit = "us",
			       .decimals = 1,
			       .spread = added,
			       .against = against,
			       .goal = "at most +3 %",
			       .verdict = figures_verdict(percent <= GOAL_PERCENT)});
}

int bench_spawn(int argc, char **argv)
{
	static struct pairs pairs;
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	if (rounds < 1 || rounds > SAMPLES_MAX)
		return EXIT_USAGE;
	if (pairs_measure(WORKER_SPAWN, 1, SPAWNS, rounds, 0.001, &pairs))
		return EXIT_FAILED;
	head_tell("fork, exec and exit of /bin/true");
	row_tell(&(struct row){.what = "  nothing attached",
			       .unit = "us",
			       .decimals = 1,
			       .spread = samples_spread(&pairs.tracked[PAIRS_NOTHING])});
	row_tell(&(struct row){.what = "  empty program adds",
			       .unit = "us",
			       .decimals = 1,
			       .spread = samples_spread(&pairs.tracked[PAIRS_EMPTY])});
	added_tell("  memtree, untracked process, adds", pairs.untracked);
	added_tell("  memtree, tracked process, adds", pairs.tracked);
	pairs_tell(&pairs, "spawn");
	return EXIT_OK;
}
