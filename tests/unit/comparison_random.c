// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thousands of stories that nobody would tell, from a fixed seed: the causes always add up, no
 * byte stays unexplained in a story that can happen, and what cannot happen is never explained.
 */
#include "sides.h"

#define STORIES 5000
#define TREES 4
#define FIRST_CHILD 101

struct teller {
	struct sides sides;
	uint64_t seed;
	uint32_t trees, processes;
	uint32_t moved[MOST]; /* pids that change meanwhile */
	uint32_t moved_count;
	bool strangers;
};

/* xorshift64*: the same stories everywhere. */
static uint32_t chance(struct teller *teller, uint32_t below)
{
	teller->seed ^= teller->seed >> 12;
	teller->seed ^= teller->seed << 25;
	teller->seed ^= teller->seed >> 27;
	return (uint32_t)((teller->seed * 2685821657736338717ull) >> 33) % below;
}

static bool one_in(struct teller *teller, uint32_t times)
{
	return chance(teller, times) == 0;
}

static uint32_t any_tree(struct teller *teller)
{
	return 1 + chance(teller, teller->trees);
}

/* Tree 1 around some of the others. For one without a name shows what lies around it. */
static void trees_tell(struct teller *teller)
{
	static const uint32_t metrics[] = {MT_METRIC_RSS, MT_METRIC_RSS, ANON_ONLY, ANON_AND_SWAP};

	teller->trees = 1 + chance(teller, TREES);
	for (uint32_t id = 1; id <= teller->trees; id++) {
		uint32_t parent = id > 1 ? chance(teller, id) : 0;
		struct tree_reading *tree = tree_stands(&teller->sides, id, parent);

		tree->settings.metric = metrics[chance(teller, COUNT(metrics))];
		tree->totals.root_tgid = 100;
		if (parent && one_in(teller, 4))
			memset(tree->registration.name, 0, sizeof(tree->registration.name));
	}
}

/* What CPUs keep back of a kind goes both ways. */
static void space_tell(struct teller *teller, uint64_t mm, uint32_t tree)
{
	struct mt_space_record *space = space_holds(&teller->sides.before, mm, tree, 0);

	for (int kind = 0; kind < MT_KINDS; kind++) {
		space->exact[kind] = (int64_t)chance(teller, 1 << 20) * 16;
		space->space.seen[kind] = space->exact[kind] + chance(teller, 2 * BOUND) - BOUND;
		if (space->space.seen[kind] < 0)
			space->space.seen[kind] = 0;
	}
	if (one_in(teller, 3))
		space->space.deadline = one_in(teller, 4) ? CLOSED : OPEN;
	if (space->space.deadline)
		space->space.inherited[MT_ANON] = (int64_t)chance(teller, 1 << 24);
	if (space->space.deadline)
		space->space.inherited[MT_FILE] = (int64_t)chance(teller, 1 << 24);
}

static struct mt_process_record *any_record(struct teller *teller)
{
	struct story *before = &teller->sides.before;

	return &before->processes[chance(teller, (uint32_t)before->snapshot.process_count)];
}

/* Most have a space of their own, some share one, even across trees, one has lost his. */
static void process_tell(struct teller *teller, uint32_t tgid)
{
	struct story *before = &teller->sides.before;
	uint32_t parent = tgid > 100 ? any_record(teller)->tgid : 1;
	uint32_t tree = tgid > 100 ? any_tree(teller) : 1;
	uint64_t mm = tgid;

	if (tgid > 100 && one_in(teller, 4))
		mm = any_record(teller)->mm;
	else if (one_in(teller, 12))
		mm = 0;
	process_lives(before, tgid, parent, tree, mm);
	if (mm == tgid)
		space_tell(teller, mm, one_in(teller, 6) ? any_tree(teller) : tree);
	if (one_in(teller, 10))
		record_of(before, tgid)->task_state = 0x80;
}

/* The pid is there a second time, in any tree; the new one is what /proc has. */
static void pid_used_again(struct teller *teller)
{
	struct story *before = &teller->sides.before;
	struct mt_process_record *old = any_record(teller), *new;
	uint32_t tgid = old->tgid;
	uint64_t start = old->start_boot_ns + 1 + chance(teller, 2) * SECOND / 2;

	if (tgid == 100)
		return;
	new = process_lives(before, tgid, 100, any_tree(teller), 0xa000 + tgid);
	new->start_boot_ns = start;
	space_tell(teller, new->mm, new->tree);
	teller->moved[teller->moved_count++] = tgid;
}

static void maps_tell(struct teller *teller)
{
	struct story *before = &teller->sides.before;

	trees_tell(teller);
	teller->processes = 1 + chance(teller, 9);
	for (uint32_t i = 0; i < teller->processes; i++)
		process_tell(teller, 100 + i);
	for (uint32_t i = chance(teller, 3); i; i--)
		zombie_waits(before, 200 + i, any_record(teller)->tgid, any_tree(teller));
	if (one_in(teller, 4))
		space_tell(teller, 0xdead, any_tree(teller)); /* of nobody */
	if (one_in(teller, 4))
		pid_used_again(teller);
}

/* The one that /proc has of a pid. */
static const struct mt_process_record *latest(struct story *story, uint32_t tgid)
{
	const struct mt_process_record *found = NULL;

	for (size_t i = 0; i < story->snapshot.process_count; i++) {
		const struct mt_process_record *record = &story->processes[i];

		if (record->tgid == tgid &&
		    (!found || record->start_boot_ns > found->start_boot_ns))
			found = record;
	}
	return found;
}

static int64_t seen_rss(const struct mt_space_record *space)
{
	return space ? space->space.seen[MT_ANON] + space->space.seen[MT_FILE] +
			       space->space.seen[MT_SHMEM]
		     : 0;
}

static void stat_tell(struct teller *teller, const struct mt_process_record *record)
{
	static const char *const names[] = {"plain", "a\nb", "\xc2\x85", ") R 1 ("};
	struct sides *sides = &teller->sides;
	const struct mt_space_record *space = space_of(&sides->before, record->mm);
	struct procfs_stat *stat = stat_shows(sides, record->tgid, record->ppid, seen_rss(space));

	stat->start_ticks = record->start_boot_ns / TICK;
	if (record->task_state == 0x80) {
		stat->rss_bytes = 0;
		stat->state = 'Z';
		stat->threads = 2;
	}
	if (one_in(teller, 4))
		stat->ppid = 1;
	else if (one_in(teller, 8))
		stat->ppid = 50;
	if (one_in(teller, 4))
		stat->session = one_in(teller, 2) ? stat->pid : 99;
	if (one_in(teller, 10))
		snprintf(stat->comm, sizeof(stat->comm), "%s", names[chance(teller, COUNT(names))]);
}

static void procfs_tell(struct teller *teller)
{
	struct story *before = &teller->sides.before;

	for (uint32_t tgid = 100; tgid < 100 + teller->processes; tgid++)
		stat_tell(teller, latest(before, tgid));
	for (size_t i = 0; i < before->snapshot.zombie_count; i++)
		if (!one_in(teller, 4)) /* else reaped meanwhile */
			stat_shows(&teller->sides, before->zombies[i].tgid, 100, 0)->state = 'Z';
}

static bool is_moved(const struct teller *teller, uint32_t tgid)
{
	for (uint32_t i = 0; i < teller->moved_count; i++)
		if (teller->moved[i] == tgid)
			return true;
	return false;
}

/* Dies, runs another program, grows: what stat says then may be anything. */
static void process_moves(struct teller *teller, uint32_t tgid)
{
	struct story *after = &teller->sides.after;
	struct mt_process_record *record = record_of(after, tgid);
	struct procfs_stat *stat = stat_of(&teller->sides, tgid);

	switch (chance(teller, 4)) {
	case 0:
		process_gone(after, tgid);
		zombie_waits(after, tgid, 100, 1);
		stat->state = 'Z';
		break;
	case 1:
		process_gone(after, tgid);
		if (tgid != 100)
			stat_vanishes(&teller->sides, tgid);
		return;
	case 2:
		record->mm = 0xe000 + tgid;
		break;
	default: /* ran, and has again what it had before */
		record->cpu_ns = 1;
	}
	stat->rss_bytes = (int64_t)chance(teller, 1 << 26);
}

/* Of a pid that was used again the old one is gone after. */
static void old_ones_go(struct teller *teller)
{
	struct story *after = &teller->sides.after;

	for (uint32_t i = 0; i < teller->moved_count; i++) {
		const struct mt_process_record *keep = latest(after, teller->moved[i]);

		for (size_t j = 0; j < after->snapshot.process_count; j++) {
			struct mt_process_record *record = &after->processes[j];

			if (record->tgid == keep->tgid && record != keep)
				record->tgid = 0x7000; /* another pid: nobody's here */
		}
	}
}

static void moves_tell(struct teller *teller)
{
	later(&teller->sides);
	old_ones_go(teller);
	for (uint32_t tgid = 100; tgid < 100 + teller->processes; tgid++)
		if (one_in(teller, 6) && !is_moved(teller, tgid)) {
			teller->moved[teller->moved_count++] = tgid;
			process_moves(teller, tgid);
		}
	if (one_in(teller, 8))
		stat_shows(&teller->sides, 400, 100, MB)->start_ticks = NOW_BOOT / TICK;
	if (one_in(teller, 8))
		stat_shows(&teller->sides, 401, 100, 0)->state = 'Z'; /* before an adoption */
	teller->strangers = one_in(teller, 4);
	if (teller->strangers) /* of the session */
		stat_shows(&teller->sides, 402, 1, (int64_t)chance(teller, 1 << 20));
}

static void story_tell(struct teller *teller, uint64_t seed)
{
	memset(teller, 0, sizeof(*teller));
	teller->seed = seed * 0x9e3779b97f4a7c15ull | 1;
	sides_begin(&teller->sides);
	maps_tell(teller);
	procfs_tell(teller);
	moves_tell(teller);
}

/* Who is listed as missed is listed once, with a reason. */
static void lists_check(const struct comparison_process *list, size_t count, size_t most)
{
	assert_true(count <= most);
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(list[i].why, MISSED_NOT);
}

static void story_check(struct teller *teller, uint64_t seed)
{
	const struct comparison *result = &teller->sides.result;
	const struct comparison_cause *unexplained = &result->causes[CAUSE_UNEXPLAINED];

	compare(&teller->sides, 1);
	if (unexplained->processes || unexplained->bytes)
		print_error("story %llu\n", (unsigned long long)seed);
	assert_int_equal(unexplained->processes, 0);
	assert_int_equal(unexplained->bytes, 0);
	if (!teller->strangers)
		assert_int_equal(result->causes[CAUSE_FOREIGN].processes, 0);
	assert_true(result->compared <= teller->processes);
	lists_check(result->missed_by_procfs, result->missed_by_procfs_count, MOST);
	lists_check(result->missed_by_map, result->missed_by_map_count, teller->sides.count);
}

static void test_no_byte_stays_unexplained(void **state)
{
	static struct teller teller;
	uint64_t told[CAUSES] = {}, compared = 0;

	for (uint64_t seed = 1; seed <= STORIES; seed++) {
		story_tell(&teller, seed);
		story_check(&teller, seed);
		for (int cause = 0; cause < CAUSES; cause++)
			told[cause] += teller.sides.result.causes[cause].processes > 0;
		compared += teller.sides.result.compared;
		sides_end(&teller.sides);
	}
	/* The stories are worth it: each cause was met often. */
	for (int cause = 0; cause < CAUSES; cause++)
		if (cause != CAUSE_METRIC && cause != CAUSE_BORN_AND_GONE &&
		    cause != CAUSE_UNEXPLAINED)
			assert_in_range(told[cause], STORIES / 50, STORIES);
	assert_true(compared > STORIES);
}

/* Trees inside are compared alone as well; the others' members are strangers to them. */
static void test_the_causes_of_inner_trees_add_up(void **state)
{
	static struct teller teller;

	for (uint64_t seed = 1; seed <= STORIES; seed++) {
		uint32_t id;

		story_tell(&teller, seed);
		id = any_tree(&teller);
		if (teller.sides.before.trees[id - 1].registration.name[0])
			compare(&teller.sides, id);
		else
			compare(&teller.sides, 1);
		assert_int_equal(teller.sides.result.causes[CAUSE_UNEXPLAINED].processes, 0);
		sides_end(&teller.sides);
	}
}

/* --- what cannot happen ---------------------------------------------------------------------- */

enum wrong {
	WRONG_STAT,   /* a figure beyond all that can be kept back */
	WRONG_SUM,    /* likewise of the maps */
	WRONG_SPACE,  /* a member's space is not charged */
	WRONG_MEMBER, /* a member that is no more */
	WRONG_CHILD,  /* a child that the maps do not have */
	WRONGS,
};

/* A member at rest, with memory, whom procfs' tree has; NULL: this story has none. */
static const struct process *victim_find(const struct teller *teller)
{
	const struct sides *sides = &teller->sides;

	for (size_t i = 0; i < sides->before.model.process_count; i++) {
		const struct process *process = &sides->before.model.processes[i];

		if (!process->zombie && !process->shared_mm && process->payer &&
		    process->state != 'Z' && process->tgid != 100 &&
		    model_is_inside(&sides->before.model, process->tree, 1) &&
		    bytes_rss(process->bytes) > 4 * BOUND && !is_moved(teller, process->tgid) &&
		    yarn_tree_find(&sides->yarn, (pid_t)process->tgid))
			return process;
	}
	return NULL;
}

static void wrong_tell(struct sides *sides, enum wrong wrong, uint32_t tgid)
{
	switch (wrong) {
	case WRONG_STAT:
		stat_of(sides, tgid)->rss_bytes += 6 * BOUND + 1;
		break;
	case WRONG_SUM:
		space_of(&sides->before, tgid)->exact[MT_SHMEM] += 6 * BOUND + 1;
		space_of(&sides->after, tgid)->exact[MT_SHMEM] += 6 * BOUND + 1;
		break;
	case WRONG_SPACE:
		space_gone(&sides->before, tgid);
		space_gone(&sides->after, tgid);
		break;
	case WRONG_MEMBER:
		stat_vanishes(sides, tgid);
		break;
	default:
		stat_shows(sides, 500, tgid, MB);
	}
}

static bool wrong_is_seen(const struct comparison *result, enum wrong wrong)
{
	return wrong == WRONG_CHILD ? result->causes[CAUSE_FOREIGN].processes > 0
				    : result->causes[CAUSE_UNEXPLAINED].processes == 1;
}

static void test_what_cannot_happen_is_never_explained(void **state)
{
	static struct teller teller;
	unsigned int seen[WRONGS] = {};

	for (uint64_t seed = 1; seed <= STORIES; seed++) {
		enum wrong wrong = (enum wrong)(seed % WRONGS);
		const struct process *victim;
		uint32_t tgid;

		story_tell(&teller, seed);
		compare(&teller.sides, 1);
		victim = victim_find(&teller);
		tgid = victim ? victim->tgid : 0;
		sides_end(&teller.sides);
		if (!victim)
			continue;
		wrong_tell(&teller.sides, wrong, tgid);
		compare(&teller.sides, 1);
		if (!wrong_is_seen(&teller.sides.result, wrong))
			print_error("story %llu: wrong %d at %u\n", (unsigned long long)seed, wrong,
				    tgid);
		assert_true(wrong_is_seen(&teller.sides.result, wrong));
		seen[wrong]++;
		sides_end(&teller.sides);
	}
	for (int wrong = 0; wrong < WRONGS; wrong++)
		assert_in_range(seen[wrong], STORIES / WRONGS / 10, STORIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_byte_stays_unexplained),
		cmocka_unit_test(test_the_causes_of_inner_trees_add_up),
		cmocka_unit_test(test_what_cannot_happen_is_never_explained),
	};

	return cmocka_run_group_tests_name("comparison_random", tests, NULL, NULL);
}
