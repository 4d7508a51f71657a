// SPDX-License-Identifier: GPL-2.0-only
/* What a fork shares, what an exec ends, what is charged once. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "charge.h"
#include "fixture.h"
#include "groups.h"

/* --- copy on write ------------------------------------------------------------------ */

#define HELD_PAGES (100 * MIB_PAGES)

/* The child looks at itself at three marks, then the parent goes on. */
static void play_cow(struct board *board)
{
	char *held = reserve(HELD_PAGES), *fresh = reserve(500);

	touch(held, HELD_PAGES);
	mark(board);
	if (!spawn(board, 0)) {
		park(board, 0);
		touch(held, 1000);
		touch(fresh, 500);
		sem_post(&board->reached);
		park(board, 0);
		munmap(held, HELD_PAGES / 2 * PAGE);
		sem_post(&board->reached);
		park(board, 0);
		touch(reserve(HELD_PAGES / 2), HELD_PAGES / 2);
		sem_post(&board->reached);
		park(board, 0);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
	mark(board);
}

/* Lets a parked child of place 0 take its next step; the root stays at its mark. */
static void child_step(struct fixture *fixture)
{
	gate_open(fixture, 0);
	mark_await(fixture);
	await_sleep(fixture->board->pids[0]);
}

/* The child leaves, the root comes to its last mark. */
static void cow_end(struct fixture *fixture)
{
	sem_post(&fixture->board->go);
	gate_open(fixture, 0);
	mark_await(fixture);
}

static void test_a_forked_child_inherits_and_keeps_less(void **state)
{
	struct fixture *fixture = *state;
	struct process parent, child, later;
	struct tree before, tree;

	scene_start(fixture, "cow");
	scene_next(fixture);
	before = tree_now(fixture);
	assert_int_equal(before.inherited, 0);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	parent = process_now(fixture, scene_root(fixture));
	child = process_now(fixture, fixture->board->pids[0]);
	assert_true(parent.bytes[MT_ANON] >= bytes_of(HELD_PAGES));
	assert_int_equal(child.bytes[MT_ANON], parent.bytes[MT_ANON]);
	/* All it had at its fork; what it has read since (file pages) is its own. */
	assert_true(child.inherited >= child.bytes[MT_ANON]);
	assert_true(child.inherited <= bytes_rss(child.bytes));
	tree = tree_now(fixture);
	assert_int_equal(tree.inherited, child.inherited);
	assert_int_equal(tree.charged, bytes_rss(tree.bytes) - child.inherited);
	assert_exact(fixture);

	child_step(fixture); /* breaks 1000 pages, touches 500 new ones */
	later = process_now(fixture, fixture->board->pids[0]);
	assert_int_equal(later.bytes[MT_ANON] - child.bytes[MT_ANON], bytes_of(500));
	assert_int_equal(later.inherited, child.inherited);
	assert_exact(fixture);

	child_step(fixture); /* gives half of it back: the ratchet turns */
	child = process_now(fixture, fixture->board->pids[0]);
	assert_int_equal(later.bytes[MT_ANON] - child.bytes[MT_ANON], bytes_of(HELD_PAGES / 2));
	assert_true(child.inherited <= bytes_rss(child.bytes));
	assert_int_equal(tree_now(fixture).inherited, child.inherited);
	assert_exact(fixture);

	child_step(fixture); /* as much again, but of its own: nothing comes back */
	later = process_now(fixture, fixture->board->pids[0]);
	assert_int_equal(later.bytes[MT_ANON] - child.bytes[MT_ANON], bytes_of(HELD_PAGES / 2));
	assert_int_equal(later.inherited, child.inherited);

	/* What was exempt never stood in the peak: the parent, and the child's own. */
	tree = tree_now(fixture);
	assert_true(tree.peak < bytes_of(2 * HELD_PAGES));
	cow_end(fixture);
	assert_int_equal(tree_now(fixture).inherited, 0);
	assert_int_equal(tree_now(fixture).processes, 1);
	scene_end(fixture);
}

static void test_the_exemption_ends_at_its_deadline(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;
	int64_t peak;

	scene_start_window(fixture, "cow", 1000000000ULL);
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	/* A window may be over already on a slow machine: wait for its end in any case. */
	for (time_t end = 0; tree_now(fixture).inherited && poll_on(&end);)
		;
	tree = tree_now(fixture);
	assert_int_equal(tree.inherited, 0);
	assert_int_equal(tree.charged, bytes_rss(tree.bytes));
	assert_true(tree.charged >= 2 * bytes_of(HELD_PAGES));
	/* No event fired at the deadline, and yet the peak is what is charged now; it stays
	 * when the next event takes memory away. */
	assert_true(tree.peak >= tree.charged);
	peak = tree.peak;
	sem_post(&fixture->board->gates[0]);
	sem_post(&fixture->board->gates[0]);
	sem_post(&fixture->board->gates[0]);
	cow_end(fixture);
	assert_true(tree_now(fixture).peak >= peak - tree.error_bound);
	scene_end(fixture);
}

/* The child does nothing but end: the first event after the close takes memory away. */
static void play_sleeper(struct board *board)
{
	touch(reserve(HELD_PAGES), HELD_PAGES);
	mark(board);
	if (!spawn(board, 0)) {
		park(board, 0);
		syscall(SYS_exit_group, 0);
	}
	mark(board);
	reap(board->pids[0]);
	mark(board);
}

static void test_the_peak_knows_a_window_that_closed_in_silence(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start_window(fixture, "sleeper", 500000000ULL);
	scene_next(fixture);
	scene_next(fixture);
	/* Nobody looks meanwhile: a reading would settle the peak. */
	usleep(1200000);
	sem_post(&fixture->board->go);
	gate_open(fixture, 0);
	mark_await(fixture);
	tree = tree_now(fixture);
	assert_int_equal(tree.processes, 1);
	assert_true(tree.peak >= 2 * bytes_of(HELD_PAGES));
	scene_end(fixture);
}

static void test_without_a_window_nothing_is_exempt(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start_window(fixture, "cow", 0);
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	tree = tree_now(fixture);
	assert_int_equal(tree.inherited, 0);
	assert_int_equal(tree.charged, bytes_rss(tree.bytes));
	assert_true(tree.peak >= 2 * bytes_of(HELD_PAGES));
	sem_post(&fixture->board->gates[0]);
	sem_post(&fixture->board->gates[0]);
	sem_post(&fixture->board->gates[0]);
	cow_end(fixture);
	scene_end(fixture);
}

/* Each generation forks the next and ends; the last one is place 4. */
#define GENERATIONS 5

static void play_refork(struct board *board)
{
	char *held = reserve(2000);

	touch(held, 2000);
	mark(board);
	if (!spawn(board, 0)) {
		for (int place = 1; place < GENERATIONS; place++) {
			board->pids[place - 1] = getpid();
			sem_post(&board->reached);
			park(board, place);
			if (spawn(board, place))
				_exit(0);
		}
		board->pids[GENERATIONS - 1] = getpid();
		sem_post(&board->reached);
		park(board, 0);
		_exit(0);
	}
	reap(board->pids[0]);
	mark(board);
}

static void test_a_process_that_reforks_inherits_once(void **state)
{
	struct fixture *fixture = *state;
	struct board *board = fixture->board;
	struct mt_space first = {}, space;
	struct reading reading;

	scene_start(fixture, "refork");
	scene_next(fixture);
	sem_post(&board->go);
	for (int place = 0; place < GENERATIONS; place++) {
		int64_t previous = first.inherited[MT_ANON];

		mark_await(fixture);
		/* The root passes its last mark when the first generation has ended. */
		if (place == 1)
			mark_await(fixture);
		await_sleep(board->pids[place]);
		reading_take(fixture, &reading);
		space = *reading_space(&reading, board->pids[place]);
		reading_free(&reading);
		if (!place)
			first = space;
		assert_int_equal(space.deadline, first.deadline);
		assert_true(space.inherited[MT_ANON] >= bytes_of(2000));
		assert_true(!place || space.inherited[MT_ANON] <= previous);
		first.inherited[MT_ANON] = space.inherited[MT_ANON];
		/* Longer than the grid of deadlines, so that a renewed one would differ. */
		usleep(350000);
		if (place < GENERATIONS - 1)
			gate_open(fixture, place + 1);
	}
	await_processes(fixture, 2);
	gate_open(fixture, 0);
	await_processes(fixture, 1);
	scene_end(fixture);
}

/* --- one address space, several processes ---------------------------------------------- */

static char clone_stack[65536] __attribute__((aligned(4096)));
static struct board *clone_board;

static int clone_child(void *unused)
{
	(void)unused;
	park(clone_board, 0);
	return 0;
}

static void play_clone_vm(struct board *board)
{
	char *held = reserve(3000);
	pid_t pid;

	touch(held, 3000);
	memset(clone_stack, 1, sizeof(clone_stack));
	clone_board = board;
	mark(board);
	pid = clone(clone_child, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, NULL);
	require(pid > 0, "clone");
	board->pids[0] = pid;
	mark(board);
	reap(pid);
	mark(board);
}

static void test_clone_vm_is_charged_once(void **state)
{
	struct fixture *fixture = *state;
	struct tree alone, shared;
	struct process child;

	scene_start(fixture, "clone_vm");
	scene_next(fixture);
	alone = tree_now(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	shared = tree_now(fixture);
	child = process_now(fixture, fixture->board->pids[0]);
	assert_int_equal(shared.processes, 2);
	assert_int_equal(shared.spaces, 1);
	assert_true(child.shared_mm);
	assert_int_equal(child.inherited, 0);
	assert_memory_equal(shared.bytes, alone.bytes, sizeof(alone.bytes));
	assert_int_equal(assert_exact(fixture), 2);
	gate_open(fixture, 0);
	scene_next(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_exact(fixture);
	scene_end(fixture);
}

static void play_vfork(struct board *board)
{
	char *held = reserve(3000);
	pid_t pid;

	touch(held, 3000);
	mark(board);
	pid = vfork();
	if (!pid) {
		board->pids[0] = (pid_t)syscall(SYS_getpid);
		sem_post(&board->reached);
		while (sem_wait(&board->gates[0]))
			;
		_exit(0);
	}
	require(pid > 0, "vfork");
	reap(pid);
	mark(board);
}

static void test_vfork_is_charged_once(void **state)
{
	struct fixture *fixture = *state;
	struct tree alone, shared;

	scene_start(fixture, "vfork");
	scene_next(fixture);
	alone = tree_now(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	shared = tree_now(fixture);
	assert_int_equal(shared.processes, 2);
	assert_int_equal(shared.spaces, 1);
	assert_memory_equal(shared.bytes, alone.bytes, sizeof(alone.bytes));
	assert_exact(fixture);
	gate_open(fixture, 0);
	mark_await(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	scene_end(fixture);
}

/* The first user of an address space ends, the second lives on. */
static void play_outlive(struct board *board)
{
	char *held = reserve(3000);

	touch(held, 3000);
	memset(clone_stack, 1, sizeof(clone_stack));
	clone_board = board;
	board->pids[0] = clone(clone_child, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD,
			       NULL);
	require(board->pids[0] > 0, "clone");
	mark(board);
	syscall(SYS_exit_group, 0);
}

static void test_an_address_space_outlives_its_first_user(void **state)
{
	struct fixture *fixture = *state;
	struct tree before, after;

	scene_start(fixture, "outlive");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	before = tree_now(fixture);
	scene_end(fixture);
	after = tree_now(fixture);
	assert_int_equal(after.processes, 1);
	assert_int_equal(after.spaces, 1);
	assert_memory_equal(after.bytes, before.bytes, sizeof(after.bytes));
	assert_exact(fixture);
	gate_open(fixture, 0);
	await_processes(fixture, 0);
}

/* --- exec ------------------------------------------------------------------------------ */

static void play_execed(struct board *board)
{
	mark(board);
}

static void exec_execed(void)
{
	execl("/proc/self/exe", "memtree-live", "--scene", "execed", NULL);
	require(0, "execl");
}

static void play_exec(struct board *board)
{
	touch(reserve(20 * MIB_PAGES), 20 * MIB_PAGES);
	mark(board);
	exec_execed();
}

static void *exec_thread(void *unused)
{
	(void)unused;
	exec_execed();
	return NULL;
}

static void play_exec_thread(struct board *board)
{
	pthread_t thread;

	touch(reserve(20 * MIB_PAGES), 20 * MIB_PAGES);
	mark(board);
	require(!pthread_create(&thread, NULL, exec_thread, NULL), "pthread_create");
	pause();
}

/* The two warm-up marks of the new program come first. */
static void assert_starts_again(struct fixture *fixture, const char *scene)
{
	struct process before, after;
	struct mt_process record;

	scene_start(fixture, scene);
	scene_next(fixture);
	before = process_now(fixture, scene_root(fixture));
	assert_true(before.bytes[MT_ANON] >= bytes_of(20 * MIB_PAGES));
	scene_next(fixture);
	scene_next(fixture);
	scene_next(fixture);
	after = process_now(fixture, scene_root(fixture));
	assert_int_equal(after.start_boot_ns, before.start_boot_ns);
	assert_true(after.execed_boot_ns > before.execed_boot_ns);
	assert_int_equal(after.threads, 1);
	assert_true(after.bytes[MT_ANON] < bytes_of(20 * MIB_PAGES));
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_int_equal(tree_now(fixture).spaces, 1);
	assert_exact(fixture);
	assert_int_equal(snapshot_args(fixture->tracker, after.tgid, after.start_boot_ns, &record),
			 0);
	assert_int_equal(record.args_kept, sizeof("memtree-live\0--scene\0execed"));
	assert_memory_equal(record.args, "memtree-live\0--scene\0execed", record.args_kept);
	scene_end(fixture);
}

static void test_exec_starts_memory_again(void **state)
{
	assert_starts_again(*state, "exec");
}

static void test_exec_from_a_thread_that_is_not_the_leader(void **state)
{
	assert_starts_again(*state, "exec_thread");
}

/* As shells and posix_spawn() do it: the child borrows the space until its exec. */
static void play_vfork_exec(struct board *board)
{
	pid_t pid;

	touch(reserve(3000), 3000);
	mark(board);
	pid = vfork();
	if (!pid) {
		execl("/proc/self/exe", "memtree-live", "--scene", "execed", NULL);
		_exit(98);
	}
	require(pid > 0, "vfork");
	board->pids[0] = pid;
	reap(pid);
	mark(board);
}

static void test_vfork_and_exec(void **state)
{
	struct fixture *fixture = *state;
	struct process root, child;
	struct tree alone;

	scene_start(fixture, "vfork_exec");
	scene_next(fixture);
	alone = tree_now(fixture);
	scene_next(fixture);
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	root = process_now(fixture, scene_root(fixture));
	child = process_now(fixture, fixture->board->pids[0]);
	assert_memory_equal(root.bytes, alone.bytes, sizeof(root.bytes));
	assert_false(child.shared_mm);
	assert_int_equal(child.inherited, 0);
	assert_int_equal(tree_now(fixture).spaces, 2);
	assert_int_equal(assert_exact(fixture), 2);
	scene_next(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	scene_end(fixture);
}

#define SPIKES 30

static void play_spikes(struct board *board)
{
	touch(reserve(HELD_PAGES), HELD_PAGES);
	mark(board);
	for (int i = 0; i < SPIKES; i++) {
		if (!spawn(board, 0)) {
			execlp("true", "true", NULL);
			_exit(98);
		}
		reap(board->pids[0]);
	}
	mark(board);
}

static void test_exec_spikes_stand_in_no_peak_however_often_one_looks(void **state)
{
	struct fixture *fixture = *state;
	time_t end = time(NULL) + DEADLINE_S;
	struct reading reading;
	struct tree tree;

	scene_start(fixture, "spikes");
	scene_next(fixture);
	sem_post(&fixture->board->go);
	while (sem_trywait(&fixture->board->reached)) {
		assert_true(time(NULL) < end);
		reading_take(fixture, &reading);
		reading_free(&reading);
	}
	tree = tree_now(fixture);
	assert_forks(fixture, SPIKES + 1);
	assert_true(tree.peak >= bytes_of(HELD_PAGES));
	assert_true(tree.peak < bytes_of(HELD_PAGES + HELD_PAGES / 2));
	scene_end(fixture);
}

const struct scene fork_scenes[] = {
	{"cow", play_cow},	 {"sleeper", play_sleeper},
	{"refork", play_refork}, {"clone_vm", play_clone_vm},
	{"vfork", play_vfork},	 {"outlive", play_outlive},
	{"spikes", play_spikes}, {"vfork_exec", play_vfork_exec},
	{"exec", play_exec},	 {"exec_thread", play_exec_thread},
	{"execed", play_execed}, {NULL, NULL},
};

int fork_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_a_forked_child_inherits_and_keeps_less),
		tree_test(test_the_exemption_ends_at_its_deadline),
		tree_test(test_the_peak_knows_a_window_that_closed_in_silence),
		tree_test(test_without_a_window_nothing_is_exempt),
		tree_test(test_a_process_that_reforks_inherits_once),
		tree_test(test_clone_vm_is_charged_once),
		tree_test(test_vfork_is_charged_once),
		tree_test(test_an_address_space_outlives_its_first_user),
		tree_test(test_exec_spikes_stand_in_no_peak_however_often_one_looks),
		tree_test(test_vfork_and_exec),
		tree_test(test_exec_starts_memory_again),
		tree_test(test_exec_from_a_thread_that_is_not_the_leader),
	};

	return cmocka_run_group_tests_name("fork", tests, fixture_share, NULL);
}
