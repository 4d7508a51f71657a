// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bursts of memory that are shorter than a poll: who sees them, and how much of them. Each burst
 * is a process of its own, the root of a tree: it sleeps until a moment drawn at random,
 * touches its memory page by page, holds it and gives it back. All moments lie in one span of
 * time, during which monitors poll at 3 s, 1 s and 250 ms beside each other and nobody reads
 * memtree's maps; its peaks are read once, afterwards. The monitors are favoured: a pass scans
 * /proc once for all trees, where YARN's would scan once for each.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "board.h"
#include "cleanup.h"
#include "figures.h"
#include "loader.h"
#include "model.h"
#include "root.h"
#include "snapshot.h"
#include "talk.h"
#include "yarn.h"

#define PAGE 4096L
#define MS_NS 1000000ULL
#define BURST_BYTES (16LL << 20)
#define BURSTS 40	  /* of each duration */
#define SPAN_MS 57000ULL  /* a multiple of every poll's interval: every phase is as likely */
#define LEAD_MS 1000ULL	  /* before it, for the first polls */
#define TAIL_MS 3500ULL	  /* after it, for the last burst and one more poll of each */
#define START_MS 30000ULL /* for all to be ready */
#define SEED 20

static const unsigned int holds_ms[] = {1, 10, 100, 1000};
static const unsigned int intervals_ms[] = {3000, 1000, 250};

#define HOLDS (sizeof(holds_ms) / sizeof(holds_ms[0]))
#define POLLERS (sizeof(intervals_ms) / sizeof(intervals_ms[0]))
#define ALL (HOLDS * BURSTS)
#define TREE_SLOTS 256

struct burst {
	uint64_t begin_ns, hold_ns;
	uint64_t half_ns, end_ns; /* when half of it was there, and when it went */
	atomic_int ready, done;
};

struct board {
	atomic_int go; /* the moments are drawn */
	struct burst bursts[ALL];
};

/* What one side was shown of a burst, at most, bytes. */
struct sights {
	int64_t highest[ALL];
};

struct poller {
	unsigned int interval_ms;
	uint64_t begin_ns, end_ns;
	struct yarn_tree trees[ALL];
	struct sights sights;
	pthread_t thread;
	int err;
};

struct field {
	struct loader *loader;
	struct tracker *tracker;
	struct board *board;
	int board_fd;
	struct root roots[ALL];
	int64_t floors[ALL]; /* what each holds before its burst */
	struct poller pollers[POLLERS];
	struct sights memtree;
};

/* --- a burst -------------------------------------------------------------------------- */

static void region_touch(char *region, long from, long to)
{
	for (long at = from; at < to; at += PAGE)
		*(volatile char *)(region + at) = 1;
}

int burst_main(int argc, char **argv)
{
	struct board *board = argc > 2 ? board_join(argv[1], sizeof(*board)) : NULL;
	struct burst *burst = board ? &board->bursts[strtoul(argv[2], NULL, 10) % ALL] : NULL;
	char *region = mmap(NULL, BURST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (!burst || region == MAP_FAILED)
		return EXIT_USAGE;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	madvise(region, BURST_BYTES, MADV_NOHUGEPAGE);
	figures_now_ns(); /* what it needs is there before the floor is read */
	burst->ready = 1;
	while (!board->go)
		usleep(20000);
	figures_sleep_until(burst->begin_ns);
	region_touch(region, 0, BURST_BYTES / 2);
	burst->half_ns = figures_now_ns();
	region_touch(region, BURST_BYTES / 2, BURST_BYTES);
	figures_sleep_until(figures_now_ns() + burst->hold_ns);
	burst->end_ns = figures_now_ns();
	munmap(region, BURST_BYTES);
	burst->done = 1;
	for (;;)
		pause();
}

static int bursts_start(struct field *field)
{
	char program[] = "/proc/self/exe", role[] = "burst", fd[16], place[16], name[MT_NAME_SIZE];
	char *command[] = {program, role, fd, place, NULL};

	snprintf(fd, sizeof(fd), "%d", field->board_fd);
	for (size_t i = 0; i < ALL; i++) {
		int err;

		field->board->bursts[i].hold_ns = holds_ms[i / BURSTS] * MS_NS;
		snprintf(place, sizeof(place), "%zu", i);
		snprintf(name, sizeof(name), "burst-%zu", i);
		err = root_start(field->tracker, name, command, &field->roots[i]);
		if (err)
			return err;
	}
	for (size_t i = 0, waited_ms = 0; i < ALL; waited_ms++) {
		if (field->board->bursts[i].ready) {
			i++;
			continue;
		}
		if (waited_ms > START_MS)
			return talk_error(-ETIMEDOUT, "a burst does not get ready");
		usleep(1000);
	}
	return 0;
}

/* --- the two sides -------------------------------------------------------------------- */

static int figures_find(const struct field *field, const struct model *model, bool peaks,
			int64_t ret_bytes[ALL])
{
	for (size_t i = 0; i < ALL; i++) {
		const struct tree *tree = model_find(model, field->roots[i].tree);

		if (!tree)
			return -ENODATA;
		ret_bytes[i] = peaks ? tree->peak : tree->charged;
	}
	return 0;
}

/* Every tree's figure: its peak, or what it is charged now. */
static int field_read(const struct field *field, bool peaks, int64_t ret_bytes[ALL])
{
	struct snapshot snapshot;
	struct model model;
	int err = snapshot_read(field->tracker, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	if (!err) {
		err = figures_find(field, &model, peaks, ret_bytes);
		model_free(&model);
	}
	snapshot_free(&snapshot);
	return err;
}

static int pass(struct procfs *procfs, struct poller *poller)
{
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count, unread;
	int err = procfs_scan(procfs, &stats, &count, &unread);

	for (size_t i = 0; i < ALL && !err; i++) {
		int64_t bytes;

		err = yarn_tree_update(&poller->trees[i], stats, count);
		bytes = yarn_tree_memory(&poller->trees[i], YARN_STAT, 0);
		if (!err && !bytes)
			err = -ENODATA;
		if (bytes > poller->sights.highest[i])
			poller->sights.highest[i] = bytes;
	}
	return err;
}

static void *poller_main(void *argument)
{
	struct poller *poller = argument;
	struct procfs procfs;

	poller->err = procfs_open("/proc", &procfs);
	if (poller->err)
		return NULL;
	for (uint64_t at_ns = poller->begin_ns; at_ns < poller->end_ns && !poller->err;
	     at_ns += poller->interval_ms * MS_NS) {
		figures_sleep_until(at_ns);
		poller->err = pass(&procfs, poller);
	}
	procfs_close(&procfs);
	return NULL;
}

/* --- the span ------------------------------------------------------------------------- */

static int pollers_run(struct field *field, uint64_t begin_ns, uint64_t end_ns)
{
	size_t started = 0;
	int err = 0;

	for (; started < POLLERS && !err; started++) {
		struct poller *poller = &field->pollers[started];

		poller->interval_ms = intervals_ms[started];
		poller->begin_ns = begin_ns;
		poller->end_ns = end_ns;
		for (size_t i = 0; i < ALL; i++)
			poller->trees[i].root = field->roots[i].launch.pid;
		err = -pthread_create(&poller->thread, NULL, poller_main, poller);
	}
	for (size_t i = 0; i < started - !!err; i++) {
		pthread_join(field->pollers[i].thread, NULL);
		err = err ?: field->pollers[i].err;
	}
	return err;
}

static int span_play(struct field *field)
{
	const uint64_t begin_ns = figures_now_ns() + LEAD_MS * MS_NS;
	int err = field_read(field, false, field->floors);

	srand48(SEED);
	for (size_t i = 0; i < ALL; i++)
		field->board->bursts[i].begin_ns =
			begin_ns + (uint64_t)(drand48() * (double)(SPAN_MS * MS_NS));
	if (err)
		return talk_error(err, "the floors cannot be read: %s", strerror(-err));
	field->board->go = 1;
	err = pollers_run(field, begin_ns, begin_ns + (SPAN_MS + TAIL_MS) * MS_NS);
	if (!err)
		err = field_read(field, true, field->memtree.highest);
	for (size_t i = 0; i < ALL && !err; i++)
		err = field->board->bursts[i].done ? 0 : -ETIMEDOUT;
	return err ? talk_error(err, "the bursts were not watched: %s", strerror(-err)) : 0;
}

/* --- what was seen -------------------------------------------------------------------- */

static void side_tell(const struct field *field, size_t hold, const struct sights *sights,
		      const char *what, const char *series)
{
	struct samples shares = {};
	char against[FIGURE_TEXT], bench[FIGURE_TEXT];
	int seen = 0;

	for (size_t i = hold * BURSTS; i < (hold + 1) * BURSTS; i++) {
		int64_t above = sights->highest[i] - field->floors[i];

		seen += above >= BURST_BYTES / 2;
		samples_add(&shares, above > 0 ? 100.0 * (double)above / BURST_BYTES : 0);
	}
	snprintf(against, sizeof(against), "seen: %d of %d", seen, BURSTS);
	row_tell(&(struct row){.what = what,
			       .unit = "%",
			       .decimals = 1,
			       .spread = samples_spread(&shares),
			       .against = against});
	snprintf(bench, sizeof(bench), "bursts_%u", holds_ms[hold]);
	samples_tell(&shares, bench, series);
}

static void hold_tell(const struct field *field, size_t hold)
{
	struct samples length_ms = {};
	char text[FIGURE_TEXT], series[FIGURE_TEXT];

	for (size_t i = hold * BURSTS; i < (hold + 1) * BURSTS; i++)
		samples_add(&length_ms, (double)(field->board->bursts[i].end_ns -
						 field->board->bursts[i].half_ns) /
						MS_NS);
	snprintf(text, sizeof(text), "share of a burst, held %u ms", holds_ms[hold]);
	head_tell(text);
	printf("  %lld MiB; at least half of it is there for %.1f ms\n", BURST_BYTES >> 20,
	       samples_spread(&length_ms).median);
	side_tell(field, hold, &field->memtree, "  memtree's peak", "memtree");
	for (size_t i = 0; i < POLLERS; i++) {
		snprintf(text, sizeof(text), "  polling every %u ms", intervals_ms[i]);
		snprintf(series, sizeof(series), "poll_%u", intervals_ms[i]);
		side_tell(field, hold, &field->pollers[i].sights, text, series);
	}
}

static int field_open(struct field *field)
{
	const struct loader_options options = {.tree_capacity = TREE_SLOTS};
	int err = loader_start(&options, &field->loader);

	if (!err)
		err = tracker_open(loader_tracker_id(field->loader), &field->tracker);
	if (err)
		return err;
	field->board = board_create(sizeof(*field->board), &field->board_fd);
	return field->board ? bursts_start(field) : -ENOMEM;
}

static void field_close(struct field *field)
{
	for (size_t i = 0; i < ALL; i++) {
		root_end(field->tracker, &field->roots[i]);
		for (size_t j = 0; j < POLLERS; j++)
			yarn_tree_free(&field->pollers[j].trees[i]);
	}
	board_free(field->board, sizeof(*field->board), field->board_fd);
	tracker_close(field->tracker);
	loader_stop(field->loader);
}

int bench_bursts(int argc, char **argv)
{
	static struct field field;
	int err;

	for (size_t i = 0; i < ALL; i++)
		field.roots[i] = ROOT_NONE;
	err = field_open(&field);
	if (!err)
		err = span_play(&field);
	for (size_t hold = 0; hold < HOLDS && !err; hold++)
		hold_tell(&field, hold);
	field_close(&field);
	return err ? EXIT_FAILED : EXIT_OK;
}
