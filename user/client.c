// SPDX-License-Identifier: GPL-2.0-only
#include "client.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG_MAX (4UL << 20) /* bytes that a follower may lag behind; more than is kept */
#define ASK_S 10		/* for the first request */
#define IDLE_S 60		/* between an answer and the next request */
#define TAKE_S 10		/* for taking an answer */

struct client {
	int fd;
	const struct client_calls *calls;
	void *context;
	struct event *readable, *writable, *deadline;
	char *line; /* what has come of it */
	size_t used, line_max;
	struct evbuffer *out;
	bool asks; /* a line is awaited; else the last one has no answer yet */
	bool follows;
	bool ends; /* once it has taken its answer */
};

static void deadline_set(struct client *client, time_t seconds)
{
	const struct timeval patience = {.tv_sec = seconds};

	event_add(client->deadline, &patience);
}

/* What the kernel takes without waiting, and without a SIGPIPE. False: it is gone. */
static bool client_send(struct client *client)
{
	while (evbuffer_get_length(client->out)) {
		struct evbuffer_iovec piece;
		ssize_t sent;

		evbuffer_peek(client->out, -1, NULL, &piece, 1);
		sent = send(client->fd, piece.iov_base, piece.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		evbuffer_drain(client->out, (size_t)sent);
	}
	return true;
}

/* All was taken: the next, please. */
static void client_listen(struct client *client)
{
	client->asks = true;
	event_add(client->readable, NULL);
	deadline_set(client, IDLE_S);
}

static void client_end(struct client *client, enum client_end end)
{
	client->calls->on_end(client->context, end);
}

void client_flush(struct client *client)
{
	bool sent = client_send(client);
	size_t left = evbuffer_get_length(client->out);

	if (!sent || (!left && client->ends))
		client_end(client, CLIENT_GONE);
	else if (client->follows && left > BACKLOG_MAX)
		client_end(client, CLIENT_SLOW);
	else if (left)
		event_add(client->writable, NULL);
	else if (!client->follows && !client->asks)
		client_listen(client);
}

void client_answered(struct client *client)
{
	if (client->follows)
		event_add(client->readable, NULL);
	else
		deadline_set(client, TAKE_S);
	client_flush(client);
}

void client_follows(struct client *client)
{
	client->follows = true;
}

void client_ends(struct client *client)
{
	client->ends = true;
}

void client_say(struct client *client, const char *text, size_t length)
{
	evbuffer_add(client->out, text, length);
}

size_t client_waiting(const struct client *client)
{
	return evbuffer_get_length(client->out);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	client_flush(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct client *client = context;

	(void)fd;
	(void)what;
	client_end(client, client->asks ? CLIENT_IDLE : CLIENT_SLOW);
}

/* Nothing of it is read until it has its answer; that has no deadline of ours. */
static void client_pause(struct client *client)
{
	client->asks = false;
	event_del(client->readable);
	event_del(client->deadline);
}

static void client_trouble(struct client *client, enum client_trouble trouble)
{
	client_pause(client);
	client->calls->on_trouble(client->context, trouble);
}

/* Takes `got` bytes out of the kernel, which has shown them already. */
static bool bytes_take(struct client *client, size_t got)
{
	char *longer = realloc(client->line, client->used + got);

	if (!longer)
		return false;
	client->line = longer;
	if (recv(client->fd, longer + client->used, got, MSG_DONTWAIT) != (ssize_t)got)
		return false;
	client->used += got;
	return true;
}

static void line_take(struct client *client)
{
	char *line = client->line;
	size_t length = client->used - 1;

	client->line = NULL;
	client->used = 0;
	client_pause(client);
	client->calls->on_line(client->context, line, length);
	free(line);
}

/* The kernel keeps what comes after the line: others have their turn before that. */
static void client_read(struct client *client, const char *bytes, size_t got)
{
	const char *newline = memchr(bytes, '\n', got);
	size_t wanted = newline ? (size_t)(newline - bytes) + 1 : got;

	if (client->used + wanted + !newline > client->line_max)
		client_trouble(client, CLIENT_TOO_LONG);
	else if (!bytes_take(client, wanted))
		client_end(client, CLIENT_GONE);
	else if (newline)
		line_take(client);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct client *client = context;
	char bytes[4096];
	ssize_t got = recv(fd, bytes, sizeof(bytes),
			   MSG_DONTWAIT | (client->follows ? 0 : MSG_PEEK));

	(void)what;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!got && client->used && !client->follows)
		client_trouble(client, CLIENT_HALF);
	else if (got <= 0)
		client_end(client, CLIENT_GONE);
	else if (!client->follows)
		client_read(client, bytes, (size_t)got);
}

struct client *client_new(struct event_base *loop, int fd, size_t line_max,
			  const struct client_calls *calls, void *context)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->fd = -1;
	client->line_max = line_max;
	client->calls = calls;
	client->context = context;
	client->out = evbuffer_new();
	client->readable = event_new(loop, fd, EV_READ | EV_PERSIST, on_readable, client);
	client->writable = event_new(loop, fd, EV_WRITE, on_writable, client);
	client->deadline = evtimer_new(loop, on_deadline, client);
	client->asks = true;
	if (!client->out || !client->readable || !client->writable || !client->deadline ||
	    event_add(client->readable, NULL)) {
		client_free(client);
		return NULL;
	}
	client->fd = fd;
	deadline_set(client, ASK_S);
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	if (client->readable)
		event_free(client->readable);
	if (client->writable)
		event_free(client->writable);
	if (client->deadline)
		event_free(client->deadline);
	if (client->fd >= 0) {
		client_send(client);
		/* An errand may hold it, too. */
		shutdown(client->fd, SHUT_RDWR);
		close(client->fd);
	}
	if (client->out)
		evbuffer_free(client->out);
	free(client->line);
	free(client);
}
