// SPDX-License-Identifier: GPL-2.0-only
/* Commands and trackers: none, several, refused, full, left behind. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "groups.h"
#include "shell.h"

static void ignore_children(void)
{
	signal(SIGCHLD, SIG_IGN);
}

static void test_a_parent_that_ignores_its_children(void **state)
{
	(void)state;
	run_prepared(ignore_children, "run -- sh -c 'exit 7'");
	assert_int_equal(outcome.status, 7);
}

static void test_without_permission_one_line_and_4(void **state)
{
	static const char *const lines[] = {"run -- true", "ps", "tree"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run_prepared(become_nobody, lines[i]);
		assert_int_equal(outcome.status, 4);
		assert_one_line(outcome.err);
	}
}

static void test_without_btf_one_line_and_4(void **state)
{
	(void)state;
	run_prepared(hide_btf, "run -- true");
	assert_int_equal(outcome.status, 4);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "BTF"));
	assert_false(tracker_left());
}

static void test_without_a_tracker_3(void **state)
{
	(void)state;
	if (trackers_count(false))
		skip_because("somebody else's tracker runs on this machine");
	run("ps");
	assert_int_equal(outcome.status, 3);
	assert_one_line(outcome.err);
	run("tree nobody");
	assert_int_equal(outcome.status, 3);
}

static int trees_named(const char *name)
{
	json_t *root, *tree;
	int count = 0;
	size_t i;

	run("ps --json");
	if (outcome.status)
		return 0; /* no tracker yet */
	root = document();
	json_array_foreach(json_object_get(root, "trees"), i, tree)
		count += !strcmp(json_string_value(json_object_get(tree, "name")), name);
	json_decref(root);
	return count;
}

static void test_two_trackers_side_by_side(void **state)
{
	struct started one, other;

	(void)state;
	one = start(NULL, "run -n twin -- sleep 100");
	other = start(NULL, "run -n twin -- sleep 100");
	await_trackers(2);
	for (time_t end = 0; trees_named("twin") != 2 && poll_on(&end);)
		;
	assert_int_equal(trees_named("twin"), 2);
	/* A name that two trackers use asks for the id. */
	run("tree twin");
	assert_int_equal(outcome.status, 2);
	assert_one_line(outcome.err);
	assert_non_null(strchr(outcome.err, '#'));
	kill(one.pid, SIGTERM);
	finish(one);
	assert_int_equal(outcome.status, 128 + SIGTERM);
	kill(other.pid, SIGTERM);
	finish(other);
	assert_int_equal(outcome.status, 128 + SIGTERM);
	await_trackers(0);
}

static void test_run_inside_run_is_a_tree_inside_a_tree(void **state)
{
	json_t *root, *outer, *inner;

	(void)state;
	run("run -n outer -- sh -c '$M run -n inner -- sh -c \"sleep 1000 & $M ps --json; "
	    "kill \\$!\"; exit $?'");
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(trackers_count(true), 0); /* and one while it ran: */
	outer = tree_named(root, "outer");
	inner = tree_named(root, "inner");
	assert_string_equal(json_string_value(json_object_get(inner, "parent")), "outer");
	assert_int_equal(strcspn(json_string_value(json_object_get(inner, "id")), "."),
			 strcspn(json_string_value(json_object_get(outer, "id")), "."));
	assert_true(json_is_null(json_object_get(outer, "parent")));
	/* A shell, the sleep and the reader; the outer one also has the inner memtree and a shell. */
	assert_int_equal(integer(inner, "processes"), 3);
	assert_int_equal(integer(outer, "processes"), 5);
	assert_true(integer(outer, "rss") > integer(inner, "rss"));
	json_decref(root);
	await_trackers(0);
}

static void test_an_inner_run_survives_the_outer_memtree(void **state)
{
	struct started outer = start(NULL, "run -n outer -- sh -c '$M run -n inner -- sleep 1000'");
	json_t *root;
	bool both = false;

	(void)state;
	await_trackers(1);
	for (time_t end = 0; !both && poll_on(&end);) {
		run("ps");
		both = strstr(outcome.out, "inner") != NULL;
	}
	assert_true(both);
	kill(outer.pid, SIGKILL);
	finish(outer);
	assert_int_equal(outcome.status, 1000 + SIGKILL);
	run("ps --json");
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(integer(tree_named(root, "inner"), "processes"), 1);
	kill((pid_t)integer(tree_named(root, "inner"), "root_pid"), SIGTERM);
	json_decref(root);
	await_trackers(0);
}

static void test_the_command_gets_no_fd_of_memtree(void **state)
{
	(void)state;
	/* 3 is the directory that ls reads. */
	run("run -- sh -c 'ls /proc/self/fd'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "0\n1\n2\n3\n");
}

static void test_nothing_is_left_after_sigkill(void **state)
{
	struct started started = start(NULL, "run -n killed -- sleep 1");

	(void)state;
	await_trackers(1);
	kill(started.pid, SIGKILL);
	finish(started);
	assert_int_equal(outcome.status, 1000 + SIGKILL);
	await_trackers(0);
}

/* How many programs named `name` are loaded. */
static int programs_loaded(const char *name)
{
	int loaded = 0;
	__u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && !strcmp(info.name, name))
			loaded++;
		close(fd);
	}
	return loaded;
}

static void test_no_program_stays_loaded(void **state)
{
	(void)state;
	run("run -- true");
	assert_int_equal(outcome.status, 0);
	for (time_t end = 0;
	     programs_loaded("memory_moved") > trackers_count(false) && poll_on(&end);)
		;
	assert_int_equal(programs_loaded("memory_moved"), trackers_count(false));
}

static void test_a_full_map_is_counted_and_shown(void **state)
{
	json_t *root, *tracker;
	json_int_t losses = 0;
	size_t i;

	(void)state;
	run("run -n tiny --capacity 4 -- sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; "
	    "sleep 0.3; $M ps --json; wait'");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "processes_full"));
	root = document();
	json_array_foreach(json_object_get(root, "trackers"), i, tracker)
		losses += integer(json_object_get(tracker, "losses"), "processes_full");
	assert_true(losses > 0);
	assert_true(integer(tree_named(root, "tiny"), "processes") <= 4);
	json_decref(root);
	assert_false(tracker_left());
}

int command_alone_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_parent_that_ignores_its_children),
		cmocka_unit_test(test_without_permission_one_line_and_4),
		cmocka_unit_test(test_without_btf_one_line_and_4),
		cmocka_unit_test(test_without_a_tracker_3),
		cmocka_unit_test(test_two_trackers_side_by_side),
		cmocka_unit_test(test_run_inside_run_is_a_tree_inside_a_tree),
		cmocka_unit_test(test_an_inner_run_survives_the_outer_memtree),
		cmocka_unit_test(test_the_command_gets_no_fd_of_memtree),
		cmocka_unit_test(test_nothing_is_left_after_sigkill),
		cmocka_unit_test(test_no_program_stays_loaded),
		cmocka_unit_test(test_a_full_map_is_counted_and_shown),
	};

	return cmocka_run_group_tests_name("commands_alone", tests, NULL, NULL);
}
