// SPDX-License-Identifier: GPL-2.0-only
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "journal.h"
#include "store.h"
#include "listener.h"
#include "talk.h"
#include "wire.h"

#define KEPT_ENTRIES 256
#define STORED_ENTRIES 4096
#define STORED_BYTES (2 << 20)
#define KEPT_BYTES (1UL << 20)
#define WAITING_MAX (32UL << 20) /* bytes of answers that nobody has taken yet */

/* Why a request was refused. */
enum {
	REFUSED_NOT_PERMITTED,
	REFUSED_TOO_MANY,	/* clients, or answers that wait */
	REFUSED_TOO_LONG,	/* without a newline */
	REFUSED_NOT_UNDERSTOOD, /* or cut */
	REFUSED_NOT_DONE,	/* understood, and impossible */
	REFUSED_REASONS,
};

static const char *const refused_names[REFUSED_REASONS] = {"not_permitted", "too_many", "too_long",
							   "not_understood", "not_done"};

struct reader {
	struct serve *serve;
	struct client *client;
	bool changes;		     /* it may */
	bool follows, hears;	     /* hears: stories too */
	uint64_t ticket;	     /* of what it waits for, 0: nothing */
	enum wire_op op;	     /* that */
	struct wire_request *queued; /* until its turn */
};

struct serve {
	struct event_base *loop;
	struct journal *journal;
	struct store *store; /* NULL: none */
	struct listener *abstract, *path;
	struct reader *readers[SERVE_CLIENTS_MAX];
	unsigned int hearing;
	uint64_t tickets, dropped, idle, requests, refused[REFUSED_REASONS];
	serve_hearing_fn on_hearing;
	void *context;
	serve_request_fn on_request; /* NULL: this is no daemon */
	void *request_context;
	struct event *turn; /* of the next request */
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
	for (int i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (reader->serve->readers[i] == reader)
			reader->serve->readers[i] = NULL;
	client_free(reader->client);
	free(reader->queued);
	free(reader);
}

/* Takes the object; without memory nothing is said, which ends the connection. */
static void reader_say(struct reader *reader, json_t *object)
{
	_cleanup_free_ char *line = wire_text(object);

	if (line)
		client_say(reader->client, line, strlen(line));
	else
		client_ends(reader->client);
}

static void reader_refuse(struct reader *reader, int reason, const struct refusal *why)
{
	reader->serve->refused[reason]++;
	reader_say(reader, wire_error(why));
}

static bool is_wanted(const struct journal *journal, size_t entry,
		      const struct wire_request *request)
{
	return request->op == WIRE_EVENTS || journal_is_about(journal, entry, request->tree);
}

static void journal_say(struct reader *reader, const struct wire_request *request)
{
	const struct serve *serve = reader->serve;
	const struct journal *journal = serve->journal;
	size_t lines = 0;

	for (size_t i = 0; i < journal_count(journal); i++)
		lines += is_wanted(journal, i, request);
	reader_say(reader,
		   json_pack("{s:s, s:I, s:I, s:I}", "type", "journal", "lines", (json_int_t)lines,
			     "dropped", (json_int_t)journal_dropped(journal), "readers_dropped",
			     (json_int_t)serve->dropped));
	for (size_t i = 0; i < journal_count(journal); i++)
		if (is_wanted(journal, i, request))
			client_say(reader->client, journal_line(journal, i),
				   strlen(journal_line(journal, i)));
	reader->follows = request->follow;
	if (request->follow)
		client_follows(reader->client);
	hearing_set(reader, request->all);
}

static size_t waiting(const struct serve *serve)
{
	size_t bytes = 0;

	for (int i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (serve->readers[i])
			bytes += client_waiting(serve->readers[i]->client);
	return bytes;
}

/* False with the reason when it is not to be carried out. */
static bool request_judge(const struct reader *reader, const struct wire_request *request,
			  int *ret_reason, struct refusal *why)
{
	const struct serve *serve = reader->serve;

	*ret_reason = REFUSED_NOT_PERMITTED;
	if (wire_changes(request->op) && !reader->changes)
		return refusal_set(why, EXIT_NOT_POSSIBLE, "only root may change anything");
	*ret_reason = REFUSED_TOO_MANY;
	if (waiting(serve) > WAITING_MAX)
		return refusal_set(why, EXIT_FAILED,
				   "too many answers wait to be taken: ask again later");
	*ret_reason = REFUSED_NOT_DONE;
	if (request->op != WIRE_EVENTS && request->op != WIRE_WHY && !serve->on_request)
		return refusal_set(why, EXIT_NOT_POSSIBLE,
				   "this memtree is no daemon: it answers events and why");
	return true;
}

/*
 * One a turn of the loop, in the order in which they came: what many ask at once does not delay
 * what the kernel tells of a crossing by more than one of them takes.
 */
static void on_turn(evutil_socket_t fd, short what, void *context)
{
	const struct timeval at_once = {};
	struct serve *serve = context;
	struct reader *first = NULL;
	struct wire_request *request;
	int queued = 0;

	(void)fd;
	(void)what;
	for (int i = 0; i < SERVE_CLIENTS_MAX; i++) {
		struct reader *reader = serve->readers[i];

		if (!reader || !reader->queued)
			continue;
		queued++;
		if (!first || reader->ticket < first->ticket)
			first = reader;
	}
	if (!first)
		return;
	if (queued > 1)
		event_add(serve->turn, &at_once);
	request = take_pointer(first->queued);
	serve->on_request(serve->request_context, request, first->ticket);
	free(request);
}

/* False without memory. */
static bool request_queue(struct reader *reader, const struct wire_request *request)
{
	const struct timeval at_once = {};
	struct serve *serve = reader->serve;

	reader->queued = malloc(sizeof(*request));
	if (!reader->queued)
		return false;
	*reader->queued = *request;
	reader->ticket = ++serve->tickets;
	reader->op = request->op;
	return !event_add(serve->turn, &at_once);
}

static void on_line(void *context, const char *line, size_t length)
{
	struct reader *reader = context;
	struct wire_request request;
	struct refusal why;
	int reason;

	reader->serve->requests++;
	if (!wire_parse(line, length, &request, &why))
		reader_refuse(reader, REFUSED_NOT_UNDERSTOOD, &why);
	else if (!request_judge(reader, &request, &reason, &why))
		reader_refuse(reader, reason, &why);
	else if (request.op == WIRE_EVENTS || request.op == WIRE_WHY)
		journal_say(reader, &request);
	else if (request_queue(reader, &request))
		return;
	else
		client_ends(reader->client);
	client_answered(reader->client);
}

static void on_trouble(void *context, enum client_trouble trouble)
{
	struct reader *reader = context;
	struct refusal why;

	if (trouble == CLIENT_TOO_LONG)
		refusal_set(&why, EXIT_USAGE, "the request is too long: at most %d bytes",
			    WIRE_REQUEST_MAX);
	else
		refusal_set(&why, EXIT_USAGE, "the request is cut: it ends with a newline");
	reader_refuse(reader,
		      trouble == CLIENT_TOO_LONG ? REFUSED_TOO_LONG : REFUSED_NOT_UNDERSTOOD, &why);
	client_ends(reader->client);
	client_answered(reader->client);
}

static void on_end(void *context, enum client_end end)
{
	struct reader *reader = context;
	struct refusal why;

	if (end == CLIENT_SLOW) {
		reader->serve->dropped++;
		talk_detail("a reader was too slow, and is dropped");
	} else if (end == CLIENT_IDLE) {
		reader->serve->idle++;
		refusal_set(&why, EXIT_FAILED, "nothing was asked for too long: connect again");
		reader_say(reader, wire_error(&why));
	}
	reader_drop(reader);
}

/* --- connections --------------------------------------------------------------------------- */

/* NULL when there is no place or no memory. Owns `fd` if it succeeds. */
static struct reader *reader_new(struct serve *serve, int fd, bool changes)
{
	static const struct client_calls calls = {on_line, on_trouble, on_end};
	int places = SERVE_CLIENTS_MAX - (changes ? 0 : SERVE_CLIENTS_ROOT);
	struct reader *reader, **place = NULL;

	for (int i = 0; i < places && !place; i++)
		place = serve->readers[i] ? NULL : &serve->readers[i];
	reader = place ? calloc(1, sizeof(*reader)) : NULL;
	if (!reader)
		return NULL;
	reader->serve = serve;
	reader->changes = changes;
	reader->client = client_new(serve->loop, fd, WIRE_REQUEST_MAX, &calls, reader);
	if (!reader->client) {
		free(reader);
		return NULL;
	}
	*place = reader;
	return reader;
}

/* Without a place of its own. */
static void connection_refuse(struct serve *serve, int fd, int reason, int status, const char *text)
{
	_cleanup_free_ char *line = NULL;
	struct refusal why;

	serve->refused[reason]++;
	refusal_set(&why, status, "%s", text);
	line = wire_text(wire_error(&why));
	if (line)
		(void)!send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void on_connection(void *context, int fd, enum listener_rights rights)
{
	struct serve *serve = context;

	if (rights == LISTENER_NONE)
		connection_refuse(serve, fd, REFUSED_NOT_PERMITTED, EXIT_NOT_POSSIBLE,
				  "only root may ask");
	else if (!reader_new(serve, fd, rights == LISTENER_CHANGES))
		connection_refuse(serve, fd, REFUSED_TOO_MANY, EXIT_FAILED,
				  "too many readers: ask again later");
}

/* For readers alone: limits are kept without them. */
static void abstract_listen(struct serve *serve, uint32_t tracker_id)
{
	struct sockaddr_un address;
	socklen_t length = wire_address(tracker_id, &address);
	int err = listener_open(serve->loop, &address, length, on_connection, serve,
				&serve->abstract);

	if (err)
		talk_detail("events and why cannot ask this tracker: its socket cannot be made: %s",
			    strerror(-err));
}

/* A node's is as long as a day, for `why`; on the disk there is more. */
static void journal_open(struct serve *serve)
{
	int err;

	serve->journal = journal_new(serve->store ? STORED_ENTRIES : KEPT_ENTRIES,
				     serve->store ? STORED_BYTES : KEPT_BYTES);
	if (!serve->journal || !serve->store)
		return;
	err = store_restore(serve->store, serve->journal, STORED_BYTES);
	if (err)
		talk_error(err, "the verdicts on disk cannot be read, new ones are kept: %s",
			   strerror(-err));
}

int serve_open(struct event_base *loop, uint32_t tracker_id, struct store *store,
	       serve_hearing_fn on_hearing, void *context, struct serve **ret_serve)
{
	struct serve *serve = calloc(1, sizeof(*serve));

	if (!serve)
		return -ENOMEM;
	serve->loop = loop;
	serve->on_hearing = on_hearing;
	serve->context = context;
	serve->store = store;
	journal_open(serve);
	if (!serve->journal) {
		serve_close(serve);
		return -ENOMEM;
	}
	abstract_listen(serve, tracker_id);
	*ret_serve = serve;
	return 0;
}

int serve_listen(struct serve *serve, const char *path, gid_t gid, serve_request_fn on_request,
		 void *context, struct refusal *ret_refusal)
{
	int err;

	serve->turn = evtimer_new(serve->loop, on_turn, serve);
	if (!serve->turn)
		return refusal_fail(ret_refusal, -ENOMEM, "out of memory");
	err = listener_open_path(serve->loop, path, gid, on_connection, serve, &serve->path,
				 ret_refusal);
	if (err)
		return err;
	serve->on_request = on_request;
	serve->request_context = context;
	return 0;
}

void serve_close(struct serve *serve)
{
	if (!serve)
		return;
	/* First, so that nobody connects whom nobody answers. */
	listener_close(serve->path);
	listener_close(serve->abstract);
	for (int i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (serve->readers[i])
			reader_drop(serve->readers[i]);
	if (serve->turn)
		event_free(serve->turn);
	journal_free(serve->journal);
	free(serve);
}

/* --- answers and occurrences ---------------------------------------------------------------- */

static void counts_add(const struct serve *serve, json_t *answer)
{
	json_t *refused = json_object();
	json_int_t clients = 0, followers = 0;

	for (int i = 0; i < SERVE_CLIENTS_MAX; i++) {
		clients += serve->readers[i] != NULL;
		followers += serve->readers[i] && serve->readers[i]->follows;
	}
	for (int i = 0; i < REFUSED_REASONS; i++)
		json_object_set_new(refused, refused_names[i],
				    json_integer((json_int_t)serve->refused[i]));
	json_object_set_new(answer, "clients", json_integer(clients));
	json_object_set_new(answer, "followers", json_integer(followers));
	json_object_set_new(answer, "requests", json_integer((json_int_t)serve->requests));
	json_object_set_new(answer, "readers_dropped", json_integer((json_int_t)serve->dropped));
	json_object_set_new(answer, "idle_dropped", json_integer((json_int_t)serve->idle));
	json_object_set_new(answer, "refused", refused);
}

void serve_answer(struct serve *serve, uint64_t ticket, json_t *answer)
{
	struct reader *reader = NULL;

	for (int i = 0; i < SERVE_CLIENTS_MAX && !reader; i++)
		if (serve->readers[i] && serve->readers[i]->ticket == ticket)
			reader = serve->readers[i];
	if (json_object_get(answer, "error"))
		serve->refused[REFUSED_NOT_DONE]++;
	if (!reader) {
		json_decref(answer);
		return;
	}
	reader->ticket = 0;
	if (reader->op == WIRE_PING && answer)
		counts_add(serve, answer);
	reader_say(reader, answer);
	client_answered(reader->client);
}

static void line_tell(struct serve *serve, const char *line, bool story)
{
	for (int i = 0; i < SERVE_CLIENTS_MAX; i++) {
		struct reader *reader = serve->readers[i];

		if (!reader || !reader->follows || (story && !reader->hears))
			continue;
		client_say(reader->client, line, strlen(line));
		client_flush(reader->client);
	}
}

void serve_occurrence(struct serve *serve, json_t *occurrence)
{
	const char *line = journal_add(serve->journal, occurrence), *complaint = NULL;

	if (serve->store) {
		store_append(serve->store, line);
		complaint = store_complaint(serve->store);
	}
	if (complaint)
		talk_error(0, "%s", complaint);

	if (line)
		line_tell(serve, line, false);
}

void serve_story(struct serve *serve, json_t *story)
{
	_cleanup_free_ char *line = wire_text(story);

	if (line)
		line_tell(serve, line, true);
}

bool serve_is_heard(const struct serve *serve)
{
	return serve->hearing > 0;
}
