// SPDX-License-Identifier: GPL-2.0-only
/* What may be said about a limit, by its names: on the command line, or over the socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "limit.h"

static struct refusal why;

static bool say(struct choices *options, const char *name, const char *text)
{
	memset(&why, 0, sizeof(why));
	return limit_parse(name, text, options, &why);
}

static void test_each_option_is_taken(void **state)
{
	struct choices options = {};

	(void)state;
	assert_false(limit_said(&options));
	assert_true(say(&options, "limit", "1M"));
	assert_true(say(&options, "on-limit", "kill"));
	assert_true(say(&options, "grace", "3s"));
	assert_true(say(&options, "hard-factor", "1.5"));
	assert_true(say(&options, "kill-scope", "process"));
	assert_true(say(&options, "warn", "75%"));
	assert_true(say(&options, "dry-run", NULL));
	assert_true(say(&options, "hook", "true"));
	assert_true(say(&options, "hook-timeout", "2m"));
	assert_true(say(&options, "confirm", "pss"));
	assert_true(say(&options, "vmem-limit", "1T"));
	assert_true(say(&options, "policy", "yarn"));
	assert_int_equal(options.policy.limit, 1048576);
	assert_int_equal(options.policy.on_limit, MT_ON_LIMIT_KILL);
	assert_true(options.policy.grace_ns == 3000000000ULL);
	assert_int_equal(options.policy.hard_permille, 1500);
	assert_true(options.policy.kill_process);
	assert_int_equal(options.policy.warn_permille, 750);
	assert_true(options.policy.dry_run);
	assert_string_equal(options.policy.hook, "true");
	assert_true(options.policy.hook_timeout_ns == 120000000000ULL);
	assert_int_equal(options.policy.confirm, MT_CONFIRM_PSS);
	assert_true(options.policy.vmem_limit == 1ULL << 40);
	assert_int_equal(options.policy.rule, MT_RULE_YARN);
	assert_true(limit_said(&options));
}

static void test_dry_run_is_a_switch(void **state)
{
	struct choices options = {};

	(void)state;
	assert_true(say(&options, "dry-run", "true"));
	assert_true(options.policy.dry_run && choice_is_said(&options, CHOICE_DRY_RUN));
	assert_true(say(&options, "dry-run", "false"));
	assert_true(!options.policy.dry_run && choice_is_said(&options, CHOICE_DRY_RUN));
	assert_false(say(&options, "dry-run", "yes"));
}

static void test_what_is_none_is_refused(void **state)
{
	static const char *const wrong[][2] = {
		{"", "1"},
		{"nonsense", "1"},
		{"name", "a"},
		{"limit", NULL},
		{"limit", ""},
		{"limit", "-1"},
		{"limit", "1X"},
		{"limit", "7000000T"},
		{"on-limit", "stop"},
		{"on-limit", "TERM"},
		{"grace", "3"},
		{"grace", "2h"},
		{"hard-factor", "0.5"},
		{"hard-factor", "200%"},
		{"hard-factor", "nan"},
		{"hard-factor", "inf"},
		{"kill-scope", "root"},
		{"warn", "101%"},
		{"warn", "-1"},
		{"warn", "x"},
		{"hook", NULL},
		{"hook-timeout", "x"},
		{"confirm", "maybe"},
		{"vmem-limit", "x"},
		{"policy", "strict"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct choices options = {}, untouched = {};

		assert_false(say(&options, wrong[i][0], wrong[i][1]));
		assert_int_equal(why.status, EXIT_USAGE);
		assert_true(why.text[0]);
		assert_memory_equal(&options, &untouched, sizeof(options));
	}
	assert_true(limit_is_option("vmem-limit"));
	assert_false(limit_is_option("window"));
}

static void test_a_hook_is_bounded(void **state)
{
	struct choices options = {};
	char hook[MT_HOOK_SIZE + 1];

	(void)state;
	memset(hook, 'x', sizeof(hook));
	hook[MT_HOOK_SIZE] = '\0';
	assert_false(say(&options, "hook", hook));
	hook[MT_HOOK_SIZE - 1] = '\0';
	assert_true(say(&options, "hook", hook));
	assert_string_equal(options.policy.hook, hook);
	/* Nothing of the longer one is left. */
	assert_true(say(&options, "hook", "x"));
	assert_memory_equal(options.policy.hook, "x\0\0", 3);
}

static void test_contradictions_change_nothing(void **state)
{
	static const char *const wrong[][2][2] = {
		{{"grace", "1s"}, {NULL, NULL}},
		{{"limit", "0"}, {NULL, NULL}},
		{{"vmem-limit", "0"}, {NULL, NULL}},
		{{"limit", "1M"}, {"hook-timeout", "1s"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct choices whole = choice_default;
		struct choices options = {};

		for (int j = 0; j < 2 && wrong[i][j][0]; j++)
			assert_true(say(&options, wrong[i][j][0], wrong[i][j][1]));
		assert_false(limit_apply(&options, &whole, &why));
		assert_int_equal(why.status, EXIT_USAGE);
		assert_memory_equal(&whole, &choice_default, sizeof(whole));
	}
}

static void test_what_was_not_said_stays(void **state)
{
	struct choices whole = choice_default, before;
	struct choices first = {}, then = {};

	(void)state;
	assert_true(say(&first, "limit", "4M"));
	assert_true(say(&first, "grace", "1s"));
	assert_true(limit_apply(&first, &whole, &why));
	before = whole;
	assert_true(say(&then, "limit", "8M"));
	assert_true(limit_apply(&then, &whole, &why));
	assert_int_equal(whole.policy.limit, 8 << 20);
	whole.policy.limit = before.policy.limit;
	assert_memory_equal(&whole, &before, sizeof(whole));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_option_is_taken),
		cmocka_unit_test(test_dry_run_is_a_switch),
		cmocka_unit_test(test_what_is_none_is_refused),
		cmocka_unit_test(test_a_hook_is_bounded),
		cmocka_unit_test(test_contradictions_change_nothing),
		cmocka_unit_test(test_what_was_not_said_stays),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
