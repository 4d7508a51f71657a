// SPDX-License-Identifier: GPL-2.0-only
/* What memtree opens while it adopts a tree, by its own system calls: nothing of /proc. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "shell.h"

#ifdef __x86_64__
/* What the tracee is about to open, or an empty string. */
static void path_opened(pid_t pid, char path[256])
{
	struct user_regs_struct registers;
	struct iovec here = {.iov_base = path, .iov_len = 255}, there = {.iov_len = 255};

	path[0] = '\0';
	if (ptrace(PTRACE_GETREGS, pid, NULL, &registers))
		return;
	if (registers.orig_rax == SYS_open)
		there.iov_base = (void *)registers.rdi;
	else if (registers.orig_rax == SYS_openat || registers.orig_rax == SYS_openat2)
		there.iov_base = (void *)registers.rsi;
	else
		return;
	/* Up to the end of the page, where the next may be missing. */
	there.iov_len = 4096 - ((uintptr_t)there.iov_base & 4095);
	if (there.iov_len > 255)
		there.iov_len = 255;
	here.iov_len = there.iov_len;
	memset(path, 0, 256);
	process_vm_readv(pid, &here, 1, &there, 1, 0);
}

static bool is_waiting(pid_t pid)
{
	struct user_regs_struct registers;

	return !ptrace(PTRACE_GETREGS, pid, NULL, &registers) &&
	       (registers.orig_rax == SYS_epoll_wait || registers.orig_rax == SYS_epoll_pwait);
}

/* Of a memory checker: the program's own map of itself. */
static bool is_of_itself(const char *path)
{
	return !strncmp(path, "/proc/self/", 11);
}

static void test_nothing_is_read_from_proc(void **state)
{
	char target[16], path[256];
	int status, opened = 0;
	bool saw_btf = false;
	pid_t pid, sleeper = sleeper_start(0);

	(void)state;
	snprintf(target, sizeof(target), "%d", sleeper);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* A leak checker and a tracer exclude each other. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(memtree(), "memtree", "add", "-q", target, NULL);
		_exit(254);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int number = WSTOPSIG(status);

		if (number == SIGTRAP)
			path_opened(pid, path);
		/* All is done: it waits for the end of the tree. */
		if (number == SIGTRAP && is_waiting(pid))
			kill(sleeper, SIGKILL);
		if (number == SIGTRAP && path[0]) {
			opened++;
			saw_btf |= !strcmp(path, "/sys/kernel/btf/vmlinux");
			if (!strncmp(path, "/proc", 5) && !is_of_itself(path))
				fail_msg("memtree opened %s", path);
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, number == SIGTRAP ? 0L : (long)number);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(opened > 0);
	assert_true(saw_btf);
	waitpid(sleeper, NULL, 0);
	await_trackers(0);
}
#else
static void test_nothing_is_read_from_proc(void **state)
{
	(void)state;
	skip_because("the tracer knows the registers of x86-64 only");
}
#endif

int opens_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_read_from_proc),
	};

	return cmocka_run_group_tests_name("opens", tests, NULL, NULL);
}
