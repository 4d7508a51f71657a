// SPDX-License-Identifier: GPL-2.0-only
/* What a snapshot means: trees, their processes, the dead. */
#include "story.h"

static void test_an_empty_snapshot(void **state)
{
	struct snapshot nothing = {};
	struct model model;

	assert_int_equal(model_build(&nothing, &model), 0);
	assert_int_equal(model.tree_count, 0);
	assert_int_equal(model.process_count, 0);
	assert_null(model_find(&model, 0));
	assert_null(model_find(&model, 1));
	model_free(&model);
}

static void test_one_process(void **state)
{
	struct story story;
	struct mt_space_record *space;
	struct mt_process_record *record;
	const struct process *process;
	const struct tree *tree;

	begin(&story);
	tree_opens(&story, 1, 0);
	record = process_lives(&story, 100, 1, 1, 0xabc);
	record->execed_boot_ns = 123 * SECOND;
	space = space_holds(&story, 0xabc, 1, 20 * MB);
	space->exact[MT_FILE] = 3 * MB;
	space->exact[MT_SHMEM] = 2 * MB;
	space->exact[MT_SWAP] = 50 * MB;
	read_out(&story);

	tree = tree_of(&story, 1);
	assert_int_equal(tree->bytes[MT_ANON], 20 * MB);
	assert_int_equal(tree->bytes[MT_FILE], 3 * MB);
	assert_int_equal(tree->bytes[MT_SHMEM], 2 * MB);
	assert_int_equal(tree->bytes[MT_SWAP], 50 * MB);
	assert_int_equal(bytes_rss(tree->bytes), 25 * MB);
	assert_int_equal(tree->charged, 25 * MB);
	assert_int_equal(tree->inherited, 0);
	assert_int_equal(tree->processes, 1);
	assert_int_equal(tree->threads, 1);
	assert_int_equal(tree->spaces, 1);
	assert_int_equal(tree->zombies, 0);
	assert_int_equal(tree->orphans, 0);
	assert_false(tree->inexact);

	process = process_of(&story, 100);
	assert_int_equal(process->ppid, 1);
	assert_int_equal(process->tree, 1);
	assert_int_equal(process->start_boot_ns, 100 * SECOND);
	assert_int_equal(process->execed_boot_ns, 123 * SECOND);
	assert_int_equal(bytes_rss(process->bytes), 25 * MB);
	assert_string_equal(process->comm, "p100");
	assert_int_equal(process->state, 'S');
	assert_false(process->shared_mm);
	assert_false(process->zombie);
	end(&story);
}

static void test_what_is_told_of_a_tree(void **state)
{
	struct story story;
	struct tree_reading *reading;
	const struct tree *tree;

	begin(&story);
	story.snapshot.losses[MT_LOSS_ARGS] = 3;
	story.snapshot.losses[MT_LOSS_SCRATCH] = 9;
	reading = tree_opens(&story, 5, 0);
	reading->registration.started_boot_ns = NOW_BOOT - 60 * SECOND;
	reading->registration.owner_tgid = 4242;
	reading->settings.window_ns = 3 * SECOND;
	reading->settings.metric = ANON_AND_SWAP;
	reading->totals.forks = 17;
	reading->totals.holds = 4;
	reading->totals.peak = 99 * MB;
	reading->totals.peak_mono_ns = NOW_MONO - 2 * SECOND;
	read_out(&story);

	tree = tree_of(&story, 5);
	assert_int_equal(tree->tracker_id, 77);
	assert_string_equal(tree->name, "tree-5");
	assert_int_equal(tree->owner_tgid, 4242);
	assert_int_equal(tree->root_tgid, 500);
	assert_int_equal(tree->window_ns, 3 * SECOND);
	assert_int_equal(tree->metric, ANON_AND_SWAP);
	assert_int_equal(tree->forks, 17);
	assert_int_equal(tree->holds, 4);
	assert_int_equal(tree->started_real_ns, NOW_REAL - 60 * (int64_t)SECOND);
	assert_int_equal(tree->peak, 99 * MB);
	assert_int_equal(tree->peak_real_ns, NOW_REAL - 2 * (int64_t)SECOND);
	assert_int_equal(story.model.losses[MT_LOSS_ARGS], 3);
	assert_int_equal(story.model.losses[MT_LOSS_SCRATCH], 9);
	end(&story);
}

/* Registered while the snapshot was read, so after the moment that it notes. */
static void test_a_tree_from_the_near_future(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0)->registration.started_boot_ns = NOW_BOOT + 5;
	read_out(&story);
	assert_int_equal(tree_of(&story, 1)->started_real_ns, NOW_REAL + 5);
	assert_int_equal(tree_of(&story, 1)->peak_real_ns, 0);
	end(&story);
}

static void test_a_name_without_its_end(void **state)
{
	struct story story;

	begin(&story);
	memset(tree_opens(&story, 1, 0)->registration.name, 'x', MT_NAME_SIZE);
	read_out(&story);
	assert_int_equal(strlen(tree_of(&story, 1)->name), MT_NAME_SIZE - 1);
	end(&story);
}

/* fork(1,2); grow(2, 10 MB); exit(1): the memory of 2 stays with the tree. */
static void test_an_orphan_stays_in_its_tree(void **state)
{
	struct story story;
	struct mt_process_record *orphan;

	begin(&story);
	tree_opens(&story, 1, 0);
	orphan = process_lives(&story, 101, 1, 1, 101);
	orphan->born_ppid = 100;
	space_holds(&story, 101, 1, 10 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB);
	assert_int_equal(tree_of(&story, 1)->orphans, 1);
	assert_true(process_of(&story, 101)->orphan);
	end(&story);
}

/* Its parent is memtree, outside the tree: when that dies nobody is orphaned. */
static void test_a_root_is_no_orphan(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1);
	process_lives(&story, 100, 1, 1, 100)->born_ppid = 50;
	process_lives(&story, 101, 1, 1, 101)->born_ppid = 100;
	process_lives(&story, 200, 1, 2, 200)->born_ppid = 101;
	read_out(&story);

	assert_false(process_of(&story, 100)->orphan);
	assert_true(process_of(&story, 101)->orphan);
	assert_false(process_of(&story, 200)->orphan);
	assert_int_equal(tree_of(&story, 1)->orphans, 1);
	assert_int_equal(tree_of(&story, 2)->orphans, 0);
	end(&story);
}

/* Its parent could not be read: nothing is claimed about it. */
static void test_a_leader_that_changed_under_the_reader(void **state)
{
	struct story story;
	struct mt_process_record *record;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 4 * MB);
	record = process_lives(&story, 101, 0, 1, 101);
	record->born_ppid = 100;
	record->leader_known = 0;
	record->threads = record->threads_read = 0;
	read_out(&story);

	assert_false(process_of(&story, 101)->orphan);
	assert_true(process_of(&story, 101)->inexact);
	assert_false(process_of(&story, 100)->inexact);
	assert_true(tree_of(&story, 1)->inexact);
	assert_int_equal(tree_of(&story, 1)->orphans, 0);
	assert_int_equal(tree_of(&story, 1)->processes, 2);
	end(&story);
}

/* 1 holds 2 holds 3; 4 stands beside. Readings come in any order. */
static void test_a_tree_includes_the_trees_inside(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 3, 2);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 4, 0);
	tree_opens(&story, 2, 1);
	process_with(&story, 400, 1, 4, 1000 * MB);
	process_with(&story, 300, 200, 3, 100 * MB);
	process_with(&story, 200, 100, 2, 10 * MB);
	process_with(&story, 100, 1, 1, 1 * MB);
	zombie_waits(&story, 301, 300, 3);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 111 * MB);
	assert_int_equal(tree_of(&story, 2)->charged, 110 * MB);
	assert_int_equal(tree_of(&story, 3)->charged, 100 * MB);
	assert_int_equal(tree_of(&story, 4)->charged, 1000 * MB);
	assert_int_equal(tree_of(&story, 1)->processes, 3);
	assert_int_equal(tree_of(&story, 2)->processes, 2);
	assert_int_equal(tree_of(&story, 3)->processes, 1);
	assert_int_equal(tree_of(&story, 1)->spaces, 3);
	assert_int_equal(tree_of(&story, 1)->zombies, 1);
	assert_int_equal(tree_of(&story, 4)->zombies, 0);
	for (size_t i = 0; i < story.model.tree_count; i++)
		assert_int_equal(story.model.trees[i].id, i + 1);
	end(&story);
}

static void test_who_is_inside_whom(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1);
	tree_opens(&story, 3, 2);
	tree_opens(&story, 4, 0);
	read_out(&story);

	assert_true(model_is_inside(&story.model, 3, 3));
	assert_true(model_is_inside(&story.model, 3, 2));
	assert_true(model_is_inside(&story.model, 3, 1));
	assert_false(model_is_inside(&story.model, 3, 4));
	assert_false(model_is_inside(&story.model, 1, 3));
	assert_false(model_is_inside(&story.model, 0, 1));
	assert_false(model_is_inside(&story.model, 99, 1));
	assert_int_equal(model_parent(&story.model, tree_of(&story, 3)), 2);
	assert_int_equal(model_parent(&story.model, tree_of(&story, 1)), 0);
	end(&story);
}

/* A tree and its ancestors are MT_DEPTH at most. */
static void test_the_deepest_nesting(void **state)
{
	struct story story;

	begin(&story);
	for (uint32_t id = 1; id <= MT_DEPTH; id++)
		tree_opens(&story, id, id - 1);
	process_with(&story, 100 * MT_DEPTH, 1, MT_DEPTH, 5 * MB);
	read_out(&story);

	for (uint32_t id = 1; id <= MT_DEPTH; id++) {
		assert_int_equal(tree_of(&story, id)->charged, 5 * MB);
		assert_true(model_is_inside(&story.model, MT_DEPTH, id));
	}
	end(&story);
}

/* The outer tree ended and its slot is free: the inner one stands alone. */
static void test_an_enclosing_tree_that_ended(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 2, 1);
	process_with(&story, 200, 1, 2, 10 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 2)->parent, 1);
	assert_int_equal(model_parent(&story.model, tree_of(&story, 2)), 0);
	assert_int_equal(tree_of(&story, 2)->charged, 10 * MB);
	assert_null(model_find(&story.model, 1));
	end(&story);
}

/* Its slot went while it lived: it is listed, and charged to nobody. */
static void test_a_process_whose_tree_is_gone(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 10 * MB);
	space = process_with(&story, 900, 1, 9, 500 * MB);
	space->space.inherited[MT_ANON] = 200 * MB;
	space->space.deadline = OPEN;
	zombie_waits(&story, 901, 900, 9);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB);
	assert_int_equal(tree_of(&story, 1)->processes, 1);
	assert_int_equal(tree_of(&story, 1)->zombies, 0);
	assert_int_equal(process_of(&story, 900)->tree, 9);
	assert_int_equal(process_of(&story, 900)->bytes[MT_ANON], 500 * MB);
	assert_int_equal(process_of(&story, 900)->inherited, 200 * MB);
	end(&story);
}

static void test_a_zombie_holds_nothing(void **state)
{
	struct story story;
	struct mt_zombie_record *reading;
	const struct process *zombie;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 10 * MB);
	reading = zombie_waits(&story, 101, 100, 1);
	reading->zombie.execed_boot_ns = 102 * SECOND;
	read_out(&story);

	zombie = process_of(&story, 101);
	assert_true(zombie->zombie);
	assert_int_equal(zombie->state, 'Z');
	assert_int_equal(zombie->ppid, 100);
	assert_int_equal(zombie->execed_boot_ns, 102 * SECOND);
	assert_int_equal(zombie->threads, 0);
	assert_int_equal(bytes_rss(zombie->bytes), 0);
	assert_string_equal(zombie->comm, "dead");
	assert_int_equal(tree_of(&story, 1)->zombies, 1);
	assert_int_equal(tree_of(&story, 1)->processes, 1);
	assert_int_equal(tree_of(&story, 1)->threads, 1);
	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB);
	end(&story);
}

/* A zombie's mm is 0, and so may that of a process be which has not execed yet. */
static void test_a_process_without_an_address_space(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_lives(&story, 100, 1, 1, 0);
	process_lives(&story, 101, 100, 1, 0xdead);
	zombie_waits(&story, 102, 100, 1);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 0);
	assert_int_equal(tree_of(&story, 1)->processes, 2);
	assert_int_equal(bytes_rss(process_of(&story, 101)->bytes), 0);
	assert_false(process_of(&story, 100)->shared_mm);
	end(&story);
}

/* Its exit ran between the reading of processes and that of zombies. */
static void test_a_process_seen_alive_and_dead_is_alive(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 101, 1, 1, 10 * MB);
	zombie_waits(&story, 101, 1, 1);
	read_out(&story);

	assert_false(process_of(&story, 101)->zombie);
	assert_int_equal(tree_of(&story, 1)->processes, 1);
	assert_int_equal(tree_of(&story, 1)->zombies, 0);
	end(&story);
}

/* The same pid with another start is another process. */
static void test_a_zombie_whose_pid_was_used_again(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 101, 1, 1, 10 * MB);
	zombie_waits(&story, 101, 1, 1)->zombie.start_boot_ns = 5;
	read_out(&story);

	assert_int_equal(story.model.process_count, 2);
	assert_int_equal(tree_of(&story, 1)->processes, 1);
	assert_int_equal(tree_of(&story, 1)->zombies, 1);
	end(&story);
}

/* The same iterator walks the processes. */
static void test_a_process_met_twice_counts_once(void **state)
{
	struct story story;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	process_lives(&story, 100, 1, 1, 100)->kept_back[MT_ANON] = 3 << 12;
	process_lives(&story, 101, 100, 1, 101);
	process_lives(&story, 100, 1, 1, 100)->kept_back[MT_ANON] = 3 << 12;
	space_holds(&story, 100, 1, 10 * MB);
	read_out(&story);

	assert_int_equal(story.model.process_count, 2);
	assert_int_equal(tree_of(&story, 1)->processes, 2);
	assert_int_equal(tree_of(&story, 1)->threads, 2);
	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB + (3 << 12));
	assert_false(process_of(&story, 100)->shared_mm);
	end(&story);
}

/* "Next key" of a key that was deleted meanwhile is the first key again. */
static void test_a_zombie_met_twice_counts_once(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	zombie_waits(&story, 101, 1, 1);
	zombie_waits(&story, 102, 1, 1);
	zombie_waits(&story, 101, 1, 1);
	read_out(&story);

	assert_int_equal(story.model.process_count, 2);
	assert_int_equal(tree_of(&story, 1)->zombies, 2);
	end(&story);
}

/* As above, of the registry. */
static void test_a_tree_met_twice_is_one_tree(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 0);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 10 * MB);
	read_out(&story);

	assert_int_equal(story.model.tree_count, 2);
	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB);
	end(&story);
}

/*
 * The kernel's task_state_to_char (fs/proc/array.c and linux/sched.h), for bits that a
 * user process can have. What is no sleep at all, like TASK_WAKING, is running.
 */
static void test_state_letters(void **state)
{
	static const struct {
		uint32_t bits;
		char letter;
	} table[] = {
		{0x0, 'R'},    /* TASK_RUNNING */
		{0x1, 'S'},    /* TASK_INTERRUPTIBLE */
		{0x2, 'D'},    /* TASK_UNINTERRUPTIBLE */
		{0x102, 'D'},  /* TASK_KILLABLE */
		{0x4, 'T'},    /* __TASK_STOPPED */
		{0x104, 'T'},  /* TASK_STOPPED */
		{0x8, 't'},    /* __TASK_TRACED */
		{0x108, 't'},  /* TASK_TRACED */
		{0x2001, 'S'}, /* TASK_FREEZABLE, from 6.1 */
		{0x80, 'Z'},   /* TASK_DEAD: a leader that has exited */
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct story story;

		begin(&story);
		process_lives(&story, 100, 1, 1, 0)->task_state = table[i].bits;
		read_out(&story);
		if (process_of(&story, 100)->state != table[i].letter)
			fail_msg("0x%x is shown as %c, not %c", table[i].bits,
				 process_of(&story, 100)->state, table[i].letter);
		end(&story);
	}
}

/* As above; none of these is a leader that has exited. */
static void test_state_letters_of_the_living(void **state)
{
	static const struct {
		uint32_t bits;
		char letter;
	} table[] = {
		{0x200, 'R'},  /* TASK_WAKING: on its way to a run queue */
		{0x800, 'R'},  /* TASK_NEW: between its fork and its first run */
		{0x1000, 'D'}, /* TASK_RTLOCK_WAIT, from 5.15 */
		{0x8000, 'D'}, /* TASK_FROZEN, from 6.1 */
	};

	for (size_t i = 0; i < COUNT(table); i++) {
		struct story story;

		begin(&story);
		process_lives(&story, 100, 1, 1, 0)->task_state = table[i].bits;
		read_out(&story);
		if (process_of(&story, 100)->state != table[i].letter)
			fail_msg("0x%x is shown as %c, not %c", table[i].bits,
				 process_of(&story, 100)->state, table[i].letter);
		end(&story);
	}
}

static void test_processes_are_sorted_by_tree_then_start(void **state)
{
	static const uint32_t expected[] = {100, 103, 101, 102, 200, 201};
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1);
	process_lives(&story, 201, 1, 2, 0);
	process_lives(&story, 102, 1, 1, 0);
	process_lives(&story, 101, 1, 1, 0)->start_boot_ns = 102 * SECOND;
	process_lives(&story, 200, 1, 2, 0);
	process_lives(&story, 100, 1, 1, 0);
	zombie_waits(&story, 103, 1, 1)->zombie.start_boot_ns = 101 * SECOND;
	read_out(&story);

	assert_int_equal(story.model.process_count, COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(story.model.processes[i].tgid, expected[i]);
	end(&story);
}

static void test_a_hidden_tree_shows_as_part_of_the_one_around_it(void **state)
{
	struct story story;

	(void)state;
	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1)->registration.name[0] = '\0';
	tree_opens(&story, 3, 2);
	process_with(&story, 100, 1, 1, 1 * MB);
	process_with(&story, 200, 100, 2, 2 * MB);
	process_with(&story, 300, 200, 3, 4 * MB);
	zombie_waits(&story, 201, 200, 2);
	read_out(&story);

	assert_null(model_find(&story.model, 2));
	assert_int_equal(story.model.tree_count, 2);
	assert_int_equal(tree_of(&story, 3)->parent, 1);
	assert_int_equal(process_of(&story, 200)->tree, 1);
	assert_int_equal(process_of(&story, 201)->tree, 1);
	assert_int_equal(process_of(&story, 300)->tree, 3);
	assert_int_equal(tree_of(&story, 1)->bytes[MT_ANON], 7 * MB);
	assert_int_equal(tree_of(&story, 1)->processes, 3);
	assert_int_equal(tree_of(&story, 1)->zombies, 1);
	assert_int_equal(tree_of(&story, 3)->bytes[MT_ANON], 4 * MB);
	end(&story);
}

int main(void)
{
	const struct CMUnitTest model[] = {
		cmocka_unit_test(test_a_hidden_tree_shows_as_part_of_the_one_around_it),
		cmocka_unit_test(test_an_empty_snapshot),
		cmocka_unit_test(test_one_process),
		cmocka_unit_test(test_what_is_told_of_a_tree),
		cmocka_unit_test(test_a_tree_from_the_near_future),
		cmocka_unit_test(test_a_name_without_its_end),
		cmocka_unit_test(test_an_orphan_stays_in_its_tree),
		cmocka_unit_test(test_a_root_is_no_orphan),
		cmocka_unit_test(test_a_leader_that_changed_under_the_reader),
		cmocka_unit_test(test_a_tree_includes_the_trees_inside),
		cmocka_unit_test(test_who_is_inside_whom),
		cmocka_unit_test(test_the_deepest_nesting),
		cmocka_unit_test(test_an_enclosing_tree_that_ended),
		cmocka_unit_test(test_a_process_whose_tree_is_gone),
		cmocka_unit_test(test_a_zombie_holds_nothing),
		cmocka_unit_test(test_a_process_without_an_address_space),
		cmocka_unit_test(test_a_process_seen_alive_and_dead_is_alive),
		cmocka_unit_test(test_a_zombie_whose_pid_was_used_again),
		cmocka_unit_test(test_a_process_met_twice_counts_once),
		cmocka_unit_test(test_a_zombie_met_twice_counts_once),
		cmocka_unit_test(test_a_tree_met_twice_is_one_tree),
		cmocka_unit_test(test_state_letters),
		cmocka_unit_test(test_state_letters_of_the_living),
		cmocka_unit_test(test_processes_are_sorted_by_tree_then_start),
	};

	return cmocka_run_group_tests(model, NULL, NULL);
}
