// SPDX-License-Identifier: GPL-2.0-only
#include "limit.h"

#include <string.h>

#define SAID(choice) (1U << CHOICE_##choice)
#define LIMITS (SAID(LIMIT) | SAID(VMEM_LIMIT))
/* Of a tree, whether it has a limit or not. */
#define OTHERS (SAID(METRIC) | SAID(WINDOW))

/* CHOICES: there is none. */
static enum choice option_find(const char *name)
{
	for (enum choice which = 0; which < CHOICES; which++)
		if (!(1U << which & OTHERS) && !strcmp(choice_name(which), name))
			return which;
	return CHOICES;
}

static bool is_dry_run(const char *name)
{
	return !strcmp(name, "dry-run");
}

bool limit_is_option(const char *name)
{
	return is_dry_run(name) || option_find(name) < CHOICES;
}

bool limit_choose(struct choices *said, enum choice which, const char *text,
		  struct refusal *ret_refusal)
{
	char why[CHOICE_WHY];

	return !choice_parse(said, which, text, why) ||
	       refusal_set(ret_refusal, EXIT_USAGE, "%s", why);
}

/* Without a value on the command line. */
static bool dry_run_parse(const char *text, struct choices *said, struct refusal *why)
{
	bool off = text && !strcmp(text, "false");

	if (text && !off && strcmp(text, "true"))
		return refusal_set(why, EXIT_USAGE, "dry-run is true or false, not '%.80s'", text);
	said->policy.dry_run = !off;
	said->said |= SAID(DRY_RUN);
	return true;
}

bool limit_parse(const char *name, const char *text, struct choices *said,
		 struct refusal *ret_refusal)
{
	enum choice which = option_find(name);

	if (is_dry_run(name))
		return dry_run_parse(text, said, ret_refusal);
	if (which == CHOICES)
		return refusal_set(ret_refusal, EXIT_USAGE, "'%.80s' is no option of a tree", name);
	if (!text)
		return refusal_set(ret_refusal, EXIT_USAGE, "%s needs a value", name);
	return limit_choose(said, which, text, ret_refusal);
}

/* Of what needs a limit to act on. */
static bool is_any(const struct choices *said)
{
	return said->said & ~(LIMITS | OTHERS);
}

bool limit_said(const struct choices *said)
{
	return said->said & LIMITS || is_any(said);
}

/*
 * NULL, or what is said together and cannot be meant. Of what only stands there by default,
 * nothing is refused for not being used.
 */
static const char *contradiction(const struct choices *said, const struct mt_policy *policy)
{
	bool terms = policy->on_limit == MT_ON_LIMIT_TERM;

	if (!policy->limit && !policy->vmem_limit && is_any(said))
		return "without a limit (-l SIZE) nothing acts on it";
	if (choice_is_said(said, CHOICE_GRACE) && !terms)
		return "--grace is for --on-limit term";
	if (choice_is_said(said, CHOICE_HARD_FACTOR) && !terms)
		return "--hard-factor is for --on-limit term";
	if (choice_is_said(said, CHOICE_HOOK) && policy->hook[0] && !terms)
		return "--hook is for --on-limit term";
	if (choice_is_said(said, CHOICE_HOOK_TIMEOUT) && !policy->hook[0])
		return "--hook-timeout is for a --hook";
	if (choice_is_said(said, CHOICE_CONFIRM) && policy->confirm != MT_CONFIRM_NEVER &&
	    policy->on_limit == MT_ON_LIMIT_KILL)
		return "--confirm is not for --on-limit kill: the kernel does not wait";
	if (policy->rule == MT_RULE_YARN && policy->on_limit != MT_ON_LIMIT_KILL &&
	    said->said & (SAID(HARD_FACTOR) | SAID(CONFIRM)))
		return "--hard-factor and --confirm are for --policy exact";
	if (choice_is_said(said, CHOICE_KILL_SCOPE) && policy->on_limit == MT_ON_LIMIT_WARN)
		return "--kill-scope is not for --on-limit warn";
	return NULL;
}

bool limit_apply(const struct choices *said, struct choices *whole, struct refusal *ret_refusal)
{
	struct choices changed = *whole;
	enum choice which;
	const char *wrong;

	if (choice_is_said(said, CHOICE_LIMIT) && !said->policy.limit && !whole->policy.limit)
		return refusal_set(ret_refusal, EXIT_USAGE,
				   "a limit of 0 is none, and there is none to take away");
	if (choice_is_said(said, CHOICE_VMEM_LIMIT) && !said->policy.vmem_limit &&
	    !whole->policy.vmem_limit)
		return refusal_set(ret_refusal, EXIT_USAGE,
				   "a virtual-memory limit of 0 is none, and there is none to take "
				   "away");
	choice_take(&changed, said);
	wrong = contradiction(said, &changed.policy);
	if (wrong)
		return refusal_set(ret_refusal, EXIT_USAGE, "%s", wrong);
	wrong = choice_contradiction(&changed, &which);
	if (wrong)
		return refusal_set(ret_refusal, EXIT_USAGE, "--%s: %s", choice_name(which), wrong);
	*whole = changed;
	return true;
}
