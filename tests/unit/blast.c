// SPDX-License-Identifier: GPL-2.0-only
/* How many trees may be ended within a minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "blast.h"

#define SECOND 1000000000ull
#define NOW (1000 * SECOND)

static void test_one_more_within_a_minute_disarms(void **state)
{
	struct blast blast = {.most = 3};

	for (uint64_t i = 0; i < 3; i++)
		assert_true(blast_permits(&blast, NOW + i * SECOND));
	assert_false(blast_is_disarmed(&blast));
	assert_false(blast_permits(&blast, NOW + 60 * SECOND - 1));
	assert_true(blast_is_disarmed(&blast));
}

static void test_so_many_in_each_minute_are_permitted(void **state)
{
	struct blast blast = {.most = 3};

	for (uint64_t i = 0; i < 30; i++)
		assert_true(blast_permits(&blast, NOW + i * 20 * SECOND));
	assert_false(blast_permits(&blast, NOW + 29 * 20 * SECOND + 19 * SECOND));
}

static void test_a_minute_without_arms_again(void **state)
{
	struct blast blast = {.most = 1};

	assert_true(blast_permits(&blast, NOW));
	assert_false(blast_rearms(&blast, NOW + 100 * SECOND));
	assert_false(blast_permits(&blast, NOW + 30 * SECOND));
	assert_false(blast_permits(&blast, NOW + 70 * SECOND));
	assert_false(blast_rearms(&blast, NOW + 90 * SECOND - 1));
	assert_true(blast_is_disarmed(&blast));
	assert_true(blast_rearms(&blast, NOW + 90 * SECOND));
	assert_false(blast_is_disarmed(&blast));
	assert_false(blast_rearms(&blast, NOW + 91 * SECOND));
	assert_true(blast_permits(&blast, NOW + 91 * SECOND));
}

/* The kernel asks nobody; one that it ends while disarmed makes it last. */
static void test_what_was_not_asked_for_counts(void **state)
{
	struct blast blast = {.most = 2};

	blast_note(&blast, NOW);
	blast_note(&blast, NOW + SECOND);
	assert_false(blast_is_disarmed(&blast));
	blast_note(&blast, NOW + 2 * SECOND);
	assert_true(blast_is_disarmed(&blast));
	blast_note(&blast, NOW + 40 * SECOND);
	assert_false(blast_rearms(&blast, NOW + 62 * SECOND));
	assert_true(blast_rearms(&blast, NOW + 100 * SECOND));
}

static void test_without_a_bound_all_are_permitted(void **state)
{
	struct blast blast = {};

	for (int i = 0; i < 5000; i++) {
		assert_true(blast_permits(&blast, NOW));
		blast_note(&blast, NOW);
	}
	assert_false(blast_is_disarmed(&blast));
}

static void test_the_largest_bound(void **state)
{
	static struct blast blast = {.most = BLAST_MOST};

	for (int i = 0; i < BLAST_MOST; i++)
		assert_true(blast_permits(&blast, NOW));
	assert_false(blast_permits(&blast, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_more_within_a_minute_disarms),
		cmocka_unit_test(test_so_many_in_each_minute_are_permitted),
		cmocka_unit_test(test_a_minute_without_arms_again),
		cmocka_unit_test(test_what_was_not_asked_for_counts),
		cmocka_unit_test(test_without_a_bound_all_are_permitted),
		cmocka_unit_test(test_the_largest_bound),
	};

	return cmocka_run_group_tests_name("blast", tests, NULL, NULL);
}
