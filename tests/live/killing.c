// SPDX-License-Identifier: GPL-2.0-only
/* Between a decision and its signals: who is hit then. */
#include <signal.h>
#include <sys/wait.h>

#include "census.h"
#include "fixture.h"
#include "groups.h"
#include "killing.h"

static void sleeper_adopt(struct fixture *fixture, pid_t pid)
{
	struct mt_census_record found = process_find(fixture, pid);

	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, found.tgid, found.start_boot_ns), 0);
}

static bool is_alive(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

/* Sends SIGKILL by the reading, after the one it shows has ended and its pid is another's. */
static unsigned int killed_too_late(struct fixture *fixture, bool as_member)
{
	struct reading reading;
	unsigned int reached;
	pid_t pid = sleeper_start(0);

	tree_register(fixture, "late");
	sleeper_adopt(fixture, pid);
	reading_take(fixture, &reading);
	assert_int_equal(reading_tree(&reading, fixture->tree)->processes, 1);
	sleeper_end(pid);
	assert_int_equal(sleeper_start(pid), pid);
	if (as_member)
		sleeper_adopt(fixture, pid);
	reached = killing_signal(fixture->tracker, &reading.model, fixture->tree, SIGKILL);
	reading_free(&reading);
	assert_true(is_alive(pid));
	sleeper_end(pid);
	fixture->root_reaped = true;
	return reached;
}

static void test_a_stranger_with_the_pid_is_spared(void **state)
{
	assert_int_equal(killed_too_late(*state, false), 0);
}

/* Nor is another member, who was not decided about. */
static void test_a_member_with_the_pid_is_spared(void **state)
{
	assert_int_equal(killed_too_late(*state, true), 0);
}

static void test_a_member_is_hit_once(void **state)
{
	struct fixture *fixture = *state;
	pid_t pid = sleeper_start(0);
	unsigned int reached, left;
	int status;

	tree_register(fixture, "hit");
	sleeper_adopt(fixture, pid);
	assert_int_equal(killing_round(fixture->tracker, fixture->tree, SIGTERM, &reached, &left),
			 0);
	assert_int_equal(reached, 1);
	assert_int_equal(left, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(killing_round(fixture->tracker, fixture->tree, SIGTERM, &reached, &left),
			 0);
	assert_int_equal(reached, 0);
	fixture->root_reaped = true;
}

int killing_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_a_stranger_with_the_pid_is_spared),
		tree_test(test_a_member_with_the_pid_is_spared),
		tree_test(test_a_member_is_hit_once),
	};

	return cmocka_run_group_tests_name("killing", tests, fixture_share, NULL);
}
