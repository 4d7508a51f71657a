// SPDX-License-Identifier: GPL-2.0-only
#include "herd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"
#include "figures.h"
#include "snapshot.h"
#include "talk.h"

#define PAGE 4096L
#define POLL_US 20000
#define POLLS_MAX (120 * 1000000 / POLL_US) /* emulated machines are slow */

/* Small pages, also where huge ones are always on. */
static _Noreturn void toil(size_t pages)
{
	const size_t size = pages * PAGE;
	char *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t next_ns = figures_now_ns();

	if (region == MAP_FAILED)
		_exit(EXIT_FAILED);
	madvise(region, size, MADV_NOHUGEPAGE);
	for (;;) {
		if (madvise(region, size, MADV_DONTNEED))
			_exit(EXIT_FAILED);
		for (size_t page = 0; page < size; page += PAGE)
			*(volatile char *)(region + page) = 1;
		next_ns += 1000000000 / HERD_TOIL_HZ;
		figures_sleep_until(next_ns);
	}
}

static _Noreturn void live(size_t pages)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pages)
		toil(pages);
	for (;;)
		pause();
}

/* The root of a tree; ends with the benchmark, and its children with it. */
int sleepers_main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 0;
	size_t pages = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (processes < 1)
		return EXIT_USAGE;
	for (int i = 1; i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			return EXIT_FAILED;
		if (!child)
			live(pages);
	}
	live(pages);
}

static int tree_add_to(struct herd *herd, size_t processes)
{
	struct herd_tree *added = &herd->trees[herd->tree_count];
	char program[] = "/proc/self/exe", role[] = "sleepers";
	char number[24], pages[16], name[MT_NAME_SIZE];
	char *command[] = {program, role, number, pages, NULL};

	snprintf(pages, sizeof(pages), "%u", herd->pages);
	snprintf(number, sizeof(number), "%zu", processes);
	snprintf(name, sizeof(name), "herd-%zu", herd->tree_count++);
	added->processes = processes;
	herd->processes += processes;
	return root_start(herd->tracker, name, command, &added->root);
}

static int herd_await(const struct herd *herd)
{
	size_t seen = 0;

	for (int i = 0; i < POLLS_MAX; i++) {
		struct snapshot snapshot;
		int err = snapshot_read(herd->tracker, &snapshot);

		if (err)
			return talk_error(err, "the maps cannot be read: %s", strerror(-err));
		seen = snapshot.process_count;
		snapshot_free(&snapshot);
		if (seen == herd->processes)
			return 0;
		usleep(POLL_US);
	}
	return talk_error(-ETIMEDOUT, "%zu of %zu processes are tracked", seen, herd->processes);
}

int herd_grow(struct herd *herd, size_t processes)
{
	size_t missing = processes > herd->processes ? processes - herd->processes : 0;
	size_t share = missing / HERD_STEP > HERD_FIRST ? missing / HERD_STEP : HERD_FIRST;
	int err = 0;

	while (!err && herd->processes < processes) {
		size_t left = processes - herd->processes;
		size_t wanted = herd->tree_count ? share : HERD_FIRST;

		if (herd->tree_count + 1 == HERD_TREES_MAX || wanted > left)
			wanted = left;
		if (herd->tree_count == HERD_TREES_MAX)
			return talk_error(-E2BIG, "no tree is left for the herd");
		err = tree_add_to(herd, wanted);
	}
	return err ? err : herd_await(herd);
}

int herd_plant(struct herd *herd, size_t trees, size_t processes)
{
	int err = 0;

	if (herd->tree_count + trees > HERD_TREES_MAX)
		return talk_error(-E2BIG, "no tree is left for the herd");
	while (trees-- && !err)
		err = tree_add_to(herd, processes);
	return err ? err : herd_await(herd);
}

void herd_end(struct herd *herd)
{
	for (size_t i = 0; i < herd->tree_count; i++)
		root_end(herd->tracker, &herd->trees[i].root);
	herd->tree_count = 0;
}
