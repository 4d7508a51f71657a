// SPDX-License-Identifier: GPL-2.0-only
#include "follow.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"
#include "look.h"
#include "registry.h"

/* Between the last exit and the end of its teardown nothing can be waited for. */
#define TEARDOWN_RETRY_MS 5
/* A member that cannot be watched (of another pid namespace) is looked after instead. */
#define UNWATCHED_RETRY_MS 100

static void watches_drop(struct follow *follow)
{
	for (int i = 0; i < follow->watch_count; i++) {
		event_free(follow->watches[i]);
		close(follow->watched[i]);
	}
	follow->watch_count = 0;
}

static void on_member_exit(evutil_socket_t fd, short what, void *context);

static void watch(struct follow *follow, uint32_t tgid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)tgid, 0);
	struct event *event;

	if (pidfd < 0)
		return;
	event = event_new(follow->loop, pidfd, EV_READ, on_member_exit, follow);
	if (!event || event_add(event, NULL)) {
		if (event)
			event_free(event);
		close(pidfd);
		return;
	}
	follow->watched[follow->watch_count] = pidfd;
	follow->watches[follow->watch_count++] = event;
}

/* Watches members, any of whose exits may be the last. */
static void members_watch(struct follow *follow)
{
	const struct tree *tree;
	struct look look;
	bool watchable;

	if (look_take_tree(follow->tracker, follow->tree, &look))
		return;
	follow->members = 0;
	/* Pids in the maps are those of the initial namespace; in another they mean others. */
	tree = model_find(&look.model, follow->tree);
	watchable = tree && tree->root_tgid == (uint32_t)follow->root;
	for (size_t i = 0; i < look.model.process_count; i++) {
		const struct process *process = &look.model.processes[i];

		if (process->zombie || !model_is_inside(&look.model, process->tree, follow->tree))
			continue;
		follow->members++;
		if (watchable && follow->watch_count < FOLLOW_WATCHED_MAX)
			watch(follow, process->tgid);
	}
	look_free(&look);
}

/*
 * A member that was forked meanwhile is found then, as its parent was watched or is followed
 * by one that is.
 */
void follow_look(struct follow *follow)
{
	struct timeval retry = {.tv_usec = TEARDOWN_RETRY_MS * 1000};

	watches_drop(follow);
	/* An exit that was missed would be waited for without end. */
	census_heal(follow->tracker);
	/* Nobody would ever tell the end of a tree whose tracker was taken out of the kernel. */
	follow->lost = !tracker_is_attached(follow->tracker);
	if (follow->lost || registry_holds(follow->tracker, follow->tree) <= 0) {
		event_base_loopbreak(follow->loop);
		return;
	}
	members_watch(follow);
	if (follow->watch_count)
		return;
	if (follow->members)
		retry.tv_usec = UNWATCHED_RETRY_MS * 1000;
	event_add(follow->timer, &retry);
}

static void on_member_exit(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	follow_look(context);
}

int follow_open(struct follow *follow, struct event_base *loop, struct tracker *tracker)
{
	follow->loop = loop;
	follow->tracker = tracker;
	follow->timer = evtimer_new(loop, on_member_exit, follow);
	return follow->timer ? 0 : -ENOMEM;
}

void follow_close(struct follow *follow)
{
	watches_drop(follow);
	if (follow->timer)
		event_free(follow->timer);
}
