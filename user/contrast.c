// SPDX-License-Identifier: GPL-2.0-only
#include "contrast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "units.h"

/* "-1.25M"; room for any. */
static const char *signed_size(int64_t bytes, char buffer[UNITS_SIZE_TEXT + 1])
{
	buffer[0] = bytes < 0 ? '-' : '+';
	units_format_size(bytes < 0 ? -bytes : bytes, buffer + 1);
	return buffer;
}

/* A size or a time below 0 is not known. */
static void side_print(const char *side, uint32_t processes, const int64_t sizes[7], int64_t cpu_ns)
{
	char text[UNITS_SIZE_TEXT], cpu[UNITS_DURATION_TEXT];

	printf("  %-22s %5u", side, processes);
	for (int i = 0; i < 7; i++)
		printf(" %8s", sizes[i] < 0 ? "-" : units_format_size(sizes[i], text));
	printf(" %8s\n", cpu_ns < 0 ? "-" : units_format_duration((uint64_t)cpu_ns, cpu));
}

static void sides_print(const struct contrast *contrast)
{
	const struct comparison *comparison = &contrast->comparison;
	const int64_t *bytes = comparison->bytes;
	const struct procfs_kinds *kinds = &contrast->kinds;
	const int64_t map[] = {comparison->charged, comparison->rss, bytes[MT_ANON],
			       bytes[MT_FILE],	    bytes[MT_SHMEM], bytes[MT_SWAP],
			       comparison->vmem};
	int64_t procfs[] = {comparison->procfs_rss,
			    comparison->procfs_rss,
			    kinds->anon,
			    kinds->file,
			    kinds->shmem,
			    kinds->swap,
			    (int64_t)comparison->procfs_vmem};

	for (int i = 2; contrast->kinds_unread && i < 6; i++)
		procfs[i] = -1; /* a part is no sum */
	side_print("the maps", comparison->processes, map, (int64_t)comparison->cpu_ns);
	side_print("procfs, as YARN reads", comparison->procfs_processes, procfs,
		   contrast->procfs_cpu_ns);
}

static void causes_print(const struct comparison *comparison)
{
	char size[UNITS_SIZE_TEXT + 1];

	printf("  %-22s %5s %8s\n", "difference", "",
	       comparison->difference ? signed_size(comparison->difference, size) : "0");
	for (int cause = 0; cause < CAUSES; cause++) {
		const struct comparison_cause *part = &comparison->causes[cause];

		if (part->bytes || part->processes)
			printf("    %-20s %5u %8s  %s\n", cause_name((enum cause)cause),
			       part->processes, part->bytes ? signed_size(part->bytes, size) : "0",
			       cause_text((enum cause)cause));
	}
}

static void missed_print(const char *side, const struct comparison_process *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *comm = escape_terminal(list[i].comm, strlen(list[i].comm));
		char size[UNITS_SIZE_TEXT];

		printf("  %s %u [%s] %s: %s\n", side, list[i].pid, comm ? comm : "?",
		       units_format_size(list[i].bytes, size), missed_text(list[i].why));
	}
}

static const char *const verdicts[] = {
	[YARN_WITHIN] = "within",
	[YARN_OVER_TWICE] = "over_twice",
	[YARN_OVER_AGED] = "over_aged",
};

static void kill_print(const char *what, const struct shadow_kill *kill)
{
	char time[UNITS_TIME_TEXT];

	if (kill->pass)
		printf("  YARN would have killed it for %s memory at pass %u, %s\n", what,
		       kill->pass, units_format_time(kill->real_ns, time));
}

/* Line by line, each with names and arguments of anybody in it. */
static void words_print(const char *words)
{
	while (*words) {
		size_t tab = *words == '\t', length = strcspn(words, "\n");
		_cleanup_free_ char *line = escape_terminal(words + tab, length - tab);

		printf("%s%s\n", tab ? "\t" : "", line ? line : "?");
		words += length + (words[length] == '\n');
	}
}

static void shadow_print(const struct shadow *shadow)
{
	const struct yarn_decision *last = &shadow->last;
	char size[5][UNITS_SIZE_TEXT];

	printf("  YARN, pass %u: ", shadow->pass);
	if (last->skipped)
		puts("decides nothing (the first pass, or the root is gone)");
	else
		printf("current %s, older %s of %s: %s; virtual %s of %s: %s\n",
		       units_format_size((int64_t)last->memory, size[0]),
		       units_format_size((int64_t)last->memory_aged, size[1]),
		       units_format_size((int64_t)shadow->limit_bytes, size[2]),
		       verdicts[last->physical_memory],
		       units_format_size((int64_t)last->vmem, size[3]),
		       units_format_size((int64_t)shadow->vmem_limit_bytes, size[4]),
		       verdicts[last->virtual_memory]);
	kill_print("virtual", &shadow->virtual);
	kill_print("physical", &shadow->physical);
	if (shadow->words && shadow->pass == shadow->words_pass)
		words_print(shadow->words);
}

void contrast_print(const struct contrast *contrast)
{
	const struct comparison *comparison = &contrast->comparison;
	char peak[UNITS_SIZE_TEXT], highest[UNITS_SIZE_TEXT];

	if (contrast->ended) {
		printf("%s (#%s) %s\n", contrast->name, contrast->id,
		       contrast->untracked ? "is no longer tracked: its tracker has ended"
					   : "ended while it was read");
		return;
	}
	printf("%s (#%s)\n", contrast->name, contrast->id);
	printf("  %-22s %5s %8s %8s %8s %8s %8s %8s %8s %8s\n", "", "PROC", "CHARGED", "RSS",
	       "ANON", "FILE", "SHMEM", "SWAP", "VMEM", "CPU");
	sides_print(contrast);
	causes_print(comparison);
	printf("  highest: the maps %s (exact peak), procfs %s (of what its passes saw)\n",
	       units_format_size(contrast->peak, peak),
	       units_format_size(contrast->procfs_highest, highest));
	missed_print("procfs misses", comparison->missed_by_procfs,
		     comparison->missed_by_procfs_count);
	missed_print("the maps miss", comparison->missed_by_map, comparison->missed_by_map_count);
	if (contrast->shadow)
		shadow_print(contrast->shadow);
}

static double cost_ratio(const struct contrast_cost *cost)
{
	return (double)cost->procfs_ns * cost->containers /
	       (double)(cost->map_ns ? cost->map_ns : 1);
}

void contrast_cost_print(const struct contrast_cost *cost)
{
	printf("cost: the maps %.3f ms, %llu system calls; /proc %.3f ms, %llu system calls, once "
	       "for each of %u containers: %.0fx\n",
	       (double)cost->map_ns / 1e6, (unsigned long long)cost->map_calls,
	       (double)cost->procfs_ns / 1e6, (unsigned long long)cost->procfs_calls,
	       cost->containers, cost_ratio(cost));
}

static void set_integer(json_t *object, const char *key, int64_t value)
{
	json_object_set_new(object, key, json_integer(value));
}

static json_t *causes_json(const struct comparison *comparison)
{
	json_t *list = json_array();

	for (int cause = 0; cause < CAUSES; cause++) {
		const struct comparison_cause *part = &comparison->causes[cause];

		if (part->bytes || part->processes)
			json_array_append_new(list,
					      json_pack("{s:s, s:I, s:I, s:s}", "cause",
							cause_name((enum cause)cause), "bytes",
							(json_int_t)part->bytes, "processes",
							(json_int_t)part->processes, "text",
							cause_text((enum cause)cause)));
	}
	return list;
}

static json_t *missed_json(const struct comparison_process *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		size_t length;
		_cleanup_free_ char *comm = escape_utf8(list[i].comm, strlen(list[i].comm),
							&length);

		json_array_append_new(
			array,
			json_pack("{s:I, s:I, s:s%, s:I, s:s, s:s}", "pid", (json_int_t)list[i].pid,
				  "ppid", (json_int_t)list[i].ppid, "comm", comm ? comm : "",
				  comm ? length : 0, "bytes", (json_int_t)list[i].bytes, "why",
				  missed_name(list[i].why), "text", missed_text(list[i].why)));
	}
	return array;
}

static json_t *map_json(const struct contrast *contrast)
{
	const struct comparison *comparison = &contrast->comparison;
	json_t *map = json_object();

	set_integer(map, "processes", comparison->processes);
	set_integer(map, "zombies", comparison->zombies);
	set_integer(map, "charged", comparison->charged);
	set_integer(map, "inherited", comparison->inherited);
	set_integer(map, "rss", comparison->rss);
	set_integer(map, "anon", comparison->bytes[MT_ANON]);
	set_integer(map, "file", comparison->bytes[MT_FILE]);
	set_integer(map, "shmem", comparison->bytes[MT_SHMEM]);
	set_integer(map, "swap", comparison->bytes[MT_SWAP]);
	set_integer(map, "vmem", comparison->vmem);
	set_integer(map, "cpu_ns", (int64_t)comparison->cpu_ns);
	set_integer(map, "peak", contrast->peak);
	return map;
}

static json_t *procfs_json(const struct contrast *contrast)
{
	const struct comparison *comparison = &contrast->comparison;
	const struct procfs_kinds *kinds = &contrast->kinds;
	const struct {
		const char *key;
		int64_t bytes;
	} parts[] = {{"anon", kinds->anon},
		     {"file", kinds->file},
		     {"shmem", kinds->shmem},
		     {"swap", kinds->swap}};
	json_t *procfs = json_object();

	set_integer(procfs, "processes", comparison->procfs_processes);
	set_integer(procfs, "rss", comparison->procfs_rss);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		json_object_set_new(procfs, parts[i].key,
				    contrast->kinds_unread ? json_null()
							   : json_integer(parts[i].bytes));
	set_integer(procfs, "vmem", (int64_t)comparison->procfs_vmem);
	set_integer(procfs, "cpu_ns", contrast->procfs_cpu_ns);
	set_integer(procfs, "highest", contrast->procfs_highest);
	return procfs;
}

static json_t *kill_json(const struct shadow_kill *kill)
{
	char time[UNITS_TIME_TEXT];

	return kill->pass ? json_pack("{s:I, s:s}", "pass", (json_int_t)kill->pass, "at",
				      units_format_time(kill->real_ns, time))
			  : json_null();
}

static json_t *shadow_json(const struct shadow *shadow)
{
	const struct yarn_decision *last = &shadow->last;
	json_t *object = json_object();

	set_integer(object, "pass", shadow->pass);
	json_object_set_new(object, "skipped", json_boolean(last->skipped));
	set_integer(object, "limit", (int64_t)shadow->limit_bytes);
	set_integer(object, "vmem_limit", (int64_t)shadow->vmem_limit_bytes);
	set_integer(object, "current", (int64_t)last->memory);
	set_integer(object, "aged", (int64_t)last->memory_aged);
	set_integer(object, "vmem", (int64_t)last->vmem);
	set_integer(object, "vmem_aged", (int64_t)last->vmem_aged);
	json_object_set_new(object, "verdict", json_string(verdicts[last->physical_memory]));
	json_object_set_new(object, "vmem_verdict", json_string(verdicts[last->virtual_memory]));
	json_object_set_new(object, "killed", kill_json(&shadow->physical));
	json_object_set_new(object, "vmem_killed", kill_json(&shadow->virtual));
	if (shadow->words) {
		size_t length;
		_cleanup_free_ char *words = escape_utf8(shadow->words, strlen(shadow->words),
							 &length);

		json_object_set_new(object, "words", words ? json_stringn(words, length) : NULL);
	}
	return object;
}

json_t *contrast_json(const struct contrast *contrast)
{
	const struct comparison *comparison = &contrast->comparison;
	const char *end = contrast->untracked ? "untracked" : "ended";
	json_t *object = json_pack("{s:s, s:s, s:s}", "name", contrast->name, "id", contrast->id,
				   "state", contrast->ended ? end : "running");

	if (!object)
		return NULL;
	json_object_set_new(object, "map", contrast->ended ? json_null() : map_json(contrast));
	json_object_set_new(object, "procfs",
			    contrast->ended ? json_null() : procfs_json(contrast));
	json_object_set_new(object, "diff_bytes",
			    contrast->ended ? json_null() : json_integer(comparison->difference));
	set_integer(object, "compared", comparison->compared);
	json_object_set_new(object, "causes", causes_json(comparison));
	json_object_set_new(object, "missed_by_procfs",
			    missed_json(comparison->missed_by_procfs,
					comparison->missed_by_procfs_count));
	json_object_set_new(object, "missed_by_map",
			    missed_json(comparison->missed_by_map,
					comparison->missed_by_map_count));
	if (contrast->shadow)
		json_object_set_new(object, "shadow", shadow_json(contrast->shadow));
	return object;
}

json_t *contrast_cost_json(const struct contrast_cost *cost)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "map_read_ns", (json_int_t)cost->map_ns,
			 "map_calls", (json_int_t)cost->map_calls, "procfs_scan_ns",
			 (json_int_t)cost->procfs_ns, "procfs_calls",
			 (json_int_t)cost->procfs_calls, "containers", (json_int_t)cost->containers,
			 "ratio", cost_ratio(cost));
}
