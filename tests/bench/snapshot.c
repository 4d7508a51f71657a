// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reading costs, against one pass of YARN's scan with 50 containers and one pass of
 * psutil, with more and more processes, all of them tracked. Everything is measured once
 * per round, one after the other, and compared within the round.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "figures.h"
#include "herd.h"
#include "loader.h"
#include "model.h"
#include "polling.h"
#include "snapshot.h"
#include "talk.h"

#define CONTAINERS 50
#define ROUNDS_MIN 5
#define ROUNDS_MAX 41
#define BUDGET_NS 60000000000ULL
#define WARM 3
#define INNER 5
#define GOAL_PROCESSES 3000
#define GOAL_YARN 1000
#define GOAL_PSUTIL 100
#define GOAL_ONE 1.25 /* of one tree's cost beside few processes */

enum series {
	SERIES_ALL,
	SERIES_ONE,
	SERIES_COMMAND,
	SERIES_YARN,
	SERIES_PSUTIL, /* empty when psutil is not installed */
	SERIES_YARN_RATIO,
	SERIES_PSUTIL_RATIO,
	SERIES,
};

static const char *const series_names[SERIES] = {"all",	   "one",	 "command",	"yarn",
						 "psutil", "yarn_ratio", "psutil_ratio"};

struct stage {
	struct herd *herd;
	const char *memtree;
	bool psutil;
	struct samples series[SERIES];
};

/* Both return microseconds, or a negative errno. */
static double all_read(const struct herd *herd)
{
	uint64_t start_ns = figures_now_ns();
	struct snapshot snapshot;
	struct model model;
	size_t seen;
	int err = snapshot_read(herd->tracker, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	if (err) {
		snapshot_free(&snapshot);
		return err;
	}
	seen = model.process_count;
	model_free(&model);
	snapshot_free(&snapshot);
	return seen == herd->processes ? (double)(figures_now_ns() - start_ns) / 1000 : -ENODATA;
}

/* As the looks of limits and the commands that name a tree read it. */
static double one_read(const struct herd *herd)
{
	const struct herd_tree *wanted = &herd->trees[0];
	uint64_t start_ns = figures_now_ns();
	const struct tree *tree;
	struct snapshot snapshot;
	struct model model;
	bool whole;
	int err = snapshot_read_tree(herd->tracker, wanted->root.tree, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	if (err) {
		snapshot_free(&snapshot);
		return err;
	}
	tree = model_find(&model, wanted->root.tree);
	whole = tree && tree->processes == wanted->processes;
	model_free(&model);
	snapshot_free(&snapshot);
	return whole ? (double)(figures_now_ns() - start_ns) / 1000 : -ENODATA;
}

static double warm_read(double (*reader)(const struct herd *), const struct herd *herd)
{
	struct samples samples = {};

	for (int i = 0; i < WARM + INNER; i++) {
		double us = reader(herd);

		if (us < 0)
			return us;
		if (i >= WARM)
			samples_add(&samples, us);
	}
	return samples_spread(&samples).median;
}

/* The whole command, from its fork to its end. */
static double command_run(const struct stage *stage)
{
	uint64_t start_ns = figures_now_ns();
	pid_t child = fork();
	int status;

	if (!child) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (dup2(null, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
			execl(stage->memtree, "memtree", "ps", (char *)NULL);
		_exit(EXIT_NOT_FOUND);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		return -ECHILD;
	return (double)(figures_now_ns() - start_ns) / 1000;
}

static int container_scan(struct procfs *procfs, const struct herd_tree *container)
{
	struct yarn_tree tree = {.root = container->root.launch.pid};
	int err = polling_scan(procfs, &tree);
	bool whole;

	if (err)
		return err;
	whole = tree.count == container->processes && yarn_tree_memory(&tree, YARN_STAT, 0) > 0 &&
		yarn_tree_vmem(&tree, 0) > 0;
	yarn_tree_free(&tree);
	return whole ? 0 : -ENODATA;
}

static double yarn_pass(const struct stage *stage)
{
	uint64_t start_ns = figures_now_ns();
	struct procfs procfs;
	int err = procfs_open("/proc", &procfs);

	if (err)
		return err;
	for (size_t i = 0; i < CONTAINERS && !err; i++)
		err = container_scan(&procfs, &stage->herd->trees[i % stage->herd->tree_count]);
	procfs_close(&procfs);
	return err ? err : (double)(figures_now_ns() - start_ns) / 1000;
}

/* The second pass in one interpreter: psutil keeps its objects from pass to pass. */
static double psutil_pass(const struct stage *stage)
{
	static const char command[] =
		"python3 -c '"
		"import psutil, time\n"
		"def seen(): return sum(1 for p in psutil.process_iter([\"memory_info\"]) "
		"if p.info[\"memory_info\"])\n"
		"seen(); start = time.perf_counter_ns(); n = seen()\n"
		"print((time.perf_counter_ns() - start) / 1000, n)' 2>/dev/null";
	FILE *python = popen(command, "re");
	unsigned long seen = 0;
	double us = -ENODATA;

	if (python && fscanf(python, "%lf %lu", &us, &seen) != 2)
		us = -ENODATA;
	if (python)
		pclose(python);
	return seen < stage->herd->processes ? -ENODATA : us;
}

static int series_enter(struct samples *samples, double us, const char *what)
{
	if (us < 0)
		return talk_error((int)us, "%s: nothing was measured: %s", what,
				  strerror(-(int)us));
	samples_add(samples, us);
	return 0;
}

static int round_measure(struct stage *stage)
{
	double all = warm_read(all_read, stage->herd);
	double one = warm_read(one_read, stage->herd);
	double command = command_run(stage);
	double yarn = yarn_pass(stage);
	double psutil = stage->psutil ? psutil_pass(stage) : 0;

	if (series_enter(&stage->series[SERIES_ALL], all, "all trees") ||
	    series_enter(&stage->series[SERIES_ONE], one, "one tree") ||
	    series_enter(&stage->series[SERIES_YARN], yarn, "YARN's scan"))
		return -ENODATA;
	/* It reads every tracker of the machine, and one that is not ours may hinder it. */
	if (command >= 0)
		samples_add(&stage->series[SERIES_COMMAND], command);
	samples_add(&stage->series[SERIES_YARN_RATIO], yarn / all);
	if (!stage->psutil)
		return 0;
	samples_add(&stage->series[SERIES_PSUTIL_RATIO], psutil / all);
	return series_enter(&stage->series[SERIES_PSUTIL], psutil, "psutil");
}

/* The goals speak of so many processes; with fewer what is fixed weighs more. */
static const char *verdict(const struct stage *stage, bool met)
{
	return stage->herd->processes >= GOAL_PROCESSES ? figures_verdict(met) : "";
}

static void others_tell(const struct stage *stage)
{
	struct spread yarn = samples_spread(&stage->series[SERIES_YARN_RATIO]);
	struct spread psutil = stage->psutil ? samples_spread(&stage->series[SERIES_PSUTIL_RATIO])
					     : (struct spread){};
	char against[FIGURE_TEXT];

	snprintf(against, sizeof(against), "%.0fx all trees (%.0f .. %.0f)", yarn.median, yarn.low,
		 yarn.high);
	row_tell(&(struct row){.what = "  YARN's pass, 50 containers",
			       .unit = "us",
			       .spread = samples_spread(&stage->series[SERIES_YARN]),
			       .against = against,
			       .goal = "1000x at 3000 processes",
			       .verdict = verdict(stage, yarn.median >= GOAL_YARN)});
	if (!stage->psutil) {
		printf("  psutil's pass: not measured, python3-psutil is not installed here\n");
		return;
	}
	snprintf(against, sizeof(against), "%.0fx all trees (%.0f .. %.0f)", psutil.median,
		 psutil.low, psutil.high);
	row_tell(&(struct row){.what = "  psutil's pass",
			       .unit = "us",
			       .spread = samples_spread(&stage->series[SERIES_PSUTIL]),
			       .against = against,
			       .goal = "100x at 3000 processes",
			       .verdict = verdict(stage, psutil.median >= GOAL_PSUTIL)});
}

static void stage_tell(const struct stage *stage, double one_first_us)
{
	struct spread one = samples_spread(&stage->series[SERIES_ONE]);
	char head[FIGURE_TEXT], against[FIGURE_TEXT], bench[FIGURE_TEXT];
	double times = one.median / one_first_us;

	snprintf(head, sizeof(head), "reading, %zu processes in %zu trees", stage->herd->processes,
		 stage->herd->tree_count);
	head_tell(head);
	row_tell(&(struct row){.what = "  all trees, in one process, warm",
			       .unit = "us",
			       .spread = samples_spread(&stage->series[SERIES_ALL])});
	snprintf(against, sizeof(against), "%.2fx beside the fewest", times);
	row_tell(&(struct row){.what = "  one tree of 20 processes",
			       .unit = "us",
			       .spread = one,
			       .against = against,
			       .goal = "independent of the others",
			       .verdict = figures_verdict(times <= GOAL_ONE)});
	if (stage->series[SERIES_COMMAND].count)
		row_tell(&(struct row){.what = "  memtree ps, the whole command",
				       .unit = "us",
				       .spread = samples_spread(&stage->series[SERIES_COMMAND])});
	others_tell(stage);
	snprintf(bench, sizeof(bench), "snapshot_%zu", stage->herd->processes);
	for (int i = 0; i < SERIES; i++)
		samples_tell(&stage->series[i], bench, series_names[i]);
}

static int stage_measure(struct herd *herd, const char *memtree, double *one_first_us)
{
	uint64_t start_ns = figures_now_ns();
	struct stage stage = {.herd = herd, .memtree = memtree};
	int err = 0;

	stage.psutil = !system("python3 -c 'import psutil' 2>/dev/null");
	for (int round = 0; round < ROUNDS_MAX && !err; round++) {
		if (round >= ROUNDS_MIN && figures_now_ns() - start_ns > BUDGET_NS)
			break;
		err = round_measure(&stage);
	}
	if (err)
		return err;
	if (*one_first_us <= 0)
		*one_first_us = samples_spread(&stage.series[SERIES_ONE]).median;
	stage_tell(&stage, *one_first_us);
	fflush(stdout);
	if (!stage.series[SERIES_COMMAND].count)
		return talk_error(-ENODATA, "%s ps failed in every round: try it by hand", memtree);
	return 0;
}

int bench_snapshot(int argc, char **argv)
{
	const struct loader_options options = {};
	struct loader *loader = NULL;
	struct herd herd = {};
	double one_first_us = 0;
	int failed = EXIT_OK;
	int err;

	if (argc < 3)
		return EXIT_USAGE;
	err = loader_start(&options, &loader);
	if (!err)
		err = tracker_open(loader_tracker_id(loader), &herd.tracker);
	for (int i = 2; i < argc && !err; i++) {
		err = herd_grow(&herd, strtoul(argv[i], NULL, 10));
		if (!err && stage_measure(&herd, argv[1], &one_first_us))
			failed = EXIT_FAILED;
	}
	herd_end(&herd);
	tracker_close(herd.tracker);
	loader_stop(loader);
	return err ? EXIT_FAILED : failed;
}
