// SPDX-License-Identifier: GPL-2.0-only
/* A daemon whose maps are laid out otherwise takes over: MEMTREE_OTHER is the build before it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "groups.h"
#include "hog.h"
#include "service.h"

static char own[256];

static void become_other(bool other)
{
	setenv("MEMTREE", other ? getenv("MEMTREE_OTHER") : own, 1);
}

static int upgrade_open(void **state)
{
	snprintf(own, sizeof(own), "%s", memtree());
	return daemons_open(state);
}

static int upgrade_clear(void **state)
{
	int err;

	gates_open(state);
	become_other(true);
	err = daemon_clear(state);
	become_other(false);
	return daemon_clear(state) || err;
}

static json_int_t processes_of(const char *name)
{
	json_t *tree = tree_shown(name);
	json_int_t count;

	assert_non_null(tree);
	count = (json_int_t)json_array_size(json_object_get(tree, "processes"));
	json_decref(tree);
	return count;
}

/* A member that nobody's lineage leads to, one tree inside another, and one that nobody waits for. */
#define STEPS                                                                       \
	"anon 16M fork { fork { anon 4M make $0 await $1 } exit 0 } wait await $0 " \
	"say ready await $1 exit 7"

static void assert_carried(json_int_t rss)
{
	json_t *tree = tree_shown("job");

	assert_non_null(tree);
	assert_int_equal(integer(tree, "rss"), rss);
	assert_int_equal(integer(tree, "limit"), 96 << 20);
	assert_true(integer(tree, "peak") >= 20 << 20);
	assert_string_equal(text_of(tree, "on_limit"), "term");
	assert_string_equal(text_of(tree, "state"), "running");
	json_decref(tree);
	assert_int_equal(processes_of("job"), 2);
	assert_int_equal(processes_of("added"), 1);
}

static void test_trees_are_carried_over(void **state)
{
	struct started job;
	json_int_t rss;
	char line[64];
	pid_t pid;

	(void)state;
	if (!getenv("MEMTREE_OTHER"))
		skip_because("MEMTREE_OTHER names no build with another layout");
	become_other(true);
	daemon_start();
	job = eat("job", "-l 96M -w 1ms", STEPS);
	text_await(job.out, "ready");
	pid = sleeper_start(0);
	snprintf(line, sizeof(line), "add -n added %d", (int)pid);
	run(line);
	assert_status(0);
	rss = figure_of("job", "rss");
	assert_int_equal(processes_of("job"), 2);
	daemon_end(SIGKILL);
	become_other(false);
	assert_false(is_shown("job"));
	daemon_start();
	assert_non_null(strstr(daemon_said(), "2 trees were carried over from"));
	assert_carried(rss);
	/* Once. */
	daemon_end(SIGKILL);
	daemon_start();
	assert_null(strstr(daemon_said(), "carried over"));
	assert_carried(rss);
	/* What is carried is followed, limited and closed. */
	sleeper_end(pid);
	await_gone("added");
	run("set job -l 30M");
	assert_status(0);
	await_daemon_says("job: over its limit: charged ");
	await_daemon_says("job: ended: 2 processes");
	finish(job);
	assert_status(128 + SIGTERM);
	await_gone("job");
	daemon_end(SIGTERM);
	unload();
	assert_nobody_left();
}

int daemon_upgrade_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_trees_are_carried_over, upgrade_clear),
	};

	return cmocka_run_group_tests_name("daemon_upgrade", tests, upgrade_open, daemons_close);
}
