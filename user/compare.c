// SPDX-License-Identifier: GPL-2.0-only
/* memtree compare: the live maps against the procfs baseline, on the operator's own node. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beside.h"
#include "cleanup.h"
#include "commands.h"
#include "contrast.h"
#include "json.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "units.h"

#define DEFAULT_INTERVAL_NS 3000000000 /* yarn.nodemanager.container-monitor.interval-ms */
#define DEFAULT_VMEM_RATIO 2.1	       /* yarn.nodemanager.vmem-pmem-ratio */

enum { KEY_INTERVAL = 0x4000, KEY_COUNT, KEY_SHADOW, KEY_VMEM_RATIO };

static const struct argp_option table[] = {
	{"interval", KEY_INTERVAL, "TIME", 0, "Between two readings (default: 3s, as YARN)", 0},
	{"count", KEY_COUNT, "COUNT", 0,
	 "How many readings; 0: until the trees end (default: 1, with --shadow 0)", 0},
	{"shadow", KEY_SHADOW, "yarn", 0, "Also say what YARN's monitor would decide, and when", 0},
	{"limit", 'l', "SIZE", 0, "The limit that --shadow judges by (default: the tree's own)", 0},
	{"vmem-ratio", KEY_VMEM_RATIO, "RATIO", 0,
	 "YARN's virtual limit, as a multiple of the limit; 0: not checked (default: 2.1)", 0},
	{0},
};

struct options {
	struct common_options common;
	const char *name; /* NULL: every tree */
	uint64_t interval_ns;
	uint32_t count; /* 0: no end */
	bool has_count, shadow;
	uint64_t limit;
	double vmem_ratio; /* -1: not said */
};

/* A tree over all readings. */
struct subject {
	int tracker; /* its place in the node */
	uint32_t id;
	char name[MT_NAME_SIZE], id_text[NODE_ID_TEXT];
	struct yarn_tree yarn;
	struct shadow shadow;
	uint64_t forks, begun_boot_ns; /* at the last reading */
	int64_t procfs_highest;
	bool ended;
};

struct session {
	const struct options *options;
	struct node node;
	struct procfs procfs;
	struct subject *subjects;
	size_t subject_count;
	uint64_t compared; /* processes, over all readings */
	json_t *readings;
	sigset_t ends; /* the signals that end it, blocked: they wait for the end of a reading */
};

static double ratio_parse(const char *text)
{
	char *end;
	double ratio = strtod(text, &end);

	if (end == text || *end || !(ratio >= 0) || ratio > 1000)
		options_refuse("compare", "'%s' is no ratio", text);
	return ratio;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_INTERVAL:
		if (!units_parse_duration(argument, &options->interval_ns))
			options_refuse("compare", "'%s' is no duration", argument);
		return 0;
	case KEY_COUNT:
		options->has_count = true;
		if (!units_parse_count(argument, &options->count))
			options_refuse("compare", "'%s' is no count", argument);
		return 0;
	case KEY_SHADOW:
		options->shadow = true;
		if (strcmp(argument, "yarn"))
			options_refuse("compare", "--shadow knows yarn alone, not '%s'", argument);
		return 0;
	case KEY_VMEM_RATIO:
		options->vmem_ratio = ratio_parse(argument);
		return 0;
	case 'l':
		if (!units_parse_size(argument, &options->limit) || !options->limit)
			options_refuse("compare", "'%s' is no size", argument);
		return 0;
	case ARGP_KEY_ARG:
		options_take("compare", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void options_judge(struct options *options)
{
	if (!options->shadow && options->limit)
		options_refuse("compare", "--limit is for --shadow yarn");
	if (!options->shadow && options->vmem_ratio >= 0)
		options_refuse("compare", "--vmem-ratio is for --shadow yarn");
	if (options->vmem_ratio < 0)
		options->vmem_ratio = DEFAULT_VMEM_RATIO;
	if (!options->has_count)
		options->count = options->shadow ? 0 : 1;
	if (options->common.json && !options->count)
		options_refuse("compare", "--json prints one document: say --count N");
}

static uint64_t vmem_limit(const struct options *options, uint64_t limit_bytes)
{
	double limit = (double)limit_bytes * options->vmem_ratio;

	return limit < (double)INT64_MAX ? (uint64_t)limit : INT64_MAX;
}

static void subject_add(struct session *session, const struct node_tracker *entry,
			const struct tree *tree)
{
	struct subject *subject = &session->subjects[session->subject_count++];

	subject->tracker = (int)(entry - session->node.trackers);
	subject->id = tree->id;
	memcpy(subject->name, tree->name, sizeof(subject->name));
	node_tree_id(tree, subject->id_text);
	subject->yarn.root = (pid_t)tree->root_tgid;
	subject->shadow.limit_bytes = session->options->limit ?: tree->policy.limit;
	subject->shadow.vmem_limit_bytes = vmem_limit(session->options,
						      subject->shadow.limit_bytes);
}

/* Without a limit there is nothing to shadow. */
static int shadows_check(const struct session *session)
{
	for (size_t i = 0; i < session->subject_count; i++)
		if (!session->options->shadow || session->subjects[i].shadow.limit_bytes)
			return EXIT_OK;
	talk_error(0, "--shadow needs a limit to judge by, and none of these trees has one: say "
		      "--limit SIZE");
	return EXIT_USAGE;
}

static int subjects_choose(struct session *session)
{
	const struct node_tracker *entry;
	const struct tree *tree;
	size_t most = 1;
	int status;

	for (int i = 0; i < session->node.count; i++)
		most += session->node.trackers[i].model.tree_count;
	session->subjects = calloc(most, sizeof(*session->subjects));
	if (!session->subjects) {
		talk_error(-ENOMEM, "there is no memory");
		return EXIT_FAILED;
	}
	if (session->options->name) {
		status = node_find_tree(&session->node, session->options->name, &entry, &tree);
		if (!status)
			subject_add(session, entry, tree);
		return status;
	}
	for (int i = 0; i < session->node.count; i++)
		for (size_t j = 0; j < session->node.trackers[i].model.tree_count; j++)
			subject_add(session, &session->node.trackers[i],
				    &session->node.trackers[i].model.trees[j]);
	return EXIT_OK;
}

static void kinds_read(struct session *session, const struct yarn_tree *yarn,
		       struct contrast *contrast)
{
	for (size_t i = 0; i < yarn->count; i++) {
		pid_t pid = yarn->processes[i].stat.pid;
		struct procfs_kinds kinds;

		if (procfs_kinds_read(&session->procfs, pid, pid, &kinds)) {
			contrast->kinds_unread++;
			continue;
		}
		contrast->kinds.anon += kinds.anon;
		contrast->kinds.file += kinds.file;
		contrast->kinds.shmem += kinds.shmem;
		contrast->kinds.swap += kinds.swap;
	}
}

/* Negative errno. */
static int subject_compare(struct session *session, struct subject *subject,
			   const struct beside *beside, struct contrast *contrast)
{
	const struct snapshot *snapshot = &beside->before[subject->tracker].look.snapshot;
	const struct model *before = &beside->before[subject->tracker].look.model;
	const struct tree *tree = model_find(before, subject->id);
	const struct comparison_sources sources = {
		.before = before,
		.after = &beside->after[subject->tracker].look.model,
		.all = beside->all,
		.all_count = beside->all_count,
		.yarn = &subject->yarn,
		.begun_boot_ns = beside->begun_boot_ns,
		.last_begun_boot_ns = subject->begun_boot_ns,
		.births = tree ? tree->forks - subject->forks : 0,
		.ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK),
		.kept_back_bytes = snapshot->error_bound_bytes,
		.thread_remainders = snapshot->thread_remainders,
	};
	int err = yarn_tree_update(&subject->yarn, beside->all, beside->all_count);

	if (!err)
		err = comparison_make(&sources, subject->id, &contrast->comparison);
	if (err)
		return err;
	kinds_read(session, &subject->yarn, contrast);
	if (session->options->shadow && subject->shadow.limit_bytes)
		shadow_pass(&subject->shadow, &subject->yarn, subject->name, &session->procfs,
			    beside->begun_real_ns);
	if (subject->procfs_highest < contrast->comparison.procfs_rss)
		subject->procfs_highest = contrast->comparison.procfs_rss;
	contrast->peak = tree->peak;
	contrast->procfs_highest = subject->procfs_highest;
	contrast->procfs_cpu_ns = subject->yarn.cpu_ticks *
				  (int64_t)(1000000000 / sources.ticks_per_second);
	subject->forks = tree->forks;
	subject->begun_boot_ns = beside->begun_boot_ns;
	session->compared += contrast->comparison.compared;
	return 0;
}

static bool has_ended(const struct subject *subject, const struct beside *beside)
{
	const struct tree *tree = model_find(&beside->after[subject->tracker].look.model,
					     subject->id);

	return !tree || !tree->holds;
}

/* Prints it, or adds it to `trees`. Negative errno. */
static int subject_show(struct session *session, struct subject *subject,
			const struct beside *beside, json_t *trees)
{
	struct contrast contrast = {.name = subject->name, .id = subject->id_text};
	bool untracked = beside->after[subject->tracker].ended && !has_ended(subject, beside);
	int err = untracked ? -ENOENT : subject_compare(session, subject, beside, &contrast);

	if (err && err != -ENOENT)
		return err;
	contrast.ended = subject->ended = err == -ENOENT;
	contrast.untracked = untracked;
	contrast.shadow = subject->shadow.pass ? &subject->shadow : NULL;
	if (!trees)
		contrast_print(&contrast);
	err = trees && json_array_append_new(trees, contrast_json(&contrast)) ? -ENOMEM : 0;
	comparison_free(&contrast.comparison);
	return err;
}

static int reading_show(struct session *session, const struct beside *beside)
{
	char time[UNITS_TIME_TEXT];
	struct contrast_cost cost = {
		.map_ns = beside->map_ns,
		.map_calls = beside->map_calls,
		.procfs_ns = beside->procfs_ns,
		.procfs_calls = beside->procfs_calls,
	};
	json_t *trees = session->options->common.json ? json_array() : NULL;
	int err = 0;

	units_format_time(beside->begun_real_ns, time);
	if (!trees)
		puts(time);
	for (size_t i = 0; i < session->subject_count && !err; i++) {
		if (session->subjects[i].ended)
			continue;
		cost.containers++;
		err = subject_show(session, &session->subjects[i], beside, trees);
	}
	if (trees)
		json_array_append_new(session->readings,
				      json_pack("{s:s, s:o, s:o}", "ts", time, "trees", trees,
						"cost", contrast_cost_json(&cost)));
	else
		contrast_cost_print(&cost);
	if (beside->unread)
		talk_note("%zu processes of /proc could not be read", beside->unread);
	return err;
}

static bool all_ended(const struct session *session)
{
	for (size_t i = 0; i < session->subject_count; i++)
		if (!session->subjects[i].ended)
			return false;
	return true;
}

/* Whether one of the signals came, or had come before. */
static bool is_interrupted(const struct session *session, uint64_t ns)
{
	const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
				      .tv_nsec = (long)(ns % 1000000000)};

	return sigtimedwait(&session->ends, NULL, &time) > 0;
}

static int readings_take(struct session *session)
{
	const struct options *options = session->options;
	int err = 0;

	for (uint32_t i = 0; !err && (!options->count || i < options->count); i++) {
		struct beside beside;

		if (is_interrupted(session, i ? options->interval_ns : 0) || all_ended(session))
			break;
		err = beside_read(&session->node, &session->procfs, &beside);
		if (err)
			break;
		err = reading_show(session, &beside);
		beside_free(&beside);
		if (!options->common.json && fflush(stdout))
			break;
	}
	return err ? talk_error(err, "the comparison failed: %s", strerror(-err)) : 0;
}

/* The last reading as the contract has it, all of them when there are several. */
static int document_print(json_t *readings)
{
	size_t count = json_array_size(readings);
	json_t *document = json_object();

	json_object_update(document, json_array_get(readings, count - 1));
	if (count > 1)
		json_object_set(document, "readings", readings);
	return json_document_print(document);
}

static int session_run(struct session *session)
{
	int status;

	sigemptyset(&session->ends);
	sigaddset(&session->ends, SIGINT);
	sigaddset(&session->ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &session->ends, NULL);
	if (readings_take(session))
		return EXIT_FAILED;
	if (session->options->common.json && json_array_size(session->readings)) {
		status = document_print(session->readings);
		if (status)
			return status;
	}
	if (session->compared)
		return EXIT_OK;
	talk_error(0, "nothing was compared: no process was found on both sides at rest");
	return EXIT_FAILED;
}

static int procfs_check(struct session *session)
{
	int err = procfs_open("/proc", &session->procfs);

	if (err) {
		talk_error(err, "/proc cannot be read: %s", strerror(-err));
		return EXIT_FAILED;
	}
	if (procfs_namespace_is_initial(&session->procfs, PROCFS_NAMESPACE_PID))
		return EXIT_OK;
	talk_error(0, "the maps have the host's pids, this /proc those of a pid namespace: run "
		      "memtree compare in the host's");
	return EXIT_NOT_POSSIBLE;
}

static void session_free(struct session *session)
{
	for (size_t i = 0; i < session->subject_count; i++) {
		yarn_tree_free(&session->subjects[i].yarn);
		shadow_free(&session->subjects[i].shadow);
	}
	free(session->subjects);
	json_decref(session->readings);
	procfs_close(&session->procfs);
	node_free(&session->node);
}

int command_compare(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "[NAME]",
		.doc = "The live maps against the procfs baseline, YARN's monitor: both sides, the "
		       "causes of each difference, who is missed, and what reading costs.",
		.children = children,
	};
	struct options options = {.interval_ns = DEFAULT_INTERVAL_NS, .vmem_ratio = -1};
	struct session session = {.options = &options, .procfs = {.root = -1}};
	int status;

	options_parse(&argp, "compare", argc, argv, &options);
	options_judge(&options);
	status = node_read(&session.node);
	if (status)
		return status;
	session.readings = json_array();
	status = subjects_choose(&session);
	if (!status)
		status = shadows_check(&session);
	if (!status)
		status = procfs_check(&session);
	if (!status)
		status = session_run(&session);
	session_free(&session);
	return status;
}
