// SPDX-License-Identifier: GPL-2.0-only
/* memtree ps: one line per tree, trees inside a tree below it. */
#include <stdio.h>

#include "commands.h"
#include "json.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "units.h"

static const struct argp_option table[] = {
	OPTION_IS_PLANNED("by", OPTION_PLANNED, "group"),
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = state->input;
		return 0;
	case ARGP_KEY_ARG:
		options_refuse("ps", "unexpected argument '%s'", argument);
	case OPTION_PLANNED:
		options_refuse("ps", "--by is not built yet");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void row_print(const struct tree *tree, int depth)
{
	char size[9][UNITS_SIZE_TEXT], id[NODE_ID_TEXT], cpu[UNITS_DURATION_TEXT];

	printf("%*s%-*s %-7s %-8s %5u %5u %5u %5u %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n",
	       depth * 2, "", 24 - depth * 2, tree->name, node_tree_id(tree, id), model_state(tree),
	       tree->processes, tree->threads, tree->zombies, tree->orphans,
	       units_format_size(tree->charged, size[0]),
	       units_format_size(tree->inherited, size[1]), units_format_size(tree->peak, size[2]),
	       units_format_size(bytes_rss(tree->bytes), size[3]),
	       units_format_size(tree->bytes[MT_ANON], size[4]),
	       units_format_size(tree->bytes[MT_FILE], size[5]),
	       units_format_size(tree->bytes[MT_SHMEM], size[6]),
	       units_format_size(tree->bytes[MT_SWAP], size[7]),
	       units_format_size(tree->vmem, size[8]), units_format_duration(tree->cpu_ns, cpu));
}

static void children_print(const struct model *model, uint32_t parent, int depth)
{
	for (size_t i = 0; i < model->tree_count && depth < MT_DEPTH; i++) {
		if (model_parent(model, &model->trees[i]) != parent)
			continue;
		row_print(&model->trees[i], depth);
		children_print(model, model->trees[i].id, depth + 1);
	}
}

static int text_print(const struct node *node)
{
	printf("%-24s %-7s %-8s %5s %5s %5s %5s %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n", "NAME",
	       "ID", "STATE", "PROC", "THRD", "ZOMB", "ORPH", "CHARGED", "INHERIT", "PEAK", "RSS",
	       "ANON", "FILE", "SHMEM", "SWAP", "VMEM", "CPU");
	for (int i = 0; i < node->count; i++)
		children_print(&node->trackers[i].model, 0, 0);
	return EXIT_OK;
}

int command_ps(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "",
		.doc = "One line per tree: exact memory by kind, what is inherited (exempt now), "
		       "charged and its peak.",
		.children = children,
	};
	struct common_options options = {};
	struct node node;
	int status;

	options_parse(&argp, "ps", argc, argv, &options);
	status = node_read(&node);
	if (status)
		return status;
	status = options.json ? json_document_print(json_ps(node.trackers, node.count))
			      : text_print(&node);
	node_free(&node);
	return status;
}
