// SPDX-License-Identifier: GPL-2.0-only
#include "runtimes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

struct table {
	const struct runtimes_input *input;
	struct rows *rows;
};

static const char *figure_reason(const struct cgroupfs_figure *figure, char buffer[96])
{
	switch (-figure->err) {
	case ENOENT:
		return "this kernel or cgroup has no such file";
	case ENODATA:
		return "the file has no such line";
	case EOPNOTSUPP:
		return "there is none in this version of cgroups";
	case EPROTO:
		return "the file is not as it should be";
	default:
		snprintf(buffer, 96, "it cannot be read: %s", strerror(-figure->err));
		return buffer;
	}
}

static bool figure_tells(const struct table *table, struct row *row, enum cgroupfs_field field)
{
	const struct cgroupfs_memory *memory = table->input->memory;
	char buffer[96];

	if (!memory)
		row_unknown(row, "%s", table->input->unknown);
	else if (memory->is_root && memory->figures[field].err)
		row_unknown(row, "the root cgroup has no such figure");
	else if (memory->figures[field].err)
		row_unknown(row, "%s", figure_reason(&memory->figures[field], buffer));
	return !row->unknown[0];
}

static int64_t figure(const struct table *table, enum cgroupfs_field field)
{
	return (int64_t)table->input->memory->figures[field].value;
}

static bool is_known(const struct table *table, enum cgroupfs_field field)
{
	return table->input->memory && !table->input->memory->figures[field].err;
}

static const char *by_version(const struct table *table, const char *v1, const char *v2)
{
	const struct cgroupfs_memory *memory = table->input->memory;

	return memory && memory->version == CGROUPFS_V1 ? v1 : v2;
}

/* usage - inactive file; 0 or usage itself when that would be negative. */
static void row_of_less_inactive(struct table *table, const char *key, const char *label,
				 bool floor, const char *tail)
{
	struct row *row = row_add(table->rows, key, label, "usage - %s%s",
				  by_version(table, "total_inactive_file", "inactive_file"), tail);
	int64_t usage, inactive;

	if (!figure_tells(table, row, CGROUPFS_USAGE) ||
	    !figure_tells(table, row, CGROUPFS_INACTIVE_FILE))
		return;
	usage = figure(table, CGROUPFS_USAGE);
	inactive = figure(table, CGROUPFS_INACTIVE_FILE);
	row_know(row, inactive <= usage ? usage - inactive : floor ? 0 : usage);
	row_difference(row, table->input->charged);
	if (is_known(table, CGROUPFS_ACTIVE_FILE))
		row_note(row, "active file %s is in it: page cache, too",
			 ROW_SIZE(figure(table, CGROUPFS_ACTIVE_FILE)));
}

static void rows_of_runtimes(struct table *table)
{
	enum cgroupfs_field old_field;
	struct row *row;

	row = row_add(table->rows, "usage", "container_memory_usage_bytes (cAdvisor, Prometheus)",
		      "%s", by_version(table, "memory.usage_in_bytes", "memory.current"));
	if (figure_tells(table, row, CGROUPFS_USAGE)) {
		row_know(row, figure(table, CGROUPFS_USAGE));
		row_difference(row, table->input->charged);
		if (is_known(table, CGROUPFS_CACHE))
			row_note(row, "page cache and shmem %s are in it",
				 ROW_SIZE(figure(table, CGROUPFS_CACHE)));
	}
	row_of_less_inactive(table, "working_set", "container_memory_working_set_bytes (kubelet)",
			     true, ", at least 0");
	row_of_less_inactive(table, "docker_stats", "MEM USAGE (docker stats)", false,
			     " (docker 20.10 and newer)");
	row_of_less_inactive(table, "podman_stats", "MEM USAGE (podman stats)", false,
			     " (podman from mid 2025)");
	row = row_add(table->rows, "podman_stats_old", "MEM USAGE (podman stats, older)", "%s",
		      by_version(table, "memory.usage_in_bytes", "anon of memory.stat"));
	old_field = table->input->memory && table->input->memory->version == CGROUPFS_V1
			    ? CGROUPFS_USAGE
			    : CGROUPFS_ANON;
	if (figure_tells(table, row, old_field))
		row_difference(row_know(row, figure(table, old_field)), table->input->charged);
}

struct plain {
	enum cgroupfs_field field;
	const char *key, *label, *v1, *v2, *note;
};

static const struct plain parts[] = {
	{CGROUPFS_ANON, "cgroup_anon", "container_memory_rss (anonymous)", "total_rss", "anon",
	 "no file behind it: without swap it cannot be reclaimed"},
	{CGROUPFS_CACHE, "cgroup_cache", "container_memory_cache", "total_cache", "file",
	 "files read or written, whoever maps them; tmpfs too; in no RSS unless mapped"},
	{CGROUPFS_MAPPED, "cgroup_mapped", "container_memory_mapped_file", "total_mapped_file",
	 "file_mapped", "the part of the cache that processes map"},
	{CGROUPFS_SHMEM, "cgroup_shmem", "shmem", "total_shmem", "shmem",
	 "tmpfs, memfd, shared memory: in the cache, but without swap not reclaimable"},
	{CGROUPFS_INACTIVE_FILE, "cgroup_inactive_file", "inactive file", "total_inactive_file",
	 "inactive_file", "cache that the kernel drops first"},
	{CGROUPFS_ACTIVE_FILE, "cgroup_active_file", "active file", "total_active_file",
	 "active_file", "cache that was used twice; reclaimable, dropped later"},
	{CGROUPFS_DIRTY, "cgroup_dirty", "dirty", "total_dirty", "file_dirty",
	 "written, not yet on disk: must be written before it can be dropped"},
	{CGROUPFS_WRITEBACK, "cgroup_writeback", "writeback", "total_writeback", "file_writeback",
	 "on its way to the disk"},
	{CGROUPFS_KERNEL, "cgroup_kernel", "kernel memory", "memory.kmem.usage_in_bytes", "kernel",
	 "stacks, slabs, page tables: in usage, in no process"},
	{CGROUPFS_SWAP, "cgroup_swap", "swap of the cgroup", "total_swap", "memory.swap.current",
	 "not in usage"},
	{CGROUPFS_PEAK, "cgroup_peak", "container_memory_max_usage_bytes",
	 "memory.max_usage_in_bytes", "memory.peak", "highest usage, page cache included"},
};

static void rows_of_parts(struct table *table)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct row *row = row_add(table->rows, parts[i].key, parts[i].label, "%s",
					  by_version(table, parts[i].v1, parts[i].v2));

		if (!figure_tells(table, row, parts[i].field))
			continue;
		row_know(row, figure(table, parts[i].field));
		row_note(row, "%s", parts[i].note);
		if (parts[i].field == CGROUPFS_ANON)
			row_difference(row, table->input->charged);
	}
}

static void row_limit(const struct table *table, struct row *row,
		      const struct cgroupfs_figure *limit)
{
	char buffer[96];

	if (!table->input->memory)
		row_unknown(row, "%s", table->input->unknown);
	else if (limit->err && table->input->memory->is_root)
		row_unknown(row, "the root cgroup has none");
	else if (limit->err)
		row_unknown(row, "%s", figure_reason(limit, buffer));
	row->known = !row->unknown[0];
	row->unlimited = row->known && limit->unlimited;
	row->value = row->known && !limit->unlimited ? (int64_t)limit->value : 0;
}

static void rows_of_limits(struct table *table)
{
	const struct cgroupfs_memory *memory = table->input->memory;
	struct row *row;

	row = row_add(table->rows, "limit", "limit that counts", "smallest %s up the path",
		      by_version(table, "memory.limit_in_bytes", "memory.max"));
	row_limit(table, row, memory ? &memory->limit : NULL);
	if (row->known && !row->unlimited) {
		if (!memory->limit_path)
			row_note(row, "of a cgroup further up that cannot be seen");
		else if (strcmp(memory->limit_path, memory->path))
			row_note(row, "of a cgroup further up, shared by all below it");
		else
			row_note(row, "of this cgroup; it bounds usage, not charged");
	}
	row = row_add(table->rows, "cgroup_limit", "container_spec_memory_limit_bytes", "%s",
		      by_version(table, "memory.limit_in_bytes", "memory.max"));
	row_limit(table, row, memory ? &memory->figures[CGROUPFS_LIMIT] : NULL);
	row = row_add(table->rows, "cgroup_high", "throttled from", "memory.high");
	row_limit(table, row, memory ? &memory->figures[CGROUPFS_HIGH] : NULL);
	row = row_add(table->rows, "cgroup_swap_limit", "limit of swap", "%s",
		      by_version(table, "memory.memsw.limit_in_bytes: memory + swap",
				 "memory.swap.max: swap alone"));
	row_limit(table, row, memory ? &memory->figures[CGROUPFS_SWAP_LIMIT] : NULL);
}

static void rows_of_events(struct table *table)
{
	struct row *row;

	row = row_add(table->rows, "failures", "container_memory_failcnt", "%s",
		      by_version(table, "memory.failcnt", "max of memory.events"));
	row->unit = ROW_COUNT;
	if (figure_tells(table, row, CGROUPFS_FAILURES)) {
		row_know(row, figure(table, CGROUPFS_FAILURES));
		row_note(row, "usage met the limit and the kernel reclaimed: no kill by itself");
	}
	row = row_add(table->rows, "oom_kills", "processes killed by the kernel (OOM)", "%s",
		      by_version(table, "oom_kill of memory.oom_control",
				 "oom_kill of memory.events"));
	row->unit = ROW_COUNT;
	if (figure_tells(table, row, CGROUPFS_OOM_KILLS)) {
		row_know(row, figure(table, CGROUPFS_OOM_KILLS));
		row_note(row, "%s",
			 by_version(table, "in this cgroup itself, ever",
				    "in this cgroup and those below it, ever"));
	}
}

static void row_of_members(struct table *table, const char *key, const char *label,
			   const char *formula, unsigned int count, const char *note)
{
	struct row *row = row_add(table->rows, key, label, "%s", formula);

	row->unit = ROW_COUNT;
	if (table->input->members_unknown) {
		row_unknown(row, "%s", table->input->members_unknown);
		return;
	}
	row_know(row, count);
	if (count && note)
		row_note(row, "%s", note);
}

static void rows_of_cgroup(struct table *table)
{
	const struct runtimes_input *input = table->input;

	table->rows->group = "cgroup";
	rows_of_runtimes(table);
	rows_of_parts(table);
	rows_of_limits(table);
	rows_of_events(table);
	row_of_members(table, "members_in", "its processes in this cgroup",
		       "members in cgroup.procs, here or below", input->members_in, NULL);
	row_of_members(table, "members_out", "its processes elsewhere", "members in no such file",
		       input->members_out, "charged, but not in this cgroup's figures");
	row_of_members(table, "strangers", "others in this cgroup", "cgroup.procs - members",
		       input->strangers, "in this cgroup's figures, but not charged");
}

void runtimes_rows(const struct runtimes_input *input, struct rows *rows)
{
	struct table table = {.input = input, .rows = rows};

	rows_of_cgroup(&table);
}
