// SPDX-License-Identifier: GPL-2.0-only
/* The command line as a user meets it: statuses, one-line errors, JSON, signals. */
#include <jansson.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "shell.h"
#include "stage.h"

/* --- statuses -------------------------------------------------------------------------- */

static void test_run_returns_the_commands_status(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"run -- true", 0},
		{"run true", 0},
		{"run -- sh -c 'exit 7'", 7},
		{"run -- sh -c 'kill -TERM $$'", 128 + SIGTERM},
		{"run -- sh -c 'kill -KILL $$'", 128 + SIGKILL},
		{"run -- /nonexistent/command", 127},
		{"run -- /dev/null", 126},
		{"run -n a.name:of-this_kind -m anon+swap -w 250ms -- true", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(cases[i].line);
		if (outcome.status != cases[i].status)
			print_error("%s: %d %s\n", cases[i].line, outcome.status, outcome.err);
		assert_int_equal(outcome.status, cases[i].status);
		assert_string_equal(outcome.out, "");
		if (cases[i].status == 126 || cases[i].status == 127)
			assert_one_line(outcome.err);
		else
			assert_string_equal(outcome.err, "");
	}
	assert_false(tracker_left());
}

static void test_wrong_usage_is_one_line_and_2(void **state)
{
	static const char *const lines[] = {
		"",
		"frobnicate",
		"run",
		"run --bogus -- true",
		"run -n",
		"run -n 'a name' -- true",
		"run -n '' -- true",
		"run -m rubbish -- true",
		"run -w 3 -- true",
		"run -w 20s -- true",
		"run -w -3s -- true",
		"run --capacity 0 -- true",
		"run --capacity many -- true",
		"run --limit 1X -- true",
		"run -l 900T -- true",
		"run -g prod -- true",
		"run --json -- true",
		"run --dry-run -- true",
		"ps extra",
		"ps --by group",
		"tree one two",
		"tree --bogus",
		"daemon --bogus",
		"daemon extra",
		"daemon --json",
		"add",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		if (outcome.status != 2)
			print_error("'%s': %d %s\n", lines[i], outcome.status, outcome.err);
		assert_int_equal(outcome.status, 2);
		assert_one_line(outcome.err);
		assert_string_equal(outcome.out, "");
	}
	assert_false(tracker_left());
}

static void test_help_is_data(void **state)
{
	static const char *const lines[] = {"--help",	 "help",	"run --help",
					    "ps --help", "tree --help", "--version"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run(lines[i]);
		assert_int_equal(outcome.status, 0);
		assert_non_null(strstr(outcome.out, "memtree"));
		assert_string_equal(outcome.err, "");
	}
	run("run --bogus -- true");
	assert_non_null(strstr(outcome.err, "'--bogus'"));
}

static void test_an_unknown_name_is_3(void **state)
{
	(void)state;
	run("run -- sh -c '$M tree nobody; echo $?; $M tree \"#9.9\"; echo $?; $M tree \"#\"; "
	    "echo $?'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "3\n3\n3\n");
	assert_non_null(strstr(outcome.err, "nobody"));
}

/* --- reading ----------------------------------------------------------------------------- */

static void test_json_has_the_keys_and_adds_up(void **state)
{
	static const char *const tree_keys[] = {
		"name",	    "id",      "parent",     "root_pid",   "state",  "processes",
		"threads",  "zombies", "orphans",    "rss",	   "anon",   "file",
		"shmem",    "swap",    "inherited",  "charged",	   "peak",   "peak_at",
		"limit",    "metric",  "window_ns",  "started_at", "live",   "policy",
		"on_limit", "vmem",    "vmem_limit", "cpu_ns",	   "cgroup", NULL};
	static const char *const process_keys[] = {
		"pid",	  "ppid",      "start",	  "comm",      "args",	    "args_truncated",
		"state",  "threads",   "rss",	  "anon",      "file",	    "shmem",
		"swap",	  "inherited", "born_at", "execed_at", "shared_mm", "orphan",
		"zombie", "vmem",      "cpu_ns",  NULL};
	json_t *root, *tree, *process, *processes;
	json_int_t rss = 0, inherited = 0;
	size_t i, live = 0;

	(void)state;
	/* The reader and its shell are members; the others sleep. */
	run("run -n adds.up -- sh -c 'sleep 1000 & all=$!; sleep 1000 & all=\"$all $!\"; sleep 0.3; "
	    "$M tree --json adds.up; kill $all'");
	assert_int_equal(outcome.status, 0);
	root = document();
	tree = tree_named(root, "adds.up");
	assert_keys(tree, tree_keys);
	assert_true(integer(json_object_get(tree, "live"), "error_bound") > 0);
	assert_int_equal(integer(tree, "rss"),
			 integer(tree, "anon") + integer(tree, "file") + integer(tree, "shmem"));
	assert_int_equal(integer(tree, "charged"),
			 integer(tree, "rss") - integer(tree, "inherited"));
	processes = json_object_get(tree, "processes");
	json_array_foreach(processes, i, process)
	{
		assert_keys(process, process_keys);
		live += !json_is_true(json_object_get(process, "zombie"));
		rss += integer(process, "rss");
		inherited += integer(process, "inherited");
	}
	assert_int_equal(live, 4);
	assert_int_equal(rss, integer(tree, "rss"));
	assert_int_equal(inherited, integer(tree, "inherited"));
	json_decref(root);
}

static void test_an_output_that_is_full_is_an_error(void **state)
{
	(void)state;
	run("run -q -- sh -c 'for c in ps tree \"ps --json\" \"tree --json\"; do "
	    "$M $c >/dev/full; echo $?; done'");
	assert_string_equal(outcome.out, "1\n1\n1\n1\n");
	assert_non_null(strstr(outcome.err, "stdout cannot be written"));
}

static void test_closed_standard_files(void **state)
{
	(void)state;
	run("run -q -n same -- sh -c '$M run -n same -- touch /tmp/memtree-must-not <&- >&- 2>&-; "
	    "echo $?; test -e /tmp/memtree-must-not; echo $?'");
	assert_string_equal(outcome.out, "125\n1\n");
}

static void test_an_id_is_given_once(void **state)
{
	char first[64], second[64];

	(void)state;
	run("run -q -- sh -c 'for i in 1 2; do $M run -n again -- $M tree again; done'");
	assert_int_equal(sscanf(outcome.out, "again (%63[^)])", first), 1);
	assert_non_null(strstr(outcome.out + 5, "again ("));
	assert_int_equal(sscanf(strstr(outcome.out + 5, "again ("), "again (%63[^)])", second), 1);
	assert_string_not_equal(first, second);
}

static void test_trees_are_eight_deep_at_most(void **state)
{
	(void)state;
	/* Each line of the script starts memtree with itself, until it is refused. */
	run("run -q -- sh -c 'echo \"\\$M run -q -- sh /tmp/memtree-deep\" >/tmp/memtree-deep; "
	    "sh /tmp/memtree-deep; echo $?; rm /tmp/memtree-deep'");
	assert_string_equal(outcome.out, "125\n");
	assert_non_null(strstr(outcome.err, "8 deep"));
	await_trackers(0);
}

/* A shell that ends when it is killed, and leaves nobody behind for long. */
#define STAYS "sh -c \"while :; do sleep 0.1; done\""

static void test_hostile_names_harm_nobody(void **state)
{
	json_t *root, *processes, *process, *args;
	size_t i;
	bool found = false;

	(void)state;
	/* A name with a newline, an escape sequence and a byte that is no UTF-8. */
	run("run -n hostile -- sh -c 'cp /bin/sleep \"/tmp/a\n\033[2J\377\"; "
	    "\"/tmp/a\n\033[2J\377\" sleep 1000 & sleep 0.3; $M tree hostile; kill $!; "
	    "rm \"/tmp/a\n\033[2J\377\"'");
	if (strstr(outcome.err, "applet not found"))
		outcome.err[0] = '\0'; /* a busybox goes by its name; the name is what counts */
	assert_null(strchr(outcome.out, '\033'));
	assert_null(strchr(outcome.out, '\377'));
	run("run -n hostile -- sh -c '" STAYS " \"a\n\033[2J\377\" & sleep 0.3; "
	    "$M tree --json hostile; kill $!'");
	assert_int_equal(outcome.status, 0);
	root = document();
	processes = json_object_get(tree_named(root, "hostile"), "processes");
	json_array_foreach(processes, i, process)
	{
		args = json_object_get(process, "args");
		if (json_array_size(args) == 4 &&
		    !strcmp(json_string_value(json_array_get(args, 3)), "a\n\033[2J\xef\xbf\xbd"))
			found = true;
	}
	assert_true(found);
	json_decref(root);
	run("run -n hostile -- sh -c '" STAYS " \"a\n\033[2J\377\" & sleep 0.3; "
	    "$M tree hostile; kill $!'");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "a\\n\\033[2J\\377"));
	assert_null(strchr(outcome.out, '\033'));
}

static void test_long_arguments_are_cut_and_say_so(void **state)
{
	char line[1024], word[600];
	json_t *root, *process, *processes;
	size_t i;
	bool cut = false;

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(line, sizeof(line),
		 "run -n long -- sh -c '" STAYS " %s & sleep 0.3; "
		 "$M tree --json long; kill $!'",
		 word);
	run(line);
	assert_int_equal(outcome.status, 0);
	root = document();
	processes = json_object_get(tree_named(root, "long"), "processes");
	json_array_foreach(processes, i,
			   process) if (json_is_true(json_object_get(process, "args_truncated")))
		cut = true;
	assert_true(cut);
	json_decref(root);
}

/* --- several -------------------------------------------------------------------------------- */

static void test_a_name_is_taken_once_per_tracker(void **state)
{
	(void)state;
	run("run -n once -- sh -c '$M run -n once -- true; echo $?'");
	assert_string_equal(outcome.out, "125\n");
	assert_one_line(outcome.err);
	await_trackers(0);
}

/* --- ends and signals ----------------------------------------------------------------------- */

static void test_run_waits_for_the_whole_tree(void **state)
{
	(void)state;
	run("run -n waits -- sh -c '(setsid sleep 2 &) ; exit 3'");
	assert_int_equal(outcome.status, 3);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "1 of its processes remain"));
	run("run -q -n waits -- sh -c '(setsid sleep 2 &) ; exit 3'");
	assert_int_equal(outcome.status, 3);
	assert_string_equal(outcome.err, "");
	assert_false(tracker_left());
}

static void test_a_signal_is_passed_on(void **state)
{
	struct started started = start(NULL, "run -- sh -c 'trap \"echo got it; exit 5\" USR1; "
					     "echo ready; while :; do sleep 0.05; done'");

	(void)state;
	text_await(started.out, "ready");
	kill(started.pid, SIGUSR1);
	finish(started);
	assert_int_equal(outcome.status, 5);
	assert_string_equal(outcome.out, "ready\ngot it\n");
}

/* What a terminal shows until `wanted` appears. */
static void terminal_expect(int terminal, const char *wanted, char *text, size_t room)
{
	size_t used = strlen(text);

	while (!strstr(text, wanted)) {
		struct pollfd wait = {.fd = terminal, .events = POLLIN};
		ssize_t got;

		if (poll(&wait, 1, DEADLINE_S * 1000) <= 0)
			break;
		got = read(terminal, text + used, room - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
		text[used] = '\0';
	}
	assert_non_null(strstr(text, wanted));
}

static void test_an_interrupt_from_the_terminal_comes_once(void **state)
{
	char text[4096] = "";
	int terminal, status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = forkpty(&terminal, NULL, NULL, NULL);
	assert_true(pid >= 0);
	if (!pid) {
		execl(memtree(), "memtree", "run", "--", "sh", "-c",
		      "trap 'n=$((n+1)); echo int $n' INT; echo ready; "
		      "while [ \"$n\" = \"\" ]; do sleep 0.05; done; sleep 0.3; echo last $n; "
		      "kill -INT $$; exit 9",
		      NULL);
		_exit(254);
	}
	terminal_expect(terminal, "ready", text, sizeof(text));
	assert_int_equal(write(terminal, "\003", 1), 1);
	terminal_expect(terminal, "last 1", text, sizeof(text));
	while (read(terminal, text, sizeof(text)) > 0)
		;
	close(terminal);
	status = await_end(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_the_summary_counts_the_first_fork(void **state)
{
	(void)state;
	/* sh forks at once, nothing happens before: 1 + 3 processes, and nothing is left. */
	run("run -v -n first -- sh -c '(true) & (true) & (true) & wait'");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "processes 4, bytes left 0"));
}

static void test_run_as_another_user(void **state)
{
	(void)state;
	run("run --user 65534 -- sh -c 'id -u; id -g'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "65534\n65534\n");
	run("run --user no-such-user -- true");
	assert_int_equal(outcome.status, 125);
	assert_one_line(outcome.err);
}

int command_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_returns_the_commands_status),
		cmocka_unit_test(test_wrong_usage_is_one_line_and_2),
		cmocka_unit_test(test_help_is_data),
		cmocka_unit_test(test_an_unknown_name_is_3),
		cmocka_unit_test(test_json_has_the_keys_and_adds_up),
		cmocka_unit_test(test_an_output_that_is_full_is_an_error),
		cmocka_unit_test(test_closed_standard_files),
		cmocka_unit_test(test_an_id_is_given_once),
		cmocka_unit_test(test_trees_are_eight_deep_at_most),
		cmocka_unit_test(test_hostile_names_harm_nobody),
		cmocka_unit_test(test_long_arguments_are_cut_and_say_so),
		cmocka_unit_test(test_a_name_is_taken_once_per_tracker),
		cmocka_unit_test(test_run_waits_for_the_whole_tree),
		cmocka_unit_test(test_a_signal_is_passed_on),
		cmocka_unit_test(test_an_interrupt_from_the_terminal_comes_once),
		cmocka_unit_test(test_the_summary_counts_the_first_fork),
		cmocka_unit_test(test_run_as_another_user),
	};

	return cmocka_run_group_tests_name("commands", tests, stage_open, stage_close);
}
