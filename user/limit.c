// SPDX-License-Identifier: GPL-2.0-only
#include "limit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "options.h"
#include "policy.h"
#include "units.h"

#define TIME_MAX_NS (3600ULL * 1000 * 1000 * 1000)

enum {
	KEY_ON_LIMIT = 0x5000,
	KEY_GRACE,
	KEY_HARD_FACTOR,
	KEY_KILL_SCOPE,
	KEY_WARN,
	KEY_DRY_RUN,
	KEY_HOOK,
	KEY_HOOK_TIMEOUT,
	KEY_CONFIRM,
	KEY_VMEM_LIMIT,
	KEY_POLICY,
};

const struct mt_policy limit_default = {
	.grace_ns = 250000000,
	.hook_timeout_ns = 5000000000,
	.hard_permille = 2000,
	.warn_permille = 900,
};

static const struct argp_option table[] = {
	{"limit", 'l', "SIZE", 0,
	 "The limit of what is charged (default: none; set takes it away with 0)", 0},
	{"on-limit", KEY_ON_LIMIT, "ACTION", 0,
	 "term (default): SIGTERM, the grace time, SIGKILL; kill: the kernel stops it at the "
	 "limit itself; warn: only say so",
	 0},
	{"grace", KEY_GRACE, "TIME", 0, "Between SIGTERM and SIGKILL (default: 250ms)", 0},
	{"hard-factor", KEY_HARD_FACTOR, "FACTOR", 0,
	 "Beyond so many limits the kernel stops it at once (default: 2)", 0},
	{"kill-scope", KEY_KILL_SCOPE, "SCOPE", 0,
	 "What the kernel stops: the tree (default) or the process that allocates", 0},
	{"warn", KEY_WARN, "SHARE", 0, "Say so at this share of the limit; 0: never (default: 90%)",
	 0},
	{"dry-run", KEY_DRY_RUN, NULL, 0, "Report everything, do nothing", 0},
	{"hook", KEY_HOOK, "CMD", 0,
	 "Run by sh before the first signal (default: none; set takes it away with '')", 0},
	{"hook-timeout", KEY_HOOK_TIMEOUT, "TIME", 0, "How long it may take (default: 5s)", 0},
	{"confirm", KEY_CONFIRM, "HOW", 0,
	 "auto (default): when only memory that may be shared makes the difference, the "
	 "proportional set size decides; pss: always that; never",
	 0},
	{"vmem-limit", KEY_VMEM_LIMIT, "SIZE", 0,
	 "The limit of virtual memory (default: none; set takes it away with 0)", 0},
	{"policy", KEY_POLICY, "POLICY", 0,
	 "exact (default), or yarn: decide as a NodeManager's monitor does", 0},
	{0},
};

static uint32_t on_limit_parse(const char *command, const char *text)
{
	for (uint32_t i = MT_ON_LIMIT_TERM; i <= MT_ON_LIMIT_KILL; i++)
		if (!strcmp(text, on_limit_name(i)))
			return i;
	options_refuse(command, "'%s' is no action: term, warn or kill", text);
}

static uint32_t confirm_parse(const char *command, const char *text)
{
	for (uint32_t i = MT_CONFIRM_AUTO; i <= MT_CONFIRM_NEVER; i++)
		if (!strcmp(text, confirm_name(i)))
			return i;
	options_refuse(command, "'%s' confirms nothing: auto, pss or never", text);
}

static uint32_t rule_parse(const char *command, const char *text)
{
	for (uint32_t i = MT_RULE_EXACT; i <= MT_RULE_YARN; i++)
		if (!strcmp(text, rule_name(i)))
			return i;
	options_refuse(command, "'%s' is no policy: exact or yarn", text);
}

static void hook_parse(const char *command, const char *text, char ret_hook[MT_HOOK_SIZE])
{
	if (strlen(text) >= MT_HOOK_SIZE)
		options_refuse(command, "a hook has at most %d bytes: put it into a script",
			       MT_HOOK_SIZE - 1);
	strcpy(ret_hook, text);
}

static uint64_t vmem_parse(const char *command, const char *text)
{
	uint64_t bytes;

	if (!units_parse_size(text, &bytes))
		options_refuse(command, "'%s' is no size", text);
	return bytes;
}

static uint64_t limit_parse(const char *command, const char *text)
{
	struct sysinfo memory;
	uint64_t bytes;

	if (!units_parse_size(text, &bytes))
		options_refuse(command, "'%s' is no size", text);
	if (!sysinfo(&memory) &&
	    bytes > ((uint64_t)memory.totalram + memory.totalswap) * memory.mem_unit)
		options_refuse(command, "a limit of %s is more than this machine's memory and swap",
			       text);
	return bytes;
}

/* In thousandths, `least` to `most`; `suffix` may end it. */
static uint32_t permille_parse(const char *command, const char *text, const char *suffix,
			       double unit, double least, double most)
{
	char *end;
	double number = strtod(text, &end);
	bool whole = end != text && (!*end || !strcmp(end, suffix));

	if (whole && *end)
		number /= 100;
	if (!whole || !(number * unit >= least) || number * unit > most)
		options_refuse(command, "'%s' is not between %g and %g", text, least / 1000,
			       most / 1000);
	return (uint32_t)(number * unit + 0.5);
}

static uint64_t time_parse(const char *command, const char *what, const char *text)
{
	uint64_t ns;

	if (!units_parse_duration(text, &ns))
		options_refuse(command, "'%s' is no duration", text);
	if (ns > TIME_MAX_NS)
		options_refuse(command, "a %s of %s is too long, 1h is the most", what, text);
	return ns;
}

static bool scope_parse(const char *command, const char *text)
{
	if (strcmp(text, "tree") && strcmp(text, "process"))
		options_refuse(command, "'%s' is no scope: tree or process", text);
	return text[0] == 'p';
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct limit_options *options = state->input;
	const char *command = options_command(state);

	switch (key) {
	case 'l':
		options->policy.limit = limit_parse(command, argument);
		options->has_limit = true;
		return 0;
	case KEY_ON_LIMIT:
		options->policy.on_limit = on_limit_parse(command, argument);
		options->has_on_limit = true;
		return 0;
	case KEY_GRACE:
		options->policy.grace_ns = time_parse(command, "grace time", argument);
		options->has_grace = true;
		return 0;
	case KEY_HARD_FACTOR:
		options->policy.hard_permille = permille_parse(command, argument, "", 1000, 1000,
							       1000000);
		options->has_hard = true;
		return 0;
	case KEY_KILL_SCOPE:
		options->policy.kill_process = scope_parse(command, argument);
		options->has_scope = true;
		return 0;
	case KEY_WARN:
		options->policy.warn_permille = permille_parse(command, argument, "%", 1000, 0,
							       1000);
		options->has_warn = true;
		return 0;
	case KEY_DRY_RUN:
		options->policy.dry_run = options->has_dry_run = true;
		return 0;
	case KEY_HOOK:
		hook_parse(command, argument, options->policy.hook);
		options->has_hook = true;
		return 0;
	case KEY_HOOK_TIMEOUT:
		options->policy.hook_timeout_ns = time_parse(command, "hook timeout", argument);
		options->has_hook_timeout = true;
		return 0;
	case KEY_CONFIRM:
		options->policy.confirm = confirm_parse(command, argument);
		options->has_confirm = true;
		return 0;
	case KEY_VMEM_LIMIT:
		options->policy.vmem_limit = vmem_parse(command, argument);
		options->has_vmem_limit = true;
		return 0;
	case KEY_POLICY:
		options->policy.rule = rule_parse(command, argument);
		options->has_rule = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp limit_argp = {.options = table, .parser = parse};

/* Of what needs a limit to act on. */
static bool is_any(const struct limit_options *options)
{
	return options->has_on_limit || options->has_grace || options->has_hard ||
	       options->has_scope || options->has_warn || options->has_dry_run ||
	       options->has_hook || options->has_hook_timeout || options->has_confirm ||
	       options->has_rule;
}

bool limit_said(const struct limit_options *options)
{
	return options->has_limit || options->has_vmem_limit || is_any(options);
}

static void take(const struct limit_options *options, struct mt_policy *policy)
{
	const struct mt_policy *said = &options->policy;

	if (options->has_limit)
		policy->limit = said->limit;
	if (options->has_vmem_limit)
		policy->vmem_limit = said->vmem_limit;
	if (options->has_on_limit)
		policy->on_limit = said->on_limit;
	if (options->has_grace)
		policy->grace_ns = said->grace_ns;
	if (options->has_hard)
		policy->hard_permille = said->hard_permille;
	if (options->has_scope)
		policy->kill_process = said->kill_process;
	if (options->has_warn)
		policy->warn_permille = said->warn_permille;
	if (options->has_dry_run)
		policy->dry_run = said->dry_run;
	if (options->has_hook)
		memcpy(policy->hook, said->hook, sizeof(policy->hook));
	if (options->has_hook_timeout)
		policy->hook_timeout_ns = said->hook_timeout_ns;
	if (options->has_confirm)
		policy->confirm = said->confirm;
	if (options->has_rule)
		policy->rule = said->rule;
}

/* What is said together and cannot be meant. */
static void contradictions_refuse(const char *command, const struct limit_options *options,
				  const struct mt_policy *policy)
{
	bool terms = policy->on_limit == MT_ON_LIMIT_TERM;

	if (!policy->limit && !policy->vmem_limit && is_any(options))
		options_refuse(command, "without a limit (-l SIZE) nothing acts on it");
	if (options->has_grace && !terms)
		options_refuse(command, "--grace is for --on-limit term");
	if (options->has_hard && !terms)
		options_refuse(command, "--hard-factor is for --on-limit term");
	if (options->has_hook && policy->hook[0] && !terms)
		options_refuse(command, "--hook is for --on-limit term");
	if (options->has_hook_timeout && !policy->hook_timeout_ns)
		options_refuse(command, "a hook that may take no time cannot run");
	if (options->has_hook_timeout && !policy->hook[0])
		options_refuse(command, "--hook-timeout is for a --hook");
	if (options->has_confirm && policy->confirm != MT_CONFIRM_NEVER &&
	    policy->on_limit == MT_ON_LIMIT_KILL)
		options_refuse(command,
			       "--confirm is not for --on-limit kill: the kernel does not wait");
	if (policy->rule == MT_RULE_YARN && policy->on_limit == MT_ON_LIMIT_KILL)
		options_refuse(
			command,
			"--on-limit kill acts at the crossing: --policy yarn decides at passes");
	if (policy->rule == MT_RULE_YARN && (options->has_hard || options->has_confirm))
		options_refuse(command, "--hard-factor and --confirm are for --policy exact");
	if (options->has_scope && policy->on_limit == MT_ON_LIMIT_WARN)
		options_refuse(command, "--kill-scope is not for --on-limit warn");
}

void limit_apply(const char *command, const struct limit_options *options, struct mt_policy *policy)
{
	if (options->has_limit && !options->policy.limit && !policy->limit)
		options_refuse(command, "a limit of 0 is none, and there is none to take away");
	if (options->has_vmem_limit && !options->policy.vmem_limit && !policy->vmem_limit)
		options_refuse(
			command,
			"a virtual-memory limit of 0 is none, and there is none to take away");
	take(options, policy);
	contradictions_refuse(command, options, policy);
}
