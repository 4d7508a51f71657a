// SPDX-License-Identifier: GPL-2.0-only
#include "carry.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "census.h"
#include "cleanup.h"
#include "registry.h"

#define VALUE_MAX 4096 /* bytes of a map's value */
#define TREES_MAX 4096
#define MEMBERS_MAX 65536

/* One of its maps; `fd` is -1 where it has none of that name. */
struct source {
	int fd;
	struct btf *btf;
	const struct btf_type *type; /* of its values */
};

struct sources {
	struct source registry, settings, policies, totals, processes;
	uint32_t slots;
};

struct old_tree {
	uint32_t id, parent, root_tgid, now; /* `now`: its id here, 0: not opened */
	unsigned int depth;
	bool doomed;
	int64_t peak;
	struct tree_request request;
};

struct old_member {
	uint32_t tgid, tree;
	uint64_t start_boot_ns;
};

struct old {
	struct old_tree *trees;
	struct old_member *members;
	size_t tree_count, member_count;
};

/* --- fields by name ---------------------------------------------------------------------- */

static const struct btf_member *field_find(const struct source *source, const char *name)
{
	for (int i = 0; i < btf_vlen(source->type); i++) {
		const struct btf_member *member = &btf_members(source->type)[i];

		if (!strcmp(btf__name_by_offset(source->btf, member->name_off), name))
			return member;
	}
	return NULL;
}

/* A number grows or shrinks to its new size (little endian, as all that memtree runs on), a text
 * keeps its NUL. What the other build does not have stays as it is. */
static void field_read(const struct source *source, const char *value, const char *name, void *ret,
		       size_t size)
{
	const struct btf_member *member = field_find(source, name);
	int64_t length = member ? btf__resolve_size(source->btf, member->type) : -1;

	if (length <= 0)
		return;
	memset(ret, 0, size);
	memcpy(ret, value + member->offset / 8, (size_t)length < size ? (size_t)length : size);
}

#define FIELD(source, value, name, ret) field_read(source, value, name, ret, sizeof(*(ret)))

struct field {
	const char *name;
	size_t offset, size;
};

#define OF(type, member)                                                     \
	{                                                                    \
#member, offsetof(type, member), sizeof(((type *)0)->member) \
	}

static void policy_read(const struct source *source, const char *value, struct mt_policy *policy)
{
	static const struct field fields[] = {
		OF(struct mt_policy, limit),	     OF(struct mt_policy, vmem_limit),
		OF(struct mt_policy, grace_ns),	     OF(struct mt_policy, hook_timeout_ns),
		OF(struct mt_policy, rule),	     OF(struct mt_policy, on_limit),
		OF(struct mt_policy, confirm),	     OF(struct mt_policy, hard_permille),
		OF(struct mt_policy, warn_permille), OF(struct mt_policy, dry_run),
		OF(struct mt_policy, kill_process),  OF(struct mt_policy, hook),
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		field_read(source, value, fields[i].name, (char *)policy + fields[i].offset,
			   fields[i].size);
	policy->hook[sizeof(policy->hook) - 1] = '\0';
}

/* --- its maps ------------------------------------------------------------------------------ */

static void source_close(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	btf__free(source->btf);
}

static void sources_close(struct sources *sources)
{
	source_close(&sources->registry);
	source_close(&sources->settings);
	source_close(&sources->policies);
	source_close(&sources->totals);
	source_close(&sources->processes);
}

/* Takes the fd when it is one of those that are wanted. */
static int source_take(struct sources *sources, int fd)
{
	const struct {
		const char *name;
		struct source *source;
	} wanted[] = {
		{"mt_registry", &sources->registry},   {"mt_settings", &sources->settings},
		{"mt_policies", &sources->policies},   {"mt_totals", &sources->totals},
		{"mt_processes", &sources->processes},
	};
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct source *source = wanted[i].source;

		if (strcmp(info.name, wanted[i].name) || source->fd >= 0 ||
		    info.value_size > VALUE_MAX || info.key_size != sizeof(__u32))
			continue;
		source->btf = btf__load_from_kernel_by_id(info.btf_id);
		source->type = source->btf ? btf__type_by_id(source->btf, info.btf_value_type_id)
					   : NULL;
		if (!source->type || !btf_is_struct(source->type))
			return -EPROTO;
		source->fd = fd;
		if (source == &sources->settings)
			sources->slots = info.max_entries;
		return 0;
	}
	close(fd);
	return 0;
}

static int sources_open(const char *folder, struct sources *ret_sources)
{
	struct sources sources = {{.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}, 0};
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	char path[PATH_MAX + 300];
	int err = entries ? 0 : -errno, fd;

	while (!err && (entry = readdir(entries))) {
		if (strncmp(entry->d_name, "map-", 4))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		fd = bpf_obj_get(path);
		err = fd < 0 ? -errno : source_take(&sources, fd);
		if (err && fd >= 0)
			close(fd);
	}
	if (entries)
		closedir(entries);
	if (!err && (sources.registry.fd < 0 || sources.settings.fd < 0 ||
		     sources.policies.fd < 0 || sources.totals.fd < 0 || sources.processes.fd < 0))
		err = -EPROTO;
	if (err)
		sources_close(&sources);
	else
		*ret_sources = sources;
	return err;
}

/* --- what they hold -------------------------------------------------------------------------- */

/* False for one that is closed, or lost its name to the tree around it. */
static bool tree_read(const struct sources *sources, __u32 slot, struct old_tree *tree)
{
	char value[VALUE_MAX];
	uint32_t doomed = 0;

	*tree = (struct old_tree){.request = {.metric = MT_METRIC_RSS}};
	if (bpf_map_lookup_elem(sources->registry.fd, &slot, value))
		return false;
	FIELD(&sources->registry, value, "id", &tree->id);
	FIELD(&sources->registry, value, "name", &tree->request.name);
	FIELD(&sources->registry, value, "started_boot_ns", &tree->request.started_boot_ns);
	tree->request.name[MT_NAME_SIZE - 1] = '\0';
	if (!tree->id || !tree->request.name[0] ||
	    bpf_map_lookup_elem(sources->settings.fd, &slot, value))
		return false;
	FIELD(&sources->settings, value, "parent", &tree->parent);
	FIELD(&sources->settings, value, "metric", &tree->request.metric);
	FIELD(&sources->settings, value, "window_ns", &tree->request.window_ns);
	if (bpf_map_lookup_elem(sources->policies.fd, &slot, value))
		return false;
	policy_read(&sources->policies, value, &tree->request.policy);
	if (bpf_map_lookup_elem(sources->totals.fd, &slot, value))
		return false;
	FIELD(&sources->totals, value, "root_tgid", &tree->root_tgid);
	FIELD(&sources->totals, value, "peak", &tree->peak);
	FIELD(&sources->totals, value, "doomed", &doomed);
	tree->doomed = doomed;
	return true;
}

static struct old_tree *tree_find(const struct old *old, uint32_t id)
{
	for (size_t i = 0; id && i < old->tree_count; i++)
		if (old->trees[i].id == id)
			return &old->trees[i];
	return NULL;
}

static int by_depth(const void *one, const void *other)
{
	const struct old_tree *a = one, *b = other;

	return (a->depth > b->depth) - (a->depth < b->depth);
}

/* Outer ones first. */
static void trees_sort(struct old *old)
{
	for (size_t i = 0; i < old->tree_count; i++) {
		struct old_tree *tree = &old->trees[i];
		const struct old_tree *outer = tree_find(old, tree->parent);

		for (; outer && tree->depth < MT_DEPTH; outer = tree_find(old, outer->parent))
			tree->depth++;
	}
	qsort(old->trees, old->tree_count, sizeof(*old->trees), by_depth);
}

static void members_read(const struct sources *sources, struct old *old)
{
	char value[VALUE_MAX];
	__u32 key, *last = NULL;

	while (old->member_count < MEMBERS_MAX &&
	       !bpf_map_get_next_key(sources->processes.fd, last, &key)) {
		struct old_member *member = &old->members[old->member_count];

		last = &key;
		if (bpf_map_lookup_elem(sources->processes.fd, &key, value))
			continue;
		*member = (struct old_member){.tgid = key};
		FIELD(&sources->processes, value, "tree", &member->tree);
		FIELD(&sources->processes, value, "start_boot_ns", &member->start_boot_ns);
		old->member_count++;
	}
}

static void old_free(struct old *old)
{
	free(old->trees);
	free(old->members);
}

static int old_read(const struct sources *sources, struct old *ret_old)
{
	struct old old = {
		.trees = calloc(TREES_MAX, sizeof(*old.trees)),
		.members = calloc(MEMBERS_MAX, sizeof(*old.members)),
	};

	if (!old.trees || !old.members) {
		old_free(&old);
		return -ENOMEM;
	}
	for (__u32 slot = 0; slot < sources->slots && old.tree_count < TREES_MAX; slot++)
		old.tree_count += tree_read(sources, slot, &old.trees[old.tree_count]);
	members_read(sources, &old);
	trees_sort(&old);
	*ret_old = old;
	return 0;
}

/* --- into this tracker ----------------------------------------------------------------------- */

/* The one that was opened when this was cut off; 0: none. */
static uint32_t tree_named(const struct tracker *tracker, const char *name)
{
	for (__u32 slot = 0; slot < tracker->header.tree_capacity; slot++) {
		struct mt_registration registration;

		if (!tracker_lookup(tracker, MT_MAP_REGISTRY, &slot, &registration) &&
		    !strcmp(registration.name, name))
			return registration.id;
	}
	return 0;
}

/* Its limit comes last: nobody is signalled for half of a tree. */
static int tree_open(struct tracker *tracker, const struct old *old, struct old_tree *tree)
{
	struct tree_request request = tree->request;
	const struct old_tree *outer = tree_find(old, tree->parent);
	int err;

	request.policy = (struct mt_policy){};
	request.parent = outer ? outer->now : 0;
	err = registry_open(tracker, &request, &tree->now);
	if (err == -EEXIST) {
		tree->now = tree_named(tracker, request.name);
		err = tree->now ? 0 : err;
	}
	return err;
}

static bool is_member(const struct tracker *tracker, const struct old_member *member)
{
	struct mt_process process;

	return !tracker_lookup(tracker, MT_MAP_PROCESSES, &member->tgid, &process) &&
	       process.start_boot_ns == member->start_boot_ns;
}

/* The root last, as who was adopted last counts as that. */
static int members_adopt(const struct tracker *tracker, const struct old *old,
			 const struct old_tree *tree)
{
	const struct old_member *root = NULL;
	int err = 0, failed;

	for (size_t i = 0; i < old->member_count; i++) {
		const struct old_member *member = &old->members[i];

		if (member->tree != tree->id || is_member(tracker, member))
			continue;
		if (member->tgid == tree->root_tgid) {
			root = member;
			continue;
		}
		failed = census_adopt(tracker, tree->now, member->tgid, member->start_boot_ns);
		err = failed ? failed : err;
	}
	failed = root ? census_adopt(tracker, tree->now, root->tgid, root->start_boot_ns) : 0;
	return failed ? failed : err;
}

static int tree_finish(struct tracker *tracker, const struct old_tree *tree)
{
	const uint64_t doom[] = {tree->now, 1};
	int err = 0;

	tracker_peak_raise(tracker, tree->now, tree->peak);
	if (tree->request.policy.limit || tree->request.policy.vmem_limit)
		err = registry_policy(tracker, tree->now, &tree->request.policy);
	if (!err && tree->doomed)
		err = tracker_call(tracker, MT_PROG_TREE_DOOM, doom, 2, NULL);
	/* Its memtree waits for it at the tracker that it knows. */
	return err ? err : registry_disown(tracker, tree->now);
}

/* Outer trees are opened first, inner ones are filled first: what descends from a member is the
 * member's. */
static int trees_carry(struct tracker *tracker, struct old *old)
{
	int err = 0, failed;

	for (size_t i = 0; i < old->tree_count; i++) {
		failed = tree_open(tracker, old, &old->trees[i]);
		err = failed ? failed : err;
	}
	for (size_t i = old->tree_count; i-- > 0;) {
		if (!old->trees[i].now)
			continue;
		failed = members_adopt(tracker, old, &old->trees[i]);
		if (!failed)
			failed = tree_finish(tracker, &old->trees[i]);
		err = failed ? failed : err;
	}
	return err ? err : (int)old->tree_count;
}

int carry_over(const char *folder, struct tracker *tracker)
{
	struct sources sources;
	struct old old;
	int result = sources_open(folder, &sources);

	if (result)
		return result;
	result = old_read(&sources, &old);
	sources_close(&sources);
	if (result)
		return result;
	result = trees_carry(tracker, &old);
	old_free(&old);
	return result;
}
