// SPDX-License-Identifier: GPL-2.0-only
/*
 * Limits as a user meets them: who grows past one is stopped, whatever it does; its neighbour
 * with the same growth lives. Nobody is left behind.
 */
#include <stdio.h>
#include <string.h>

#include "groups.h"
#include "hog.h"

/* --- growth ------------------------------------------------------------------------------ */

static const struct {
	const char *steps, *limit, *spare;
} growths[] = {
	{WITNESS "anon 96M await $0", "-l 48M", "-l 200M"},
	{WITNESS "threads 100 1M await $0", "-l 48M", "-l 300M"},
	{WITNESS "children 50 2M await $0", "-l 48M", "-l 600M"},
	{WITNESS "shmem 96M await $0", "-l 48M", "-l 200M"},
	{WITNESS "file 96M await $0", "-l 48M", "-l 200M"},
	{WITNESS "poked 96M await $0", "-l 48M", "-l 300M"},
	{WITNESS "huge 96M await $0", "-l 48M", "-l 200M"},
};

static void grow_all(const char *on_limit)
{
	for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++) {
		char options[128];

		snprintf(options, sizeof(options), "%s %s", growths[i].limit, on_limit);
		stop_and_spare(options, growths[i].spare, growths[i].steps);
	}
}

static void test_growth_of_every_kind_is_terminated(void **state)
{
	(void)state;
	grow_all("--grace 1s");
}

static void test_growth_of_every_kind_is_killed(void **state)
{
	(void)state;
	grow_all("--on-limit kill");
}

static void test_at_the_hard_limit_nobody_waits_for_the_grace_time(void **state)
{
	(void)state;
	stop_and_spare("-l 32M --grace 1h", "-l 200M --grace 1h",
		       WITNESS "ignore-term anon 96M await $0");
}

static void test_who_ignores_sigterm_is_killed(void **state)
{
	(void)state;
	stop_and_spare("-l 64M", "-l 200M", WITNESS "ignore-term anon 96M await $0");
	stop_and_spare("-l 64M --grace 0", "-l 200M --grace 0", WITNESS "anon 96M await $0");
}

static void test_nobody_escapes(void **state)
{
	static const char steps[] = "fork { setsid ignore-term fork { setsid await $0 } } "
				    "fork { ignore-term await $0 } anon 96M await $0";

	(void)state;
	stop_and_spare("-l 64M --grace 1s", "-l 300M", steps);
	stop_and_spare("-l 64M --on-limit kill", "-l 300M --on-limit kill", steps);
}

static void test_a_fork_bomb_is_gone(void **state)
{
	static const char *const options[] = {"-l 64M --on-limit kill", "-l 64M"};

	(void)state;
	if (!is_emulated())
		skip_because("a fork bomb goes off in a virtual machine only");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct started spare = eat("spare", "-l 200M", "anon 96M say ready await $0");
		struct started bomb;

		text_await(spare.out, "ready");
		bomb = eat("bomb", options[i], WITNESS "bomb 60000");
		finish(bomb);
		assert_stopped("bomb");
		gate_push(0);
		finish(spare);
		assert_lived("spare");
		assert_nobody_left();
		gates_shut();
	}
}

/* --- changes --------------------------------------------------------------------------------- */

static void test_a_limit_lowered_below_the_use(void **state)
{
	struct started hog = eat("hog", "-l 200M --grace 1s", "anon 60M say ready await $0"), spare;

	(void)state;
	text_await(hog.out, "ready");
	spare = eat("spare", "", "anon 60M say ready await $0");
	text_await(spare.out, "ready");
	set("set -q spare -l 200M");
	set("set -q hog -l 40M");
	finish(hog);
	assert_stopped("hog");
	gate_push(0);
	finish(spare);
	assert_lived("spare");
	assert_nobody_left();
}

static void test_a_limit_raised_in_the_grace_time(void **state)
{
	static const char *const raises[] = {"set -q hog -l 200M", "set -q hog -l 0"};

	(void)state;
	for (size_t i = 0; i < sizeof(raises) / sizeof(raises[0]); i++) {
		struct started hog = eat("hog", "-l 48M --grace 10m",
					 "ignore-term anon 60M await $0");

		await_told(&hog, "over its limit");
		set(raises[i]);
		await_told(&hog, "called off");
		gate_push(0);
		finish(hog);
		assert_int_equal(outcome.status, 0);
		assert_reported("hog");
		assert_nobody_left();
		gates_shut();
	}
}

static void test_memory_freed_in_the_grace_time(void **state)
{
	struct started hog = eat("hog", "-l 48M --grace 10s",
				 "ignore-term anon 60M await $0 free await $1");

	(void)state;
	await_told(&hog, "over its limit");
	gate_push(0);
	await_told(&hog, "called off");
	gate_push(1);
	finish(hog);
	assert_int_equal(outcome.status, 0);
	assert_nobody_left();
}

/* --- what does not kill ---------------------------------------------------------------------- */

static void test_a_dry_run_reports_alone(void **state)
{
	static const char *const options[] = {"-l 32M --dry-run", "-l 32M --on-limit warn",
					      "-l 32M --dry-run --on-limit kill"};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct started dry = eat("dry", options[i],
					 "anon 96M fork { anon 1M } wait await $0 exit 7");

		await_told(&dry, "over its limit");
		gate_push(0);
		finish(dry);
		assert_int_equal(outcome.status, 7);
		assert_reported("dry");
		assert_not_told("Killing container");
		assert_null(strstr(strstr(told(), "over its limit") + 1, "over its limit"));
		gates_shut();
	}
	assert_nobody_left();
}

static void test_a_warning_comes_before(void **state)
{
	struct started near = eat("near", "-l 100M --warn 50%", "anon 80M await $0");

	(void)state;
	await_told(&near, "near: near its limit");
	gate_push(0);
	finish(near);
	assert_lived("near");
	finish(eat("near", "-l 100M --warn 0", "anon 80M"));
	assert_lived("near");
	assert_string_equal(outcome.err, "");
	assert_string_equal(told(), "");
	assert_nobody_left();
}

static void test_the_process_alone_is_stopped(void **state)
{
	struct started scope = eat("scope", "-l 64M --on-limit kill --kill-scope process",
				   "fork { anon 96M await $0 } wait await $1 anon 1M exit 7");

	(void)state;
	await_told(&scope, "over its limit");
	gate_push(1);
	finish(scope);
	assert_int_equal(outcome.status, 7);
	assert_reported("scope");
	assert_nobody_left();
}

/* --- what is shown --------------------------------------------------------------------------- */

static void test_ps_shows_the_limit(void **state)
{
	struct started hog = eat("hog", "-l 32M --on-limit warn", "anon 48M await $0");
	json_t *tree = state_await("hog", "over");

	(void)state;
	assert_int_equal(integer(tree, "limit"), 32 << 20);
	assert_true(integer(tree, "charged") > 32 << 20);
	assert_string_equal(text_of(tree, "policy"), "exact");
	assert_string_equal(text_of(tree, "on_limit"), "warn");
	json_decref(tree);
	set("set -q hog -l 300M --on-limit kill");
	tree = state_await("hog", "running");
	assert_int_equal(integer(tree, "limit"), 300 << 20);
	assert_string_equal(text_of(tree, "on_limit"), "kill");
	json_decref(tree);
	set("set -q hog -l 0");
	tree = state_await("hog", "running");
	assert_true(json_is_null(json_object_get(tree, "limit")));
	assert_true(json_is_null(json_object_get(tree, "policy")));
	json_decref(tree);
	gate_push(0);
	finish(hog);
	assert_int_equal(outcome.status, 0);
	assert_nobody_left();
}

/* --- input ----------------------------------------------------------------------------------- */

static void test_bad_limits_are_refused(void **state)
{
	static const char *const lines[] = {
		"run -l 0 -- true",
		"run -l -1 -- true",
		"run -l -5M -- true",
		"run -l 1X -- true",
		"run -l '' -- true",
		"run -l much -- true",
		"run -l 4096T -- true",
		"run -l 99999999999999999999 -- true",
		"run --dry-run -- true",
		"run --grace 1s -- true",
		"run --on-limit kill -- true",
		"run -l 100M --on-limit maim -- true",
		"run -l 100M --on-limit kill --grace 1s -- true",
		"run -l 100M --on-limit warn --grace 1s -- true",
		"run -l 100M --on-limit kill --hard-factor 3 -- true",
		"run -l 100M --on-limit warn --kill-scope tree -- true",
		"run -l 100M --grace 3 -- true",
		"run -l 100M --grace 2h -- true",
		"run -l 100M --hard-factor 0.5 -- true",
		"run -l 100M --hard-factor nan -- true",
		"run -l 100M --hard-factor x -- true",
		"run -l 100M --kill-scope all -- true",
		"run -l 100M --warn 101% -- true",
		"run -l 100M --warn -1% -- true",
		"run -l 100M --policy fair -- true",
		"run -l 100M --confirm maybe -- true",
		"run -l 100M --confirm pss --on-limit kill -- true",
		"run -l 100M --hook true --on-limit kill -- true",
		"run -l 100M --hook-timeout 1s -- true",
		"run -l 100M --hook true --hook-timeout 2h -- true",
		"run -l 100M --hook true --hook-timeout 0 -- true",
		"run --hook true -- true",
		"run --policy yarn -- true",
		"run --vmem-limit 0 -- true",
		"run --vmem-limit 1X -- true",
		"run -l 100M --policy yarn --on-limit kill -- true",
		"run -l 100M --policy yarn --hard-factor 3 -- true",
		"run -l 100M --policy yarn -m anon -- true",
		"add -l 0 1",
		"set nobody -l 1X",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		if (outcome.status != 2)
			print_error("%s: %d %s\n", lines[i], outcome.status, outcome.err);
		assert_int_equal(outcome.status, 2);
		assert_one_line(outcome.err);
	}
	assert_false(tracker_left());
}

int limits_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_bad_limits_are_refused),
		limit_test(test_growth_of_every_kind_is_terminated),
		limit_test(test_growth_of_every_kind_is_killed),
		limit_test(test_at_the_hard_limit_nobody_waits_for_the_grace_time),
		limit_test(test_who_ignores_sigterm_is_killed),
		limit_test(test_nobody_escapes),
		limit_test(test_a_fork_bomb_is_gone),
		limit_test(test_a_limit_lowered_below_the_use),
		limit_test(test_a_limit_raised_in_the_grace_time),
		limit_test(test_memory_freed_in_the_grace_time),
		limit_test(test_a_dry_run_reports_alone),
		limit_test(test_a_warning_comes_before),
		limit_test(test_the_process_alone_is_stopped),
		limit_test(test_ps_shows_the_limit),
	};

	return cmocka_run_group_tests_name("limits", tests, hogs_open_staged, hogs_close_staged);
}
