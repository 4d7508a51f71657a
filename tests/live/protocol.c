// SPDX-License-Identifier: GPL-2.0-only
/* What others may ask a daemon over its socket, and what that does to trees. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dial.h"
#include "groups.h"
#include "host.h"
#include "shell.h"

static struct host host;

static int open_host(void **state)
{
	(void)state;
	host = host_start(0);
	return 0;
}

static int close_host(void **state)
{
	(void)state;
	host_stop(&host);
	return 0;
}

/* As the socket shows it; the caller drops it. NULL: there is none. */
static json_t *tree_asked(const char *name)
{
	json_t *answer = host_ask(&host, "{\"op\":\"tree\",\"tree\":\"%s\"}", name), *tree = NULL;

	if (json_object_get(answer, "error"))
		assert_int_equal(integer(answer, "status"), 3);
	else
		tree = json_incref(tree_named(answer, name));
	json_decref(answer);
	return tree;
}

static size_t trees_count(void)
{
	json_t *answer = host_ask(&host, "{\"op\":\"ps\"}");
	size_t count = json_array_size(json_object_get(answer, "trees"));

	assert_non_null(json_object_get(answer, "trees"));
	json_decref(answer);
	return count;
}

static const char *start_of(const json_t *tree, size_t process)
{
	const json_t *processes = json_object_get(tree, "processes");

	return json_string_value(json_object_get(json_array_get(processes, process), "start"));
}

static void test_ping_tells_who_answers(void **state)
{
	static const char *const keys[] = {
		"ok",	    "version",	 "layout",	    "tracker",
		"pid",	    "uptime_ns", "clients",	    "followers",
		"requests", "refused",	 "readers_dropped", "idle_dropped",
		NULL};
	json_t *answer = host_ask(&host, "{\"op\":\"ping\"}"), *again;

	(void)state;
	assert_keys(answer, keys);
	assert_int_equal(integer(answer, "pid"), host.pid);
	assert_int_equal(integer(answer, "layout"), MT_LAYOUT);
	again = host_ask(&host, "{\"op\":\"ping\"}");
	assert_int_equal(integer(again, "requests"), integer(answer, "requests") + 1);
	assert_true(integer(again, "uptime_ns") > integer(answer, "uptime_ns"));
	assert_int_equal(integer(again, "tracker"), integer(answer, "tracker"));
	json_decref(answer);
	json_decref(again);
}

/* The keys of one object, in their order, must be those of the other. */
static void assert_same_keys(const json_t *one, const json_t *other)
{
	json_t *walked = (json_t *)one;
	const char *key;
	json_t *value;

	assert_int_equal(json_object_size(one), json_object_size(other));
	json_object_foreach(walked, key, value) assert_non_null(json_object_get(other, key));
}

/* To the last byte, but for its times of day, which are reckoned anew at each reading. */
static void assert_same_process(const json_t *one, const json_t *other)
{
	json_t *first = json_array_get(json_object_get(one, "processes"), 0);
	json_t *second = json_array_get(json_object_get(other, "processes"), 0);

	assert_non_null(first);
	json_object_del(first, "born_at");
	json_object_del(second, "born_at");
	assert_true(json_equal(first, second));
}

static void test_documents_are_those_of_the_commands(void **state)
{
	pid_t pid = sleeper_start(0);
	json_t *asked, *shown;

	(void)state;
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"same\"}", (int)pid);
	await_sleep(pid);
	asked = host_ask(&host, "{\"op\":\"ps\"}");
	run("ps --json");
	shown = document();
	assert_same_keys(asked, shown);
	assert_same_keys(tree_named(asked, "same"), tree_named(shown, "same"));
	assert_int_equal(integer(tree_named(asked, "same"), "charged"),
			 integer(tree_named(shown, "same"), "charged"));
	json_decref(asked);
	json_decref(shown);
	asked = tree_asked("same");
	run("tree same --json");
	shown = document();
	assert_same_keys(asked, tree_named(shown, "same"));
	assert_same_process(asked, tree_named(shown, "same"));
	json_decref(asked);
	json_decref(shown);
	host_does(&host, "{\"op\":\"kill\",\"tree\":\"same\"}");
	waitpid(pid, NULL, 0);
}

static void test_a_job_from_its_start_to_its_end(void **state)
{
	pid_t pid = sleeper_start(0);
	json_t *answer, *tree;
	int status;

	(void)state;
	answer = host_ask(
		&host,
		"{\"op\":\"add\",\"pid\":%d,\"name\":\"job\",\"options\":{\"limit\":\"64M\","
		"\"on-limit\":\"warn\",\"window\":\"1s\",\"metric\":\"anon\"}}",
		(int)pid);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_string_equal(json_string_value(json_object_get(answer, "name")), "job");
	assert_int_equal(integer(answer, "processes"), 1);
	tree = tree_asked("job");
	assert_non_null(tree);
	assert_int_equal(integer(tree, "root_pid"), pid);
	assert_int_equal(integer(tree, "limit"), 64 << 20);
	assert_int_equal(integer(tree, "window_ns"), 1000000000);
	assert_string_equal(json_string_value(json_object_get(tree, "metric")), "anon");
	assert_string_equal(json_string_value(json_object_get(tree, "on_limit")), "warn");
	assert_string_equal(json_string_value(json_object_get(tree, "id")),
			    json_string_value(json_object_get(answer, "id")));
	json_decref(tree);
	host_does(&host, "{\"op\":\"set\",\"tree\":\"job\",\"options\":{\"limit\":\"96M\","
			 "\"name\":\"later\"}}");
	tree = tree_asked("later");
	assert_int_equal(integer(tree, "limit"), 96 << 20);
	json_decref(tree);
	json_decref(answer);
	answer = host_ask(&host, "{\"op\":\"kill\",\"tree\":\"later\"}");
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_int_equal(integer(answer, "processes"), 1);
	assert_int_equal(integer(answer, "left"), 0);
	assert_int_equal(integer(answer, "signal"), SIGKILL);
	json_decref(answer);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_null(tree_asked("later"));
}

static void test_rm_leaves_the_processes_alone(void **state)
{
	pid_t pid = sleeper_start(0);
	json_t *tree;

	(void)state;
	for (int i = 0; i < 3; i++) {
		host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"kept\"}", (int)pid);
		host_does(&host, "{\"op\":\"rm\",\"tree\":\"kept\"}");
		assert_int_equal(trees_count(), 0);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	}
	/* By its id, and told to be the same process. */
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"kept\"}", (int)pid);
	tree = tree_asked("kept");
	host_does(&host, "{\"op\":\"rm\",\"tree\":\"#%s\"}",
		  json_string_value(json_object_get(tree, "id")));
	host_refuses(&host, 1, "is another one", "{\"op\":\"add\",\"pid\":%d,\"start\":\"1%s\"}",
		     (int)pid, start_of(tree, 0));
	assert_int_equal(trees_count(), 0);
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"start\":\"%s\",\"name\":\"kept\"}", (int)pid,
		  start_of(tree, 0));
	json_decref(tree);
	sleeper_end(pid);
	/* A tree that has ended makes room by itself. */
	for (time_t end = 0; trees_count() && poll_on(&end);)
		;
	assert_int_equal(trees_count(), 0);
}

static void test_a_signal_is_sent_once(void **state)
{
	pid_t pid = sleeper_start(0);
	json_t *answer;
	int status;

	(void)state;
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"told\"}", (int)pid);
	answer = host_ask(&host, "{\"op\":\"kill\",\"tree\":\"told\",\"signal\":\"CONT\"}");
	assert_int_equal(integer(answer, "processes"), 1);
	assert_int_equal(integer(answer, "signal"), SIGCONT);
	json_decref(answer);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	host_does(&host, "{\"op\":\"kill\",\"tree\":\"told\",\"signal\":\"SIGTERM\"}");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void assert_adds_refused(pid_t pid)
{
	static const struct {
		const char *text, *options;
	} wrong[] = {
		{"is no size", "\"limit\":\"4X\""},
		{"is no size", "\"limit\":\"\""},
		{"more than this machine", "\"limit\":\"7000T\""},
		{"is no action", "\"limit\":\"1G\",\"on-limit\":\"stop\""},
		{"without a limit", "\"grace\":\"1s\""},
		{"is no name", "\"name\":\"a b\""},
		{"is no name", "\"name\":\"\""},
		{"is no metric", "\"metric\":\"pss\""},
		{"too long", "\"window\":\"1h\""},
		{"true or false", "\"limit\":\"1G\",\"dry-run\":\"1\""},
		{"not built yet", "\"group\":\"root\""},
		{"of its own", "\"capacity\":\"16\""},
		{"of its own", "\"max-kills\":\"16\""},
		{"is no option of a tree", "\"nonsense\":\"1\""},
		{"is no option of a tree", "\"json\":\"true\""},
		{"counts rss", "\"limit\":\"1G\",\"policy\":\"yarn\",\"metric\":\"anon\""},
		{"as on the command line", "\"limit\":1073741824"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		host_refuses(&host, 2, wrong[i].text,
			     "{\"op\":\"add\",\"pid\":%d,\"options\":{%s}}", (int)pid,
			     wrong[i].options);
}

struct thread {
	pid_t tid;
	int gate;
};

static void *thread_main(void *context)
{
	struct thread *self = context;
	char byte;

	__atomic_store_n(&self->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	(void)!read(self->gate, &byte, 1);
	return NULL;
}

static void assert_thread_refused(void)
{
	struct thread thread = {};
	pthread_t handle;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	thread.gate = ends[0];
	assert_int_equal(pthread_create(&handle, NULL, thread_main, &thread), 0);
	while (!__atomic_load_n(&thread.tid, __ATOMIC_SEQ_CST))
		sched_yield();
	host_refuses(&host, 1, "is a thread", "{\"op\":\"add\",\"pid\":%d}", (int)thread.tid);
	close(ends[1]);
	pthread_join(handle, NULL);
	close(ends[0]);
}

static void assert_roots_refused(pid_t ended)
{
	host_refuses(&host, 1, "ancestor of the whole machine", "{\"op\":\"add\",\"pid\":1}");
	host_refuses(&host, 1, "this memtree itself", "{\"op\":\"add\",\"pid\":%d}", (int)host.pid);
	host_refuses(&host, 1, "has started this memtree", "{\"op\":\"add\",\"pid\":%d}",
		     (int)getpid());
	host_refuses(&host, 1, "there is no process", "{\"op\":\"add\",\"pid\":%d}", (int)ended);
	host_refuses(&host, 1, "thread of the kernel", "{\"op\":\"add\",\"pid\":2}");
	assert_thread_refused();
}

static void test_what_cannot_be_changes_nothing(void **state)
{
	pid_t pid = sleeper_start(0), other = sleeper_start(0), ended = sleeper_start(0);
	json_t *before, *after;

	(void)state;
	sleeper_end(ended);
	assert_adds_refused(pid);
	assert_roots_refused(ended);
	assert_int_equal(trees_count(), 0);
	host_does(&host,
		  "{\"op\":\"add\",\"pid\":%d,\"name\":\"a\",\"options\":{\"limit\":\"64M\"}}",
		  (int)pid);
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"b\"}", (int)other);
	host_refuses(&host, 1, "is a member of tree", "{\"op\":\"add\",\"pid\":%d}", (int)pid);
	before = tree_asked("a");
	host_refuses(
		&host, 1, "exists already",
		"{\"op\":\"set\",\"tree\":\"a\",\"options\":{\"name\":\"b\",\"limit\":\"1G\"}}");
	host_refuses(&host, 2, "is for --on-limit term",
		     "{\"op\":\"set\",\"tree\":\"a\",\"options\":{\"name\":\"c\",\"window\":\"1s\","
		     "\"on-limit\":\"warn\",\"grace\":\"1s\"}}");
	host_refuses(
		&host, 2, "nothing that a live tree can change",
		"{\"op\":\"set\",\"tree\":\"a\",\"options\":{\"limit\":\"1G\",\"metric\":\"rss\"}}");
	host_refuses(&host, 2, "what is to change",
		     "{\"op\":\"set\",\"tree\":\"a\",\"options\":{}}");
	host_refuses(&host, 3, "no tree named",
		     "{\"op\":\"set\",\"tree\":\"z\",\"options\":{"
		     "\"limit\":\"1G\"}}");
	host_refuses(&host, 3, "no tree named", "{\"op\":\"rm\",\"tree\":\"z\"}");
	host_refuses(&host, 3, "no tree named", "{\"op\":\"kill\",\"tree\":\"#1.999\"}");
	host_refuses(&host, 3, "no tree named", "{\"op\":\"tree\",\"tree\":\"z\"}");
	host_refuses(&host, 2, "is no signal",
		     "{\"op\":\"kill\",\"tree\":\"a\",\"signal\":\"NONE\"}");
	after = tree_asked("a");
	/* All but what time alone changes. */
	assert_true(json_equal(json_object_get(before, "limit"), json_object_get(after, "limit")));
	assert_true(json_equal(json_object_get(before, "window_ns"),
			       json_object_get(after, "window_ns")));
	json_decref(before);
	json_decref(after);
	sleeper_end(pid);
	sleeper_end(other);
}

/* Two are asked for at once: one gets it. */
static void test_a_process_is_added_once(void **state)
{
	pid_t pid = sleeper_start(0);
	char line[256];
	int fds[8], done = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		fds[i] = host_connect(&host);
		assert_true(fds[i] >= 0);
	}
	for (int i = 0; i < 8; i++) {
		snprintf(line, sizeof(line), "{\"op\":\"add\",\"pid\":%d,\"name\":\"n%d\"}\n",
			 (int)pid, i);
		host_send(fds[i], line);
	}
	for (int i = 0; i < 8; i++) {
		json_t *answer = host_hear(fds[i]);

		assert_non_null(answer);
		done += json_is_true(json_object_get(answer, "ok"));
		json_decref(answer);
		close(fds[i]);
	}
	assert_int_equal(done, 1);
	assert_int_equal(trees_count(), 1);
	sleeper_end(pid);
}

/* What is decided reaches who follows, and who asks why. */
static void test_occurrences_are_told(void **state)
{
	pid_t pid = sleeper_start(0);
	json_t *line;
	int fd = host_connect(&host);

	(void)state;
	host_send(fd, "{\"op\":\"events\",\"follow\":true}\n");
	line = host_hear(fd);
	assert_string_equal(json_string_value(json_object_get(line, "type")), "journal");
	json_decref(line);
	await_sleep(pid);
	host_does(&host,
		  "{\"op\":\"add\",\"pid\":%d,\"name\":\"big\",\"options\":{\"limit\":\"4K\","
		  "\"on-limit\":\"warn\",\"warn\":\"0\",\"window\":\"0\"}}",
		  (int)pid);
	line = host_hear(fd);
	assert_non_null(line);
	assert_string_equal(json_string_value(json_object_get(line, "name")), "big");
	json_decref(line);
	close(fd);
	line = host_ask(&host, "{\"op\":\"why\",\"tree\":\"big\"}");
	assert_true(integer(line, "lines") >= 1);
	json_decref(line);
	sleeper_end(pid);
	/* It says so itself, too. */
	text_await(host.err, "big: over its limit");
	assert_int_equal(ftruncate(fileno(host.err), 0), 0);
}

/* As the commands ask. */
static void test_commands_can_ask(void **state)
{
	struct wire_request request = {.op = WIRE_PING};
	struct refusal why;
	json_t *answer;

	(void)state;
	assert_int_equal(dial_request(host.path, &request, &answer, &why), 0);
	assert_int_equal(integer(answer, "pid"), host.pid);
	json_decref(answer);
	request = (struct wire_request){.op = WIRE_RM, .tree = "nobody"};
	assert_int_equal(dial_request(host.path, &request, &answer, &why), -EREMOTEIO);
	assert_int_equal(why.status, EXIT_NO_TREE);
	assert_non_null(strstr(why.text, "no tree named nobody"));
	assert_int_equal(dial_request("/nowhere/socket", &request, &answer, &why), -ENOENT);
	assert_non_null(strstr(why.text, "none is running"));
}

/* That of docs/PROTOCOL.md, as it stands there. */
static void test_the_example_works(void **state)
{
	static char said[TEXT_MAX];
	char line[512];
	FILE *out;
	size_t length;

	(void)state;
	if (access("docs/PROTOCOL.md", R_OK) || system("python3 -c '' 2>/dev/null"))
		skip_because("the example needs python3, and docs/ of the project");
	snprintf(line, sizeof(line),
		 "sed -n '/^```python$/,/^```$/p' docs/PROTOCOL.md | sed '/^```/d' >%s/example && "
		 "python3 %s/example %s 2>&1; rm -f %s/example",
		 host.folder, host.folder, host.path, host.folder);
	out = popen(line, "re");
	assert_non_null(out);
	length = fread(said, 1, sizeof(said) - 1, out);
	said[length] = '\0';
	pclose(out);
	if (!strstr(said, "small: status 0, peak"))
		print_error("said: %s\n", said);
	assert_non_null(strstr(said, "small: status 0, peak"));
	assert_non_null(strstr(said, "large: status -15, peak"));
	assert_non_null(strstr(said, "memtree: large over its limit: charged"));
	text_await(host.err, "large: ended");
	assert_int_equal(ftruncate(fileno(host.err), 0), 0);
}

int protocol_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ping_tells_who_answers),
		cmocka_unit_test(test_documents_are_those_of_the_commands),
		cmocka_unit_test(test_a_job_from_its_start_to_its_end),
		cmocka_unit_test(test_rm_leaves_the_processes_alone),
		cmocka_unit_test(test_a_signal_is_sent_once),
		cmocka_unit_test(test_what_cannot_be_changes_nothing),
		cmocka_unit_test(test_a_process_is_added_once),
		cmocka_unit_test(test_occurrences_are_told),
		cmocka_unit_test(test_commands_can_ask),
		cmocka_unit_test(test_the_example_works),
	};

	return cmocka_run_group_tests_name("protocol", tests, open_host, close_host);
}
