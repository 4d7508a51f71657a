// SPDX-License-Identifier: GPL-2.0-only
#include "alarms.h"

#include "thresholds.h"

/* Nearer than this a crossing is awaited exactly; farther away half of the way, as what CPUs
 * or threads keep back may shift meanwhile. */
#define STEP_MIN (64LL << 10)
#define STEP_MAX (1LL << 20)

static int64_t step_of(int64_t limit)
{
	return least(most(limit / 1024, STEP_MIN), STEP_MAX);
}

/* How far the live total may move until the next threshold is to be looked at. */
static int64_t way_to(int64_t threshold, int64_t charged, int64_t limit)
{
	int64_t step = step_of(limit), way = threshold - charged;

	return way > 2 * step ? way / 2 : most(way, 0);
}

/* Where a fall to `fallen` is told. Where the live total is below that already, though the exact
 * one is not, on the way: else the alarm would ring at rest. */
static int64_t fall_to(int64_t fallen, const struct policy_reading *reading, int64_t limit)
{
	if (reading->live >= fallen)
		return fallen;
	return most(reading->live - way_to(reading->charged, fallen, limit), 0);
}

/*
 * Far below the next threshold one alarm stands before it, by what the live total may be off
 * and not less than a sixteenth of it; nearer, on the way to it. What is near the limit is
 * followed exactly from the lowest of these on.
 *
 * Where only inherited memory makes the total so large, the alarm stands beyond the threshold.
 * It is too far when such memory goes, so that a fall is told as well.
 */
static void arm_watching(const struct mt_policy *policy, const struct policy_state *state,
			 const struct policy_reading *reading, struct policy_decision *decision)
{
	int64_t limit = (int64_t)policy->limit, warn = warn_at(policy);
	int64_t next = state->warned || warn >= limit ? limit : warn;
	int64_t margin = least(most(reading->error_bound, next / THRESHOLDS_HYSTERESIS), next / 2);
	int64_t all = sum_of(reading->charged, reading->inherited);
	bool exempt = all > next && reading->exempt_until_ns;
	int64_t way = way_to(next, exempt ? reading->charged : all, limit);

	decision->alarm_above = next - margin;
	if (reading->live >= decision->alarm_above)
		decision->alarm_above = sum_of(reading->live, way);
	else
		decision->alarm_above =
			least(decision->alarm_above,
			      sum_of(reading->live, most(next - reading->charged, 0)));
	decision->near_above = least(next - margin, decision->alarm_above);
	if (state->warned)
		decision->alarm_below = fall_to(fallen_from(warn), reading, limit);
	if (!exempt)
		return;
	decision->alarm_below = most(decision->alarm_below,
				     reading->live - most(way, step_of(limit)));
	decision->wake_at_ns = reading->exempt_until_ns;
}

/* Told once; again after it has fallen for good. */
static void arm_over(const struct mt_policy *policy, const struct policy_reading *reading,
		     struct policy_decision *decision)
{
	int64_t limit = (int64_t)policy->limit;

	decision->near_above = MT_NEVER_ABOVE;
	decision->alarm_above = MT_NEVER_ABOVE;
	decision->alarm_below = fall_to(fallen_from(limit), reading, limit);
}

int64_t alarms_spared_step(const struct mt_policy *policy, const struct policy_state *state)
{
	int64_t limit = (int64_t)policy->limit;

	return most(limit - state->spared_pss, limit / THRESHOLDS_HYSTERESIS);
}

/* To break copy-on-write changes no counter and fires no event, so the clock asks again. Growth
 * by more than what is left to the limit is not waited for. */
static void arm_spared(const struct mt_policy *policy, const struct policy_state *state,
		       const struct policy_reading *reading, struct policy_decision *decision)
{
	int64_t next = sum_of(state->spared_charged, alarms_spared_step(policy, state));

	decision->alarm_above = sum_of(reading->live, most(next - reading->charged, STEP_MIN));
	decision->near_above = decision->alarm_above;
	decision->wake_at_ns = state->confirm_at_ns;
}

/*
 * What the kernel stops by itself. It knows the total without open windows; of what forked
 * workers share it counts each copy once their windows are closed. So its stop stands higher by
 * all that may be counted more than once, with open windows too: these close without a look.
 * The price: while a window is open, and until the next look after sharers have gone, the kernel
 * alone would let the tree grow beyond its hard limit by as much; its alarms are not raised.
 *
 * Forks after this look are not in it. They cannot bring the tree to the stop unseen: all that
 * comes, exempt or not, counts against alarm_above, which is no farther away than the stop is
 * from all that is there now. (Where windows close faster than the loader comes, it may.)
 */
static void arm_stop(const struct mt_policy *policy, const struct policy_reading *reading,
		     struct policy_decision *decision)
{
	bool kill = policy->on_limit == MT_ON_LIMIT_KILL;
	int64_t all = sum_of(reading->charged, reading->inherited), stop;

	stop = kill ? (int64_t)policy->limit : hard_at(policy, reading->shareable);
	decision->stop_above = stop;
	if (may_confirm(policy))
		decision->alarm_above = least(decision->alarm_above,
					      sum_of(reading->live, most(stop - all, STEP_MIN)));
	decision->near_above = least(least(decision->near_above, decision->alarm_above),
				     stop - least(reading->error_bound, stop / 2));
}

static void arm_charged(const struct mt_policy *policy, const struct policy_state *state,
			const struct policy_reading *reading, struct policy_decision *decision)
{
	if (state->phase == POLICY_WATCHING)
		arm_watching(policy, state, reading, decision);
	else if (state->phase == POLICY_OVER)
		arm_over(policy, reading, decision);
	else if (state->phase == POLICY_SPARED)
		arm_spared(policy, state, reading, decision);
	if (!only_reports(policy))
		arm_stop(policy, reading, decision);
}

static void wake_by(struct policy_decision *decision, uint64_t at_ns)
{
	if (!decision->wake_at_ns || at_ns < decision->wake_at_ns)
		decision->wake_at_ns = at_ns;
}

void alarms_place(const struct mt_policy *policy, const struct policy_state *state,
		  const struct policy_reading *reading, struct policy_decision *decision)
{
	decision->near_above = decision->alarm_above = decision->stop_above = MT_NEVER_ABOVE;
	if (has_alarms(policy))
		arm_charged(policy, state, reading, decision);
	switch (state->phase) {
	case POLICY_WATCHING:
	case POLICY_OVER:
	case POLICY_SPARED:
		if (policy->rule == MT_RULE_YARN && (policy->limit || policy->vmem_limit))
			wake_by(decision, reading->pass_at_ns);
		else if (policy->vmem_limit)
			wake_by(decision, reading->now_mono_ns + ALARMS_VMEM_NS);
		break;
	case POLICY_GRACE:
		decision->wake_at_ns = state->grace_until_ns;
		break;
	case POLICY_HOOK:
		decision->wake_at_ns = state->hook_until_ns;
		break;
	case POLICY_CONFIRMING:
	case POLICY_DYING:
		break;
	}
}
