// SPDX-License-Identifier: GPL-2.0-only
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "clock.h"
#include "control.h"
#include "look.h"
#include "registry.h"
#include "report.h"
#include "serve.h"
#include "talk.h"
#include "ward.h"

/* Told in one go: what a crossing waits for then is not much. */
#define STORIES_AT_ONCE 256

struct guard {
	struct warden warden;
	struct control *control; /* NULL: nobody listens on a path */
	struct ring_buffer *ring;
	struct event *ring_event;
	struct ward *wards; /* by slot */
	uint32_t capacity;
	bool disarmed;		   /* and that was told */
	unsigned int stories_left; /* of those told in one go */
	uint64_t stories_lost;	   /* by now, told or before anybody listened */
	uint64_t events_lost;	   /* by now, and looked for */
};

static struct ward *ward_of(struct guard *guard, uint32_t tree)
{
	return &guard->wards[tree & (guard->capacity - 1)];
}

static const char *name_of(struct guard *guard, uint32_t tree)
{
	return ward_name(ward_of(guard, tree), guard->warden.tracker, tree);
}

/* True when the tree is open. Of one that has ended it is the policy that it had, as long as its
 * slot is not another's; then as it was seen last. */
static bool policy_find(struct guard *guard, uint32_t tree, struct mt_policy *ret_policy)
{
	uint32_t slot = tree & (guard->capacity - 1);
	struct mt_registration registration;

	if (tracker_lookup(guard->warden.tracker, MT_MAP_POLICIES, &slot, ret_policy) ||
	    ret_policy->id != tree) {
		*ret_policy = guard->wards[slot].policy;
		if (ret_policy->id != tree)
			*ret_policy = (struct mt_policy){.id = tree};
		return false;
	}
	return !tracker_lookup(guard->warden.tracker, MT_MAP_REGISTRY, &slot, &registration) &&
	       registration.id == tree;
}

/* The ward is the tree's from then on. Of a tree that is gone only what has `happened` to it
 * matters, and what was begun. */
static struct ward *ward_get(struct guard *guard, uint32_t tree, bool happened)
{
	struct ward *ward = ward_of(guard, tree);
	struct mt_policy policy;

	if (!policy_find(guard, tree, &policy) && ward->tree != tree && (!happened || ward->tree))
		return NULL;
	return ward_take(ward, &guard->warden, &policy) ? NULL : ward;
}

static void wards_each(struct guard *guard, void (*what)(struct ward *ward))
{
	for (uint32_t slot = 0; slot < guard->capacity; slot++) {
		struct mt_policy policy;
		struct ward *ward;

		if (tracker_lookup(guard->warden.tracker, MT_MAP_POLICIES, &slot, &policy) ||
		    !policy.id)
			continue;
		ward = ward_get(guard, policy.id, false);
		if (ward)
			what(ward);
	}
}

/* Of any tree, with a limit or without. */
static void guard_oom(struct guard *guard, const struct mt_event *event)
{
	static const struct mt_policy none;
	struct subject subject = {
		.tracker = guard->warden.tracker,
		.id = event->tree,
		.name = name_of(guard, event->tree),
		.policy = &none,
	};
	struct look look = {};

	if (!look_take_tree(guard->warden.tracker, event->tree, &look)) {
		subject.look = &look;
		subject.tree = model_find(&look.model, event->tree);
	}
	if (subject.tree)
		subject.policy = &subject.tree->policy;
	report_oom(guard->warden.serve, &subject, event);
	look_free(&look);
}

/* Negative when others shall have their turn first. */
static int guard_story(struct guard *guard, const struct mt_event *event)
{
	const struct subject subject = {
		.tracker = guard->warden.tracker,
		.id = event->tree,
		.name = name_of(guard, event->tree),
	};

	report_story(guard->warden.serve, &subject, event);
	return --guard->stories_left || guard->warden.closing ? 0 : -EAGAIN;
}

static int on_event(void *context, void *data, size_t size)
{
	const struct mt_event *event = data;
	struct guard *guard = context;
	struct ward *ward;

	if (size < sizeof(*event))
		return 0;
	if (event->type >= MT_EVENT_FORK)
		return guard_story(guard, event);
	if (event->type == MT_EVENT_OOM) {
		guard_oom(guard, event);
		return 0;
	}
	if (event->type == MT_EVENT_END) {
		registry_sweep(guard->warden.tracker, event->tree);
		return 0;
	}
	if (ward_of(guard, event->tree)->ended == event->tree)
		return 0;
	ward = ward_get(guard, event->tree, event->type == MT_EVENT_STOP);
	if (ward && event->type == MT_EVENT_STOP)
		ward_stop(ward, event);
	else if (ward)
		ward_look(ward);
	return 0;
}

static uint64_t stories_lost(const struct guard *guard)
{
	uint64_t lost = guard->stories_lost;

	tracker_loss(guard->warden.tracker, MT_LOSS_STORIES, &lost);
	return lost;
}

static void stories_count(struct guard *guard)
{
	uint64_t lost;

	if (!serve_is_heard(guard->warden.serve))
		return;
	lost = stories_lost(guard);
	if (lost > guard->stories_lost)
		report_lost(guard->warden.serve, guard->warden.tracker, lost - guard->stories_lost);
	guard->stories_lost = lost;
}

/* What found no room in the ring may have been a crossing, or the end, of any tree. */
static void events_recover(struct guard *guard)
{
	uint64_t lost = guard->events_lost;

	tracker_loss(guard->warden.tracker, MT_LOSS_EVENTS, &lost);
	if (lost == guard->events_lost)
		return;
	talk_note("tracker %u: %llu events found no room in the ring: every tree is looked at",
		  guard->warden.tracker->id, (unsigned long long)(lost - guard->events_lost));
	guard->events_lost = lost;
	registry_sweep(guard->warden.tracker, 0);
	wards_each(guard, ward_look);
}

static void ring_read(struct guard *guard)
{
	guard->stories_left = STORIES_AT_ONCE;
	ring_buffer__consume(guard->ring);
	stories_count(guard);
	events_recover(guard);
}

static void on_ring(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	ring_read(context);
}

static void on_hearing(void *context, bool heard)
{
	const uint64_t args[] = {heard};
	struct guard *guard = context;

	guard->stories_lost = stories_lost(guard);
	tracker_call(guard->warden.tracker, MT_PROG_STORIES_HEAR, args, 1, NULL);
}

/* Too many trees were ended, or that is over: all alarms are placed anew. */
static void on_disarmed(evutil_socket_t fd, short what, void *context)
{
	struct guard *guard = context;
	struct blast *blast = &guard->warden.blast;
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), left_ns;
	bool was_told = guard->disarmed;
	struct timeval wait;

	(void)fd;
	(void)what;
	if (blast_rearms(blast, now_ns))
		talk_error(0, "a minute has passed: limits are enforced again");
	guard->disarmed = blast_is_disarmed(blast);
	if (guard->disarmed && !was_told)
		talk_error(0,
			   "DISARMED: more than %u trees would be ended within a minute "
			   "(--max-kills): for a minute from now limits are only reported",
			   blast->most);
	if (guard->disarmed) {
		left_ns = blast->disarmed_until_ns - now_ns;
		wait = (struct timeval){.tv_sec = (time_t)(left_ns / 1000000000) + 1};
		event_add(guard->warden.disarmed, &wait);
	}
	if (guard->disarmed != was_told)
		wards_each(guard, ward_look);
}

int guard_open(struct event_base *loop, struct tracker *tracker, uint32_t max_kills,
	       struct store *store, struct guard **ret_guard)
{
	struct guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	guard->warden.tracker = tracker;
	guard->warden.loop = loop;
	guard->warden.blast.most = max_kills;
	guard->warden.disarmed = evtimer_new(loop, on_disarmed, guard);
	guard->capacity = tracker->header.tree_capacity;
	guard->wards = calloc(guard->capacity, sizeof(*guard->wards));
	guard->ring = ring_buffer__new(tracker->maps[MT_MAP_EVENTS], on_event, guard, NULL);
	if (guard->warden.disarmed && guard->wards && guard->ring)
		guard->ring_event = event_new(loop, ring_buffer__epoll_fd(guard->ring),
					      EV_READ | EV_PERSIST, on_ring, guard);
	if (!guard->ring_event || event_add(guard->ring_event, NULL) ||
	    serve_open(loop, tracker->id, store, on_hearing, guard, &guard->warden.serve)) {
		guard_close(guard);
		return -ENOMEM;
	}
	/* A parent that ignores it would have the errands reaped unseen. */
	signal(SIGCHLD, SIG_DFL);
	/* Who heard the one before has gone with it. */
	on_hearing(guard, false);
	/* All is looked at below. */
	tracker_loss(tracker, MT_LOSS_EVENTS, &guard->events_lost);
	/* What the memtree before this one has left, in the ring and undone. */
	wards_each(guard, ward_resume_grace);
	ring_read(guard);
	wards_each(guard, ward_resume_kill);
	registry_sweep(tracker, 0);
	wards_each(guard, ward_look);
	*ret_guard = guard;
	return 0;
}

static void on_request(void *context, const struct wire_request *request, uint64_t ticket)
{
	struct guard *guard = context;

	control_request(guard->control, request, ticket);
}

static void on_answer(void *context, uint64_t ticket, json_t *answer)
{
	struct guard *guard = context;

	serve_answer(guard->warden.serve, ticket, answer);
}

void guard_set_max_kills(struct guard *guard, uint32_t max_kills)
{
	guard->warden.blast.most = max_kills;
}

int guard_listen(struct guard *guard, const char *path, gid_t gid, const struct choices *base,
		 struct refusal *ret_refusal)
{
	int err = control_open(guard->warden.loop, guard->warden.tracker, base, on_answer, guard,
			       &guard->control);

	if (err)
		return refusal_fail(ret_refusal, err, "out of memory");
	err = serve_listen(guard->warden.serve, path, gid, on_request, guard, ret_refusal);
	if (err) {
		control_close(guard->control);
		guard->control = NULL;
	}
	return err;
}

void guard_close(struct guard *guard)
{
	if (!guard)
		return;
	/* The last exits, or a stop. */
	guard->warden.closing = true;
	control_close(guard->control);
	if (guard->warden.serve)
		ring_read(guard);
	for (uint32_t slot = 0; guard->wards && slot < guard->capacity; slot++)
		ward_close(&guard->wards[slot]);
	if (guard->ring_event)
		event_free(guard->ring_event);
	serve_close(guard->warden.serve);
	if (guard->warden.disarmed)
		event_free(guard->warden.disarmed);
	ring_buffer__free(guard->ring);
	free(guard->wards);
	free(guard);
}
