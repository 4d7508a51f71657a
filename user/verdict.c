// SPDX-License-Identifier: GPL-2.0-only
#include "verdict.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

/* Less than this is not what people argue about. */
#define NOTEWORTHY ((int64_t)1 << 20)

/* The figures of a cgroup, and which of them are known. */
struct facts {
	int64_t usage, anon, cache, shmem, inactive, active, dirty, kernel, limit, failures, kills;
	bool has_usage, has_anon, has_cache, has_shmem, has_inactive, has_active, has_dirty,
		has_kernel, has_limit, has_failures, has_kills;
	int64_t files; /* cache without shmem; has_cache and has_shmem */
};

static int64_t take(const struct cgroupfs_figure *figure, bool *ret_known)
{
	*ret_known = !figure->err && !figure->unlimited;
	return *ret_known ? (int64_t)figure->value : 0;
}

static struct facts facts_take(const struct cgroupfs_memory *memory)
{
	const struct cgroupfs_figure *figures = memory->figures;
	struct facts facts = {};

	facts.usage = take(&figures[CGROUPFS_USAGE], &facts.has_usage);
	facts.anon = take(&figures[CGROUPFS_ANON], &facts.has_anon);
	facts.cache = take(&figures[CGROUPFS_CACHE], &facts.has_cache);
	facts.shmem = take(&figures[CGROUPFS_SHMEM], &facts.has_shmem);
	facts.inactive = take(&figures[CGROUPFS_INACTIVE_FILE], &facts.has_inactive);
	facts.active = take(&figures[CGROUPFS_ACTIVE_FILE], &facts.has_active);
	facts.dirty = take(&figures[CGROUPFS_DIRTY], &facts.has_dirty);
	facts.kernel = take(&figures[CGROUPFS_KERNEL], &facts.has_kernel);
	facts.limit = take(&memory->limit, &facts.has_limit);
	facts.failures = take(&figures[CGROUPFS_FAILURES], &facts.has_failures);
	facts.kills = take(&figures[CGROUPFS_OOM_KILLS], &facts.has_kills);
	facts.files = facts.cache > facts.shmem ? facts.cache - facts.shmem : 0;
	return facts;
}

__attribute__((format(printf, 2, 3))) static void say(struct verdict *verdict, const char *format,
						      ...)
{
	va_list args;

	assert(verdict->count < VERDICT_MAX);
	va_start(args, format);
	vsnprintf(verdict->sentences[verdict->count++], VERDICT_TEXT, format, args);
	va_end(args);
}

/* Adds to the last sentence. */
__attribute__((format(printf, 2, 3))) static void say_on(struct verdict *verdict,
							 const char *format, ...)
{
	char *sentence = verdict->sentences[verdict->count - 1];
	size_t used = strlen(sentence);
	va_list args;

	va_start(args, format);
	vsnprintf(sentence + used, VERDICT_TEXT - used, format, args);
	va_end(args);
}

/* Why Prometheus shows 35 G when top shows 600 M. */
static void say_usage(struct verdict *verdict, const struct facts *facts,
		      const struct quoted_input *processes)
{
	if (!facts->has_usage || !facts->has_cache || !facts->has_shmem ||
	    facts->files < NOTEWORTHY)
		return;
	say(verdict, "Prometheus' container_memory_usage_bytes is %s: %s of it is page cache",
	    ROW_SIZE(facts->usage), ROW_SIZE(facts->files));
	if (facts->has_inactive)
		say_on(verdict, ", of which the kernel drops %s first (inactive file)",
		       ROW_SIZE(facts->inactive));
	if (facts->has_dirty && facts->dirty)
		say_on(verdict, "; %s of it is dirty and goes to the disk before that",
		       ROW_SIZE(facts->dirty));
	say_on(verdict, "; the tree's processes are charged %s.",
	       ROW_SIZE(processes->tree.charged));
}

static void say_shmem(struct verdict *verdict, const struct facts *facts,
		      const struct quoted_input *processes)
{
	int64_t unmapped = facts->shmem - processes->tree.shmem;

	if (!facts->has_shmem || unmapped < NOTEWORTHY)
		return;
	say(verdict,
	    "%s of the cgroup is shmem (tmpfs files, memfd, shared memory); the tree maps %s of "
	    "such memory: at least %s is in no RES of its processes, and without swap only "
	    "deleting the files frees it.",
	    ROW_SIZE(facts->shmem), ROW_SIZE(processes->tree.shmem), ROW_SIZE(unmapped));
}

/* What is on neither list of file pages cannot be dropped, cache or not. */
static void say_reclaim(struct verdict *verdict, const struct facts *facts)
{
	int64_t stuck = facts->files - facts->inactive - facts->active;

	if (!facts->has_inactive || !facts->has_active || facts->files < NOTEWORTHY)
		return;
	if (stuck < NOTEWORTHY)
		say_on(verdict, "; clean page cache alone does not kill, it is dropped first");
	else
		say_on(verdict, "; %s of the page cache cannot be dropped (mlock, ramfs)",
		       ROW_SIZE(stuck));
}

/* Why it was killed at 1.0 GB of 1 GB, or why it was not. */
static void say_limit(struct verdict *verdict, const struct facts *facts,
		      const struct cgroupfs_memory *memory)
{
	bool own = memory->limit_path && !strcmp(memory->limit_path, memory->path);

	if (!facts->has_limit || !facts->has_usage || !facts->limit)
		return;
	say(verdict, "Of %s limit of %s the cgroup uses %s (%lld %%)",
	    own ? "its" : "an enclosing cgroup's", ROW_SIZE(facts->limit), ROW_SIZE(facts->usage),
	    (long long)((double)facts->usage * 100 / (double)facts->limit));
	if (facts->has_anon && facts->has_cache && facts->has_shmem) {
		say_on(verdict,
		       ": anonymous %s, shmem %s (neither reclaimable without swap), page cache %s",
		       ROW_SIZE(facts->anon), ROW_SIZE(facts->shmem), ROW_SIZE(facts->files));
		if (facts->has_kernel)
			say_on(verdict, ", kernel memory %s", ROW_SIZE(facts->kernel));
		say_reclaim(verdict, facts);
	}
	say_on(verdict, ".");
}

static void say_kills(struct verdict *verdict, const struct facts *facts)
{
	if (facts->has_kills && facts->kills)
		say(verdict,
		    "The kernel's OOM killer has killed %lld of the cgroup's processes: what cannot "
		    "be reclaimed (anonymous, shmem, kernel memory) had filled a limit or the "
		    "machine; the figures here are of after that.",
		    (long long)facts->kills);
	else if (facts->has_kills && facts->has_failures && facts->failures)
		say(verdict,
		    "Usage met the limit %lld times and the kernel made room each time: it has "
		    "killed nobody.",
		    (long long)facts->failures);
}

/* Where the rest is when top shows little: children and orphans. */
static void say_root(struct verdict *verdict, const struct quoted_input *processes)
{
	const struct quoted_tree *tree = &processes->tree;

	for (size_t i = 0; !processes->procfs_unknown && i < processes->count; i++) {
		const struct quoted_process *root = &processes->processes[i];
		int64_t others = tree->rss - root->map_rss;

		if (!root->is_root || root->err || processes->count < 2 || others < NOTEWORTHY ||
		    others < tree->rss / 4)
			continue;
		say(verdict,
		    "top's line of the root shows %s; the tree's %zu other processes have %s "
		    "resident beside that",
		    ROW_SIZE(root->leader_gone ? 0 : root->res), processes->count - 1,
		    ROW_SIZE(others));
		if (tree->orphans)
			say_on(verdict,
			       ", of which %u orphans, which ps shows below another parent, "
			       "hold %s",
			       tree->orphans, ROW_SIZE(tree->orphan_bytes));
		say_on(verdict, ".");
	}
}

/* Why the sum of what ps shows is more than there is. */
static void say_sums(struct verdict *verdict, const struct quoted_input *processes)
{
	int64_t again = 0, inherited = processes->tree.inherited;
	unsigned int sharers = 0;

	for (size_t i = 0; i < processes->count; i++)
		if (processes->processes[i].again) {
			again += processes->processes[i].map_rss;
			sharers++;
		}
	if (again >= NOTEWORTHY)
		say(verdict,
		    "%u of the processes run in another one's address space (vfork, CLONE_VM): sums "
		    "of RSS count %s again, charged does not.",
		    sharers, ROW_SIZE(again));
	if (inherited >= NOTEWORTHY)
		say(verdict,
		    "%s is shared copy-on-write since a fork whose window is still open: sums of "
		    "RSS have it, charged does not yet.",
		    ROW_SIZE(inherited));
}

static void say_members(struct verdict *verdict, const struct runtimes_input *cgroup)
{
	if (cgroup->members_unknown || !cgroup->memory || cgroup->memory->is_root)
		return;
	if (cgroup->strangers)
		say(verdict,
		    "%u processes of the cgroup are not of this tree: the cgroup's figures have "
		    "their memory, charged has not.",
		    cgroup->strangers);
	if (cgroup->members_out)
		say(verdict,
		    "%u of the tree's processes are in other cgroups: charged has their memory, "
		    "the cgroup's figures have not.",
		    cgroup->members_out);
}

void verdict_find(const struct quoted_input *processes, const struct runtimes_input *cgroup,
		  struct verdict *ret_verdict)
{
	struct verdict verdict = {};

	if (cgroup->memory && !cgroup->memory->is_root) {
		struct facts facts = facts_take(cgroup->memory);

		say_usage(&verdict, &facts, processes);
		say_shmem(&verdict, &facts, processes);
		say_limit(&verdict, &facts, cgroup->memory);
		say_kills(&verdict, &facts);
	}
	say_root(&verdict, processes);
	say_sums(&verdict, processes);
	say_members(&verdict, cgroup);
	*ret_verdict = verdict;
}
