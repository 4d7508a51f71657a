// SPDX-License-Identifier: GPL-2.0-only
/* Reading one tree among many: it shows what a reading of all shows of it, and touches no other. */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "census.h"
#include "fixture.h"
#include "groups.h"

#define HERD 24 /* processes of another tree */
#define SLACK 4 /* records: somebody in the middle of something */

/* --- other trees --------------------------------------------------------------------------- */

struct other {
	pid_t root;
	uint32_t tree;
};

/* Dies with its parent, who may have died before it is asked. */
static void life_bind(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static _Noreturn void herd_live(pid_t parent)
{
	pid_t root = getpid();

	life_bind(parent);
	for (int i = 1; i < HERD; i++)
		if (!fork()) {
			life_bind(root);
			break;
		}
	for (;;)
		pause();
}

static void other_adopt(struct fixture *fixture, const char *name, pid_t root,
			struct other *ret_other)
{
	struct tree_request request = {.metric = MT_METRIC_RSS, .window_ns = 16000000000ULL};
	struct mt_census_record found = process_find(fixture, root);

	strncpy(request.name, name, sizeof(request.name) - 1);
	ret_other->root = root;
	assert_int_equal(registry_open(fixture->tracker, &request, &ret_other->tree), 0);
	assert_int_equal(census_adopt(fixture->tracker, ret_other->tree, found.tgid,
				      found.start_boot_ns),
			 0);
}

static void other_await_processes(const struct fixture *fixture, const struct other *other,
				  unsigned int processes)
{
	struct fixture its = *fixture;

	its.tree = other->tree;
	await_processes(&its, processes);
}

static void herd_start(struct fixture *fixture, struct other *ret_other)
{
	pid_t self = getpid(), root = fork();

	assert_true(root >= 0);
	if (!root)
		herd_live(self);
	other_adopt(fixture, "herd", root, ret_other);
	other_await_processes(fixture, ret_other, HERD);
}

/* With its children, which die with it. */
static void other_end(struct fixture *fixture, const struct other *other)
{
	struct fixture its = *fixture;

	kill(other->root, SIGKILL);
	waitpid(other->root, NULL, 0);
	its.tree = other->tree;
	await_held(&its, 0);
	registry_close(fixture->tracker, other->tree);
}

static uint64_t records_of(const struct fixture *fixture, uint32_t tree)
{
	uint64_t before = tracker_records();
	struct snapshot snapshot;

	assert_int_equal(snapshot_read_tree(fixture->tracker, tree, &snapshot), 0);
	snapshot_free(&snapshot);
	return tracker_records() - before;
}

/* --- what it shows ------------------------------------------------------------------------- */

static void play_one(struct board *board)
{
	touch(reserve(300), 300);
	if (!spawn(board, 0)) {
		touch(reserve(100), 100);
		park(board, 0);
		_exit(0);
	}
	if (!spawn(board, 1))
		_exit(0);
	mark(board); /* a child, and a dead one */
	reap(board->pids[1]);
	mark(board);
	reap(board->pids[0]);
}

static void test_one_tree_shows_what_all_show(void **state)
{
	struct fixture *fixture = *state;
	struct fixture outer = *fixture;
	struct tree_request request = {
		.name = "outer", .metric = MT_METRIC_RSS, .window_ns = 16000000000ULL};
	struct other herd;

	herd_start(fixture, &herd);
	assert_int_equal(registry_open(fixture->tracker, &request, &outer.tree), 0);
	scene_start_inside(fixture, "one_tree", outer.tree);
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	await_zombies(fixture, 1);
	await_processes(fixture, 2);
	assert_one_as_all(fixture, outer.tree);
	assert_one_as_all(fixture, fixture->tree);
	assert_one_as_all(fixture, herd.tree);
	assert_exact(fixture);
	/* Hidden, it shows as the outer one's. */
	assert_int_equal(registry_hide(fixture->tracker, fixture->tree), 0);
	assert_one_as_all(fixture, outer.tree);
	assert_int_equal(registry_rename(fixture->tracker, fixture->tree, "one"), 0);
	scene_next(fixture);
	await_zombies(fixture, 0);
	assert_one_as_all(fixture, outer.tree);
	gate_open(fixture, 0);
	scene_end(fixture);
	await_held(&outer, 0);
	assert_one_as_all(fixture, outer.tree);
	registry_close(fixture->tracker, outer.tree);
	/* The inner one names it still. */
	assert_int_equal(records_of(fixture, outer.tree), 0);
	other_end(fixture, &herd);
}

static char sharer_stack[65536] __attribute__((aligned(4096)));

static int sharer_live(void *board)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	((struct board *)board)->pids[1] = getpid();
	sem_post(&((struct board *)board)->reached);
	for (;;)
		pause();
	return 0;
}

/* One address space in two trees: what its other user's threads keep back is part of it. */
static void test_a_space_that_two_trees_share(void **state)
{
	struct fixture *fixture = *state;
	struct board *board = fixture->board;
	struct other owner, sharer;
	pid_t root = fork();

	assert_true(root >= 0);
	if (!root) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(sharer_stack, 1, sizeof(sharer_stack));
		require(clone(sharer_live, sharer_stack + sizeof(sharer_stack), CLONE_VM | SIGCHLD,
			      board) > 0,
			"clone");
		for (;;)
			pause();
	}
	while (sem_wait(&board->reached))
		;
	/* The child first: with its parent it would come into that one's tree. */
	other_adopt(fixture, "sharer", board->pids[1], &sharer);
	other_adopt(fixture, "owner", root, &owner);
	await_sleep(root);
	await_sleep(board->pids[1]);
	assert_int_equal(process_now(fixture, board->pids[1]).payer, owner.tree);
	assert_true(process_now(fixture, root).shared_mm);
	assert_one_as_all(fixture, owner.tree);
	assert_one_as_all(fixture, sharer.tree);
	kill(board->pids[1], SIGKILL);
	other_await_processes(fixture, &sharer, 0);
	assert_one_as_all(fixture, owner.tree);
	other_end(fixture, &owner);
	registry_close(fixture->tracker, sharer.tree);
}

/* --- what it costs ------------------------------------------------------------------------- */

static unsigned int places_of(const struct fixture *fixture, enum mt_placed which, uint32_t tree)
{
	const uint32_t *trees = tracker_places(fixture->tracker, which);
	unsigned int count = 0;

	assert_non_null(trees);
	for (uint32_t i = 0; i < fixture->tracker->header.places[which]; i++)
		count += trees[i] == tree;
	return count;
}

/* By what the programs write, not by time: who scanned would meet the herd. */
static void test_one_tree_meets_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct other herd;

	herd_start(fixture, &herd);
	scene_start(fixture, "one_tree");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	await_zombies(fixture, 1);
	await_processes(fixture, 2);
	/* Two members with their spaces, and the dead one. */
	assert_in_range(records_of(fixture, fixture->tree), 3, 3 + SLACK);
	assert_in_range(records_of(fixture, herd.tree), HERD, HERD + SLACK);
	assert_int_equal(records_of(fixture, UINT32_MAX), 0);
	assert_int_equal(places_of(fixture, MT_PLACED_PROCESSES, fixture->tree), 2);
	assert_int_equal(places_of(fixture, MT_PLACED_SPACES, fixture->tree), 2);
	assert_int_equal(places_of(fixture, MT_PLACED_ZOMBIES, fixture->tree), 1);
	scene_next(fixture);
	await_zombies(fixture, 0);
	assert_in_range(records_of(fixture, fixture->tree), 2, 2 + SLACK);
	gate_open(fixture, 0);
	scene_end(fixture);
	assert_int_equal(places_of(fixture, MT_PLACED_PROCESSES, fixture->tree), 0);
	assert_int_equal(places_of(fixture, MT_PLACED_SPACES, fixture->tree), 0);
	other_end(fixture, &herd);
}

/* --- when places are wrong ----------------------------------------------------------------- */

static void places_write(const struct fixture *fixture, uint32_t was, uint32_t is)
{
	int map = fixture->tracker->maps[MT_MAP_PLACES];
	struct mt_places block;

	for (__u32 i = 0; !bpf_map_lookup_elem(map, &i, &block); i++) {
		for (int j = 0; j < MT_PLACES_BLOCK; j++)
			block.trees[j] = block.trees[j] == was ? is : block.trees[j];
		assert_int_equal(bpf_map_update_elem(map, &i, &block, BPF_EXIST), 0);
	}
}

/* A place that was lost, or names another's element, costs a walk and no figure. */
static void test_wrong_places_are_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct mt_tracker header;
	struct other herd;

	herd_start(fixture, &herd);
	scene_start(fixture, "one_tree");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	await_zombies(fixture, 1);
	await_processes(fixture, 2);
	places_write(fixture, fixture->tree, 0);
	assert_one_as_all(fixture, fixture->tree);
	places_write(fixture, herd.tree, fixture->tree);
	assert_one_as_all(fixture, fixture->tree);
	assert_one_as_all(fixture, herd.tree);
	/* As on a kernel that does not tell. */
	header = fixture->tracker->header;
	memset(fixture->tracker->header.places, 0, sizeof(header.places));
	assert_null(tracker_places(fixture->tracker, MT_PLACED_PROCESSES));
	assert_one_as_all(fixture, fixture->tree);
	assert_one_as_all(fixture, herd.tree);
	fixture->tracker->header = header;
	scene_next(fixture);
	gate_open(fixture, 0);
	scene_end(fixture);
	other_end(fixture, &herd);
	places_write(fixture, fixture->tree, 0);
}

/* --- while it moves ------------------------------------------------------------------------ */

#define BIRTHS 200 /* one after the other */

static void play_births(struct board *board)
{
	mark(board);
	for (int i = 0; i < BIRTHS; i++) {
		if (!spawn(board, 0))
			_exit(0);
		reap(board->pids[0]);
	}
	mark(board);
}

/* Its root is there in each reading, nobody of the herd in any. */
static void assert_alone(const struct fixture *fixture)
{
	struct reading reading;
	bool met = false;

	assert_int_equal(snapshot_read_tree(fixture->tracker, fixture->tree, &reading.snapshot), 0);
	assert_int_equal(model_build(&reading.snapshot, &reading.model), 0);
	assert_int_equal(reading.model.tree_count, 1);
	for (size_t i = 0; i < reading.model.process_count; i++) {
		assert_int_equal(reading.model.processes[i].tree, fixture->tree);
		met |= reading.model.processes[i].tgid == (uint32_t)scene_root(fixture);
	}
	assert_true(met);
	reading_free(&reading);
}

static void test_a_tree_is_read_while_it_moves(void **state)
{
	struct fixture *fixture = *state;
	struct other herd;

	herd_start(fixture, &herd);
	scene_start(fixture, "births");
	scene_next(fixture);
	sem_post(&fixture->board->go);
	do
		assert_alone(fixture);
	while (sem_trywait(&fixture->board->reached));
	await_zombies(fixture, 0);
	assert_one_as_all(fixture, fixture->tree);
	scene_end(fixture);
	other_end(fixture, &herd);
}

/* Its members end while it is read; when it is gone there is nothing to read. */
static void test_a_tree_ends_while_it_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct other herd;
	struct reading reading;
	size_t most = HERD;

	scene_start(fixture, "one_tree");
	scene_next(fixture);
	herd_start(fixture, &herd);
	kill(herd.root, SIGKILL);
	for (time_t end = 0; registry_holds(fixture->tracker, herd.tree) && poll_on(&end);) {
		assert_int_equal(snapshot_read_tree(fixture->tracker, herd.tree, &reading.snapshot),
				 0);
		assert_int_equal(model_build(&reading.snapshot, &reading.model), 0);
		/* Nobody comes back. */
		assert_true(reading.snapshot.process_count <= most);
		most = reading.snapshot.process_count;
		reading_free(&reading);
	}
	other_end(fixture, &herd);
	assert_int_equal(snapshot_read_tree(fixture->tracker, herd.tree, &reading.snapshot), 0);
	assert_int_equal(reading.snapshot.tree_count, 0);
	assert_int_equal(reading.snapshot.process_count, 0);
	assert_int_equal(reading.snapshot.space_count, 0);
	snapshot_free(&reading.snapshot);
	scene_next(fixture);
	gate_open(fixture, 0);
	scene_end(fixture);
}

/* Each with its own wish, in one map of places; one of them is killed again and again. */
static void test_readers_do_not_disturb_each_other(void **state)
{
	struct fixture *fixture = *state;
	struct other herd;

	herd_start(fixture, &herd);
	scene_start(fixture, "one_tree");
	scene_next(fixture);
	await_sleep(fixture->board->pids[0]);
	await_zombies(fixture, 1);
	await_processes(fixture, 2);
	for (int i = 0; i < 10; i++) {
		pid_t reader = fork();
		struct tracker *own;

		if (!reader) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (tracker_open(fixture->tracker->id, &own))
				_exit(1);
			for (;;) {
				struct snapshot snapshot;

				if (snapshot_read_tree(own, herd.tree, &snapshot) ||
				    snapshot.process_count != HERD)
					_exit(1);
				snapshot_free(&snapshot);
			}
		}
		assert_true(reader > 0);
		for (int j = 0; j < 20; j++)
			assert_in_range(records_of(fixture, fixture->tree), 3, 3 + SLACK);
		assert_int_equal(waitpid(reader, NULL, WNOHANG), 0);
		sleeper_end(reader);
	}
	assert_one_as_all(fixture, fixture->tree);
	scene_next(fixture);
	gate_open(fixture, 0);
	scene_end(fixture);
	other_end(fixture, &herd);
}

const struct scene one_scenes[] = {
	{"one_tree", play_one},
	{"births", play_births},
	{0},
};

int one_tests(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(test_one_tree_shows_what_all_show),
		tree_test(test_a_space_that_two_trees_share),
		tree_test(test_one_tree_meets_no_other),
		tree_test(test_wrong_places_are_noticed),
		tree_test(test_a_tree_is_read_while_it_moves),
		tree_test(test_a_tree_ends_while_it_is_read),
		tree_test(test_readers_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests_name("one", tests, fixture_share, NULL);
}
