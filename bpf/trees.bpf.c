// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree's totals: adding to them up the chain of enclosing trees, what is inherited with
 * its window still open, and the peak of charged.
 *
 * Nothing here takes a lock or uses an atomic's result (5.10 has neither): every change
 * is an atomic add of a difference that the caller owns or that racing CPUs agree on.
 */
#include "charge.h"
#include "trees.bpf.h"

/* NULL when the tree is gone. */
static __always_inline struct mt_settings *tree_look(__u32 id, struct mt_totals **ret_totals)
{
	__u32 slot = id & tree_slot_mask;
	struct mt_settings *settings = bpf_map_lookup_elem(&mt_settings, &slot);
	struct mt_totals *totals = bpf_map_lookup_elem(&mt_totals, &slot);

	if (!settings || !totals || settings->id != id)
		return NULL;
	*ret_totals = totals;
	return settings;
}

/* NULL, and counted, when the tree is gone. */
static __always_inline struct mt_settings *tree_find(__u32 id, struct mt_totals **ret_totals)
{
	struct mt_settings *settings = tree_look(id, ret_totals);

	if (!settings)
		loss_count(MT_LOSS_NO_TREE);
	return settings;
}

/* A loop of its own, which the verifier then walks once per program and not once per caller. */
__weak s64 tree_inherited_open(__u32 id, u64 now_ns)
{
	struct mt_window_key key = {.tree = id};
	struct mt_settings *settings;
	struct mt_totals *totals;
	s64 sum = 0;

	settings = tree_look(id, &totals);
	if (!settings)
		return 0;
	for (int i = 0; i < MT_EPOCHS; i++) {
		struct mt_window *window;

		key.epoch = totals->epochs[i];
		if (!charge_window_open(key.epoch, now_ns))
			continue;
		window = bpf_map_lookup_elem(&mt_windows, &key);
		if (window)
			sum += charge_clamp(charge_measure(window->bytes, settings->metric));
	}
	return sum;
}

/* What is charged of `measured`, the tree's total as its metric counts it. */
static __always_inline s64 tree_charged(const struct mt_totals *totals, __u32 id, s64 measured,
					u64 now_ns)
{
	if (!charge_window_open(totals->last_epoch, now_ns))
		return measured;
	return measured - tree_inherited_open(id, now_ns);
}

/* Two CPUs may store in either order; the second look after the store lets the higher win. */
static __always_inline void peak_store(struct mt_totals *totals, s64 charged, u64 now_ns)
{
	for (int i = 0; i < 2; i++) {
		if (charged <= *(volatile s64 *)&totals->peak)
			break;
		totals->peak = charged;
		totals->peak_mono_ns = now_ns;
	}
}

__weak int tree_peak(__u32 id)
{
	struct mt_settings *settings;
	struct mt_totals *totals;
	u64 now_ns = bpf_ktime_get_ns();
	s64 charged;

	settings = tree_find(id, &totals);
	if (!settings)
		return 0;
	charged = tree_charged(totals, id, charge_measure(totals->bytes, settings->metric), now_ns);
	peak_store(totals, charged, now_ns);
	return 0;
}

__weak int tree_peak_raise(__u32 id, s64 charged)
{
	struct mt_totals *totals;

	if (tree_find(id, &totals))
		peak_store(totals, charged, bpf_ktime_get_ns());
	return 0;
}

/* The event of a round is sent by who claims it; if there is no room for it, by the next. */
static __always_inline void event_send(__u32 type, struct mt_settings *settings,
				       struct mt_totals *totals, s64 measured, s64 charged,
				       u64 now_ns)
{
	struct mt_claim claim = {.tree = settings->id, .round = settings->alarm_round};
	struct mt_event *event;
	__u32 round = claim.round;

	/* The kernel's stop is told beside what the round told before. */
	if (type == MT_EVENT_STOP)
		claim.round |= MT_CLAIM_STOP;
	/* Where no claim can be had, it is told twice rather than never. */
	if (map_insert(&mt_claims, &claim, &round, BPF_NOEXIST) == -EEXIST)
		return;
	event = bpf_ringbuf_reserve(&mt_events, sizeof(*event), 0);
	if (!event) {
		loss_count(MT_LOSS_EVENTS);
		map_delete(&mt_claims, &claim);
		return;
	}
	event->mono_ns = now_ns;
	event->measured = measured;
	event->charged = charged;
	event->type = type;
	event->tree = claim.tree;
	event->round = round;
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = 0;
	event->status = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	totals->alarmed_round = round;
}

__weak int tree_edge(__u32 id, int grows)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct mt_settings *settings;
	struct mt_totals *totals;
	s64 measured, charged;
	bool tree;

	settings = tree_find(id, &totals);
	if (!settings)
		return 0;
	tree = !(settings->flags & MT_SETTINGS_STOP_PROCESS);
	measured = charge_measure(totals->bytes, settings->metric);
	charged = measured;
	if (measured > settings->stop_above)
		charged = tree_charged(totals, id, measured, now_ns);
	if (charged > settings->stop_above && (grows || tree)) {
		if (tree)
			totals->doomed = 1;
		event_send(MT_EVENT_STOP, settings, totals, measured, charged, now_ns);
		return TREE_STOP;
	}
	if (totals->alarmed_round != settings->alarm_round) {
		if (measured > settings->alarm_above)
			event_send(MT_EVENT_ABOVE, settings, totals, measured, 0, now_ns);
		else if (measured < settings->alarm_below)
			event_send(MT_EVENT_BELOW, settings, totals, measured, 0, now_ns);
	}
	return 0;
}

__weak int tree_oom(__u32 id, __u32 tgid, u64 task)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct mt_settings *settings;
	struct mt_totals *totals;
	struct mt_event *event;

	settings = tree_find(id, &totals);
	if (!settings)
		return 0;
	event = bpf_ringbuf_reserve(&mt_events, sizeof(*event), 0);
	if (!event) {
		loss_count(MT_LOSS_EVENTS);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->mono_ns = now_ns;
	event->measured = charge_measure(totals->bytes, settings->metric);
	event->charged = tree_charged(totals, id, event->measured, now_ns);
	event->type = MT_EVENT_OOM;
	event->tree = id;
	event->tgid = tgid;
	BPF_CORE_READ_STR_INTO(&event->comm, (struct task_struct *)task, comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

__weak int tree_edges(__u32 id, __u32 kind, s64 moved)
{
	int found = 0;

	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;
		s64 measured;

		settings = tree_look(id, &totals);
		if (!settings)
			break;
		measured = charge_measure(totals->bytes, settings->metric);
		if (measured > settings->near_above || measured < settings->alarm_below)
			found |= tree_edge(id, moved > 0 && (settings->metric >> (kind & 3)) & 1);
		id = settings->parent;
	}
	return found;
}

__weak int tree_is_doomed(__u32 id)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;

		settings = tree_look(id, &totals);
		if (!settings)
			break;
		if (totals->doomed)
			return 1;
		id = settings->parent;
	}
	return 0;
}

/* Arms the tree args[0]: near_above, alarm_above, alarm_below, stop_above, flags follow.
 * Returns the round that this begins, 0 when the tree is gone. */
SEC("raw_tp")
int tree_arm(struct bpf_raw_tracepoint_args *ctx)
{
	struct mt_claim claim = {.tree = ctx->args[0]};
	struct mt_settings *settings;
	struct mt_totals *totals;

	settings = tree_look(claim.tree, &totals);
	if (!settings)
		return 0;
	settings->near_above = ctx->args[1];
	settings->alarm_above = ctx->args[2];
	settings->alarm_below = ctx->args[3];
	settings->stop_above = ctx->args[4];
	settings->flags = ctx->args[5];
	/* Last: who still sees the round before sends at most its event again. */
	claim.round = settings->alarm_round;
	settings->alarm_round = claim.round + 1 ? claim.round + 1 : 1;
	map_delete(&mt_claims, &claim);
	claim.round |= MT_CLAIM_STOP;
	map_delete(&mt_claims, &claim);
	return settings->alarm_round;
}

/* Sets the window of the tree args[0] to args[1] ns; 0 when the tree is gone. */
SEC("raw_tp")
int tree_window(struct bpf_raw_tracepoint_args *ctx)
{
	struct mt_settings *settings;
	struct mt_totals *totals;

	settings = tree_look(ctx->args[0], &totals);
	if (settings)
		settings->window_ns = ctx->args[1];
	return !!settings;
}

/* Dooms the tree args[0], or with 0 in args[1] lets it live. */
SEC("raw_tp")
int tree_doom(struct bpf_raw_tracepoint_args *ctx)
{
	struct mt_totals *totals;
	__u32 id = ctx->args[0];

	if (!tree_look(id, &totals))
		return 0;
	totals->doomed = !!ctx->args[1];
	return 1;
}

/* Has the loader look at the tree args[0]. */
SEC("raw_tp")
int tree_nudge(struct bpf_raw_tracepoint_args *ctx)
{
	struct mt_event event = {
		.mono_ns = bpf_ktime_get_ns(),
		.type = MT_EVENT_CHANGED,
		.tree = ctx->args[0],
	};

	if (bpf_ringbuf_output(&mt_events, &event, sizeof(event), 0))
		loss_count(MT_LOSS_EVENTS);
	return 0;
}

__weak int tree_add(__u32 id, __u32 kind, s64 bytes)
{
	int found = 0;

	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;
		__u32 parent;
		s64 measured;

		settings = tree_find(id, &totals);
		if (!settings)
			break;
		/* Before the change: after the last one user space may close the slot. */
		parent = settings->parent;
		/* A window that closed raised charged without an event: look before it falls. */
		if (bytes < 0 && charge_measure(totals->bytes, settings->metric) > totals->peak)
			tree_peak(id);
		__sync_fetch_and_add(&totals->bytes[kind & 3], bytes);
		measured = charge_measure(totals->bytes, settings->metric);
		if (bytes > 0 && measured > totals->peak)
			tree_peak(id);
		if (totals->doomed)
			found |= TREE_STOP;
		if (measured > settings->near_above || measured < settings->alarm_below)
			found |= TREE_NEAR;
		id = parent;
	}
	return found;
}

__weak int tree_end_tell(__u32 id)
{
	struct mt_event *event = bpf_ringbuf_reserve(&mt_events, sizeof(*event), 0);

	if (!event) {
		loss_count(MT_LOSS_EVENTS);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->mono_ns = bpf_ktime_get_ns();
	event->type = MT_EVENT_END;
	event->tree = id;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Who takes the last one sees 0; two may, and tell it twice. */
__weak int tree_hold(__u32 id, s64 holds, s64 forks)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;
		__u32 parent;

		settings = tree_find(id, &totals);
		if (!settings)
			break;
		parent = settings->parent;
		__sync_fetch_and_add(&totals->forks, forks);
		__sync_fetch_and_add(&totals->holds, holds);
		if (ends_are_told && holds < 0 && *(volatile s64 *)&totals->holds <= 0)
			tree_end_tell(id);
		id = parent;
	}
	return 0;
}

/* A dead member does not hold its tree: that may be gone before the last of its time is told.
 * Its time first: a reader that finds no zombie any more looks for none. */
__weak int tree_bury(__u32 id, s64 zombies, u64 cpu_ns)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++) {
		struct mt_settings *settings;
		struct mt_totals *totals;

		settings = tree_look(id, &totals);
		if (!settings)
			break;
		__sync_fetch_and_add(&totals->ended_cpu_ns, cpu_ns);
		__sync_fetch_and_add(&totals->zombies, zombies);
		id = settings->parent;
	}
	return 0;
}

/*
 * The slot of a deadline, made when it is the first of that epoch. Inserting with
 * BPF_NOEXIST is the claim: who wins enters it into the ring and deletes what the ring's
 * place held, 64 epochs ago or more.
 */
static __always_inline struct mt_window *window_make(struct mt_totals *totals,
						     struct mt_window_key *key)
{
	u64 epoch = key->epoch;
	struct mt_window empty = {};
	__u32 place = epoch % MT_EPOCHS;

	key->epoch = totals->epochs[place];
	if (key->epoch && key->epoch != epoch)
		map_delete(&mt_windows, key);
	key->epoch = epoch;
	if (!map_insert(&mt_windows, key, &empty, BPF_NOEXIST)) {
		totals->epochs[place] = epoch;
		if (epoch > totals->last_epoch)
			totals->last_epoch = epoch;
	}
	return bpf_map_lookup_elem(&mt_windows, key);
}

/* One tree of the chain; returns the one around it. What is taken back from a slot that is gone
 * needs no slot: it was over long ago. */
__weak __u32 window_move(__u32 id, u64 deadline, __u32 kind, s64 bytes)
{
	struct mt_window_key key = {.epoch = deadline, .tree = id};
	struct mt_window *window = bpf_map_lookup_elem(&mt_windows, &key);
	struct mt_settings *settings;
	struct mt_totals *totals;

	settings = tree_find(id, &totals);
	if (!settings)
		return 0;
	if (!window && bytes > 0)
		window = window_make(totals, &key);
	if (window)
		__sync_fetch_and_add(&window->bytes[kind & 3], bytes);
	else if (bytes > 0)
		loss_count(MT_LOSS_WINDOWS_FULL);
	return settings->parent;
}

__weak int tree_exempt(__u32 id, u64 deadline, __u32 kind, s64 bytes)
{
	for (int depth = 0; depth < MT_DEPTH && id; depth++)
		id = window_move(id, deadline, kind, bytes);
	return 0;
}

__weak int tree_root(__u32 id, __u32 tgid)
{
	struct mt_totals *totals;

	if (!tree_find(id, &totals))
		return 0;
	totals->root_tgid = tgid;
	return 1;
}

__weak int tree_owner(__u32 id, __u32 tgid)
{
	struct mt_totals *totals;

	if (tree_find(id, &totals))
		totals->owner_tgid = tgid;
	return 0;
}

__weak int tree_mix(__u32 id, __u32 other)
{
	struct mt_totals *totals;

	if (id == other)
		return 0;
	if (tree_look(id, &totals))
		totals->mixed = 1;
	if (tree_look(other, &totals))
		totals->mixed = 1;
	return 0;
}

__weak int tree_is_owned_by(__u32 id, __u32 tgid)
{
	struct mt_totals *totals;

	return tree_find(id, &totals) && totals->owner_tgid == tgid;
}

__weak u64 tree_window_ns(__u32 id)
{
	struct mt_totals *totals;
	struct mt_settings *settings = tree_find(id, &totals);

	return settings ? settings->window_ns : 0;
}
