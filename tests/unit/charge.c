// SPDX-License-Identifier: GPL-2.0-only
/* The arithmetic of charging: what a fork inherits, until when, and how it shrinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "charge.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MB (1ll << 20)
#define SECOND 1000000000ull
#define GRID (1ull << MT_EPOCH_SHIFT)

static void test_a_counter_below_zero_counts_as_nothing(void **state)
{
	assert_int_equal(charge_clamp(-1), 0);
	assert_int_equal(charge_clamp(INT64_MIN), 0);
	assert_int_equal(charge_clamp(0), 0);
	assert_int_equal(charge_clamp(1), 1);
	assert_int_equal(charge_clamp(INT64_MAX), INT64_MAX);
}

static void test_a_deadline_lies_on_the_grid(void **state)
{
	assert_int_equal(charge_deadline(0, 1), 1);
	assert_int_equal(charge_deadline(0, GRID - 1), 1);
	assert_int_equal(charge_deadline(0, GRID), 1);
	assert_int_equal(charge_deadline(0, GRID + 1), 2);
	assert_int_equal(charge_deadline(GRID - 1, 1), 1);
	assert_int_equal(charge_deadline(GRID, 1), 2);
	assert_int_equal(charge_deadline(5 * GRID, 3 * GRID), 8);
}

/* Never shorter than the window, at most one step of the grid longer. */
static void test_a_deadline_is_rounded_up(void **state)
{
	static const uint64_t windows[] = {
		1, 1000, GRID - 1, GRID, GRID + 1, SECOND, 3 * SECOND, MT_WINDOW_MAX_NS,
	};

	for (uint64_t now = 0; now < 300 * SECOND; now += 77777777) {
		for (size_t i = 0; i < COUNT(windows); i++) {
			uint64_t deadline = charge_deadline(now, windows[i]);
			uint64_t end = deadline << MT_EPOCH_SHIFT;

			assert_true(end >= now + windows[i]);
			assert_true(end < now + windows[i] + GRID);
			assert_true(charge_window_open(deadline, now));
			assert_true(charge_window_open(deadline, now + windows[i] - 1));
			assert_true(charge_window_open(deadline, end - 1));
			assert_false(charge_window_open(deadline, end));
			assert_false(charge_window_open(deadline, now + windows[i] + GRID));
		}
	}
}

static void test_a_window_of_0_is_never_open(void **state)
{
	assert_int_equal(charge_deadline(0, 0), 0);
	assert_int_equal(charge_deadline(12345 * SECOND, 0), 0);
	assert_false(charge_window_open(0, 0));
	assert_false(charge_window_open(0, 12345 * SECOND));
}

/* Epochs that are open together have different places in a tree's ring. */
static void test_the_longest_window_fits_into_the_ring(void **state)
{
	for (uint64_t now = 0; now < 2 * GRID; now += GRID / 16 - 1)
		assert_true(charge_deadline(now, MT_WINDOW_MAX_NS) - (now >> MT_EPOCH_SHIFT) <
			    MT_EPOCHS);
}

static void test_a_child_inherits_what_it_holds(void **state)
{
	/* fork with the parent's window closed: all of it, whatever the parent inherited */
	assert_int_equal(charge_inherit(100 * MB, 0, 0), 100 * MB);
	assert_int_equal(charge_inherit(100 * MB, 30 * MB, 0), 100 * MB);
	assert_int_equal(charge_inherit(100 * MB, -5 * MB, 0), 100 * MB);
	assert_int_equal(charge_inherit(0, 30 * MB, 0), 0);
}

static void test_a_grandchild_inherits_no_more_than_its_parent(void **state)
{
	/* fork(1,2); grow(2, 70 MB); fork(2,3), all within 2's window */
	assert_int_equal(charge_inherit(100 * MB, 30 * MB, 1), 30 * MB);
	/* madvise and the like: the child copied less than its parent inherited */
	assert_int_equal(charge_inherit(10 * MB, 30 * MB, 1), 10 * MB);
	/* the parent has nothing left, or is being corrected */
	assert_int_equal(charge_inherit(100 * MB, 0, 1), 0);
	assert_int_equal(charge_inherit(100 * MB, -1, 1), 0);
}

static void test_nobody_inherits_less_than_nothing(void **state)
{
	static const int64_t bytes[] = {INT64_MIN, -MB, -1, 0, 1, MB, INT64_MAX};

	for (size_t child = 0; child < COUNT(bytes); child++)
		for (size_t parent = 0; parent < COUNT(bytes); parent++)
			for (int open = 0; open < 2; open++) {
				int64_t got = charge_inherit(bytes[child], bytes[parent], open);

				assert_true(got >= 0);
				assert_true(got <= charge_clamp(bytes[child]));
				if (open)
					assert_true(got <= charge_clamp(bytes[parent]));
			}
}

static void test_the_ratchet_follows_down(void **state)
{
	assert_int_equal(charge_ratchet(100, 40), -60);
	assert_int_equal(charge_ratchet(100, 0), -100);
	assert_int_equal(charge_ratchet(100, 100), 0);
}

static void test_the_ratchet_never_turns_up(void **state)
{
	assert_int_equal(charge_ratchet(100, 101), 0);
	assert_int_equal(charge_ratchet(0, 100), 0);
	assert_int_equal(charge_ratchet(0, 0), 0);
	assert_int_equal(charge_ratchet(1, INT64_MAX), 0);
}

static void test_the_ratchet_takes_a_negative_counter_for_0(void **state)
{
	assert_int_equal(charge_ratchet(100, -1), -100);
	assert_int_equal(charge_ratchet(100, INT64_MIN), -100);
	assert_int_equal(charge_ratchet(0, -1), 0);
}

/* Two CPUs turned it at once, each by what it saw: the next turn gives back. */
static void test_the_ratchet_undoes_what_was_taken_twice(void **state)
{
	int64_t inherited = 100;
	int64_t first = charge_ratchet(inherited, 30), second = charge_ratchet(inherited, 40);

	inherited += first;
	inherited += second;
	assert_int_equal(inherited, -30);
	inherited += charge_ratchet(inherited, 500);
	assert_int_equal(inherited, 0);
	assert_int_equal(charge_ratchet(inherited, 500), 0);
	assert_int_equal(charge_ratchet(-7, 3), 7);
	assert_int_equal(charge_ratchet(-7, -3), 7);
}

/* grow and shrink at random: what is exempt only shrinks and is never above the memory. */
static void test_the_ratchet_through_a_random_life(void **state)
{
	int64_t memory = 100 * MB, inherited = memory, before;
	uint32_t seed = 7;

	for (int step = 0; step < 100000; step++) {
		seed = seed * 1664525 + 1013904223;
		memory += (int64_t)(seed >> 12) - (1 << 19);
		before = inherited;
		inherited += charge_ratchet(inherited, memory);
		assert_true(inherited <= before);
		assert_true(inherited >= 0);
		assert_true(inherited <= charge_clamp(memory));
	}
}

static void test_each_metric_counts_its_kinds(void **state)
{
	static const __s64 bytes[MT_KINDS] = {
		[MT_FILE] = 1, [MT_ANON] = 20, [MT_SWAP] = 300, [MT_SHMEM] = 4000};

	assert_int_equal(charge_measure(bytes, 0), 0);
	assert_int_equal(charge_measure(bytes, 1U << MT_FILE), 1);
	assert_int_equal(charge_measure(bytes, 1U << MT_ANON), 20);
	assert_int_equal(charge_measure(bytes, 1U << MT_SWAP), 300);
	assert_int_equal(charge_measure(bytes, 1U << MT_SHMEM), 4000);
	assert_int_equal(charge_measure(bytes, MT_METRIC_RSS), 4021);
	assert_int_equal(charge_measure(bytes, 1U << MT_ANON | 1U << MT_SWAP), 320);
	assert_int_equal(charge_measure(bytes, 15), 4321);
	assert_int_equal(charge_measure(bytes, 0xf0), 0);
}

/* A process as the BPF side keeps it, of one kind of memory. */
struct space {
	int64_t now, inherited;
	uint64_t deadline;
};

/* What bpf/spaces.bpf.c does at a fork, in its two branches. */
static struct space forked(const struct space *parent, uint64_t now_ns, uint64_t window_ns)
{
	int open = charge_window_open(parent->deadline, now_ns);

	return (struct space){
		.now = parent->now,
		.inherited = charge_inherit(parent->now, parent->inherited, open),
		.deadline = open ? parent->deadline : charge_deadline(now_ns, window_ns),
	};
}

/* Who forks again and again to hide: what it grew since is charged all the same. */
static void test_forking_every_second_extends_no_deadline(void **state)
{
	for (uint64_t window = SECOND / 2; window <= MT_WINDOW_MAX_NS; window += SECOND / 2) {
		uint64_t now = 1000 * SECOND;
		struct space root = {.now = 10 * MB}, process = forked(&root, now, window);
		const uint64_t deadline = process.deadline;

		for (; charge_window_open(deadline, now); now += SECOND) {
			process.now += 50 * MB;
			process = forked(&process, now, window);
			assert_int_equal(process.deadline, deadline);
			assert_int_equal(process.inherited, 10 * MB);
		}
		assert_true(now < 1000 * SECOND + window + GRID + SECOND);
		assert_false(charge_window_open(process.deadline, now));
	}
}

static void test_shrinking_and_growing_again_regains_nothing(void **state)
{
	uint64_t now = 50 * SECOND;
	struct space root = {.now = 100 * MB}, child = forked(&root, now, 3 * SECOND), grandchild;

	child.now = 20 * MB;
	child.inherited += charge_ratchet(child.inherited, child.now);
	child.now = 100 * MB;
	child.inherited += charge_ratchet(child.inherited, child.now);
	assert_int_equal(child.inherited, 20 * MB);
	grandchild = forked(&child, now + SECOND, 3 * SECOND);
	assert_int_equal(grandchild.inherited, 20 * MB);
}

int main(void)
{
	const struct CMUnitTest charge[] = {
		cmocka_unit_test(test_a_counter_below_zero_counts_as_nothing),
		cmocka_unit_test(test_a_deadline_lies_on_the_grid),
		cmocka_unit_test(test_a_deadline_is_rounded_up),
		cmocka_unit_test(test_a_window_of_0_is_never_open),
		cmocka_unit_test(test_the_longest_window_fits_into_the_ring),
		cmocka_unit_test(test_a_child_inherits_what_it_holds),
		cmocka_unit_test(test_a_grandchild_inherits_no_more_than_its_parent),
		cmocka_unit_test(test_nobody_inherits_less_than_nothing),
		cmocka_unit_test(test_the_ratchet_follows_down),
		cmocka_unit_test(test_the_ratchet_never_turns_up),
		cmocka_unit_test(test_the_ratchet_takes_a_negative_counter_for_0),
		cmocka_unit_test(test_the_ratchet_undoes_what_was_taken_twice),
		cmocka_unit_test(test_the_ratchet_through_a_random_life),
		cmocka_unit_test(test_each_metric_counts_its_kinds),
		cmocka_unit_test(test_forking_every_second_extends_no_deadline),
		cmocka_unit_test(test_shrinking_and_growing_again_regains_nothing),
	};

	return cmocka_run_group_tests(charge, NULL, NULL);
}
