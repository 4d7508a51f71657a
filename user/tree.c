// SPDX-License-Identifier: GPL-2.0-only
/* memtree tree: the processes of a tree, drawn as a tree. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "escape.h"
#include "family.h"
#include "json.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "units.h"

struct options {
	struct common_options common;
	const char *name; /* NULL: every tree */
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		options_take("tree", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What a person recognises a process by: its arguments, else its name in brackets. */
static void command_print(const struct node_tracker *entry, const struct process *process)
{
	struct mt_process record = {};
	_cleanup_free_ char *shown = NULL;
	char text[MT_ARGS_SIZE + 4];
	size_t length;

	if (!process->zombie)
		snapshot_args(entry->tracker, process->tgid, process->start_boot_ns, &record);
	length = record.args_kept < sizeof(record.args) ? record.args_kept : sizeof(record.args);
	while (length && !record.args[length - 1])
		length--;
	if (length) {
		for (size_t i = 0; i < length; i++)
			text[i] = record.args[i] ? record.args[i] : ' ';
	} else {
		length = (size_t)snprintf(text, sizeof(text), "[%.*s]", MT_COMM_SIZE,
					  process->comm);
	}
	shown = escape_terminal(text, length);
	printf("%s%s", shown ? shown : "?", record.args_kept < record.args_length ? "..." : "");
}

static void flags_print(const struct node_tracker *entry, const struct process *process,
			uint32_t drawn_tree)
{
	const struct tree *inner = model_find(&entry->model, process->tree);

	if (process->zombie)
		printf("  (zombie)");
	if (process->orphan)
		printf("  (orphan)");
	if (process->shared_mm)
		printf("  (shares its address space)");
	if (process->inexact)
		printf("  (not exact)");
	if (process->tree != drawn_tree && inner && inner->root_tgid == process->tgid)
		printf("  (tree %s)", inner->name);
	putchar('\n');
}

struct drawing {
	const struct node_tracker *entry;
	const struct family *family;
	uint32_t tree;
	char prefix[512];
};

static void row_print(const struct drawing *drawing, const struct member *member,
		      const char *branch)
{
	const struct process *process = member->process;
	char size[7][UNITS_SIZE_TEXT];

	printf("%8u %8s %8s %8s %8s %8s %8s %8s %5u %c  %s%s", process->tgid,
	       units_format_size(member->total, size[0]),
	       units_format_size(bytes_rss(process->bytes), size[1]),
	       units_format_size(process->bytes[MT_ANON], size[2]),
	       units_format_size(process->bytes[MT_FILE], size[3]),
	       units_format_size(process->bytes[MT_SHMEM], size[4]),
	       units_format_size(process->bytes[MT_SWAP], size[5]),
	       units_format_size(process->inherited, size[6]), process->threads, process->state,
	       drawing->prefix, branch);
	command_print(drawing->entry, process);
	flags_print(drawing->entry, process, drawing->tree);
}

static const struct member *child_after(const struct family *family, const struct member *parent,
					const struct member *previous)
{
	const struct member *member = previous ? previous + 1 : family->members;

	for (; member < family->members + family->count; member++)
		if (member->parent == parent)
			return member;
	return NULL;
}

static void children_print(struct drawing *drawing, const struct member *parent)
{
	const struct member *child = child_after(drawing->family, parent, NULL), *next;
	size_t length = strlen(drawing->prefix);

	for (; child; child = next) {
		next = child_after(drawing->family, parent, child);
		row_print(drawing, child, !parent ? "" : next ? "|- " : "`- ");
		if (length + 4 < sizeof(drawing->prefix))
			strcpy(drawing->prefix + length, !parent ? "" : next ? "|  " : "   ");
		children_print(drawing, child);
		drawing->prefix[length] = '\0';
	}
}

static void heading_print(const struct tree *tree)
{
	char size[3][UNITS_SIZE_TEXT], id[NODE_ID_TEXT], time[UNITS_TIME_TEXT];
	char cpu[UNITS_DURATION_TEXT];
	_cleanup_free_ char *cgroup = tree->cgroup
					      ? escape_terminal(tree->cgroup, strlen(tree->cgroup))
					      : NULL;

	printf("%s (#%s): charged %s, inherited %s, peak %s; processes %u, threads %u, "
	       "zombies %u, orphans %u\n",
	       tree->name, node_tree_id(tree, id), units_format_size(tree->charged, size[0]),
	       units_format_size(tree->inherited, size[1]), units_format_size(tree->peak, size[2]),
	       tree->processes, tree->threads, tree->zombies, tree->orphans);
	printf("started %s, cpu %s, cgroup %s\n", units_format_time(tree->started_real_ns, time),
	       units_format_duration(tree->cpu_ns, cpu), cgroup ? cgroup : "unknown");
}

static int tree_draw(const struct node_tracker *entry, const struct tree *tree)
{
	struct family family;
	struct drawing drawing = {.entry = entry, .family = &family, .tree = tree->id};
	int err = family_build(&entry->model, tree, &family);

	if (err) {
		talk_error(err, "tree %s: %s", tree->name, strerror(-err));
		return EXIT_FAILED;
	}
	heading_print(tree);
	printf("%8s %8s %8s %8s %8s %8s %8s %8s %5s %c  %s\n", "PID", "TOTAL", "RSS", "ANON",
	       "FILE", "SHMEM", "SWAP", "INHERIT", "THRD", 'S', "COMMAND");
	children_print(&drawing, NULL);
	family_free(&family);
	return EXIT_OK;
}

static int all_show(const struct node *node, bool as_json)
{
	int status = EXIT_OK;

	if (as_json)
		return json_document_print(json_trees(node->trackers, node->count, 0));
	for (int i = 0; i < node->count; i++) {
		const struct node_tracker *entry = &node->trackers[i];

		for (size_t j = 0; j < entry->model.tree_count && !status; j++)
			if (!model_parent(&entry->model, &entry->model.trees[j]))
				status = tree_draw(entry, &entry->model.trees[j]);
	}
	return status;
}

static int one_show(const struct node_tracker *entry, const struct tree *tree, bool as_json)
{
	return as_json ? json_document_print(json_trees(entry, 1, tree->id))
		       : tree_draw(entry, tree);
}

int command_tree(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "[NAME]",
		.doc = "The processes of a tree, drawn as a tree; TOTAL is what a process "
		       "and its descendants are charged.",
		.children = children,
	};
	struct options options = {};
	const struct tree *tree = NULL;
	struct node node;
	int status;

	options_parse(&argp, "tree", argc, argv, &options);
	status = options.name ? node_read_tree(options.name, &node, &tree) : node_read(&node);
	if (status)
		return status;
	status = tree ? one_show(&node.trackers[0], tree, options.common.json)
		      : all_show(&node, options.common.json);
	node_free(&node);
	return status;
}
