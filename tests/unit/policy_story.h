/* SPDX-License-Identifier: GPL-2.0-only */
/* One tree under a limit, told as a story of readings. */
#ifndef MEMTREE_TEST_POLICY_STORY_H
#define MEMTREE_TEST_POLICY_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy.h"

#define KB (1ll << 10)
#define MB (1ll << 20)
#define MS 1000000ull
#define SECOND 1000000000ull
#define LIMIT (160 * MB)
#define NOW (1000 * SECOND)

/* One tree, with what the guard and the kernel keep of it. */
struct story {
	struct mt_policy policy;
	struct policy_state state;
	struct policy_reading reading;
	struct policy_decision decision;
};

static inline struct story story_of(uint32_t on_limit)
{
	return (struct story){
		.policy = {.limit = LIMIT,
			   .grace_ns = 250 * MS,
			   .hard_permille = 2000,
			   .warn_permille = 900,
			   .on_limit = on_limit},
		.reading = {.now_mono_ns = NOW, .processes = 1},
	};
}

static inline enum policy_act look(struct story *story)
{
	story->decision = policy_judge(&story->policy, &story->state, &story->reading);
	return story->decision.act;
}

/* Everything charged, live as exact. */
static inline enum policy_act at(struct story *story, int64_t charged)
{
	story->reading.charged = charged;
	story->reading.live = charged + story->reading.inherited;
	return look(story);
}

/* What the fault path asks of the alarms. */
static inline bool rings(const struct policy_decision *decision, int64_t live)
{
	return live > decision->alarm_above || live < decision->alarm_below;
}

/* What has just been looked at rings only when it moves: else the guard would not rest. */
static inline void assert_armed(const struct story *story)
{
	const struct policy_decision *decision = &story->decision;
	int64_t limit = (int64_t)story->policy.limit, live = story->reading.live;

	assert_true(decision->near_above <= decision->alarm_above);
	assert_true(decision->near_above <= decision->stop_above);
	assert_false(rings(decision, live));
	if (story->state.phase == POLICY_WATCHING)
		assert_true(decision->alarm_above - live <= limit - story->reading.charged);
}

#endif /* MEMTREE_TEST_POLICY_STORY_H */
