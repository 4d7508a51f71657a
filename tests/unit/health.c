// SPDX-License-Identifier: GPL-2.0-only
/* When a tracker is called healthy, and what its programs are said to cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health.h"

static struct vitals vitals_well(void)
{
	return (struct vitals){
		.id = 7,
		.used = {120, 3, 110, 2, 1},
		.capacity = {8192, 8192, 12288, 4096, 64},
		.programs = {{"memory_moved", 1000, 50000, 0}, {"fork_seen", 500, 100000, 0}},
		.program_count = 2,
		.misses_known = true,
		.measured_ns = 500000000,
	};
}

static void test_a_tracker_that_lost_nothing_is_healthy(void **state)
{
	struct vitals vitals = vitals_well();

	assert_true(health_judge(&vitals));
	vitals = (struct vitals){};
	assert_true(health_judge(&vitals));
}

static void test_every_loss_has_a_meaning(void **state)
{
	for (int i = 0; i < MT_LOSSES; i++) {
		assert_non_null(loss_meaning((enum mt_loss)i));
		assert_true(strlen(loss_meaning((enum mt_loss)i)) > 10);
	}
	for (int i = 0; i < FILLS; i++)
		assert_non_null(fill_name((enum fill)i));
}

static void test_each_loss_alone(void **state)
{
	static const bool falsifies[MT_LOSSES] = {
		[MT_LOSS_PROCESSES_FULL] = true, [MT_LOSS_SPACES_FULL] = true,
		[MT_LOSS_WINDOWS_FULL] = true,	 [MT_LOSS_NO_TREE] = true,
		[MT_LOSS_BUSY] = true,		 [MT_LOSS_SCRATCH] = true,
		[MT_LOSS_CHILDREN] = true,
	};

	for (int i = 0; i < MT_LOSSES; i++) {
		struct vitals vitals = vitals_well();

		vitals.losses[i] = 1;
		assert_int_equal(health_judge(&vitals), !falsifies[i]);
		assert_int_equal(loss_open(&vitals, (enum mt_loss)i), falsifies[i]);
		assert_int_equal(loss_effect((enum mt_loss)i) == LOSS_WRONG_FIGURES, falsifies[i]);
	}
}

static void test_what_a_resync_healed_is_forgiven(void **state)
{
	struct vitals vitals = vitals_well();

	vitals.losses[MT_LOSS_PROCESSES_FULL] = 5;
	vitals.healed[MT_LOSS_PROCESSES_FULL] = 3;
	assert_int_equal(loss_open(&vitals, MT_LOSS_PROCESSES_FULL), 2);
	assert_false(health_judge(&vitals));
	vitals.healed[MT_LOSS_PROCESSES_FULL] = 5;
	assert_int_equal(loss_open(&vitals, MT_LOSS_PROCESSES_FULL), 0);
	assert_true(health_judge(&vitals));
	/* Read a moment later than the losses. */
	vitals.healed[MT_LOSS_PROCESSES_FULL] = 6;
	assert_int_equal(loss_open(&vitals, MT_LOSS_PROCESSES_FULL), 0);
}

static void test_a_map_above_nine_tenths_is_critical(void **state)
{
	for (int i = 0; i < FILLS; i++) {
		struct vitals vitals = vitals_well();
		enum fill fill = (enum fill)i;

		vitals.capacity[i] = 1000;
		vitals.used[i] = 900;
		assert_false(fill_is_critical(&vitals, fill));
		assert_true(health_judge(&vitals));
		vitals.used[i] = 901;
		/* 64 windows for each tree is all that there can be. */
		assert_int_equal(fill_is_critical(&vitals, fill), fill != FILL_WINDOWS);
		assert_int_equal(health_judge(&vitals), fill == FILL_WINDOWS);
		vitals.used[i] = vitals.capacity[i] = UINT32_MAX;
		assert_int_equal(fill_is_critical(&vitals, fill), fill != FILL_WINDOWS);
	}
}

static void test_misses_alone_are_no_illness(void **state)
{
	struct vitals vitals = vitals_well();

	vitals.programs[1].misses = 17;
	assert_true(health_judge(&vitals));
	assert_int_equal(cost_sum(&vitals).misses, 17);
}

static void test_a_tracker_that_ended_is_not_judged(void **state)
{
	struct vitals vitals = vitals_well();

	vitals.used[FILL_PROCESSES] = vitals.capacity[FILL_PROCESSES];
	vitals.gone = true;
	assert_true(health_judge(&vitals));
}

static void assert_about(double value, double expected)
{
	assert_true(value > expected * 0.999999 - 1e-9 && value < expected * 1.000001 + 1e-9);
}

static void test_costs(void **state)
{
	struct vitals vitals = vitals_well();
	struct program_cost sum = cost_sum(&vitals);

	assert_about(cost_events_per_second(&vitals, &vitals.programs[0]), 2000);
	assert_about(cost_ns_per_event(&vitals.programs[0]), 50);
	assert_about(cost_cpu_percent(&vitals, &vitals.programs[0]), 0.01);
	assert_string_equal(sum.name, "all");
	assert_int_equal(sum.events, 1500);
	assert_about(cost_events_per_second(&vitals, &sum), 3000);
	assert_about(cost_ns_per_event(&sum), 100);
	assert_about(cost_cpu_percent(&vitals, &sum), 0.03);
}

static void test_costs_of_nothing(void **state)
{
	struct vitals vitals = vitals_well();

	vitals.programs[0].events = vitals.programs[0].run_ns = 0;
	assert_about(cost_ns_per_event(&vitals.programs[0]), 0);
	vitals.measured_ns = 0;
	assert_about(cost_events_per_second(&vitals, &vitals.programs[1]), 0);
	assert_about(cost_cpu_percent(&vitals, &vitals.programs[1]), 0);
}

int main(void)
{
	const struct CMUnitTest health[] = {
		cmocka_unit_test(test_a_tracker_that_lost_nothing_is_healthy),
		cmocka_unit_test(test_every_loss_has_a_meaning),
		cmocka_unit_test(test_each_loss_alone),
		cmocka_unit_test(test_what_a_resync_healed_is_forgiven),
		cmocka_unit_test(test_a_map_above_nine_tenths_is_critical),
		cmocka_unit_test(test_misses_alone_are_no_illness),
		cmocka_unit_test(test_a_tracker_that_ended_is_not_judged),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_costs_of_nothing),
	};

	return cmocka_run_group_tests(health, NULL, NULL);
}
