// SPDX-License-Identifier: GPL-2.0-only
#include "root.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "registry.h"
#include "talk.h"

int root_start(struct tracker *tracker, const char *name, char **command, struct root *ret_root)
{
	struct tree_request request = {.metric = MT_METRIC_RSS, .window_ns = 3000000000ULL};
	sigset_t none;
	int err;

	*ret_root = ROOT_NONE;
	sigemptyset(&none);
	snprintf(request.name, sizeof(request.name), "%s", name);
	err = launch_fork(tracker, NULL, command, &none, &ret_root->launch);
	if (err)
		return err;
	err = registry_open(tracker, &request, &ret_root->tree);
	if (err)
		return talk_error(err, "no tree for %s: %s", name, strerror(-err));
	return launch_go(&ret_root->launch, ret_root->tree, command[0]) ? -ECHILD : 0;
}

void root_end(struct tracker *tracker, struct root *root)
{
	if (root->launch.pid > 0) {
		kill(root->launch.pid, SIGKILL);
		waitpid(root->launch.pid, NULL, 0);
	}
	launch_free(&root->launch);
	if (root->tree)
		registry_close(tracker, root->tree);
	*root = ROOT_NONE;
}
