// SPDX-License-Identifier: GPL-2.0-only
#include "said.h"

#include <string.h>

json_t *said;

json_t *tree_said(void)
{
	json_t *trees = json_object_get(said, "trees");

	assert_int_equal(json_array_size(trees), 1);
	return json_array_get(trees, 0);
}

json_int_t map_said(const char *key)
{
	return integer(json_object_get(tree_said(), "map"), key);
}

json_int_t procfs_said(const char *key)
{
	return integer(json_object_get(tree_said(), "procfs"), key);
}

json_t *cause_said(const char *name)
{
	json_t *cause;
	size_t i;

	json_array_foreach(json_object_get(tree_said(), "causes"), i,
			   cause) if (!strcmp(json_string_value(json_object_get(cause, "cause")),
					      name)) return cause;
	return NULL;
}

json_int_t cause_bytes(const char *name)
{
	return cause_said(name) ? integer(cause_said(name), "bytes") : 0;
}

json_int_t cause_processes(const char *name)
{
	return cause_said(name) ? integer(cause_said(name), "processes") : 0;
}

/* Every byte of difference has a cause. */
void assert_sums(json_t *tree)
{
	json_t *map = json_object_get(tree, "map"), *procfs = json_object_get(tree, "procfs"),
	       *cause;
	json_int_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(tree, "causes"), i, cause)
		sum += integer(cause, "bytes");
	assert_int_equal(sum, integer(tree, "diff_bytes"));
	assert_int_equal(sum, integer(map, "charged") - integer(procfs, "rss"));
	assert_int_equal(integer(map, "rss"),
			 integer(map, "anon") + integer(map, "file") + integer(map, "shmem"));
}

void assert_explained(void)
{
	if (cause_said("unexplained"))
		print_error("%s\n", outcome.out);
	assert_null(cause_said("unexplained"));
}

void compare_any(const char *name, const char *options)
{
	char line[256];
	json_t *tree;
	size_t i;

	snprintf(line, sizeof(line), "compare %s --json %s", name, options);
	run(line);
	json_decref(said);
	said = outcome.status ? NULL : document();
	if (outcome.status)
		print_error("%s", outcome.err);
	assert_int_equal(outcome.status, 0);
	json_array_foreach(json_object_get(said, "trees"), i, tree) assert_sums(tree);
	assert_explained();
}

/* At rest: nothing moved, and nothing but `causes` (and remainders) made a difference. */
void compare(const char *name, const char *causes)
{
	json_t *cause;
	int tries = 0;
	size_t i;

	/* What was born in this tick may be younger than the reading. */
	do
		compare_any(name, "");
	while (cause_said("moved") && tries++ < 100);
	json_array_foreach(json_object_get(tree_said(), "causes"), i, cause)
	{
		const char *word = json_string_value(json_object_get(cause, "cause"));

		if (strcmp(word, "remainders") && !strstr(causes, word))
			print_error("not expected: %s\n", outcome.out);
		assert_true(!strcmp(word, "remainders") || strstr(causes, word));
	}
}

/* Who one side misses: the reason for `pid`, NULL when it is not missed. */
const char *missed_said(const char *list, pid_t pid)
{
	json_t *missed;
	size_t i;

	json_array_foreach(json_object_get(tree_said(), list), i,
			   missed) if (integer(missed, "pid") ==
				       pid) return json_string_value(json_object_get(missed,
										     "why"));
	return NULL;
}

void assert_missed(const char *list, pid_t pid, const char *why)
{
	const char *told = missed_said(list, pid);

	assert_non_null(told);
	assert_string_equal(told, why);
}
