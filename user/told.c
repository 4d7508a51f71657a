// SPDX-License-Identifier: GPL-2.0-only
#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "units.h"

#define LABEL "  %-10s"

static const char *word(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool has(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value && !json_is_null(value);
}

static int by_time(const void *a, const void *b)
{
	const json_t *const *one = a, *const *other = b;
	int order = strcmp(word(*one, "ts"), word(*other, "ts"));

	if (order)
		return order;
	return (number(*one, "seq") > number(*other, "seq")) -
	       (number(*one, "seq") < number(*other, "seq"));
}

json_t *told_sort(json_t *occurrences)
{
	size_t count = json_array_size(occurrences);
	_cleanup_free_ json_t **order = calloc(count + 1, sizeof(*order));
	json_t *sorted = order ? json_array() : NULL;

	for (size_t i = 0; sorted && i < count; i++)
		order[i] = json_array_get(occurrences, i);
	if (sorted && count)
		qsort(order, count, sizeof(*order), by_time);
	for (size_t i = 0; sorted && i < count; i++)
		json_array_append(sorted, order[i]);
	json_decref(occurrences);
	return sorted;
}

static void text_print(const char *text)
{
	_cleanup_free_ char *safe = escape_terminal(text, strlen(text));

	fputs(safe ? safe : "?", stdout);
}

static void head_print(const json_t *occurrence)
{
	text_print(word(occurrence, "ts"));
	putchar(' ');
	text_print(word(occurrence, "name")[0] ? word(occurrence, "name") : "-");
}

void told_print(const json_t *occurrence)
{
	head_print(occurrence);
	putchar(' ');
	text_print(word(occurrence, "text"));
	putchar('\n');
}

static const char *size_text(const json_t *object, const char *key, char text[UNITS_SIZE_TEXT])
{
	return units_format_size(number(object, key), text);
}

static void rule_print(const json_t *told)
{
	char limit[UNITS_SIZE_TEXT], hard[UNITS_SIZE_TEXT], vmem[UNITS_SIZE_TEXT];
	const bool yarn = !strcmp(word(told, "policy"), "yarn");

	if (!has(told, "policy"))
		return;
	printf(LABEL, "rule");
	text_print(word(told, "policy"));
	printf("%s limit %s", yarn ? ": as a NodeManager's monitor;" : ": charged > limit;",
	       has(told, "limit") ? size_text(told, "limit", limit) : "none");
	if (has(told, "vmem_limit"))
		printf(", vmem limit %s", size_text(told, "vmem_limit", vmem));
	if (has(told, "hard_limit"))
		printf(", stopped by the kernel beyond %s", size_text(told, "hard_limit", hard));
	printf("; --on-limit ");
	text_print(word(told, "on_limit"));
	printf("%s%s\n", strcmp(word(told, "kill_scope"), "process") ? "" : " --kill-scope process",
	       json_is_true(json_object_get(told, "dry_run")) ? " --dry-run" : "");
}

static void inputs_print(const json_t *told)
{
	char charged[UNITS_SIZE_TEXT], live[UNITS_SIZE_TEXT], bound[UNITS_SIZE_TEXT];
	char exempt[UNITS_SIZE_TEXT], window[UNITS_DURATION_TEXT], vmem[UNITS_SIZE_TEXT];

	if (!has(told, "charged"))
		return;
	printf(LABEL "charged %s (%lld B)", "inputs", size_text(told, "charged", charged),
	       (long long)number(told, "charged"));
	if (has(told, "metric")) {
		printf(" by ");
		text_print(word(told, "metric"));
		printf(", live view %s +-%s, vmem %s, %lld processes, root %lld",
		       size_text(told, "live", live), size_text(told, "error_bound", bound),
		       size_text(told, "vmem", vmem), (long long)number(told, "processes"),
		       (long long)number(told, "root_pid"));
	}
	printf("\n" LABEL "%s inherited", "exempt", size_text(told, "inherited", exempt));
	if (has(told, "window_ns"))
		printf(" (window %s)",
		       units_format_duration((uint64_t)number(told, "window_ns"), window));
	putchar('\n');
}

static void process_print(const json_t *process)
{
	char rss[UNITS_SIZE_TEXT], anon[UNITS_SIZE_TEXT], inherited[UNITS_SIZE_TEXT];
	const json_t *args = json_object_get(process, "args");

	printf("    %8lld %8lld %-2.2s %8s %8s %9s ", (long long)number(process, "pid"),
	       (long long)number(process, "ppid"), word(process, "state"),
	       size_text(process, "rss", rss), size_text(process, "anon", anon),
	       size_text(process, "inherited", inherited));
	text_print(word(process, "comm"));
	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *arg = json_string_value(json_array_get(args, i));

		putchar(' ');
		text_print(arg ? arg : "");
	}
	putchar('\n');
}

static void dump_print(const json_t *told)
{
	const json_t *dump = json_object_get(told, "dump");

	if (!json_array_size(dump))
		return;
	printf(LABEL "largest first\n    %8s %8s %-2s %8s %8s %9s %s\n", "dump", "PID", "PPID", "S",
	       "RSS", "ANON", "INHERITED", "COMMAND");
	for (size_t i = 0; i < json_array_size(dump); i++)
		process_print(json_array_get(dump, i));
	if (number(told, "dump_left_out"))
		printf("    and %lld smaller ones\n", (long long)number(told, "dump_left_out"));
}

void told_print_whole(const json_t *told)
{
	char freed[UNITS_SIZE_TEXT];

	head_print(told);
	printf(" #");
	text_print(word(told, "id"));
	printf("\n" LABEL, "what");
	text_print(word(told, "text"));
	putchar('\n');
	rule_print(told);
	inputs_print(told);
	if (has(told, "action")) {
		printf(LABEL, "action");
		text_print(word(told, "action"));
		putchar('\n');
	}
	if (has(told, "freed"))
		printf(LABEL "%s freed, %lld signals, took %.1f ms\n", "result",
		       size_text(told, "freed", freed), (long long)number(told, "signals"),
		       (double)number(told, "took_ns") / 1e6);
	dump_print(told);
}
