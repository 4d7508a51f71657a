// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree explain: every number that people quote for a tree, each with its formula and why
 * it is not what memtree charges. The tree's maps are read before and after all else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroupfs.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "explanation.h"
#include "json.h"
#include "look.h"
#include "members.h"
#include "node.h"
#include "options.h"
#include "procfs.h"
#include "quoted.h"
#include "row.h"
#include "runtimes.h"
#include "talk.h"
#include "units.h"
#include "verdict.h"

#define PROC "/proc"
#define PSS_TIMEOUT_NS 2000000000ULL

enum { KEY_PSS = 0x3000, KEY_PSS_TIMEOUT };

struct options {
	struct common_options common;
	const char *tree;
	bool pss;
	uint64_t pss_timeout_ns;
};

struct explain {
	const struct options *options;
	const struct node_tracker *entry;
	const struct tree *tree;
	struct look after;
	const struct tree *tree_after;
	struct members members;
	struct quoted_input quoted;
	struct runtimes_input runtimes;
	struct cgroupfs_place place;
	struct cgroupfs_memory memory;
	pid_t *cgroup_pids;
	size_t cgroup_pid_count;
	struct explanation_cost cost;
	char reason[128];
};

static const struct argp_option table[] = {
	{"pss", KEY_PSS, NULL, 0,
	 "Read PSS and USS too: takes milliseconds per GB and holds up "
	 "the processes' own mappings meanwhile",
	 0},
	{"pss-timeout", KEY_PSS_TIMEOUT, "TIME", 0, "How long that may take (2s)", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_PSS:
		options->pss = true;
		return 0;
	case KEY_PSS_TIMEOUT:
		if (!units_parse_duration(argument, &options->pss_timeout_ns))
			options_refuse("explain", "'%.80s' is no time, like 500ms or 2s", argument);
		options->pss = true;
		return 0;
	case ARGP_KEY_ARG:
		options_take("explain", &options->tree, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- the members ------------------------------------------------------------------------ */

static bool is_member(const struct model *model, const struct process *process, uint32_t tree)
{
	return model_is_inside(model, process->tree, tree);
}

/* In either reading; zombies are members. */
static bool pid_is_member(const struct model *model, uint32_t tree, pid_t pid)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i].tgid == (uint32_t)pid &&
		    is_member(model, &model->processes[i], tree))
			return true;
	return false;
}

static bool lives_in(const struct model *model, const struct process *process)
{
	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *other = &model->processes[i];

		if (other->tgid == process->tgid &&
		    other->start_boot_ns == process->start_boot_ns && !other->zombie)
			return true;
	}
	return false;
}

/* --- the cgroup ------------------------------------------------------------------------- */

static const char *place_reason(struct explain *explain, int err)
{
	switch (-err) {
	case EINVAL:
		return "the cgroup's path is deeper than was read";
	case ENOENT:
		return "no cgroup file system is mounted here";
	case EXDEV:
		return "no mount of the cgroup file system shows this cgroup";
	default:
		snprintf(explain->reason, sizeof(explain->reason), PROC " cannot be read: %s",
			 strerror(-err));
		return explain->reason;
	}
}

static const char *memory_reason(struct explain *explain, int err)
{
	switch (-err) {
	case ENOENT:
	case ENODEV:
		return "the cgroup is gone, or its mount is hidden";
	case ESTALE:
		return "something else is mounted over the cgroup file system";
	case EOPNOTSUPP:
		return "the memory controller is on nowhere up this path";
	default:
		snprintf(explain->reason, sizeof(explain->reason), "the cgroup cannot be read: %s",
			 strerror(-err));
		return explain->reason;
	}
}

static void cgroup_members_read(struct explain *explain)
{
	int err;

	if (explain->quoted.procfs_unknown) {
		explain->runtimes.members_unknown = explain->quoted.procfs_unknown;
		return;
	}
	err = cgroupfs_processes_read(&explain->place, explain->memory.path, &explain->cgroup_pids,
				      &explain->cgroup_pid_count);
	if (err)
		explain->runtimes.members_unknown = err == -E2BIG
							    ? "more cgroups below it than are read"
							    : "cgroup.procs cannot be read";
}

static bool cgroup_namespace_is_initial(void)
{
	struct procfs procfs;
	bool initial = !procfs_open(PROC, &procfs);

	if (!initial)
		return false;
	initial = procfs_namespace_is_initial(&procfs, PROCFS_NAMESPACE_CGROUP);
	procfs_close(&procfs);
	return initial;
}

static void cgroup_read(struct explain *explain)
{
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
	struct runtimes_input *runtimes = &explain->runtimes;
	int err;

	if (!explain->tree->cgroup) {
		runtimes->unknown = "the tree's cgroup is not known";
	} else if (!cgroup_namespace_is_initial()) {
		runtimes->unknown = "memtree is not in the initial cgroup namespace";
	} else {
		err = cgroupfs_place_find(PROC, explain->tree->cgroup, &explain->place);
		runtimes->unknown = err ? place_reason(explain, err) : NULL;
	}
	if (!runtimes->unknown) {
		err = cgroupfs_memory_read(&explain->place, &explain->memory);
		runtimes->unknown = err ? memory_reason(explain, err) : NULL;
	}
	runtimes->members_unknown = runtimes->unknown;
	if (!runtimes->unknown) {
		runtimes->memory = &explain->memory;
		cgroup_members_read(explain);
	}
	explain->cost.cgroup_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
}

/* --- after all was read ------------------------------------------------------------------ */

static int after_read(struct explain *explain)
{
	const struct tracker *tracker = explain->entry->tracker;
	int err = look_take_shown(tracker, explain->tree->id, &explain->after);

	if (err)
		return talk_error(err, "the maps of tracker %u cannot be read: %s", tracker->id,
				  strerror(-err));
	explain->tree_after = model_find(&explain->after.model, explain->tree->id);
	if (explain->tree_after && explain->tree_after->holds)
		return 0;
	return talk_error(-ESRCH, "tree %s has ended", explain->tree->name);
}

/* Whoever has ended holds nothing; whoever lives and could not be read is a gap. */
static void members_settle(struct explain *explain)
{
	const struct model *before = &explain->entry->model, *after = &explain->after.model;
	size_t kept = 0;

	for (size_t i = 0; i < explain->members.count; i++) {
		struct quoted_process *process = &explain->members.processes[i];
		bool lives = lives_in(after, explain->members.list[i].process);

		explain->quoted.ended += !lives;
		if (!lives && process->err)
			continue;
		if (!lives && process->smaps_err)
			process->smaps_err = process->pss = process->uss = process->yarn2 =
				process->yarn3 = 0;
		if (process->err == -ESRCH)
			explain->quoted.procfs_unknown =
				"/proc shows others under these pids: another pid or time namespace?";
		explain->members.processes[kept++] = *process;
	}
	for (size_t i = 0; i < after->process_count; i++)
		if (!after->processes[i].zombie &&
		    is_member(after, &after->processes[i], explain->tree->id) &&
		    !lives_in(before, &after->processes[i]))
			explain->quoted.began++;
	explain->quoted.processes = explain->members.processes;
	explain->quoted.count = kept;
}

static bool cgroup_has(const struct explain *explain, pid_t pid)
{
	for (size_t i = 0; i < explain->cgroup_pid_count; i++)
		if (explain->cgroup_pids[i] == pid)
			return true;
	return false;
}

static void cgroup_settle(struct explain *explain)
{
	const char *path = explain->tree->cgroup, *path_after = explain->tree_after->cgroup;
	struct runtimes_input *runtimes = &explain->runtimes;
	uint32_t tree = explain->tree->id;

	if (runtimes->memory && path && path_after && strcmp(path, path_after)) {
		runtimes->memory = NULL;
		runtimes->unknown = "the tree moved to another cgroup while it was read";
		runtimes->members_unknown = runtimes->unknown;
	}
	for (size_t i = 0; i < explain->quoted.count; i++) {
		bool in = cgroup_has(explain, (pid_t)explain->members.processes[i].pid);

		runtimes->members_in += in;
		runtimes->members_out += !in;
	}
	for (size_t i = 0; i < explain->cgroup_pid_count; i++)
		runtimes->strangers +=
			!pid_is_member(&explain->entry->model, tree, explain->cgroup_pids[i]) &&
			!pid_is_member(&explain->after.model, tree, explain->cgroup_pids[i]);
}

static void tree_quote(struct explain *explain)
{
	const struct tree *tree = explain->tree;
	struct quoted_tree *quoted = &explain->quoted.tree;

	*quoted = (struct quoted_tree){
		.metric = json_metric(tree->metric),
		.window_ns = tree->window_ns,
		.charged = tree->charged,
		.charged_after = explain->tree_after->charged,
		.inherited = tree->inherited,
		.peak = tree->peak,
		.live_charged = tree->live_charged,
		.error_bound = tree->error_bound,
		.rss = bytes_rss(tree->bytes),
		.shmem = tree->bytes[MT_SHMEM],
		.swap = tree->bytes[MT_SWAP],
		.processes = tree->processes,
		.zombies = tree->zombies,
	};
	for (size_t i = 0; i < explain->members.count; i++) {
		if (!explain->members.list[i].process->orphan)
			continue;
		quoted->orphans++;
		if (!explain->members.processes[i].again)
			quoted->orphan_bytes += explain->members.processes[i].map_rss;
	}
	explain->runtimes.charged = tree->charged;
}

/* --- the command ------------------------------------------------------------------------ */

static int report(struct explain *explain)
{
	struct rows rows = {};
	struct verdict verdict;
	struct explanation explanation = {
		.entry = explain->entry,
		.tree = explain->tree,
		.rows = &rows,
		.verdict = &verdict,
		.memory = explain->runtimes.memory,
		.cost = explain->cost,
	};

	quoted_rows(&explain->quoted, &rows);
	runtimes_rows(&explain->runtimes, &rows);
	verdict_find(&explain->quoted, &explain->runtimes, &verdict);
	if (explain->options->common.json)
		return explanation_print_json(&explanation);
	explanation_print(&explanation);
	return EXIT_OK;
}

static void cost_take(struct explain *explain)
{
	const struct members *members = &explain->members;

	explain->cost.smaps_asked = explain->options->pss;
	explain->cost.procfs_ns = members->procfs_ns;
	explain->cost.procfs_calls = members->procfs_calls;
	explain->cost.procfs_processes = members->procfs_processes;
	explain->cost.smaps_ns = members->smaps_ns;
	explain->cost.smaps_calls = members->smaps_calls;
	explain->cost.smaps_processes = members->smaps_processes;
}

static int explain_tree(struct explain *explain)
{
	int err;

	if (!explain->tree->holds) {
		talk_error(0, "tree %s has ended", explain->tree->name);
		return EXIT_FAILED;
	}
	err = members_list(&explain->entry->model, explain->tree, &explain->members);
	if (err) {
		talk_error(err, "tree %s: %s", explain->tree->name, strerror(-err));
		return EXIT_FAILED;
	}
	members_read(&explain->members);
	explain->quoted.procfs_unknown = explain->members.procfs_unknown;
	cgroup_read(explain);
	explain->members.smaps_unknown = "not asked for: --pss reads it";
	if (explain->options->pss)
		members_read_smaps(&explain->members, explain->options->pss_timeout_ns);
	explain->quoted.smaps_unknown = explain->members.smaps_unknown;
	cost_take(explain);
	if (after_read(explain))
		return EXIT_FAILED;
	tree_quote(explain);
	members_settle(explain);
	cgroup_settle(explain);
	return report(explain);
}

static void explain_free(struct explain *explain)
{
	look_free(&explain->after);
	cgroupfs_place_free(&explain->place);
	cgroupfs_memory_free(&explain->memory);
	free(explain->cgroup_pids);
	members_free(&explain->members);
}

int command_explain(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Every number that people quote for a tree, each with its formula, its value "
		       "now, and why it is not what memtree charges.",
		.children = children,
	};
	struct options options = {.pss_timeout_ns = PSS_TIMEOUT_NS};
	struct explain explain = {.options = &options};
	uint64_t begun_ns;
	struct node node;
	int status;

	options_parse(&argp, "explain", argc, argv, &options);
	if (!options.tree)
		options_refuse("explain", "which tree?");
	begun_ns = clock_ns(CLOCK_MONOTONIC);
	status = node_read_tree(options.tree, &node, &explain.tree);
	if (status)
		return status;
	explain.cost.maps_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
	explain.entry = &node.trackers[0];
	status = explain_tree(&explain);
	explain_free(&explain);
	node_free(&node);
	return status;
}
