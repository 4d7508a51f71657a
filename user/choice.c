// SPDX-License-Identifier: GPL-2.0-only
#include "choice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "policy.h"
#include "units.h"

#define TIME_MAX_NS (3600ULL * 1000 * 1000 * 1000)

const struct choices choice_default = {
	.policy =
		{
			.grace_ns = 250000000,
			.hook_timeout_ns = 5000000000,
			.hard_permille = 2000,
			.warn_permille = 900,
		},
	.metric = MT_METRIC_RSS,
	.window_ns = 3000000000ULL,
};

static const struct {
	const char *name;
	uint32_t metric;
} metrics[] = {
	{"rss", MT_METRIC_RSS},
	{"anon", 1U << MT_ANON},
	{"anon+swap", 1U << MT_ANON | 1U << MT_SWAP},
	{"anon+shmem+swap", 1U << MT_ANON | 1U << MT_SHMEM | 1U << MT_SWAP},
};

/* --- from text ----------------------------------------------------------------------------- */

/* In `why`, of CHOICE_WHY bytes. */
__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CHOICE_WHY, format, args);
	va_end(args);
	return -EINVAL;
}

static int size_parse(const char *text, uint64_t *ret_bytes, char *why)
{
	if (!units_parse_size(text, ret_bytes))
		return refuse(why, "'%.80s' is no size", text);
	return 0;
}

static int limit_parse(const char *text, uint64_t *ret_bytes, char *why)
{
	struct sysinfo memory;
	uint64_t bytes;

	if (!units_parse_size(text, &bytes))
		return refuse(why, "'%.80s' is no size", text);
	if (!sysinfo(&memory) &&
	    bytes > ((uint64_t)memory.totalram + memory.totalswap) * memory.mem_unit)
		return refuse(why, "a limit of %.80s is more than this machine's memory and swap",
			      text);
	*ret_bytes = bytes;
	return 0;
}

static int time_parse(const char *what, const char *text, uint64_t *ret_ns, char *why)
{
	uint64_t ns;

	if (!units_parse_duration(text, &ns))
		return refuse(why, "'%.80s' is no duration", text);
	if (ns > TIME_MAX_NS)
		return refuse(why, "a %s of %.80s is too long, 1h is the most", what, text);
	*ret_ns = ns;
	return 0;
}

static int window_parse(const char *text, uint64_t *ret_ns, char *why)
{
	uint64_t ns;

	if (!units_parse_duration(text, &ns))
		return refuse(why, "'%.80s' is no duration", text);
	if (ns > MT_WINDOW_MAX_NS)
		return refuse(why, "a window of %.80s is too long, 16s is the most", text);
	*ret_ns = ns;
	return 0;
}

/* In thousandths, `least` to `most`; `suffix` may end it. */
static int permille_parse(const char *text, const char *suffix, double least, double most,
			  uint32_t *ret_permille, char *why)
{
	char *end;
	double number = strtod(text, &end);
	bool whole = end != text && (!*end || !strcmp(end, suffix));

	if (whole && *end)
		number /= 100;
	if (!whole || !(number * 1000 >= least) || number * 1000 > most)
		return refuse(why, "'%.80s' is not between %g and %g", text, least / 1000,
			      most / 1000);
	*ret_permille = (uint32_t)(number * 1000 + 0.5);
	return 0;
}

static int on_limit_parse(const char *text, uint32_t *ret_on_limit, char *why)
{
	for (uint32_t i = MT_ON_LIMIT_TERM; i <= MT_ON_LIMIT_KILL; i++)
		if (!strcmp(text, on_limit_name(i))) {
			*ret_on_limit = i;
			return 0;
		}
	return refuse(why, "'%.80s' is no action: term, warn or kill", text);
}

static int confirm_parse(const char *text, uint32_t *ret_confirm, char *why)
{
	for (uint32_t i = MT_CONFIRM_AUTO; i <= MT_CONFIRM_NEVER; i++)
		if (!strcmp(text, confirm_name(i))) {
			*ret_confirm = i;
			return 0;
		}
	return refuse(why, "'%.80s' confirms nothing: auto, pss or never", text);
}

static int rule_parse(const char *text, uint32_t *ret_rule, char *why)
{
	for (uint32_t i = MT_RULE_EXACT; i <= MT_RULE_YARN; i++)
		if (!strcmp(text, rule_name(i))) {
			*ret_rule = i;
			return 0;
		}
	return refuse(why, "'%.80s' is no policy: exact or yarn", text);
}

static int metric_parse(const char *text, uint32_t *ret_metric, char *why)
{
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (!strcmp(text, metrics[i].name)) {
			*ret_metric = metrics[i].metric;
			return 0;
		}
	return refuse(why, "'%.80s' is no metric: rss, anon, anon+swap or anon+shmem+swap", text);
}

static int scope_parse(const char *text, uint32_t *ret_process, char *why)
{
	if (strcmp(text, "tree") && strcmp(text, "process"))
		return refuse(why, "'%.80s' is no scope: tree or process", text);
	*ret_process = text[0] == 'p';
	return 0;
}

static int hook_parse(const char *text, char ret_hook[MT_HOOK_SIZE], char *why)
{
	size_t length = strlen(text);

	if (length >= MT_HOOK_SIZE)
		return refuse(why, "a hook has at most %d bytes: put it into a script",
			      MT_HOOK_SIZE - 1);
	/* Zeroed behind: it goes into a map. */
	memset(ret_hook, 0, MT_HOOK_SIZE);
	memcpy(ret_hook, text, length);
	return 0;
}

static int hook_timeout_parse(const char *text, uint64_t *ret_ns, char *why)
{
	uint64_t ns;
	int err = time_parse("hook timeout", text, &ns, why);

	if (err)
		return err;
	if (!ns)
		return refuse(why, "a hook that may take no time cannot run");
	*ret_ns = ns;
	return 0;
}

static int value_parse(struct choices *choices, enum choice which, const char *text, char *why)
{
	struct mt_policy *policy = &choices->policy;

	switch (which) {
	case CHOICE_LIMIT:
		return limit_parse(text, (uint64_t *)&policy->limit, why);
	case CHOICE_WARN:
		return permille_parse(text, "%", 0, 1000, &policy->warn_permille, why);
	case CHOICE_ON_LIMIT:
		return on_limit_parse(text, &policy->on_limit, why);
	case CHOICE_GRACE:
		return time_parse("grace time", text, (uint64_t *)&policy->grace_ns, why);
	case CHOICE_HARD_FACTOR:
		return permille_parse(text, "", 1000, 1000000, &policy->hard_permille, why);
	case CHOICE_WINDOW:
		return window_parse(text, &choices->window_ns, why);
	case CHOICE_CONFIRM:
		return confirm_parse(text, &policy->confirm, why);
	case CHOICE_HOOK:
		return hook_parse(text, policy->hook, why);
	case CHOICE_HOOK_TIMEOUT:
		return hook_timeout_parse(text, (uint64_t *)&policy->hook_timeout_ns, why);
	case CHOICE_METRIC:
		return metric_parse(text, &choices->metric, why);
	case CHOICE_KILL_SCOPE:
		return scope_parse(text, &policy->kill_process, why);
	case CHOICE_POLICY:
		return rule_parse(text, &policy->rule, why);
	case CHOICE_VMEM_LIMIT:
		return size_parse(text, (uint64_t *)&policy->vmem_limit, why);
	default:
		return refuse(why, "there is no such choice");
	}
}

int choice_parse(struct choices *choices, enum choice which, const char *text,
		 char ret_why[CHOICE_WHY])
{
	int err = value_parse(choices, which, text, ret_why);

	if (!err)
		choices->said |= 1U << which;
	return err;
}

/* --- to text ------------------------------------------------------------------------------- */

const char *choice_name(enum choice which)
{
	static const char *const names[CHOICES] = {
		[CHOICE_LIMIT] = "limit",
		[CHOICE_WARN] = "warn",
		[CHOICE_ON_LIMIT] = "on-limit",
		[CHOICE_GRACE] = "grace",
		[CHOICE_HARD_FACTOR] = "hard-factor",
		[CHOICE_WINDOW] = "window",
		[CHOICE_CONFIRM] = "confirm",
		[CHOICE_HOOK] = "hook",
		[CHOICE_HOOK_TIMEOUT] = "hook-timeout",
		[CHOICE_METRIC] = "metric",
		[CHOICE_KILL_SCOPE] = "kill-scope",
		[CHOICE_POLICY] = "policy",
		[CHOICE_VMEM_LIMIT] = "vmem-limit",
	};

	return names[which];
}

const char *choice_format_size(uint64_t bytes, char buffer[CHOICE_TEXT])
{
	static const char suffixes[] = "KMGT";
	int unit = -1;

	while (bytes && !(bytes % 1024) && unit < 3) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, CHOICE_TEXT, "%llu", (unsigned long long)bytes);
	else
		snprintf(buffer, CHOICE_TEXT, "%llu%c", (unsigned long long)bytes, suffixes[unit]);
	return buffer;
}

/* Takes the zeros that end a fraction away, and the point if nothing is left of it. */
static void fraction_trim(char *text)
{
	size_t length = strlen(text);

	while (length && text[length - 1] == '0')
		text[--length] = '\0';
	if (length && text[length - 1] == '.')
		text[length - 1] = '\0';
}

const char *choice_format_time(uint64_t ns, char buffer[CHOICE_TEXT])
{
	static const struct {
		const char *suffix;
		uint64_t ns;
	} units[] = {{"h", 3600000000000ULL}, {"m", 60000000000ULL}, {"s", 1000000000}};

	for (size_t i = 0; ns && i < sizeof(units) / sizeof(units[0]); i++)
		if (!(ns % units[i].ns)) {
			snprintf(buffer, CHOICE_TEXT, "%llu%s",
				 (unsigned long long)(ns / units[i].ns), units[i].suffix);
			return buffer;
		}
	snprintf(buffer, CHOICE_TEXT, "%llu.%06llu", (unsigned long long)(ns / 1000000),
		 (unsigned long long)(ns % 1000000));
	fraction_trim(buffer);
	return ns ? strcat(buffer, "ms") : buffer;
}

/* permille / `unit`, then the suffix. */
static const char *permille_format(uint32_t permille, double unit, const char *suffix, char *buffer)
{
	snprintf(buffer, CHOICE_TEXT, "%.3f", permille / unit);
	fraction_trim(buffer);
	return strcat(buffer, suffix);
}

static const char *text_copy(const char *text, char *buffer)
{
	snprintf(buffer, CHOICE_TEXT, "%s", text);
	return buffer;
}

static const char *metric_name(uint32_t metric)
{
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (metrics[i].metric == metric)
			return metrics[i].name;
	return "rss";
}

const char *choice_format(const struct choices *choices, enum choice which,
			  char buffer[CHOICE_TEXT])
{
	const struct mt_policy *policy = &choices->policy;

	switch (which) {
	case CHOICE_LIMIT:
		return choice_format_size(policy->limit, buffer);
	case CHOICE_WARN:
		return permille_format(policy->warn_permille, 10, "%", buffer);
	case CHOICE_ON_LIMIT:
		return text_copy(on_limit_name(policy->on_limit), buffer);
	case CHOICE_GRACE:
		return choice_format_time(policy->grace_ns, buffer);
	case CHOICE_HARD_FACTOR:
		return permille_format(policy->hard_permille, 1000, "", buffer);
	case CHOICE_WINDOW:
		return choice_format_time(choices->window_ns, buffer);
	case CHOICE_CONFIRM:
		return text_copy(confirm_name(policy->confirm), buffer);
	case CHOICE_HOOK:
		return text_copy(policy->hook, buffer);
	case CHOICE_HOOK_TIMEOUT:
		return choice_format_time(policy->hook_timeout_ns, buffer);
	case CHOICE_METRIC:
		return text_copy(metric_name(choices->metric), buffer);
	case CHOICE_KILL_SCOPE:
		return text_copy(policy->kill_process ? "process" : "tree", buffer);
	case CHOICE_POLICY:
		return text_copy(rule_name(policy->rule), buffer);
	case CHOICE_VMEM_LIMIT:
		return choice_format_size(policy->vmem_limit, buffer);
	default:
		return text_copy("", buffer);
	}
}

/* --- together ------------------------------------------------------------------------------ */

static void value_take(struct choices *whole, const struct choices *said, enum choice which)
{
	struct mt_policy *policy = &whole->policy;

	switch (which) {
	case CHOICE_LIMIT:
		policy->limit = said->policy.limit;
		break;
	case CHOICE_WARN:
		policy->warn_permille = said->policy.warn_permille;
		break;
	case CHOICE_ON_LIMIT:
		policy->on_limit = said->policy.on_limit;
		break;
	case CHOICE_GRACE:
		policy->grace_ns = said->policy.grace_ns;
		break;
	case CHOICE_HARD_FACTOR:
		policy->hard_permille = said->policy.hard_permille;
		break;
	case CHOICE_WINDOW:
		whole->window_ns = said->window_ns;
		break;
	case CHOICE_CONFIRM:
		policy->confirm = said->policy.confirm;
		break;
	case CHOICE_HOOK:
		memcpy(policy->hook, said->policy.hook, sizeof(policy->hook));
		break;
	case CHOICE_HOOK_TIMEOUT:
		policy->hook_timeout_ns = said->policy.hook_timeout_ns;
		break;
	case CHOICE_METRIC:
		whole->metric = said->metric;
		break;
	case CHOICE_KILL_SCOPE:
		policy->kill_process = said->policy.kill_process;
		break;
	case CHOICE_POLICY:
		policy->rule = said->policy.rule;
		break;
	case CHOICE_VMEM_LIMIT:
		policy->vmem_limit = said->policy.vmem_limit;
		break;
	default:
		policy->dry_run = said->policy.dry_run;
	}
}

void choice_take(struct choices *whole, const struct choices *said)
{
	for (enum choice which = 0; which <= CHOICE_DRY_RUN; which++)
		if (choice_is_said(said, which))
			value_take(whole, said, which);
	whole->said |= said->said;
}

const char *choice_contradiction(const struct choices *whole, enum choice *ret_which)
{
	if (whole->policy.rule != MT_RULE_YARN)
		return NULL;
	if (whole->policy.on_limit == MT_ON_LIMIT_KILL) {
		*ret_which = CHOICE_ON_LIMIT;
		return "kill acts at the crossing, and the policy yarn decides at passes";
	}
	if (whole->metric != MT_METRIC_RSS) {
		*ret_which = CHOICE_METRIC;
		return "the policy yarn counts rss, and nothing else";
	}
	return NULL;
}
