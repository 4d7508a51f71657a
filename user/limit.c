// SPDX-License-Identifier: GPL-2.0-only
#include "limit.h"

#include "options.h"

/* The key of a choice; the limit alone has a letter. */
#define KEY_FIRST 0x5000
#define KEY(choice) (KEY_FIRST + CHOICE_##choice)

static const struct argp_option table[] = {
	{"limit", 'l', "SIZE", 0,
	 "The limit of what is charged (default: none; set takes it away with 0)", 0},
	{"on-limit", KEY(ON_LIMIT), "ACTION", 0,
	 "term (default): SIGTERM, the grace time, SIGKILL; kill: the kernel stops it at the "
	 "limit itself; warn: only say so",
	 0},
	{"grace", KEY(GRACE), "TIME", 0, "Between SIGTERM and SIGKILL (default: 250ms)", 0},
	{"hard-factor", KEY(HARD_FACTOR), "FACTOR", 0,
	 "Beyond so many limits the kernel stops it at once (default: 2)", 0},
	{"kill-scope", KEY(KILL_SCOPE), "SCOPE", 0,
	 "What the kernel stops: the tree (default) or the process that allocates", 0},
	{"warn", KEY(WARN), "SHARE", 0,
	 "Say so at this share of the limit; 0: never (default: 90%)", 0},
	{"dry-run", KEY(DRY_RUN), NULL, 0, "Report everything, do nothing", 0},
	{"hook", KEY(HOOK), "CMD", 0,
	 "Run by sh before the first signal (default: none; set takes it away with '')", 0},
	{"hook-timeout", KEY(HOOK_TIMEOUT), "TIME", 0, "How long it may take (default: 5s)", 0},
	{"confirm", KEY(CONFIRM), "HOW", 0,
	 "auto (default): when only memory that may be shared makes the difference, the "
	 "proportional set size decides; pss: always that; never",
	 0},
	{"vmem-limit", KEY(VMEM_LIMIT), "SIZE", 0,
	 "The limit of virtual memory (default: none; set takes it away with 0)", 0},
	{"policy", KEY(POLICY), "POLICY", 0,
	 "exact (default), or yarn: decide as a NodeManager's monitor does", 0},
	{0},
};

void limit_choose(const char *command, struct choices *said, enum choice which, const char *text)
{
	char why[CHOICE_WHY];

	if (choice_parse(said, which, text, why))
		options_refuse(command, "%s", why);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct choices *said = state->input;

	if (key == 'l') {
		limit_choose(options_command(state), said, CHOICE_LIMIT, argument);
	} else if (key == KEY(DRY_RUN)) {
		said->policy.dry_run = 1;
		said->said |= 1U << CHOICE_DRY_RUN;
	} else if (key >= KEY_FIRST && key < KEY_FIRST + CHOICES) {
		limit_choose(options_command(state), said, (enum choice)(key - KEY_FIRST),
			     argument);
	} else {
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

const struct argp limit_argp = {.options = table, .parser = parse};

#define SAID(choice) (1U << CHOICE_##choice)
#define LIMITS (SAID(LIMIT) | SAID(VMEM_LIMIT))

/* Of what needs a limit to act on. */
static bool is_any(const struct choices *said)
{
	return said->said & ~(LIMITS | SAID(METRIC) | SAID(WINDOW));
}

bool limit_said(const struct choices *said)
{
	return said->said & LIMITS || is_any(said);
}

/* What is said together and cannot be meant. Of what only stands there by default, nothing is
 * refused for not being used. */
static void contradictions_refuse(const char *command, const struct choices *said,
				  const struct choices *whole)
{
	const struct mt_policy *policy = &whole->policy;
	bool terms = policy->on_limit == MT_ON_LIMIT_TERM;

	if (!policy->limit && !policy->vmem_limit && is_any(said))
		options_refuse(command, "without a limit (-l SIZE) nothing acts on it");
	if (choice_is_said(said, CHOICE_GRACE) && !terms)
		options_refuse(command, "--grace is for --on-limit term");
	if (choice_is_said(said, CHOICE_HARD_FACTOR) && !terms)
		options_refuse(command, "--hard-factor is for --on-limit term");
	if (choice_is_said(said, CHOICE_HOOK) && policy->hook[0] && !terms)
		options_refuse(command, "--hook is for --on-limit term");
	if (choice_is_said(said, CHOICE_HOOK_TIMEOUT) && !policy->hook[0])
		options_refuse(command, "--hook-timeout is for a --hook");
	if (choice_is_said(said, CHOICE_CONFIRM) && policy->confirm != MT_CONFIRM_NEVER &&
	    policy->on_limit == MT_ON_LIMIT_KILL)
		options_refuse(command,
			       "--confirm is not for --on-limit kill: the kernel does not wait");
	if (policy->rule == MT_RULE_YARN && policy->on_limit != MT_ON_LIMIT_KILL &&
	    said->said & (SAID(HARD_FACTOR) | SAID(CONFIRM)))
		options_refuse(command, "--hard-factor and --confirm are for --policy exact");
	if (choice_is_said(said, CHOICE_KILL_SCOPE) && policy->on_limit == MT_ON_LIMIT_WARN)
		options_refuse(command, "--kill-scope is not for --on-limit warn");
}

void limit_apply(const char *command, const struct choices *said, struct choices *whole)
{
	const struct mt_policy *policy = &whole->policy;
	enum choice which;
	const char *why;

	if (choice_is_said(said, CHOICE_LIMIT) && !said->policy.limit && !policy->limit)
		options_refuse(command, "a limit of 0 is none, and there is none to take away");
	if (choice_is_said(said, CHOICE_VMEM_LIMIT) && !said->policy.vmem_limit &&
	    !policy->vmem_limit)
		options_refuse(
			command,
			"a virtual-memory limit of 0 is none, and there is none to take away");
	choice_take(whole, said);
	contradictions_refuse(command, said, whole);
	why = choice_contradiction(whole, &which);
	if (why)
		options_refuse(command, "--%s: %s", choice_name(which), why);
}
