// SPDX-License-Identifier: GPL-2.0-only
/* What is decided by the clock: the passes of the policy `yarn`, and virtual memory. */
#include "policy_story.h"

#include "alarms.h"

static struct story monitored(void)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.rule = MT_RULE_YARN;
	story.reading.pass_at_ns = NOW + 3 * SECOND;
	return story;
}

static struct story mapped(uint64_t vmem)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.limit = 0;
	story.policy.vmem_limit = LIMIT;
	story.reading.vmem = vmem;
	return story;
}

/* Not even by what is charged, nor by the kernel, however much that is. */
static void assert_nothing_interrupts(const struct story *story)
{
	assert_int_equal(story->decision.alarm_above, MT_NEVER_ABOVE);
	assert_int_equal(story->decision.near_above, MT_NEVER_ABOVE);
	assert_int_equal(story->decision.stop_above, MT_NEVER_ABOVE);
	assert_int_equal(story->decision.alarm_below, 0);
}

static void test_only_a_pass_decides(void **state)
{
	struct story story = monitored();

	assert_int_equal(at(&story, 100 * LIMIT), POLICY_WARN);
	assert_nothing_interrupts(&story);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
	story.reading.yarn_over = true;
	assert_int_equal(at(&story, 1), POLICY_TERM);
	assert_nothing_interrupts(&story);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	story.reading.now_mono_ns = NOW + 250 * MS;
	assert_int_equal(look(&story), POLICY_KILL);
}

static void test_a_limit_that_saves_from_a_pass(void **state)
{
	struct story story = monitored();

	story.reading.yarn_over = true;
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_TERM);
	story.policy.limit = 4 * LIMIT;
	story.reading.yarn_over = false;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
}

static void test_a_pass_is_reported_once(void **state)
{
	struct story story = monitored();

	story.policy.dry_run = 1;
	story.reading.yarn_over = true;
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_REPORT);
	assert_int_equal(look(&story), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
	story.reading.yarn_over = false;
	assert_int_equal(at(&story, LIMIT / 2), POLICY_NOTHING);
	story.reading.yarn_over = true;
	assert_int_equal(look(&story), POLICY_REPORT);
}

/* What a hook has freed, only the next pass tells. */
static void test_a_hook_is_judged_by_the_next_pass(void **state)
{
	struct story story = monitored();

	story.policy.hook[0] = ':';
	story.reading.yarn_over = true;
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_RUN_HOOK);
	story.reading.hook_ended = true;
	assert_int_equal(at(&story, LIMIT / 2), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
	story.reading.hook_ended = false;
	story.reading.now_mono_ns = NOW + SECOND;
	assert_int_equal(look(&story), POLICY_NOTHING);
	story.reading.now_mono_ns = NOW + 3 * SECOND;
	story.reading.yarn_over = false;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
}

/* Nobody has memory any more: they are ending, and nothing is called off. */
static void test_a_hook_that_ends_them_calls_nothing_off(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.hook[0] = ':';
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_RUN_HOOK);
	story.reading.hook_ended = true;
	story.reading.processes = 0;
	assert_int_equal(at(&story, 0), POLICY_NOTHING);
	story.reading.hook_ended = false;
	story.reading.now_mono_ns = NOW + SECOND;
	assert_int_equal(look(&story), POLICY_NOTHING);
	assert_true(story.decision.wake_at_ns > story.reading.now_mono_ns);
}

static void test_without_a_limit_no_pass_is_due(void **state)
{
	struct story story = monitored();

	story.policy.limit = 0;
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, 0);
}

/* Of two limits the one that it was over is taken away; that somebody has gone does not matter. */
static void test_a_limit_taken_away_in_the_grace_time(void **state)
{
	struct story story = mapped(LIMIT + 1);

	story.policy.limit = LIMIT;
	story.reading.processes = 2;
	assert_int_equal(at(&story, LIMIT / 2), POLICY_TERM);
	story.policy.vmem_limit = 0;
	story.reading.processes = 1;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
}

static void test_a_limit_of_virtual_memory_alone(void **state)
{
	struct story story = mapped(LIMIT);

	assert_int_equal(at(&story, 100 * LIMIT), POLICY_NOTHING);
	assert_nothing_interrupts(&story);
	assert_int_equal(story.decision.wake_at_ns, NOW + ALARMS_VMEM_NS);
	story.reading.vmem = LIMIT + 1;
	assert_int_equal(look(&story), POLICY_TERM);
	story.reading.now_mono_ns = NOW + 250 * MS;
	assert_int_equal(look(&story), POLICY_KILL);
}

static void test_a_limit_of_virtual_memory_raised(void **state)
{
	struct story story = mapped(LIMIT + 1);

	assert_int_equal(look(&story), POLICY_TERM);
	story.policy.vmem_limit = 2 * LIMIT;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
	assert_int_equal(story.decision.wake_at_ns, NOW + ALARMS_VMEM_NS);
}

/* The alarms of the other limit stand as without it; no proportional set size saves. */
static void test_both_limits(void **state)
{
	struct story story = mapped(LIMIT), alone = story_of(MT_ON_LIMIT_TERM);

	story.policy.limit = LIMIT;
	at(&story, LIMIT / 2);
	at(&alone, LIMIT / 2);
	assert_int_equal(story.decision.alarm_above, alone.decision.alarm_above);
	assert_int_equal(story.decision.stop_above, alone.decision.stop_above);
	assert_int_equal(story.decision.wake_at_ns, NOW + ALARMS_VMEM_NS);
	story.policy.confirm = MT_CONFIRM_PSS;
	story.reading.vmem = LIMIT + 1;
	assert_int_equal(look(&story), POLICY_TERM);
}

/* The kernel stops who allocates; who maps is nobody's fault but the tree's. */
static void test_virtual_memory_ends_the_tree_whatever_the_scope(void **state)
{
	struct story story = mapped(LIMIT + 1);

	story.policy.on_limit = MT_ON_LIMIT_KILL;
	story.policy.kill_process = 1;
	assert_int_equal(look(&story), POLICY_KILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_a_pass_decides),
		cmocka_unit_test(test_a_limit_that_saves_from_a_pass),
		cmocka_unit_test(test_a_pass_is_reported_once),
		cmocka_unit_test(test_a_hook_is_judged_by_the_next_pass),
		cmocka_unit_test(test_a_hook_that_ends_them_calls_nothing_off),
		cmocka_unit_test(test_without_a_limit_no_pass_is_due),
		cmocka_unit_test(test_a_limit_taken_away_in_the_grace_time),
		cmocka_unit_test(test_a_limit_of_virtual_memory_alone),
		cmocka_unit_test(test_a_limit_of_virtual_memory_raised),
		cmocka_unit_test(test_both_limits),
		cmocka_unit_test(test_virtual_memory_ends_the_tree_whatever_the_scope),
	};

	return cmocka_run_group_tests_name("policy_clock", tests, NULL, NULL);
}
