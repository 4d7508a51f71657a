// SPDX-License-Identifier: GPL-2.0-only
/*
 * The proportional set size before the first signal: what processes share is counted once, and
 * who really grows is ended.
 */
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "hog.h"

/* 30 MB and five copies of them: beyond the hard limit as charged, below the limit as PSS. */
#define HERD "anon 30M forks 5 { await $1 again await $2 } say ready await $2"

/* The kernel's stop is raised at a look, after a window of 500 ms has opened and before it closes. */
static void needs_a_quick_machine(void)
{
	if (is_emulated())
		skip_because("windows close faster than an emulated machine looks: docs/STATUS.md");
}

static void test_workers_that_share_live_until_they_grow(void **state)
{
	struct started spare, herd = eat("herd", "-l 70M -w 500ms", HERD);

	(void)state;
	text_await(herd.out, "ready");
	/* The windows close, the kernel's stop would be at 140 MB, and 180 are charged. */
	await_told(&herd, "herd: over its limit by RSS, its PSS fits: left alone");
	spare = eat("spare", "-l 300M -w 500ms", HERD);
	text_await(spare.out, "ready");
	/* By now it was asked again. */
	run("ps");
	assert_non_null(strstr(outcome.out, " over "));
	/* Each makes its copy its own: no counter moves, and a timer sees it. */
	gate_push(1);
	finish(herd);
	assert_stopped("herd");
	assert_told("does not fit either");
	gate_push(2);
	finish(spare);
	assert_lived("spare");
	assert_nobody_left();
}

static void test_workers_that_share_live_on(void **state)
{
	struct started herd;

	(void)state;
	needs_a_quick_machine();
	herd = eat("herd", "-l 70M -w 500ms --confirm pss",
		   "anon 30M forks 5 { await $2 } await $2");
	await_told(&herd, "left alone");
	/* It is asked more than once, and told once. */
	usleep(2500000);
	gate_push(2);
	finish(herd);
	assert_status(0);
	assert_null(strstr(strstr(told(), "left alone") + 1, "left alone"));
	assert_not_told("Killing container");
	/* More workers than the last look knew of, all at once, and again. */
	gates_shut();
	herd = eat("herd", "-l 70M -w 500ms",
		   "anon 30M forks 4 { await $2 } sleep 1500 forks 12 { await $2 } "
		   "sleep 1500 make $2 wait exit 7");
	finish(herd);
	assert_status(7);
	assert_told("left alone");
	assert_not_told("Killing container");
	assert_nobody_left();
}

static void test_without_confirmation_they_are_ended(void **state)
{
	(void)state;
	finish(eat("herd", "-l 70M -w 500ms --confirm never", HERD));
	assert_stopped("herd");
	assert_not_told("PSS");
	assert_nobody_left();
}

static void test_shared_memory_of_several_is_counted_once(void **state)
{
	(void)state;
	needs_a_quick_machine();
	/* One after the other: of what all touch at once the kernel may stop them before a look. */
	finish(eat("shared", "-l 96M -w 500ms",
		   "shmem 64M fork { again sleep 1500 } sleep 500 fork { again sleep 1500 } "
		   "sleep 500 fork { again sleep 1500 } wait exit 7"));
	assert_status(7);
	assert_told("left alone");
	/* One that has all for itself shares nothing. */
	finish(eat("alone", "-l 48M", "shmem 64M await $2"));
	assert_stopped("alone");
	assert_not_told("PSS");
	assert_nobody_left();
}

static void test_a_dry_run_tells_what_would_be(void **state)
{
	struct started herd = eat("herd", "-l 70M -w 500ms --dry-run", HERD);

	(void)state;
	await_told(&herd, "left alone");
	gate_push(1);
	await_told(&herd, "dry run, it would get SIGTERM");
	gate_push(2);
	finish(herd);
	assert_status(0);
	assert_nobody_left();
}

int confirm_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_workers_that_share_live_until_they_grow),
		limit_test(test_workers_that_share_live_on),
		limit_test(test_without_confirmation_they_are_ended),
		limit_test(test_shared_memory_of_several_is_counted_once),
		limit_test(test_a_dry_run_tells_what_would_be),
	};

	return cmocka_run_group_tests_name("confirm", tests, hogs_open_staged, hogs_close_staged);
}
