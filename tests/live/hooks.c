// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hook that runs before the first signal; and how many trees may be ended within a minute.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "hog.h"

/* Grows past 48 MB; frees when the first gate opens, and opens the second. */
#define FREES "anon 16M anon 48M await $0 free make $1 await $2"
#define HOOK_WAITS "touch $0; while [ ! -e $1 ]; do sleep 0.02; done"

static void test_a_hook_that_frees_memory_saves(void **state)
{
	struct started hog = eat("hog", "-l 48M --hook '" HOOK_WAITS "'", FREES);

	(void)state;
	await_told(&hog, "hog: its hook freed enough");
	gate_push(2);
	finish(hog);
	assert_status(0);
	assert_told("hog: over its limit");
	assert_told("its hook, then SIGTERM");
	assert_told("SIGTERM is called off");
	await_hook_end();
}

/* It is nobody's member, blocks no signal, reads nothing, and knows what it is about. */
static void test_what_a_hook_finds(void **state)
{
	static const char script[] =
		"echo T=$MEMTREE_TREE L=$MEMTREE_LIMIT\n"
		"$M tree \"#$MEMTREE_ID\" >$0.out\n"
		"grep -qw $MEMTREE_ROOT_PID $0.out && ! grep -qw $$ $0.out && echo id=ok\n"
		"rm $0.out\n"
		"case \"$MEMTREE_REASON\" in 'charged '*' of '*) echo reason=ok;; esac\n"
		"[ $MEMTREE_CHARGED -gt $MEMTREE_LIMIT ] && echo charged=ok\n"
		"echo stdin=$(wc -c)\n"
		"grep -q 'SigBlk:.0000000000000000' /proc/self/status && echo signals=ok\n"
		"case \" $$ $PPID \" in *\" $(cut -d' ' -f6 /proc/$$/stat) \"*) echo session=ok;; esac\n"
		"exit 3\n";
	static const char *const lines[] = {
		"T=hog L=50331648", "id=ok",
		"reason=ok",	    "charged=ok",
		"signals=ok",	    "stdin=0",
		"session=ok",	    "hog: its hook has failed with status 3"};
	FILE *file = fopen(gates[0], "we");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fputs(script, file) < 0 || fclose(file), 0);
	finish(eat("hog", "-l 48M --hook 'sh $0'", "anon 64M await $2"));
	assert_stopped("hog");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_told(lines[i]);
	assert_string_equal(outcome.out, "");
	assert_told("its hook has not freed enough");
	assert_nobody_left();
}

static void test_a_hook_that_hangs_is_killed(void **state)
{
	(void)state;
	finish(eat("hog", "-l 48M --hook-timeout 300ms --hook 'trap : TERM; sleep 600 & sleep 600'",
		   "anon 64M await $2"));
	assert_stopped("hog");
	assert_told("hog: its hook has not ended within 0.30s: it was killed");
	await_hook_end();
	/* Beyond the hard limit nobody waits for it. */
	finish(eat("hog", "-l 48M --hook-timeout 1h --hook 'touch $0; sleep 3600'",
		   "anon 64M await $0 anon 64M await $2"));
	assert_status(128 + SIGKILL);
	assert_told("hog: ended: ");
	await_hook_end();
}

static void test_a_hook_that_kills_by_itself(void **state)
{
	(void)state;
	finish(eat("hog", "-l 48M --hook 'kill -9 $MEMTREE_ROOT_PID'", "anon 64M await $2"));
	assert_status(128 + SIGKILL);
	assert_told("hog: over its limit");
	assert_not_told("has not freed enough");
	assert_told("hog: ended: ");
	assert_nobody_left();
	/* The command ends while its hook runs: nothing of the hook stays. */
	finish(eat("hog", "-l 48M --hook 'sleep 600 & sleep 600'", "anon 64M sleep 500"));
	assert_status(0);
	assert_nobody_left();
}

static void test_a_report_runs_no_hook(void **state)
{
	struct started dry;

	(void)state;
	dry = eat("dry", "-l 48M --dry-run --hook 'touch $0'", "anon 64M await $1 exit 7");
	await_told(&dry, "dry run, it would get its hook, then SIGTERM");
	gate_push(1);
	finish(dry);
	assert_status(7);
	assert_int_not_equal(access(gates[0], F_OK), 0);
	await_hook_end();
}

/* --- how many ---------------------------------------------------------------------------- */

/* Four trees of one tracker, one after the other, each over its limit. */
static void test_too_many_kills_disarm(void **state)
{
	char steps[1024];
	struct started many;

	(void)state;
	snprintf(steps, sizeof(steps),
		 "run -n outer -l 900M --max-kills 2 -- sh -c 'for i in 1 2 3 4; do "
		 "$M run -n t$i -l 48M -- %s --eat anon 64M sleep 500; echo $?; done; "
		 "$M run -n last -l 16M --on-limit kill -- %s --eat anon 64M; echo $?; "
		 "$M ps --json >&2'",
		 eater_program, eater_program);
	many = start(NULL, steps);
	finish(many);
	assert_status(0);
	assert_string_equal(outcome.out, "143\n143\n0\n0\n0\n");
	assert_told("DISARMED: more than 2 trees would be ended within a minute");
	assert_null(strstr(strstr(outcome.err, "DISARMED") + 1, "DISARMED"));
	assert_told("t3: over its limit");
	assert_told("nothing is done (disarmed)");
	assert_told("t4: over its limit");
	assert_told("\"state\": \"disarmed\"");
	assert_nobody_left();
}

static void test_a_bound_that_is_none(void **state)
{
	static const char *const lines[] = {
		"run --max-kills -1 -- true",
		"run --max-kills many -- true",
		"run --max-kills 1001 -- true",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		assert_status(2);
		assert_one_line(outcome.err);
	}
}

/* Where it matters whose child a hook is, or how many were ended before. */
static int hooks_alone_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_what_a_hook_finds),
		limit_test(test_a_hook_that_kills_by_itself),
		limit_test(test_too_many_kills_disarm),
	};

	return cmocka_run_group_tests_name("hooks_alone", tests, hogs_open, hogs_close);
}

int hooks_tests(void)
{
	const struct CMUnitTest tests[] = {
		limit_test(test_a_hook_that_frees_memory_saves),
		limit_test(test_a_hook_that_hangs_is_killed),
		limit_test(test_a_report_runs_no_hook),
		limit_test(test_a_bound_that_is_none),
	};

	return cmocka_run_group_tests_name("hooks", tests, hogs_open_staged, hogs_close_staged) +
	       hooks_alone_tests();
}
