// SPDX-License-Identifier: GPL-2.0-only
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "policy.h"

json_t *record_new(const struct subject *subject, const char *type, int64_t real_ns,
		   const char *text)
{
	char id[NODE_ID_TEXT];

	snprintf(id, sizeof(id), "%u.%u", subject->tracker->id, subject->id);
	return json_pack("{s:o, s:s, s:s, s:s, s:o}", "ts", json_time(real_ns), "type", type,
			 "name", subject->name, "id", id, "text", json_text(text, strlen(text)));
}

static json_t *size_or_null(uint64_t bytes)
{
	return bytes ? json_integer((json_int_t)bytes) : json_null();
}

/* Where the kernel stops it by itself. */
static json_t *hard_limit(const struct mt_policy *policy, const struct tree *tree)
{
	if (policy->rule != MT_RULE_EXACT)
		return json_null();
	switch (policy->on_limit) {
	case MT_ON_LIMIT_TERM:
		return size_or_null((uint64_t)policy_hard_limit(
			policy, tree ? tree->shareable - tree->inherited : 0));
	case MT_ON_LIMIT_KILL:
		return size_or_null(policy->limit);
	default:
		return json_null();
	}
}

static void policy_add(json_t *record, const struct mt_policy *policy, const struct tree *tree)
{
	json_object_set_new(record, "limit", size_or_null(policy->limit));
	json_object_set_new(record, "vmem_limit", size_or_null(policy->vmem_limit));
	if (!policy->limit && !policy->vmem_limit)
		return;
	json_object_set_new(record, "hard_limit", hard_limit(policy, tree));
	json_object_set_new(record, "policy", json_string(rule_name(policy->rule)));
	json_object_set_new(record, "on_limit", json_string(on_limit_name(policy->on_limit)));
	json_object_set_new(record, "kill_scope",
			    json_string(policy->kill_process ? "process" : "tree"));
	json_object_set_new(record, "dry_run", json_boolean(policy->dry_run));
	json_object_set_new(record, "grace_ns", json_integer((json_int_t)policy->grace_ns));
	json_object_set_new(record, "warn_permille", json_integer(policy->warn_permille));
}

void record_add_inputs(json_t *record, const struct subject *subject)
{
	const struct tree *tree = subject->tree;

	policy_add(record, subject->policy, tree);
	if (!tree)
		return;
	json_object_set_new(record, "metric", json_string(json_metric(tree->metric)));
	json_object_set_new(record, "window_ns", json_integer((json_int_t)tree->window_ns));
	json_object_set_new(record, "charged", json_integer(tree->charged));
	json_object_set_new(record, "inherited", json_integer(tree->inherited));
	json_object_set_new(record, "live", json_integer(tree->live_charged));
	json_object_set_new(record, "error_bound", json_integer(tree->error_bound));
	json_object_set_new(record, "vmem", json_integer(tree->vmem));
	json_object_set_new(record, "processes", json_integer(tree->processes));
	json_object_set_new(record, "root_pid", json_integer(tree->root_tgid));
}

static int larger_first(const void *a, const void *b)
{
	const struct process *const *one = a, *const *other = b;
	int64_t mine = bytes_rss((*one)->bytes), its = bytes_rss((*other)->bytes);

	return (mine < its) - (mine > its);
}

void record_add_dump(json_t *record, const struct subject *subject)
{
	const struct model *model = subject->look ? &subject->look->model : NULL;
	_cleanup_free_ const struct process **members = NULL;
	size_t count = 0, kept;
	json_t *dump = json_array();

	members = model ? calloc(model->process_count + 1, sizeof(*members)) : NULL;
	for (size_t i = 0; members && i < model->process_count; i++)
		if (model_is_inside(model, model->processes[i].tree, subject->id))
			members[count++] = &model->processes[i];
	if (count)
		qsort(members, count, sizeof(*members), larger_first);
	kept = count < RECORD_DUMP_MAX ? count : RECORD_DUMP_MAX;
	for (size_t i = 0; i < kept; i++)
		json_array_append_new(dump, json_process(subject->tracker, &subject->look->snapshot,
							 members[i]));
	json_object_set_new(record, "dump", dump);
	json_object_set_new(record, "dump_left_out", json_integer((json_int_t)(count - kept)));
}

void record_add_process(json_t *record, const struct mt_event *event)
{
	json_object_set_new(record, "pid", json_integer(event->tgid));
	json_object_set_new(record, "comm",
			    json_text(event->comm, strnlen(event->comm, sizeof(event->comm))));
}
