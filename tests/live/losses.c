// SPDX-License-Identifier: GPL-2.0-only
/* What the tracker could not do is counted by reason, and healed by a census. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "census.h"
#include "fixture.h"
#include "groups.h"

#define CROWD 8

static uint64_t losses_of(struct fixture *fixture, enum mt_loss reason)
{
	uint64_t losses[MT_LOSSES];

	assert_int_equal(tracker_losses(fixture->tracker, losses), 0);
	return losses[reason];
}

static uint64_t unhealed(struct fixture *fixture)
{
	uint64_t losses[MT_LOSSES], sum = 0;

	assert_int_equal(census_losses(fixture->tracker, losses), 0);
	for (int loss = 0; loss < MT_LOSSES; loss++)
		sum += losses[loss];
	return sum;
}

/* The whole crowd was found so since `before`; others too where the kernel left out handlers. Two
 * that find the same one at once both count it. */
static void assert_crowd_found(struct fixture *fixture, enum mt_loss reason, uint64_t before)
{
	assert_in_range(losses_of(fixture, reason) - before, CROWD,
			2 * CROWD + tracker_misses(fixture->tracker));
}

static void heal(struct fixture *fixture)
{
	assert_int_equal(census_heal(fixture->tracker), 0);
}

static void play_gather(struct board *board)
{
	mark(board);
	for (int i = 1; i <= CROWD; i++)
		if (!spawn(board, i)) {
			touch(reserve(20), 20);
			sem_post(&board->reached);
			park(board, i);
			_exit(0);
		}
	mark(board);
	while (wait(NULL) > 0)
		;
	mark(board);
}

static void crowd_gather(struct fixture *fixture)
{
	sem_post(&fixture->board->go);
	for (int i = 0; i < CROWD + 1; i++)
		mark_await(fixture);
	for (int i = 1; i <= CROWD; i++)
		await_sleep(fixture->board->pids[i]);
}

static void crowd_leave(struct fixture *fixture)
{
	for (int i = 1; i <= CROWD; i++)
		gate_open(fixture, i);
	sem_post(&fixture->board->go);
	mark_await(fixture);
}

static void test_births_that_were_missed_are_found(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "gather");
	scene_next(fixture);
	loader_refuse(fixture->loader, true);
	crowd_gather(fixture);
	loader_refuse(fixture->loader, false);
	assert_int_equal(tree_unhealed(fixture).processes, 1);
	assert_true(losses_of(fixture, MT_LOSS_PROCESSES_FULL) > 0);
	assert_true(losses_of(fixture, MT_LOSS_BUSY) > 0);
	heal(fixture);
	assert_int_equal(tree_now(fixture).processes, CROWD + 1);
	assert_int_equal(assert_exact(fixture), CROWD + 1);
	assert_crowd_found(fixture, MT_LOSS_MISSED_BIRTH, 0);
	assert_int_equal(unhealed(fixture), 0);
	crowd_leave(fixture);
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

static void test_exits_that_were_missed_are_found(void **state)
{
	struct fixture *fixture = *state;
	uint64_t stale = losses_of(fixture, MT_LOSS_STALE_PROCESS);

	scene_start(fixture, "gather");
	scene_next(fixture);
	crowd_gather(fixture);
	/* Younger ones could be in the middle of their fork: they are left alone. */
	sleep(2);
	assert_int_equal(assert_exact(fixture), CROWD + 1);
	loader_refuse(fixture->loader, true);
	crowd_leave(fixture);
	loader_refuse(fixture->loader, false);
	assert_int_equal(tree_unhealed(fixture).processes, CROWD + 1);
	heal(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_int_equal(tree_now(fixture).spaces, 1);
	assert_crowd_found(fixture, MT_LOSS_STALE_PROCESS, stale);
	assert_int_equal(unhealed(fixture), 0);
	assert_int_equal(assert_exact(fixture), 1);
	scene_end(fixture);
}

static bool is_crowded(struct fixture *fixture)
{
	struct tree tree = tree_unhealed(fixture);

	return tree.processes > 1 || tree.spaces > 1;
}

/* Spared by the first census, which must not call healed what it leaves behind. */
static void test_exits_of_the_young_that_were_missed_are_found(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "gather");
	scene_next(fixture);
	crowd_gather(fixture);
	loader_refuse(fixture->loader, true);
	crowd_leave(fixture);
	loader_refuse(fixture->loader, false);
	heal(fixture);
	for (time_t end = 0; is_crowded(fixture) && poll_on(&end);) {
		assert_true(unhealed(fixture) > 0);
		heal(fixture);
	}
	assert_false(is_crowded(fixture));
	assert_int_equal(unhealed(fixture), 0);
	assert_int_equal(assert_exact(fixture), 1);
	scene_end(fixture);
}

static void play_exec_in_the_dark(struct board *board)
{
	touch(reserve(400), 400);
	mark(board);
	execl("/proc/self/exe", "memtree-live", "--scene", "gather", NULL);
}

static void test_an_exec_that_was_missed_is_found(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "exec_in_the_dark");
	scene_next(fixture);
	sleep(2);
	loader_refuse(fixture->loader, true);
	sem_post(&fixture->board->go);
	mark_await(fixture);
	loader_refuse(fixture->loader, false);
	scene_next(fixture);
	assert_true(losses_of(fixture, MT_LOSS_SPACES_FULL) > 0);
	heal(fixture);
	assert_int_equal(assert_exact(fixture), 1);
	assert_int_equal(tree_now(fixture).spaces, 1);
	scene_next(fixture);
	crowd_gather(fixture);
	assert_int_equal(assert_exact(fixture), CROWD + 1);
	crowd_leave(fixture);
	await_processes(fixture, 1);
	scene_end(fixture);
}

static void play_orphan_in_the_dark(struct board *board)
{
	if (!spawn(board, 1)) {
		sem_post(&board->reached);
		park(board, 1);
		if (!spawn(board, 2)) {
			touch(reserve(20), 20);
			sem_post(&board->reached);
			park(board, 2);
			_exit(0);
		}
		sem_post(&board->reached);
		park(board, 3);
		_exit(0);
	}
	mark(board);
	reap(board->pids[1]);
	mark(board);
}

/* After the end of its parent no census could find it. */
static void test_the_child_of_a_birth_missed_is_adopted_at_its_parents_end(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "orphan_in_the_dark");
	sem_post(&fixture->board->go);
	mark_await(fixture);
	mark_await(fixture);
	loader_refuse(fixture->loader, true);
	gate_open(fixture, 1);
	mark_await(fixture);
	mark_await(fixture);
	loader_refuse(fixture->loader, false);
	assert_int_equal(tree_unhealed(fixture).processes, 2);
	gate_open(fixture, 3);
	scene_next(fixture);
	await_sleep(fixture->board->pids[2]);
	assert_int_equal(process_now(fixture, fixture->board->pids[2]).zombie, false);
	assert_int_equal(tree_now(fixture).processes, 2);
	assert_int_equal(assert_exact(fixture), 2);
	assert_int_equal(losses_of(fixture, MT_LOSS_CHILDREN), 0);
	gate_open(fixture, 2);
	await_processes(fixture, 1);
	scene_end(fixture);
}

/* --- full maps --------------------------------------------------------------------------- */

static int tiny_open(void **state)
{
	const struct loader_options options = {.process_capacity = 4};

	return fixture_open_with(state, &options);
}

static void test_a_full_map_heals_when_there_is_room_again(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "gather");
	scene_next(fixture);
	crowd_gather(fixture);
	assert_true(tree_now(fixture).processes <= 4);
	assert_true(losses_of(fixture, MT_LOSS_PROCESSES_FULL) > 0);
	heal(fixture);
	assert_true(unhealed(fixture) > 0);
	for (int i = 1; i <= CROWD - 2; i++) {
		gate_open(fixture, i);
		for (time_t end = 0;
		     process_find(fixture, fixture->board->pids[i]).live && poll_on(&end);)
			;
	}
	/* Their exits may be in the middle of their handlers. */
	for (time_t end = 0; tree_now(fixture).processes != 3 && poll_on(&end);)
		heal(fixture);
	assert_int_equal(assert_exact(fixture), 3);
	heal(fixture);
	assert_int_equal(unhealed(fixture), 0);
	gate_open(fixture, CROWD - 1);
	gate_open(fixture, CROWD);
	sem_post(&fixture->board->go);
	mark_await(fixture);
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- handlers that the kernel leaves out ------------------------------------------------------ */

enum { ALIVE, STOP, TURNS, PARKED };

#define FORKERS 6
#define KEPT_EACH 12
#define TURNS_EACH 150

static _Noreturn void stay(struct board *board)
{
	touch(reserve(3), 3);
	count_up(board, PARKED, 1);
	park(board, 0);
	_exit(0);
}

static _Noreturn void fork_on(struct board *board)
{
	for (int turn = 0; turn < TURNS_EACH; turn++)
		if (!fork_counted(board, ALIVE)) {
			if (turn < KEPT_EACH)
				stay(board);
			count_up(board, ALIVE, -1);
			_exit(0);
		}
	stay(board);
}

/* Many that fork on few CPUs: their handlers preempt each other where they can. */
static void play_slow(struct board *board)
{
	signal(SIGCHLD, SIG_IGN);
	require(!prctl(PR_SET_CHILD_SUBREAPER, 1), "subreaper");
	count_up(board, ALIVE, 1);
	for (int i = 0; i < FORKERS; i++)
		if (!fork_counted(board, ALIVE))
			fork_on(board);
	mark(board);
	for (int i = 0; i < FORKERS * (KEPT_EACH + 1); i++)
		sem_post(&board->gates[0]);
	mark(board);
}

static int slow_open(void **state)
{
	const struct loader_options options = {.process_capacity = 4096, .fault_wait_ns = 300000};

	return fixture_open_with(state, &options);
}

static void test_handlers_that_are_preempted(void **state)
{
	struct fixture *fixture = *state;
	const struct board *board = fixture->board;
	const int64_t kept = FORKERS * (KEPT_EACH + 1) + 1;
	uint64_t misses;

	scene_start(fixture, "slow");
	scene_next(fixture);
	for (time_t end = 0;
	     (board->numbers[PARKED] + 1 < kept || board->numbers[ALIVE] > kept) && poll_on(&end);)
		;
	assert_int_equal(board->numbers[ALIVE], kept);
	sleep(2); /* a stale one is told from one in the middle of its fork by its age */
	misses = tracker_misses(fixture->tracker);
	heal(fixture);
	assert_int_equal(tree_now(fixture).processes, kept);
	assert_int_equal(assert_exact(fixture), kept);
	scene_next(fixture);
	sleep(2);
	heal(fixture);
	await_processes(fixture, 1);
	assert_exact(fixture);
	scene_end(fixture);
	heal(fixture);
	assert_int_equal(unhealed(fixture), 0);
	if (!misses)
		skip_because("this kernel left out no handler (it does from 7.0)");
	printf("handlers left out: %llu, births found: %llu, exits found: %llu\n",
	       (unsigned long long)misses,
	       (unsigned long long)losses_of(fixture, MT_LOSS_MISSED_BIRTH),
	       (unsigned long long)losses_of(fixture, MT_LOSS_STALE_PROCESS));
}

const struct scene losses_scenes[] = {
	{"gather", play_gather},
	{"exec_in_the_dark", play_exec_in_the_dark},
	{"orphan_in_the_dark", play_orphan_in_the_dark},
	{"slow", play_slow},
	{NULL, NULL},
};

#define lossy_test(function) cmocka_unit_test_setup_teardown(function, tree_open, lossy_tree_close)

int losses_tests(void)
{
	const struct CMUnitTest refused[] = {
		lossy_test(test_births_that_were_missed_are_found),
		lossy_test(test_exits_that_were_missed_are_found),
		lossy_test(test_exits_of_the_young_that_were_missed_are_found),
		lossy_test(test_an_exec_that_was_missed_is_found),
		lossy_test(test_the_child_of_a_birth_missed_is_adopted_at_its_parents_end),
	};
	const struct CMUnitTest tiny[] = {
		lossy_test(test_a_full_map_heals_when_there_is_room_again),
	};
	const struct CMUnitTest slow[] = {
		lossy_test(test_handlers_that_are_preempted),
	};

	return cmocka_run_group_tests_name("losses: refused", refused, fixture_open,
					   fixture_close) +
	       cmocka_run_group_tests_name("losses: full", tiny, tiny_open, fixture_close) +
	       cmocka_run_group_tests_name("losses: slow", slow, slow_open, fixture_close);
}
