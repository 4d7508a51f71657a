// SPDX-License-Identifier: GPL-2.0-only
#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "cleanup.h"
#include "talk.h"

#define LINE_MAX_BYTES (4UL << 20) /* more than any line that a memtree sends */
#define PIECE 65536

void dial_close(struct dial *dial)
{
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
	free(dial->text);
	dial->text = NULL;
	dial->used = dial->room = 0;
}

/* Whether `pid` counts its pids as we do; then only they can be compared. */
static bool is_of_our_namespace(pid_t pid)
{
	struct stat own, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return pid > 0 && !stat("/proc/self/ns/pid", &own) && !stat(path, &other) &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* Anybody may take an abstract name first. */
static bool is_loader(int fd, const struct tracker *tracker)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid)
		return false;
	return !is_of_our_namespace(peer.pid) || (uint32_t)peer.pid == tracker->header.loader_tgid;
}

static int dial_open(const struct sockaddr_un *address, socklen_t length, time_t timeout_s,
		     struct dial *dial)
{
	const struct timeval patience = {.tv_sec = timeout_s};

	dial->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (dial->fd < 0 ||
	    setsockopt(dial->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(dial->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(dial->fd, (const struct sockaddr *)address, length))
		return -errno;
	return 0;
}

static int dial_connect(const struct tracker *tracker, struct dial *dial)
{
	struct sockaddr_un address;
	socklen_t length = wire_address(tracker->id, &address);
	int err = dial_open(&address, length, DIAL_TIMEOUT_S, dial);

	if (err)
		return err;
	return is_loader(dial->fd, tracker) ? 0 : -EPERM;
}

static int dial_send(const struct dial *dial, const struct wire_request *request)
{
	_cleanup_free_ char *line = wire_line(request);
	size_t length = line ? strlen(line) : 0;

	if (!line)
		return -ENOMEM;
	if (send(dial->fd, line, length, MSG_NOSIGNAL) != (ssize_t)length)
		return errno ? -errno : -EIO;
	return 0;
}

/* One piece more. 0 at the end, else 1 or negative errno. */
static int dial_fill(struct dial *dial)
{
	ssize_t got;

	if (dial->room - dial->used < PIECE) {
		char *longer = realloc(dial->text, dial->room + 4 * PIECE);

		if (!longer)
			return -ENOMEM;
		dial->text = longer;
		dial->room += 4 * PIECE;
	}
	if (dial->used > LINE_MAX_BYTES)
		return -EPROTO;
	got = recv(dial->fd, dial->text + dial->used, PIECE, 0);
	if (got < 0)
		return -errno;
	dial->used += (size_t)got;
	return got > 0;
}

/* The first whole line; NULL when there is none, `*ret_err` when it is no object. */
static json_t *dial_take(struct dial *dial, int *ret_err)
{
	char *end = dial->used ? memchr(dial->text, '\n', dial->used) : NULL;
	size_t length = end ? (size_t)(end - dial->text) : 0;
	json_t *object;

	if (!end)
		return NULL;
	object = json_loadb(dial->text, length, 0, NULL);
	dial->used -= length + 1;
	memmove(dial->text, end + 1, dial->used);
	if (!json_is_object(object)) {
		json_decref(object);
		*ret_err = -EPROTO;
		return NULL;
	}
	return object;
}

/* Waits for a line. */
static int dial_next(struct dial *dial, json_t **ret_object)
{
	int err = 0, filled = 1;
	json_t *object;

	for (;;) {
		object = dial_take(dial, &err);
		if (object || err)
			break;
		filled = dial_fill(dial);
		if (filled == -EINTR)
			continue;
		if (filled <= 0)
			return filled ? filled : -ECONNRESET;
	}
	*ret_object = object;
	return err;
}

static int answer_read(struct dial *dial, json_t *kept)
{
	json_int_t lines, dropped = 0;
	const char *refusal;
	json_t *first, *object;
	int err = dial_next(dial, &first);

	if (err)
		return err;
	refusal = json_string_value(json_object_get(first, "error"));
	if (refusal)
		err = talk_error(-EREMOTEIO, "tracker %u does not answer: %s", dial->tracker,
				 refusal);
	else if (json_unpack(first, "{s:I, s:I}", "lines", &lines, "dropped", &dropped))
		err = -EPROTO;
	json_decref(first);
	if (!err && dropped)
		talk_note("tracker %u has forgotten its oldest %lld occurrences", dial->tracker,
			  (long long)dropped);
	while (!err && lines-- > 0) {
		err = dial_next(dial, &object);
		if (!err)
			json_array_append_new(kept, object);
	}
	/* What came right behind them. */
	while (!err && (object = dial_take(dial, &err)))
		json_array_append_new(kept, object);
	return err;
}

static const char *reason(int err)
{
	switch (-err) {
	case ECONNREFUSED:
		return "nobody listens there: it has just ended, or runs in another network "
		       "namespace";
	case EAGAIN:
	case EINPROGRESS:
		return "it does not answer: is it stopped?";
	case EPERM:
		return "somebody else has taken its socket";
	case EPROTO:
		return "its answer is not understood";
	default:
		return strerror(-err);
	}
}

int dial_ask(const struct tracker *tracker, const struct wire_request *request, struct dial *dial,
	     json_t *kept)
{
	int err;

	*dial = (struct dial){.tracker = tracker->id, .fd = -1};
	err = dial_connect(tracker, dial);
	if (!err)
		err = dial_send(dial, request);
	/* Who refuses does not wait for the request, and has said why. */
	if (!err || err == -EPIPE)
		err = answer_read(dial, kept);
	if (err && err != -EREMOTEIO)
		talk_error(err, "the memtree of tracker %u (process %u) cannot be asked: %s",
			   tracker->id, tracker->header.loader_tgid, reason(err));
	return err;
}

void dial_read(struct dial *dial, json_t *came)
{
	int filled = dial_fill(dial), err = 0;
	json_t *object;

	if (filled == -EINTR || filled == -EAGAIN)
		return;
	while ((object = dial_take(dial, &err)))
		json_array_append_new(came, object);
	if (err || filled < 0)
		talk_error(err, "tracker %u is not followed any more: %s", dial->tracker,
			   reason(err ? err : filled));
	if (err || filled <= 0)
		dial_close(dial);
}

static int path_dial(const char *path, const struct wire_request *request, struct dial *dial,
		     json_t **ret_answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	err = dial_open(&address, sizeof(address), DIAL_REQUEST_TIMEOUT_S, dial);
	if (!err)
		err = dial_send(dial, request);
	if (!err || err == -EPIPE)
		err = dial_next(dial, ret_answer);
	return err;
}

int dial_request(const char *path, const struct wire_request *request, json_t **ret_answer,
		 struct refusal *ret_refusal)
{
	struct dial dial = {.fd = -1};
	json_t *answer = NULL;
	const char *refused;
	int err = path_dial(path, request, &dial, &answer), status = EXIT_FAILED;

	dial_close(&dial);
	if (err)
		return refusal_fail(
			ret_refusal, err, "the memtree daemon cannot be asked on %.90s: %s", path,
			err == -ENOENT || err == -ECONNREFUSED ? "none is running" : reason(err));
	refused = json_string_value(json_object_get(answer, "error"));
	if (!refused) {
		*ret_answer = answer;
		return 0;
	}
	json_unpack(answer, "{s:i}", "status", &status);
	refusal_set(ret_refusal, status, "%s", refused);
	json_decref(answer);
	return -EREMOTEIO;
}
