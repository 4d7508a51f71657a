// SPDX-License-Identifier: GPL-2.0-only
#include "json.h"

#include <stdio.h>
#include <string.h>

#include "charge.h"
#include "cleanup.h"
#include "escape.h"
#include "policy.h"
#include "talk.h"
#include "units.h"

const char *json_metric(uint32_t metric)
{
	switch (metric) {
	case MT_METRIC_RSS:
		return "rss";
	case 1U << MT_ANON:
		return "anon";
	case 1U << MT_ANON | 1U << MT_SWAP:
		return "anon+swap";
	default:
		return "anon+shmem+swap";
	}
}

json_t *json_text(const char *text, size_t length)
{
	size_t safe_length;
	_cleanup_free_ char *safe = escape_utf8(text, length, &safe_length);

	return safe ? json_stringn(safe, safe_length) : NULL;
}

json_t *json_time(int64_t real_ns)
{
	char text[UNITS_TIME_TEXT];

	return real_ns ? json_string(units_format_time(real_ns, text)) : json_null();
}

static json_t *json_boot_time(const struct snapshot *snapshot, uint64_t boot_ns)
{
	return json_time(boot_ns ? snapshot->real_ns - (int64_t)(snapshot->boot_ns - boot_ns) : 0);
}

static void set_kinds(json_t *object, const int64_t bytes[MT_KINDS])
{
	json_object_set_new(object, "rss", json_integer(bytes_rss(bytes)));
	json_object_set_new(object, "anon", json_integer(bytes[MT_ANON]));
	json_object_set_new(object, "file", json_integer(bytes[MT_FILE]));
	json_object_set_new(object, "shmem", json_integer(bytes[MT_SHMEM]));
	json_object_set_new(object, "swap", json_integer(bytes[MT_SWAP]));
}

static json_t *json_parent(const struct model *model, const struct tree *tree)
{
	const struct tree *parent = tree->parent ? model_find(model, tree->parent) : NULL;

	if (tree->parent && tree->parent == model->around)
		return json_string(model->around_name);
	return parent ? json_string(parent->name) : json_null();
}

static json_t *json_cgroup(const struct tree *tree)
{
	return tree->cgroup ? json_text(tree->cgroup, strlen(tree->cgroup)) : json_null();
}

json_t *json_tree(const struct node_tracker *entry, const struct tree *tree)
{
	bool has_limit = tree->policy.limit > 0, has_vmem_limit = tree->policy.vmem_limit > 0;
	bool is_judged = has_limit || has_vmem_limit;
	char id[NODE_ID_TEXT];
	json_t *live = json_object();
	json_t *object = json_pack("{s:s, s:s, s:o, s:n, s:I, s:s}", "name", tree->name, "id",
				   node_tree_id(tree, id), "parent",
				   json_parent(&entry->model, tree), "group", "root_pid",
				   (json_int_t)tree->root_tgid, "state", model_state(tree));

	if (!object || !live)
		return NULL;
	json_object_set_new(object, "processes", json_integer(tree->processes));
	json_object_set_new(object, "threads", json_integer(tree->threads));
	json_object_set_new(object, "zombies", json_integer(tree->zombies));
	json_object_set_new(object, "orphans", json_integer(tree->orphans));
	set_kinds(object, tree->bytes);
	json_object_set_new(object, "inherited", json_integer(tree->inherited));
	json_object_set_new(object, "charged", json_integer(tree->charged));
	json_object_set_new(object, "peak", json_integer(tree->peak));
	json_object_set_new(object, "peak_at", json_time(tree->peak_real_ns));
	json_object_set_new(object, "limit",
			    has_limit ? json_integer((json_int_t)tree->policy.limit) : json_null());
	json_object_set_new(object, "metric", json_string(json_metric(tree->metric)));
	json_object_set_new(object, "window_ns", json_integer((json_int_t)tree->window_ns));
	json_object_set_new(object, "policy",
			    is_judged ? json_string(rule_name(tree->policy.rule)) : json_null());
	json_object_set_new(object, "on_limit",
			    is_judged ? json_string(on_limit_name(tree->policy.on_limit))
				      : json_null());
	json_object_set_new(object, "vmem", json_integer(tree->vmem));
	json_object_set_new(object, "vmem_limit",
			    has_vmem_limit ? json_integer((json_int_t)tree->policy.vmem_limit)
					   : json_null());
	json_object_set_new(object, "cpu_ns", json_integer((json_int_t)tree->cpu_ns));
	json_object_set_new(object, "started_at", json_time(tree->started_real_ns));
	json_object_set_new(object, "cgroup", json_cgroup(tree));
	set_kinds(live, tree->live);
	json_object_set_new(live, "charged", json_integer(tree->live_charged));
	json_object_set_new(live, "error_bound", json_integer(tree->error_bound));
	json_object_set_new(object, "live", live);
	return object;
}

/* The captured area as a list; the last one may be cut. */
static void set_args(json_t *object, const struct tracker *tracker, const struct process *process)
{
	struct mt_process record = {};
	json_t *list = json_array();
	size_t at = 0;

	if (!process->zombie)
		snapshot_args(tracker, process->tgid, process->start_boot_ns, &record);
	while (at < record.args_kept && at < sizeof(record.args)) {
		size_t length = strnlen(record.args + at, record.args_kept - at);

		json_array_append_new(list, json_text(record.args + at, length));
		at += length + 1;
	}
	json_object_set_new(object, "args", list);
	json_object_set_new(object, "args_truncated",
			    json_boolean(record.args_kept < record.args_length));
}

json_t *json_process(const struct tracker *tracker, const struct snapshot *snapshot,
		     const struct process *process)
{
	json_t *object = json_object();
	char start[24], state[2] = {process->state, '\0'};

	if (!object)
		return NULL;
	snprintf(start, sizeof(start), "%llu", (unsigned long long)process->start_boot_ns);
	json_object_set_new(object, "pid", json_integer(process->tgid));
	json_object_set_new(object, "ppid", json_integer(process->ppid));
	json_object_set_new(object, "start", json_string(start));
	json_object_set_new(object, "comm",
			    json_text(process->comm, strnlen(process->comm, MT_COMM_SIZE)));
	set_args(object, tracker, process);
	json_object_set_new(object, "state", json_string(state));
	json_object_set_new(object, "threads", json_integer(process->threads));
	set_kinds(object, process->bytes);
	json_object_set_new(object, "inherited", json_integer(process->inherited));
	json_object_set_new(object, "vmem", json_integer(process->vmem));
	json_object_set_new(object, "cpu_ns", json_integer((json_int_t)process->cpu_ns));
	json_object_set_new(object, "born_at", json_boot_time(snapshot, process->start_boot_ns));
	json_object_set_new(object, "execed_at", json_boot_time(snapshot, process->execed_boot_ns));
	json_object_set_new(object, "shared_mm", json_boolean(process->shared_mm));
	json_object_set_new(object, "orphan", json_boolean(process->orphan));
	json_object_set_new(object, "zombie", json_boolean(process->zombie));
	return object;
}

static json_t *json_losses(const uint64_t losses[MT_LOSSES])
{
	json_t *object = json_object();

	for (int loss = 0; loss < MT_LOSSES; loss++)
		json_object_set_new(object, loss_name((enum mt_loss)loss),
				    json_integer((json_int_t)losses[loss]));
	return object;
}

json_t *json_tracker(const struct node_tracker *entry)
{
	return json_pack("{s:i, s:i, s:i, s:o, s:o}", "id", (int)entry->tracker->id, "pid",
			 (int)entry->snapshot.loader_tgid, "process_capacity",
			 (int)entry->snapshot.process_capacity, "losses",
			 json_losses(entry->model.losses), "unhealed", json_losses(entry->lost));
}

json_t *json_ps(const struct node_tracker *entries, int count)
{
	json_t *trees = json_array(), *trackers = json_array();

	for (int i = 0; i < count; i++) {
		const struct node_tracker *entry = &entries[i];

		json_array_append_new(trackers, json_tracker(entry));
		for (size_t j = 0; j < entry->model.tree_count; j++)
			json_array_append_new(trees, json_tree(entry, &entry->model.trees[j]));
	}
	return json_pack("{s:o, s:o}", "trees", trees, "trackers", trackers);
}

/* A tree and those inside it. */
static void trees_append(json_t *trees, const struct node_tracker *entry, uint32_t id)
{
	const struct model *model = &entry->model;

	for (size_t i = 0; i < model->tree_count; i++) {
		json_t *tree, *processes;

		if (id && !model_is_inside(model, model->trees[i].id, id))
			continue;
		processes = json_array();
		tree = json_tree(entry, &model->trees[i]);
		for (size_t j = 0; j < model->process_count; j++)
			if (model->processes[j].tree == model->trees[i].id)
				json_array_append_new(processes,
						      json_process(entry->tracker, &entry->snapshot,
								   &model->processes[j]));
		json_object_set_new(tree, "processes", processes);
		json_array_append_new(trees, tree);
	}
}

json_t *json_trees(const struct node_tracker *entries, int count, uint32_t id)
{
	json_t *trees = json_array(), *trackers = json_array();

	for (int i = 0; i < count; i++) {
		json_array_append_new(trackers, json_tracker(&entries[i]));
		trees_append(trees, &entries[i], id);
	}
	return json_pack("{s:o, s:o}", "trees", trees, "trackers", trackers);
}

int json_document_print(json_t *document)
{
	int failed = !document || json_dumpf(document, stdout, JSON_INDENT(2));

	putchar('\n');
	json_decref(document);
	if (failed && !ferror(stdout))
		talk_error(0, "the JSON document cannot be built: out of memory");
	return failed ? EXIT_FAILED : EXIT_OK;
}
