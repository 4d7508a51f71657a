// SPDX-License-Identifier: GPL-2.0-only
/* Who may ask a daemon, and that whoever calls harms nobody. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "host.h"
#include "listener.h"
#include "serve.h"
#include "shell.h"
#include "wire.h"

#define GROUP 65533
#define STRANGER 65532

static struct host host;

static int close_host(void **state)
{
	(void)state;
	host_stop(&host);
	return 0;
}

static int open_host(void **state)
{
	(void)state;
	host = host_start(0);
	return 0;
}

static json_int_t refused(const char *reason)
{
	json_t *answer = host_ask(&host, "{\"op\":\"ping\"}");
	json_int_t count = integer(json_object_get(answer, "refused"), reason);

	json_decref(answer);
	return count;
}

/* --- who ------------------------------------------------------------------------------------ */

/* In a process of that user and groups; 0: it may read, 1: it hears why not, 2: it cannot
 * connect. */
static int asked_as(gid_t gid, gid_t supplementary)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		json_t *answer;
		int fd;

		if (setgroups(1, &supplementary) || setgid(gid) || setuid(STRANGER))
			_exit(9);
		fd = host_connect(&host);
		if (fd < 0)
			_exit(errno == EACCES ? 2 : 8);
		/* It may have been refused before it asks. */
		(void)!send(fd, "{\"op\":\"ps\"}\n", 12, MSG_NOSIGNAL);
		answer = host_hear(fd);
		if (json_object_get(answer, "error"))
			_exit(json_integer_value(json_object_get(answer, "status")) == 4 ? 1 : 7);
		if (!json_object_get(answer, "trees"))
			_exit(6);
		host_refuses(&host, 4, "only root may", "{\"op\":\"rm\",\"tree\":\"a\"}");
		host_refuses(&host, 4, "only root may", "{\"op\":\"add\",\"pid\":%d}",
			     (int)getpid());
		host_refuses(&host, 4, "only root may",
			     "{\"op\":\"set\",\"tree\":\"a\",\"options\":{\"limit\":\"1G\"}}");
		host_refuses(&host, 4, "only root may", "{\"op\":\"kill\",\"tree\":\"a\"}");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static mode_t mode_of(const char *path)
{
	struct stat found;

	assert_int_equal(lstat(path, &found), 0);
	return found.st_mode & 07777;
}

static void test_a_group_may_read(void **state)
{
	(void)state;
	host = host_start(GROUP);
	assert_int_equal(mode_of(host.path), 0660);
	assert_int_equal(asked_as(GROUP, STRANGER), 0);
	assert_int_equal(asked_as(STRANGER, GROUP), 0);
	assert_int_equal(asked_as(STRANGER, STRANGER), 2);
	/* Even where the file lets it. */
	assert_int_equal(chmod(host.path, 0666), 0);
	assert_int_equal(asked_as(STRANGER, STRANGER), 1);
	assert_int_equal(refused("not_permitted"), 9);
	host_stop(&host);
}

static void test_anybody_may_read(void **state)
{
	char folder[96];

	(void)state;
	umask(077);
	host = host_start(LISTENER_ANYBODY);
	umask(022);
	snprintf(folder, sizeof(folder), "%s/run", host.folder);
	assert_int_equal(mode_of(host.path), 0666);
	assert_int_equal(mode_of(folder), 0755);
	assert_int_equal(asked_as(STRANGER, STRANGER), 0);
	host_stop(&host);
}

/* --- the place ------------------------------------------------------------------------------ */

static void assert_said(const char *text)
{
	static char said[TEXT_MAX];

	text_read(host.err, 0, said);
	assert_one_line(said);
	if (!strstr(said, text))
		print_error("said: %s\n", said);
	assert_non_null(strstr(said, text));
}

static void test_a_path_is_taken_once(void **state)
{
	struct host second;
	char folder[96];
	FILE *file;

	(void)state;
	host = host_start(0);
	second = host;
	second.err = NULL;
	assert_false(host_restart(&second, 0));
	await_end(second.pid);
	host_does(&host, "{\"op\":\"ping\"}");
	/* It leaves its socket behind, which nobody minds. */
	assert_int_equal(kill(host.pid, SIGKILL), 0);
	await_end(host.pid);
	assert_int_equal(access(host.path, F_OK), 0);
	assert_true(host_restart(&host, 0));
	host_does(&host, "{\"op\":\"ping\"}");
	fclose(second.err);
	kill(host.pid, SIGTERM);
	assert_int_equal(await_end(host.pid), 0);
	assert_int_equal(access(host.path, F_OK), -1);
	/* What is no socket stays. */
	file = fopen(host.path, "w");
	assert_non_null(file);
	fclose(file);
	assert_false(host_restart(&host, 0));
	await_end(host.pid);
	assert_said("is no socket");
	assert_int_equal(unlink(host.path), 0);
	/* Where anybody could replace it. */
	snprintf(folder, sizeof(folder), "%s/run", host.folder);
	assert_int_equal(chmod(folder, 0777), 0);
	assert_false(host_restart(&host, 0));
	await_end(host.pid);
	assert_said("others than root may write");
	assert_int_equal(chmod(folder, 0755), 0);
	assert_true(host_restart(&host, 0));
	host_stop(&host);
}

/* --- lines ---------------------------------------------------------------------------------- */

static void assert_answer(int fd, const char *key, const char *text)
{
	json_t *answer = host_hear(fd);

	assert_non_null(answer);
	if (!json_object_get(answer, key))
		json_dumpf(answer, stderr, 0);
	assert_non_null(json_object_get(answer, key));
	if (text)
		assert_non_null(strstr(json_string_value(json_object_get(answer, key)), text));
	json_decref(answer);
}

/* Each has one answer, and the next request is understood. */
static void test_hostile_lines_are_answered(void **state)
{
	static const struct {
		const char *text, *line;
		size_t length;
	} lines[] = {
#define LINE(text, line) {text, line "\n", sizeof(line)}
		LINE("no JSON", ""),
		LINE("no JSON", "GET / HTTP/1.1\r"),
		LINE("no JSON", "{\"op\":\"ping\"} {\"op\":\"ping\"}"),
		LINE("no JSON", "\0\0\0\0"),
		LINE("in UTF-8", "{\"op\":\"ping\",\"\377\376\":1}"),
		LINE("NUL", "{\"op\":\"ping\",\"a\\u0000b\":1}"),
		LINE("stands twice", "{\"op\":\"ping\",\"op\":\"kill\"}"),
		LINE("too large", "{\"op\":\"add\",\"pid\":123456789012345678901234567890}"),
		LINE("has no key", "{\"op\":\"ping\",\"x\":[[[[{}]]]]}"),
		LINE("unknown op", "{\"op\":\"\\u001b[2J\\n\\r\"}"),
		LINE("no tree named", "{\"op\":\"tree\",\"tree\":\"%s%n\\n\\\"\"}"),
		LINE("needs pid", "{\"op\":\"add\"}"),
#undef LINE
	};
	int fd = host_connect(&host);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(send(fd, lines[i].line, lines[i].length, 0), lines[i].length);
		assert_answer(fd, "error", lines[i].text);
		host_send(fd, "{\"op\":\"ping\"}\n");
		assert_answer(fd, "ok", NULL);
	}
	close(fd);
}

static void test_pieces_are_put_together(void **state)
{
	static const char request[] = "{\"op\":\"ping\"}\n{\"op\":\"ps\"}\n";
	int fd = host_connect(&host);

	(void)state;
	for (const char *c = request; *c; c++) {
		assert_int_equal(send(fd, c, 1, 0), 1);
		/* It has seen the piece: others are served meanwhile. */
		if (c - request < 4)
			host_does(&host, "{\"op\":\"ping\"}");
	}
	assert_answer(fd, "ok", NULL);
	assert_answer(fd, "trees", NULL);
	/* One that is cut. */
	host_send(fd, "{\"op\":\"ping\"}");
	shutdown(fd, SHUT_WR);
	assert_answer(fd, "error", "is cut");
	assert_null(host_hear(fd));
	close(fd);
}

/* Megabytes without a newline, and a line of the greatest length. */
static void test_long_lines_are_bounded(void **state)
{
	static char flood[WIRE_REQUEST_MAX + 1];
	int fd = host_connect(&host);
	json_int_t before = refused("too_long");

	(void)state;
	memset(flood, ' ', sizeof(flood));
	memcpy(flood, "{\"op\":\"ping\"}", 13);
	flood[WIRE_REQUEST_MAX - 1] = '\n';
	assert_int_equal(send(fd, flood, WIRE_REQUEST_MAX, 0), WIRE_REQUEST_MAX);
	assert_answer(fd, "ok", NULL);
	memset(flood, '[', sizeof(flood));
	for (int i = 0; i < 64; i++)
		if (send(fd, flood, sizeof(flood), MSG_NOSIGNAL) < 0)
			break;
	assert_answer(fd, "error", "too long");
	assert_null(host_hear(fd));
	close(fd);
	assert_int_equal(refused("too_long"), before + 1);
}

/* --- many and slow -------------------------------------------------------------------------- */

static void test_a_crowd_starves_nobody(void **state)
{
	int first = host_connect(&host), idle[SERVE_CLIENTS_MAX], count = 0, turned = 0;

	(void)state;
	host_send(first, "{\"op\":\"ping\"}\n");
	assert_answer(first, "ok", NULL);
	for (int i = 0; i < 1000; i++) {
		int fd = host_connect(&host);
		struct pollfd told = {.fd = fd, .events = POLLIN};

		assert_true(fd >= 0);
		/* Those beyond the last place hear so at once. */
		if (count < SERVE_CLIENTS_MAX - 1) {
			idle[count++] = fd;
			continue;
		}
		assert_int_equal(poll(&told, 1, DEADLINE_S * 1000), 1);
		assert_answer(fd, "error", "too many readers");
		assert_null(host_hear(fd));
		close(fd);
		turned++;
	}
	assert_int_equal(turned, 1000 - (SERVE_CLIENTS_MAX - 1));
	host_send(first, "{\"op\":\"ps\"}\n");
	assert_answer(first, "trees", NULL);
	for (int i = 0; i < count; i++)
		close(idle[i]);
	/* Their places are free once it has seen that. */
	for (time_t end = 0; poll_on(&end);) {
		json_t *answer = host_ask(&host, "{\"op\":\"ping\"}");
		bool fine = json_is_true(json_object_get(answer, "ok"));

		json_decref(answer);
		if (fine)
			break;
	}
	assert_true(refused("too_many") >= turned);
	close(first);
}

/* Of the counts of ping. */
static void count_await(const char *count, json_int_t least)
{
	json_int_t is = 0;

	for (time_t end = 0; is < least && poll_on(&end);) {
		json_t *answer = host_ask(&host, "{\"op\":\"ping\"}");

		is = integer(answer, count);
		json_decref(answer);
	}
	assert_true(is >= least);
}

/* One asks and asks, and never listens; one says nothing; one sends a request byte by byte. */
static void test_who_lets_wait_is_dropped(void **state)
{
	int slow = host_connect(&host), idle = host_connect(&host);
	size_t sent = 0;
	ssize_t got = 0;

	(void)state;
	assert_int_equal(fcntl(slow, F_SETFL, O_NONBLOCK), 0);
	while (got >= 0) {
		got = send(slow, "{\"op\":\"tree\"}\n", 14, MSG_NOSIGNAL);
		sent += got == 14;
		/* Others are served meanwhile. */
		if (sent % 100 == 0)
			host_does(&host, "{\"op\":\"ping\"}");
	}
	assert_int_equal(errno, EAGAIN);
	count_await("readers_dropped", 1);
	count_await("idle_dropped", 1);
	assert_answer(idle, "error", "nothing was asked");
	assert_null(host_hear(idle));
	close(idle);
	close(slow);
}

/* In the middle of something. */
static void test_goers_are_forgotten(void **state)
{
	static const char *const last[] = {
		"{\"op\":\"ps\"}\n",
		"{\"op\":\"events\",\"follow\":true,\"all\":true}\n",
		"{\"op\":\"ping\"}\n{\"op\":\"ping\"}\n{\"op\"",
		"{\"op\":\"add\",\"pid\":%d}\n",
		"{\"op\":\"kill\",\"tree\":\"gone\"}\n",
	};
	pid_t pid = sleeper_start(0);
	json_t *answer;

	(void)state;
	host_does(&host, "{\"op\":\"add\",\"pid\":%d,\"name\":\"gone\"}", (int)pid);
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
		int fd = host_connect(&host);

		host_send(fd, last[i]);
		close(fd);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (time_t end = 0; poll_on(&end);) {
		json_int_t clients;

		answer = host_ask(&host, "{\"op\":\"ping\"}");
		clients = integer(answer, "clients");
		json_decref(answer);
		if (clients == 1)
			return;
	}
	fail();
}

int protocol_client_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_group_may_read),
		cmocka_unit_test(test_anybody_may_read),
		cmocka_unit_test(test_a_path_is_taken_once),
		cmocka_unit_test_setup_teardown(test_hostile_lines_are_answered, open_host,
						close_host),
		cmocka_unit_test_setup_teardown(test_pieces_are_put_together, open_host,
						close_host),
		cmocka_unit_test_setup_teardown(test_long_lines_are_bounded, open_host, close_host),
		cmocka_unit_test_setup_teardown(test_a_crowd_starves_nobody, open_host, close_host),
		cmocka_unit_test_setup_teardown(test_who_lets_wait_is_dropped, open_host,
						close_host),
		cmocka_unit_test_setup_teardown(test_goers_are_forgotten, open_host, close_host),
	};

	return cmocka_run_group_tests_name("protocol_clients", tests, NULL, NULL);
}
