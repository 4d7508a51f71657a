// SPDX-License-Identifier: GPL-2.0-only
/* A census beside the handlers: what it meets in the middle of a fork, an exec or an exit. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "fixture.h"
#include "groups.h"

enum { DONE, STOP };

#define EXECS 150
#define FORKS 1500

/* As one of census_heal(), which needs a loss to begin. */
static void census_once(struct fixture *fixture)
{
	uint64_t before = UINT64_MAX, now;

	census_switch(fixture, true);
	while ((now = census_pass(fixture)) != before)
		before = now;
	census_switch(fixture, false);
}

static uint64_t births_missed(struct fixture *fixture)
{
	uint64_t losses[MT_LOSSES];

	assert_int_equal(tracker_losses(fixture->tracker, losses), 0);
	return losses[MT_LOSS_MISSED_BIRTH];
}

static int64_t number_of(const struct fixture *fixture, int number)
{
	return __atomic_load_n(&fixture->board->numbers[number], __ATOMIC_SEQ_CST);
}

static void census_until_done(struct fixture *fixture)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (!number_of(fixture, DONE) && time(NULL) < end)
		census_once(fixture);
	assert_true(number_of(fixture, DONE));
}

/* --- threads that end ------------------------------------------------------------------- */

static void *thread_ends(void *nothing)
{
	return nothing;
}

static void play_thread_churn(struct board *board)
{
	touch(reserve(500), 500);
	while (!__atomic_load_n(&board->numbers[STOP], __ATOMIC_SEQ_CST)) {
		pthread_t thread;

		require(!pthread_create(&thread, NULL, thread_ends, NULL), "pthread_create");
		pthread_join(thread, NULL);
	}
	mark(board);
}

static void test_a_thread_that_ends_leaves_its_memory(void **state)
{
	struct fixture *fixture = *state;
	int lost = 0;

	scene_start(fixture, "thread_churn");
	sem_post(&fixture->board->go);
	for (int i = 0; i < 1500 && !lost; i++) {
		census_once(fixture);
		lost = registry_holds(fixture->tracker, fixture->tree) != 2 ? i + 1 : 0;
	}
	fixture->board->numbers[STOP] = 1;
	mark_await(fixture);
	assert_int_equal(lost, 0);
	assert_int_equal(assert_exact(fixture), 1);
	scene_end(fixture);
}

/* --- forks ------------------------------------------------------------------------------- */

static void play_fork_churn(struct board *board)
{
	touch(reserve(2000), 2000);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid)
			_exit(0);
		reap(pid);
	}
	board->numbers[DONE] = 1;
	mark(board);
}

static void test_a_newborn_is_left_to_its_handler(void **state)
{
	struct fixture *fixture = *state;
	uint64_t before = births_missed(fixture);

	scene_start(fixture, "fork_churn");
	sem_post(&fixture->board->go);
	census_until_done(fixture);
	mark_await(fixture);
	assert_true(births_missed(fixture) - before <= events_unseen(fixture, 3));
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- exec ---------------------------------------------------------------------------------- */

static _Noreturn void become_sleeper(void)
{
	execlp("sleep", "sleep", "600", NULL);
	_exit(1);
}

/* All have exec'ed when nobody holds the pipe any more. */
static void play_exec_churn(struct board *board)
{
	pid_t pids[EXECS];
	int ends[2];
	char byte;

	require(!pipe2(ends, O_CLOEXEC), "pipe2");
	for (int i = 0; i < EXECS; i++) {
		pids[i] = fork();
		require(pids[i] >= 0, "fork");
		if (!pids[i])
			become_sleeper();
	}
	close(ends[1]);
	require(read(ends[0], &byte, 1) == 0, "read");
	board->numbers[DONE] = 1;
	mark(board);
	for (int i = 0; i < EXECS; i++) {
		kill(pids[i], SIGKILL);
		reap(pids[i]);
	}
	mark(board);
}

static unsigned int execs_missed(struct fixture *fixture)
{
	struct reading reading;
	unsigned int missed = 0;

	reading_take(fixture, &reading);
	for (size_t i = 0; i < reading.model.process_count; i++) {
		const struct process *process = &reading.model.processes[i];
		struct mt_process record;

		assert_int_equal(snapshot_args(fixture->tracker, process->tgid,
					       process->start_boot_ns, &record),
				 0);
		missed += process->tgid != (uint32_t)scene_root(fixture) &&
			  (record.args_kept != 10 || memcmp(record.args,
							    "sleep\0"
							    "600",
							    10));
	}
	reading_free(&reading);
	return missed;
}

static void test_an_exec_under_a_census_keeps_its_arguments(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "exec_churn");
	sem_post(&fixture->board->go);
	census_until_done(fixture);
	mark_await(fixture);
	assert_int_equal(tree_now(fixture).processes, EXECS + 1);
	assert_true(execs_missed(fixture) <= events_unseen(fixture, 2));
	scene_next(fixture);
	await_processes(fixture, 1);
	scene_end(fixture);
}

/* --- memory of a stranger -------------------------------------------------------------------- */

static void play_vfork_stranger(struct board *board)
{
	pid_t pid;

	touch(reserve(3000), 3000);
	pid = vfork();
	if (!pid) {
		board->pids[1] = (pid_t)syscall(SYS_getpid);
		sem_post(&board->reached);
		while (sem_wait(&board->go))
			;
		become_sleeper();
	}
	mark(board);
	kill(pid, SIGKILL);
	reap(pid);
	mark(board);
}

/* Between vfork and exec a process has no memory of its own. */
static void test_a_vforked_root_brings_no_memory_of_its_parent(void **state)
{
	struct fixture *fixture = *state;
	struct mt_census_record root;

	stranger_start(fixture, "vfork_stranger");
	scene_next(fixture);
	root = process_find(fixture, fixture->board->pids[1]);
	tree_register(fixture, "vforked");
	assert_int_equal(
		census_adopt(fixture->tracker, fixture->tree, root.tgid, root.start_boot_ns), 0);
	scene_next(fixture);
	await_sleep(fixture->board->pids[1]);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_int_equal(tree_now(fixture).spaces, 1);
	assert_int_equal(assert_exact(fixture), 1);
	scene_next(fixture);
	await_processes(fixture, 0);
	scene_end(fixture);
}

/* --- a reader that sees a part of the tasks --------------------------------------------------- */

static void play_fork_in_the_dark(struct board *board)
{
	if (!spawn(board, 1)) {
		touch(reserve(20), 20);
		park(board, 1);
		_exit(0);
	}
	mark(board);
	reap(board->pids[1]);
	mark(board);
}

static void heal_in_a_namespace(struct fixture *fixture)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(2);
		pid = fork();
		if (!pid)
			_exit(census_heal(fixture->tracker) ? 1 : 0);
		_exit(waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_a_reader_in_a_pid_namespace_heals_nothing_for_others(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "fork_in_the_dark");
	loader_refuse(fixture->loader, true);
	scene_next(fixture);
	loader_refuse(fixture->loader, false);
	assert_int_equal(tree_unhealed(fixture).processes, 1);
	heal_in_a_namespace(fixture);
	assert_int_equal(census_heal(fixture->tracker), 0);
	assert_int_equal(tree_now(fixture).processes, 2);
	assert_int_equal(assert_exact(fixture), 2);
	gate_open(fixture, 1);
	scene_next(fixture);
	await_processes(fixture, 1);
	scene_end(fixture);
}

const struct scene race_scenes[] = {
	{"thread_churn", play_thread_churn},
	{"fork_churn", play_fork_churn},
	{"exec_churn", play_exec_churn},
	{"vfork_stranger", play_vfork_stranger},
	{"fork_in_the_dark", play_fork_in_the_dark},
	{NULL, NULL},
};

int race_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_thread_that_ends_leaves_its_memory,
						tree_open, lossy_tree_close),
		cmocka_unit_test_setup_teardown(test_a_newborn_is_left_to_its_handler, tree_open,
						lossy_tree_close),
		cmocka_unit_test_setup_teardown(test_an_exec_under_a_census_keeps_its_arguments,
						tree_open, lossy_tree_close),
		cmocka_unit_test_setup_teardown(test_a_vforked_root_brings_no_memory_of_its_parent,
						tree_open, lossy_tree_close),
		cmocka_unit_test_setup_teardown(
			test_a_reader_in_a_pid_namespace_heals_nothing_for_others, tree_open,
			lossy_tree_close),
	};

	return cmocka_run_group_tests_name("races", tests, fixture_open, fixture_close);
}
