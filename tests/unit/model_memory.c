// SPDX-License-Identifier: GPL-2.0-only
/* What a snapshot means: memory, charged once, without what is exempt. */
#include "story.h"

/* vfork: parent and child run in one address space until the exec. */
static void test_a_shared_address_space_is_charged_once(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 100 * MB);
	process_lives(&story, 101, 100, 1, 100);
	process_with(&story, 102, 100, 1, 7 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 107 * MB);
	assert_int_equal(tree_of(&story, 1)->spaces, 2);
	assert_int_equal(tree_of(&story, 1)->processes, 3);
	assert_true(process_of(&story, 100)->shared_mm);
	assert_true(process_of(&story, 101)->shared_mm);
	assert_false(process_of(&story, 102)->shared_mm);
	assert_int_equal(process_of(&story, 100)->bytes[MT_ANON], 100 * MB);
	assert_int_equal(process_of(&story, 101)->bytes[MT_ANON], 100 * MB);
	end(&story);
}

/* Before 6.2: the space's counter lacks what its threads have not flushed yet. */
static void test_remainders_of_threads_are_added(void **state)
{
	struct story story;
	struct mt_process_record *record;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	record = process_lives(&story, 100, 1, 1, 100);
	record->threads = record->threads_read = 3;
	record->kept_back[MT_ANON] = 60 << 12;
	record->kept_back[MT_FILE] = -(5 << 12);
	space_holds(&story, 100, 1, 10 * MB)->exact[MT_FILE] = MB;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->bytes[MT_ANON], 10 * MB + (60 << 12));
	assert_int_equal(tree_of(&story, 1)->bytes[MT_FILE], MB - (5 << 12));
	assert_int_equal(process_of(&story, 100)->bytes[MT_ANON], 10 * MB + (60 << 12));
	assert_int_equal(tree_of(&story, 1)->threads, 3);
	assert_false(tree_of(&story, 1)->inexact);
	end(&story);
}

/* Each of two sharers keeps back something of the one space. */
static void test_remainders_of_all_sharers_are_added(void **state)
{
	struct story story;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	process_lives(&story, 100, 1, 1, 0xabc)->kept_back[MT_ANON] = 3 << 12;
	process_lives(&story, 101, 100, 1, 0xabc)->kept_back[MT_ANON] = 4 << 12;
	space_holds(&story, 0xabc, 1, 8 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 8 * MB + (7 << 12));
	assert_int_equal(process_of(&story, 100)->bytes[MT_ANON], 8 * MB + (7 << 12));
	assert_int_equal(process_of(&story, 101)->bytes[MT_ANON], 8 * MB + (7 << 12));
	end(&story);
}

/* The bounded walk gave up on 100: a pass over all threads has the whole, of it alone. */
static void test_a_large_group_is_read_thread_by_thread(void **state)
{
	struct story story;
	struct mt_process_record *large;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	large = process_lives(&story, 100, 1, 1, 100);
	large->threads = 3;
	large->threads_read = 2;
	large->kept_back[MT_ANON] = 2 << 12;
	space_holds(&story, 100, 1, 10 * MB);
	process_lives(&story, 101, 100, 1, 101)->kept_back[MT_ANON] = 9 << 12;
	space_holds(&story, 101, 1, MB);
	thread_keeps(&story, 100, 1 << 12);
	thread_keeps(&story, 101, 33 << 12);
	thread_keeps(&story, 100, 1 << 12);
	thread_keeps(&story, 100, 5 << 12);
	thread_keeps(&story, 999, 77 << 12);
	read_out(&story);

	assert_int_equal(process_of(&story, 100)->bytes[MT_ANON], 10 * MB + (7 << 12));
	assert_int_equal(process_of(&story, 101)->bytes[MT_ANON], MB + (9 << 12));
	assert_int_equal(tree_of(&story, 1)->charged, 11 * MB + (16 << 12));
	assert_false(tree_of(&story, 1)->inexact);
	end(&story);
}

static void test_a_large_group_without_thread_records_is_inexact(void **state)
{
	struct story story;
	struct mt_process_record *large;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	large = process_lives(&story, 100, 1, 1, 100);
	large->threads = 3;
	large->threads_read = 2;
	large->kept_back[MT_ANON] = 2 << 12;
	space_holds(&story, 100, 1, 10 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 10 * MB + (2 << 12));
	assert_true(process_of(&story, 100)->inexact);
	assert_true(tree_of(&story, 1)->inexact);
	end(&story);
}

/* The counter that threads flush to may be below zero; only the sum is a size. */
static void test_a_negative_counter_is_0_after_remainders(void **state)
{
	struct story story;

	begin(&story);
	story.snapshot.thread_remainders = true;
	tree_opens(&story, 1, 0);
	process_lives(&story, 100, 1, 1, 100)->kept_back[MT_ANON] = 50 << 12;
	space_holds(&story, 100, 1, -(40 << 12));
	process_lives(&story, 101, 1, 1, 101);
	space_holds(&story, 101, 1, -(40 << 12))->exact[MT_FILE] = MB;
	read_out(&story);

	assert_int_equal(process_of(&story, 100)->bytes[MT_ANON], 10 << 12);
	assert_int_equal(process_of(&story, 101)->bytes[MT_ANON], 0);
	assert_int_equal(tree_of(&story, 1)->bytes[MT_ANON], 10 << 12);
	assert_int_equal(tree_of(&story, 1)->charged, MB + (10 << 12));
	end(&story);
}

static void test_inherited_memory_is_exempt_while_its_window_is_open(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 100 * MB);
	space = process_with(&story, 101, 100, 1, 130 * MB);
	space->space.inherited[MT_ANON] = 100 * MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->bytes[MT_ANON], 230 * MB);
	assert_int_equal(tree_of(&story, 1)->inherited, 100 * MB);
	assert_int_equal(tree_of(&story, 1)->charged, 130 * MB);
	assert_int_equal(process_of(&story, 101)->inherited, 100 * MB);
	assert_int_equal(process_of(&story, 100)->inherited, 0);
	end(&story);
}

static void test_inherited_memory_is_charged_once_its_window_is_over(void **state)
{
	static const uint64_t over[] = {0, 1, CLOSED - 1, CLOSED};

	for (size_t i = 0; i < COUNT(over); i++) {
		struct story story;
		struct mt_space_record *space;

		begin(&story);
		tree_opens(&story, 1, 0);
		space = process_with(&story, 101, 1, 1, 130 * MB);
		space->space.inherited[MT_ANON] = 100 * MB;
		space->space.deadline = over[i];
		read_out(&story);
		assert_int_equal(tree_of(&story, 1)->inherited, 0);
		assert_int_equal(tree_of(&story, 1)->charged, 130 * MB);
		assert_int_equal(process_of(&story, 101)->inherited, 0);
		end(&story);
	}
}

/* The ratchet has not turned yet: the exact figure already knows that memory went. */
static void test_no_more_is_exempt_than_there_is(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0);
	space = process_with(&story, 101, 1, 1, 30 * MB);
	space->exact[MT_FILE] = 5 * MB;
	space->space.inherited[MT_ANON] = 100 * MB;
	space->space.inherited[MT_FILE] = 2 * MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->inherited, 32 * MB);
	assert_int_equal(tree_of(&story, 1)->charged, 3 * MB);
	end(&story);
}

/* Racing CPUs took twice: below zero for a moment. */
static void test_a_negative_exemption_charges_nothing_twice(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0);
	space = process_with(&story, 101, 1, 1, 30 * MB);
	space->space.inherited[MT_ANON] = -MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->inherited, 0);
	assert_int_equal(tree_of(&story, 1)->charged, 30 * MB);
	end(&story);
}

/* Each tree by its own metric, the exemption too. */
static void test_nested_trees_with_different_metrics(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0)->settings.metric = ANON_AND_SWAP;
	tree_opens(&story, 2, 1);
	space = process_with(&story, 200, 100, 2, 20 * MB);
	space->exact[MT_FILE] = 8 * MB;
	space->exact[MT_SWAP] = 3 * MB;
	space->space.inherited[MT_ANON] = 5 * MB;
	space->space.inherited[MT_FILE] = 8 * MB;
	space->space.inherited[MT_SWAP] = MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 2)->inherited, 13 * MB);
	assert_int_equal(tree_of(&story, 2)->charged, 15 * MB);
	assert_int_equal(tree_of(&story, 1)->inherited, 6 * MB);
	assert_int_equal(tree_of(&story, 1)->charged, 17 * MB);
	assert_int_equal(process_of(&story, 200)->inherited, 13 * MB);
	end(&story);
}

/* The iterator starts a bucket again after its buffer was full: new entries shift it. */
static void test_a_space_met_twice_is_charged_once(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 10 * MB);
	space_holds(&story, 100, 1, 10 * MB);
	space_holds(&story, 200, 1, MB);
	space_holds(&story, 100, 1, 11 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->charged, 11 * MB);
	assert_int_equal(tree_of(&story, 1)->spaces, 2);
	end(&story);
}

/* The kernel side looks at growth of single counters; the sum of now may be higher. */
static void test_a_peak_is_never_below_charged(void **state)
{
	struct story story;
	struct tree_reading *low, *high;

	begin(&story);
	low = tree_opens(&story, 1, 0);
	low->totals.peak = 3 * MB;
	low->totals.peak_mono_ns = NOW_MONO - 9 * SECOND;
	high = tree_opens(&story, 2, 0);
	high->totals.peak = 10 * MB;
	high->totals.peak_mono_ns = NOW_MONO - 9 * SECOND;
	process_with(&story, 100, 1, 1, 10 * MB);
	process_with(&story, 200, 1, 2, 10 * MB);
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->peak, 10 * MB);
	assert_int_equal(tree_of(&story, 1)->peak_real_ns, NOW_REAL);
	assert_int_equal(tree_of(&story, 2)->peak, 10 * MB);
	assert_int_equal(tree_of(&story, 2)->peak_real_ns, NOW_REAL - 9 * (int64_t)SECOND);
	end(&story);
}

static void test_the_live_view(void **state)
{
	struct story story;
	struct tree_reading *tree;
	struct mt_space_record *space;

	begin(&story);
	tree = tree_opens(&story, 1, 0);
	tree->totals.bytes[MT_ANON] = 28 * MB;
	tree->totals.bytes[MT_FILE] = -MB; /* racing CPUs */
	tree->totals.bytes[MT_SHMEM] = 2 * MB;
	tree->totals.bytes[MT_SWAP] = 400 * MB;
	tree->totals.holds = -1;
	space = process_with(&story, 100, 1, 1, 29 * MB);
	space->space.inherited[MT_ANON] = 10 * MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->live[MT_ANON], 28 * MB);
	assert_int_equal(tree_of(&story, 1)->live[MT_FILE], 0);
	assert_int_equal(tree_of(&story, 1)->live_charged, 20 * MB);
	assert_int_equal(tree_of(&story, 1)->charged, 19 * MB);
	assert_int_equal(tree_of(&story, 1)->holds, 0);
	end(&story);
}

static void test_the_live_view_lags_behind_an_exemption(void **state)
{
	struct story story;
	struct mt_space_record *space;

	begin(&story);
	tree_opens(&story, 1, 0)->totals.bytes[MT_ANON] = 5 * MB;
	space = process_with(&story, 100, 1, 1, 29 * MB);
	space->space.inherited[MT_ANON] = 10 * MB;
	space->space.deadline = OPEN;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->live_charged, 0);
	end(&story);
}

/* Threads keep all kinds back together, CPUs each kind of each space. */
static void test_the_error_bound(void **state)
{
	for (int old = 0; old < 2; old++) {
		struct story story;

		begin(&story);
		story.snapshot.thread_remainders = old;
		tree_opens(&story, 1, 0);
		tree_opens(&story, 2, 1)->settings.metric = ANON_ONLY;
		process_with(&story, 100, 1, 1, MB);
		process_with(&story, 200, 100, 2, MB);
		story.processes[1].threads = story.processes[1].threads_read = 4;
		read_out(&story);
		assert_int_equal(tree_of(&story, 1)->error_bound, old ? 5 * 1000 : 2 * 3 * 1000);
		assert_int_equal(tree_of(&story, 2)->error_bound, old ? 4 * 1000 : 1000);
		end(&story);
	}
}

/* A parent with two workers: one has its window closed, one has given most of it back. */
static void test_what_was_inherited_is_shareable_for_ever(void **state)
{
	struct story story;
	struct mt_space_record *worker;

	begin(&story);
	tree_opens(&story, 1, 0);
	process_with(&story, 100, 1, 1, 100 * MB);
	worker = process_with(&story, 101, 100, 1, 120 * MB);
	worker->space.inherited[MT_ANON] = 100 * MB;
	worker->space.deadline = OPEN;
	worker = process_with(&story, 102, 100, 1, 110 * MB);
	worker->space.inherited[MT_ANON] = 90 * MB;
	worker->space.deadline = CLOSED;
	worker = process_with(&story, 103, 100, 1, 5 * MB);
	worker->space.inherited[MT_ANON] = 80 * MB;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->inherited, 100 * MB);
	assert_int_equal(tree_of(&story, 1)->charged, 235 * MB);
	assert_int_equal(tree_of(&story, 1)->shareable, 195 * MB);
	end(&story);
}

static void test_mapped_pages_beyond_the_largest_holder_are_shareable(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	tree_opens(&story, 2, 1)->settings.metric = ANON_ONLY;
	process_with(&story, 100, 1, 1, MB)->exact[MT_SHMEM] = 50 * MB;
	process_with(&story, 200, 100, 2, MB)->exact[MT_SHMEM] = 40 * MB;
	process_with(&story, 201, 100, 2, MB)->exact[MT_FILE] = 30 * MB;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->shareable, 40 * MB);
	assert_int_equal(tree_of(&story, 2)->shareable, 0);
	end(&story);
}

/* Its holders' parent is gone: both have what was inherited, and nobody has more. */
static void test_what_is_exempt_is_shareable(void **state)
{
	struct story story;

	begin(&story);
	tree_opens(&story, 1, 0);
	for (uint32_t tgid = 100; tgid < 102; tgid++) {
		struct mt_space_record *space = process_with(&story, tgid, 1, 1, 0);

		space->exact[MT_FILE] = space->space.inherited[MT_FILE] = 10 * MB;
		space->space.deadline = OPEN;
	}
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->shareable, 20 * MB);
	end(&story);
}

static void test_what_changed_its_kind_since_the_fork_is_shareable(void **state)
{
	struct story story;
	struct mt_space_record *swapped;

	begin(&story);
	tree_opens(&story, 1, 0)->settings.metric = ANON_AND_SWAP;
	swapped = process_with(&story, 100, 1, 1, 20 * MB);
	swapped->exact[MT_SWAP] = 40 * MB;
	swapped->space.inherited[MT_ANON] = 50 * MB;
	read_out(&story);

	assert_int_equal(tree_of(&story, 1)->shareable, 50 * MB);
	end(&story);
}

int main(void)
{
	const struct CMUnitTest memory[] = {
		cmocka_unit_test(test_a_shared_address_space_is_charged_once),
		cmocka_unit_test(test_remainders_of_threads_are_added),
		cmocka_unit_test(test_remainders_of_all_sharers_are_added),
		cmocka_unit_test(test_a_large_group_is_read_thread_by_thread),
		cmocka_unit_test(test_a_large_group_without_thread_records_is_inexact),
		cmocka_unit_test(test_a_negative_counter_is_0_after_remainders),
		cmocka_unit_test(test_inherited_memory_is_exempt_while_its_window_is_open),
		cmocka_unit_test(test_inherited_memory_is_charged_once_its_window_is_over),
		cmocka_unit_test(test_no_more_is_exempt_than_there_is),
		cmocka_unit_test(test_a_negative_exemption_charges_nothing_twice),
		cmocka_unit_test(test_nested_trees_with_different_metrics),
		cmocka_unit_test(test_a_space_met_twice_is_charged_once),
		cmocka_unit_test(test_a_peak_is_never_below_charged),
		cmocka_unit_test(test_the_live_view),
		cmocka_unit_test(test_the_live_view_lags_behind_an_exemption),
		cmocka_unit_test(test_the_error_bound),
		cmocka_unit_test(test_what_was_inherited_is_shareable_for_ever),
		cmocka_unit_test(test_mapped_pages_beyond_the_largest_holder_are_shareable),
		cmocka_unit_test(test_what_is_exempt_is_shareable),
		cmocka_unit_test(test_what_changed_its_kind_since_the_fork_is_shareable),
	};

	return cmocka_run_group_tests(memory, NULL, NULL);
}
