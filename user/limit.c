// SPDX-License-Identifier: GPL-2.0-only
#include "limit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "policy.h"
#include "units.h"

#define TIME_MAX_NS (3600ULL * 1000 * 1000 * 1000)

const struct mt_policy limit_default = {
	.grace_ns = 250000000,
	.hook_timeout_ns = 5000000000,
	.hard_permille = 2000,
	.warn_permille = 900,
};

/* --- values -------------------------------------------------------------------------------- */

static bool size_parse(const char *text, __u64 *ret_bytes, struct refusal *why)
{
	uint64_t bytes;

	if (!units_parse_size(text, &bytes))
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no size", text);
	*ret_bytes = bytes;
	return true;
}

static bool time_parse(const char *what, const char *text, __u64 *ret_ns, struct refusal *why)
{
	uint64_t ns;

	if (!units_parse_duration(text, &ns))
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no duration", text);
	if (ns > TIME_MAX_NS)
		return refusal_set(why, EXIT_USAGE, "a %s of %.80s is too long, 1h is the most",
				   what, text);
	*ret_ns = ns;
	return true;
}

/* In thousandths, `least` to `most`; a '%' may end a `share`. */
static bool permille_parse(const char *text, bool share, uint32_t least, uint32_t most,
			   uint32_t *ret_permille, struct refusal *why)
{
	char *end;
	double number = strtod(text, &end);
	bool whole = end != text && (!*end || (share && !strcmp(end, "%")));

	if (whole && *end)
		number /= 100;
	if (!whole || !(number * 1000 >= least) || number * 1000 > most)
		return refusal_set(why, EXIT_USAGE, "'%.80s' is not between %g and %g", text,
				   least / 1000.0, most / 1000.0);
	*ret_permille = (uint32_t)(number * 1000 + 0.5);
	return true;
}

/* --- options -------------------------------------------------------------------------------- */

static bool limit_take(const char *text, struct limit_options *options, struct refusal *why)
{
	struct sysinfo memory;
	__u64 bytes = 0;

	if (!size_parse(text, &bytes, why))
		return false;
	if (!sysinfo(&memory) &&
	    bytes > ((uint64_t)memory.totalram + memory.totalswap) * memory.mem_unit)
		return refusal_set(why, EXIT_USAGE,
				   "a limit of %.80s is more than this machine's memory and swap",
				   text);
	options->policy.limit = bytes;
	return options->has_limit = true;
}

static bool on_limit_take(const char *text, struct limit_options *options, struct refusal *why)
{
	for (uint32_t i = MT_ON_LIMIT_TERM; i <= MT_ON_LIMIT_KILL; i++) {
		if (strcmp(text, on_limit_name(i)))
			continue;
		options->policy.on_limit = i;
		return options->has_on_limit = true;
	}
	return refusal_set(why, EXIT_USAGE, "'%.80s' is no action: term, warn or kill", text);
}

static bool grace_take(const char *text, struct limit_options *options, struct refusal *why)
{
	return options->has_grace = time_parse("grace time", text, &options->policy.grace_ns, why);
}

static bool hard_take(const char *text, struct limit_options *options, struct refusal *why)
{
	return options->has_hard = permille_parse(text, false, 1000, 1000000,
						  &options->policy.hard_permille, why);
}

static bool scope_take(const char *text, struct limit_options *options, struct refusal *why)
{
	if (strcmp(text, "tree") && strcmp(text, "process"))
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no scope: tree or process", text);
	options->policy.kill_process = text[0] == 'p';
	return options->has_scope = true;
}

static bool warn_take(const char *text, struct limit_options *options, struct refusal *why)
{
	return options->has_warn = permille_parse(text, true, 0, 1000,
						  &options->policy.warn_permille, why);
}

/* Without a value on the command line. */
static bool dry_run_take(const char *text, struct limit_options *options, struct refusal *why)
{
	bool off = text && !strcmp(text, "false");

	if (text && !off && strcmp(text, "true"))
		return refusal_set(why, EXIT_USAGE, "dry-run is true or false, not '%.80s'", text);
	options->policy.dry_run = !off;
	return options->has_dry_run = true;
}

static bool hook_take(const char *text, struct limit_options *options, struct refusal *why)
{
	if (strlen(text) >= MT_HOOK_SIZE)
		return refusal_set(why, EXIT_USAGE,
				   "a hook has at most %d bytes: put it into a script",
				   MT_HOOK_SIZE - 1);
	memset(options->policy.hook, 0, sizeof(options->policy.hook));
	strcpy(options->policy.hook, text);
	return options->has_hook = true;
}

static bool hook_timeout_take(const char *text, struct limit_options *options, struct refusal *why)
{
	return options->has_hook_timeout = time_parse("hook timeout", text,
						      &options->policy.hook_timeout_ns, why);
}

static bool confirm_take(const char *text, struct limit_options *options, struct refusal *why)
{
	for (uint32_t i = MT_CONFIRM_AUTO; i <= MT_CONFIRM_NEVER; i++) {
		if (strcmp(text, confirm_name(i)))
			continue;
		options->policy.confirm = i;
		return options->has_confirm = true;
	}
	return refusal_set(why, EXIT_USAGE, "'%.80s' confirms nothing: auto, pss or never", text);
}

static bool vmem_limit_take(const char *text, struct limit_options *options, struct refusal *why)
{
	return options->has_vmem_limit = size_parse(text, &options->policy.vmem_limit, why);
}

static bool rule_take(const char *text, struct limit_options *options, struct refusal *why)
{
	for (uint32_t i = MT_RULE_EXACT; i <= MT_RULE_YARN; i++) {
		if (strcmp(text, rule_name(i)))
			continue;
		options->policy.rule = i;
		return options->has_rule = true;
	}
	return refusal_set(why, EXIT_USAGE, "'%.80s' is no policy: exact or yarn", text);
}

static const struct {
	const char *name;
	bool (*take)(const char *text, struct limit_options *options, struct refusal *why);
} table[] = {
	{"limit", limit_take},
	{"on-limit", on_limit_take},
	{"grace", grace_take},
	{"hard-factor", hard_take},
	{"kill-scope", scope_take},
	{"warn", warn_take},
	{"dry-run", dry_run_take},
	{"hook", hook_take},
	{"hook-timeout", hook_timeout_take},
	{"confirm", confirm_take},
	{"vmem-limit", vmem_limit_take},
	{"policy", rule_take},
};

bool limit_is_option(const char *name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].name, name))
			return true;
	return false;
}

bool limit_parse(const char *name, const char *text, struct limit_options *options,
		 struct refusal *ret_refusal)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(table[i].name, name))
			continue;
		if (!text && table[i].take != dry_run_take)
			return refusal_set(ret_refusal, EXIT_USAGE, "%s needs a value", name);
		return table[i].take(text, options, ret_refusal);
	}
	return refusal_set(ret_refusal, EXIT_USAGE, "'%.80s' is no option of a tree", name);
}

/* --- all of them ---------------------------------------------------------------------------- */

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

/* NULL, or what is said together and cannot be meant. */
static const char *contradiction(const struct limit_options *options,
				 const struct mt_policy *policy)
{
	bool terms = policy->on_limit == MT_ON_LIMIT_TERM;

	if (!policy->limit && !policy->vmem_limit && is_any(options))
		return "without a limit (-l SIZE) nothing acts on it";
	if (options->has_grace && !terms)
		return "--grace is for --on-limit term";
	if (options->has_hard && !terms)
		return "--hard-factor is for --on-limit term";
	if (options->has_hook && policy->hook[0] && !terms)
		return "--hook is for --on-limit term";
	if (options->has_hook_timeout && !policy->hook_timeout_ns)
		return "a hook that may take no time cannot run";
	if (options->has_hook_timeout && !policy->hook[0])
		return "--hook-timeout is for a --hook";
	if (options->has_confirm && policy->confirm != MT_CONFIRM_NEVER &&
	    policy->on_limit == MT_ON_LIMIT_KILL)
		return "--confirm is not for --on-limit kill: the kernel does not wait";
	if (policy->rule == MT_RULE_YARN && policy->on_limit == MT_ON_LIMIT_KILL)
		return "--on-limit kill acts at the crossing: --policy yarn decides at passes";
	if (policy->rule == MT_RULE_YARN && (options->has_hard || options->has_confirm))
		return "--hard-factor and --confirm are for --policy exact";
	if (options->has_scope && policy->on_limit == MT_ON_LIMIT_WARN)
		return "--kill-scope is not for --on-limit warn";
	return NULL;
}

bool limit_apply(const struct limit_options *options, struct mt_policy *policy,
		 struct refusal *ret_refusal)
{
	struct mt_policy changed = *policy;
	const char *wrong;

	if (options->has_limit && !options->policy.limit && !policy->limit)
		return refusal_set(ret_refusal, EXIT_USAGE,
				   "a limit of 0 is none, and there is none to take away");
	if (options->has_vmem_limit && !options->policy.vmem_limit && !policy->vmem_limit)
		return refusal_set(ret_refusal, EXIT_USAGE,
				   "a virtual-memory limit of 0 is none, and there is none to take "
				   "away");
	take(options, &changed);
	wrong = contradiction(options, &changed);
	if (wrong)
		return refusal_set(ret_refusal, EXIT_USAGE, "%s", wrong);
	*policy = changed;
	return true;
}
