// SPDX-License-Identifier: GPL-2.0-only
/* The daemon: one tracker for everybody, which outlives it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dial.h"
#include "fixture.h"
#include "groups.h"
#include "hog.h"
#include "registry.h"
#include "service.h"

/* --- service ----------------------------------------------------------------------------- */

static void test_one_tracker_serves_run_and_add(void **state)
{
	struct started job;
	char line[64];
	pid_t pid;

	(void)state;
	daemon_start();
	job = eat("job", "", "anon 16M say ready await $0 exit 7");
	text_await(job.out, "ready");
	pid = sleeper_start(0);
	snprintf(line, sizeof(line), "add -n added %d", (int)pid);
	run(line);
	assert_status(0);
	assert_string_equal(outcome.err, "");
	assert_int_equal(trackers_count(true), 1);
	assert_true(figure_of("job", "charged") >= 16 << 20);
	assert_true(is_shown("added"));
	/* A name is one for the node. */
	run("run -n job -- true");
	assert_status(125);
	assert_one_line(outcome.err);
	/* Nobody waits for it: the daemon closes it at its end. */
	sleeper_end(pid);
	await_gone("added");
	gate_push(0);
	finish(job);
	assert_status(7);
	assert_false(is_shown("job"));
	daemon_end(SIGTERM);
	assert_status(0);
	unload();
}

/* What is still waited for is not waited for without end. */
static void test_a_run_outlives_its_tracker(void **state)
{
	struct started job;

	(void)state;
	daemon_start();
	job = eat("job", "", "fork { await $1 } say ready await $0 exit 7");
	text_await(job.out, "ready");
	daemon_end(SIGTERM);
	unload();
	/* What it still holds is no tracker to anybody else. */
	run("ps");
	assert_status(3);
	gate_push(0);
	finish(job);
	assert_status(7);
	assert_non_null(strstr(outcome.err, "its tracker was unloaded"));
	gate_push(1);
	assert_nobody_left();
}

static void test_a_second_daemon_is_refused(void **state)
{
	static const char *const lines[] = {"", "--unload"};

	(void)state;
	daemon_start();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		daemon_command(lines[i]);
		assert_status(1);
		assert_one_line(outcome.err);
		assert_non_null(strstr(outcome.err, "a daemon is running"));
	}
	assert_int_equal(trackers_count(true), 1);
	run("run -- true");
	assert_status(0);
	daemon_end(SIGTERM);
	unload();
	/* Twice changes nothing. */
	daemon_command("--unload");
	assert_status(0);
}

static void test_its_limits_are_kept(void **state)
{
	(void)state;
	daemon_start();
	/* Below the hard limit, so that the kernel is not faster in an emulator. */
	finish(eat("hog", "-l 48M --hard-factor 16 --grace 1h", "anon 96M await $0"));
	assert_status(128 + SIGTERM);
	/* Who has started it learns why, too. */
	assert_non_null(strstr(outcome.err, "memtree: hog: over its limit: charged "));
	await_daemon_says("hog: over its limit: charged ");
	await_daemon_says("hog: ended: 1 processes");
	run("why hog");
	assert_status(0);
	assert_non_null(strstr(outcome.out, "over its limit"));
	finish(eat("spare", "-l 200M", "anon 96M"));
	assert_status(0);
	daemon_end(SIGTERM);
	unload();
}

/* Its tree stays where it is: a member of another tracker's tree is no daemon's. */
static void test_it_starts_beside_a_standalone_run(void **state)
{
	struct started alone = eat("alone", "", "anon 8M say ready await $0 exit 3"), job;

	(void)state;
	text_await(alone.out, "ready");
	daemon_start();
	assert_int_equal(trackers_count(true), 2);
	job = eat("job", "", "anon 16M say ready await $0 exit 4");
	text_await(job.out, "ready");
	assert_int_equal(trackers_count(true), 2);
	assert_true(figure_of("alone", "rss") < 16 << 20);
	assert_true(figure_of("job", "rss") >= 16 << 20);
	gate_push(0);
	finish(alone);
	assert_status(3);
	finish(job);
	assert_status(4);
	daemon_end(SIGTERM);
	unload();
}

/* It mounts one, where everybody expects it, and nowhere else. */
static void test_without_a_bpf_file_system(void **state)
{
	(void)state;
	assert_int_equal(umount2("/sys/fs/bpf", MNT_DETACH), 0);
	/* Not what the machine may have mounted below. */
	assert_int_equal(mount("none", "/sys/fs", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/sys/fs/bpf", 0700), 0);
	daemon_start();
	finish(eat("job", "", "anon 4M exit 3"));
	assert_status(3);
	daemon_end(SIGTERM);
	unload();
	configure("pin-folder: /tmp/memtree-pins\n");
	daemon_command("");
	assert_status(1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "is not in a BPF file system"));
	assert_int_equal(umount2("/sys/fs", MNT_DETACH), 0);
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
}

/* --- its death ----------------------------------------------------------------------------- */

static void test_what_grows_without_it_is_counted(void **state)
{
	json_int_t before, after;
	struct started job;

	(void)state;
	daemon_start();
	job = eat("job", "-l 256M", "anon 8M say ready await $0 anon 32M say grown await $1");
	text_await(job.out, "ready");
	before = figure_of("job", "charged");
	daemon_end(SIGKILL);
	gate_push(0);
	text_await(job.out, "grown");
	/* Readers need no daemon. */
	after = figure_of("job", "charged");
	assert_true(after >= before + (32 << 20));
	assert_true(after < before + (33 << 20));
	daemon_start();
	assert_int_equal(figure_of("job", "charged"), after);
	assert_int_equal(trackers_count(true), 1);
	run("set job -l 30M");
	assert_status(0);
	finish(job);
	assert_status(128 + SIGTERM);
	await_daemon_says("job: over its limit: charged ");
	await_daemon_says("job: ended: 1 processes");
	daemon_end(SIGTERM);
	unload();
}

static void test_the_kernel_stops_without_it(void **state)
{
	struct started hog;

	(void)state;
	daemon_start();
	hog = eat("hog", "-l 48M --on-limit kill",
		  "fork { await $1 } say ready await $0 anon 96M await $1");
	text_await(hog.out, "ready");
	daemon_end(SIGKILL);
	gate_push(0);
	json_decref(state_await("hog", "dying"));
	/* Its child, which does nothing, is ended by the next one, which tells it all. */
	daemon_start();
	await_daemon_says("hog: over its limit: stopped by the kernel at ");
	await_daemon_says("hog: ended: ");
	finish(hog);
	assert_status(128 + SIGKILL);
	daemon_end(SIGTERM);
	unload();
	assert_nobody_left();
}

static void test_a_limit_crossed_without_it_is_kept_later(void **state)
{
	struct started hog, spare;

	(void)state;
	daemon_start();
	hog = eat("hog", "-l 48M --hard-factor 16",
		  "say ready await $0 anon 64M say over await $1");
	spare = eat("spare", "-l 96M", "say ready await $0 anon 64M say under await $1");
	text_await(hog.out, "ready");
	text_await(spare.out, "ready");
	daemon_end(SIGKILL);
	gate_push(0);
	text_await(hog.out, "over");
	text_await(spare.out, "under");
	daemon_start();
	finish(hog);
	assert_status(128 + SIGTERM);
	await_daemon_says("hog: ended: 1 processes");
	gate_push(1);
	finish(spare);
	assert_status(0);
	assert_null(strstr(daemon_said(), "spare: over"));
	daemon_end(SIGTERM);
	unload();
}

/* Begun by one, ended by the next: who is doomed and asleep notices nothing by itself. */
static void test_what_was_doomed_is_ended(void **state)
{
	struct tracker **trackers;
	struct started hog;
	int count, foreign;
	json_t *tree;

	(void)state;
	daemon_start();
	hog = eat("hog", "-l 96M", "fork { await $0 } say ready await $0");
	text_await(hog.out, "ready");
	tree = tree_shown("hog");
	daemon_end(SIGKILL);
	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++) {
		const char *id = strchr(text_of(tree, "id"), '.') + 1;
		const uint64_t args[] = {strtoul(id, NULL, 10), 1};

		if (trackers[i]->header.pinned)
			tracker_call(trackers[i], MT_PROG_TREE_DOOM, args, 2, NULL);
	}
	trackers_close(trackers, count);
	json_decref(tree);
	daemon_start();
	finish(hog);
	assert_status(128 + SIGKILL);
	await_daemon_says("hog: its end had begun when its memtree stopped: goes on");
	await_daemon_says("hog: ended: 2 processes");
	daemon_end(SIGTERM);
	unload();
	assert_nobody_left();
}

/* --- its sleep ----------------------------------------------------------------------------- */

/* Far more than the ring holds. */
static void ring_fill(void)
{
	const uint64_t args[] = {0};
	struct tracker **trackers;
	int count, foreign;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++)
		for (int j = 0; trackers[i]->header.pinned && j < 4000; j++)
			tracker_call(trackers[i], MT_PROG_TREE_NUDGE, args, 1, NULL);
	trackers_close(trackers, count);
}

static void test_what_found_no_room_in_the_ring_is_made_good(void **state)
{
	struct started hog, spare;
	pid_t pid;
	char line[64];

	(void)state;
	daemon_start();
	hog = eat("hog", "-l 48M --hard-factor 16",
		  "say ready await $0 anon 64M say over await $1");
	spare = eat("spare", "-l 96M", "say ready await $0 anon 64M say under await $1");
	pid = sleeper_start(0);
	snprintf(line, sizeof(line), "add -n added %d", (int)pid);
	run(line);
	text_await(hog.out, "ready");
	text_await(spare.out, "ready");
	daemon_signal(SIGSTOP);
	ring_fill();
	gate_push(0);
	text_await(hog.out, "over");
	text_await(spare.out, "under");
	sleeper_end(pid);
	daemon_signal(SIGCONT);
	finish(hog);
	assert_status(128 + SIGTERM);
	await_daemon_says("events found no room in the ring: every tree is looked at");
	await_gone("added");
	gate_push(1);
	finish(spare);
	assert_status(0);
	daemon_end(SIGTERM);
	unload();
}

/* --- what is pinned ---------------------------------------------------------------------- */

static void test_what_was_half_pinned_is_replaced(void **state)
{
	char path[128];

	(void)state;
	assert_int_equal(mkdir(PINS, 0700), 0);
	snprintf(path, sizeof(path), PINS "/layout-%d-new", MT_LAYOUT);
	assert_int_equal(mkdir(path, 0700), 0);
	daemon_start();
	assert_int_equal(access(path, F_OK), -1);
	run("run -- true");
	assert_status(0);
	daemon_end(SIGKILL);
	unload();
}

/* Nothing to hold on to but the folder: everybody sees that, and a new start mends it. */
static void test_pins_that_somebody_has_taken_away(void **state)
{
	(void)state;
	daemon_start();
	daemon_end(SIGKILL);
	assert_int_equal(umount2("/sys/fs/bpf", MNT_DETACH), 0);
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	await_trackers(0);
	daemon_start();
	finish(eat("job", "", "anon 4M exit 3"));
	assert_status(3);
	daemon_end(SIGTERM);
	unload();
}

/* In a file system that everybody may write to, anybody may have been there first. */
static void test_a_folder_of_somebody_else(void **state)
{
	(void)state;
	assert_int_equal(mkdir(PINS, 0755), 0);
	assert_int_equal(chown(PINS, 65534, 65534), 0);
	daemon_command("");
	assert_status(4);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "is not root's alone"));
	assert_int_equal(rmdir(PINS), 0);
}

/* Half of the node's trees would have no guard. */
static void test_one_folder_for_the_node(void **state)
{
	(void)state;
	daemon_start();
	daemon_end(SIGKILL);
	configure("pin-folder: /sys/fs/bpf/other\n");
	daemon_command("");
	assert_status(1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "is pinned already, in another folder"));
	daemon_command("--unload");
	assert_status(0);
	configure("");
	unload();
}

/* --- those who use it ------------------------------------------------------------------------ */

static struct tracker *tracker_of_daemon(void)
{
	struct tracker **trackers, *tracker;
	int count, foreign;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	tracker = trackers_take_pinned(trackers, count);
	trackers_close(trackers, count);
	assert_non_null(tracker);
	return tracker;
}

/* Between its claim and its command: the name is free again. */
static void test_a_run_that_is_killed_while_it_registers(void **state)
{
	const struct tree_request request = {.name = "gone", .metric = MT_METRIC_RSS};
	struct tracker *tracker;
	uint32_t tree;
	pid_t pid;

	(void)state;
	daemon_start();
	tracker = tracker_of_daemon();
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(registry_open(tracker, &request, &tree) ? 1 : 0);
	assert_int_equal(await_end(pid), 0);
	tracker_close(tracker);
	run("run -n gone -- true");
	assert_status(0);
	daemon_end(SIGTERM);
	unload();
}

/* It would be a member, and die with the tree that it guards. */
static void test_who_started_the_daemon_is_refused(void **state)
{
	char line[64];

	(void)state;
	daemon_start();
	snprintf(line, sizeof(line), "add -n self %d", (int)getpid());
	run(line);
	assert_status(1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "has started the daemon"));
	assert_false(is_shown("self"));
	daemon_end(SIGTERM);
	unload();
}

/* --- its configuration, its log, its socket ------------------------------------------------ */

static void test_a_wrong_configuration_is_refused(void **state)
{
	(void)state;
	daemon_command("--check");
	assert_status(0);
	assert_string_equal(outcome.err, "");
	configure("proceses: 5\n");
	daemon_command("--check");
	assert_status(2);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "line 3"));
	daemon_command("");
	assert_status(2);
	assert_one_line(outcome.err);
	configure("group: nobody-is-called-so\n");
	daemon_command("");
	assert_status(1);
	assert_one_line(outcome.err);
	unload();
	run("daemon --config /nonexistent/memtree.conf --check");
	assert_status(2);
	assert_one_line(outcome.err);
}

/* Without a restart; an error keeps what is in force. */
static void test_a_reload_keeps_the_trees(void **state)
{
	struct started job;

	(void)state;
	configure("trees: 64\n");
	daemon_start();
	job = eat("job", "", "anon 8M say ready await $0 exit 3");
	text_await(job.out, "ready");
	configure("trees: 128\nmax-kills: 1\n");
	daemon_signal(SIGHUP);
	await_daemon_says("trees holds from the next start on");
	await_daemon_says("the configuration was taken up");
	/* The second one within a minute. */
	finish(eat("one", "-l 24M --on-limit kill", "anon 60M await $1"));
	assert_status(128 + SIGKILL);
	finish(eat("two", "-l 24M", "anon 40M exit 0"));
	await_daemon_says("DISARMED");
	configure("max-kills: many\n");
	daemon_signal(SIGHUP);
	await_daemon_says("what was in force stays");
	assert_true(is_shown("job"));
	configure("");
	gate_push(0);
	finish(job);
	assert_status(3);
	daemon_end(SIGTERM);
	unload();
}

static void test_verdicts_outlive_the_daemon(void **state)
{
	(void)state;
	daemon_start();
	finish(eat("hog", "-l 24M --on-limit kill", "anon 60M await $0"));
	assert_status(128 + SIGKILL);
	await_daemon_says("hog: ended: 1 processes");
	daemon_end(SIGKILL);
	daemon_start();
	run("why hog");
	assert_status(0);
	assert_non_null(strstr(outcome.out, "over its limit"));
	assert_non_null(strstr(outcome.out, "ended: 1 processes"));
	daemon_end(SIGTERM);
	unload();
}

/* What its socket answers has tests of its own: here, that it is there, and in whose name. */
static void test_it_is_asked_at_its_socket(void **state)
{
	struct wire_request request = {.op = WIRE_PING};
	struct refusal why;
	json_t *answer;

	(void)state;
	daemon_start();
	assert_int_equal(dial_request(service_path("memtree.sock"), &request, &answer, &why), 0);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	daemon_end(SIGKILL);
	assert_int_equal(dial_request(service_path("memtree.sock"), &request, &answer, &why),
			 -ECONNREFUSED);
	daemon_start();
	assert_int_equal(dial_request(service_path("memtree.sock"), &request, &answer, &why), 0);
	json_decref(answer);
	daemon_end(SIGTERM);
	assert_int_equal(access(service_path("memtree.sock"), F_OK), -1);
	unload();
}

int daemon_tests(void)
{
	const struct CMUnitTest tests[] = {
		daemon_test(test_one_tracker_serves_run_and_add),
		daemon_test(test_a_second_daemon_is_refused),
		daemon_test(test_its_limits_are_kept),
		daemon_test(test_a_run_outlives_its_tracker),
		daemon_test(test_it_starts_beside_a_standalone_run),
		daemon_test(test_without_a_bpf_file_system),
		daemon_test(test_what_grows_without_it_is_counted),
		daemon_test(test_the_kernel_stops_without_it),
		daemon_test(test_a_limit_crossed_without_it_is_kept_later),
		daemon_test(test_what_was_doomed_is_ended),
		daemon_test(test_what_found_no_room_in_the_ring_is_made_good),
		daemon_test(test_what_was_half_pinned_is_replaced),
		daemon_test(test_pins_that_somebody_has_taken_away),
		daemon_test(test_a_folder_of_somebody_else),
		daemon_test(test_one_folder_for_the_node),
		daemon_test(test_a_run_that_is_killed_while_it_registers),
		daemon_test(test_who_started_the_daemon_is_refused),
		daemon_test(test_a_wrong_configuration_is_refused),
		daemon_test(test_a_reload_keeps_the_trees),
		daemon_test(test_verdicts_outlive_the_daemon),
		daemon_test(test_it_is_asked_at_its_socket),
	};

	return cmocka_run_group_tests_name("daemon", tests, daemons_open, daemons_close);
}
