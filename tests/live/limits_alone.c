// SPDX-License-Identifier: GPL-2.0-only
/* Limits kept by memtrees with trackers of their own: run, run inside run, add. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "hog.h"

static void test_the_end_within_the_grace_time(void **state)
{
	(void)state;
	finish(eat("hog", "-l 48M --grace 1h", "anon 60M await $0"));
	assert_int_equal(outcome.status, 128 + SIGTERM);
	assert_stopped("hog");
	finish(eat("hog", "-l 48M --grace 1h", "ignore-term anon 60M exit 7"));
	assert_int_equal(outcome.status, 7);
	assert_nobody_left();
}

static void test_the_kernel_ends_it_at_once(void **state)
{
	(void)state;
	finish(eat("hog", "-l 48M --on-limit kill", "anon 96M await $0"));
	assert_int_equal(outcome.status, 128 + SIGKILL);
	assert_stopped("hog");
	assert_nobody_left();
}

static bool is_dead(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return true;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return !line[0] || strstr(line, ") Z") || strstr(line, ") X");
}

static void test_with_memtree_stopped_the_kernel_acts(void **state)
{
	struct started hog = eat("hog", "-l 64M --on-limit kill",
				 "fork { await $1 } say ready await $0 anon 96M await $1");
	json_t *tree;
	pid_t root;

	(void)state;
	text_await(hog.out, "ready");
	tree = state_await("hog", "running");
	root = (pid_t)integer(tree, "root_pid");
	json_decref(tree);
	assert_int_equal(kill(hog.pid, SIGSTOP), 0);
	gate_push(0);
	for (time_t end = 0; !is_dead(root) && poll_on(&end);)
		;
	assert_true(is_dead(root));
	/* Who does nothing lives until memtree goes on. */
	json_decref(state_await("hog", "dying"));
	kill(hog.pid, SIGCONT);
	finish(hog);
	assert_int_equal(outcome.status, 128 + SIGKILL);
	assert_stopped("hog");
	assert_nobody_left();
}

static void test_a_run_inside_a_run(void **state)
{
	char line[1024];

	(void)state;
	snprintf(
		line, sizeof(line),
		"run -n outer -- sh -c '$M run -n inner -l 48M --grace 1s -- %s --eat anon 96M await %s; "
		"echo $?; $M run -n spare -l 200M -- %s --eat anon 96M; echo $?'",
		eater_program, gates[0], eater_program);
	run(line);
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "143\n0\n");
	assert_reported("inner");
	assert_not_told("spare: over");
	assert_nobody_left();
	/* The outer one's limit counts what the inner one holds. */
	snprintf(
		line, sizeof(line),
		"run -n outer -l 64M --grace 1s -- sh -c '$M run -n inner -l 200M -- %s --eat anon 96M "
		"await %s'",
		eater_program, gates[0]);
	run(line);
	assert_stopped("outer");
	assert_nobody_left();
}

static pid_t eater_start(char *const *words)
{
	char *argv[16] = {eater_program, (char *)(intptr_t) "--eat"};
	int count = 2;
	pid_t pid;

	while (*words && count < 15)
		argv[count++] = *words++;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		execv(eater_program, argv);
		_exit(99);
	}
	return pid;
}

/* Added over its limit, or below it before it grows. */
static void add_and_stop(const char *limit, char *const *words)
{
	pid_t pid = eater_start(words);
	struct started add;
	int status;
	char line[128];

	/* Asleep, whatever it has eaten before. */
	await_sleep(pid);
	snprintf(line, sizeof(line), "add -n added -l %s %d", limit, (int)pid);
	add = start(NULL, line);
	text_await(add.err, "tracking");
	gate_push(0);
	status = await_end(pid);
	finish(add);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(outcome.status, 0);
	assert_reported("added");
	assert_nobody_left();
	gates_shut();
}

static void test_a_process_that_is_added(void **state)
{
	char *grows[] = {(char *)(intptr_t) "await",
			 gates[0],
			 (char *)(intptr_t) "anon",
			 (char *)(intptr_t) "96M",
			 (char *)(intptr_t) "await",
			 gates[1],
			 NULL};
	char *over[] = {(char *)(intptr_t) "anon", (char *)(intptr_t) "96M",
			(char *)(intptr_t) "await", gates[1], NULL};

	(void)state;
	add_and_stop("64M", grows);
	add_and_stop("64M", over);
	add_and_stop("64M --on-limit kill", grows);
	add_and_stop("64M --on-limit kill", over);
}

int limits_alone_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_the_end_within_the_grace_time),
		limit_test(test_the_kernel_ends_it_at_once),
		limit_test(test_with_memtree_stopped_the_kernel_acts),
		limit_test(test_a_run_inside_a_run),
		limit_test(test_a_process_that_is_added),
	};

	return cmocka_run_group_tests_name("limits_alone", tests, hogs_open, hogs_close);
}
