// SPDX-License-Identifier: GPL-2.0-only
/* The socket behind memtree events and memtree why: whoever calls harms nothing. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "serve.h"
#include "shell.h"
#include "wire.h"

#define READERS SERVE_CLIENTS_MAX

/* Of the one tracker that this test has started. */
static uint32_t tracker_id(pid_t loader)
{
	struct tracker **trackers;
	int count, foreign;
	uint32_t id = 0;

	assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
	for (int i = 0; i < count; i++)
		if (trackers[i]->header.loader_tgid == (uint32_t)loader)
			id = trackers[i]->id;
	trackers_close(trackers, count);
	assert_int_not_equal(id, 0);
	return id;
}

/* -1 when nobody listens. */
static int caller_open(uint32_t tracker)
{
	const struct timeval patience = {.tv_sec = DEADLINE_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	socklen_t length = wire_address(tracker, &address);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&address, length))
		return -1;
	return fd;
}

/* What one gets to hear before the connection is closed; closes it. */
static void caller_hear(int fd, char text[512])
{
	size_t used = 0;
	ssize_t got;

	while ((got = recv(fd, text + used, 511 - used, 0)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(fd);
	/* Closed with something unread: a reset is an end, too. */
	assert_true(!got || errno == ECONNRESET);
}

static void assert_refused(uint32_t tracker, const char *request, size_t length, const char *why)
{
	int fd = caller_open(tracker);
	char text[512];

	assert_true(fd >= 0);
	send(fd, request, length, MSG_NOSIGNAL);
	/* It waits for another request until then. */
	shutdown(fd, SHUT_WR);
	caller_hear(fd, text);
	if (!strstr(text, why))
		print_error("said: %s\n", text);
	assert_non_null(strstr(text, "{\"error\":\""));
	assert_non_null(strstr(text, why));
}

static void assert_garbage_refused(uint32_t tracker)
{
	static char flood[2 * WIRE_REQUEST_MAX];
	static const char binary[] = "\0\377\0\n";

	assert_refused(tracker, "nonsense\n", 9, "that is no JSON");
	assert_refused(tracker, "{\"op\":\"halt\"}\n", 14, "unknown op");
	assert_refused(tracker, "{\"op\":\"ps\"}\n", 12, "this memtree is no daemon");
	assert_refused(tracker, binary, sizeof(binary) - 1, "that is no JSON");
	memset(flood, '{', sizeof(flood));
	assert_refused(tracker, flood, WIRE_REQUEST_MAX, "the request is too long");
}

/* All places taken by who says nothing: the next is told so, and when they go all is well. */
static void assert_idle_bounded(uint32_t tracker)
{
	int idle[READERS];

	for (int i = 0; i < READERS; i++) {
		idle[i] = caller_open(tracker);
		assert_true(idle[i] >= 0);
	}
	assert_refused(tracker, "", 0, "too many readers");
	run("events");
	assert_int_equal(outcome.status, 1);
	assert_non_null(strstr(outcome.err, "too many readers"));
	for (int i = 0; i < READERS; i++)
		close(idle[i]);
	for (time_t end = 0; (run("events"), outcome.status) && poll_on(&end);)
		;
	assert_int_equal(outcome.status, 0);
}

/* Whoever goes in the middle of something. */
static void assert_goers_forgotten(uint32_t tracker)
{
	static const char follow[] = "{\"op\":\"events\",\"follow\":true,\"all\":true}\n";

	for (size_t i = 0; i < sizeof(follow); i++) {
		int fd = caller_open(tracker);

		assert_true(fd >= 0);
		send(fd, follow, i, MSG_NOSIGNAL);
		close(fd);
	}
}

static void assert_only_root(uint32_t tracker)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		char text[512];
		int fd;

		become_nobody();
		fd = caller_open(tracker);
		if (fd < 0)
			_exit(1);
		caller_hear(fd, text);
		_exit(!strstr(text, "only root may ask"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_readers_harm_nothing(void **state)
{
	struct started tree = start(NULL, "run -n quiet -- sh -c 'echo ready; exec sleep 300'");
	uint32_t tracker;

	(void)state;
	text_await(tree.out, "ready");
	tracker = tracker_id(tree.pid);
	assert_garbage_refused(tracker);
	assert_idle_bounded(tracker);
	assert_goers_forgotten(tracker);
	assert_only_root(tracker);
	run_prepared(become_nobody, "events");
	assert_int_equal(outcome.status, 4);
	kill(tree.pid, SIGSTOP);
	run("events");
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "is it stopped?"));
	kill(tree.pid, SIGCONT);
	run("events --all");
	assert_int_equal(outcome.status, 2);
	run("kill quiet");
	assert_int_equal(outcome.status, 0);
	finish(tree);
	assert_int_equal(outcome.status, 128 + SIGKILL);
	assert_string_equal(outcome.err, "");
	await_trackers(0);
}

/* A tracker whose memtree does not serve: this program; somebody else takes its name. */
static void test_a_squatter_is_not_believed(void **state)
{
	const struct loader_options options = {.process_capacity = 64};
	struct sockaddr_un address;
	struct loader *loader;
	socklen_t length;
	int fds[2], status;
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(loader_start(&options, &loader), 0);
	run("events");
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "nobody listens"));
	length = wire_address(loader_tracker_id(loader), &address);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4))
			_exit(1);
		(void)!write(fds[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	run("events");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(fds[0]);
	close(fds[1]);
	loader_stop(loader);
	assert_int_equal(outcome.status, 1);
	assert_one_line(outcome.err);
	assert_non_null(strstr(outcome.err, "somebody else has taken its socket"));
}

/* --- readers, without a tracker ------------------------------------------------------------- */

#define PAD 100000
#define TOLD 60 /* occurrences of PAD bytes: more than is kept, or waits for a reader */

static void on_hearing(void *context, bool heard)
{
	*(bool *)context = heard;
}

static void ask(struct event_base *loop, int fd, const char *request)
{
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	for (int i = 0; i < 10; i++)
		event_base_loop(loop, EVLOOP_NONBLOCK);
}

/* What can be read at this moment; `ret_ended` once it was closed. */
static size_t drain(int fd, size_t *lines, bool *ret_ended)
{
	static char bytes[65536];
	size_t sum = 0;
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < got; i++)
			*lines += bytes[i] == '\n';
		sum += (size_t)got;
	}
	*ret_ended = !got;
	return sum;
}

static void occurrences_tell(struct event_base *loop, struct serve *serve, int brisk)
{
	char *pad = calloc(1, PAD + 1);
	size_t lines = 0;
	bool ended;

	assert_non_null(pad);
	memset(pad, 'x', PAD);
	for (int i = 0; i < TOLD; i++) {
		serve_occurrence(serve, json_pack("{s:s}", "pad", pad));
		do {
			event_base_loop(loop, EVLOOP_NONBLOCK);
			drain(brisk, &lines, &ended);
			assert_false(ended);
		} while (lines < (size_t)i + 2); /* the answer's first line, too */
	}
	assert_int_equal(lines, TOLD + 1);
	free(pad);
}

static void test_a_slow_reader_is_dropped(void **state)
{
	struct event_base *loop = event_base_new();
	/* No map has this id: nobody else listens there. */
	const uint32_t id = UINT32_MAX - (uint32_t)getpid();
	bool heard = false, ended = false;
	struct serve *serve;
	char text[512];
	size_t lines = 0, bytes;
	int slow, brisk, late;

	(void)state;
	assert_int_equal(serve_open(loop, id, NULL, on_hearing, &heard, &serve), 0);
	slow = caller_open(id);
	brisk = caller_open(id);
	late = caller_open(id);
	ask(loop, slow, "{\"op\":\"events\",\"follow\":true,\"all\":true}\n");
	assert_true(heard);
	ask(loop, brisk, "{\"op\":\"events\",\"follow\":true}\n");
	occurrences_tell(loop, serve, brisk);
	/* Nobody is left who wants stories. */
	assert_false(heard);
	bytes = drain(slow, &lines, &ended);
	assert_true(ended);
	assert_in_range(bytes, 1, 2 * PAD * TOLD / 3);
	ask(loop, late, "{\"op\":\"events\"}\n");
	assert_true(recv(late, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "\"lines\":10,\"dropped\":50,\"readers_dropped\":1}"));
	serve_close(serve);
	event_base_free(loop);
	close(slow);
	close(brisk);
	close(late);
}

int readers_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_harm_nothing),
		cmocka_unit_test(test_a_squatter_is_not_believed),
		cmocka_unit_test(test_a_slow_reader_is_dropped),
	};

	return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
