// SPDX-License-Identifier: GPL-2.0-only
/*
 * The proportional set size before the first signal: what processes share is counted once, and
 * who really grows is ended.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "hog.h"

/* 30 MB and five copies of them: beyond the hard limit as charged, below the limit as PSS. */
#define HERD "anon 30M forks 5 { await $1 again await $2 } say ready await $2"

/* The kernel's stop is raised at a look, after a window has opened and before it closes: an
 * emulated machine gets the default of 3 s for that. */
static struct started eat_soon(const char *name, const char *options, const char *steps)
{
	char line[256];

	snprintf(line, sizeof(line), "%s%s", options, is_emulated() ? "" : " -w 500ms");
	return eat(name, line, steps);
}

/* Windows close meanwhile, and the loader has looked. */
static void pause_for_a_window(void)
{
	usleep(is_emulated() ? 5000000 : 1200000);
}

static void test_workers_that_share_live_until_they_grow(void **state)
{
	struct started spare, herd = eat_soon("herd", "-l 70M", HERD);

	(void)state;
	text_await(herd.out, "ready");
	/* The windows close, the kernel's stop would be at 140 MB, and 180 are charged. */
	await_told(&herd, "herd: over its limit by RSS, its PSS fits: left alone");
	spare = eat_soon("spare", "-l 300M", HERD);
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
	struct started herd = eat_soon("herd", "-l 70M --confirm pss",
				       "anon 30M forks 5 { await $2 } await $2");

	(void)state;
	await_told(&herd, "left alone");
	/* It is asked more than once, and told once. */
	pause_for_a_window();
	pause_for_a_window();
	gate_push(2);
	finish(herd);
	assert_status(0);
	assert_null(strstr(strstr(told(), "left alone") + 1, "left alone"));
	assert_not_told("Killing container");
	/* More workers than the last look knew of, all at once, and again. */
	gates_shut();
	herd = eat_soon("herd", "-l 70M",
			"anon 30M forks 4 { await $2 } await $0 forks 12 { await $2 } "
			"await $1 make $2 wait exit 7");
	await_told(&herd, "left alone");
	gate_push(0);
	pause_for_a_window();
	gate_push(1);
	finish(herd);
	assert_status(7);
	assert_not_told("Killing container");
	assert_nobody_left();
}

static void test_without_confirmation_they_are_ended(void **state)
{
	(void)state;
	finish(eat_soon("herd", "-l 70M --confirm never", HERD));
	assert_stopped("herd");
	assert_not_told("PSS");
	assert_nobody_left();
}

static void test_shared_memory_of_several_is_counted_once(void **state)
{
	struct started shared;

	(void)state;
	/* One after the other: of what all touch at once the kernel may stop them before a look. */
	shared = eat_soon("shared", "-l 96M",
			  "shmem 64M fork { again await $2 } await $0 fork { again await $2 } "
			  "await $1 fork { again await $2 } await $2 wait exit 7");
	await_told(&shared, "left alone");
	for (int gate = 0; gate < GATES; gate++) {
		pause_for_a_window();
		gate_push(gate);
	}
	finish(shared);
	assert_status(7);
	assert_told("left alone");
	/* One that has all for itself shares nothing. */
	gates_shut();
	finish(eat("alone", "-l 48M", "shmem 64M await $2"));
	assert_stopped("alone");
	assert_not_told("PSS");
	assert_nobody_left();
}

static void test_a_dry_run_tells_what_would_be(void **state)
{
	struct started herd = eat_soon("herd", "-l 70M --dry-run", HERD);

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
