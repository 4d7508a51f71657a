// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree events and memtree why: what is kept of trees that have ended, what a follower sees,
 * what members do, whom the kernel's OOM killer took.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "groups.h"
#include "shell.h"

#define GATES 2

/* Files that steps wait for, as $G0 and $G1 in a shell; $S is this program. */
static char gates[GATES][64];

static int events_open(void **state)
{
	char self[256] = "";

	(void)state;
	for (int i = 0; i < GATES; i++) {
		const char name[] = {'G', (char)('0' + i), '\0'};

		snprintf(gates[i], sizeof(gates[i]), "/tmp/memtree-events-%d-%d", (int)getpid(), i);
		unlink(gates[i]);
		setenv(name, gates[i], 1);
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return -1;
	return setenv("S", self, 1) || prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int events_close(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void gate_push(int gate)
{
	int fd = open(gates[gate], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* A test that failed lets its processes go on, and thereby end. */
static int gates_open(void **state)
{
	(void)state;
	for (int i = 0; i < GATES; i++)
		gate_push(i);
	for (time_t end = 0; waitpid(-1, NULL, WNOHANG) >= 0 && poll_on(&end);)
		;
	for (int i = 0; i < GATES; i++)
		unlink(gates[i]);
	return 0;
}

/* --- what was printed ---------------------------------------------------------------------- */

/* The lines of `events --json`, as an array; the caller drops it. */
static json_t *lines_read(void)
{
	json_t *lines = json_array();
	char *rest = outcome.out, *line;

	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		if (!object)
			print_error("no object: %s\n", line);
		assert_true(json_is_object(object));
		json_array_append_new(lines, object);
	}
	return lines;
}

static const char *said_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* How many of these lines are of that type and tree; the last one by `ret_one`, borrowed. */
static unsigned int lines_of(const json_t *lines, const char *name, const char *type,
			     json_t **ret_one)
{
	unsigned int count = 0;

	for (size_t i = 0; i < json_array_size(lines); i++) {
		json_t *line = json_array_get(lines, i);

		if (strcmp(said_of(line, "name"), name) || strcmp(said_of(line, "type"), type))
			continue;
		*ret_one = line;
		count++;
	}
	return count;
}

static json_t *line_of(const json_t *lines, const char *name, const char *type)
{
	json_t *line = NULL;
	unsigned int count = lines_of(lines, name, type, &line);

	if (count != 1)
		print_error("%s %s: %u times in %s\n", name, type, count, outcome.out);
	assert_int_equal(count, 1);
	return line;
}

static void assert_printed(const char *text)
{
	if (!strstr(outcome.out, text))
		print_error("'%s' is not in: %s%s\n", text, outcome.out, outcome.err);
	assert_non_null(strstr(outcome.out, text));
}

/* --- verdicts ------------------------------------------------------------------------------ */

#define LIMIT (24LL << 20)

/* Trees inside a tree, one after the other; those that are ended are gone before anybody asks. */
static struct started trees_start(void)
{
	struct started started = start(
		NULL, "run -n outer -- sh -c '$S --eat say ready await $G0; "
		      "$M run -n ewarn -l 24M --on-limit warn -- $S --eat anon 60M await $G1 & "
		      "$M run -n edry -l 24M --dry-run -- $S --eat anon 60M await $G1 & "
		      "$M run -n eterm -l 24M --hard-factor 16 -- $S --eat anon 32M await $G1; "
		      "$M run -n estop -l 24M --on-limit kill -- $S --eat anon 60M await $G1; "
		      "$M run -n story -- $S --eat fork { exit 3 } fork { exit 0 } wait execs 2 "
		      "say done await $G1; wait'");

	text_await(started.out, "ready");
	return started;
}

static void assert_inputs(const json_t *line)
{
	static const char *const keys[] = {"ts",	"seq",	 "name",      "id",	  "text",
					   "policy",	"limit", "on_limit",  "metric",	  "charged",
					   "inherited", "live",	 "processes", "root_pid", NULL};

	assert_keys(line, keys);
	assert_string_equal(said_of(line, "policy"), "exact");
	assert_int_equal(integer(line, "limit"), LIMIT);
	assert_true(integer(line, "charged") > LIMIT);
}

static void assert_dump(const json_t *line)
{
	static const char *const keys[] = {"pid", "ppid",  "comm", "args",
					   "rss", "start", "anon", NULL};
	json_t *process = json_array_get(json_object_get(line, "dump"), 0);

	assert_non_null(process);
	assert_keys(process, keys);
	assert_string_equal(json_string_value(json_array_get(json_object_get(process, "args"), 1)),
			    "--eat");
}

static void assert_ended(const json_t *lines, const char *name)
{
	const json_t *ended = line_of(lines, name, "ended");

	assert_true(integer(ended, "freed") > LIMIT);
	assert_true(integer(ended, "took_ns") > 0);
	assert_int_equal(integer(ended, "processes"), 1);
}

/* At its limit the kernel stops it, unless the loader is faster: in an emulator it may be. */
static json_t *ended_by(const json_t *lines)
{
	json_t *line = NULL;

	if (!lines_of(lines, "estop", "stop", &line))
		return line_of(lines, "estop", "kill");
	assert_string_equal(said_of(line, "comm"), "memtree-live");
	assert_string_equal(said_of(line, "action"), "SIGKILL by the kernel");
	assert_true(integer(line, "pid") > 0);
	return line;
}

static void assert_kept(const json_t *lines)
{
	const json_t *warned = line_of(lines, "ewarn", "over"),
		     *dry = line_of(lines, "edry", "over");
	const json_t *term = line_of(lines, "eterm", "term");

	assert_inputs(warned);
	assert_dump(warned);
	assert_string_equal(said_of(warned, "on_limit"), "warn");
	assert_inputs(dry);
	assert_dump(dry);
	assert_true(json_is_true(json_object_get(dry, "dry_run")));
	assert_inputs(term);
	assert_dump(term);
	assert_non_null(strstr(said_of(term, "action"), "SIGTERM"));
	assert_ended(lines, "eterm");
	assert_true(integer(ended_by(lines), "charged") > LIMIT);
	assert_ended(lines, "estop");
}

/* Also by its #ID, after its end. */
static void assert_why(const json_t *lines)
{
	json_t *why, *verdicts;
	char line[128];

	run("why eterm");
	assert_int_equal(outcome.status, 0);
	assert_printed("over its limit");
	assert_printed("rule      exact: charged > limit; limit 24.0M");
	assert_printed("exempt    0 inherited");
	assert_printed("action    SIGTERM, SIGKILL after");
	assert_printed("--eat anon 32M");
	assert_printed("freed");
	snprintf(line, sizeof(line), "why #%s --json",
		 said_of(line_of(lines, "estop", "ended"), "id"));
	run(line);
	assert_int_equal(outcome.status, 0);
	why = document();
	verdicts = json_object_get(why, "verdicts");
	assert_int_equal(said_of(why, "tree")[0], '#');
	for (size_t i = 0; i < json_array_size(verdicts); i++)
		assert_string_equal(said_of(json_array_get(verdicts, i), "name"), "estop");
	ended_by(verdicts);
	line_of(verdicts, "estop", "ended");
	json_decref(why);
	run("why outer");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "outer: nothing was decided about it\n");
	run("why nobody --json");
	assert_int_equal(outcome.status, 3);
	assert_one_line(outcome.err);
}

/* The root was forked outside its tree. */
static void assert_stories(const json_t *lines)
{
	unsigned int statuses = 0;
	json_t *line;

	assert_int_equal(lines_of(lines, "story", "fork", &line), 4);
	assert_int_equal(lines_of(lines, "story", "exec", &line), 3);
	/* Of /proc/self/exe. */
	assert_string_equal(said_of(line, "comm"), "exe");
	assert_int_equal(lines_of(lines, "story", "exit", &line), 5);
	for (size_t i = 0; i < json_array_size(lines); i++) {
		line = json_array_get(lines, i);
		if (!strcmp(said_of(line, "name"), "story") &&
		    !strcmp(said_of(line, "type"), "exit"))
			statuses += (unsigned int)integer(line, "status");
	}
	assert_int_equal(statuses, 3 << 8);
	/* What was killed, by which signal. */
	assert_int_equal(integer(line_of(lines, "estop", "exit"), "status"), SIGKILL);
	assert_int_equal(integer(line_of(lines, "eterm", "exit"), "status"), SIGTERM);
}

static void test_verdicts_are_kept_and_followed(void **state)
{
	struct started outer = trees_start();
	struct started follower = start(NULL, "events -v -f --all --json");
	struct started plain = start(NULL, "events -v -f");
	json_t *lines;

	(void)state;
	text_await(follower.err, "followed");
	text_await(plain.err, "followed");
	gate_push(0);
	text_await(outer.out, "done");
	text_await(plain.out, "estop ended: 1 processes");
	text_await(plain.out, "ewarn over its limit");
	text_await(plain.out, "edry over its limit");
	run("events --json");
	assert_int_equal(outcome.status, 0);
	lines = lines_read();
	assert_kept(lines);
	assert_why(lines);
	json_decref(lines);
	gate_push(1);
	finish(outer);
	assert_int_equal(outcome.status, 0);
	finish(plain);
	assert_int_equal(outcome.status, 0);
	assert_printed(" ewarn over its limit: charged ");
	assert_null(strstr(outcome.out, " exec: "));
	finish(follower);
	assert_int_equal(outcome.status, 0);
	lines = lines_read();
	assert_kept(lines);
	assert_stories(lines);
	json_decref(lines);
	await_trackers(0);
}

/* When its loader comes to read of it, the tree has ended and another one stands after it. */
static void test_a_stop_is_told_after_the_end(void **state)
{
	struct started outer = start(
		NULL, "run -n outer -- sh -c '$S --eat say ready await $G0; "
		      "$M run -n estop -l 24M --on-limit kill -- $S --eat anon 60M await $G1; "
		      "$M run -n later -- $S --eat say done; $S --eat await $G1'");
	struct started follower;

	(void)state;
	text_await(outer.out, "ready");
	follower = start(NULL, "events -v -f");
	text_await(follower.err, "followed");
	kill(outer.pid, SIGSTOP);
	gate_push(0);
	text_await(outer.out, "done");
	kill(outer.pid, SIGCONT);
	text_await(follower.out, "estop ended");
	gate_push(1);
	finish(outer);
	assert_int_equal(outcome.status, 0);
	finish(follower);
	assert_int_equal(outcome.status, 0);
	assert_printed("estop over its limit: stopped by the kernel at 2");
	assert_printed(" of 24.0M, process ");
	await_trackers(0);
}

/* While its memtree is stopped the ring fills with what members do, and no more than half. */
static void test_stories_leave_room_for_crossings(void **state)
{
	struct started tree = start(NULL,
				    "run -n crowd -l 24M --on-limit warn -- sh -c 'exec $S --eat "
				    "say ready await $G0 execs 400 anon 30M say full await $G1'");
	struct started follower;

	(void)state;
	text_await(tree.out, "ready");
	follower = start(NULL, "events -v -f --all");
	text_await(follower.err, "followed");
	kill(tree.pid, SIGSTOP);
	gate_push(0);
	text_await(tree.out, "full");
	kill(tree.pid, SIGCONT);
	text_await(follower.out, "forks, execs and exits came too fast and are not told");
	text_await(follower.out, "crowd over its limit: charged 3");
	run("ps");
	assert_null(strstr(outcome.err, "lost"));
	gate_push(1);
	finish(tree);
	assert_int_equal(outcome.status, 0);
	assert_null(strstr(outcome.err, "lost"));
	finish(follower);
	assert_int_equal(outcome.status, 0);
	await_trackers(0);
}

/* --- the kernel's OOM killer --------------------------------------------------------------- */

static void test_an_oom_kill_is_told(void **state)
{
	struct started tree;
	struct box box;
	json_t *why, *verdict;

	(void)state;
	if (!getenv("MEMTREE_TEST_VM"))
		skip_because("the kernel's OOM killer goes off in a virtual machine only");
	box_open(&box, "");
	assert_true(box.folder[0]);
	setenv("BOX", box.folder, 1);
	box_write(&box, box.limit, "33554432");
	box_write(&box, "memory.swap.max", "0");
	tree = start(NULL, "run -n oomed -- sh -c 'sh -c \"echo \\$\\$ >$BOX/cgroup.procs; "
			   "exec $S --eat anon 400M\"; $S --eat say done await $G0'");
	text_await(tree.out, "done");
	run("why oomed --json");
	assert_int_equal(outcome.status, 0);
	why = document();
	verdict = line_of(json_object_get(why, "verdicts"), "oomed", "oom");
	assert_true(integer(verdict, "charged") > 16 << 20);
	assert_string_equal(said_of(verdict, "comm"), "memtree-live");
	assert_true(integer(verdict, "pid") > 0);
	assert_true(json_array_size(json_object_get(verdict, "dump")) > 0);
	assert_true(json_is_null(json_object_get(verdict, "limit")));
	json_decref(why);
	gate_push(0);
	finish(tree);
	box_close(&box);
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "memtree: oomed: process "));
	assert_non_null(strstr(outcome.err,
			       " (memtree-live) was killed by the kernel's OOM killer, "
			       "charged "));
	assert_non_null(strstr(outcome.err, "Dump of the process-tree for oomed :\n\t|- PID PPID"));
	await_trackers(0);
}

#define event_test(function) cmocka_unit_test_teardown(function, gates_open)

int events_tests(void)
{
	const struct CMUnitTest tests[] = {
		event_test(test_verdicts_are_kept_and_followed),
		event_test(test_a_stop_is_told_after_the_end),
		event_test(test_stories_leave_room_for_crossings),
		event_test(test_an_oom_kill_is_told),
	};

	return cmocka_run_group_tests_name("events", tests, events_open, events_close);
}
