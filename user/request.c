// SPDX-License-Identifier: GPL-2.0-only
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blast.h"
#include "config.h"
#include "options.h"
#include "units.h"

enum { KEY_CAPACITY = 0x4000, KEY_MAX_KILLS };

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

static const struct argp_option limit_table[] = {
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

static const struct argp_option tree_table[] = {
	{"name", 'n', "NAME", 0, "The tree's name (default: COMM-PID)", 0},
	{"metric", 'm', "METRIC", 0,
	 "What is charged: rss (default), anon, anon+swap or anon+shmem+swap", 0},
	{"window", 'w', "TIME", 0,
	 "How long memory inherited at fork is exempt (default: 3s, at most 16s)", 0},
	{"capacity", KEY_CAPACITY, "COUNT", 0, "Process slots of the tracker (default: 8192)", 0},
	{"max-kills", KEY_MAX_KILLS, "COUNT", 0,
	 "Trees that the tracker ends within a minute; one more, and for a minute limits are only "
	 "reported; 0: any number (default: 30)",
	 0},
	OPTION_IS_PLANNED("group", 'g', "GROUP"),
	{0},
};

static const struct argp_option change_table[] = {
	{"name", 'n', "NAME", 0, "The tree's new name", 0},
	{"window", 'w', "TIME", 0, "How long memory inherited at later forks is exempt", 0},
	{0},
};

/* --- values -------------------------------------------------------------------------------- */

static bool name_parse(const char *text, char ret_name[MT_NAME_SIZE], struct refusal *why)
{
	if (!units_is_name(text))
		return refusal_set(why, EXIT_USAGE,
				   "'%.80s' is no name: 1 to 63 of A-Z a-z 0-9 . _ : -", text);
	strcpy(ret_name, text);
	return true;
}

static bool capacity_parse(const char *text, uint32_t *ret_capacity, struct refusal *why)
{
	uint32_t capacity;

	if (!units_parse_count(text, &capacity) || !capacity || capacity > 4194304)
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no capacity: 1 to 4194304", text);
	*ret_capacity = capacity;
	return true;
}

static bool max_kills_parse(const char *text, struct tree_options *options, struct refusal *why)
{
	uint32_t count;

	if (!units_parse_count(text, &count) || count > BLAST_MOST)
		return refusal_set(why, EXIT_USAGE, "'%.80s' is no number of trees: 0 to %d", text,
				   BLAST_MOST);
	options->max_kills = count;
	return options->has_max_kills = true;
}

/* --- options by name ------------------------------------------------------------------------ */

bool request_parse(const char *name, const char *text, struct tree_options *options,
		   struct refusal *ret_refusal)
{
	if (limit_is_option(name))
		return limit_parse(name, text, &options->said, ret_refusal);
	if (!strcmp(name, "group"))
		return refusal_set(ret_refusal, EXIT_USAGE, "--group is not built yet");
	if (!text)
		return refusal_set(ret_refusal, EXIT_USAGE, "%.80s needs a value", name);
	if (!strcmp(name, "name"))
		return name_parse(text, options->request.name, ret_refusal);
	if (!strcmp(name, "metric"))
		return limit_choose(&options->said, CHOICE_METRIC, text, ret_refusal);
	if (!strcmp(name, "window"))
		return limit_choose(&options->said, CHOICE_WINDOW, text, ret_refusal);
	if (!strcmp(name, "capacity"))
		return capacity_parse(text, &options->loader.process_capacity, ret_refusal);
	if (!strcmp(name, "max-kills"))
		return max_kills_parse(text, options, ret_refusal);
	return refusal_set(ret_refusal, EXIT_USAGE, "'%.80s' is no option of a tree", name);
}

const struct choices *request_base(const char *command)
{
	static struct config config;
	char why[CONFIG_WHY];

	if (config_read(CONFIG_FILE, false, &config, why))
		options_refuse(command, "%s", why);
	return &config.tree;
}

bool request_finish(struct tree_options *options, struct refusal *ret_refusal)
{
	struct choices whole = options->base ? *options->base : choice_default;

	if (!limit_apply(&options->said, &whole, ret_refusal))
		return false;
	options->request.policy = whole.policy;
	options->request.metric = whole.metric;
	options->request.window_ns = whole.window_ns;
	return true;
}

bool request_parse_change(const char *name, const char *text, struct change_options *options,
			  struct refusal *ret_refusal)
{
	if (limit_is_option(name))
		return limit_parse(name, text, &options->said, ret_refusal);
	if (!text)
		return refusal_set(ret_refusal, EXIT_USAGE, "%.80s needs a value", name);
	if (!strcmp(name, "name"))
		return name_parse(text, options->name, ret_refusal);
	if (strcmp(name, "window"))
		return refusal_set(ret_refusal, EXIT_USAGE,
				   "'%.80s' is nothing that a live tree can change", name);
	return limit_choose(&options->said, CHOICE_WINDOW, text, ret_refusal);
}

bool request_changes_any(const struct change_options *options)
{
	return options->name[0] || options->said.said;
}

/* --- on the command line -------------------------------------------------------------------- */

static const char *option_name(const struct argp_option *table, int key)
{
	for (; table->name; table++)
		if (table->key == key)
			return table->name;
	return NULL;
}

static error_t limit_option_parse(int key, char *argument, struct argp_state *state)
{
	const char *name = option_name(limit_table, key);
	struct refusal why;

	if (!name)
		return ARGP_ERR_UNKNOWN;
	if (!limit_parse(name, argument, state->input, &why))
		options_refuse(options_command(state), "%s", why.text);
	return 0;
}

static error_t tree_option_parse(int key, char *argument, struct argp_state *state)
{
	struct tree_options *options = state->input;
	const char *name = option_name(tree_table, key);
	struct refusal why;
	bool fine = true;

	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = &options->said;
	else if (key == ARGP_KEY_END)
		fine = request_finish(options, &why);
	else if (name)
		fine = request_parse(name, argument, options, &why);
	else
		return ARGP_ERR_UNKNOWN;
	if (!fine)
		options_refuse(options_command(state), "%s", why.text);
	return 0;
}

static error_t change_option_parse(int key, char *argument, struct argp_state *state)
{
	struct change_options *options = state->input;
	const char *name = option_name(change_table, key);
	struct refusal why;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = &options->said;
		return 0;
	}
	if (!name)
		return ARGP_ERR_UNKNOWN;
	if (!request_parse_change(name, argument, options, &why))
		options_refuse(options_command(state), "%s", why.text);
	return 0;
}

static const struct argp limit_argp = {.options = limit_table, .parser = limit_option_parse};

static const struct argp_child children[] = {{&limit_argp, 0, NULL, 0}, {0}};

const struct argp request_options = {
	.options = tree_table, .parser = tree_option_parse, .children = children};

const struct argp request_changes = {
	.options = change_table, .parser = change_option_parse, .children = children};

/* --- trees ---------------------------------------------------------------------------------- */

void request_name(struct tree_request *request, const char *comm, pid_t pid)
{
	snprintf(request->name, sizeof(request->name), "%.15s-%d", comm, (int)pid);
	for (char *c = request->name; *c; c++) {
		char one[] = {*c, '\0'};

		if (!units_is_name(one))
			*c = '_';
	}
}

int request_check_shared(const struct tree_options *options, struct refusal *ret_refusal)
{
	const char *option = options->loader.process_capacity ? "--capacity"
			     : options->has_max_kills	      ? "--max-kills"
							      : NULL;

	return option ? refusal_fail(ret_refusal, -EINVAL,
				     "%s is for a tracker of its own: this one is another "
				     "memtree's (see memtree doctor)",
				     option)
		      : 0;
}

int request_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree,
		 struct refusal *ret_refusal)
{
	int err = registry_open(tracker, request, ret_tree);

	if (err == -EEXIST)
		return refusal_fail(ret_refusal, err,
				    "a tree named %s exists already: choose another with -n",
				    request->name);
	if (err == -ELOOP)
		return refusal_fail(ret_refusal, err, "trees lie at most %d deep in each other",
				    MT_DEPTH);
	if (err == -ENOSPC)
		return refusal_fail(ret_refusal, err,
				    "the tracker has no free tree slot (capacity %u)",
				    tracker->header.tree_capacity);
	if (err)
		return refusal_fail(ret_refusal, err, "the tree %s cannot be created: %s",
				    request->name, strerror(-err));
	return 0;
}

int request_change(struct tracker *tracker, const struct change *change,
		   const struct change_options *options, struct refusal *ret_refusal)
{
	struct choices whole = {.policy = *change->policy, .metric = change->metric};
	int err = 0;

	if (!limit_apply(&options->said, &whole, ret_refusal))
		return -EINVAL;
	if (options->name[0] && strcmp(options->name, change->name))
		err = registry_rename(tracker, change->tree, options->name);
	if (!err && choice_is_said(&options->said, CHOICE_WINDOW))
		err = registry_window(tracker, change->tree, whole.window_ns);
	if (!err && limit_said(&options->said))
		err = registry_policy(tracker, change->tree, &whole.policy);
	if (err == -EEXIST)
		return refusal_fail(ret_refusal, err, "a tree named %s exists already",
				    options->name);
	if (err)
		return refusal_fail(ret_refusal, err, "tree %s cannot be changed: %s", change->name,
				    strerror(-err));
	return 0;
}
