/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a policy acts, in bytes: shared by what decides and by what stands watch. */
#ifndef MEMTREE_THRESHOLDS_H
#define MEMTREE_THRESHOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

/* An alarm goes off again when the tree has fallen by this part of what it crossed. */
#define THRESHOLDS_HYSTERESIS 16

static inline int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* MT_NEVER_ABOVE where the sum is too large. */
static inline int64_t sum_of(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? MT_NEVER_ABOVE : sum;
}

static inline int64_t share_of(uint64_t bytes, uint32_t permille)
{
	__uint128_t part = (__uint128_t)bytes * permille / 1000;

	return part > MT_NEVER_ABOVE ? MT_NEVER_ABOVE : (int64_t)part;
}

static inline int64_t fallen_from(int64_t bytes)
{
	return bytes - bytes / THRESHOLDS_HYSTERESIS;
}

static inline bool only_reports(const struct mt_policy *policy)
{
	return policy->dry_run || policy->on_limit == MT_ON_LIMIT_WARN;
}

/* Whether the kernel side tells what is charged: a monitor's passes are not interrupted. */
static inline bool has_alarms(const struct mt_policy *policy)
{
	return policy->limit && policy->rule == MT_RULE_EXACT;
}

/* Where the kernel acts at the limit itself, it waits for no proportional set size. */
static inline bool may_confirm(const struct mt_policy *policy)
{
	return policy->confirm != MT_CONFIRM_NEVER && policy->on_limit != MT_ON_LIMIT_KILL;
}

static inline int64_t warn_at(const struct mt_policy *policy)
{
	return policy->warn_permille ? share_of(policy->limit, policy->warn_permille)
				     : (int64_t)policy->limit;
}

/* Beyond this it is ended at once. What may be counted more than once does not bring it there. */
static inline int64_t hard_at(const struct mt_policy *policy, int64_t shareable)
{
	int64_t hard = share_of(policy->limit, policy->hard_permille);

	return may_confirm(policy) ? sum_of(hard, shareable) : hard;
}

#endif /* MEMTREE_THRESHOLDS_H */
