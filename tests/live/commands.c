// SPDX-License-Identifier: GPL-2.0-only
/* The command line as a user meets it: statuses, one-line errors, JSON, other trackers. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "fixture.h"
#include "groups.h"

#define TEXT_MAX 262144
#define POLL_US 5000
#define POLLS (DEADLINE_S * 1000000LL / POLL_US)

struct outcome {
	int status; /* exit status, or 1000 + signal */
	char out[TEXT_MAX], err[TEXT_MAX];
};

static struct outcome outcome;

/* Runs in the child before the exec. */
typedef void (*prepare_fn)(void);

struct started {
	pid_t pid;
	FILE *out, *err;
};

static const char *memtree(void)
{
	const char *path = getenv("MEMTREE");

	return path ? path : ".output/memtree";
}

/* Every memtree that this program has started; others may run beside it. */
static pid_t started_pids[1024];
static size_t started_count;

/* Starts memtree with the words of `line`, split at blanks; $M in it is memtree. */
static struct started start(prepare_fn prepare, const char *line)
{
	struct started started = {.out = tmpfile(), .err = tmpfile()};
	char words[1024], *argv[64] = {(char *)(intptr_t)memtree()}, *rest = words, *word;
	int argc = 1;

	assert_non_null(started.out);
	assert_non_null(started.err);
	snprintf(words, sizeof(words), "%s", line);
	/* A word in quotes keeps its blanks. */
	while (argc < 63 && rest && *rest) {
		bool quoted = *rest == '\'';

		rest += quoted;
		word = strsep(&rest, quoted ? "'" : " ");
		if (*word || quoted)
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	fflush(NULL);
	started.pid = fork();
	assert_true(started.pid >= 0);
	if (started.pid && started_count < sizeof(started_pids) / sizeof(started_pids[0]))
		started_pids[started_count++] = started.pid;
	if (!started.pid) {
		dup2(fileno(started.out), 1);
		dup2(fileno(started.err), 2);
		close_range(3, ~0U, 0);
		setenv("M", memtree(), 1);
		if (prepare)
			prepare();
		execv(argv[0], argv);
		_exit(254);
	}
	return started;
}

static void read_back(FILE *file, char *text)
{
	size_t length;

	rewind(file);
	length = fread(text, 1, TEXT_MAX - 1, file);
	text[length] = '\0';
	fclose(file);
}

static void finish(struct started started)
{
	int status = 0;
	pid_t ended = 0;

	for (long long i = 0; !ended && i < POLLS; i++) {
		ended = waitpid(started.pid, &status, WNOHANG);
		if (!ended)
			usleep(POLL_US);
	}
	if (!ended)
		kill(started.pid, SIGKILL);
	assert_int_equal(ended, started.pid);
	read_back(started.out, outcome.out);
	read_back(started.err, outcome.err);
	outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void run_prepared(prepare_fn prepare, const char *line)
{
	finish(start(prepare, line));
}

static void run(const char *line)
{
	run_prepared(NULL, line);
}

static void assert_one_line(const char *text)
{
	const char *end = strchr(text, '\n');

	if (!end || end[1])
		print_error("not one line: %s\n", text);
	assert_non_null(end);
	assert_int_equal(end[1], '\0');
}

static bool is_ours(const struct tracker *tracker)
{
	for (size_t i = 0; i < started_count; i++)
		if (started_pids[i] == (pid_t)tracker->header.loader_tgid)
			return true;
	return false;
}

/* The trackers of this machine that are ours, or those that are not. */
static int trackers_count(bool ours)
{
	struct tracker **trackers;
	int count, foreign, found = 0;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++)
		found += is_ours(trackers[i]) == ours;
	trackers_close(trackers, count);
	return found;
}

static bool tracker_left(void)
{
	return trackers_count(true) > 0;
}

static void await_trackers(int wanted)
{
	for (long long i = 0; trackers_count(true) != wanted && i < POLLS; i++)
		usleep(POLL_US);
	assert_int_equal(trackers_count(true), wanted);
}

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

static void ignore_children(void)
{
	signal(SIGCHLD, SIG_IGN);
}

static void test_a_parent_that_ignores_its_children(void **state)
{
	(void)state;
	run_prepared(ignore_children, "run -- sh -c 'exit 7'");
	assert_int_equal(outcome.status, 7);
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
		"run --limit 1G -- true",
		"run -l 1G -- true",
		"run --kill-rest -- true",
		"run --json -- true",
		"run --dry-run -- true",
		"ps extra",
		"ps --by group",
		"tree one two",
		"tree --bogus",
		"daemon",
		"add 1",
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

static void become_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		_exit(253);
}

static void test_without_permission_one_line_and_4(void **state)
{
	static const char *const lines[] = {"run -- true", "ps", "tree"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		run_prepared(become_nobody, lines[i]);
		assert_int_equal(outcome.status, 4);
		assert_one_line(outcome.err);
	}
}

static void hide_btf(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL))
		_exit(253);
}

static void test_without_btf_one_line_and_4(void **state)
{
	(void)state;
	run_prepared(hide_btf, "run -- true");
	assert_int_equal(outcome.status, 4);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "BTF"));
	assert_false(tracker_left());
}

static void test_without_a_tracker_3(void **state)
{
	(void)state;
	if (trackers_count(false))
		skip_because("somebody else's tracker runs on this machine");
	run("ps");
	assert_int_equal(outcome.status, 3);
	assert_one_line(outcome.err);
	run("tree nobody");
	assert_int_equal(outcome.status, 3);
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

static json_t *document(void)
{
	json_error_t error;
	json_t *root = json_loads(outcome.out, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		print_error("%s: %s\n", error.text, outcome.out);
	assert_non_null(root);
	return root;
}

static json_t *tree_named(const json_t *root, const char *name)
{
	json_t *tree, *list = json_object_get(root, "trees");
	size_t i;

	json_array_foreach(list, i,
			   tree) if (!strcmp(json_string_value(json_object_get(tree, "name")),
					     name)) return tree;
	fail_msg("no tree %s", name);
	return NULL;
}

static json_int_t integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		print_error("%s is no integer\n", key);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void assert_keys(const json_t *object, const char *const *keys)
{
	for (; *keys; keys++) {
		if (!json_object_get(object, *keys))
			print_error("no key %s\n", *keys);
		assert_non_null(json_object_get(object, *keys));
	}
}

static void test_json_has_the_keys_and_adds_up(void **state)
{
	static const char *const tree_keys[] = {"name",	     "id",	   "parent",	"root_pid",
						"state",     "processes",  "threads",	"zombies",
						"orphans",   "rss",	   "anon",	"file",
						"shmem",     "swap",	   "inherited", "charged",
						"peak",	     "peak_at",	   "limit",	"metric",
						"window_ns", "started_at", "live",	NULL};
	static const char *const process_keys[] = {
		"pid",	  "ppid",      "start",	  "comm",      "args",	    "args_truncated",
		"state",  "threads",   "rss",	  "anon",      "file",	    "shmem",
		"swap",	  "inherited", "born_at", "execed_at", "shared_mm", "orphan",
		"zombie", NULL};
	json_t *root, *tree, *process, *processes;
	json_int_t rss = 0, inherited = 0;
	size_t i, live = 0;

	(void)state;
	/* The reader itself is a member; the others sleep. */
	run("run -n adds.up -- sh -c 'sleep 1 & sleep 1 & sleep 0.3; exec $M tree --json adds.up'");
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
	assert_int_equal(live, 3);
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

static void test_hostile_names_harm_nobody(void **state)
{
	json_t *root, *processes, *process, *args;
	size_t i;
	bool found = false;

	(void)state;
	/* A name with a newline, an escape sequence and a byte that is no UTF-8. */
	run("run -n hostile -- sh -c 'cp /bin/sleep \"/tmp/a\n\033[2J\377\"; "
	    "\"/tmp/a\n\033[2J\377\" sleep 1 & sleep 0.3; $M tree hostile; "
	    "rm \"/tmp/a\n\033[2J\377\"'");
	if (strstr(outcome.err, "applet not found"))
		outcome.err[0] = '\0'; /* a busybox goes by its name; the name is what counts */
	assert_null(strchr(outcome.out, '\033'));
	assert_null(strchr(outcome.out, '\377'));
	run("run -n hostile -- sh -c 'sh -c \"sleep 1; true\" \"a\n\033[2J\377\" & sleep 0.3; "
	    "$M tree --json hostile'");
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
	run("run -n hostile -- sh -c 'sh -c \"sleep 1; true\" \"a\n\033[2J\377\" & sleep 0.3; "
	    "$M tree hostile'");
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
		 "run -n long -- sh -c 'sh -c \"sleep 1; true\" %s & sleep 0.3; "
		 "$M tree --json long'",
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

static void test_two_trackers_side_by_side(void **state)
{
	struct started one, other;
	json_t *root, *tree;
	size_t i;
	int twins = 0;

	(void)state;
	one = start(NULL, "run -n twin -- sleep 3");
	other = start(NULL, "run -n twin -- sleep 3");
	await_trackers(2);
	usleep(300000);
	run("ps --json");
	assert_int_equal(outcome.status, 0);
	root = document();
	json_array_foreach(json_object_get(root, "trees"), i, tree)
		twins += !strcmp(json_string_value(json_object_get(tree, "name")), "twin");
	assert_int_equal(twins, 2);
	json_decref(root);
	/* A name that two trackers use asks for the id. */
	run("tree twin");
	assert_int_equal(outcome.status, 2);
	assert_one_line(outcome.err);
	assert_non_null(strchr(outcome.err, '#'));
	finish(one);
	assert_int_equal(outcome.status, 0);
	finish(other);
	assert_int_equal(outcome.status, 0);
	await_trackers(0);
}

static void test_run_inside_run_is_a_tree_inside_a_tree(void **state)
{
	json_t *root, *outer, *inner;

	(void)state;
	run("run -n outer -- sh -c '$M run -n inner -- sh -c \"sleep 1 & exec $M ps --json\"; "
	    "exit $?'");
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(trackers_count(true), 0); /* and one while it ran: */
	outer = tree_named(root, "outer");
	inner = tree_named(root, "inner");
	assert_string_equal(json_string_value(json_object_get(inner, "parent")), "outer");
	assert_int_equal(strcspn(json_string_value(json_object_get(inner, "id")), "."),
			 strcspn(json_string_value(json_object_get(outer, "id")), "."));
	assert_true(json_is_null(json_object_get(outer, "parent")));
	/* The sleep and the reader; the outer one also has the inner memtree and the shell. */
	assert_int_equal(integer(inner, "processes"), 2);
	assert_int_equal(integer(outer, "processes"), 4);
	assert_true(integer(outer, "rss") > integer(inner, "rss"));
	json_decref(root);
	await_trackers(0);
}

static void test_a_name_is_taken_once_per_tracker(void **state)
{
	(void)state;
	run("run -n once -- sh -c '$M run -n once -- true; echo $?'");
	assert_string_equal(outcome.out, "125\n");
	assert_one_line(outcome.err);
	await_trackers(0);
}

static void test_an_inner_run_survives_the_outer_memtree(void **state)
{
	struct started outer = start(NULL, "run -n outer -- sh -c '$M run -n inner -- sleep 2'");
	json_t *root;
	bool both = false;

	(void)state;
	await_trackers(1);
	for (long long i = 0; !both && i < POLLS / 10; i++) {
		run("ps");
		both = strstr(outcome.out, "inner") != NULL;
	}
	assert_true(both);
	kill(outer.pid, SIGKILL);
	finish(outer);
	assert_int_equal(outcome.status, 1000 + SIGKILL);
	run("ps --json");
	assert_int_equal(outcome.status, 0);
	root = document();
	assert_int_equal(integer(tree_named(root, "inner"), "processes"), 1);
	json_decref(root);
	await_trackers(0);
}

/* --- ends and signals ----------------------------------------------------------------------- */

static void test_run_waits_for_the_whole_tree(void **state)
{
	(void)state;
	run("run -n waits -- sh -c '(setsid sleep 1 &) ; exit 3'");
	assert_int_equal(outcome.status, 3);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "1 of its processes remain"));
	run("run -q -n waits -- sh -c '(setsid sleep 1 &) ; exit 3'");
	assert_int_equal(outcome.status, 3);
	assert_string_equal(outcome.err, "");
	assert_false(tracker_left());
}

static void test_a_signal_is_passed_on(void **state)
{
	struct started started = start(NULL, "run -- sh -c 'trap \"echo got it; exit 5\" USR1; "
					     "echo ready; while :; do sleep 0.05; done'");
	char ready[16] = "";

	(void)state;
	for (long long i = 0; !strstr(ready, "ready") && i < POLLS; i++) {
		if (pread(fileno(started.out), ready, sizeof(ready) - 1, 0) < 0)
			break;
		usleep(POLL_US);
	}
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
		ssize_t got = read(terminal, text + used, room - 1 - used);

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
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_the_command_gets_no_fd_of_memtree(void **state)
{
	(void)state;
	/* 3 is the directory that ls reads. */
	run("run -- sh -c 'ls /proc/self/fd'");
	assert_int_equal(outcome.status, 0);
	assert_string_equal(outcome.out, "0\n1\n2\n3\n");
}

static void test_nothing_is_left_after_sigkill(void **state)
{
	struct started started = start(NULL, "run -n killed -- sleep 1");

	(void)state;
	await_trackers(1);
	kill(started.pid, SIGKILL);
	finish(started);
	assert_int_equal(outcome.status, 1000 + SIGKILL);
	await_trackers(0);
}

/* How many programs named `name` are loaded. */
static int programs_loaded(const char *name)
{
	int loaded = 0;
	__u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && !strcmp(info.name, name))
			loaded++;
		close(fd);
	}
	return loaded;
}

static void test_no_program_stays_loaded(void **state)
{
	(void)state;
	run("run -- true");
	assert_int_equal(outcome.status, 0);
	for (long long i = 0; programs_loaded("memory_moved") > trackers_count(false) && i < POLLS;
	     i++)
		usleep(POLL_US);
	assert_int_equal(programs_loaded("memory_moved"), trackers_count(false));
}

static void test_a_full_map_is_counted_and_shown(void **state)
{
	json_t *root, *tracker;
	json_int_t losses = 0;
	size_t i;

	(void)state;
	run("run -n tiny --capacity 4 -- sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; "
	    "sleep 0.3; $M ps --json; wait'");
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.err, "processes_full"));
	root = document();
	json_array_foreach(json_object_get(root, "trackers"), i, tracker)
		losses += integer(json_object_get(tracker, "losses"), "processes_full");
	assert_true(losses > 0);
	assert_true(integer(tree_named(root, "tiny"), "processes") <= 4);
	json_decref(root);
	assert_false(tracker_left());
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
		cmocka_unit_test(test_a_parent_that_ignores_its_children),
		cmocka_unit_test(test_wrong_usage_is_one_line_and_2),
		cmocka_unit_test(test_help_is_data),
		cmocka_unit_test(test_without_permission_one_line_and_4),
		cmocka_unit_test(test_without_btf_one_line_and_4),
		cmocka_unit_test(test_without_a_tracker_3),
		cmocka_unit_test(test_an_unknown_name_is_3),
		cmocka_unit_test(test_json_has_the_keys_and_adds_up),
		cmocka_unit_test(test_an_output_that_is_full_is_an_error),
		cmocka_unit_test(test_closed_standard_files),
		cmocka_unit_test(test_an_id_is_given_once),
		cmocka_unit_test(test_trees_are_eight_deep_at_most),
		cmocka_unit_test(test_hostile_names_harm_nobody),
		cmocka_unit_test(test_long_arguments_are_cut_and_say_so),
		cmocka_unit_test(test_two_trackers_side_by_side),
		cmocka_unit_test(test_run_inside_run_is_a_tree_inside_a_tree),
		cmocka_unit_test(test_a_name_is_taken_once_per_tracker),
		cmocka_unit_test(test_an_inner_run_survives_the_outer_memtree),
		cmocka_unit_test(test_run_waits_for_the_whole_tree),
		cmocka_unit_test(test_a_signal_is_passed_on),
		cmocka_unit_test(test_an_interrupt_from_the_terminal_comes_once),
		cmocka_unit_test(test_the_command_gets_no_fd_of_memtree),
		cmocka_unit_test(test_nothing_is_left_after_sigkill),
		cmocka_unit_test(test_no_program_stays_loaded),
		cmocka_unit_test(test_a_full_map_is_counted_and_shown),
		cmocka_unit_test(test_the_summary_counts_the_first_fork),
		cmocka_unit_test(test_run_as_another_user),
	};

	return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
