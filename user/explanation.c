// SPDX-License-Identifier: GPL-2.0-only
#include "explanation.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "json.h"
#include "talk.h"
#include "units.h"

#define LABEL_WIDTH 51
#define NOTE_INDENT "           "

/* --- text ------------------------------------------------------------------------------ */

static const char *group_title(const char *group)
{
	static const char *const titles[][2] = {
		{"memtree", "memtree, exact"},
		{"procfs", "its processes, as /proc tells them"},
		{"smaps", "their page tables (smaps)"},
		{"cgroup", "its cgroup"},
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (!strcmp(titles[i][0], group))
			return titles[i][1];
	return group;
}

/* Broken at blanks, the lines below one another. */
static void text_print(const char *mark, const char *text)
{
	const size_t width = 120 - strlen(mark);
	const int indent = (int)strlen(mark);

	for (bool first = true; *text; first = false) {
		size_t length = strlen(text);

		if (length > width) {
			for (length = width; length && text[length] != ' '; length--)
				;
			length = length ? length : width;
		}
		printf("%*s%.*s\n", indent, first ? mark : "", (int)length, text);
		text += length + (text[length] == ' ');
	}
}

static void row_print(const struct row *row)
{
	char size[UNITS_SIZE_TEXT] = "-";

	if (row->unlimited)
		strcpy(size, "no limit");
	else if (row->known && row->unit == ROW_COUNT)
		snprintf(size, sizeof(size), "%lld", (long long)row->value);
	else if (row->known)
		units_format_size(row->value, size);
	printf("%9s  %-*s  %s\n", size, LABEL_WIDTH, row->label, row->formula);
	if (row->unknown[0])
		text_print(NOTE_INDENT "unknown: ", row->unknown);
	else
		text_print(NOTE_INDENT, row->note);
}

/* A path may hold anything. */
static void path_print(const char *before, const char *path, const char *after)
{
	_cleanup_free_ char *safe = path ? escape_terminal(path, strlen(path)) : NULL;

	printf("%s%s%s", before, safe ? safe : "unknown", after);
}

static void heading_print(const struct explanation *explanation)
{
	const struct cgroupfs_memory *memory = explanation->memory;
	const struct tree *tree = explanation->tree;
	char id[NODE_ID_TEXT];

	printf("%s (#%s): processes %u, zombies %u, orphans %u\n", tree->name,
	       node_tree_id(tree, id), tree->processes, tree->zombies, tree->orphans);
	path_print("cgroup ", tree->cgroup, "");
	if (memory)
		printf(", version %d%s", memory->version == CGROUPFS_V1 ? 1 : 2,
		       memory->is_root ? ", the root: its figures are the machine's" : "");
	putchar('\n');
	if (memory && strcmp(memory->path, tree->cgroup))
		path_print("its memory is counted further up, and all figures are those of ",
			   memory->path, "\n");
	if (memory && memory->limit_path && strcmp(memory->limit_path, memory->path))
		path_print("the limit that counts is that of ", memory->limit_path, "\n");
}

static double milliseconds(uint64_t ns)
{
	return (double)ns / 1000000;
}

static void cost_print(const struct explanation_cost *cost)
{
	char line[400];
	int used = snprintf(
		line, sizeof(line),
		"read in: maps %.1f ms, /proc %.1f ms (processes %zu, system calls %llu), "
		"cgroup %.1f ms",
		milliseconds(cost->maps_ns), milliseconds(cost->procfs_ns), cost->procfs_processes,
		(unsigned long long)cost->procfs_calls, milliseconds(cost->cgroup_ns));

	if (cost->smaps_asked)
		snprintf(line + used, sizeof(line) - (size_t)used,
			 ", smaps %.1f ms (processes %zu, system calls %llu)",
			 milliseconds(cost->smaps_ns), cost->smaps_processes,
			 (unsigned long long)cost->smaps_calls);
	putchar('\n');
	text_print("", line);
}

void explanation_print(const struct explanation *explanation)
{
	const struct rows *rows = explanation->rows;
	const char *group = "";

	heading_print(explanation);
	printf("\n%9s  %-*s  %s\n", "VALUE", LABEL_WIDTH, "WHAT", "FORMULA");
	for (size_t i = 0; i < rows->count; i++) {
		if (strcmp(rows->rows[i].group, group))
			printf("%s%s:\n", i ? "\n" : "", group_title(rows->rows[i].group));
		group = rows->rows[i].group;
		row_print(&rows->rows[i]);
	}
	if (explanation->verdict->count)
		puts("\nverdict:");
	for (size_t i = 0; i < explanation->verdict->count; i++)
		text_print("  - ", explanation->verdict->sentences[i]);
	cost_print(&explanation->cost);
}

/* --- JSON ------------------------------------------------------------------------------ */

static json_t *json_path(const char *path)
{
	size_t length = 0;
	_cleanup_free_ char *safe = path ? escape_utf8(path, strlen(path), &length) : NULL;

	return safe ? json_stringn(safe, length) : json_null();
}

static json_t *json_row(const struct row *row)
{
	bool bytes = row->unit == ROW_BYTES;
	json_t *value = row->known && !row->unlimited ? json_integer(row->value) : json_null();
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:o}", "key", row->key, "group",
				   row->group, "label", row->label, "formula", row->formula,
				   bytes ? "bytes" : "count", value);

	json_object_set_new(object, "unlimited", json_boolean(row->unlimited));
	json_object_set_new(object, "unknown",
			    row->unknown[0] ? json_string(row->unknown) : json_null());
	json_object_set_new(object, "note", json_string(row->note));
	return object;
}

static json_t *json_cost(const struct explanation_cost *cost)
{
	json_t *object = json_object();

	json_object_set_new(object, "map_read_ns", json_integer((json_int_t)cost->maps_ns));
	json_object_set_new(object, "procfs_ns", json_integer((json_int_t)cost->procfs_ns));
	json_object_set_new(object, "procfs_processes",
			    json_integer((json_int_t)cost->procfs_processes));
	json_object_set_new(object, "procfs_calls", json_integer((json_int_t)cost->procfs_calls));
	json_object_set_new(object, "cgroup_ns", json_integer((json_int_t)cost->cgroup_ns));
	json_object_set_new(object, "smaps_ns",
			    cost->smaps_asked ? json_integer((json_int_t)cost->smaps_ns)
					      : json_null());
	json_object_set_new(object, "smaps_processes",
			    json_integer((json_int_t)cost->smaps_processes));
	json_object_set_new(object, "smaps_calls", json_integer((json_int_t)cost->smaps_calls));
	return object;
}

static void json_cgroup_set(json_t *object, const struct cgroupfs_memory *memory)
{
	json_object_set_new(object, "cgroup_version",
			    memory ? json_integer(memory->version == CGROUPFS_V1 ? 1 : 2)
				   : json_null());
	json_object_set_new(object, "cgroup_counted", json_path(memory ? memory->path : NULL));
	json_object_set_new(object, "cgroup_of_limit",
			    json_path(memory ? memory->limit_path : NULL));
}

int explanation_print_json(const struct explanation *explanation)
{
	json_t *tree = json_tree(explanation->entry, explanation->tree), *document;
	json_t *figures = json_array(), *verdict = json_array();
	int failed;

	for (size_t i = 0; i < explanation->rows->count; i++)
		json_array_append_new(figures, json_row(&explanation->rows->rows[i]));
	for (size_t i = 0; i < explanation->verdict->count; i++)
		json_array_append_new(verdict, json_string(explanation->verdict->sentences[i]));
	json_cgroup_set(tree, explanation->memory);
	json_object_set_new(tree, "figures", figures);
	json_object_set_new(tree, "verdict", verdict);
	document = json_pack("{s:[o], s:o}", "trees", tree, "cost", json_cost(&explanation->cost));
	failed = !document || json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
	if (failed && !ferror(stdout))
		talk_error(0, "the JSON document cannot be built: out of memory");
	return failed ? EXIT_FAILED : EXIT_OK;
}
