// SPDX-License-Identifier: GPL-2.0-only
/* What is decided about a limit. */
#include "policy_story.h"

static void test_far_below_nothing_is_done(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, 10 * MB), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
	assert_int_equal(story.decision.wake_at_ns, 0);
	assert_int_equal(story.decision.alarm_below, 0);
	assert_true(story.decision.alarm_above > 100 * MB);
	assert_true(story.decision.alarm_above < 144 * MB);
	assert_true(story.decision.near_above <= story.decision.alarm_above);
	assert_int_equal(story.decision.stop_above, 2 * LIMIT);
}

static void test_without_a_limit_nothing_is_armed(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_KILL);

	story.policy.limit = 0;
	assert_int_equal(at(&story, 1000 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.near_above, MT_NEVER_ABOVE);
	assert_int_equal(story.decision.alarm_above, MT_NEVER_ABOVE);
	assert_int_equal(story.decision.stop_above, MT_NEVER_ABOVE);
	assert_int_equal(story.decision.alarm_below, 0);
	assert_int_equal(story.decision.wake_at_ns, 0);
}

static void test_at_the_limit_is_not_over_it(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.warn_permille = 0;
	assert_int_equal(at(&story, LIMIT), POLICY_NOTHING);
	assert_true(rings(&story.decision, LIMIT + 1));
	assert_false(rings(&story.decision, LIMIT));
	assert_int_equal(at(&story, LIMIT + 1), POLICY_TERM);
}

static void test_inherited_memory_is_not_charged(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.warn_permille = 0;
	story.reading.inherited = 150 * MB;
	story.reading.exempt_until_ns = NOW + 3 * SECOND;
	assert_int_equal(at(&story, 150 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
	/* its growth is awaited, beside what is exempt */
	assert_true(rings(&story.decision, 300 * MB + 10 * MB + 1));
	/* the window ends, and nobody did an exec */
	story.reading.now_mono_ns = NOW + 3 * SECOND;
	story.reading.inherited = 0;
	story.reading.exempt_until_ns = 0;
	assert_int_equal(at(&story, 300 * MB), POLICY_TERM);
}

static void test_inherited_memory_far_below_wakes_nobody(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.reading.inherited = 20 * MB;
	story.reading.exempt_until_ns = NOW + 3 * SECOND;
	assert_int_equal(at(&story, 20 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, 0);
}

/* fork(1,2): 150 + 150; exit(2); grow(1, 11 MB): over, though the total is far below. */
static void test_what_takes_its_inheritance_with_it(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.warn_permille = 0;
	story.reading.inherited = 150 * MB;
	story.reading.exempt_until_ns = NOW + 3 * SECOND;
	assert_int_equal(at(&story, 150 * MB), POLICY_NOTHING);
	assert_true(rings(&story.decision, 150 * MB));
	story.reading.inherited = 0;
	story.reading.exempt_until_ns = 0;
	assert_int_equal(at(&story, 150 * MB), POLICY_NOTHING);
	assert_false(rings(&story.decision, 150 * MB));
	assert_true(rings(&story.decision, LIMIT + 1));
}

static void test_warned_once_and_again_after_a_fall(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, 144 * MB), POLICY_NOTHING);
	assert_int_equal(at(&story, 144 * MB + 1), POLICY_WARN);
	assert_int_equal(at(&story, 150 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.alarm_below, 135 * MB);
	assert_int_equal(at(&story, 136 * MB), POLICY_NOTHING);
	assert_int_equal(at(&story, 150 * MB), POLICY_NOTHING);
	/* a sixteenth */
	assert_int_equal(at(&story, 135 * MB - 1), POLICY_NOTHING);
	assert_int_equal(story.decision.alarm_below, 0);
	assert_int_equal(at(&story, 150 * MB), POLICY_WARN);
}

static void test_no_warning_is_wanted(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.warn_permille = 0;
	assert_int_equal(at(&story, LIMIT), POLICY_NOTHING);
	story.policy.warn_permille = 1000;
	assert_int_equal(at(&story, LIMIT), POLICY_NOTHING);
}

static void test_term_then_kill(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, LIMIT + 1), POLICY_TERM);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	assert_int_equal(story.decision.stop_above, 2 * LIMIT);
	story.reading.now_mono_ns += 249 * MS;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	story.reading.now_mono_ns += MS;
	assert_int_equal(at(&story, LIMIT + 1), POLICY_KILL);
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_DYING);
}

static void test_no_grace(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.grace_ns = 0;
	assert_int_equal(at(&story, LIMIT + 1), POLICY_KILL);
}

static void test_beyond_the_hard_limit_there_is_no_grace(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, 2 * LIMIT + 1), POLICY_KILL);
	story = story_of(MT_ON_LIMIT_TERM);
	assert_int_equal(at(&story, 2 * LIMIT), POLICY_TERM);
	assert_int_equal(at(&story, 2 * LIMIT + 1), POLICY_KILL);
}

static void test_a_grace_time_is_called_off(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, LIMIT + MB), POLICY_TERM);
	assert_int_equal(at(&story, LIMIT), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	story.reading.now_mono_ns += 250 * MS;
	assert_int_equal(at(&story, LIMIT), POLICY_CALL_OFF);
	assert_int_equal(story.decision.wake_at_ns, 0);
	/* and over again */
	assert_int_equal(at(&story, LIMIT + MB), POLICY_TERM);
	/* the limit is raised */
	story.policy.limit = 2 * LIMIT;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_CALL_OFF);
	assert_int_equal(story.decision.stop_above, 4 * LIMIT);
	/* and taken away */
	assert_int_equal(at(&story, 2 * LIMIT + 1), POLICY_TERM);
	story.policy.limit = 0;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
	assert_int_equal(story.decision.alarm_above, MT_NEVER_ABOVE);
}

/* The memtree that sent SIGTERM is gone: of two members one has died, and the rest is within the
 * limit. Nobody is spared for that; only when all are there and gave memory back. */
static void test_a_grace_time_that_another_began(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	(void)state;
	policy_termed(&story.policy, &story.state, 2, NOW);
	assert_int_equal(at(&story, 10 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	story.reading.now_mono_ns = NOW + 250 * MS;
	assert_int_equal(at(&story, 10 * MB), POLICY_KILL);

	story = story_of(MT_ON_LIMIT_TERM);
	policy_termed(&story.policy, &story.state, 1, NOW);
	story.reading.now_mono_ns = NOW + 250 * MS;
	assert_int_equal(at(&story, 10 * MB), POLICY_CALL_OFF);
}

static void test_a_grace_time_ends_when_it_is_only_reported(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, LIMIT + MB), POLICY_TERM);
	story.policy.dry_run = 1;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
	assert_int_equal(story.decision.stop_above, MT_NEVER_ABOVE);
	assert_int_equal(story.decision.wake_at_ns, 0);
	story.reading.now_mono_ns += 250 * MS;
	assert_int_equal(look(&story), POLICY_NOTHING);
	/* and in earnest again */
	story.policy.dry_run = 0;
	assert_int_equal(look(&story), POLICY_TERM);
	story.policy.on_limit = MT_ON_LIMIT_WARN;
	assert_int_equal(look(&story), POLICY_CALL_OFF);
}

static void test_what_died_of_sigterm_saves_nobody(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.reading.processes = 3;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_TERM);
	/* exit(2): what is left ignores it */
	story.reading.processes = 2;
	assert_int_equal(at(&story, 10 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 250 * MS);
	assert_false(rings(&story.decision, 5 * MB));
	story.reading.now_mono_ns += 250 * MS;
	assert_int_equal(at(&story, 5 * MB), POLICY_KILL);
	/* but who raises the limit means it */
	story = story_of(MT_ON_LIMIT_TERM);
	story.reading.processes = 3;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_TERM);
	story.reading.processes = 2;
	story.policy.limit = 2 * LIMIT;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_CALL_OFF);
}

static void test_a_limit_below_the_present_use(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(at(&story, 100 * MB), POLICY_NOTHING);
	story.policy.limit = 90 * MB;
	assert_int_equal(look(&story), POLICY_TERM);
	story.policy.limit = 40 * MB;
	assert_int_equal(look(&story), POLICY_KILL);
	/* too late */
	story.policy.limit = 400 * MB;
	assert_int_equal(look(&story), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_DYING);
}

static void only_reports(struct story story)
{
	assert_int_equal(at(&story, 100 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.stop_above, MT_NEVER_ABOVE);
	assert_int_equal(at(&story, LIMIT + 1), POLICY_REPORT);
	assert_int_equal(story.decision.wake_at_ns, 0);
	assert_int_equal(story.decision.alarm_above, MT_NEVER_ABOVE);
	assert_int_equal(story.decision.stop_above, MT_NEVER_ABOVE);
	assert_int_equal(at(&story, 5 * LIMIT), POLICY_NOTHING);
	assert_int_equal(at(&story, LIMIT - MB), POLICY_NOTHING);
	assert_int_equal(at(&story, LIMIT + 1), POLICY_NOTHING);
	/* a sixteenth */
	assert_int_equal(story.decision.alarm_below, 150 * MB);
	at(&story, 150 * MB - 1);
	assert_int_equal(at(&story, LIMIT + 1), POLICY_REPORT);
}

static void test_a_warning_or_a_dry_run_kills_nobody(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_WARN);

	only_reports(story);
	for (uint32_t on_limit = MT_ON_LIMIT_TERM; on_limit <= MT_ON_LIMIT_KILL; on_limit++) {
		story = story_of(on_limit);
		story.policy.dry_run = 1;
		only_reports(story);
	}
}

static void test_a_dry_run_becomes_earnest(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.dry_run = 1;
	assert_int_equal(at(&story, LIMIT + 1), POLICY_REPORT);
	story.policy.dry_run = 0;
	assert_int_equal(look(&story), POLICY_TERM);
}

static void test_kill_has_the_kernel_stop_at_the_limit(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_KILL);

	assert_int_equal(at(&story, 10 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.stop_above, LIMIT);
	assert_true(story.decision.near_above <= LIMIT);
	assert_int_equal(at(&story, LIMIT + 1), POLICY_KILL);
	assert_int_equal(at(&story, LIMIT + 1), POLICY_NOTHING);
}

/* The one that grew is dying; what it holds until it is gone is not the others' fault. */
static void test_the_process_alone_is_the_kernels(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_KILL);

	story.policy.kill_process = 1;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
	assert_int_equal(story.decision.stop_above, LIMIT);
}

static void test_what_the_kernel_stopped_is_dying(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_KILL);

	policy_stopped(&story.state);
	assert_int_equal(at(&story, 10 * MB), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_DYING);
}

static void test_huge_limits_do_not_wrap(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.limit = INT64_MAX;
	story.policy.hard_permille = 1000000;
	assert_int_equal(at(&story, INT64_MAX - 1), POLICY_WARN);
	assert_int_equal(policy_hard_limit(&story.policy, 0), MT_NEVER_ABOVE);
	assert_true(story.decision.alarm_above >= story.decision.near_above);
}

static void test_alarms_never_ring_at_rest(void **state)
{
	for (uint32_t on_limit = MT_ON_LIMIT_TERM; on_limit <= MT_ON_LIMIT_KILL; on_limit++)
		for (int64_t charged = 0; charged <= 400 * MB; charged += 3 * MB + 7)
			for (int64_t kept = -96 * MB; kept <= 96 * MB; kept += 12 * MB)
				for (int over = 0; over < 2; over++) {
					struct story story = story_of(on_limit);

					story.reading.error_bound = 96 * MB;
					if (over)
						at(&story, LIMIT + MB);
					story.reading.charged = charged;
					story.reading.live = charged > kept ? charged - kept : 0;
					look(&story);
					if (story.state.phase != POLICY_DYING)
						assert_armed(&story);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_far_below_nothing_is_done),
		cmocka_unit_test(test_without_a_limit_nothing_is_armed),
		cmocka_unit_test(test_at_the_limit_is_not_over_it),
		cmocka_unit_test(test_inherited_memory_is_not_charged),
		cmocka_unit_test(test_inherited_memory_far_below_wakes_nobody),
		cmocka_unit_test(test_what_takes_its_inheritance_with_it),
		cmocka_unit_test(test_warned_once_and_again_after_a_fall),
		cmocka_unit_test(test_no_warning_is_wanted),
		cmocka_unit_test(test_term_then_kill),
		cmocka_unit_test(test_no_grace),
		cmocka_unit_test(test_beyond_the_hard_limit_there_is_no_grace),
		cmocka_unit_test(test_a_grace_time_is_called_off),
		cmocka_unit_test(test_a_grace_time_that_another_began),
		cmocka_unit_test(test_a_grace_time_ends_when_it_is_only_reported),
		cmocka_unit_test(test_what_died_of_sigterm_saves_nobody),
		cmocka_unit_test(test_a_limit_below_the_present_use),
		cmocka_unit_test(test_a_warning_or_a_dry_run_kills_nobody),
		cmocka_unit_test(test_a_dry_run_becomes_earnest),
		cmocka_unit_test(test_kill_has_the_kernel_stop_at_the_limit),
		cmocka_unit_test(test_the_process_alone_is_the_kernels),
		cmocka_unit_test(test_what_the_kernel_stopped_is_dying),
		cmocka_unit_test(test_huge_limits_do_not_wrap),
		cmocka_unit_test(test_alarms_never_ring_at_rest),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
