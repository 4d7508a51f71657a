// SPDX-License-Identifier: GPL-2.0-only
#include "aside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define BYTES_MAX ((size_t)64 << 20)

int aside_tell(int fd, const void *bytes, size_t length)
{
	for (const char *from = bytes; length;) {
		ssize_t written = write(fd, from, length);

		if (written < 0 && errno != EINTR)
			return -errno;
		from += written > 0 ? written : 0;
		length -= written > 0 ? (size_t)written : 0;
	}
	return 0;
}

_Noreturn static void child_work(aside_fn work, void *context, int fd, pid_t parent)
{
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ECHILD);
	signal(SIGPIPE, SIG_IGN);
	err = work(fd, context);
	/* Without what the parent has in its buffers. */
	_exit(err < 0 && err > -255 ? -err : 0);
}

/* What there is to read now; 0 at its end, -EAGAIN when there is none yet. */
static int bytes_take(int fd, struct aside *aside)
{
	char buffer[65536], *larger;
	ssize_t got = read(fd, buffer, sizeof(buffer));

	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!got)
		return 0;
	larger = aside->length + (size_t)got <= BYTES_MAX
			 ? realloc(aside->bytes, aside->length + (size_t)got)
			 : NULL;
	if (!larger)
		return -ENOMEM;
	aside->bytes = larger;
	memcpy(larger + aside->length, buffer, (size_t)got);
	aside->length += (size_t)got;
	return -EAGAIN;
}

/* Until the child closes its end, or the deadline. */
static int child_listen(int fd, uint64_t deadline_ns, struct aside *aside)
{
	int err;

	do {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
		struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000),
					.tv_nsec = (long)(left_ns % 1000000000)};
		struct pollfd poll = {.fd = fd, .events = POLLIN};
		int ready = left_ns ? ppoll(&poll, 1, &left, NULL) : 0;

		if (!ready) {
			aside->late = true;
			return 0;
		}
		err = ready < 0 ? errno == EINTR ? -EAGAIN : -errno : bytes_take(fd, aside);
	} while (err == -EAGAIN);
	return err;
}

int aside_run(aside_fn work, void *context, uint64_t timeout_ns, struct aside *ret_aside)
{
	uint64_t deadline_ns = clock_ns(CLOCK_MONOTONIC) + timeout_ns;
	struct aside aside = {};
	int ends[2], status = 0, err;
	pid_t parent = getpid(), pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(ends[0]);
		child_work(work, context, ends[1], parent);
	}
	err = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!err) {
		err = child_listen(ends[0], deadline_ns, &aside);
		if (aside.late || err)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!aside.late)
			aside.err = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	}
	close(ends[0]);
	if (err) {
		free(aside.bytes);
		return err;
	}
	*ret_aside = aside;
	return 0;
}
