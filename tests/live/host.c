// SPDX-License-Identifier: GPL-2.0-only
#include "host.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "guard.h"
#include "shell.h"
#include "talk.h"

/* --- the host itself ------------------------------------------------------------------------ */

static void on_term(evutil_socket_t signal_number, short what, void *context)
{
	(void)signal_number;
	(void)what;
	event_base_loopbreak(context);
}

int host_main(const char *path, const char *gid)
{
	const struct loader_options options = {.process_capacity = 256, .pinned = true};
	struct event_base *loop = event_base_new();
	struct event *term = evsignal_new(loop, SIGTERM, on_term, loop);
	struct refusal why = {.text = "it cannot be started"};
	struct tracker *tracker = NULL;
	struct loader *loader = NULL;
	struct guard *guard = NULL;
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	event_add(term, NULL);
	err = loader_start(&options, &loader);
	if (!err)
		err = tracker_open(loader_tracker_id(loader), &tracker);
	if (!err)
		err = guard_open(loop, tracker, 0, NULL, &guard);
	if (!err)
		err = guard_listen(guard, path, (gid_t)strtoul(gid, NULL, 10), NULL, &why);
	if (err)
		talk_error(err, "%s", why.text);
	else if (puts("ready") < 0 || fflush(stdout) || event_base_dispatch(loop) < 0)
		err = -EIO;
	guard_close(guard);
	tracker_close(tracker);
	loader_stop(loader);
	event_free(term);
	event_base_free(loop);
	return err ? 1 : 0;
}

/* --- starting and stopping ------------------------------------------------------------------ */

bool host_restart(struct host *host, gid_t gid)
{
	char group[16], byte = 0;
	int ends[2];

	snprintf(group, sizeof(group), "%u", (unsigned int)gid);
	assert_int_equal(pipe(ends), 0);
	if (host->err)
		fclose(host->err);
	host->err = tmpfile();
	assert_non_null(host->err);
	/* A test may forget what it has read. */
	assert_int_equal(fcntl(fileno(host->err), F_SETFL, O_APPEND), 0);
	fflush(NULL);
	host->pid = fork();
	assert_true(host->pid >= 0);
	if (!host->pid) {
		dup2(ends[1], 1);
		dup2(fileno(host->err), 2);
		close_range(3, ~0U, 0);
		execl("/proc/self/exe", "memtree-live", "--host", host->path, group, (char *)NULL);
		_exit(254);
	}
	close(ends[1]);
	/* "ready", or its end. */
	if (read(ends[0], &byte, 1) != 1)
		byte = 0;
	close(ends[0]);
	return byte == 'r';
}

struct host host_start(gid_t gid)
{
	struct host host = {.folder = "/tmp/memtree-host.XXXXXX"};

	assert_non_null(mkdtemp(host.folder));
	assert_int_equal(chmod(host.folder, 0755), 0);
	snprintf(host.path, sizeof(host.path), "%s/run/socket", host.folder);
	assert_true(host_restart(&host, gid));
	return host;
}

/* The kernel drops its maps a little later. */
static void tracker_await_end(pid_t loader)
{
	bool left = true;

	for (time_t end = 0; left && poll_on(&end);) {
		struct tracker **trackers;
		int count, foreign;

		left = false;
		assert_int_equal(trackers_find(&trackers, &count, &foreign), 0);
		for (int i = 0; i < count; i++)
			left = left || trackers[i]->header.loader_tgid == (uint32_t)loader;
		trackers_close(trackers, count);
	}
	assert_false(left);
}

void host_stop(struct host *host)
{
	static char said[TEXT_MAX];
	char inner[96];

	kill(host->pid, SIGTERM);
	assert_int_equal(await_end(host->pid), 0);
	text_read(host->err, 0, said);
	assert_string_equal(said, "");
	fclose(host->err);
	assert_int_equal(access(host->path, F_OK), -1);
	snprintf(inner, sizeof(inner), "%s/run", host->folder);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(host->folder), 0);
	tracker_await_end(host->pid);
}

/* --- asking --------------------------------------------------------------------------------- */

int host_connect(const struct host *host)
{
	const struct timeval patience = {.tv_sec = DEADLINE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", host->path);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -1;
}

void host_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

json_t *host_hear(int fd)
{
	static char line[1 << 20];
	size_t used = 0;
	json_t *object;

	/* Nothing behind the newline is taken. */
	while (used < sizeof(line) && (!used || line[used - 1] != '\n')) {
		ssize_t got = recv(fd, line + used, 1, 0);

		if (got < 0)
			assert_int_equal(errno, ECONNRESET);
		if (got <= 0)
			break;
		used++;
	}
	if (!used)
		return NULL;
	assert_int_equal(line[used - 1], '\n');
	object = json_loadb(line, used, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_is_object(object));
	return object;
}

__attribute__((format(printf, 2, 0))) static json_t *ask(const struct host *host,
							 const char *format, va_list args)
{
	char line[8192];
	int fd = host_connect(host);
	json_t *answer;

	assert_true(fd >= 0);
	vsnprintf(line, sizeof(line) - 1, format, args);
	host_send(fd, strcat(line, "\n"));
	answer = host_hear(fd);
	assert_non_null(answer);
	close(fd);
	return answer;
}

json_t *host_ask(const struct host *host, const char *format, ...)
{
	va_list args;
	json_t *answer;

	va_start(args, format);
	answer = ask(host, format, args);
	va_end(args);
	return answer;
}

void host_refuses(const struct host *host, int status, const char *text, const char *format, ...)
{
	const char *error;
	va_list args;
	json_t *answer;

	va_start(args, format);
	answer = ask(host, format, args);
	va_end(args);
	error = json_string_value(json_object_get(answer, "error"));
	if (!error || !strstr(error, text)) {
		print_error("asked: %s\nsaid: ", format);
		json_dumpf(answer, stderr, 0);
	}
	assert_non_null(error);
	assert_non_null(strstr(error, text));
	assert_int_equal(integer(answer, "status"), status);
	assert_int_equal(json_object_size(answer), 2);
	json_decref(answer);
}

void host_does(const struct host *host, const char *format, ...)
{
	va_list args;
	json_t *answer;

	va_start(args, format);
	answer = ask(host, format, args);
	va_end(args);
	if (!json_is_true(json_object_get(answer, "ok"))) {
		print_error("asked: %s\nsaid: ", format);
		json_dumpf(answer, stderr, 0);
	}
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
}
