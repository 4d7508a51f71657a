// SPDX-License-Identifier: GPL-2.0-only
/* Who is missed by one side, and what no story may explain. */
#include "sides.h"

/* --- who is missed ------------------------------------------------------------------------- */

static void test_orphans_of_process_1(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 1, 1, MB);
	process_with(&sides.before, 102, 1, 1, 2 * MB);
	process_with(&sides.before, 103, 1, 1, 4 * MB);
	process_with(&sides.before, 104, 102, 1, 8 * MB);
	everything_rests(&sides);
	stat_of(&sides, 102)->session = 102;
	stat_of(&sides, 103)->session = 99;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, 14 * MB, 3);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_NOT);
	assert_int_equal(missed_by_procfs(&sides, 102), MISSED_SESSION);
	assert_int_equal(missed_by_procfs(&sides, 103), MISSED_SESSION);
	assert_int_equal(missed_by_procfs(&sides, 104), MISSED_BELOW);
	assert_int_equal(sides.result.compared, 2);
	sides_end(&sides);
}

static void test_an_orphan_of_another_reaper(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 50, 1, MB);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, MB, 1);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_REAPER);
	sides_end(&sides);
}

static void test_a_root_that_is_gone(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_gone(&sides.before, 100);
	space_gone(&sides.before, 100);
	process_with(&sides.before, 101, 1, 1, MB);
	process_with(&sides.before, 102, 101, 1, MB);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, 2 * MB, 2);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_ROOT_GONE);
	assert_int_equal(missed_by_procfs(&sides, 102), MISSED_ROOT_GONE);
	assert_int_equal(sides.result.compared, 0);
	sides_end(&sides);
}

static void test_a_name_that_hides(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB);
	process_with(&sides.before, 102, 101, 1, 2 * MB);
	everything_rests(&sides);
	strcpy(stat_of(&sides, 101)->comm, "a\nb");
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, 3 * MB, 2);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_UNREADABLE);
	assert_int_equal(missed_by_procfs(&sides, 102), MISSED_BELOW);
	sides_end(&sides);
}

static void test_who_dies_meanwhile(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB);
	process_with(&sides.before, 102, 100, 1, 2 * MB);
	everything_rests(&sides);
	stat_vanishes(&sides, 101);
	process_gone(&sides.after, 101);
	space_gone(&sides.after, 101);
	process_gone(&sides.after, 102);
	space_gone(&sides.after, 102);
	zombie_waits(&sides.after, 102, 100, 1);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, MB, 2);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_MEANWHILE);
	assert_int_equal(sides.result.compared, 1);
	sides_end(&sides);
}

static void test_who_is_born_meanwhile(void **state)
{
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	/* 101 is known by now, 102 died again; 103 was born in the tick of the reading. */
	stat_shows(&sides, 101, 100, MB);
	process_with(&sides.after, 101, 100, 1, MB);
	stat_shows(&sides, 102, 100, 2 * MB)->start_ticks = NOW_BOOT / TICK + 1;
	stat_shows(&sides, 103, 100, 4 * MB)->start_ticks = NOW_BOOT / TICK;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, -7 * MB, 3);
	for (uint32_t pid = 101; pid <= 103; pid++)
		assert_int_equal(missed_by_map(&sides, pid), MISSED_MEANWHILE);
	sides_end(&sides);
}

static void test_strangers(void **state)
{
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	stat_shows(&sides, 90, 1, MB); /* in the root's session */
	stat_shows(&sides, 91, 90, 2 * MB);
	stat_shows(&sides, 92, 100, 4 * MB);
	stat_shows(&sides, 93, 92, 8 * MB)->start_ticks = NOW_BOOT / TICK - 1;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_FOREIGN, -15 * MB, 4);
	assert_int_equal(missed_by_map(&sides, 90), MISSED_STRANGER);
	assert_int_equal(missed_by_map(&sides, 91), MISSED_STRANGER);
	assert_int_equal(missed_by_map(&sides, 92), MISSED_UNTRACKED);
	assert_int_equal(missed_by_map(&sides, 93), MISSED_UNTRACKED);
	sides_end(&sides);
}

/* Its record says that its place was taken while it was read. */
static void test_a_reaped_zombie_is_not_missed(void **state)
{
	struct sides sides;

	root_stands(&sides);
	zombie_waits(&sides.before, 101, 100, 1);
	everything_rests(&sides);
	stat_vanishes(&sides, 101);
	sides.after.snapshot.zombie_count = 0;
	compare(&sides, 1);
	assert_agreed(&sides);
	sides_end(&sides);
}

/* --- what must not happen ------------------------------------------------------------------- */

/* A member without a space: none was free. It shares nothing. */
static void test_an_address_space_that_is_not_charged(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_lives(&sides.before, 101, 100, 1, 101);
	everything_rests(&sides);
	stat_of(&sides, 101)->rss_bytes = 2 * MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNEXPLAINED, -2 * MB, 1);
	sides_end(&sides);
}

/* Of one space both must tell the same. */
static void test_a_sharer_that_tells_another_figure(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_lives(&sides.before, 101, 100, 1, 100);
	everything_rests(&sides);
	stat_of(&sides, 101)->rss_bytes = 15 * MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNEXPLAINED, -15 * MB, 1);
	sides_end(&sides);
}

/* The end of 101 was never seen: /proc has it no more, the maps keep it. */
static void test_a_member_that_is_no_more(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, 3 * MB);
	everything_rests(&sides);
	stat_vanishes(&sides, 101);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNEXPLAINED, 3 * MB, 1);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_UNKNOWN);
	sides_end(&sides);
}

/* An exact figure that is wrong, though the kernel side follows the right one. */
static void test_a_sum_that_is_wrong(void **state)
{
	struct sides sides;

	root_stands(&sides)->space.seen[MT_ANON] = MB;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNEXPLAINED, 9 * MB, 1);
	sides_end(&sides);
}

/* Who runs may have had another figure in between, and the old one again. */
static void test_no_proof_against_who_runs(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB);
	process_with(&sides.before, 102, 100, 1, MB);
	everything_rests(&sides);
	sides.after.processes[0].cpu_ns = 1;
	stat_of(&sides, 100)->rss_bytes = 8 * MB;
	stat_of(&sides, 101)->state = 'R';
	stat_of(&sides, 101)->rss_bytes = 8 * MB;
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, -5 * MB, 2);
	assert_int_equal(sides.result.compared, 1);
	sides_end(&sides);
}

/* Charged, and no member uses it. */
static void test_a_space_kept_by_nobody(void **state)
{
	struct sides sides;

	root_stands(&sides);
	space_holds(&sides.before, 0xabc, 1, 2 * MB);
	space_holds(&sides.before, 0xdef, 1, 4 * MB);
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_UNUSED_SPACE, 6 * MB, 2);
	assert_int_equal(sides.result.missed_by_procfs_count, 0);
	sides_end(&sides);
}

static void test_a_space_in_its_teardown(void **state)
{
	struct sides sides;

	root_stands(&sides);
	space_holds(&sides.before, 0xabc, 1, 2 * MB);
	everything_rests(&sides);
	space_gone(&sides.after, 0xabc);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, 2 * MB, 1);
	sides_end(&sides);
}

/* --- pids used again ------------------------------------------------------------------------ */

/* The old 300 lies in the outer tree, the new one in the inner; or the other way round. */
static void pid_is_there_twice(uint32_t old_tree, uint32_t new_tree)
{
	struct sides sides;

	root_stands(&sides);
	tree_stands(&sides, 2, 1);
	process_with(&sides.before, 300, 100, old_tree, MB);
	process_lives(&sides.before, 300, 100, new_tree, 301)->start_boot_ns = 301 * SECOND;
	space_holds(&sides.before, 301, new_tree, 2 * MB);
	everything_rests(&sides);
	stat_vanishes(&sides, 300); /* the old one */
	process_gone(&sides.after, 300);
	space_gone(&sides.after, 300);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, MB, 1);
	assert_int_equal(sides.result.compared, 2);
	assert_int_equal(sides.result.missed_by_procfs_count, 1);
	assert_int_equal(sides.result.missed_by_map_count, 0);
	sides_end(&sides);
}

static void test_a_pid_that_is_there_twice(void **state)
{
	pid_is_there_twice(1, 1);
	pid_is_there_twice(1, 2);
	pid_is_there_twice(2, 1);
}

/* Even within one clock tick, which stat cannot tell apart. */
static void test_a_pid_used_again_at_once(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB);
	process_lives(&sides.before, 101, 100, 1, 102)->start_boot_ns = 101 * SECOND + 1;
	space_holds(&sides.before, 102, 1, 2 * MB);
	everything_rests(&sides);
	stat_vanishes(&sides, 101);
	process_gone(&sides.after, 101);
	space_gone(&sides.after, 101);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_MOVED, MB, 1);
	assert_int_equal(sides.result.missed_by_map_count, 0);
	sides_end(&sides);
}

/* The root is gone, and YARN takes whoever has its pid now for it. */
static void test_the_root_pid_used_again(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_gone(&sides.before, 100);
	space_gone(&sides.before, 100);
	process_with(&sides.before, 101, 50, 1, MB);
	everything_rests(&sides);
	stat_shows(&sides, 100, 7, 2 * MB)->start_ticks = 300 * SECOND / TICK;
	stat_shows(&sides, 102, 100, 4 * MB);
	compare(&sides, 1);
	assert_cause(&sides, CAUSE_ESCAPED, MB, 1);
	assert_cause(&sides, CAUSE_FOREIGN, -6 * MB, 2);
	assert_cause(&sides, CAUSE_UNEXPLAINED, 0, 0);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_ROOT_GONE);
	assert_int_equal(missed_by_map(&sides, 100), MISSED_ROOT_AGAIN);
	assert_int_equal(missed_by_map(&sides, 102), MISSED_ROOT_AGAIN);
	sides_end(&sides);
}

/* --- trees that procfs cannot enter --------------------------------------------------------- */

/* It has not exited. */
static void test_a_root_whose_name_hides(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_with(&sides.before, 101, 100, 1, MB);
	process_with(&sides.before, 102, 1, 1, 2 * MB);
	everything_rests(&sides);
	strcpy(stat_of(&sides, 100)->comm, "a\nb");
	compare(&sides, 1);
	assert_only(&sides, CAUSE_ESCAPED, 13 * MB, 3);
	assert_int_equal(missed_by_procfs(&sides, 100), MISSED_UNREADABLE);
	assert_int_equal(missed_by_procfs(&sides, 101), MISSED_BELOW);
	assert_int_equal(missed_by_procfs(&sides, 102), MISSED_BELOW);
	sides_end(&sides);
}

/* Dead when the tree was adopted: no figure of the maps can have it. */
static void test_the_dead_of_before_an_adoption(void **state)
{
	struct procfs_stat *dead;
	struct sides sides;

	root_stands(&sides);
	everything_rests(&sides);
	stat_shows(&sides, 101, 100, 0)->state = 'Z';
	dead = stat_shows(&sides, 102, 100, 0);
	dead->state = 'Z';
	dead->threads = 2; /* only its main thread is */
	compare(&sides, 1);
	assert_only(&sides, CAUSE_FOREIGN, 0, 1);
	assert_int_equal(missed_by_map(&sides, 101), MISSED_DEAD);
	assert_int_equal(missed_by_map(&sides, 102), MISSED_UNTRACKED);
	sides_end(&sides);
}

/* Of the processes that share a space it counts for one that stat gives it to. */
static void test_a_sharer_whose_main_thread_has_exited(void **state)
{
	struct sides sides;

	root_stands(&sides);
	process_lives(&sides.before, 101, 100, 1, 100);
	sides.before.processes[0].task_state = 0x80;
	everything_rests(&sides);
	stat_of(&sides, 100)->rss_bytes = 0;
	compare(&sides, 1);
	assert_agreed(&sides);
	sides_end(&sides);
}

/* Exempt by the metric of the tree that is compared, not by that of its own. */
static void test_inherited_by_another_metric(void **state)
{
	struct mt_space_record *child;
	struct sides sides;

	root_stands(&sides);
	tree_stands(&sides, 2, 1)->settings.metric = ANON_ONLY;
	child = process_with(&sides.before, 200, 100, 2, 2 * MB);
	child->exact[MT_FILE] = child->space.inherited[MT_FILE] = MB;
	child->space.deadline = OPEN;
	everything_rests(&sides);
	compare(&sides, 1);
	assert_only(&sides, CAUSE_INHERITED, -MB, 1);
	sides_end(&sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orphans_of_process_1),
		cmocka_unit_test(test_an_orphan_of_another_reaper),
		cmocka_unit_test(test_a_root_that_is_gone),
		cmocka_unit_test(test_a_name_that_hides),
		cmocka_unit_test(test_who_dies_meanwhile),
		cmocka_unit_test(test_who_is_born_meanwhile),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_a_reaped_zombie_is_not_missed),
		cmocka_unit_test(test_an_address_space_that_is_not_charged),
		cmocka_unit_test(test_a_sharer_that_tells_another_figure),
		cmocka_unit_test(test_a_member_that_is_no_more),
		cmocka_unit_test(test_a_sum_that_is_wrong),
		cmocka_unit_test(test_no_proof_against_who_runs),
		cmocka_unit_test(test_a_space_kept_by_nobody),
		cmocka_unit_test(test_a_space_in_its_teardown),
		cmocka_unit_test(test_a_pid_that_is_there_twice),
		cmocka_unit_test(test_a_pid_used_again_at_once),
		cmocka_unit_test(test_the_root_pid_used_again),
		cmocka_unit_test(test_a_root_whose_name_hides),
		cmocka_unit_test(test_the_dead_of_before_an_adoption),
		cmocka_unit_test(test_a_sharer_whose_main_thread_has_exited),
		cmocka_unit_test(test_inherited_by_another_metric),
	};

	return cmocka_run_group_tests_name("comparison_missed", tests, NULL, NULL);
}
