// SPDX-License-Identifier: GPL-2.0-only
/*
 * When YARN's monitor kills, and what it writes then. The figures are those of Hadoop's own
 * tests where a comment names one, the rest follows its sources.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "container.h"

/* --- the decision ------------------------------------------------------------------------ */

/* testProcessTreeLimits: virtual memory against 700000. */
static enum yarn_verdict judged(const struct story *story)
{
	return yarn_judge(yarn_tree_vmem(&story->tree, 0), yarn_tree_vmem(&story->tree, 1), 700000);
}

static void node_of_seven(struct story *story, pid_t root)
{
	begin(story, root);
	lives(story, 100, 1, 100);
	lives(story, 200, 1, 200);
	lives(story, 300, 200, 200);
	lives(story, 400, 200, 200);
	lives(story, 500, 100, 100)->vsize_bytes = 1500000;
	lives(story, 600, 1, 600)->vsize_bytes = 100000;
	lives(story, 700, 600, 600)->vsize_bytes = 100000;
}

static void test_over_twice_at_once_over_once_later(void **state)
{
	struct story story;

	node_of_seven(&story, 100);
	pass(&story);
	assert_int_equal(judged(&story), YARN_OVER_TWICE);
	end(&story);

	node_of_seven(&story, 200);
	pass(&story);
	assert_int_equal(judged(&story), YARN_WITHIN);
	pass(&story);
	assert_int_equal(judged(&story), YARN_OVER_AGED);
	end(&story);

	node_of_seven(&story, 600);
	pass(&story);
	assert_int_equal(judged(&story), YARN_WITHIN);
	pass(&story);
	assert_int_equal(judged(&story), YARN_WITHIN);
	end(&story);
}

static void test_limits_are_strict(void **state)
{
	assert_int_equal(yarn_judge(200, 100, 100), YARN_WITHIN);
	assert_int_equal(yarn_judge(201, 0, 100), YARN_OVER_TWICE);
	assert_int_equal(yarn_judge(201, 201, 100), YARN_OVER_TWICE);
	assert_int_equal(yarn_judge(200, 101, 100), YARN_OVER_AGED);
	assert_int_equal(yarn_judge(0, 0, 0), YARN_WITHIN);
	assert_int_equal(yarn_judge(UINT64_MAX, UINT64_MAX, UINT64_MAX), YARN_WITHIN);
	assert_int_equal(yarn_judge(UINT64_MAX, 0, UINT64_MAX / 2 + 1), YARN_WITHIN);
	assert_int_equal(yarn_judge(UINT64_MAX, 0, UINT64_MAX / 2), YARN_OVER_TWICE);
}

static void test_the_first_pass_never_decides(void **state)
{
	struct yarn_decision decision;
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	pass(&story);
	decision = yarn_decide(&story.tree, YARN_STAT, 1, 1);
	assert_true(decision.skipped);
	assert_false(yarn_kills(&decision));
	assert_int_equal(decision.memory, 100 * PAGE);
	assert_int_equal(decision.memory_aged, 0);

	pass(&story);
	decision = yarn_decide(&story.tree, YARN_STAT, 1, 1);
	assert_false(decision.skipped);
	assert_true(yarn_kills(&decision));
	end(&story);
}

static void test_virtual_memory_is_tested_first(void **state)
{
	struct yarn_decision decision;
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	pass(&story);
	pass(&story);
	decision = yarn_decide(&story.tree, YARN_STAT, 1, 99999);
	assert_int_equal(decision.virtual_memory, YARN_OVER_AGED);
	assert_int_equal(decision.physical_memory, YARN_WITHIN); /* not looked at */
	decision = yarn_decide(&story.tree, YARN_STAT, 1, 100000);
	assert_int_equal(decision.virtual_memory, YARN_WITHIN);
	assert_int_equal(decision.physical_memory, YARN_OVER_TWICE);
	decision = yarn_decide(&story.tree, YARN_STAT, (uint64_t)(100 * PAGE), 100000);
	assert_false(yarn_kills(&decision));
	decision = yarn_decide(&story.tree, YARN_STAT, 0, 0); /* neither is checked */
	assert_false(yarn_kills(&decision));
	decision = yarn_decide(&story.tree, YARN_SMAPS_3, 1, 0); /* no smaps was noted */
	assert_int_equal(decision.memory, 0);
	end(&story);
}

/* --- what is written --------------------------------------------------------------------- */

static const struct yarn_decision twice = {
	.physical_memory = YARN_OVER_TWICE,
	.vmem = 3 * GB,
	.vmem_aged = 2 * GB,
	.memory = 5 * GB / 2,
	.memory_aged = GB,
};

static void reason_is(const struct yarn_decision *decision, const char *expected)
{
	_cleanup_free_ char *reason = yarn_reason(decision, "c_1", 1000, 2100);

	assert_non_null(reason);
	assert_string_equal(reason, expected);
}

static void test_reasons(void **state)
{
	static const struct yarn_decision within = {.vmem = 1};
	struct yarn_decision decision = twice;

	reason_is(&decision, "Process tree for container: c_1 running over twice the configured "
			     "limit. Limit=1000, current usage = 2684354560");
	decision.physical_memory = YARN_OVER_AGED;
	reason_is(&decision,
		  "Process tree for container: c_1 has processes older than 1 iteration running "
		  "over the configured limit. Limit=1000, current usage = 1073741824");
	decision.virtual_memory = YARN_OVER_AGED;
	reason_is(&decision,
		  "Process tree for container: c_1 has processes older than 1 iteration running "
		  "over the configured limit. Limit=2100, current usage = 2147483648");
	assert_null(yarn_reason(&within, "c_1", 1000, 2100));
	assert_null(yarn_diagnosis(&within, 100, "c_1", 1000, 2100));
}

static void test_diagnoses(void **state)
{
	struct yarn_decision decision = twice;
	_cleanup_free_ char *physical = NULL, *virtual = NULL;

	physical = yarn_diagnosis(&decision, 100, "c_1", GB, 2254857830);
	assert_string_equal(physical,
			    "Container [pid=100,containerID=c_1] is running 1610612736B beyond the "
			    "'PHYSICAL' memory limit. Current usage: 2.5 GB of 1 GB physical "
			    "memory used; 3 GB of 2.1 GB virtual memory used. Killing container.\n"
			    "Dump of the process-tree for c_1 :\n");
	decision.virtual_memory = YARN_OVER_AGED;
	virtual = yarn_diagnosis(&decision, 100, "c_1", GB, 2254857830);
	assert_non_null(strstr(virtual, " is running 966367642B beyond the 'VIRTUAL' memory "));
}

/* Through the message, as that is where sizes are read. */
static void size_is(uint64_t bytes, const char *expected)
{
	struct yarn_decision decision = {.physical_memory = YARN_OVER_AGED, .memory = bytes};
	_cleanup_free_ char *message = yarn_diagnosis(&decision, 1, "c", 0, 0);
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "Current usage: %sB of 0B physical", expected);
	assert_non_null(message);
	if (!strstr(message, wanted))
		fail_msg("%lu: %s", bytes, message);
}

static void test_sizes(void **state)
{
	size_is(0, "0");
	size_is(1, "1");
	size_is(1023, "1023");
	size_is(1024, "1 K");
	size_is(1025, "1.0 K");
	size_is(1536, "1.5 K");
	size_is(1280, "1.3 K"); /* 1.25: Java rounds up, printf() would not */
	size_is(1792, "1.8 K");
	size_is(MB - 1, "1.0 M"); /* not 1024.0 K */
	size_is(MB - 52, "1023.9 K");
	size_is(MB, "1 M");
	size_is(512 * MB, "512 M");
	size_is(1536 * MB, "1.5 G");
	size_is(GB - 1, "1.0 G");
	size_is(1000 * GB, "1000 G");
	size_is(1024 * GB, "1 T");
	size_is(1ull << 50, "1 P");
	size_is((1ull << 60) - 1, "1.0 E");
	size_is(1ull << 60, "1 E");
	size_is(INT64_MAX, "8.0 E");
}

struct lines {
	const char *of[MOST];
};

/* For process 100 the first, for 200 the second. */
static char *line_of(void *context, pid_t pid)
{
	const char *line = ((const struct lines *)context)->of[pid / 100 - 1];

	return line ? strdup(line) : NULL;
}

#define HEADER                                                                             \
	"\t|- PID PPID PGRPID SESSID CMD_NAME USER_MODE_TIME(MILLIS) SYSTEM_TIME(MILLIS) " \
	"VMEM_USAGE(BYTES) RSSMEM_USAGE(PAGES) FULL_CMD_LINE\n"

/* testProcessTreeDump */
static void test_dumps(void **state)
{
	struct lines lines = {{"proc1 arg1 arg2", "proc2 arg3 arg4 ", NULL, "", "\n", "proc6"}};
	_cleanup_free_ char *dump = NULL;
	struct story story;

	begin(&story, 100);
	worked(lives(&story, 100, 1, 100), 1000, 200);
	worked(lives(&story, 200, 100, 100), 2000, 400);
	worked(lives(&story, 300, 200, 100), 3000, 600);
	worked(lives(&story, 400, 200, 100), 4000, 800);
	worked(lives(&story, 500, 400, 100), 4000, 800);
	worked(lives(&story, 600, 1, 1), 4000, 800);
	strcpy(story.all[1].comm, "a) b");
	pass(&story);
	dump = yarn_dump(&story.tree, line_of, &lines);
	assert_non_null(dump);
	assert_string_equal(dump, HEADER
			    "\t|- 100 1 100 100 (java) 1000 200 100000 100 proc1 arg1 arg2\n"
			    "\t|- 200 100 100 100 (a) b) 2000 400 200000 200 proc2 arg3 arg4 \n"
			    "\t|- 300 200 100 100 (java) 3000 600 300000 300 N/A\n"
			    "\t|- 400 200 100 100 (java) 4000 800 400000 400 N/A\n"
			    "\t|- 500 400 100 100 (java) 4000 800 500000 500 N/A\n");
	end(&story);
}

static void test_dumps_show_one_line_of_a_command(void **state)
{
	struct lines lines = {{"sh -c echo 1\necho 2"}};
	_cleanup_free_ char *dump = NULL, *empty = NULL;
	struct story story;

	begin(&story, 100);
	lives(&story, 100, 1, 100);
	empty = yarn_dump(&story.tree, line_of, &lines);
	assert_string_equal(empty, HEADER);
	pass(&story);
	dump = yarn_dump(&story.tree, line_of, &lines);
	assert_non_null(strstr(dump, " 100 sh -c echo 1\n"));
	assert_null(strstr(dump, "echo 2"));
	end(&story);
}

int main(void)
{
	const struct CMUnitTest yarn_decision[] = {
		cmocka_unit_test(test_over_twice_at_once_over_once_later),
		cmocka_unit_test(test_limits_are_strict),
		cmocka_unit_test(test_the_first_pass_never_decides),
		cmocka_unit_test(test_virtual_memory_is_tested_first),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_diagnoses),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_dumps_show_one_line_of_a_command),
	};

	return cmocka_run_group_tests(yarn_decision, NULL, NULL);
}
