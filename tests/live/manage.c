// SPDX-License-Identifier: GPL-2.0-only
/* add, set and rm as a user meets them, with every kind of process that can be named. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "shell.h"
#include "stage.h"

static pid_t children[16];
static int child_count;

/* Ends with the test, whatever becomes of it, and so do its children. */
static pid_t child_start(void (*play)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play();
		_exit(0);
	}
	setpgid(pid, pid);
	assert_true(child_count < 16);
	children[child_count++] = pid;
	return pid;
}

static int children_end(void **state)
{
	(void)state;
	while (child_count) {
		kill(-children[--child_count], SIGKILL);
		waitpid(children[child_count], NULL, 0);
	}
	return 0;
}

static void sleep_on(void)
{
	for (;;)
		pause();
}

static void with_two_children(void)
{
	for (int i = 0; i < 2; i++)
		if (!fork())
			sleep_on();
	sleep_on();
}

/* Starts memtree add on a process and waits until its tree is shown. */
static struct started add_start(pid_t pid, const char *name)
{
	struct started started;
	char line[128];

	snprintf(line, sizeof(line), "add -n %s %d", name, pid);
	started = start(NULL, line);
	snprintf(line, sizeof(line), "tree %s", name);
	/* To ask memtree again and again would slow its loading down. */
	text_await(started.err, "tracking");
	run(line);
	assert_int_equal(outcome.status, 0);
	return started;
}

static size_t processes_shown(const char *name)
{
	json_t *tree = tree_shown(name);
	size_t count = tree ? json_array_size(json_object_get(tree, "processes")) : 0;

	json_decref(tree);
	return count;
}

static void assert_alive(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
}

/* Whoever is tracked lives on. */
static void add_interrupt(struct started add, int signal, pid_t pid)
{
	kill(add.pid, signal);
	finish(add);
	assert_int_equal(outcome.status, signal == SIGKILL ? 1000 + SIGKILL : 0);
	await_trackers(0);
	assert_alive(pid);
}

/* --- add --------------------------------------------------------------------------------- */

static void test_add_stays_until_the_tree_has_ended(void **state)
{
	pid_t pid = child_start(sleep_on);
	struct started started = add_start(pid, "lasting");

	(void)state;
	kill(pid, SIGKILL);
	finish(started);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "");
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "tracking 1 processes"));
	await_trackers(0);
}

static void test_an_interrupt_ends_the_tracking_alone(void **state)
{
	static const int signals[] = {SIGINT, SIGKILL};
	pid_t pid = child_start(with_two_children);

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct started started = add_start(pid, "kept");

		assert_int_equal(processes_shown("kept"), 3);
		add_interrupt(started, signals[i], pid);
	}
}

static void end_at_once(void)
{
	_exit(0);
}

static void test_what_cannot_be_added_is_said_in_one_line(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"add x", 2},	    {"add 0", 2},	  {"add 99999999999", 2},
		{"add 12 13", 2},   {"add --json 12", 2}, {"add -l 1X 12", 2},
		{"add -n / 12", 2}, {"add 1", 1},	  {"add 2147483647", 1},
	};
	pid_t zombie = child_start(end_at_once);
	char line[64];
	siginfo_t info;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(cases[i].line);
		if (outcome.status != cases[i].status)
			print_error("%s: %d %s\n", cases[i].line, outcome.status, outcome.err);
		assert_int_equal(outcome.status, cases[i].status);
		assert_one_line(outcome.err);
	}
	assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
	snprintf(line, sizeof(line), "add %d", zombie);
	run(line);
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "has ended"));
	run("run -q -- sh -c 'exec $M add $$'");
	assert_int_equal(outcome.status, 1);
	assert_non_null(strstr(outcome.err, "itself"));
	await_trackers(0);
}

static pid_t kernel_thread(void)
{
	char line[256] = "";
	FILE *file = fopen("/proc/2/stat", "re");

	if (file && !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	return strstr(line, "(kthreadd)") ? 2 : 0;
}

static void test_a_kernel_thread_cannot_be_added(void **state)
{
	(void)state;
	if (!kernel_thread())
		skip_because("process 2 is no thread of the kernel here (a pid namespace)");
	run("add 2");
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "thread of the kernel"));
}

static int *shared_tid;

static void *thread_waits(void *end)
{
	char byte;

	__atomic_store_n(shared_tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (read(*(int *)end, &byte, 1) < 0)
		;
	return NULL;
}

static void test_a_thread_is_not_its_process(void **state)
{
	pthread_t thread;
	int tid = 0, end[2];
	char line[64];

	(void)state;
	shared_tid = &tid;
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&thread, NULL, thread_waits, &end[0]), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		usleep(1000);
	snprintf(line, sizeof(line), "add %d", tid);
	run(line);
	close(end[1]);
	pthread_join(thread, NULL);
	close(end[0]);
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "is a thread"));
}

static void test_a_member_of_a_tree_is_refused(void **state)
{
	(void)state;
	run("run -n mine -- sh -c 'sleep 1000 & $M add $!; echo $?; $M add $$; echo $?; "
	    "$M tree mine >/dev/null; echo $?; kill $!'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "1\n1\n0\n");
	assert_non_null(strstr(outcome.err, "member of tree #"));
	await_trackers(0);
}

static void test_adding_needs_permission(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "add %d", child_start(sleep_on));
	run_prepared(become_nobody, line);
	assert_int_equal(outcome.status, 4);
	assert_one_line(outcome.err);
}

static void as_nobody(void)
{
	become_nobody();
	sleep_on();
}

static void test_another_users_process(void **state)
{
	pid_t pid = child_start(as_nobody);
	struct started started = add_start(pid, "theirs");
	json_t *tree = tree_shown("theirs"), *process;

	(void)state;
	process = json_array_get(json_object_get(tree, "processes"), 0);
	assert_int_equal(integer(process, "pid"), pid);
	assert_true(integer(process, "rss") > 0);
	assert_true(json_array_size(json_object_get(process, "args")) > 0);
	json_decref(tree);
	add_interrupt(started, SIGTERM, pid);
}

static void in_a_pid_namespace(void)
{
	if (unshare(CLONE_NEWPID))
		_exit(1);
	if (!fork())
		with_two_children();
	sleep_on();
}

static void test_a_process_with_another_pid_namespace_below(void **state)
{
	pid_t pid = child_start(in_a_pid_namespace);
	struct started started = add_start(pid, "outside");

	(void)state;
	for (time_t end = 0; processes_shown("outside") != 4 && poll_on(&end);)
		;
	assert_int_equal(processes_shown("outside"), 4);
	add_interrupt(started, SIGHUP, pid);
}

/* memtree becomes process 1 of a namespace; process 2 lives until it is tracked, which memtree
 * says on the stderr of both. */
static void be_first_of_a_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		_exit(253);
	pid = fork();
	if (pid) {
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 252);
	}
	if (!fork()) {
		text_await(stderr, "tracking");
		_exit(0);
	}
}

static void test_pids_are_those_of_memtrees_own_namespace(void **state)
{
	(void)state;
	run_prepared(be_first_of_a_namespace, "add -v -n within 2");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "within: tracking 1 processes"));
	assert_non_null(strstr(outcome.err, "bytes left 0"));
	await_trackers(0);
}

#define HOSTILE_NAME "a\n\033[H\377"

static void with_a_hostile_name(void)
{
	/* A newline, an escape sequence, a byte that is no UTF-8, the start of a tree's line. */
	strncpy(program_invocation_name, "x\n\033[2J\377\n1 `-", strlen(program_invocation_name));
	prctl(PR_SET_NAME, HOSTILE_NAME);
	sleep_on();
}

static bool is_named(pid_t pid, const char *name)
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	comm[fread(comm, 1, sizeof(comm) - 1, file)] = '\0';
	fclose(file);
	return !strncmp(comm, name, strlen(name));
}

static void test_hostile_names_stay_text(void **state)
{
	char line[64], name[64];
	struct started started;
	pid_t pid = child_start(with_a_hostile_name);
	json_t *tree, *process;

	(void)state;
	for (time_t end = 0; !is_named(pid, HOSTILE_NAME) && poll_on(&end);)
		;
	snprintf(line, sizeof(line), "add %d", pid);
	started = start(NULL, line);
	text_await(started.err, "tracking");
	snprintf(name, sizeof(name), "a___H_-%d", pid);
	for (time_t end = 0; !processes_shown(name) && poll_on(&end);)
		;
	tree = tree_shown(name);
	assert_non_null(tree);
	process = json_array_get(json_object_get(tree, "processes"), 0);
	assert_string_equal(json_string_value(json_object_get(process, "comm")),
			    "a\n\033[H\xef\xbf\xbd");
	json_decref(tree);
	run("tree");
	for (const char *c = outcome.out; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
	assert_non_null(strstr(outcome.out, "x\\n\\033[2J\\377\\n1 `-"));
	add_interrupt(started, SIGINT, pid);
}

/* --- rm ------------------------------------------------------------------------------------- */

/* Of a tree of two. */
static pid_t child_of_root(const char *name)
{
	json_t *tree = tree_shown(name), *process;
	pid_t child = 0;
	size_t i;

	json_array_foreach(json_object_get(tree, "processes"), i,
			   process) if (integer(process, "pid") != integer(tree, "root_pid"))
		child = (pid_t)integer(process, "pid");
	json_decref(tree);
	assert_true(child > 0);
	return child;
}

static void test_rm_stops_the_tracking_alone(void **state)
{
	struct started started = start(NULL, "run -n removed -- sh -c 'sleep 1000 & wait; exit 6'");
	pid_t sleeper;

	(void)state;
	for (time_t end = 0; processes_shown("removed") != 2 && poll_on(&end);)
		;
	sleeper = child_of_root("removed");
	run("rm removed");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
	assert_int_equal(processes_shown("removed"), 0);
	run("rm removed");
	assert_int_equal(outcome.status, 3);
	kill(sleeper, SIGTERM);
	finish(started);
	/* The command went on, and memtree gives its status, without a word of losses. */
	assert_int_equal(outcome.status, 6);
	assert_string_equal(outcome.err, "");
	await_trackers(0);
}

static void test_rm_of_an_inner_tree_makes_it_a_part_of_the_outer(void **state)
{
	json_t *root, *tree;

	(void)state;
	run("run -n outer -- sh -c '$M run -n inner -- sh -c \"sleep 1000 & $M rm inner; "
	    "$M tree --json; kill \\$!\"; exit $?'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.err, "");
	root = document();
	assert_int_equal(json_array_size(json_object_get(root, "trees")), 1);
	tree = json_array_get(json_object_get(root, "trees"), 0);
	assert_string_equal(json_string_value(json_object_get(tree, "name")), "outer");
	/* The shell, the inner memtree, its shell, the sleep and the reader. */
	assert_int_equal(json_array_size(json_object_get(tree, "processes")), 5);
	json_decref(root);
	await_trackers(0);
}

static void test_rm_of_an_outer_tree_leaves_the_inner_one(void **state)
{
	json_t *root, *tree;

	(void)state;
	run("run -n outer -- sh -c '$M run -n inner -- sh -c \"sleep 1000 & $M rm outer; "
	    "$M tree --json; kill \\$!\"; exit $?'");
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(json_array_size(json_object_get(root, "trees")), 1);
	tree = json_array_get(json_object_get(root, "trees"), 0);
	assert_string_equal(json_string_value(json_object_get(tree, "name")), "inner");
	assert_true(json_is_null(json_object_get(tree, "parent")));
	assert_int_equal(json_array_size(json_object_get(tree, "processes")), 3);
	json_decref(root);
	await_trackers(0);
}

/* --- set ------------------------------------------------------------------------------------- */

static void test_set_renames(void **state)
{
	(void)state;
	run("run -q -n first -- sh -c '$M set first -n second; echo $?; $M tree second >/dev/null; "
	    "echo $?; $M tree first; echo $?; $M set second -n second -w 1s; echo $?; "
	    "$M ps --json | grep -c 1000000000'");
	assert_string_equal(outcome.out, "0\n0\n3\n0\n1\n");
}

static void test_set_refuses_what_cannot_be(void **state)
{
	static const char *const lines[] = {
		"set",		"set a",       "set a b",	    "set a -n '/'",
		"set a -w 20s", "set a -l 1X", "set --json a -n b", "rm",
		"rm a b",	"rm --json a"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		if (outcome.status != 2)
			print_error("%s: %d %s\n", lines[i], outcome.status, outcome.err);
		assert_int_equal(outcome.status, 2);
		assert_one_line(outcome.err);
	}
	run("run -q -n one -- sh -c '$M run -n two -- sh -c \"$M set two -n one; echo \\$?; "
	    "$M set nobody -n three; echo \\$?\"'");
	assert_string_equal(outcome.out, "1\n3\n");
	assert_non_null(strstr(outcome.err, "a tree named one exists already"));
	await_trackers(0);
}

#define child_test(function) cmocka_unit_test_teardown(function, children_end)

int manage_tests(void)
{
	const struct CMUnitTest staged[] = {
		child_test(test_what_cannot_be_added_is_said_in_one_line),
		child_test(test_a_kernel_thread_cannot_be_added),
		child_test(test_a_thread_is_not_its_process),
		child_test(test_a_member_of_a_tree_is_refused),
		child_test(test_adding_needs_permission),
		child_test(test_set_renames),
		child_test(test_set_refuses_what_cannot_be),
	};
	const struct CMUnitTest alone[] = {
		child_test(test_add_stays_until_the_tree_has_ended),
		child_test(test_an_interrupt_ends_the_tracking_alone),
		child_test(test_another_users_process),
		child_test(test_a_process_with_another_pid_namespace_below),
		child_test(test_pids_are_those_of_memtrees_own_namespace),
		child_test(test_hostile_names_stay_text),
		child_test(test_rm_stops_the_tracking_alone),
		child_test(test_rm_of_an_inner_tree_makes_it_a_part_of_the_outer),
		child_test(test_rm_of_an_outer_tree_leaves_the_inner_one),
	};

	return cmocka_run_group_tests_name("manage: staged", staged, stage_open, stage_close) +
	       cmocka_run_group_tests_name("manage", alone, NULL, NULL);
}
