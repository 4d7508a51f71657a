// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a tree lives beyond its limit, and how far it gets: a process that touches fresh
 * memory at full speed notes on a board when it crossed and the last moment at which it still
 * moved. memtree runs it as a user would (SIGTERM through user space; the kernel's stop); beside
 * that a faithful polling monitor at 250 ms and 3 s, which kills by YARN's rule. What the process
 * may take is bounded, so a poller's overshoot is at least what is told.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "board.h"
#include "figures.h"
#include "polling.h"
#include "talk.h"

#define PAGE 4096LL
#define HUGE_PAGE (2LL << 20)
#define MIB (1LL << 20)
#define LIMIT (256 * MIB)
#define MOST (1536 * MIB) /* what the process takes if nobody stops it */
#define THREADS_MAX 4
#define ROUNDS 12
#define POLL_ROUNDS 3
#define PATIENCE_NS 12000000000ULL

struct board {
	atomic_llong bytes;	     /* its memory, as far as it has touched it */
	_Atomic uint64_t crossed_ns; /* when that exceeded LIMIT, 0: not yet */
	_Atomic uint64_t moved_ns[THREADS_MAX];
	int threads, huge;
};

/* --- the process that grows ----------------------------------------------------------- */

struct grower {
	struct board *board;
	char *region;
	long long bytes;
	int place;
};

static pthread_barrier_t together;

static void *grow(void *argument)
{
	struct grower *grower = argument;
	struct board *board = grower->board;
	long long step = board->huge ? HUGE_PAGE : PAGE;

	/* All that it needs itself is there before it is counted. */
	board->moved_ns[grower->place] = figures_now_ns();
	pthread_barrier_wait(&together);
	pthread_barrier_wait(&together);
	for (long long at = 0; at < grower->bytes; at += step) {
		uint64_t none = 0, now_ns;

		*(volatile char *)(grower->region + at) = 1;
		now_ns = figures_now_ns();
		if (atomic_fetch_add(&board->bytes, step) + step > LIMIT)
			atomic_compare_exchange_strong(&board->crossed_ns, &none, now_ns);
		board->moved_ns[grower->place] = now_ns;
	}
	return NULL;
}

/* What it has before it grows: the program and its libraries. */
static long long resident(void)
{
	long long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%lld %lld", &size, &pages) != 2)
			pages = 0;
		fclose(file);
	}
	return pages * PAGE;
}

int grower_main(int argc, char **argv)
{
	struct board *board = argc > 1 ? board_join(argv[1], sizeof(*board)) : NULL;
	struct grower growers[THREADS_MAX];
	pthread_t thread;
	char *region = mmap(NULL, MOST + HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!board || region == MAP_FAILED)
		return EXIT_USAGE;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	region += -(uintptr_t)region & (HUGE_PAGE - 1);
	madvise(region, MOST, board->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	resident();
	pthread_barrier_init(&together, NULL, (unsigned int)board->threads + 1);
	for (int i = 0; i < board->threads; i++) {
		growers[i] = (struct grower){board, region + i * (MOST / board->threads),
					     MOST / board->threads, i};
		if (pthread_create(&thread, NULL, grow, &growers[i]))
			return EXIT_FAILED;
	}
	pthread_barrier_wait(&together);
	board->bytes = resident();
	pthread_barrier_wait(&together);
	for (;;)
		pause();
}

/* --- who stops it --------------------------------------------------------------------- */

enum stopper { STOP_KERNEL, STOP_USER, POLL_250MS, POLL_3S, STOPPERS };

static const char *const names[STOPPERS] = {
	[STOP_KERNEL] = "memtree, the kernel's stop",
	[STOP_USER] = "memtree, through user space",
	[POLL_250MS] = "polling every 250 ms",
	[POLL_3S] = "polling every 3 s",
};

/* What a shape is measured in. */
struct shape {
	const char *name, *key;
	int threads, huge;
};

static const struct shape shapes[] = {
	{"1 thread, 4K pages", "one", 1, 0},
	{"4 threads, 4K pages", "four", 4, 0},
	{"1 thread, huge pages", "huge", 1, 1},
};

struct results {
	struct samples latency_us[STOPPERS], overshoot_mib[STOPPERS];
};

static pid_t grower_start(const char *memtree, enum stopper stopper, int board_fd)
{
	char fd[16], limit[32], self[] = "/proc/self/exe", path[256];
	ssize_t length = readlink(self, path, sizeof(path) - 1);
	pid_t pid;

	snprintf(fd, sizeof(fd), "%d", board_fd);
	snprintf(limit, sizeof(limit), "%lld", LIMIT);
	path[length > 0 ? length : 0] = '\0';
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	if (!freopen("/dev/null", "w", stderr))
		_exit(EXIT_FAILED);
	if (stopper > STOP_USER)
		execl(path, path, "grower", fd, NULL);
	else
		execl(memtree, memtree, "run", "-q", "-l", limit, "--on-limit",
		      stopper == STOP_KERNEL ? "kill" : "term", "--", path, "grower", fd, NULL);
	_exit(EXIT_NOT_FOUND);
}

/* YARN's rule at YARN's pace, from a moment that has nothing to do with the process's. */
static int poll_and_kill(pid_t pid, uint64_t interval_ns)
{
	struct yarn_tree tree = {.root = pid};
	uint64_t begun_ns = figures_now_ns();
	struct procfs procfs;
	int err = procfs_open("/proc", &procfs);

	if (err)
		return err;
	for (;;) {
		struct yarn_decision decision;

		err = polling_scan(&procfs, &tree);
		if (err || figures_now_ns() > begun_ns + PATIENCE_NS)
			break;
		decision = yarn_decide(&tree, YARN_STAT, LIMIT, 0);
		if (yarn_kills(&decision))
			break;
		figures_sleep_until(figures_now_ns() + interval_ns);
	}
	kill(pid, SIGKILL);
	yarn_tree_free(&tree);
	procfs_close(&procfs);
	return err;
}

/* Whether the process was stopped beyond its limit. */
static int outcome_note(const struct board *board, enum stopper stopper, uint64_t killed_ns,
			struct results *results)
{
	long long step = board->huge ? HUGE_PAGE : PAGE; /* each thread may die in a fault */
	uint64_t last_ns = killed_ns;

	/* The page in whose fault it died is not counted. */
	if (board->bytes < LIMIT - 2 * HUGE_PAGE)
		return talk_error(-ENODATA, "%s: it never came to its limit", names[stopper]);
	for (int i = 0; i < board->threads; i++)
		if (stopper <= STOP_USER && board->moved_ns[i] > last_ns)
			last_ns = board->moved_ns[i];
	samples_add(&results->latency_us[stopper],
		    board->crossed_ns && last_ns > board->crossed_ns
			    ? (double)(last_ns - board->crossed_ns) / 1e3
			    : 0);
	samples_add(&results->overshoot_mib[stopper],
		    (double)(board->bytes + board->threads * step - LIMIT) / (double)MIB);
	return 0;
}

static int round_run(const char *memtree, const struct shape *shape, enum stopper stopper,
		     struct board *board, int fd, struct results *results)
{
	uint64_t killed_ns = 0;
	int status, err = 0;
	pid_t pid;

	memset(board, 0, sizeof(*board));
	board->threads = shape->threads;
	board->huge = shape->huge;
	pid = grower_start(memtree, stopper, fd);
	if (pid < 0)
		return -errno;
	if (stopper > STOP_USER) {
		err = poll_and_kill(pid, stopper == POLL_3S ? 3000000000ULL : 250000000ULL);
		killed_ns = figures_now_ns();
	}
	waitpid(pid, &status, 0);
	return err ? err : outcome_note(board, stopper, killed_ns, results);
}

/* --- the table ------------------------------------------------------------------------ */

static void rows_tell(const struct shape *shape, const struct results *results)
{
	char what[FIGURE_TEXT], series[FIGURE_TEXT];

	snprintf(what, sizeof(what), "beyond the limit, %s", shape->name);
	head_tell(what);
	for (int i = 0; i < STOPPERS; i++) {
		struct spread latency = samples_spread(&results->latency_us[i]);
		struct spread overshoot = samples_spread(&results->overshoot_mib[i]);
		double goal_us = i == STOP_KERNEL ? 100 : 1000;
		double goal_mib = i == STOP_USER ? 16 : shape->huge ? 4 : 1;
		int told = i <= STOP_USER;

		snprintf(what, sizeof(what), "  %s, time", names[i]);
		row_tell(&(struct row){
			.what = what,
			.unit = "us",
			.spread = latency,
			.goal = !told		   ? NULL
				: i == STOP_KERNEL ? "below 100 us"
						   : "below 1 ms",
			.verdict = told ? figures_verdict(latency.median < goal_us) : NULL,
		});
		snprintf(what, sizeof(what), "  %s, memory", names[i]);
		row_tell(&(struct row){
			.what = what,
			.unit = "MiB",
			.spread = overshoot,
			.decimals = 2,
			.goal = !told		 ? NULL
				: i == STOP_USER ? "below 16 MiB"
				: shape->huge	 ? "below 4 MiB"
						 : "below 1 MiB",
			.verdict = told ? figures_verdict(overshoot.median < goal_mib) : NULL,
		});
		snprintf(series, sizeof(series), "%s-%d-us", shape->key, i);
		samples_tell(&results->latency_us[i], "crossing", series);
		snprintf(series, sizeof(series), "%s-%d-mib", shape->key, i);
		samples_tell(&results->overshoot_mib[i], "crossing", series);
	}
}

int bench_crossing(int argc, char **argv)
{
	const char *memtree = argc > 1 ? argv[1] : ".output/memtree";
	int fd = -1, err = 0;
	struct board *board = board_create(sizeof(*board), &fd);

	if (!board)
		return EXIT_FAILED;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && !err; i++) {
		struct results results = {};

		for (int round = 0; round < ROUNDS && !err; round++)
			for (int stopper = 0; stopper < STOPPERS && !err; stopper++)
				if (stopper <= STOP_USER || round < POLL_ROUNDS)
					err = round_run(memtree, &shapes[i], (enum stopper)stopper,
							board, fd, &results);
		if (!err)
			rows_tell(&shapes[i], &results);
	}
	board_free(board, sizeof(*board), fd);
	return err ? EXIT_FAILED : EXIT_OK;
}
