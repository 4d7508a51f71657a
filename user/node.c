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
static int tracker_read(struct tracker *tracker, uint32_t tree, struct node_tracker *ret_entry)
{
	struct node_tracker entry = {.tracker = tracker};
	struct look look;
	int err = census_heal(tracker);

	if (!err)
		err = census_losses(tracker, entry.lost);
	if (!err)
		err = look_take_shown(tracker, tree, &look);
	if (err)
		return err;
	entry.snapshot = look.snapshot;
	entry.model = look.model;
	node_peaks_keep(tracker, &entry.model);
	*ret_entry = entry;
	return 0;
}

int node_tracker_read(struct tracker *tracker, struct node_tracker *ret_entry)
{
	return tracker_read(tracker, 0, ret_entry);
}

void node_tracker_free(struct node_tracker *entry)
{
	model_free(&entry->model);
	snapshot_free(&entry->snapshot);
}

/* Takes the tracker when it could be read: it, with this tree (0: all), is one of the node's. */
static int entry_add(struct node *node, struct tracker **tracker, uint32_t tree)
{
	struct node_tracker *entry = &node->trackers[node->count];
	int err = tracker_read(*tracker, tree, entry);

	if (err)
		return talk_error(err, "the maps of tracker %u cannot be read: %s", (*tracker)->id,
				  strerror(-err));
	*tracker = NULL;
	node->count++;
	node_warn(entry);
	return 0;
}

/* One tracker that cannot be read does not hide the others. */
static int trackers_read(struct node *node, struct tracker **trackers, int count)
{
	int err = 0;

	node->trackers = calloc((size_t)count + 1, sizeof(*node->trackers));
	if (!node->trackers)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		int failed = entry_add(node, &trackers[i], 0);

		if (failed)
			err = failed;
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

static int two_tell(const char *name, const struct tree *one, const struct tree *other)
{
	char first[NODE_ID_TEXT], second[NODE_ID_TEXT];

	talk_error(0, "two trees are named %s: say '#%s' or '#%s'", name, node_tree_id(one, first),
		   node_tree_id(other, second));
	return EXIT_USAGE;
}

static int none_tell(const char *name)
{
	talk_error(0, "there is no tree named %.70s: memtree ps lists them", name);
	return EXIT_NO_TREE;
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

			if (!node_is_named(tree, name))
				continue;
			if (found)
				return two_tell(name, found, tree);
			found_in = entry;
			found = tree;
		}
	}
	if (!found)
		return none_tell(name);
	*ret_tracker = found_in;
	*ret_tree = found;
	return 0;
}

/* What a name needs of a tree. False when the slot is free, or its tree has no name any more. */
static bool tree_name(const struct tracker *tracker, uint32_t slot, struct tree *ret_tree)
{
	const struct mt_settings *settings = tracker_slot(tracker, MT_MAP_SETTINGS, slot);
	struct mt_registration registration;

	if (!settings->id || tracker_lookup(tracker, MT_MAP_REGISTRY, &slot, &registration) ||
	    registration.id != settings->id || !registration.name[0])
		return false;
	*ret_tree = (struct tree){.tracker_id = tracker->id, .id = registration.id};
	memcpy(ret_tree->name, registration.name, sizeof(ret_tree->name));
	ret_tree->name[MT_NAME_SIZE - 1] = '\0';
	return true;
}

/* As node_find_tree(), of trackers that are not read. */
static int named_find(struct tracker *const *trackers, int count, const char *name,
		      int *ret_tracker, uint32_t *ret_tree)
{
	struct tree found = {}, tree;

	for (int i = 0; i < count; i++)
		for (uint32_t slot = 0; slot < trackers[i]->header.tree_capacity; slot++) {
			if (!tree_name(trackers[i], slot, &tree) || !node_is_named(&tree, name))
				continue;
			if (found.id)
				return two_tell(name, &found, &tree);
			found = tree;
			*ret_tracker = i;
		}
	if (!found.id)
		return none_tell(name);
	*ret_tree = found.id;
	return 0;
}

bool node_has_named(struct tracker *const *trackers, int count, const char *name)
{
	struct tree tree;

	for (int i = 0; i < count; i++)
		for (uint32_t slot = 0; slot < trackers[i]->header.tree_capacity; slot++)
			if (tree_name(trackers[i], slot, &tree) && node_is_named(&tree, name))
				return true;
	return false;
}

int node_read_tree(const char *name, struct node *ret_node, const struct tree **ret_tree)
{
	struct node node = {.trackers = calloc(1, sizeof(*node.trackers))};
	struct tracker **trackers;
	uint32_t id = 0;
	int count, which = 0, err, status;

	if (!node.trackers)
		return talk_status(talk_error(-ENOMEM, "out of memory"), EXIT_FAILED);
	status = node_find(&trackers, &count);
	if (!status) {
		status = named_find(trackers, count, name, &which, &id);
		err = status ? 0 : entry_add(&node, &trackers[which], id);
		if (err)
			status = talk_status(err, EXIT_FAILED);
		trackers_close(trackers, count);
	}
	*ret_tree = status ? NULL : model_find(&node.trackers[0].model, id);
	/* It may have ended meanwhile. */
	if (!status && !*ret_tree)
		status = none_tell(name);
	if (status) {
		node_free(&node);
		return status;
	}
	*ret_node = node;
	return 0;
}
