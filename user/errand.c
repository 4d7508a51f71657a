// SPDX-License-Identifier: GPL-2.0-only
#include "errand.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/* For what was killed to die: a system call that heeds no signal may hold it for longer. Then it
 * is left to whoever reaps what memtree leaves. */
#define REAP_MS 100

struct errand {
	pid_t pid;
	int pidfd, told;
	struct event *ended;
	errand_done_fn done;
	void *context;
};

/* What the loop has blocked or handles is nothing to it. */
static _Noreturn void child_main(errand_fn work, const void *context, int fd, pid_t parent)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	setsid();
	/* Who waits for it is gone: nobody would end it at its deadline. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(2, 1) < 0)
		_exit(127);
	_exit(work(fd, context));
}

static void errand_free(struct errand *errand)
{
	if (errand->ended)
		event_free(errand->ended);
	if (errand->pidfd >= 0)
		close(errand->pidfd);
	if (errand->told >= 0)
		close(errand->told);
	free(errand);
}

/* The pid is its own until it is reaped; the group may not be there yet. */
static void errand_kill(const struct errand *errand)
{
	struct pollfd poll_end = {.fd = errand->pidfd, .events = POLLIN};

	kill(errand->pid, SIGKILL);
	kill(-errand->pid, SIGKILL);
	poll(&poll_end, 1, REAP_MS);
	waitpid(errand->pid, NULL, WNOHANG);
}

void errand_cancel(struct errand *errand)
{
	if (!errand)
		return;
	errand_kill(errand);
	errand_free(errand);
}

static void on_end(evutil_socket_t fd, short what, void *context)
{
	struct errand *errand = context;
	const struct errand copy = *errand;
	struct errand_end end = {.late = what & EV_TIMEOUT};
	ssize_t got = 0;

	(void)fd;
	if (end.late) {
		errand_kill(errand);
	} else {
		waitpid(errand->pid, &end.status, 0);
		got = read(errand->told, end.bytes, sizeof(end.bytes));
	}
	end.length = got > 0 ? (size_t)got : 0;
	errand_free(errand);
	copy.done(copy.context, &end);
}

static int errand_watch(struct event_base *loop, uint64_t timeout_ns, struct errand *errand)
{
	const struct timeval timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
					.tv_usec = (suseconds_t)(timeout_ns % 1000000000 / 1000)};

	errand->pidfd = (int)syscall(SYS_pidfd_open, errand->pid, 0);
	if (errand->pidfd < 0)
		return -errno;
	errand->ended = event_new(loop, errand->pidfd, EV_READ, on_end, errand);
	return errand->ended && !event_add(errand->ended, &timeout) ? 0 : -ENOMEM;
}

int errand_start(struct event_base *loop, errand_fn work, const void *work_context,
		 uint64_t timeout_ns, errand_done_fn done, void *context,
		 struct errand **ret_errand)
{
	struct errand *errand = calloc(1, sizeof(*errand));
	int ends[2], err;
	pid_t parent;

	if (!errand)
		return -ENOMEM;
	*errand = (struct errand){.pidfd = -1, .told = -1, .done = done, .context = context};
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		err = -errno;
		errand_free(errand);
		return err;
	}
	errand->told = ends[0];
	parent = getpid();
	errand->pid = fork();
	if (!errand->pid)
		child_main(work, work_context, ends[1], parent);
	err = errand->pid < 0 ? -errno : 0;
	close(ends[1]);
	if (err) {
		errand_free(errand);
		return err;
	}
	err = errand_watch(loop, timeout_ns, errand);
	if (err) {
		errand_cancel(errand);
		return err;
	}
	*ret_errand = errand;
	return 0;
}
