// SPDX-License-Identifier: GPL-2.0-only
/* No process is lost and none is counted twice, however it is born and however it dies. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "groups.h"

/* --- threads ------------------------------------------------------------------------ */

static void *thread_that_stays(void *argument)
{
	struct board *board = argument;

	touch(reserve(300), 300);
	sem_post(&board->reached);
	park(board, 0);
	touch(reserve(200), 200);
	sem_post(&board->reached);
	park(board, 0);
	_exit(0);
}

static void play_leader_exits(struct board *board)
{
	pthread_t thread;

	mark(board);
	require(!pthread_create(&thread, NULL, thread_that_stays, board), "pthread_create");
	syscall(SYS_exit, 0); /* pthread_exit() loads libgcc_s */
}

static void test_a_leader_exits_while_threads_live(void **state)
{
	struct fixture *fixture = *state;
	struct process first, second;

	scene_start(fixture, "leader_exits");
	scene_next(fixture);
	scene_next(fixture);
	/* The leader is a zombie now, its thread holds the memory. */
	for (time_t end = 0;
	     process_now(fixture, scene_root(fixture)).state != 'Z' && poll_on(&end);)
		;
	first = process_now(fixture, scene_root(fixture));
	assert_false(first.zombie);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_int_equal(tree_now(fixture).zombies, 0);
	assert_exact(fixture);
	gate_open(fixture, 0);
	mark_await(fixture);
	second = process_now(fixture, scene_root(fixture));
	assert_int_equal(second.bytes[MT_ANON] - first.bytes[MT_ANON], 200 * (int64_t)PAGE);
	assert_exact(fixture);
	gate_open(fixture, 0);
	scene_end(fixture);
}

#define PAIRS 100

static pthread_barrier_t together;

static void *leave_together(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&together);
	syscall(SYS_exit, 0);
	return NULL;
}

static void play_two_last(struct board *board)
{
	mark(board);
	for (int i = 0; i < PAIRS; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid) {
			pthread_t thread;

			pthread_barrier_init(&together, NULL, 2);
			require(!pthread_create(&thread, NULL, leave_together, NULL), "thread");
			leave_together(NULL);
		}
		reap(pid);
	}
	mark(board);
}

static void test_two_last_threads_exit_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start(fixture, "two_last");
	scene_next(fixture);
	scene_next(fixture);
	await_zombies(fixture, 0);
	tree = tree_now(fixture);
	assert_int_equal(tree.processes, 1);
	assert_int_equal(tree.spaces, 1);
	assert_int_equal(tree.holds, 2);
	assert_forks(fixture, PAIRS + 1);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- ways to leave one's parent -------------------------------------------------------- */

static void play_clone_parent(struct board *board)
{
	long pid;

	mark(board);
	/* No SIGCHLD for the test, whose child this becomes. */
	pid = syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, 0L);
	require(pid >= 0, "clone");
	if (!pid) {
		park(board, 0);
		_exit(0);
	}
	board->pids[0] = (pid_t)pid;
	mark(board);
}

static void test_clone_parent_stays_in_its_tree(void **state)
{
	struct fixture *fixture = *state;
	struct process child;

	scene_start(fixture, "clone_parent");
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	child = process_now(fixture, fixture->board->pids[0]);
	assert_int_equal(child.ppid, getpid());
	assert_false(child.orphan);
	assert_int_equal(assert_exact(fixture), 2);
	gate_open(fixture, 0);
	assert_int_equal(waitpid(fixture->board->pids[0], NULL, __WALL), fixture->board->pids[0]);
	await_processes(fixture, 1);
	scene_end(fixture);
}

static void play_daemonise(struct board *board)
{
	pid_t middle;

	if (board->numbers[0])
		require(!prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
	mark(board);
	middle = spawn(board, 0);
	if (!middle) {
		setsid();
		if (!spawn(board, 1)) {
			touch(reserve(400), 400);
			park(board, 1);
			_exit(0);
		}
		_exit(0);
	}
	reap(middle);
	mark(board);
}

static void test_a_double_fork_with_setsid_stays(void **state)
{
	struct fixture *fixture = *state;
	struct process orphan;

	scene_start(fixture, "daemonise");
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[1]);
	orphan = process_now(fixture, fixture->board->pids[1]);
	assert_true(orphan.orphan);
	assert_int_not_equal(orphan.ppid, scene_root(fixture));
	assert_int_equal(tree_now(fixture).orphans, 1);
	assert_int_equal(tree_now(fixture).processes, 2);
	assert_int_equal(assert_exact(fixture), 2);
	/* The root goes first: the tree lives on. */
	scene_end(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_true(tree_now(fixture).charged > 400 * (int64_t)PAGE);
	assert_exact(fixture);
	gate_open(fixture, 1);
	await_processes(fixture, 0);
}

static void play_subreaper(struct board *board)
{
	board->numbers[0] = 1;
	play_daemonise(board);
	reap(board->pids[1]);
}

static void test_a_subreaper_takes_the_orphan(void **state)
{
	struct fixture *fixture = *state;
	struct process orphan;

	scene_start(fixture, "subreaper");
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[1]);
	orphan = process_now(fixture, fixture->board->pids[1]);
	assert_int_equal(orphan.ppid, scene_root(fixture));
	assert_true(orphan.orphan);
	assert_int_equal(assert_exact(fixture), 2);
	gate_open(fixture, 1);
	await_processes(fixture, 1);
	scene_end(fixture);
}

/* --- zombies, crowds, workers ------------------------------------------------------------ */

static void play_zombie(struct board *board)
{
	mark(board);
	if (!spawn(board, 0)) {
		touch(reserve(500), 500);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
	mark(board);
}

static void test_a_zombie_is_shown_and_holds_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct tree before, tree;
	struct process zombie;

	scene_start(fixture, "zombie");
	scene_next(fixture);
	before = tree_now(fixture);
	scene_next(fixture);
	await_zombies(fixture, 1);
	await_processes(fixture, 1);
	zombie = process_now(fixture, fixture->board->pids[0]);
	assert_true(zombie.zombie);
	assert_int_equal(zombie.state, 'Z');
	assert_int_equal(zombie.ppid, scene_root(fixture));
	assert_int_equal(bytes_rss(zombie.bytes), 0);
	tree = tree_now(fixture);
	assert_int_equal(tree.holds, before.holds);
	assert_memory_equal(tree.bytes, before.bytes, sizeof(tree.bytes));
	scene_next(fixture);
	await_zombies(fixture, 0);
	scene_end(fixture);
}

#define CHILDREN 1000
#define AT_ONCE 20

static void play_crowd(struct board *board)
{
	mark(board);
	for (int i = 0; i < CHILDREN / AT_ONCE; i++) {
		pid_t pids[AT_ONCE];

		for (int j = 0; j < AT_ONCE; j++) {
			pids[j] = fork();
			require(pids[j] >= 0, "fork");
			if (!pids[j]) {
				if (j % 2)
					touch(reserve(16), 16);
				_exit(0);
			}
		}
		for (int j = 0; j < AT_ONCE; j++)
			reap(pids[j]);
	}
	mark(board);
}

static void test_a_thousand_short_lived_children(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start(fixture, "crowd");
	scene_next(fixture);
	scene_next(fixture);
	await_zombies(fixture, 0);
	tree = tree_now(fixture);
	assert_forks(fixture, CHILDREN + 1);
	assert_int_equal(tree.processes, 1);
	assert_int_equal(tree.spaces, 1);
	assert_int_equal(tree.holds, 2);
	assert_int_equal(tree.inherited, 0);
	assert_exact(fixture);
	scene_end(fixture);
}

/* Children that unmap their own code: exit_mmap() has nothing left to do, and tells nobody. */
static void play_unmap(struct board *board)
{
	mark(board);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		require(pid >= 0, "fork");
		if (!pid) {
			prctl(PR_SET_DUMPABLE, 0);
			syscall(SYS_munmap, 0UL, 0x7ffffffff000UL);
			_exit(0);
		}
		reap(pid);
	}
	mark(board);
}

static void test_children_that_unmap_everything(void **state)
{
	struct fixture *fixture = *state;
	struct tree tree;

	scene_start(fixture, "unmap");
	scene_next(fixture);
	scene_next(fixture);
	await_zombies(fixture, 0);
	tree = tree_now(fixture);
	assert_forks(fixture, 21);
	assert_int_equal(tree.processes, 1);
	assert_int_equal(tree.spaces, 1);
	assert_int_equal(tree.holds, 2);
	assert_exact(fixture);
	scene_end(fixture);
}

/* A read that is forced into a worker thread, through the bare system calls. */
static void play_io_uring(struct board *board)
{
	struct io_uring_params params = {};
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params), pipes[2];
	char *submission, *array, *into = reserve(64);
	struct io_uring_sqe *entries;
	unsigned int *tail;

	board->numbers[0] = ring < 0 ? errno : 0;
	mark(board);
	if (ring < 0)
		return;
	require(!pipe(pipes), "pipe");
	submission = mmap(NULL, params.sq_off.array + params.sq_entries * sizeof(unsigned int),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
			  IORING_OFF_SQ_RING);
	entries = mmap(NULL, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	require(submission != MAP_FAILED && entries != MAP_FAILED, "mmap of the ring");
	array = submission + params.sq_off.array;
	tail = (unsigned int *)(submission + params.sq_off.tail);
	memset(&entries[0], 0, sizeof(entries[0]));
	entries[0].opcode = IORING_OP_READ;
	entries[0].flags = IOSQE_ASYNC;
	entries[0].fd = pipes[0];
	entries[0].addr = (uint64_t)(uintptr_t)into;
	entries[0].len = 32 * PAGE;
	*(unsigned int *)array = 0;
	atomic_store((_Atomic unsigned int *)tail, *tail + 1);
	require(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1, "io_uring_enter");
	mark(board);
	for (int i = 0; i < 16; i++)
		require(write(pipes[1], stderr, PAGE / 2) > 0, "write");
	require(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0,
		"io_uring_enter");
	mark(board);
	close(ring);
}

static void test_workers_of_io_uring(void **state)
{
	struct fixture *fixture = *state;
	unsigned int threads;

	scene_start(fixture, "io_uring");
	scene_next(fixture);
	if (fixture->board->numbers[0]) {
		scene_end(fixture);
		skip_because("io_uring_setup: %s", strerror((int)fixture->board->numbers[0]));
	}
	scene_next(fixture);
	threads = process_now(fixture, scene_root(fixture)).threads;
	if (threads < 2)
		print_message("no worker thread of its own on this kernel\n");
	assert_int_equal(tree_now(fixture).processes, 1);
	scene_next(fixture);
	assert_int_equal(tree_now(fixture).processes, 1);
	assert_int_equal(tree_now(fixture).holds, 2);
	assert_exact(fixture);
	scene_end(fixture);
}

static void play_name(struct board *board)
{
	require(!prctl(PR_SET_NAME, "a\n\033[31m\xff"), "prctl");
	mark(board);
}

static void test_a_process_may_rename_itself(void **state)
{
	struct fixture *fixture = *state;

	scene_start(fixture, "name");
	scene_next(fixture);
	assert_string_equal(process_now(fixture, scene_root(fixture)).comm, "a\n\033[31m\xff");
	scene_end(fixture);
}

/* --- forks that fail --------------------------------------------------------------------- */

/* clone3 with a pid that is in use fails after the address space has been copied. */
static void play_failed_forks(struct board *board)
{
	pid_t taken = getpid();
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&taken,
		.set_tid_size = 1,
	};

	touch(reserve(1000), 1000);
	mark(board);
	for (int i = 0; i < 200; i++) {
		long pid = syscall(SYS_clone3, &args, sizeof(args));

		if (!pid)
			_exit(0);
		board->numbers[0] += pid == -1 && errno == EEXIST;
		board->numbers[1] = pid == -1 ? errno : 0;
	}
	mark(board);
}

static void test_failed_forks_leave_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct tree before, after;

	scene_start(fixture, "failed_forks");
	scene_next(fixture);
	before = tree_now(fixture);
	scene_next(fixture);
	after = tree_now(fixture);
	assert_int_equal(fixture->board->numbers[0], 200);
	assert_int_equal(after.processes, 1);
	assert_int_equal(after.zombies, 0);
	assert_int_equal(after.spaces, 1);
	assert_int_equal(after.forks, before.forks);
	assert_int_equal(after.charged, before.charged);
	assert_exact(fixture);
	scene_end(fixture);
}

/* --- trees in trees ------------------------------------------------------------------------ */

static void play_nest(struct board *board)
{
	touch(reserve(800), 800);
	mark(board);
	if (!spawn(board, 0)) {
		park(board, 0);
		_exit(0);
	}
	mark(board);
	reap(board->pids[0]);
}

static void test_a_tree_inside_a_tree(void **state)
{
	struct fixture *fixture = *state;
	struct fixture outer;
	struct tree_request request = {
		.name = "outer", .metric = MT_METRIC_RSS, .window_ns = 16000000000ULL};
	struct reading reading;
	const struct tree *inner_tree, *outer_tree;

	outer = *fixture;
	assert_int_equal(registry_open(fixture->tracker, &request, &outer.tree), 0);
	scene_start_inside(fixture, "nest", outer.tree);
	scene_next(fixture);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	reading_take(fixture, &reading);
	inner_tree = reading_tree(&reading, fixture->tree);
	outer_tree = reading_tree(&reading, outer.tree);
	assert_int_equal(inner_tree->processes, 2);
	assert_int_equal(outer_tree->processes, 2);
	assert_int_equal(outer_tree->holds, inner_tree->holds);
	assert_memory_equal(outer_tree->bytes, inner_tree->bytes, sizeof(inner_tree->bytes));
	assert_int_equal(outer_tree->charged, inner_tree->charged);
	assert_int_equal(outer_tree->inherited, inner_tree->inherited);
	assert_true(inner_tree->inherited >= 800 * (int64_t)PAGE);
	/* Exempt in the outer tree too, so it stands in neither peak. */
	assert_true(inner_tree->peak < inner_tree->charged + 800 * (int64_t)PAGE);
	assert_true(outer_tree->peak < outer_tree->charged + 800 * (int64_t)PAGE);
	assert_memory_equal(reading.snapshot.trees[0].totals.bytes,
			    reading.snapshot.trees[1].totals.bytes, sizeof(inner_tree->bytes));
	reading_free(&reading);
	gate_open(fixture, 0);
	scene_end(fixture);
	assert_int_equal(tree_now(&outer).holds, 0);
	assert_int_equal(tree_now(&outer).charged, 0);
	registry_close(fixture->tracker, outer.tree);
}

const struct scene lifecycle_scenes[] = {
	{"leader_exits", play_leader_exits},
	{"two_last", play_two_last},
	{"clone_parent", play_clone_parent},
	{"daemonise", play_daemonise},
	{"subreaper", play_subreaper},
	{"zombie", play_zombie},
	{"crowd", play_crowd},
	{"unmap", play_unmap},
	{"io_uring", play_io_uring},
	{"name", play_name},
	{"failed_forks", play_failed_forks},
	{"nest", play_nest},
	{NULL, NULL},
};

int lifecycle_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_a_leader_exits_while_threads_live),
		tree_test(test_two_last_threads_exit_at_once),
		tree_test(test_clone_parent_stays_in_its_tree),
		tree_test(test_a_double_fork_with_setsid_stays),
		tree_test(test_a_subreaper_takes_the_orphan),
		tree_test(test_a_zombie_is_shown_and_holds_nothing),
		tree_test(test_a_thousand_short_lived_children),
		tree_test(test_children_that_unmap_everything),
		tree_test(test_workers_of_io_uring),
		tree_test(test_a_process_may_rename_itself),
		tree_test(test_failed_forks_leave_nothing),
		tree_test(test_a_tree_inside_a_tree),
	};

	return cmocka_run_group_tests_name("lifecycle", tests, fixture_share, NULL);
}
