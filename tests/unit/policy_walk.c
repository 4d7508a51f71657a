// SPDX-License-Identifier: GPL-2.0-only
/* That a crossing is never missed, however live and exact figures differ: trees that grow, fork
 * and shrink at random. */
#include "policy_story.h"

static uint64_t seed;

static int64_t random_below(int64_t bound)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (int64_t)((seed >> 33) % (uint64_t)bound);
}

struct walk {
	struct story story;
	int64_t measured;  /* exact, inherited included */
	int64_t inherited; /* exempt until `until_ns` */
	uint64_t until_ns;
	int64_t kept; /* what the live total lacks */
	bool exact_near;
	unsigned int looks;
	bool acted;
};

static int64_t walk_live(const struct walk *walk)
{
	return walk->measured > walk->kept ? walk->measured - walk->kept : 0;
}

/* What CPUs or threads keep back changes with each move, by less than a batch of pages. */
#define DRIFT (64 * KB)

static void walk_look(struct walk *walk)
{
	struct policy_reading *reading = &walk->story.reading;

	if (reading->now_mono_ns >= walk->until_ns)
		walk->inherited = 0;
	reading->charged = walk->measured - walk->inherited;
	reading->inherited = reading->shareable = walk->inherited;
	reading->exempt_until_ns = walk->inherited ? walk->until_ns : 0;
	reading->live = walk_live(walk);
	walk->looks++;
	switch (look(&walk->story)) {
	case POLICY_TERM:
	case POLICY_KILL:
	case POLICY_REPORT:
		walk->acted = true;
		break;
	default:
		assert_armed(&walk->story);
	}
}

static struct walk walk_begin(int64_t error_bound)
{
	struct walk walk = {.story = story_of(MT_ON_LIMIT_TERM)};

	walk.story.reading.error_bound = error_bound;
	walk_look(&walk);
	walk.looks = 0;
	return walk;
}

static void walk_listen(struct walk *walk)
{
	const struct policy_decision *decision = &walk->story.decision;
	uint64_t now_ns = walk->story.reading.now_mono_ns;

	if (rings(decision, walk_live(walk)) ||
	    (decision->wake_at_ns && decision->wake_at_ns <= now_ns))
		walk_look(walk);
}

/* Memory moves, and the fault path looks at its alarms. */
static void walk_move(struct walk *walk, int64_t by)
{
	int64_t bound = walk->story.reading.error_bound;
	const struct policy_decision *decision = &walk->story.decision;

	walk->measured += by;
	walk->kept += bound ? random_below(2 * DRIFT + 1) - DRIFT : 0;
	if (llabs(walk->kept) > bound)
		walk->kept = walk->kept > 0 ? bound : -bound;
	if (walk->exact_near && walk_live(walk) > decision->near_above)
		walk->kept = 0;
	walk_listen(walk);
}

static int64_t walk_charged(const struct walk *walk)
{
	bool open = walk->story.reading.now_mono_ns < walk->until_ns;

	return walk->measured - (open ? walk->inherited : 0);
}

/* A fork: the child's copy-on-write share counts, and is exempt. */
static void walk_fork(struct walk *walk)
{
	if (walk->inherited || walk->measured > LIMIT)
		return;
	walk->inherited = walk->measured;
	walk->until_ns = walk->story.reading.now_mono_ns + 3 * SECOND;
	walk_move(walk, walk->inherited);
}

/* Its exit takes both away. */
static void walk_exit(struct walk *walk)
{
	int64_t gone = walk->inherited;

	walk->inherited = 0;
	if (walk->story.reading.now_mono_ns < walk->until_ns)
		walk_move(walk, -gone);
	walk->until_ns = 0;
}

static void walk_step(struct walk *walk)
{
	int64_t by = (1 + random_below(64)) * 4 * KB;

	walk->story.reading.now_mono_ns += (uint64_t)random_below(20) * MS;
	walk_listen(walk);
	switch (random_below(64)) {
	case 0:
		walk_fork(walk);
		break;
	case 1:
		walk_exit(walk);
		break;
	default:
		if (random_below(8) < 3 && walk->measured - walk->inherited > 2 * by)
			by = -by;
		walk_move(walk, by);
	}
}

/* Beyond what live figures may lack, and a step of the alarms, nothing is missed. */
static void walks(int64_t error_bound, bool exact_near, int64_t slack)
{
	for (uint64_t walk_seed = 1; walk_seed <= 300; walk_seed++) {
		struct walk walk = walk_begin(error_bound);
		int64_t most = 0;

		seed = walk_seed;
		walk.exact_near = exact_near;
		for (int i = 0; i < 20000 && !walk.acted; i++) {
			walk_step(&walk);
			most = walk_charged(&walk);
			if (!walk.acted)
				assert_true(most <= LIMIT + slack);
			else
				assert_true(most > LIMIT);
		}
		assert_true(walk.acted);
	}
}

static void test_no_walk_over_the_limit_is_missed(void **state)
{
	walks(0, false, 160 * KB);
	walks(4 * MB, true, 160 * KB);
	walks(4 * MB, false, 8 * MB + 160 * KB);
	walks(100 * MB, false, 200 * MB);
}

static void test_growth_to_the_limit_is_few_looks(void **state)
{
	static const int64_t bounds[] = {0, MB, 20 * MB};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct walk walk = walk_begin(bounds[i]);

		seed = 7;
		walk.exact_near = true;
		while (walk.measured < LIMIT)
			walk_move(&walk, 4 * KB);
		assert_false(walk.acted);
		assert_true(walk.looks > 0);
		assert_true(walk.looks < 60);
		walk_move(&walk, 4 * KB);
		assert_true(walk.acted);
	}
}

static void test_at_rest_and_far_below_nobody_looks(void **state)
{
	struct walk walk = walk_begin(4 * MB);

	seed = 11;
	while (walk.measured < 120 * MB)
		walk_move(&walk, 4 * KB);
	assert_int_equal(walk.looks, 0);
	for (int i = 0; i < 1000; i++) {
		walk.story.reading.now_mono_ns += SECOND;
		walk_move(&walk, i % 2 ? -MB : MB);
	}
	assert_int_equal(walk.looks, 0);
	assert_int_equal(walk.story.decision.wake_at_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_walk_over_the_limit_is_missed),
		cmocka_unit_test(test_growth_to_the_limit_is_few_looks),
		cmocka_unit_test(test_at_rest_and_far_below_nobody_looks),
	};

	return cmocka_run_group_tests_name("policy_walk", tests, NULL, NULL);
}
