// SPDX-License-Identifier: GPL-2.0-only
#include "herd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "snapshot.h"
#include "talk.h"

#define POLL_US 20000
#define POLLS_MAX (120 * 1000000 / POLL_US) /* emulated machines are slow */

/* The root of a tree; ends with the benchmark, and its children with it. */
int sleepers_main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 0;

	if (processes < 1)
		return EXIT_USAGE;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			return EXIT_FAILED;
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	for (;;)
		pause();
}

static int tree_add_to(struct herd *herd, size_t processes)
{
	struct herd_tree *added = &herd->trees[herd->tree_count];
	struct tree_request request = {.metric = MT_METRIC_RSS, .window_ns = 3000000000ULL};
	char program[] = "/proc/self/exe", role[] = "sleepers", number[24];
	char *command[] = {program, role, number, NULL};
	sigset_t none;
	int err;

	snprintf(number, sizeof(number), "%zu", processes);
	snprintf(request.name, sizeof(request.name), "herd-%zu", herd->tree_count);
	sigemptyset(&none);
	*added = (struct herd_tree){.launch = LAUNCH_NONE, .processes = processes};
	err = launch_fork(herd->tracker, NULL, command, &none, &added->launch);
	if (err)
		return err;
	err = tracker_tree_create(herd->tracker, &request, &added->tree);
	if (err) {
		launch_free(&added->launch);
		return talk_error(err, "no tree for the herd: %s", strerror(-err));
	}
	herd->tree_count++;
	herd->processes += processes;
	return launch_go(&added->launch, added->tree, command[0]) ? -ECHILD : 0;
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

void herd_end(struct herd *herd)
{
	for (size_t i = 0; i < herd->tree_count; i++) {
		kill(herd->trees[i].launch.pid, SIGKILL);
		waitpid(herd->trees[i].launch.pid, NULL, 0);
		launch_free(&herd->trees[i].launch);
		tracker_tree_remove(herd->tracker, herd->trees[i].tree);
	}
	herd->tree_count = 0;
}
