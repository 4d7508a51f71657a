// SPDX-License-Identifier: GPL-2.0-only
/* Choices from text and back, and what cannot stand together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "choice.h"

#define KIB 1024ULL
#define MIB (KIB * KIB)

static struct choices parsed(enum choice which, const char *text)
{
	struct choices choices = choice_default;
	char why[CHOICE_WHY] = "";

	if (choice_parse(&choices, which, text, why))
		fail_msg("%s: %s: %s", choice_name(which), text, why);
	assert_int_equal(choices.said, 1U << which);
	return choices;
}

static void assert_refused(enum choice which, const char *text, const char *reason)
{
	struct choices choices = choice_default;
	char why[CHOICE_WHY] = "";

	assert_int_equal(choice_parse(&choices, which, text, why), -EINVAL);
	if (!strstr(why, reason))
		fail_msg("'%s' does not say '%s'", why, reason);
	assert_memory_equal(&choices, &choice_default, sizeof(choices));
}

static void test_values_are_read(void **state)
{
	(void)state;
	assert_int_equal(parsed(CHOICE_LIMIT, "64M").policy.limit, 64 * MIB);
	assert_int_equal(parsed(CHOICE_LIMIT, "0").policy.limit, 0);
	assert_int_equal(parsed(CHOICE_WARN, "80%").policy.warn_permille, 800);
	assert_int_equal(parsed(CHOICE_WARN, "0.855").policy.warn_permille, 855);
	assert_int_equal(parsed(CHOICE_ON_LIMIT, "kill").policy.on_limit, MT_ON_LIMIT_KILL);
	assert_int_equal(parsed(CHOICE_GRACE, "3s").policy.grace_ns, 3000000000);
	assert_int_equal(parsed(CHOICE_HARD_FACTOR, "1.5").policy.hard_permille, 1500);
	assert_int_equal(parsed(CHOICE_WINDOW, "16s").window_ns, MT_WINDOW_MAX_NS);
	assert_int_equal(parsed(CHOICE_CONFIRM, "never").policy.confirm, MT_CONFIRM_NEVER);
	assert_string_equal(parsed(CHOICE_HOOK, "logger 'x'").policy.hook, "logger 'x'");
	assert_int_equal(parsed(CHOICE_HOOK_TIMEOUT, "1m").policy.hook_timeout_ns, 60000000000);
	assert_int_equal(parsed(CHOICE_METRIC, "anon").metric, 1U << MT_ANON);
	assert_int_equal(parsed(CHOICE_KILL_SCOPE, "process").policy.kill_process, 1);
	assert_int_equal(parsed(CHOICE_POLICY, "yarn").policy.rule, MT_RULE_YARN);
	assert_int_equal(parsed(CHOICE_VMEM_LIMIT, "1T").policy.vmem_limit, MIB * MIB);
}

static void test_nonsense_is_refused(void **state)
{
	char hook[MT_HOOK_SIZE + 1];

	(void)state;
	assert_refused(CHOICE_LIMIT, "lots", "'lots' is no size");
	assert_refused(CHOICE_LIMIT, "", "is no size");
	assert_refused(CHOICE_LIMIT, "-1", "is no size");
	assert_refused(CHOICE_LIMIT, "8000000T", "memory and swap");
	assert_refused(CHOICE_WARN, "101%", "between 0 and 1");
	assert_refused(CHOICE_WARN, "nan", "between");
	assert_refused(CHOICE_WARN, "-1%", "between");
	assert_refused(CHOICE_HARD_FACTOR, "0.5", "between 1 and 1000");
	assert_refused(CHOICE_HARD_FACTOR, "inf", "between");
	assert_refused(CHOICE_ON_LIMIT, "die", "term, warn or kill");
	assert_refused(CHOICE_GRACE, "2h", "1h is the most");
	assert_refused(CHOICE_GRACE, "5", "is no duration");
	assert_refused(CHOICE_WINDOW, "17s", "16s is the most");
	assert_refused(CHOICE_CONFIRM, "yes", "auto, pss or never");
	assert_refused(CHOICE_HOOK_TIMEOUT, "0", "no time");
	assert_refused(CHOICE_METRIC, "vmem", "no metric");
	assert_refused(CHOICE_KILL_SCOPE, "group", "tree or process");
	assert_refused(CHOICE_POLICY, "slurm", "exact or yarn");
	assert_refused(CHOICE_VMEM_LIMIT, "1E", "is no size");
	memset(hook, 'x', MT_HOOK_SIZE);
	hook[MT_HOOK_SIZE] = '\0';
	assert_refused(CHOICE_HOOK, hook, "at most 255 bytes");
	hook[MT_HOOK_SIZE - 1] = '\0';
	assert_string_equal(parsed(CHOICE_HOOK, hook).policy.hook, hook);
}

/* Nothing of a longer hook may stay behind a shorter one: it goes into a map. */
static void test_a_hook_leaves_nothing_behind(void **state)
{
	struct choices choices = choice_default;
	char why[CHOICE_WHY];

	(void)state;
	assert_int_equal(choice_parse(&choices, CHOICE_HOOK, "a long one", why), 0);
	assert_int_equal(choice_parse(&choices, CHOICE_HOOK, "b", why), 0);
	for (size_t i = 1; i < MT_HOOK_SIZE; i++)
		assert_int_equal(choices.policy.hook[i], 0);
}

/* What is printed reads as the same. */
static void test_text_and_back(void **state)
{
	static const struct {
		enum choice which;
		const char *text, *canonical;
	} cases[] = {
		{CHOICE_LIMIT, "0", "0"},
		{CHOICE_LIMIT, "64M", "64M"},
		{CHOICE_LIMIT, "65536", "64K"},
		{CHOICE_LIMIT, "1025", "1025"},
		{CHOICE_VMEM_LIMIT, "2048T", "2048T"},
		{CHOICE_WARN, "0", "0%"},
		{CHOICE_WARN, "0.855", "85.5%"},
		{CHOICE_WARN, "100%", "100%"},
		{CHOICE_HARD_FACTOR, "2", "2"},
		{CHOICE_HARD_FACTOR, "1.05", "1.05"},
		{CHOICE_HARD_FACTOR, "1.005", "1.005"},
		{CHOICE_HARD_FACTOR, "1000", "1000"},
		{CHOICE_GRACE, "0", "0"},
		{CHOICE_GRACE, "60s", "1m"},
		{CHOICE_GRACE, "61s", "61s"},
		{CHOICE_GRACE, "1h", "1h"},
		{CHOICE_GRACE, "1.5s", "1500ms"},
		{CHOICE_GRACE, "0.25ms", "0.25ms"},
		{CHOICE_GRACE, "0.000001ms", "0.000001ms"},
		{CHOICE_WINDOW, "10s", "10s"},
		{CHOICE_METRIC, "anon+shmem+swap", "anon+shmem+swap"},
		{CHOICE_HOOK, "", ""},
		{CHOICE_HOOK, "a  'b'\n#c", "a  'b'\n#c"},
		{CHOICE_KILL_SCOPE, "process", "process"},
	};
	char text[CHOICE_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct choices one = parsed(cases[i].which, cases[i].text), other;

		assert_string_equal(choice_format(&one, cases[i].which, text), cases[i].canonical);
		other = parsed(cases[i].which, text);
		assert_memory_equal(&one, &other, sizeof(one));
	}
}

static void test_defaults_read_as_themselves(void **state)
{
	struct choices choices = choice_default;
	char text[CHOICE_TEXT], why[CHOICE_WHY];

	(void)state;
	for (enum choice which = 0; which < CHOICES; which++)
		assert_int_equal(choice_parse(&choices, which,
					      choice_format(&choice_default, which, text), why),
				 0);
	assert_int_equal(choices.said, (1U << CHOICES) - 1);
	choices.said = 0;
	assert_memory_equal(&choices, &choice_default, sizeof(choices));
}

/* Only what was said moves; each choice has its own place. */
static void test_what_is_said_is_taken(void **state)
{
	static const char *const others[CHOICES] = {
		[CHOICE_LIMIT] = "1M",		 [CHOICE_WARN] = "50%",
		[CHOICE_ON_LIMIT] = "warn",	 [CHOICE_GRACE] = "1s",
		[CHOICE_HARD_FACTOR] = "3",	 [CHOICE_WINDOW] = "1s",
		[CHOICE_CONFIRM] = "pss",	 [CHOICE_HOOK] = "true",
		[CHOICE_HOOK_TIMEOUT] = "1s",	 [CHOICE_METRIC] = "anon",
		[CHOICE_KILL_SCOPE] = "process", [CHOICE_POLICY] = "yarn",
		[CHOICE_VMEM_LIMIT] = "1G",
	};
	struct choices dry = {.policy.dry_run = 1, .said = 1U << CHOICE_DRY_RUN};

	(void)state;
	for (enum choice which = 0; which < CHOICES; which++) {
		struct choices said = {}, whole = choice_default;
		struct choices expected = parsed(which, others[which]);
		char why[CHOICE_WHY];

		assert_int_equal(choice_parse(&said, which, others[which], why), 0);
		choice_take(&whole, &said);
		assert_memory_equal(&whole, &expected, sizeof(whole));
		whole.said = 0;
		assert_memory_not_equal(&whole, &choice_default, sizeof(whole));
	}
	choice_take(&dry, &choice_default);
	assert_int_equal(dry.policy.dry_run, 1);
}

static void test_contradictions_are_found(void **state)
{
	struct choices choices = choice_default;
	enum choice which;

	(void)state;
	assert_null(choice_contradiction(&choices, &which));
	choices.metric = 1U << MT_ANON;
	choices.policy.on_limit = MT_ON_LIMIT_KILL;
	assert_null(choice_contradiction(&choices, &which));
	choices.policy.rule = MT_RULE_YARN;
	assert_non_null(choice_contradiction(&choices, &which));
	assert_int_equal(which, CHOICE_ON_LIMIT);
	choices.policy.on_limit = MT_ON_LIMIT_TERM;
	assert_non_null(choice_contradiction(&choices, &which));
	assert_int_equal(which, CHOICE_METRIC);
	choices.metric = MT_METRIC_RSS;
	assert_null(choice_contradiction(&choices, &which));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_read),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_a_hook_leaves_nothing_behind),
		cmocka_unit_test(test_text_and_back),
		cmocka_unit_test(test_defaults_read_as_themselves),
		cmocka_unit_test(test_what_is_said_is_taken),
		cmocka_unit_test(test_contradictions_are_found),
	};

	return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
