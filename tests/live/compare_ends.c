// SPDX-License-Identifier: GPL-2.0-only
/* memtree compare, reading after reading: what ends a tracker, and what ends the comparison. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"
#include "shell.h"

/* A tree of its own tracker: "sleep", whose pid is returned. */
static struct started sleep_run(pid_t *ret_root)
{
	struct started sleeper = start(NULL, "run -n sleeper -- sleep 300");
	json_t *said;

	await_trackers(1);
	for (time_t end = 0; poll_on(&end);) {
		run("compare sleeper --json");
		if (!outcome.status)
			break;
	}
	assert_int_equal(outcome.status, 0);
	run("tree sleeper --json"); /* refused when another is named so */
	assert_int_equal(outcome.status, 0);
	said = document();
	*ret_root = (pid_t)integer(json_array_get(json_object_get(said, "trees"), 0), "root_pid");
	json_decref(said);
	return sleeper;
}

/* The maps stay readable, but nothing follows the tree any more: no figure of it is told. */
static void test_a_tracker_killed_between_two_readings(void **state)
{
	struct started comparing, sleeper;
	const char *last;
	pid_t root;

	sleeper = sleep_run(&root);
	comparing = start(NULL, "compare sleeper --count 0 --interval 20ms");
	text_await(comparing.out, "cost: ");
	kill(sleeper.pid, SIGKILL);
	finish(sleeper);
	finish(comparing);
	kill(root, SIGKILL);
	assert_int_equal(outcome.status, 0);
	last = strstr(outcome.out, "is no longer tracked: its tracker has ended");
	assert_non_null(last);
	assert_null(strstr(last, "CHARGED"));
	assert_null(strstr(outcome.out, "unexplained"));
	await_trackers(0);
}

/* Whenever it comes, a signal ends it at once, and what was read is kept. */
static void interrupt(int signal, const char *line, const char *wanted)
{
	struct started comparing = start(NULL, line);

	if (wanted)
		text_await(comparing.out, wanted);
	else
		usleep(200000); /* it prints at its end; before it blocks them, it just ends */
	kill(comparing.pid, signal);
	finish(comparing);
	if (outcome.status != 1000 + signal)
		assert_int_equal(outcome.status, 0);
	if (wanted)
		assert_non_null(strstr(outcome.out, wanted));
}

static void test_signals_end_it(void **state)
{
	pid_t root;
	struct started sleeper = sleep_run(&root);

	interrupt(SIGINT, "compare sleeper --count 0 --interval 1h", "cost: ");
	interrupt(SIGTERM, "compare sleeper --count 0 --interval 0", "cost: ");
	interrupt(SIGINT, "compare sleeper --count 1000 --interval 1h --json", NULL);
	kill(root, SIGKILL);
	finish(sleeper);
	await_trackers(0);
}

int compare_ends_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tracker_killed_between_two_readings),
		cmocka_unit_test(test_signals_end_it),
	};

	return cmocka_run_group_tests_name("compare_ends", tests, NULL, NULL);
}
