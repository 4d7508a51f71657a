// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon killed at random, again and again, while trees grow, fork, end and are ended: each
 * next one finds all as it is. MEMTREE_KILLS says how often (make soak: a hundred times).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"
#include "hog.h"
#include "service.h"

#define CROWD 50

static unsigned int kills_wanted(void)
{
	const char *wanted = getenv("MEMTREE_KILLS");

	return wanted ? (unsigned int)strtoul(wanted, NULL, 10) : is_emulated() ? 3 : 12;
}

static void pause_at_random(unsigned int most_ms)
{
	usleep((useconds_t)(rand() % (int)most_ms) * 1000);
}

/* Who must die, by the loader or by the kernel itself. */
static struct started victim_start(unsigned int number)
{
	static const char *const ways[] = {"-l 24M --grace 50ms", "-l 24M --on-limit kill",
					   "-l 16M --hard-factor 1.5"};

	return eat("victim", ways[number % 3], "fork { ignore-term await $0 } anon 64M await $0");
}

/* Begun under one daemon, ended under the next. */
static void round_make(unsigned int number)
{
	struct started victim = victim_start(number), brief;

	brief = eat("brief", "-l 64M", "anon 4M forks 3 { anon 1M } wait execs 3 exit 7");
	pause_at_random(is_emulated() ? 600 : 80);
	daemon_end(SIGKILL);
	assert_status(1000 + SIGKILL);
	pause_at_random(40);
	daemon_start();
	finish(victim);
	if (outcome.status != 128 + SIGKILL && outcome.status != 128 + SIGTERM)
		print_error("victim %u: status %d: %s; its daemon: %s\n", number, outcome.status,
			    outcome.err, daemon_said());
	assert_true(outcome.status == 128 + SIGKILL || outcome.status == 128 + SIGTERM);
	finish(brief);
	assert_status(7);
	await_gone("victim");
	await_gone("brief");
}

static void test_it_is_killed_at_random(void **state)
{
	unsigned int seed = (unsigned int)time(NULL), kills = kills_wanted();
	struct started steady, forker;
	json_int_t rss;

	(void)state;
	print_message("seed %u, %u kills\n", seed, kills);
	srand(seed);
	daemon_start();
	steady = eat("steady", "-l 64M", "anon 16M fork { anon 8M say ready await $1 } await $1");
	forker = eat("forker", "-l 128M", "anon 8M churn $1 exit 5");
	text_await(steady.out, "ready");
	rss = figure_of("steady", "rss");
	assert_true(rss >= 40 << 20);
	for (unsigned int i = 0; i < kills; i++)
		round_make(i);
	assert_int_equal(figure_of("steady", "rss"), rss);
	assert_int_equal(trackers_count(true), 1);
	run("ps");
	assert_status(0);
	assert_string_equal(outcome.err, "");
	gate_push(1);
	finish(forker);
	assert_status(5);
	finish(steady);
	assert_status(0);
	assert_null(strstr(daemon_said(), "steady"));
	assert_null(strstr(daemon_said(), "forker"));
	daemon_end(SIGTERM);
	unload();
	assert_nobody_left();
}

/* An upgrade: the next one finds them all, and not one twice. */
static void test_fifty_trees_are_handed_over(void **state)
{
	char line[64], name[16];
	pid_t pids[CROWD];

	(void)state;
	daemon_start();
	for (int i = 0; i < CROWD; i++) {
		pids[i] = sleeper_start(0);
		snprintf(line, sizeof(line), "add -n t%d -l 1G %d", i, (int)pids[i]);
		run(line);
		assert_status(0);
	}
	daemon_end(SIGTERM);
	daemon_start();
	run("ps --json");
	assert_int_equal(json_array_size(json_object_get(document(), "trees")), CROWD);
	for (int i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_true(figure_of(name, "charged") > 0);
		sleeper_end(pids[i]);
		await_gone(name);
	}
	daemon_end(SIGTERM);
	unload();
	assert_nobody_left();
}

int daemon_kills_tests(void)
{
	const struct CMUnitTest tests[] = {
		daemon_test(test_it_is_killed_at_random),
		daemon_test(test_fifty_trees_are_handed_over),
	};

	return cmocka_run_group_tests_name("daemon_kills", tests, daemons_open, daemons_close);
}
