// SPDX-License-Identifier: GPL-2.0-only
/* Every cause of a difference, told by hand. */
#include "sides.h"

/* --- figures ------------------------------------------------------------------------------ */

static void test_both_sides_agree(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, 3 * MB);
	zombie_waits(&sides.before, 102, 100, 1);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_agreed(&sides);
	assert_int_equal(sides.result.charged, 13 * MB);
	assert_int_equal(sides.result.procfs_rss, 13 * MB);
	assert_int_equal(sides.result.processes, 2);
	assert_int_equal(sides.result.zombies, 1);
	assert_int_equal(sides.result.procfs_processes, 3);
	assert_int_equal(sides.result.compared, 2);
	sides_end(&sides);
}

static void test_what_moves_is_no_difference(void **state)
{
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 11 * MB;
	space_of(&sides.after, 100)->exact[MT_ANON] = 14 * MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, -1 * MB, 1);
	assert_int_equal(sides.result.compared, 0);
	sides_end(&sides);
}

/* Only what the kernel side follows moved: the remainders did. */
static void test_what_moves_from_a_thread_to_the_counter(void **state)
{
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	space_of(&sides.after, 100)->space.seen[MT_ANON] = 10 * MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, 0, 1);
	sides_end(&sides);
}

static void test_remainders_of_cpus(void **state)
{
	struct sides sides;

	root_stands(&sides)->space.seen[MT_ANON] = 10 * MB - 7;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 10 * MB - 7;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_REMAINDERS, 7, 1);
	sides_end(&sides);
}

/* Adopted: what the kernel side follows began with the exact figure. */
static void test_remainders_of_an_adopted_process(void **state)
{
	struct sides sides;

	root_stands(&sides)->space.seen[MT_ANON] = 10 * MB;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 10 * MB - 3 * BOUND;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_REMAINDERS, 3 * BOUND, 1);
	sides_end(&sides);
}

/* 5.10: 100 threads keep back more than there is in the counter. */
static void test_remainders_of_threads(void **state)
{
	struct mt_process_record *crew;
	struct sides sides;

	sides_begin(&sides);
	tree_stands(&sides, 1, 0);
	crew = process_lives(&sides.before, 100, 1, 1, 100);
	crew->threads = crew->threads_read = 100;
	crew->kept_back[MT_ANON] = 24 * MB;
	space_holds(&sides.before, 100, 1, MB)->space.seen[MT_ANON] = MB;
	sides.sources.thread_remainders = true;
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_REMAINDERS, 24 * MB, 1);
	assert_int_equal(sides.result.charged, 25 * MB);
	sides_end(&sides);
}

static void test_more_than_can_be_kept_back(void **state)
{
	struct sides sides;

	root_stands(&sides)->space.seen[MT_ANON] = 10 * MB;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 10 * MB - 3 * BOUND - 1;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNEXPLAINED, 3 * BOUND + 1, 1);
	sides_end(&sides);
}

static void test_a_main_thread_that_has_exited(void **state)
{
	struct sides sides;

	root_stands(&sides);
	sides.before.processes[0].task_state = 0x80;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 0;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_LEADER_EXITED, 10 * MB, 1);
	assert_int_equal(sides.result.compared, 1);
	sides_end(&sides);
}

static void test_another_metric(void **state)
{
	struct mt_space_record *root;
	struct sides sides;

	root = root_stands(&sides);
	root->exact[MT_FILE] = 3 * MB;
	root->exact[MT_SWAP] = 5 * MB;
	sides.before.trees[0].settings.metric = ANON_AND_SWAP;
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_METRIC, 2 * MB, 1);
	assert_int_equal(sides.result.charged, 15 * MB);
	assert_int_equal(sides.result.rss, 13 * MB);
	sides_end(&sides);
}

static void test_inherited_memory(void **state)
{
	struct mt_space_record *child;
	struct sides sides;

	root_stands(&sides);
	child = process_with(&sides.before, 101, 100, 1, 9 * MB);
	child->space.inherited[MT_ANON] = 8 * MB;
	child->space.deadline = OPEN;
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_INHERITED, -8 * MB, 1);
	assert_int_equal(sides.result.inherited, 8 * MB);
	sides_end(&sides);
}

/* --- address spaces ------------------------------------------------------------------------ */

static void test_a_shared_address_space(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_lives(&sides.before, 101, 100, 1, 100);
	process_lives(&sides.before, 102, 100, 1, 100);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_SHARED_SPACE, -20 * MB, 2);
	assert_int_equal(sides.result.compared, 3);
	sides_end(&sides);
}

/* It counts for the one of them that procfs' tree has. */
static void test_a_sharer_escapes(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_lives(&sides.before, 101, 1, 1, 101);
	space_holds(&sides.before, 101, 1, 4 * MB);
	process_lives(&sides.before, 102, 100, 1, 101);
	everything_rests(&sides);
	stat_of(&sides, 101)->session = 101;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, 0, 1);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_SESSION);
	sides_end(&sides);
}

/* A vfork child of an inner tree: the space is the outer tree's. */
static void test_a_payer_in_another_tree(void **state)
{
	struct sides sides;

	root_stands(&sides);
	tree_stands(&sides, 2, 1);
	process_lives(&sides.before, 200, 100, 2, 100);
	everything_rests(&sides);
	compare(&sides, 2);
	assert_only(&sides, CAUSE_SHARED_SPACE, -10 * MB, 1);
	assert_int_equal(sides.result.charged, 0);
	sides_end(&sides);
	sides.yarn = (struct yarn_tree){};
	compare(&sides, 1);
	assert_only(&sides, CAUSE_SHARED_SPACE, -10 * MB, 1);
	assert_int_equal(sides.result.charged, 10 * MB);
	sides_end(&sides);
}

static void test_inner_trees_are_included(void **state)
{
	struct mt_space_record *child;
	struct sides sides;

	root_stands(&sides);
	tree_stands(&sides, 2, 1);
	process_with(&sides.before, 200, 100, 2, 2 * MB);
	tree_stands(&sides, 3, 2);
	child = process_with(&sides.before, 300, 200, 3, 3 * MB);
	child->space.inherited[MT_ANON] = MB;
	child->space.deadline = OPEN;
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_INHERITED, -MB, 1);
	assert_int_equal(sides.result.charged, 14 * MB);
	assert_int_equal(sides.result.processes, 3);
	sides_end(&sides);
	compare(&sides, 3);
	assert_only(&sides, CAUSE_INHERITED, -MB, 1);
	assert_int_equal(sides.result.processes, 1);
	sides_end(&sides);
}

/* --- births and ends ------------------------------------------------------------------------ */

static void births_are(uint64_t births, uint64_t since, uint32_t born_and_gone)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB)->space.seen[MT_ANON] = MB;
	zombie_waits(&sides.before, 102, 100, 1);
	everything_rests(&sides);
	sides.sources.last_begun_boot_ns = since;
	sides.sources.births = births;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_BORN_AND_GONE, 0, born_and_gone);
	sides_end(&sides);
}

static void test_lives_between_two_scans(void **state)
{
	births_are(50, 0, 0); /* the first comparison */
	births_are(50, 103 * SECOND, 50);
	births_are(50, 101 * SECOND, 48); /* two of them are there still */
	births_are(2, 101 * SECOND, 0);
	births_are(1, 101 * SECOND, 0); /* one was born before its tree was read */
}

static void test_a_tree_that_ends(void **state)
{
	struct comparison untouched = {.charged = 42};
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_int_equal(comparison_make(&sides.sources, 2, &untouched), -ENOENT);
	((struct tree *)tree_of(&sides.after, 1))->holds = 0;
	assert_int_equal(comparison_make(&sides.sources, 1, &untouched), -ENOENT);
	sides.sources.after = &(struct model){};
	assert_int_equal(comparison_make(&sides.sources, 1, &untouched), -ENOENT);
	assert_int_equal(untouched.charged, 42);
	sides_end(&sides);
}

/* --- everything at once ----------------------------------------------------------------------- */

static void test_all_causes_together(void **state)
{
	struct mt_space_record *child;
	struct sides sides;

	root_stands(&sides)->exact[MT_FILE] = 2 * MB;
	sides.before.trees[0].settings.metric = ANON_ONLY;
	child = process_with(&sides.before, 101, 100, 1, 9 * MB);
	child->space.inherited[MT_ANON] = 8 * MB;
	child->space.deadline = OPEN;
	process_lives(&sides.before, 102, 100, 1, 101);
	process_with(&sides.before, 103, 1, 1, 16 * MB);
	process_with(&sides.before, 104, 100, 1, 32 * MB);
	process_with(&sides.before, 105, 100, 1, 64 * MB);
	record_of(&sides.before, 105)->task_state = 0x80;
	process_with(&sides.before, 106, 100, 1, 128 * MB);
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes -= 5;
	stat_of(&sides, 103)->session = 103;
	space_of(&sides.after, 104)->exact[MT_SWAP] = 1;
	stat_of(&sides, 104)->rss_bytes += 3;
	stat_of(&sides, 105)->rss_bytes = 0;
	stat_of(&sides, 106)->rss_bytes -= MB;
	stat_shows(&sides, 107, 100, 256 * MB);
	sides.sources.births = 2;
	sides.sources.last_begun_boot_ns = 106 * SECOND;
	compare(&sides, 1);
	assert_cause(&sides, CAUSE_REMAINDERS, 5, 1);
	assert_cause(&sides, CAUSE_METRIC, -2 * MB, 1);
	assert_cause(&sides, CAUSE_INHERITED, -8 * MB, 1);
	assert_cause(&sides, CAUSE_SHARED_SPACE, -9 * MB, 1);
	assert_cause(&sides, CAUSE_ESCAPED, 16 * MB, 1);
	assert_cause(&sides, CAUSE_MOVED, -3, 1);
	assert_cause(&sides, CAUSE_LEADER_EXITED, 64 * MB, 1);
	assert_cause(&sides, CAUSE_UNEXPLAINED, MB, 1);
	assert_cause(&sides, CAUSE_FOREIGN, -256 * MB, 1);
	assert_cause(&sides, CAUSE_BORN_AND_GONE, 0, 1);
	sides_end(&sides);
}

static void test_every_word_is_there(void **state)
{
	for (int cause = 0; cause < CAUSES; cause++) {
		assert_non_null(cause_name((enum cause)cause));
		assert_non_null(cause_text((enum cause)cause));
	}
	for (int missed = 0; missed <= MISSED_UNKNOWN; missed++) {
		assert_non_null(missed_name((enum missed)missed));
		assert_non_null(missed_text((enum missed)missed));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_agree),
		cmocka_unit_test(test_what_moves_is_no_difference),
		cmocka_unit_test(test_what_moves_from_a_thread_to_the_counter),
		cmocka_unit_test(test_remainders_of_cpus),
		cmocka_unit_test(test_remainders_of_an_adopted_process),
		cmocka_unit_test(test_remainders_of_threads),
		cmocka_unit_test(test_more_than_can_be_kept_back),
		cmocka_unit_test(test_a_main_thread_that_has_exited),
		cmocka_unit_test(test_another_metric),
		cmocka_unit_test(test_inherited_memory),
		cmocka_unit_test(test_a_shared_address_space),
		cmocka_unit_test(test_a_sharer_escapes),
		cmocka_unit_test(test_a_payer_in_another_tree),
		cmocka_unit_test(test_inner_trees_are_included),
		cmocka_unit_test(test_lives_between_two_scans),
		cmocka_unit_test(test_a_tree_that_ends),
		cmocka_unit_test(test_all_causes_together),
		cmocka_unit_test(test_every_word_is_there),
	};

	return cmocka_run_group_tests_name("comparison", tests, NULL, NULL);
}
