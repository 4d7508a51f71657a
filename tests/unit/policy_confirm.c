// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes before the first signal: the proportional set size, which may save a tree whose
 * processes share memory, and the hook. And that forked workers are stopped when they really
 * grow, and never else.
 */
#include "policy_story.h"
#include "thresholds.h"

/* A parent and workers that share `shared` with it. */
static enum policy_act charged(struct story *story, int64_t bytes, int64_t shareable)
{
	story->reading.shareable = shareable;
	return at(story, bytes);
}

static enum policy_act answer(struct story *story, int64_t pss)
{
	enum policy_act act;

	story->reading.pss_state = pss < 0 ? POLICY_PSS_FAILED : POLICY_PSS_KNOWN;
	story->reading.pss = pss;
	act = look(story);
	story->reading.pss_state = POLICY_PSS_AWAITED;
	return act;
}

static struct story spared(void)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.reading.window_ns = 3 * SECOND;
	assert_int_equal(charged(&story, 500 * MB, 400 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, 100 * MB), POLICY_SPARE);
	return story;
}

static struct story hooked(void)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.hook[0] = ':';
	return story;
}

static void test_what_fits_is_left_alone(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.reading.window_ns = 3 * SECOND;
	assert_int_equal(charged(&story, 500 * MB, 400 * MB), POLICY_CONFIRM);
	assert_int_equal(look(&story), POLICY_NOTHING);
	assert_armed(&story);
	assert_int_equal(answer(&story, LIMIT), POLICY_SPARE);
	assert_int_equal(story.state.phase, POLICY_SPARED);
	assert_int_equal(story.decision.wake_at_ns, NOW + 3 * SECOND);
	assert_int_equal(story.decision.stop_above, 2 * LIMIT + 400 * MB);
	assert_armed(&story);
	assert_int_equal(look(&story), POLICY_NOTHING);
	/* asked again when the time is over, told once */
	story.reading.now_mono_ns = NOW + 3 * SECOND;
	assert_int_equal(look(&story), POLICY_CONFIRM);
	assert_int_equal(answer(&story, 150 * MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 6 * SECOND);
}

static void test_what_does_not_fit_is_ended(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, 300 * MB, 200 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_TERM);
	story = spared();
	story.reading.now_mono_ns = NOW + 3 * SECOND;
	assert_int_equal(look(&story), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_TERM);
}

static void test_what_nobody_could_read_is_as_charged(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, 300 * MB, 200 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, -1), POLICY_TERM);
}

static void test_nobody_asks_where_sharing_makes_no_difference(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, LIMIT + 40 * MB + 1, 40 * MB), POLICY_TERM);
	story = story_of(MT_ON_LIMIT_TERM);
	assert_int_equal(charged(&story, LIMIT + 40 * MB, 40 * MB), POLICY_CONFIRM);
	story = story_of(MT_ON_LIMIT_TERM);
	story.policy.confirm = MT_CONFIRM_PSS;
	assert_int_equal(charged(&story, LIMIT + 40 * MB + 1, 40 * MB), POLICY_CONFIRM);
	story = story_of(MT_ON_LIMIT_TERM);
	story.policy.confirm = MT_CONFIRM_NEVER;
	assert_int_equal(charged(&story, LIMIT + MB, 140 * MB), POLICY_TERM);
	assert_int_equal(story.decision.stop_above, 2 * LIMIT);
	/* the kernel does not wait */
	story = story_of(MT_ON_LIMIT_KILL);
	assert_int_equal(charged(&story, LIMIT + MB, 140 * MB), POLICY_KILL);
	assert_int_equal(charged(&story, MB, MB), POLICY_NOTHING);
	assert_int_equal(story.decision.stop_above, LIMIT);
}

/* What is exempt is left out of charged already. */
static void test_what_is_exempt_is_not_taken_off_twice(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.reading.inherited = 100 * MB;
	story.reading.exempt_until_ns = NOW + SECOND;
	assert_int_equal(charged(&story, LIMIT + MB, 100 * MB), POLICY_TERM);
	story = story_of(MT_ON_LIMIT_TERM);
	story.reading.inherited = 100 * MB;
	story.reading.exempt_until_ns = NOW + SECOND;
	assert_int_equal(charged(&story, LIMIT + MB, 101 * MB), POLICY_CONFIRM);
}

static void test_the_hard_limit_waits_for_nobody(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, 2 * LIMIT + 40 * MB + 1, 40 * MB), POLICY_KILL);
	story = story_of(MT_ON_LIMIT_TERM);
	story.policy.confirm = MT_CONFIRM_PSS;
	assert_int_equal(charged(&story, 2 * LIMIT + 40 * MB, 40 * MB), POLICY_CONFIRM);
	assert_int_equal(charged(&story, 2 * LIMIT + 40 * MB + 1, 40 * MB), POLICY_KILL);
	story = spared();
	assert_int_equal(charged(&story, 2 * LIMIT + 400 * MB + 1, 400 * MB), POLICY_KILL);
}

static void test_growth_is_not_waited_for(void **state)
{
	struct story story = spared();

	/* 60 MB are left */
	assert_false(rings(&story.decision, 560 * MB - 1));
	assert_true(rings(&story.decision, 560 * MB + 1));
	assert_int_equal(charged(&story, 560 * MB - 1, 400 * MB), POLICY_NOTHING);
	assert_true(rings(&story.decision, 560 * MB + 64 * KB));
	assert_int_equal(charged(&story, 560 * MB, 400 * MB), POLICY_CONFIRM);
	/* no more is left, and still it is not asked at each page */
	assert_int_equal(answer(&story, LIMIT), POLICY_NOTHING);
	assert_false(rings(&story.decision, 569 * MB));
	assert_true(rings(&story.decision, 570 * MB + 1));
	/* what shares nothing with anybody needs no answer */
	assert_int_equal(charged(&story, 561 * MB, 400 * MB), POLICY_TERM);
}

/* Forks that are not looked at would bring it to the kernel's stop when their windows close. */
static void test_the_stop_is_not_reached_unseen(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.hard_permille = 1000;
	assert_int_equal(charged(&story, 500 * MB, 340 * MB + 100 * KB), POLICY_CONFIRM);
	assert_true(rings(&story.decision, 500 * MB + 100 * KB + 1));
	assert_int_equal(answer(&story, 100 * MB), POLICY_SPARE);
	assert_int_equal(story.decision.stop_above, 500 * MB + 100 * KB);
	assert_true(rings(&story.decision, 500 * MB + 100 * KB + 1));
	story = hooked();
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_true(rings(&story.decision, 2 * LIMIT + 1));
}

static void test_a_short_window_does_not_ask_all_the_time(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, 500 * MB, 400 * MB), POLICY_CONFIRM);
	answer(&story, MB);
	assert_int_equal(story.decision.wake_at_ns, NOW + SECOND);
}

static void test_it_is_told_again_after_a_fall(void **state)
{
	struct story story = spared();

	assert_int_equal(charged(&story, LIMIT, 100 * MB), POLICY_WARN);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
	assert_int_equal(charged(&story, LIMIT + MB, 100 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, MB), POLICY_NOTHING);
	charged(&story, LIMIT - LIMIT / 16, 100 * MB);
	assert_int_equal(charged(&story, LIMIT + MB, 100 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, MB), POLICY_SPARE);
}

static void test_a_fall_while_it_is_asked(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	assert_int_equal(charged(&story, LIMIT + MB, 100 * MB), POLICY_CONFIRM);
	assert_int_equal(charged(&story, LIMIT, 100 * MB), POLICY_WARN);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
	assert_int_equal(charged(&story, LIMIT + MB, 100 * MB), POLICY_CONFIRM);
	/* nothing is shared any more */
	assert_int_equal(charged(&story, LIMIT + MB, 0), POLICY_TERM);
}

static void test_a_dry_run_asks_as_well(void **state)
{
	struct story story = story_of(MT_ON_LIMIT_TERM);

	story.policy.dry_run = 1;
	assert_int_equal(charged(&story, 500 * MB, 400 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, MB), POLICY_SPARE);
	assert_int_equal(story.decision.stop_above, MT_NEVER_ABOVE);
	story.reading.now_mono_ns += SECOND;
	assert_int_equal(look(&story), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_REPORT);
	assert_int_equal(story.decision.wake_at_ns, 0);
	assert_int_equal(look(&story), POLICY_NOTHING);
}

/* --- the hook ---------------------------------------------------------------------------- */

/* And so much is charged when its effect has been waited for. */
static enum policy_act hook_ends(struct story *story, int64_t bytes)
{
	story->reading.hook_ended = true;
	at(story, LIMIT + MB);
	story->reading.hook_ended = false;
	story->reading.now_mono_ns += 100 * MS;
	return at(story, bytes);
}

static void test_the_hook_comes_before_the_first_signal(void **state)
{
	struct story story = hooked();

	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(at(&story, LIMIT + MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, 0);
	/* what it frees counts when it has ended */
	assert_int_equal(at(&story, LIMIT), POLICY_NOTHING);
	assert_int_equal(story.state.phase, POLICY_HOOK);
	assert_int_equal(hook_ends(&story, LIMIT + MB), POLICY_TERM);
	assert_int_equal(story.decision.wake_at_ns, NOW + 350 * MS);
	story = hooked();
	story.policy.grace_ns = 0;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, LIMIT + MB), POLICY_KILL);
}

static void test_a_hook_that_frees_enough_saves(void **state)
{
	struct story story = hooked();

	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, LIMIT), POLICY_CALL_OFF);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
	/* the next crossing has its own */
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, LIMIT + MB), POLICY_TERM);
}

/* Whom it has ended may be dying still. */
static void test_the_effect_of_a_hook_is_waited_for(void **state)
{
	struct story story = hooked();

	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	story.reading.hook_ended = true;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_NOTHING);
	assert_int_equal(story.decision.wake_at_ns, NOW + 100 * MS);
	story.reading.hook_ended = false;
	story.reading.now_mono_ns += 99 * MS;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_NOTHING);
	assert_int_equal(at(&story, LIMIT), POLICY_CALL_OFF);
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(story.decision.wake_at_ns, 0);
	story.reading.hook_ended = true;
	assert_int_equal(at(&story, LIMIT), POLICY_CALL_OFF);
}

static void test_beyond_the_hard_limit_no_hook_is_waited_for(void **state)
{
	struct story story = hooked();

	assert_int_equal(at(&story, 2 * LIMIT + 1), POLICY_KILL);
	story = hooked();
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	assert_int_equal(story.decision.stop_above, 2 * LIMIT);
	assert_int_equal(at(&story, 2 * LIMIT + 1), POLICY_KILL);
}

static void test_a_hook_may_make_it_fit(void **state)
{
	struct story story = hooked();

	assert_int_equal(charged(&story, 300 * MB, 200 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, 290 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT), POLICY_SPARE);
	/* and when it does not, the ladder goes on */
	story.reading.now_mono_ns += SECOND;
	assert_int_equal(look(&story), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, 290 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_TERM);
	/* or it fell meanwhile */
	story = hooked();
	assert_int_equal(charged(&story, 300 * MB, 200 * MB), POLICY_CONFIRM);
	assert_int_equal(answer(&story, LIMIT + 1), POLICY_RUN_HOOK);
	assert_int_equal(hook_ends(&story, 290 * MB), POLICY_CONFIRM);
	assert_int_equal(at(&story, LIMIT), POLICY_CALL_OFF);
}

static void test_a_hook_is_not_run_for_a_report(void **state)
{
	struct story story = hooked();

	story.policy.dry_run = 1;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_REPORT);
	story.policy.dry_run = 0;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	story.policy.dry_run = 1;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_CALL_OFF);
	assert_int_equal(hook_ends(&story, LIMIT + MB), POLICY_NOTHING);
	story.policy.dry_run = 0;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_RUN_HOOK);
	story.policy.limit = 0;
	assert_int_equal(at(&story, LIMIT + MB), POLICY_CALL_OFF);
	assert_int_equal(story.state.phase, POLICY_WATCHING);
}

/* --- walks of forked workers ---------------------------------------------------------------- */

static uint64_t seed;

static int64_t random_below(int64_t bound)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (int64_t)((seed >> 33) % (uint64_t)bound);
}

#define WORKERS 12
#define STEP_NS (20 * MS)

/* A parent of `base`, and what each worker still shares of it or has of its own. */
struct herd {
	struct story story;
	int64_t base;
	struct {
		bool lives;
		int64_t inherited, shared, own;
		uint64_t until_ns;
	} workers[WORKERS];
	uint64_t answer_at_ns;
	bool ended, stopped;
};

static int64_t herd_pss(const struct herd *herd)
{
	int64_t pss = herd->base;

	for (int i = 0; i < WORKERS; i++)
		if (herd->workers[i].lives)
			pss += herd->workers[i].inherited - herd->workers[i].shared +
			       herd->workers[i].own;
	return pss;
}

static int64_t herd_measured(const struct herd *herd, int64_t *ret_open, int64_t *ret_inherited)
{
	int64_t measured = herd->base;

	*ret_open = *ret_inherited = 0;
	for (int i = 0; i < WORKERS; i++) {
		if (!herd->workers[i].lives)
			continue;
		measured += herd->workers[i].inherited + herd->workers[i].own;
		*ret_inherited += herd->workers[i].inherited;
		if (herd->workers[i].until_ns > herd->story.reading.now_mono_ns)
			*ret_open += herd->workers[i].inherited;
	}
	return measured;
}

static uint64_t herd_exempt_until(const struct herd *herd)
{
	uint64_t now_ns = herd->story.reading.now_mono_ns, first = 0;

	for (int i = 0; i < WORKERS; i++)
		if (herd->workers[i].lives && herd->workers[i].until_ns > now_ns &&
		    (!first || herd->workers[i].until_ns < first))
			first = herd->workers[i].until_ns;
	return first;
}

static void herd_look(struct herd *herd)
{
	struct policy_reading *reading = &herd->story.reading;
	int64_t open, inherited, measured = herd_measured(herd, &open, &inherited);

	reading->live = measured;
	reading->charged = measured - open;
	reading->inherited = open;
	reading->shareable = inherited;
	reading->exempt_until_ns = herd_exempt_until(herd);
	if (herd->answer_at_ns && reading->now_mono_ns >= herd->answer_at_ns) {
		reading->pss_state = POLICY_PSS_KNOWN;
		reading->pss = herd_pss(herd);
		herd->answer_at_ns = 0;
	}
	switch (look(&herd->story)) {
	case POLICY_CONFIRM:
		herd->answer_at_ns = reading->now_mono_ns + 2 * STEP_NS;
		break;
	case POLICY_TERM:
	case POLICY_KILL:
		herd->ended = true;
		break;
	default:
		break;
	}
	reading->pss_state = POLICY_PSS_AWAITED;
	if (!herd->ended)
		assert_armed(&herd->story);
}

/* What happened meanwhile, as the kernel and the loop see it. */
static void herd_listen(struct herd *herd)
{
	const struct policy_decision *decision = &herd->story.decision;
	uint64_t now_ns = herd->story.reading.now_mono_ns;
	int64_t open, inherited, measured = herd_measured(herd, &open, &inherited);

	herd->stopped |= measured - open > decision->stop_above;
	if (rings(decision, measured) || (decision->wake_at_ns && decision->wake_at_ns <= now_ns) ||
	    (herd->answer_at_ns && herd->answer_at_ns <= now_ns))
		herd_look(herd);
}

static void herd_fork(struct herd *herd, int worker)
{
	if (herd->workers[worker].lives)
		return;
	herd->workers[worker].lives = true;
	herd->workers[worker].inherited = herd->workers[worker].shared = herd->base;
	herd->workers[worker].own = 0;
	herd->workers[worker].until_ns = herd->story.reading.now_mono_ns + 3 * SECOND;
}

/* `bound` is where a herd that behaves ends its growth. */
static void herd_step(struct herd *herd, int64_t bound)
{
	int worker = (int)random_below(WORKERS);
	int64_t by = least(random_below(4 * MB), bound - herd_pss(herd));

	herd->story.reading.now_mono_ns += STEP_NS;
	switch (random_below(8)) {
	case 0:
	case 1:
		herd_fork(herd, worker);
		break;
	case 2:
		if (random_below(16) == 0)
			herd->workers[worker].lives = false;
		break;
	case 3:
		herd->base += by / 8;
		break;
	default:
		if (!herd->workers[worker].lives)
			break;
		if (random_below(2))
			herd->workers[worker].own += by / 2;
		else
			herd->workers[worker].shared -= least(by, herd->workers[worker].shared);
	}
	herd_listen(herd);
}

static struct herd herd_begin(uint32_t hard_permille)
{
	struct herd herd = {.story = story_of(MT_ON_LIMIT_TERM), .base = 40 * MB};

	herd.story.policy.hard_permille = hard_permille;
	herd.story.reading.window_ns = 3 * SECOND;
	herd_look(&herd);
	return herd;
}

static void test_workers_whose_pss_fits_live(void **state)
{
	for (uint64_t walk = 1; walk <= 200; walk++) {
		struct herd herd = herd_begin(walk % 2 ? 1000 : 2000);

		seed = walk;
		for (int i = 0; i < 3000; i++) {
			herd_step(&herd, LIMIT);
			assert_false(herd.ended);
			assert_false(herd.stopped);
		}
	}
}

static void test_workers_that_grow_are_ended_soon(void **state)
{
	for (uint64_t walk = 1; walk <= 200; walk++) {
		struct herd herd = herd_begin(2000);
		uint64_t over_ns = 0;

		seed = walk;
		for (int i = 0; i < 20000 && !herd.ended && !herd.stopped; i++) {
			bool was_over = herd_pss(&herd) > LIMIT;

			herd_step(&herd, 100 * LIMIT);
			if (!was_over)
				over_ns = herd.story.reading.now_mono_ns;
			assert_true(herd.story.reading.now_mono_ns < over_ns + 4 * SECOND);
		}
		assert_true(herd.ended || herd.stopped);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_fits_is_left_alone),
		cmocka_unit_test(test_what_does_not_fit_is_ended),
		cmocka_unit_test(test_what_nobody_could_read_is_as_charged),
		cmocka_unit_test(test_nobody_asks_where_sharing_makes_no_difference),
		cmocka_unit_test(test_what_is_exempt_is_not_taken_off_twice),
		cmocka_unit_test(test_the_hard_limit_waits_for_nobody),
		cmocka_unit_test(test_growth_is_not_waited_for),
		cmocka_unit_test(test_the_stop_is_not_reached_unseen),
		cmocka_unit_test(test_a_short_window_does_not_ask_all_the_time),
		cmocka_unit_test(test_it_is_told_again_after_a_fall),
		cmocka_unit_test(test_a_fall_while_it_is_asked),
		cmocka_unit_test(test_a_dry_run_asks_as_well),
		cmocka_unit_test(test_the_hook_comes_before_the_first_signal),
		cmocka_unit_test(test_a_hook_that_frees_enough_saves),
		cmocka_unit_test(test_the_effect_of_a_hook_is_waited_for),
		cmocka_unit_test(test_beyond_the_hard_limit_no_hook_is_waited_for),
		cmocka_unit_test(test_a_hook_may_make_it_fit),
		cmocka_unit_test(test_a_hook_is_not_run_for_a_report),
		cmocka_unit_test(test_workers_whose_pss_fits_live),
		cmocka_unit_test(test_workers_that_grow_are_ended_soon),
	};

	return cmocka_run_group_tests_name("policy_confirm", tests, NULL, NULL);
}
