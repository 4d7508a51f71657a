// SPDX-License-Identifier: GPL-2.0-only
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census.h"
#include "look.h"
#include "talk.h"

static void node_warn(const struct node_tracker *entry)
{
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (entry->lost[loss])
			talk_note("tracker %u lost %llu events: %s (%u process slots)",
				  entry->tracker->id, (unsigned long long)entry->lost[loss],
				  loss_name((enum mt_loss)loss), entry->snapshot.process_capacity);
	for (size_t i = 0; i < entry->model.tree_count; i++)
		if (entry->model.trees[i].inexact)
			talk_note("tree %s moved while it was read: its figures are not exact",
				  entry->model.trees[i].name);
}

void node_peaks_keep(const struct tracker *tracker, const struct model *model)
{
	for (size_t i = 0; i < model->tree_count; i++)
		if (model->trees[i].peak_is_news)
			tracker_peak_raise(tracker, model->trees[i].id, model->trees[i].charged);
}

/* Healed first, so that what is shown is whole. */
int node_tracker_read(struct tracker *tracker, struct node_tracker *ret_entry)
{
	struct node_tracker entry = {.tracker = tracker};
	struct look look;
	int err = census_heal(tracker);

	if (!err)
		err = census_losses(tracker, entry.lost);
	if (!err)
		err = look_take_cgroups(tracker, &look);
	if (err)
		return err;
	entry.snapshot = look.snapshot;
	entry.model = look.model;
	node_peaks_keep(tracker, &entry.model);
	*ret_entry = entry;
	return 0;
}

void node_tracker_free(struct node_tracker *entry)
{
	model_free(&entry->model);
	snapshot_free(&entry->snapshot);
}

/* One tracker that cannot be read does not hide the others. */
static int trackers_read(struct node *node, struct tracker **trackers, int count)
{
	int err = 0;

	node->trackers = calloc((size_t)count + 1, sizeof(*node->trackers));
	if (!node->trackers)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		struct node_tracker *entry = &node->trackers[node->count];
		int failed = node_tracker_read(trackers[i], entry);

		if (failed) {
			err = talk_error(failed, "the maps of tracker %u cannot be read: %s",
					 trackers[i]->id, strerror(-failed));
			continue;
		}
		trackers[i] = NULL;
		node->count++;
		node_warn(entry);
	}
	return node->count ? 0 : err;
}

int node_find(struct tracker ***ret_trackers, int *ret_count)
{
	struct tracker **trackers;
	int count, foreign;
	int err = trackers_find(&trackers, &count, &foreign);

	if (err == -EPERM || err == -EACCES)
		talk_error(err, "reading BPF maps is not permitted: run as root "
				"(needs CAP_SYS_ADMIN)");
	else if (err)
		talk_error(err, "the kernel's list of BPF maps cannot be read: %s", strerror(-err));
	if (err)
		return talk_status(err, EXIT_FAILED);
	if (foreign)
		talk_note("%d tracker(s) of another memtree version are running: use its own "
			  "binary to read them",
			  foreign);
	if (!count) {
		trackers_close(trackers, count);
		talk_error(0, "no tracker is running on this machine: start one with memtree run");
		return EXIT_NO_TREE;
	}
	*ret_trackers = trackers;
	*ret_count = count;
	return 0;
}

int node_read(struct node *ret_node)
{
	struct node node = {};
	struct tracker **trackers;
	int count, err, status = node_find(&trackers, &count);

	if (status)
		return status;
	err = trackers_read(&node, trackers, count);
	trackers_close(trackers, count);
	if (err) {
		node_free(&node);
		return talk_status(err, EXIT_FAILED);
	}
	*ret_node = node;
	return 0;
}

void node_free(struct node *node)
{
	for (int i = 0; i < node->count; i++) {
		tracker_close(node->trackers[i].tracker);
		node_tracker_free(&node->trackers[i]);
	}
	free(node->trackers);
	memset(node, 0, sizeof(*node));
}

const char *node_tree_id(const struct tree *tree, char buffer[NODE_ID_TEXT])
{
	snprintf(buffer, NODE_ID_TEXT, "%u.%u", tree->tracker_id, tree->id);
	return buffer;
}

bool node_is_named(const struct tree *tree, const char *name)
{
	char id[NODE_ID_TEXT];

	if (name[0] == '#')
		return !strcmp(name + 1, node_tree_id(tree, id));
	return !strcmp(name, tree->name);
}

const struct tree *node_model_find(const struct model *model, const char *name,
				   struct refusal *ret_refusal)
{
	for (size_t i = 0; i < model->tree_count; i++)
		if (node_is_named(&model->trees[i], name))
			return &model->trees[i];
	refusal_set(ret_refusal, EXIT_NO_TREE,
		    "there is no tree named %.70s: {\"op\":\"ps\"} lists them", name);
	return NULL;
}

int node_find_tree(const struct node *node, const char *name,
		   const struct node_tracker **ret_tracker, const struct tree **ret_tree)
{
	const struct node_tracker *found_in = NULL;
	const struct tree *found = NULL;

	for (int i = 0; i < node->count; i++) {
		const struct node_tracker *entry = &node->trackers[i];

		for (size_t j = 0; j < entry->model.tree_count; j++) {
			const struct tree *tree = &entry->model.trees[j];
			char one[NODE_ID_TEXT], other[NODE_ID_TEXT];

			if (!node_is_named(tree, name))
				continue;
			if (found) {
				talk_error(0, "two trees are named %s: say '#%s' or '#%s'", name,
					   node_tree_id(found, one), node_tree_id(tree, other));
				return EXIT_USAGE;
			}
			found_in = entry;
			found = tree;
		}
	}
	if (!found) {
		talk_error(0, "there is no tree named %.70s: memtree ps lists them", name);
		return EXIT_NO_TREE;
	}
	*ret_tracker = found_in;
	*ret_tree = found;
	return 0;
}
