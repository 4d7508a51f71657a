// SPDX-License-Identifier: GPL-2.0-only
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell.h"

json_t *explain(struct fixture *fixture, const char *options)
{
	struct tree tree = tree_now(fixture);
	char line[128];

	snprintf(line, sizeof(line), "explain --json %s #%u.%u", options, tree.tracker_id, tree.id);
	run(line);
	if (outcome.status)
		print_error("%s: %d %s\n", line, outcome.status, outcome.err);
	assert_int_equal(outcome.status, 0);
	return document();
}

const json_t *the_tree(const json_t *root)
{
	return json_array_get(json_object_get(root, "trees"), 0);
}

const json_t *figure(const json_t *root, const char *key)
{
	const json_t *one, *figures = json_object_get(the_tree(root), "figures");
	size_t i;

	json_array_foreach(figures, i, one)
	{
		if (!strcmp(json_string_value(json_object_get(one, "key")), key))
			return one;
	}
	fail_msg("no figure %s", key);
	return NULL;
}

int64_t value(const json_t *root, const char *key)
{
	const json_t *one = figure(root, key), *bytes = json_object_get(one, "bytes");

	if (!bytes)
		bytes = json_object_get(one, "count");
	if (!json_is_integer(bytes))
		fail_msg("%s: %s", key, json_string_value(json_object_get(one, "unknown")));
	return json_integer_value(bytes);
}

void assert_unknown(const json_t *root, const char *key, const char *reason)
{
	const char *unknown = json_string_value(json_object_get(figure(root, key), "unknown"));

	if (!unknown || !strstr(unknown, reason))
		fail_msg("%s: '%s' has no '%s'", key, unknown ? unknown : "known", reason);
	assert_false(json_is_integer(json_object_get(figure(root, key), "bytes")));
}

void assert_note(const json_t *root, const char *key, const char *words)
{
	const char *note = json_string_value(json_object_get(figure(root, key), "note"));

	if (!strstr(note, words))
		fail_msg("%s: '%s' has no '%s'", key, note, words);
}

void assert_near(int64_t value, int64_t expected, int64_t tolerance)
{
	if (llabs(value - expected) > tolerance)
		fail_msg("%lld is not %lld within %lld", (long long)value, (long long)expected,
			 (long long)tolerance);
}

bool verdict_has(const json_t *root, const char *words)
{
	const json_t *one, *verdict = json_object_get(the_tree(root), "verdict");
	size_t i;

	json_array_foreach(verdict, i, one)
	{
		if (strstr(json_string_value(one), words))
			return true;
	}
	return false;
}

void begin(struct fixture *fixture, const char *scene)
{
	scene_start_window(fixture, scene, 0);
	scene_next(fixture);
}

int64_t slack(struct fixture *fixture)
{
	return tree_now(fixture).error_bound + 64 * (int64_t)PAGE;
}
