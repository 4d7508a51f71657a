// SPDX-License-Identifier: GPL-2.0-only
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "talk.h"
#include "units.h"

#define GROUPS_MAX 256

enum step {
	STEP_REGISTER,
	STEP_USER,
	STEP_EXEC,
};

struct failure {
	enum step step;
	int error; /* errno */
};

struct account {
	bool wanted;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	size_t group_count;
};

/*
 * Local accounts only: the C library's wider lookup loads plug-ins, which a statically
 * linked program cannot.
 */
static int account_find(const char *user, struct account *ret_account)
{
	struct account account = {.wanted = true};
	FILE *passwd = fopen("/etc/passwd", "re");
	const struct passwd *entry = NULL;
	uint32_t number;
	bool is_number = units_parse_count(user, &number);

	if (is_number)
		account.uid = account.gid = number;
	while (passwd && (entry = fgetpwent(passwd)))
		if (!strcmp(entry->pw_name, user) || (is_number && entry->pw_uid == number))
			break;
	if (entry) {
		account.uid = entry->pw_uid;
		account.gid = entry->pw_gid;
	}
	if (passwd)
		fclose(passwd);
	if (!entry && !is_number)
		return -ENOENT;
	*ret_account = account;
	return 0;
}

static bool is_member(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++)
		if (!strcmp(*member, user))
			return true;
	return false;
}

static void account_add_groups(const char *user, struct account *account)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group;

	account->groups[account->group_count++] = account->gid;
	while (file && account->group_count < GROUPS_MAX && (group = fgetgrent(file)))
		if (is_member(group, user))
			account->groups[account->group_count++] = group->gr_gid;
	if (file)
		fclose(file);
}

static int account_become(const struct account *account)
{
	if (!account->wanted)
		return 0;
	if (setgroups(account->group_count, account->groups) || setgid(account->gid) ||
	    setuid(account->uid))
		return -errno;
	return 0;
}

static _Noreturn void child_fail(int fd, enum step step, int err)
{
	struct failure failure = {.step = step, .error = -err};

	if (write(fd, &failure, sizeof(failure)) != sizeof(failure))
		_exit(EXIT_RUN_FAILED);
	_exit(EXIT_CANNOT_EXEC);
}

static _Noreturn void child_main(const struct tracker *tracker, const struct account *account,
				 char **command, const sigset_t *signals, int go, int failed)
{
	uint32_t tree;
	int err;

	/* Memtree gave up, or died: nobody would track the command. */
	if (read(go, &tree, sizeof(tree)) != sizeof(tree))
		_exit(EXIT_RUN_FAILED);
	err = tracker_register_self(tracker, tree);
	if (err)
		child_fail(failed, STEP_REGISTER, err);
	err = account_become(account);
	if (err)
		child_fail(failed, STEP_USER, err);
	sigprocmask(SIG_SETMASK, signals, NULL);
	execvp(command[0], command);
	child_fail(failed, STEP_EXEC, -errno);
}

int launch_fork(const struct tracker *tracker, const char *user, char **command,
		const sigset_t *signals, struct launch *ret_launch)
{
	struct account account = {};
	int go[2] = {-1, -1}, failed[2] = {-1, -1};
	struct launch launch = LAUNCH_NONE;
	int err;

	if (user && account_find(user, &account))
		return talk_error(-ENOENT,
				  "there is no local user '%.80s': name one of "
				  "/etc/passwd, or a number",
				  user);
	if (user)
		account_add_groups(user, &account);
	if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		return talk_error(-errno, "no pipe to the command: %s", strerror(errno));
	fflush(NULL);
	launch.pid = fork();
	if (!launch.pid) {
		close(go[1]);
		close(failed[0]);
		child_main(tracker, &account, command, signals, go[0], failed[1]);
	}
	err = launch.pid < 0 ? -errno : 0;
	close(go[0]);
	close(failed[1]);
	launch.go = go[1];
	launch.failed = failed[0];
	if (!err) {
		launch.pidfd = (int)syscall(SYS_pidfd_open, launch.pid, 0);
		err = launch.pidfd < 0 ? -errno : 0;
	} else {
		close(take_fd(launch.go));
	}
	*ret_launch = launch;
	if (err)
		return talk_error(err, "the command cannot be started: %s", strerror(-err));
	return 0;
}

static int failure_tell(const struct failure *failure, const char *command)
{
	switch (failure->step) {
	case STEP_REGISTER:
		talk_error(0, "%.200s cannot be registered as the root of a tree: %s", command,
			   strerror(failure->error));
		return EXIT_RUN_FAILED;
	case STEP_USER:
		talk_error(0, "%.200s cannot be given its user: %s", command,
			   strerror(failure->error));
		return EXIT_RUN_FAILED;
	case STEP_EXEC:
		talk_error(0, "%.200s cannot be run: %s", command, strerror(failure->error));
		return failure->error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
	}
	return EXIT_RUN_FAILED;
}

int launch_go(struct launch *launch, uint32_t tree, const char *command)
{
	struct failure failure;
	ssize_t got;

	if (write(launch->go, &tree, sizeof(tree)) != sizeof(tree)) {
		talk_error(0, "the command's process died before it could start");
		return EXIT_RUN_FAILED;
	}
	close(launch->go);
	launch->go = -1;
	/* The exec closes the other end. */
	got = read(launch->failed, &failure, sizeof(failure));
	if (!got)
		return 0;
	waitpid(launch->pid, NULL, 0);
	if (got != sizeof(failure)) {
		talk_error(0, "the command's process died before it could start");
		return EXIT_RUN_FAILED;
	}
	return failure_tell(&failure, command);
}

void launch_free(struct launch *launch)
{
	if (launch->pidfd >= 0)
		close(launch->pidfd);
	if (launch->go >= 0) {
		/* Still waiting: it ends when it reads the end of the pipe. */
		close(launch->go);
		waitpid(launch->pid, NULL, 0);
	}
	if (launch->failed >= 0)
		close(launch->failed);
	*launch = LAUNCH_NONE;
}
