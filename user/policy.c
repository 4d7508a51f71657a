// SPDX-License-Identifier: GPL-2.0-only
#include "policy.h"

#include <stddef.h>

#include "alarms.h"
#include "thresholds.h"

/* A spared tree is not asked more often, however short its window. */
#define CONFIRM_PAUSE_NS 1000000000LL

/* Whom a hook has ended, or asked to free, may need as long. */
#define HOOK_PAUSE_NS 100000000ULL

int64_t policy_hard_limit(const struct mt_policy *policy, int64_t shareable)
{
	return hard_at(policy, shareable);
}

/* Of what is charged: what is exempt has been left out of that already. */
static int64_t shareable_of(const struct policy_reading *reading)
{
	return most(reading->shareable - reading->inherited, 0);
}

static bool is_over_vmem(const struct mt_policy *policy, const struct policy_reading *reading)
{
	return policy->vmem_limit && reading->vmem > policy->vmem_limit;
}

/* What it was over by counts as over until it has fallen to `charged_limit`. */
static bool is_above(const struct mt_policy *policy, const struct policy_reading *reading,
		     int64_t charged_limit)
{
	if (policy->rule == MT_RULE_YARN)
		return reading->yarn_over;
	return (policy->limit && reading->charged > charged_limit) || is_over_vmem(policy, reading);
}

static bool is_over(const struct mt_policy *policy, const struct policy_reading *reading)
{
	return is_above(policy, reading, (int64_t)policy->limit);
}

static bool is_over_hard(const struct mt_policy *policy, const struct policy_reading *reading)
{
	return has_alarms(policy) && reading->charged > hard_at(policy, shareable_of(reading));
}

void policy_termed(const struct mt_policy *policy, struct policy_state *state,
		   unsigned int processes, uint64_t now_mono_ns)
{
	state->phase = POLICY_GRACE;
	state->grace_until_ns = now_mono_ns + policy->grace_ns;
	state->grace_limit = policy->limit;
	state->grace_vmem_limit = policy->vmem_limit;
	state->grace_processes = processes;
}

static enum policy_act die(struct policy_state *state)
{
	state->phase = POLICY_DYING;
	return POLICY_KILL;
}

static enum policy_act over(const struct mt_policy *policy, struct policy_state *state,
			    const struct policy_reading *reading)
{
	state->phase = POLICY_WATCHING;
	if (only_reports(policy)) {
		state->phase = POLICY_OVER;
		return POLICY_REPORT;
	}
	/* Who allocates beyond it dies in the kernel; what it still holds is nobody else's fault. */
	if (policy->kill_process && policy->on_limit == MT_ON_LIMIT_KILL &&
	    !is_over_vmem(policy, reading))
		return POLICY_NOTHING;
	if (policy->on_limit == MT_ON_LIMIT_KILL || is_over_hard(policy, reading))
		return die(state);
	if (policy->hook[0] && !state->hooked) {
		state->phase = POLICY_HOOK;
		state->hook_until_ns = 0;
		return POLICY_RUN_HOOK;
	}
	if (!policy->grace_ns)
		return die(state);
	policy_termed(policy, state, reading->processes, reading->now_mono_ns);
	return POLICY_TERM;
}

/* Whether the proportional set size may save it: with `auto` when it would fit without all that
 * may be counted more than once. */
static bool is_doubtful(const struct mt_policy *policy, const struct policy_reading *reading)
{
	if (!may_confirm(policy) || !has_alarms(policy) || is_over_vmem(policy, reading) ||
	    is_over_hard(policy, reading))
		return false;
	return policy->confirm == MT_CONFIRM_PSS ||
	       reading->charged - shareable_of(reading) <= (int64_t)policy->limit;
}

static bool is_to_ask_again(const struct mt_policy *policy, const struct policy_state *state,
			    const struct policy_reading *reading)
{
	return reading->now_mono_ns >= state->confirm_at_ns ||
	       state->spared_pss > (int64_t)policy->limit ||
	       reading->charged >= sum_of(state->spared_charged, alarms_spared_step(policy, state));
}

static enum policy_act cross(const struct mt_policy *policy, struct policy_state *state,
			     const struct policy_reading *reading)
{
	if (!is_doubtful(policy, reading))
		return over(policy, state, reading);
	if (state->phase == POLICY_SPARED && !is_to_ask_again(policy, state, reading))
		return POLICY_NOTHING;
	state->phase = POLICY_CONFIRMING;
	return POLICY_CONFIRM;
}

static enum policy_act spare(struct policy_state *state, const struct policy_reading *reading)
{
	bool is_news = !state->spared || state->hooked;

	state->phase = POLICY_SPARED;
	state->spared = true;
	state->hooked = false;
	state->spared_charged = reading->charged;
	state->spared_pss = reading->pss;
	state->confirm_at_ns = reading->now_mono_ns +
			       (uint64_t)most((int64_t)reading->window_ns, CONFIRM_PAUSE_NS);
	return is_news ? POLICY_SPARE : POLICY_NOTHING;
}

static enum policy_act watch(const struct mt_policy *policy, struct policy_state *state,
			     const struct policy_reading *reading)
{
	int64_t limit = (int64_t)policy->limit, warn = warn_at(policy);
	bool hooked = state->hooked;

	if (is_over(policy, reading))
		return cross(policy, state, reading);
	state->phase = POLICY_WATCHING;
	state->hooked = false;
	if (reading->charged <= fallen_from(limit))
		state->spared = false;
	if (hooked)
		return POLICY_CALL_OFF;
	if (!state->warned && warn < limit && reading->charged > warn) {
		state->warned = true;
		return POLICY_WARN;
	}
	if (reading->charged < fallen_from(warn))
		state->warned = false;
	return POLICY_NOTHING;
}

/* The answer decides, if there is still something to ask. */
static enum policy_act confirm(const struct mt_policy *policy, struct policy_state *state,
			       const struct policy_reading *reading)
{
	if (!is_over(policy, reading) || !is_doubtful(policy, reading))
		return watch(policy, state, reading);
	if (reading->pss_state == POLICY_PSS_AWAITED)
		return POLICY_NOTHING;
	if (reading->pss_state == POLICY_PSS_KNOWN && reading->pss <= (int64_t)policy->limit)
		return spare(state, reading);
	return over(policy, state, reading);
}

static enum policy_act hook(const struct mt_policy *policy, struct policy_state *state,
			    const struct policy_reading *reading)
{
	if (is_over_hard(policy, reading))
		return die(state);
	if (reading->hook_ended) {
		state->hook_until_ns = reading->now_mono_ns + HOOK_PAUSE_NS;
		/* What it has freed, only the next pass tells. */
		if (policy->rule == MT_RULE_YARN && state->hook_until_ns < reading->pass_at_ns)
			state->hook_until_ns = reading->pass_at_ns;
	}
	/* Whom it has ended is about to be gone: that called nothing off. */
	if (state->hook_until_ns && !reading->processes)
		state->hook_until_ns = reading->now_mono_ns + HOOK_PAUSE_NS;
	if (!state->hook_until_ns || !reading->processes ||
	    (is_over(policy, reading) && reading->now_mono_ns < state->hook_until_ns))
		return POLICY_NOTHING;
	state->hooked = true;
	return watch(policy, state, reading);
}

static bool is_raised(uint64_t limit, uint64_t before)
{
	return before && (!limit || limit > before);
}

/*
 * A limit that was raised saves the tree at once; memory that was given back when the time is
 * over, if nobody has gone. What is less because some have died of SIGTERM, or are dying, is no
 * reason to spare the rest.
 */
static bool is_saved(const struct mt_policy *policy, const struct policy_state *state,
		     const struct policy_reading *reading)
{
	if (is_over(policy, reading))
		return false;
	return is_raised(policy->limit, state->grace_limit) ||
	       is_raised(policy->vmem_limit, state->grace_vmem_limit) ||
	       (reading->now_mono_ns >= state->grace_until_ns &&
		reading->processes >= state->grace_processes);
}

static enum policy_act grace(const struct mt_policy *policy, struct policy_state *state,
			     const struct policy_reading *reading)
{
	if (is_saved(policy, state, reading)) {
		state->phase = POLICY_WATCHING;
		state->hooked = false;
		return POLICY_CALL_OFF;
	}
	if (reading->now_mono_ns < state->grace_until_ns && !is_over_hard(policy, reading))
		return POLICY_NOTHING;
	return die(state);
}

/* Whether it was told that something will be done, and nothing irrevocable is. */
static bool is_announced(const struct policy_state *state)
{
	return state->phase == POLICY_GRACE || state->phase == POLICY_HOOK || state->hooked;
}

static enum policy_act act(const struct mt_policy *policy, struct policy_state *state,
			   const struct policy_reading *reading)
{
	bool announced = is_announced(state);

	if (state->phase == POLICY_DYING)
		return POLICY_NOTHING;
	if (!policy->limit && !policy->vmem_limit) {
		*state = (struct policy_state){};
		return announced ? POLICY_CALL_OFF : POLICY_NOTHING;
	}
	/* Meanwhile it is only to be reported, which it was. */
	if (announced && only_reports(policy)) {
		state->phase = POLICY_OVER;
		state->hooked = false;
		return POLICY_CALL_OFF;
	}
	switch (state->phase) {
	case POLICY_CONFIRMING:
		return confirm(policy, state, reading);
	case POLICY_HOOK:
		return hook(policy, state, reading);
	case POLICY_GRACE:
		return grace(policy, state, reading);
	case POLICY_OVER:
		/* What was only reported is forgotten when it has fallen, or when more is to be
		 * done. */
		if (only_reports(policy) &&
		    is_above(policy, reading, fallen_from((int64_t)policy->limit)))
			return POLICY_NOTHING;
		return watch(policy, state, reading);
	default:
		return watch(policy, state, reading);
	}
}

struct policy_decision policy_judge(const struct mt_policy *policy, struct policy_state *state,
				    const struct policy_reading *reading)
{
	struct policy_decision decision = {.act = act(policy, state, reading)};

	alarms_place(policy, state, reading, &decision);
	return decision;
}

void policy_stopped(struct policy_state *state)
{
	state->phase = POLICY_DYING;
}

static const char *name_of(const char *const *names, size_t count, uint32_t index)
{
	return index < count ? names[index] : "?";
}

const char *on_limit_name(uint32_t on_limit)
{
	static const char *const names[] = {
		[MT_ON_LIMIT_TERM] = "term",
		[MT_ON_LIMIT_WARN] = "warn",
		[MT_ON_LIMIT_KILL] = "kill",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), on_limit);
}

const char *confirm_name(uint32_t confirm)
{
	static const char *const names[] = {
		[MT_CONFIRM_AUTO] = "auto",
		[MT_CONFIRM_PSS] = "pss",
		[MT_CONFIRM_NEVER] = "never",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), confirm);
}

const char *rule_name(uint32_t rule)
{
	static const char *const names[] = {
		[MT_RULE_EXACT] = "exact",
		[MT_RULE_YARN] = "yarn",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), rule);
}
