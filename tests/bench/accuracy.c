// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far each side is from the truth, on trees at rest. The truth is the kernel's own walk of
 * the page tables, each address space once, as the shape itself names them: neither side's idea
 * of who belongs to the tree is used. Where address spaces share pages copy-on-write, the sum
 * of their resident memory is more than there is; the sum of PSS, which is shown beside it,
 * leaves out what other processes share.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "board.h"
#include "cleanup.h"
#include "figures.h"
#include "loader.h"
#include "model.h"
#include "polling.h"
#include "root.h"
#include "shapes.h"
#include "snapshot.h"
#include "talk.h"

#define PAUSE_US 20000
#define TRIES 500 /* 10 s; the longest window is 3 s */

enum side { RSS, CHARGED, STAT, SMAPS_2, SMAPS_3, PSS, SIDES };

static const struct {
	const char *what, *series;
} sides[SIDES] = {
	[RSS] = {"  memtree, resident", "rss"},
	[CHARGED] = {"  memtree, charged", "charged"},
	[STAT] = {"  YARN, sum of stat", "yarn_stat"},
	[SMAPS_2] = {"  YARN, smaps of 2.x", "yarn_smaps_2"},
	[SMAPS_3] = {"  YARN, smaps of 3.x", "yarn_smaps_3"},
	[PSS] = {"  sum of PSS", "pss"},
};

struct scene {
	const struct shape *shape;
	struct tracker *tracker;
	struct procfs procfs;
	struct shape_board *board;
	int board_fd;
	struct root root;
};

struct reading {
	int64_t truth, sides[SIDES];
	bool exempt; /* a window is open: charged is meant to be less */
};

static int truth_read(struct scene *scene, int64_t *ret_rss, int64_t *ret_pss)
{
	int64_t rss = 0, pss = 0;

	for (int i = 0; i < scene->board->space_count; i++) {
		_cleanup_free_ struct procfs_mapping *mappings = NULL;
		pid_t pid = scene->board->spaces[i], tid;
		size_t count;
		int err = procfs_thread_find(&scene->procfs, pid, &tid);

		if (!err)
			err = procfs_mappings_read(&scene->procfs, pid, tid, &mappings, &count);
		if (err)
			return err;
		for (size_t j = 0; j < count; j++) {
			rss += mappings[j].rss;
			pss += mappings[j].pss;
		}
	}
	*ret_rss = rss;
	*ret_pss = pss;
	return 0;
}

static int memtree_read(const struct scene *scene, struct reading *reading)
{
	const struct tree *tree;
	struct snapshot snapshot;
	struct model model;
	int err = snapshot_read(scene->tracker, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	if (!err) {
		tree = model_find(&model, scene->root.tree);
		if (tree) {
			reading->sides[RSS] = bytes_rss(tree->bytes);
			reading->sides[CHARGED] = tree->charged;
			reading->exempt = tree->inherited > 0;
		}
		err = tree ? 0 : -ENODATA;
		model_free(&model);
	}
	snapshot_free(&snapshot);
	return err;
}

/* It reads the main thread's smaps, which says nothing when that has exited. */
static int yarn_read(struct scene *scene, struct reading *reading)
{
	struct yarn_tree tree = {.root = scene->root.launch.pid};
	int err = polling_scan(&scene->procfs, &tree);

	if (err)
		return err;
	for (size_t i = 0; i < tree.count; i++) {
		_cleanup_free_ struct procfs_mapping *mappings = NULL;
		pid_t pid = tree.processes[i].stat.pid;
		size_t count;

		if (!procfs_mappings_read(&scene->procfs, pid, pid, &mappings, &count))
			yarn_process_mappings(&tree.processes[i], mappings, count);
	}
	reading->sides[STAT] = yarn_tree_memory(&tree, YARN_STAT, 0);
	reading->sides[SMAPS_2] = yarn_tree_memory(&tree, YARN_SMAPS_2, 0);
	reading->sides[SMAPS_3] = yarn_tree_memory(&tree, YARN_SMAPS_3, 0);
	yarn_tree_free(&tree);
	return 0;
}

/* -EAGAIN when it was not at rest. */
static int reading_try(struct scene *scene, struct reading *reading)
{
	int64_t after, pss;
	int err = truth_read(scene, &reading->truth, &pss);

	if (!err)
		err = memtree_read(scene, reading);
	if (!err)
		err = yarn_read(scene, reading);
	if (!err)
		err = truth_read(scene, &after, &reading->sides[PSS]);
	if (err)
		return err;
	return after == reading->truth && pss == reading->sides[PSS] ? 0 : -EAGAIN;
}

/* With the windows as they are at the first reading at rest; `expired`: not before all are over. */
static int reading_take(struct scene *scene, bool expired, struct reading *ret_reading)
{
	int err = -EAGAIN;

	for (int i = 0; i < TRIES && err == -EAGAIN; i++) {
		usleep(PAUSE_US);
		err = reading_try(scene, ret_reading);
		if (!err && expired && ret_reading->exempt)
			err = -EAGAIN;
	}
	return err;
}

static void side_tell(const struct reading *reading, enum side side, const char *bench)
{
	int64_t error = reading->sides[side] - reading->truth;
	bool promised = side == RSS || (side == CHARGED && !reading->exempt);
	char against[FIGURE_TEXT];

	snprintf(against, sizeof(against), "%+lld bytes, %+.1f %%", (long long)error,
		 100.0 * (double)error / (double)reading->truth);
	row_tell(&(struct row){
		.what = sides[side].what,
		.unit = "MiB",
		.decimals = 2,
		.spread = {.median = (double)reading->sides[side] / (1 << 20)},
		.against = error ? against : "exact",
		.goal = promised ? "exact at rest" : NULL,
		.verdict = promised ? figures_verdict(!error) : NULL,
	});
	printf("raw,%s,%s,0,%lld\n", bench, sides[side].series, (long long)reading->sides[side]);
}

static void reading_tell(const struct scene *scene, const struct reading *reading, bool expired)
{
	char head[2 * FIGURE_TEXT], bench[FIGURE_TEXT];

	snprintf(head, sizeof(head), "%s%s", scene->shape->what,
		 expired	   ? ", later"
		 : reading->exempt ? ", at once"
				   : "");
	snprintf(bench, sizeof(bench), "accuracy_%s%s", scene->shape->name,
		 expired ? "_later" : "");
	head_tell(head);
	row_tell(&(struct row){.what = "  the truth",
			       .unit = "MiB",
			       .decimals = 2,
			       .spread = {.median = (double)reading->truth / (1 << 20)}});
	printf("raw,%s,truth,0,%lld\n", bench, (long long)reading->truth);
	for (enum side side = 0; side < SIDES; side++)
		side_tell(reading, side, bench);
}

static int scene_start(struct scene *scene)
{
	char program[] = "/proc/self/exe", role[] = "shape", name[MT_NAME_SIZE], fd[16];
	char *command[] = {program, role, name, fd, NULL};
	int err;

	scene->board = board_create(sizeof(*scene->board), &scene->board_fd);
	if (!scene->board)
		return -ENOMEM;
	snprintf(name, sizeof(name), "%s", scene->shape->name);
	snprintf(fd, sizeof(fd), "%d", scene->board_fd);
	err = root_start(scene->tracker, name, command, &scene->root);
	for (int i = 0; i < TRIES && !err; i++) {
		if (scene->board->at_rest == scene->shape->actors)
			return 0;
		usleep(PAUSE_US);
	}
	return err ?: -ETIMEDOUT;
}

static int scene_measure(struct scene *scene)
{
	struct reading reading = {};
	int err = scene_start(scene);

	if (!err)
		err = reading_take(scene, false, &reading);
	if (!err)
		reading_tell(scene, &reading, false);
	if (!err && reading.exempt) {
		err = reading_take(scene, true, &reading);
		if (!err)
			reading_tell(scene, &reading, true);
	}
	root_end(scene->tracker, &scene->root);
	board_free(scene->board, sizeof(*scene->board), scene->board_fd);
	return err ? talk_error(err, "%s: no reading: %s", scene->shape->name, strerror(-err)) : 0;
}

int bench_accuracy(int argc, char **argv)
{
	const struct loader_options options = {};
	struct scene scene = {.procfs = {.root = -1}, .root = ROOT_NONE};
	struct loader *loader = NULL;
	int failed = EXIT_OK;
	int err = loader_start(&options, &loader);

	if (!err)
		err = tracker_open(loader_tracker_id(loader), &scene.tracker);
	if (!err)
		err = procfs_open("/proc", &scene.procfs);
	for (scene.shape = shapes; scene.shape->name && !err; scene.shape++)
		if (scene_measure(&scene))
			failed = EXIT_FAILED;
	procfs_close(&scene.procfs);
	tracker_close(scene.tracker);
	loader_stop(loader);
	return err ? EXIT_FAILED : failed;
}
