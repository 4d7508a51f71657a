// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is decided by the clock: the policy `yarn`, which does what the passes of a NodeManager's
 * monitor say, and the limit of virtual memory. The window is the monitor's interval.
 */
#include <signal.h>
#include <string.h>

#include "groups.h"
#include "hog.h"

#define AGED "has processes older than 1 iteration running over the configured limit"
#define TWICE "running over twice the configured limit"

static void test_a_pass_ends_what_has_aged(void **state)
{
	(void)state;
	finish(eat("aged", "-l 40M --policy yarn -w 500ms --grace 3s", "anon 60M await $0"));
	assert_told("aged: over its limit: Process tree for container: aged " AGED
		    ". Limit=41943040, current usage = ");
	assert_stopped("aged");
	finish(eat("twice", "-l 24M --policy yarn -w 500ms --grace 3s", "anon 60M await $0"));
	assert_told("Process tree for container: twice " TWICE);
	assert_stopped("twice");
	finish(eat("spare", "-l 200M --policy yarn -w 200ms", "anon 60M sleep 1500"));
	assert_lived("spare");
	assert_nobody_left();
}

/* Each link is younger than a pass when it is looked at; what is charged does not forget. */
static void test_a_chain_escapes_the_monitor_alone(void **state)
{
	static const char chain[] = "chain 6 300 16M";

	(void)state;
	finish(eat("link", "-l 64M --policy yarn -w 8s", chain));
	assert_lived("link");
	finish(eat("link", "-l 64M -w 8s --grace 3s", chain));
	assert_ended("link");
	assert_nobody_left();
}

/* A dry run beside the baseline, which reads /proc: one verdict, in the same words. */
static void test_the_shadow_agrees(void **state)
{
	static const char verdict[] = "Process tree for container: pair " AGED
				      ". Limit=41943040, current usage = ";
	struct started hog;

	(void)state;
	hog = eat("pair", "-l 40M --policy yarn --dry-run -w 500ms", "anon 60M say ready await $0");
	text_await(hog.out, "ready");
	assert_told(verdict);
	assert_told("dry run, it would get SIGTERM");
	run("compare pair --shadow yarn --interval 100ms --count 3");
	assert_int_equal(outcome.status, 0);
	if (!strstr(outcome.out, verdict))
		print_error("%s\n", outcome.out);
	assert_non_null(strstr(outcome.out, verdict));
	gate_push(0);
	finish(hog);
	assert_int_equal(outcome.status, 0);
	assert_nobody_left();
	gates_shut();
}

static void test_virtual_memory_has_its_limit(void **state)
{
	struct started hog;

	(void)state;
	hog = eat("empty", "--vmem-limit 200M --grace 3s", "reserve 300M say ready await $0");
	text_await(hog.out, "ready");
	finish(hog);
	assert_int_equal(outcome.status, 128 + SIGTERM);
	assert_told("empty: over its limit: virtual memory 3");
	assert_told("B beyond the 'VIRTUAL' memory limit");
	assert_told("empty: ended: ");
	hog = eat("small", "--vmem-limit 400M", "reserve 300M sleep 2500");
	finish(hog);
	assert_lived("small");
	assert_nobody_left();
}

int monitor_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_a_pass_ends_what_has_aged),
		limit_test(test_a_chain_escapes_the_monitor_alone),
		limit_test(test_the_shadow_agrees),
		limit_test(test_virtual_memory_has_its_limit),
	};

	return cmocka_run_group_tests_name("monitor", tests, hogs_open_staged, hogs_close_staged);
}
