// SPDX-License-Identifier: GPL-2.0-only
/* What the probe says of kernels that are made up here, as BTF with a few types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "kernel.h"

/* The bits of a kernel; each test leaves one out. */
enum {
	TRACEPOINT = 1 << 0,
	ITERATOR = 1 << 1,
	OLD_COUNTERS = 1 << 2,
	NEW_COUNTERS = 1 << 3,
	TEARDOWN_TRACEPOINT = 1 << 4,
	TEARDOWN_FUNCTION = 1 << 5,
};
#define LINUX_5_10 (TRACEPOINT | ITERATOR | OLD_COUNTERS | TEARDOWN_FUNCTION)
#define LINUX_6_12 (TRACEPOINT | ITERATOR | NEW_COUNTERS | TEARDOWN_TRACEPOINT | TEARDOWN_FUNCTION)

/* Every btf__add_* returns the new type's id. */
static int added(int id)
{
	assert_true(id > 0);
	return id;
}

static void field(struct btf *btf, const char *name, int type, uint32_t offset_bytes)
{
	assert_int_equal(btf__add_field(btf, name, type, offset_bytes * 8, 0), 0);
}

static int integer(struct btf *btf)
{
	return added(btf__add_int(btf, "long int", 8, BTF_INT_SIGNED));
}

static int percpu_counter(struct btf *btf)
{
	int number = integer(btf), id = added(btf__add_struct(btf, "percpu_counter", 16));

	field(btf, "count", number, 0);
	field(btf, "counters", number, 8);
	return id;
}

static int array(struct btf *btf, int element, uint32_t count)
{
	return added(btf__add_array(btf, integer(btf), element, count));
}

/* Until 6.1: struct mm_rss_stat { atomic_long_t count[NR_MM_COUNTERS]; }. */
static int mm_rss_stat(struct btf *btf)
{
	int counts = array(btf, integer(btf), 4);
	int id = added(btf__add_struct(btf, "mm_rss_stat", 32));

	field(btf, "count", counts, 0);
	return id;
}

/* struct mm_struct { struct { long flags; <rss_stat>; }; long end; } */
static void mm_struct(struct btf *btf, int rss_stat)
{
	int number = integer(btf), inner = added(btf__add_struct(btf, NULL, 128));

	field(btf, "flags", number, 0);
	field(btf, "rss_stat", rss_stat, 8);
	added(btf__add_struct(btf, "mm_struct", 136));
	field(btf, NULL, inner, 0);
	field(btf, "end", number, 128);
}

static struct btf *btf_new(void)
{
	struct btf *btf = btf__new_empty();

	assert_non_null(btf);
	return btf;
}

static void parts_add(struct btf *btf, int parts)
{
	int prototype = added(btf__add_func_proto(btf, 0));
	int pointer = added(btf__add_ptr(btf, prototype));

	if (parts & TRACEPOINT)
		added(btf__add_typedef(btf, "btf_trace_rss_stat", pointer));
	if (parts & TEARDOWN_TRACEPOINT)
		added(btf__add_typedef(btf, "btf_trace_exit_mmap", pointer));
	if (parts & TEARDOWN_FUNCTION)
		added(btf__add_func(btf, "exit_mmap", BTF_FUNC_STATIC, prototype));
	if (parts & ITERATOR)
		added(btf__add_struct(btf, "bpf_iter__bpf_map_elem", 32));
}

static struct kernel_features probed(struct btf *btf)
{
	struct kernel_features features = kernel_probe(btf);

	btf__free(btf);
	return features;
}

static struct kernel_features kernel_of(int parts)
{
	struct btf *btf = btf_new();

	parts_add(btf, parts);
	if (parts & OLD_COUNTERS)
		mm_struct(btf, mm_rss_stat(btf));
	if (parts & NEW_COUNTERS)
		mm_struct(btf, array(btf, percpu_counter(btf), 4));
	return probed(btf);
}

/* A kernel complete but for what mm_struct.rss_stat is. */
static struct kernel_features kernel_with(struct btf *btf, int rss_stat)
{
	parts_add(btf, TRACEPOINT | ITERATOR);
	mm_struct(btf, rss_stat);
	return probed(btf);
}

static void lacks(const struct kernel_features *features, const char *words)
{
	const char *missing = kernel_missing(features);

	assert_non_null(missing);
	if (!strstr(missing, words))
		fail_msg("\"%s\" does not speak of %s", missing, words);
}

static void test_linux_5_10(void **state)
{
	struct kernel_features features = kernel_of(LINUX_5_10);

	assert_true(features.rss_stat);
	assert_true(features.task_iterator);
	assert_true(features.thread_remainders);
	assert_false(features.percpu_counters);
	assert_false(features.exit_mmap_tracepoint);
	assert_true(features.exit_mmap_function);
	assert_null(kernel_missing(&features));
}

static void test_linux_6_1_keeps_remainders_and_traces_teardown(void **state)
{
	struct kernel_features features = kernel_of(LINUX_5_10 | TEARDOWN_TRACEPOINT);

	assert_true(features.thread_remainders);
	assert_false(features.percpu_counters);
	assert_true(features.exit_mmap_tracepoint);
	assert_null(kernel_missing(&features));
}

/* Also: rss_stat is found within an unnamed struct, as mm_struct has it. */
static void test_linux_6_12(void **state)
{
	struct kernel_features features = kernel_of(LINUX_6_12);

	assert_true(features.rss_stat);
	assert_true(features.task_iterator);
	assert_false(features.thread_remainders);
	assert_true(features.percpu_counters);
	assert_true(features.exit_mmap_tracepoint);
	assert_true(features.exit_mmap_function);
	assert_null(kernel_missing(&features));
}

static void test_the_end_of_a_teardown_may_be_untraceable(void **state)
{
	struct kernel_features old = kernel_of(LINUX_5_10 & ~TEARDOWN_FUNCTION);
	struct kernel_features new = kernel_of(TRACEPOINT | ITERATOR | NEW_COUNTERS);

	assert_false(old.exit_mmap_function);
	assert_null(kernel_missing(&old));
	assert_false(new.exit_mmap_tracepoint);
	assert_null(kernel_missing(&new));
}

static void test_without_the_tracepoint(void **state)
{
	struct kernel_features old = kernel_of(LINUX_5_10 & ~TRACEPOINT);
	struct kernel_features new = kernel_of(LINUX_6_12 & ~TRACEPOINT);

	assert_false(old.rss_stat);
	lacks(&old, "kmem:rss_stat");
	assert_false(new.rss_stat);
	lacks(&new, "kmem:rss_stat");
}

static void test_without_iterators(void **state)
{
	struct kernel_features old = kernel_of(LINUX_5_10 & ~ITERATOR);
	struct kernel_features new = kernel_of(LINUX_6_12 & ~ITERATOR);

	assert_false(old.task_iterator);
	lacks(&old, "iterators");
	assert_false(new.task_iterator);
	lacks(&new, "iterators");
}

static void test_without_mm_struct(void **state)
{
	struct kernel_features features = kernel_of(TRACEPOINT | ITERATOR);

	assert_false(features.thread_remainders);
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");
}

static void test_an_empty_btf(void **state)
{
	struct kernel_features features = probed(btf_new()), none = {};

	assert_memory_equal(&features, &none, sizeof(none));
	assert_non_null(kernel_missing(&features));
}

/* Of a kernel that is yet to come: refused rather than misread. */
static void test_unknown_layouts_of_rss_stat(void **state)
{
	struct kernel_features features;
	struct btf *btf = btf_new();

	features = kernel_with(btf, integer(btf));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");

	btf = btf_new();
	features = kernel_with(btf, array(btf, integer(btf), 4));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");

	btf = btf_new();
	features = kernel_with(btf, percpu_counter(btf));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");

	btf = btf_new();
	features = kernel_with(btf, added(btf__add_ptr(btf, array(btf, percpu_counter(btf), 4))));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");

	btf = btf_new();
	features = kernel_with(btf, added(btf__add_struct(btf, "rss_stat_v9", 8)));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");

	btf = btf_new();
	features = kernel_with(btf, array(btf, added(btf__add_union(btf, "percpu_counter", 8)), 4));
	assert_false(features.percpu_counters);
	lacks(&features, "mm_struct.rss_stat");
}

static void test_fewer_counters_than_the_four_kinds_are_unknown(void **state)
{
	for (uint32_t count = 0; count < 8; count++) {
		struct btf *btf = btf_new();
		struct kernel_features features =
			kernel_with(btf, array(btf, percpu_counter(btf), count));

		assert_int_equal(features.percpu_counters, count >= 4);
	}
}

static void test_typedefs_and_qualifiers_are_seen_through(void **state)
{
	struct btf *btf = btf_new();
	int counter = added(btf__add_typedef(btf, "pcpu_t", percpu_counter(btf)));
	int counters = array(btf, added(btf__add_volatile(btf, counter)), 4);
	int type = added(btf__add_const(btf, added(btf__add_typedef(btf, "stat_t", counters))));
	struct kernel_features features = kernel_with(btf, type);

	assert_true(features.percpu_counters);
	assert_null(kernel_missing(&features));
}

/* Structs and unions without a name, one in the other, and a named decoy before. */
static void test_rss_stat_within_several_unnamed_types(void **state)
{
	struct btf *btf = btf_new();
	int counters = array(btf, percpu_counter(btf), 4), number = integer(btf);
	int decoy, inmost, middle, outer;

	decoy = added(btf__add_struct(btf, "decoy", 8));
	field(btf, "rss_stat", number, 0);
	inmost = added(btf__add_struct(btf, NULL, 64));
	field(btf, "rss_stat", counters, 0);
	middle = added(btf__add_union(btf, NULL, 64));
	field(btf, NULL, inmost, 0);
	outer = added(btf__add_struct(btf, NULL, 80));
	field(btf, "first", number, 0);
	field(btf, "named", decoy, 8);
	field(btf, NULL, middle, 16);
	added(btf__add_struct(btf, "mm_struct", 80));
	field(btf, NULL, outer, 0);
	parts_add(btf, TRACEPOINT | ITERATOR);
	assert_true(probed(btf).percpu_counters);
}

/* A member of a named member is another one's. */
static void test_rss_stat_within_a_named_member_is_not_the_one(void **state)
{
	struct btf *btf = btf_new();
	int counters = array(btf, percpu_counter(btf), 4);
	int named = added(btf__add_struct(btf, "other", 64));

	field(btf, "rss_stat", counters, 0);
	added(btf__add_struct(btf, "mm_struct", 64));
	field(btf, "other", named, 0);
	parts_add(btf, TRACEPOINT | ITERATOR);
	assert_false(probed(btf).percpu_counters);
}

static void test_the_right_name_of_the_wrong_kind(void **state)
{
	struct btf *btf = btf_new();
	int number = integer(btf);
	struct kernel_features features, none = {};

	added(btf__add_struct(btf, "btf_trace_rss_stat", 8));
	added(btf__add_func(btf, "btf_trace_exit_mmap", BTF_FUNC_STATIC,
			    added(btf__add_func_proto(btf, 0))));
	added(btf__add_typedef(btf, "exit_mmap", number));
	added(btf__add_typedef(btf, "bpf_iter__bpf_map_elem", number));
	added(btf__add_typedef(btf, "mm_rss_stat", number));
	added(btf__add_typedef(btf, "mm_struct", number));
	features = probed(btf);
	assert_memory_equal(&features, &none, sizeof(none));
}

static void enumeration(struct btf *btf, const char *name, const char *const *values)
{
	added(btf__add_enum(btf, name, 4));
	for (int i = 0; values[i]; i++)
		assert_int_equal(btf__add_enum_value(btf, values[i], i), 0);
}

static void record(struct btf *btf, const char *name, const char *member)
{
	int number = integer(btf);

	added(btf__add_struct(btf, name, 8));
	field(btf, member, number, 0);
}

static void function(struct btf *btf, const char *name)
{
	added(btf__add_func(btf, name, BTF_FUNC_STATIC, added(btf__add_func_proto(btf, 0))));
}

static struct kernel_survey surveyed(struct btf *btf)
{
	struct kernel_survey survey = kernel_survey(btf);

	btf__free(btf);
	return survey;
}

static void test_survey_of_linux_5_10(void **state)
{
	static const char *const helpers[] = {"BPF_FUNC_unspec", "BPF_FUNC_send_signal", NULL};
	static const char *const maps[] = {"BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_RINGBUF", NULL};
	static const char *const statistics[] = {"BPF_STATS_RUN_TIME", NULL};
	struct kernel_survey survey;
	struct btf *btf = btf_new();

	parts_add(btf, LINUX_5_10);
	mm_struct(btf, mm_rss_stat(btf));
	enumeration(btf, "bpf_func_id", helpers);
	enumeration(btf, "bpf_map_type", maps);
	enumeration(btf, "bpf_stats_type", statistics);
	record(btf, "bpf_prog_info", "run_cnt");
	record(btf, "bpf_map_memory", "pages");
	record(btf, "task_struct", "pid");
	function(btf, "bpf_prog_test_run_raw_tp");
	survey = surveyed(btf);
	assert_true(survey.features.rss_stat && survey.features.thread_remainders);
	assert_true(survey.test_run && survey.send_signal && survey.ring_buffer);
	assert_true(survey.run_statistics && survey.memlock_charged);
	assert_false(survey.percpu_lookup || survey.loop || survey.send_signal_task);
	assert_false(survey.recursion_misses || survey.cgroup_kill ||
		     survey.features.preemptible_handler);
}

static void linux_7_2_add(struct btf *btf)
{
	static const char *const helpers[] = {"BPF_FUNC_send_signal", "BPF_FUNC_loop",
					      "BPF_FUNC_map_lookup_percpu_elem", NULL};

	parts_add(btf, LINUX_6_12);
	mm_struct(btf, array(btf, percpu_counter(btf), 4));
	enumeration(btf, "bpf_func_id", helpers);
	record(btf, "bpf_prog_info", "recursion_misses");
	function(btf, "bpf_send_signal_task");
	function(btf, "cgroup_kill_write");
}

static void test_survey_of_linux_7_2(void **state)
{
	struct kernel_survey survey;
	struct btf *btf = btf_new();

	linux_7_2_add(btf);
	record(btf, "task_struct", "rcu_read_lock_nesting");
	added(btf__add_typedef(btf, "class_srcu_fast_notrace_t", integer(btf)));
	survey = surveyed(btf);
	assert_true(survey.features.percpu_counters && survey.percpu_lookup && survey.loop);
	assert_true(survey.send_signal && survey.send_signal_task && survey.cgroup_kill);
	assert_true(survey.recursion_misses && survey.features.preemptible_handler);
	assert_false(survey.memlock_charged);
}

/* Both signs are needed: the guard of the tracepoints, and a kernel that is preempted. */
static void test_handlers_that_are_not_preempted(void **state)
{
	struct btf *btf = btf_new();

	record(btf, "task_struct", "rcu_read_lock_nesting");
	assert_false(surveyed(btf).features.preemptible_handler);
	btf = btf_new();
	record(btf, "task_struct", "pid");
	added(btf__add_typedef(btf, "class_srcu_fast_notrace_t", integer(btf)));
	assert_false(surveyed(btf).features.preemptible_handler);
}

static void test_survey_of_an_empty_btf(void **state)
{
	struct kernel_survey survey = surveyed(btf_new()), none = {};

	assert_memory_equal(&survey, &none, sizeof(none));
}

/* Enumerators count in their own enumeration only. */
static void test_survey_of_misleading_names(void **state)
{
	static const char *const helpers[] = {"BPF_FUNC_loop", "BPF_FUNC_loops",
					      "BPF_FUNC_send_signal", NULL};
	struct kernel_survey survey, none = {};
	struct btf *btf = btf_new();

	enumeration(btf, "other_func_id", helpers);
	record(btf, "bpf_func_id", "BPF_FUNC_loop");
	record(btf, "other_prog_info", "recursion_misses");
	record(btf, "cgroup_kill_write", "kill");
	survey = surveyed(btf);
	assert_memory_equal(&survey, &none, sizeof(none));
}

static void test_error_bound_of_threads(void **state)
{
	struct kernel_features features = kernel_of(LINUX_5_10);

	/* 65 faults of 16 pages, however many CPUs there are. */
	assert_int_equal(kernel_error_bound(&features, 2, 2, 4096), 65 * 16 * 4096);
	assert_int_equal(kernel_error_bound(&features, 64, 128, 4096), 65 * 16 * 4096);
	assert_int_equal(kernel_error_bound(&features, 2, 2, 65536), 65 * 16 * 65536);
}

static void test_error_bound_of_cpus(void **state)
{
	struct kernel_features features = kernel_of(LINUX_6_12);

	assert_int_equal(kernel_error_bound(&features, 1, 1, 4096), 32 * 4096);
	assert_int_equal(kernel_error_bound(&features, 2, 2, 4096), 2 * 32 * 4096);
	assert_int_equal(kernel_error_bound(&features, 16, 16, 4096), 16 * 32 * 4096);
	assert_int_equal(kernel_error_bound(&features, 64, 128, 4096), 128 * 128 * 4096);
	/* Beyond 32 bits. */
	assert_int_equal(kernel_error_bound(&features, 1024, 1024, 4096), 2048LL * 1024 * 4096);
	assert_int_equal(kernel_error_bound(&features, 8192, 8192, 65536), 16384LL * 8192 * 65536);
}

int main(void)
{
	const struct CMUnitTest kernel[] = {
		cmocka_unit_test(test_linux_5_10),
		cmocka_unit_test(test_linux_6_1_keeps_remainders_and_traces_teardown),
		cmocka_unit_test(test_linux_6_12),
		cmocka_unit_test(test_the_end_of_a_teardown_may_be_untraceable),
		cmocka_unit_test(test_without_the_tracepoint),
		cmocka_unit_test(test_without_iterators),
		cmocka_unit_test(test_without_mm_struct),
		cmocka_unit_test(test_an_empty_btf),
		cmocka_unit_test(test_unknown_layouts_of_rss_stat),
		cmocka_unit_test(test_fewer_counters_than_the_four_kinds_are_unknown),
		cmocka_unit_test(test_typedefs_and_qualifiers_are_seen_through),
		cmocka_unit_test(test_rss_stat_within_several_unnamed_types),
		cmocka_unit_test(test_rss_stat_within_a_named_member_is_not_the_one),
		cmocka_unit_test(test_the_right_name_of_the_wrong_kind),
		cmocka_unit_test(test_survey_of_linux_5_10),
		cmocka_unit_test(test_survey_of_linux_7_2),
		cmocka_unit_test(test_handlers_that_are_not_preempted),
		cmocka_unit_test(test_survey_of_an_empty_btf),
		cmocka_unit_test(test_survey_of_misleading_names),
		cmocka_unit_test(test_error_bound_of_threads),
		cmocka_unit_test(test_error_bound_of_cpus),
	};

	return cmocka_run_group_tests(kernel, NULL, NULL);
}
