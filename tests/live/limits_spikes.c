// SPDX-License-Identifier: GPL-2.0-only
/* Limits and inherited memory: what a fork brings is exempt for a while, what grows is not. */
#include "groups.h"
#include "hog.h"

static void test_exec_spikes_are_never_touched(void **state)
{
	(void)state;
	finish(eat("spikes", "-l 400M", "anon 300M execs 100"));
	assert_lived("spikes");
	finish(eat("spikes", "-l 400M --on-limit kill --warn 0", "anon 300M execs 8 at-once"));
	assert_lived("spikes");
	assert_nobody_left();
}

static void test_a_child_that_really_grows_is_stopped(void **state)
{
	(void)state;
	finish(eat("grows", "-l 400M --grace 3s",
		   "anon 300M fork { anon 120M await $0 } await $0"));
	assert_stopped("grows");
	finish(eat("grows", "-l 400M --on-limit kill",
		   "anon 300M fork { anon 120M await $0 } await $0"));
	assert_stopped("grows");
	finish(eat("less", "-l 400M", "anon 300M fork { anon 50M } wait"));
	assert_lived("less");
	assert_nobody_left();
}

/* Its child takes the exemption along. */
static void test_a_parent_that_grows_after_its_child_is_stopped(void **state)
{
	(void)state;
	stop_and_spare("-l 160M -w 16s --grace 1s", "-l 300M -w 16s",
		       "anon 120M fork { sleep 200 } sleep 50 wait sleep 100 anon 60M await $0");
}

/* The root itself has ended long before. */
static void test_a_chain_hides_nothing(void **state)
{
	(void)state;
	pair("-l 48M --grace 1s", "-l 300M", "chain 6 1000 16M await $0", assert_ended);
}

static void test_a_window_that_closes_wakes(void **state)
{
	(void)state;
	stop_and_spare("-l 90M -w 500ms --grace 1s --confirm never", "-l 300M -w 500ms",
		       "anon 60M fork { await $0 } await $0");
}

int limits_spikes_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_exec_spikes_are_never_touched),
		limit_test(test_a_child_that_really_grows_is_stopped),
		limit_test(test_a_parent_that_grows_after_its_child_is_stopped),
		limit_test(test_a_chain_hides_nothing),
		limit_test(test_a_window_that_closes_wakes),
	};

	return cmocka_run_group_tests_name("limits_spikes", tests, hogs_open_staged,
					   hogs_close_staged);
}
