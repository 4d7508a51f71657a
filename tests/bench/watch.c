// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to watch 50 trees for a minute: memtree, which is called on every event of
 * memory, against monitors that poll as YARN's does. The same herd toils all the time; the
 * contenders take turns on it, slice by slice, each alone. A polling monitor's cost is its cpu
 * time. Memtree's is the run time of its programs (which the kernel's run statistics tell, for
 * all processes of the machine) and the reader's cpu time; the tracepoint's own way to a
 * program, some ten nanoseconds per event, is in neither: `faults` has it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench.h"
#include "cleanup.h"
#include "clock.h"
#include "figures.h"
#include "herd.h"
#include "model.h"
#include "polling.h"
#include "snapshot.h"
#include "stand.h"
#include "talk.h"

#define TREES 50
#define PROCESSES 4 /* of each tree */
#define PAGES 20    /* of each process, HERD_TOIL_HZ times a second */
#define SLICES 10
#define SLICE_SECONDS 6 /* a multiple of every interval; ten are a minute */
#define SECOND_NS 1000000000ULL
#define MINUTE_NS (60 * SECOND_NS)

struct watch {
	struct stand stand;
	struct herd herd;
	struct procfs procfs;
	struct yarn_tree containers[TREES];
	size_t node_processes;
};

/* As `ps`: all trees, and what they mean. */
static int herd_read(struct watch *watch)
{
	struct snapshot snapshot;
	struct model model;
	bool whole;
	int err = snapshot_read(watch->stand.tracker, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	if (!err) {
		whole = model.process_count == watch->herd.processes;
		err = whole ? 0 : -ENODATA;
		model_free(&model);
	}
	snapshot_free(&snapshot);
	return err;
}

/* A whole pass: every container scans the node, sums and decides. */
static int herd_poll(struct watch *watch)
{
	for (size_t i = 0; i < TREES; i++) {
		struct yarn_tree *container = &watch->containers[i];
		struct yarn_decision decision;
		int err = polling_scan(&watch->procfs, container);

		if (err)
			return err;
		decision = yarn_decide(container, YARN_STAT, INT64_MAX, INT64_MAX);
		if (container->count != watch->herd.trees[i].processes || !decision.memory ||
		    yarn_kills(&decision))
			return -ENODATA;
	}
	return 0;
}

enum { FIRST, READING, POLL_3000, POLL_1000, POLL_250, CONTENDERS };

static const struct contender {
	const char *what, *series;
	enum stand_state state;
	int (*act)(struct watch *watch);
	uint64_t interval_ns;
} contenders[CONTENDERS] = {
	[FIRST] = {"  memtree, nobody reads", "memtree", STAND_MEMTREE, NULL, SECOND_NS},
	[READING] = {"  memtree, read once a second", "memtree_read", STAND_MEMTREE, herd_read,
		     SECOND_NS},
	[POLL_3000] = {"  polling every 3 s", "poll_3000", STAND_NOTHING, herd_poll, 3 * SECOND_NS},
	[POLL_1000] = {"  polling every second", "poll_1000", STAND_NOTHING, herd_poll, SECOND_NS},
	[POLL_250] = {"  polling every 250 ms", "poll_250", STAND_NOTHING, herd_poll,
		      SECOND_NS / 4},
};

struct results {
	struct samples cpu_ms[CONTENDERS], ratio[CONTENDERS]; /* per minute; to the first's */
	struct samples events[CONTENDERS];		      /* thousands per minute */
	struct samples event_ns;
};

/* On time whatever a turn takes; a turn that is longer than the interval delays the next. */
static int slice_play(struct watch *watch, const struct contender *contender, uint64_t slice_ns)
{
	const uint64_t begin_ns = figures_now_ns();
	int err = 0;

	for (uint64_t at_ns = 0; at_ns < slice_ns && !err; at_ns += contender->interval_ns) {
		figures_sleep_until(begin_ns + at_ns);
		if (contender->act)
			err = contender->act(watch);
	}
	figures_sleep_until(begin_ns + slice_ns);
	return err;
}

/* One contender's turn, in nanoseconds of cpu time and in events. */
static int slice_measure(struct watch *watch, const struct contender *contender, uint64_t slice_ns,
			 struct stand_cost *ret_cost)
{
	_cleanup_close_ int statistics = -1;
	struct stand_cost before, after;
	uint64_t cpu_ns;
	int err = stand_enter(&watch->stand, contender->state);

	if (err)
		return err;
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (statistics < 0)
		return talk_error(-errno, "no run statistics: %s", strerror(errno));
	err = stand_cost_read(&watch->stand, &before);
	cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!err)
		err = slice_play(watch, contender, slice_ns);
	cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	if (!err)
		err = stand_cost_read(&watch->stand, &after);
	/* That memtree watched at all. */
	if (!err && contender->state == STAND_MEMTREE)
		err = after.events > before.events ? herd_read(watch) : -ENODATA;
	if (err)
		return talk_error(err, "the herd could not be watched: %s", strerror(-err));
	ret_cost->events = after.events - before.events;
	ret_cost->run_ns = after.run_ns - before.run_ns + (contender->act ? cpu_ns : 0);
	return 0;
}

/* Another contender begins in each round. */
static int round_measure(struct watch *watch, int round, uint64_t slice_ns, struct results *results)
{
	const double slices = (double)MINUTE_NS / (double)slice_ns;
	double ms[CONTENDERS];

	for (int turn = 0; turn < CONTENDERS; turn++) {
		int i = (round + turn) % CONTENDERS;
		struct stand_cost cost = {};
		int err = slice_measure(watch, &contenders[i], slice_ns, &cost);

		if (err)
			return err;
		ms[i] = (double)cost.run_ns / 1e6 * slices;
		samples_add(&results->cpu_ms[i], ms[i]);
		samples_add(&results->events[i], (double)cost.events / 1e3 * slices);
		if (i == FIRST)
			samples_add(&results->event_ns, (double)cost.run_ns / (double)cost.events);
	}
	for (int i = 0; i < CONTENDERS; i++)
		samples_add(&results->ratio[i], ms[i] / ms[FIRST]);
	return 0;
}

static void raw_tell(const struct results *results, int i)
{
	char series[FIGURE_TEXT];

	samples_tell(&results->cpu_ms[i], "watch", contenders[i].series);
	snprintf(series, sizeof(series), "%s_ratio", contenders[i].series);
	if (i != FIRST)
		samples_tell(&results->ratio[i], "watch", series);
	snprintf(series, sizeof(series), "%s_kevents", contenders[i].series);
	if (contenders[i].state == STAND_MEMTREE)
		samples_tell(&results->events[i], "watch", series);
}

static void results_tell(const struct watch *watch, const struct results *results)
{
	struct spread event = samples_spread(&results->event_ns);
	char text[FIGURE_TEXT];

	snprintf(text, sizeof(text), "watching %d trees for a minute", TREES);
	head_tell(text);
	printf("  %zu processes on the node; each of the trees' %d touches %d fresh pages a "
	       "second\n",
	       watch->node_processes, TREES * PROCESSES, PAGES * HERD_TOIL_HZ);
	for (int i = 0; i < CONTENDERS; i++) {
		struct spread ratio = samples_spread(&results->ratio[i]);

		if (i == FIRST)
			snprintf(text, sizeof(text), "%.2f million events, %.0f ns each",
				 samples_spread(&results->events[i]).median / 1e3, event.median);
		else
			snprintf(text, sizeof(text), "%.2fx the first (%.2f .. %.2f)", ratio.median,
				 ratio.low, ratio.high);
		row_tell(&(struct row){.what = contenders[i].what,
				       .unit = "ms",
				       .spread = samples_spread(&results->cpu_ms[i]),
				       .against = text});
		raw_tell(results, i);
	}
}

static int watch_open(struct watch *watch)
{
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t unread;
	int err = stand_open(&watch->stand);

	if (!err) {
		watch->herd = (struct herd){.tracker = watch->stand.tracker, .pages = PAGES};
		err = herd_plant(&watch->herd, TREES, PROCESSES);
	}
	if (!err)
		err = stand_detach(&watch->stand);
	if (!err)
		err = procfs_open("/proc", &watch->procfs);
	if (!err)
		err = procfs_scan(&watch->procfs, &stats, &watch->node_processes, &unread);
	for (size_t i = 0; i < watch->herd.tree_count; i++)
		watch->containers[i].root = watch->herd.trees[i].root.launch.pid;
	return err;
}

static void watch_close(struct watch *watch)
{
	for (size_t i = 0; i < TREES; i++)
		yarn_tree_free(&watch->containers[i]);
	procfs_close(&watch->procfs);
	herd_end(&watch->herd);
	stand_close(&watch->stand);
}

int bench_watch(int argc, char **argv)
{
	static struct watch watch = {.procfs = {.root = -1}};
	static struct results results;
	int slices = argc > 1 ? atoi(argv[1]) : SLICES;
	int seconds = argc > 2 ? atoi(argv[2]) : SLICE_SECONDS;
	int err;

	if (slices < 1 || slices > SAMPLES_MAX || seconds < 1)
		return EXIT_USAGE;
	err = watch_open(&watch);
	for (int round = 0; round < slices && !err; round++)
		err = round_measure(&watch, round, (uint64_t)seconds * SECOND_NS, &results);
	watch_close(&watch);
	if (err)
		return EXIT_FAILED;
	results_tell(&watch, &results);
	return EXIT_OK;
}
