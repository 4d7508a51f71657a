// SPDX-License-Identifier: GPL-2.0-only
#include "ward.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "asking.h"
#include "charge.h"
#include "clock.h"
#include "hook.h"
#include "killing.h"
#include "look.h"
#include "pass.h"
#include "registry.h"
#include "talk.h"

/* Between two rounds of SIGKILL, as long as somebody is left; and when so many were in vain, as
 * somebody cannot die. */
#define KILL_RETRY_MS 2
#define KILL_ROUNDS 5000
#define KILL_LATER_MS 500

/* Looks in a row that may be put off as they were of no one moment. */
#define TORN_MAX 3

/* Looks at once; then others have their turn. */
#define LOOKS_MAX 16

/* Where there is no alarm: after a failure to read, before a tree has its root. */
#define READ_RETRY_MS 100

const char *ward_name(struct ward *ward, const struct tracker *tracker, uint32_t tree)
{
	uint32_t slot = tree & (tracker->header.tree_capacity - 1);
	struct mt_registration registration;
	struct mt_policy policy;
	const char *name = "";

	if (!tracker_lookup(tracker, MT_MAP_REGISTRY, &slot, &registration) &&
	    registration.id == tree)
		name = registration.name;
	else if (!tracker_lookup(tracker, MT_MAP_POLICIES, &slot, &policy) && policy.id == tree)
		name = policy.name;
	if (name[0]) {
		memcpy(ward->name, name, sizeof(ward->name));
		ward->named = tree;
	}
	return ward->named == tree ? ward->name : "";
}

/* `policy` is what it was judged by. */
static struct subject subject_of(struct ward *ward, const struct mt_policy *policy,
				 const struct look *look, const struct tree *tree)
{
	return (struct subject){
		.tracker = ward->warden->tracker,
		.id = ward->tree,
		.name = ward_name(ward, ward->warden->tracker, ward->tree),
		.policy = policy,
		.look = look,
		.tree = tree,
	};
}

/* When the first of its open windows ends. */
static uint64_t exempt_until(const struct look *look, uint32_t tree)
{
	uint64_t first = 0;

	for (size_t i = 0; i < look->snapshot.tree_count; i++) {
		const struct mt_totals *totals = &look->snapshot.trees[i].totals;

		if (look->snapshot.trees[i].settings.id != tree)
			continue;
		for (int j = 0; j < MT_EPOCHS; j++)
			if (charge_window_open(totals->epochs[j], look->snapshot.mono_ns) &&
			    (!first || totals->epochs[j] < first))
				first = totals->epochs[j];
	}
	return first << MT_EPOCH_SHIFT;
}

/* Members that have memory: who has none left is about to end, and gave nothing back. */
static unsigned int holders(const struct model *model, const struct tree *tree)
{
	unsigned int count = 0;

	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *process = &model->processes[i];

		count += !process->zombie && model_is_inside(model, process->tree, tree->id) &&
			 bytes_rss(process->bytes) + process->bytes[MT_SWAP] > 0;
	}
	return count;
}

static struct policy_reading reading_of(const struct ward *ward, const struct look *look,
					const struct tree *tree)
{
	return (struct policy_reading){
		.charged = tree->charged,
		.inherited = tree->inherited,
		.shareable = tree->shareable,
		.live = charge_measure((const __s64 *)tree->live, tree->metric),
		.error_bound = tree->error_bound,
		.now_mono_ns = clock_ns(CLOCK_MONOTONIC),
		.exempt_until_ns = exempt_until(look, tree->id),
		.window_ns = tree->window_ns,
		.processes = holders(&look->model, tree),
		.pss_state = ward->pss_state,
		.pss = ward->pss.bytes,
		.hook_ended = ward->hook_ended,
		.vmem = (uint64_t)tree->vmem,
		.yarn_over = yarn_kills(&ward->report.yarn),
		.pass_at_ns = ward->pass_at_ns,
	};
}

/* A pass when it is due; what it says by the limits as they are now. The tree's window is the
 * monitor's interval. */
static void pass_by(struct ward *ward, const struct look *look, const struct tree *tree)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	ward->report.yarn = (struct yarn_decision){.skipped = true};
	if (ward->policy.rule != MT_RULE_YARN)
		return;
	if (now_ns >= ward->pass_at_ns) {
		ward->pass_at_ns = now_ns + (tree->window_ns ?: PASS_INTERVAL_NS);
		if (pass_make(&look->model, tree, &ward->passes))
			talk_error(-ENOMEM, "%s: out of memory: this pass is left out", tree->name);
	}
	ward->report.yarn = yarn_decide(&ward->passes, YARN_STAT, ward->policy.limit,
					ward->policy.vmem_limit);
}

static void timer_set(struct ward *ward, uint64_t at_ns)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	uint64_t wait_us = at_ns > now_ns ? (at_ns - now_ns + 999) / 1000 : 0;
	const struct timeval wait = {.tv_sec = (time_t)(wait_us / 1000000),
				     .tv_usec = (suseconds_t)(wait_us % 1000000)};

	if (at_ns)
		event_add(ward->timer, &wait);
	else
		event_del(ward->timer);
}

/* --- alarms ------------------------------------------------------------------------------ */

/* What was begun is finished, even when too many trees were ended. */
static bool is_disarmed(const struct ward *ward)
{
	return blast_is_disarmed(&ward->warden->blast) && ward->state.phase != POLICY_GRACE &&
	       ward->state.phase != POLICY_DYING;
}

/* Whether a crossing happened before the alarm stood. */
static bool has_crossed(const struct ward *ward, uint32_t metric, uint32_t round,
			const struct policy_decision *decision)
{
	const struct tracker *tracker = ward->warden->tracker;
	uint32_t slot = ward->tree & (tracker->header.tree_capacity - 1);
	struct mt_totals totals;
	int64_t live;

	if (tracker_lookup(tracker, MT_MAP_TOTALS, &slot, &totals))
		return false;
	live = charge_measure(totals.bytes, metric);
	return totals.alarmed_round != round &&
	       (live > decision->alarm_above || live < decision->alarm_below);
}

/* True when the tree has to be looked at once more. */
static bool alarms_set(const struct ward *ward, uint32_t metric,
		       const struct policy_decision *decision)
{
	uint32_t termed = ward->state.phase == POLICY_GRACE ? ward->state.grace_processes : 0;
	uint32_t flags = (ward->policy.kill_process ? MT_SETTINGS_STOP_PROCESS : 0) |
			 (is_disarmed(ward) ? MT_SETTINGS_DISARMED : 0) |
			 (termed < MT_SETTINGS_TERMED_MAX ? termed : MT_SETTINGS_TERMED_MAX)
				 << MT_SETTINGS_TERMED_SHIFT;
	const uint64_t args[] = {ward->tree,
				 (uint64_t)decision->near_above,
				 (uint64_t)decision->alarm_above,
				 (uint64_t)decision->alarm_below,
				 (uint64_t)decision->stop_above,
				 flags};
	uint32_t round = 0;

	if (tracker_call(ward->warden->tracker, MT_PROG_TREE_ARM, args, 6, &round) || !round)
		return false;
	return has_crossed(ward, metric, round, decision);
}

/* --- errands ----------------------------------------------------------------------------- */

static void on_hook(void *context, const struct errand_end *end)
{
	struct ward *ward = context;
	const struct subject subject = subject_of(ward, &ward->policy, NULL, NULL);

	ward->hook = NULL;
	ward->hook_ended = true;
	report_hook_end(ward->warden->serve, &subject, end->late, end->status);
	ward_look(ward);
}

static void hook_run(struct ward *ward, const struct tree *tree)
{
	int err = hook_start(ward->warden->loop, &ward->policy, tree, on_hook, ward, &ward->hook);

	if (!err)
		return;
	ward->hook_ended = true;
	talk_error(err, "%s: its hook cannot be run: %s", tree->name, strerror(-err));
}

static void errands_end(struct ward *ward, bool asking, bool hook)
{
	if (asking) {
		errand_cancel(ward->asking);
		ward->asking = NULL;
	}
	if (hook) {
		errand_cancel(ward->hook);
		ward->hook = NULL;
	}
}

/* --- looks ------------------------------------------------------------------------------- */

static void forget(struct ward *ward)
{
	errands_end(ward, true, true);
	if (ward->timer)
		event_del(ward->timer);
	ward->tree = 0;
	ward->state = (struct policy_state){};
	ward->report = (struct report){};
	ward->pss_state = POLICY_PSS_AWAITED;
	ward->asked = 0;
	ward->hook_ended = false;
	ward->torn = ward->rounds = 0;
	yarn_tree_free(&ward->passes);
	ward->passes = (struct yarn_tree){};
	ward->pass_at_ns = 0;
}

/* Nobody is left to decide about; what comes after, another event tells. */
static void finish(struct ward *ward)
{
	const struct subject subject = subject_of(ward, &ward->policy, NULL, NULL);

	if (ward->state.phase == POLICY_DYING || ward->state.phase == POLICY_GRACE ||
	    ward->state.phase == POLICY_HOOK) {
		report_end(ward->warden->serve, &subject, &ward->report);
		ward->ended = ward->tree;
	}
	forget(ward);
}

/* Again and again until nobody is left: a newborn may not have been there before. */
static void kill_all(struct ward *ward, const struct look *look)
{
	killing_doom(ward->warden->tracker, ward->tree);
	ward->report.killed += killing_signal(ward->warden->tracker, &look->model, ward->tree,
					      SIGKILL);
	timer_set(ward, clock_ns(CLOCK_MONOTONIC) +
				(++ward->rounds < KILL_ROUNDS ? KILL_RETRY_MS : KILL_LATER_MS) *
					1000000ULL);
}

/* The dump stands above what the hook said. */
static void over_tell(struct ward *ward, const struct subject *subject)
{
	if (ward->report.hooked)
		report_hook_in_vain(ward->warden->serve, subject, &ward->report);
	else
		report_over(ward->warden->serve, subject, &ward->report);
}

/* What SIGTERM, the hook or nothing at all has left. */
static void kill_first(struct ward *ward, const struct subject *subject)
{
	/* First: to tell it takes time, on a terminal that is stopped for ever. */
	killing_doom(ward->warden->tracker, ward->tree);
	if (ward->report.warned)
		report_kill(ward->warden->serve, subject);
	else
		over_tell(ward, subject);
	kill_all(ward, subject->look);
}

static void act(struct ward *ward, const struct subject *subject,
		const struct policy_decision *decision)
{
	struct serve *serve = ward->warden->serve;

	switch (decision->act) {
	case POLICY_NOTHING:
		break;
	case POLICY_WARN:
		report_warn(serve, subject);
		break;
	case POLICY_CONFIRM:
		asking_start(ward, subject->look, subject->tree);
		break;
	case POLICY_SPARE:
		report_spare(serve, subject, ward->pss.bytes);
		ward->report = (struct report){};
		break;
	case POLICY_REPORT:
		report_over(serve, subject, &ward->report);
		break;
	case POLICY_RUN_HOOK:
		report_over(serve, subject, &ward->report);
		ward->report.hooked = true;
		hook_run(ward, subject->tree);
		break;
	case POLICY_TERM:
		over_tell(ward, subject);
		ward->report.warned = true;
		/* Known to the next memtree before the first of them dies. */
		alarms_set(ward, subject->tree->metric, decision);
		killing_signal(ward->warden->tracker, &subject->look->model, ward->tree, SIGTERM);
		break;
	case POLICY_KILL:
		kill_first(ward, subject);
		break;
	case POLICY_CALL_OFF:
		report_call_off(serve, subject, &ward->report);
		ward->report = (struct report){};
		break;
	}
}

/* Whether it begins to end the tree: a SIGKILL after SIGTERM does not. */
static bool is_end(enum policy_act act, enum policy_phase before)
{
	return act == POLICY_TERM || (act == POLICY_KILL && before != POLICY_GRACE);
}

/* `ret_policy` is what it was judged by: while too many were ended, nothing but reports. */
static struct policy_decision judge(struct ward *ward, const struct policy_reading *reading,
				    struct mt_policy *ret_policy)
{
	struct blast *blast = &ward->warden->blast;
	const struct policy_state before = ward->state;
	struct policy_decision decision;

	*ret_policy = ward->policy;
	if (is_disarmed(ward))
		ret_policy->on_limit = MT_ON_LIMIT_WARN;
	decision = policy_judge(ret_policy, &ward->state, reading);
	if (is_end(decision.act, before.phase) && !blast_permits(blast, reading->now_mono_ns)) {
		event_active(ward->warden->disarmed, EV_TIMEOUT, 0);
		ward->state = before;
		ret_policy->on_limit = MT_ON_LIMIT_WARN;
		decision = policy_judge(ret_policy, &ward->state, reading);
	}
	ward->report.disarmed = is_disarmed(ward);
	return decision;
}

/*
 * A reading that took its time may add up what was never there at once: one member before its
 * end, another after its growth. When the total at its begin was within the limit, the next look
 * shows what is true.
 */
static bool is_torn(struct ward *ward, const struct tree *tree)
{
	int64_t limit = (int64_t)ward->policy.limit;
	bool doubtful = limit && tree->moved && tree->charged > limit &&
			tree->live_charged + tree->error_bound <= limit;

	ward->torn = doubtful ? ward->torn + 1 : 0;
	return doubtful && ward->torn <= TORN_MAX;
}

/* True when another look must follow at once. */
static bool tree_judge(struct ward *ward, const struct look *look, const struct tree *tree)
{
	struct policy_reading reading;
	struct policy_decision decision;
	struct mt_policy policy;
	struct subject subject;
	bool again;

	if (is_torn(ward, tree))
		return true;
	if (asking_again(ward, look, tree))
		return false;
	pass_by(ward, look, tree);
	reading = reading_of(ward, look, tree);
	ward->report.pss = ward->pss_state == POLICY_PSS_KNOWN ? ward->pss.bytes : 0;
	ward->pss_state = POLICY_PSS_AWAITED;
	ward->hook_ended = false;
	decision = judge(ward, &reading, &policy);
	errands_end(ward, ward->state.phase != POLICY_CONFIRMING, ward->state.phase != POLICY_HOOK);
	subject = subject_of(ward, &policy, look, tree);
	act(ward, &subject, &decision);
	again = alarms_set(ward, tree->metric, &decision);
	if (ward->state.phase != POLICY_DYING)
		timer_set(ward, decision.wake_at_ns);
	return again || ward->hook_ended || ward->pss_state == POLICY_PSS_FAILED;
}

/* Its root is about to be entered: it has not ended, though nobody is in it. */
static bool is_being_made(const struct tree *tree)
{
	return !tree->root_tgid || !tree->forks;
}

/* No event will tell that such a tree is to be looked at. */
static bool needs_clock(const struct mt_policy *policy)
{
	return policy->vmem_limit || (policy->limit && policy->rule == MT_RULE_YARN);
}

/* One look; true when another must follow at once. */
static bool look_once(struct ward *ward)
{
	const struct tree *tree;
	struct look look;
	bool again = false;
	int err = look_take_tree(ward->warden->tracker, ward->tree, &look);

	if (err) {
		talk_error(err, "the maps cannot be read, limits wait: %s", strerror(-err));
		timer_set(ward, clock_ns(CLOCK_MONOTONIC) + READ_RETRY_MS * 1000000ULL);
		return false;
	}
	tree = model_find(&look.model, ward->tree);
	/* A change whose event found no room. */
	if (tree && tree->policy.id == ward->tree)
		ward->policy = tree->policy;
	if (!tree) {
		/* One that was removed may live on, as a part of another: then it has not ended. */
		registry_disarm(ward->warden->tracker, ward->tree, 0);
		if (registry_holds(ward->warden->tracker, ward->tree) > 0)
			forget(ward);
		else
			finish(ward);
	} else if (is_being_made(tree) && (is_disarmed(ward) || tree->disarmed)) {
		/* It is just being made, and the kernel's stop stood there before. */
		registry_disarm(ward->warden->tracker, ward->tree, MT_SETTINGS_DISARMED);
		timer_set(ward, clock_ns(CLOCK_MONOTONIC) + READ_RETRY_MS * 1000000ULL);
	} else if (is_being_made(tree) && needs_clock(&ward->policy)) {
		timer_set(ward, clock_ns(CLOCK_MONOTONIC) + READ_RETRY_MS * 1000000ULL);
	} else if (!tree->processes) {
		finish(ward);
	} else if (ward->state.phase == POLICY_DYING) {
		kill_all(ward, &look);
	} else {
		again = tree_judge(ward, &look, tree);
	}
	look_free(&look);
	return again;
}

void ward_look(struct ward *ward)
{
	unsigned int looks = 0;

	while (ward->tree && !ward->warden->closing && look_once(ward))
		if (++looks >= LOOKS_MAX) {
			timer_set(ward, clock_ns(CLOCK_MONOTONIC) + 1000000);
			break;
		}
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	ward_look(context);
}

int ward_take(struct ward *ward, struct warden *warden, const struct mt_policy *policy)
{
	ward->warden = warden;
	/* Its slot is another's by now. */
	if (ward->tree && ward->tree != policy->id)
		finish(ward);
	if (!ward->timer)
		ward->timer = evtimer_new(warden->loop, on_timer, ward);
	if (!ward->timer)
		return -ENOMEM;
	ward->tree = policy->id;
	ward->policy = *policy;
	/* For when it is gone. */
	ward_name(ward, warden->tracker, ward->tree);
	return 0;
}

/* The kernel has done it: what is left is told, and ended. */
void ward_stop(struct ward *ward, const struct mt_event *event)
{
	struct blast *blast = &ward->warden->blast;
	bool told = ward->state.phase == POLICY_DYING && ward->report.begun_mono_ns;
	struct subject subject;
	struct look look;

	if (!ward->policy.kill_process) {
		if (ward->state.phase != POLICY_GRACE && ward->state.phase != POLICY_DYING)
			blast_note(blast, clock_ns(CLOCK_MONOTONIC));
		if (blast_is_disarmed(blast))
			event_active(ward->warden->disarmed, EV_TIMEOUT, 0);
		policy_stopped(&ward->state);
		errands_end(ward, true, true);
	}
	if (!told && !look_take_tree(ward->warden->tracker, ward->tree, &look)) {
		subject = subject_of(ward, &ward->policy, &look,
				     model_find(&look.model, ward->tree));
		report_stop(ward->warden->serve, &subject, &ward->report, event);
		if (ward->policy.kill_process)
			ward->report = (struct report){};
		look_free(&look);
	}
	ward_look(ward);
}

/* Who stopped in the middle of it has not reached all: twice does less harm than never. */
static void term_again(struct ward *ward, const struct look *look, const struct tree *tree)
{
	policy_termed(&ward->policy, &ward->state, tree->termed, clock_ns(CLOCK_MONOTONIC));
	killing_signal(ward->warden->tracker, &look->model, ward->tree, SIGTERM);
}

/* What another memtree has begun and is gone. */
static void resume(struct ward *ward, bool killing)
{
	const struct tree *tree;
	struct subject subject;
	struct look look;

	if (ward->state.phase == POLICY_DYING || look_take(ward->warden->tracker, &look))
		return;
	tree = model_find(&look.model, ward->tree);
	if (tree && tree->processes && (killing ? tree->doomed : tree->termed > 0)) {
		subject = subject_of(ward, &ward->policy, &look, tree);
		report_resume(ward->warden->serve, &subject, killing, &ward->report);
		if (killing)
			policy_stopped(&ward->state);
		else
			term_again(ward, &look, tree);
	}
	look_free(&look);
}

void ward_resume_grace(struct ward *ward)
{
	resume(ward, false);
}

void ward_resume_kill(struct ward *ward)
{
	resume(ward, true);
}

void ward_close(struct ward *ward)
{
	/* Its last member may have ended after the last look. */
	if (ward->tree && !registry_holds(ward->warden->tracker, ward->tree))
		finish(ward);
	forget(ward);
	if (ward->timer)
		event_free(ward->timer);
	ward->timer = NULL;
}
