// SPDX-License-Identifier: GPL-2.0-only
#include "serve.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "journal.h"
#include "talk.h"
#include "wire.h"

#define KEPT_ENTRIES 256
#define KEPT_BYTES (1UL << 20)
#define READERS_MAX 16
#define BACKLOG_MAX (4UL << 20) /* bytes that a slow reader may lag behind; more than is kept */
#define ASK_S 10		/* time for a request, and for taking an answer */
#define RETRY_S 1		/* after a reader could not be accepted */

struct reader {
	struct serve *serve;
	int fd;
	struct event *readable, *writable;
	struct evbuffer *in, *out;
	bool follows, hears; /* hears: stories too */
	bool ends;	     /* once it has taken its answer */
};

struct serve {
	struct event_base *loop;
	struct journal *journal;
	struct event *listener, *retry;
	int fd; /* -1: there is no socket */
	struct reader *readers[READERS_MAX];
	unsigned int hearing;
	uint64_t dropped; /* readers that were too slow */
	serve_hearing_fn on_hearing;
	void *context;
};

/* --- one reader ---------------------------------------------------------------------------- */

static void hearing_set(struct reader *reader, bool hears)
{
	struct serve *serve = reader->serve;
	bool before = serve_is_heard(serve);

	serve->hearing += (unsigned int)hears - (unsigned int)reader->hears;
	reader->hears = hears;
	if (serve_is_heard(serve) != before)
		serve->on_hearing(serve->context, !before);
}

static void reader_drop(struct reader *reader)
{
	hearing_set(reader, false);
	for (int i = 0; i < READERS_MAX; i++)
		if (reader->serve->readers[i] == reader)
			reader->serve->readers[i] = NULL;
	if (reader->readable)
		event_free(reader->readable);
	if (reader->writable)
		event_free(reader->writable);
	if (reader->in)
		evbuffer_free(reader->in);
	if (reader->out)
		evbuffer_free(reader->out);
	close(reader->fd);
	free(reader);
}

/* What the kernel takes without waiting, and without a SIGPIPE. False: it is gone. */
static bool reader_send(struct reader *reader)
{
	while (evbuffer_get_length(reader->out)) {
		struct evbuffer_iovec piece;
		ssize_t sent;

		evbuffer_peek(reader->out, -1, NULL, &piece, 1);
		sent = send(reader->fd, piece.iov_base, piece.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		evbuffer_drain(reader->out, (size_t)sent);
	}
	return true;
}

/* It may be gone after that. */
static void reader_flush(struct reader *reader)
{
	const struct timeval patience = {.tv_sec = ASK_S};
	bool sent = reader_send(reader);
	size_t left = evbuffer_get_length(reader->out);

	if (sent && left > BACKLOG_MAX) {
		reader->serve->dropped++;
		talk_detail("a reader of events was too slow, and is dropped");
		sent = false;
	}
	if (!sent || (!left && reader->ends))
		reader_drop(reader);
	else if (left)
		event_add(reader->writable, reader->ends ? &patience : NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	if (what & EV_TIMEOUT)
		reader_drop(context);
	else
		reader_flush(context);
}

static void reader_refuse(struct reader *reader, const char *why)
{
	evbuffer_add_printf(reader->out, "{\"error\":\"%s\"}\n", why);
	reader->ends = true;
}

static bool is_wanted(const struct journal *journal, size_t entry,
		      const struct wire_request *request)
{
	return request->op == WIRE_EVENTS || journal_is_about(journal, entry, request->tree);
}

static void reader_answer(struct reader *reader, const struct wire_request *request)
{
	const struct serve *serve = reader->serve;
	const struct journal *journal = serve->journal;
	size_t lines = 0;

	for (size_t i = 0; i < journal_count(journal); i++)
		lines += is_wanted(journal, i, request);
	evbuffer_add_printf(reader->out,
			    "{\"type\":\"journal\",\"lines\":%zu,\"dropped\":%llu,"
			    "\"readers_dropped\":%llu}\n",
			    lines, (unsigned long long)journal_dropped(journal),
			    (unsigned long long)serve->dropped);
	for (size_t i = 0; i < journal_count(journal); i++)
		if (is_wanted(journal, i, request))
			evbuffer_add(reader->out, journal_line(journal, i),
				     strlen(journal_line(journal, i)));
	reader->follows = request->follow;
	reader->ends = !request->follow;
	hearing_set(reader, request->all);
}

/* A whole line, or more than one may have. */
static void reader_ask(struct reader *reader)
{
	struct wire_request request;
	const char *wrong;
	size_t length;
	char *line = evbuffer_readln(reader->in, &length, EVBUFFER_EOL_LF);

	if (!line && evbuffer_get_length(reader->in) < WIRE_REQUEST_MAX)
		return;
	wrong = line ? wire_parse(line, length, &request) : "the request is too long";
	free(line);
	if (wrong)
		reader_refuse(reader, wrong);
	else
		reader_answer(reader, &request);
	/* From now on only its end is of interest. */
	event_del(reader->readable);
	event_add(reader->readable, NULL);
	reader_flush(reader);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct reader *reader = context;
	char bytes[4096];
	ssize_t got;

	if (what & EV_TIMEOUT) {
		reader_drop(reader);
		return;
	}
	got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		/* Who has closed only its own side still takes its answer. */
		if (!got && reader->ends)
			event_del(reader->readable);
		else
			reader_drop(reader);
		return;
	}
	/* What comes after the request is not read. */
	if (reader->follows || reader->ends)
		return;
	if (evbuffer_add(reader->in, bytes, (size_t)got))
		reader_drop(reader);
	else
		reader_ask(reader);
}

/* --- all of them --------------------------------------------------------------------------- */

/* NULL when there is no place or no memory. Owns `fd` if it succeeds. */
static struct reader *reader_new(struct serve *serve, int fd)
{
	const struct timeval patience = {.tv_sec = ASK_S};
	struct reader *reader, **place = NULL;

	for (int i = 0; i < READERS_MAX && !place; i++)
		place = serve->readers[i] ? NULL : &serve->readers[i];
	reader = place ? calloc(1, sizeof(*reader)) : NULL;
	if (!reader)
		return NULL;
	reader->serve = serve;
	reader->fd = fd;
	reader->in = evbuffer_new();
	reader->out = evbuffer_new();
	reader->readable = event_new(serve->loop, fd, EV_READ | EV_PERSIST, on_readable, reader);
	reader->writable = event_new(serve->loop, fd, EV_WRITE, on_writable, reader);
	*place = reader;
	if (!reader->in || !reader->out || !reader->readable || !reader->writable ||
	    event_add(reader->readable, &patience)) {
		reader->fd = -1;
		reader_drop(reader);
		return NULL;
	}
	return reader;
}

static bool is_root(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && !peer.uid;
}

static void refuse(int fd, const char *line)
{
	(void)!send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_connection(evutil_socket_t listener, short what, void *context)
{
	const struct timeval pause = {.tv_sec = RETRY_S};
	struct serve *serve = context;
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0) {
		/* No descriptor is left: else the loop would spin. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			event_del(serve->listener);
			event_add(serve->retry, &pause);
		}
		return;
	}
	if (!is_root(fd))
		refuse(fd, "{\"error\":\"only root may ask\"}\n");
	else if (!reader_new(serve, fd))
		refuse(fd, "{\"error\":\"too many readers\"}\n");
	else
		take_fd(fd);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct serve *serve = context;

	(void)fd;
	(void)what;
	event_add(serve->listener, NULL);
}

static int socket_open(uint32_t tracker_id)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	socklen_t length = wire_address(tracker_id, &address);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, READERS_MAX))
		return -errno;
	return take_fd(fd);
}

/* For readers alone: limits are kept without them. */
static void serve_listen(struct serve *serve, uint32_t tracker_id)
{
	serve->fd = socket_open(tracker_id);
	if (serve->fd < 0) {
		talk_detail("events and why cannot ask this tracker: its socket cannot be made: %s",
			    strerror(-serve->fd));
		return;
	}
	serve->retry = evtimer_new(serve->loop, on_retry, serve);
	serve->listener = event_new(serve->loop, serve->fd, EV_READ | EV_PERSIST, on_connection,
				    serve);
	if (!serve->retry || !serve->listener || event_add(serve->listener, NULL))
		talk_detail("events and why cannot ask this tracker: out of memory");
}

int serve_open(struct event_base *loop, uint32_t tracker_id, serve_hearing_fn on_hearing,
	       void *context, struct serve **ret_serve)
{
	struct serve *serve = calloc(1, sizeof(*serve));

	if (!serve)
		return -ENOMEM;
	serve->fd = -1;
	serve->loop = loop;
	serve->on_hearing = on_hearing;
	serve->context = context;
	serve->journal = journal_new(KEPT_ENTRIES, KEPT_BYTES);
	if (!serve->journal) {
		serve_close(serve);
		return -ENOMEM;
	}
	serve_listen(serve, tracker_id);
	*ret_serve = serve;
	return 0;
}

void serve_close(struct serve *serve)
{
	if (!serve)
		return;
	for (int i = 0; i < READERS_MAX; i++) {
		if (!serve->readers[i])
			continue;
		reader_send(serve->readers[i]);
		reader_drop(serve->readers[i]);
	}
	if (serve->listener)
		event_free(serve->listener);
	if (serve->retry)
		event_free(serve->retry);
	if (serve->fd >= 0)
		close(serve->fd);
	journal_free(serve->journal);
	free(serve);
}

static void line_tell(struct serve *serve, const char *line, bool story)
{
	for (int i = 0; i < READERS_MAX; i++) {
		struct reader *reader = serve->readers[i];

		if (!reader || !reader->follows || (story && !reader->hears))
			continue;
		evbuffer_add(reader->out, line, strlen(line));
		reader_flush(reader);
	}
}

void serve_occurrence(struct serve *serve, json_t *occurrence)
{
	const char *line = journal_add(serve->journal, occurrence);

	if (line)
		line_tell(serve, line, false);
}

void serve_story(struct serve *serve, json_t *story)
{
	char *text = story ? json_dumps(story, JSON_COMPACT) : NULL, *line;

	json_decref(story);
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (line)
		line_tell(serve, strcat(line, "\n"), true);
	free(line ? line : text);
}

bool serve_is_heard(const struct serve *serve)
{
	return serve->hearing > 0;
}
