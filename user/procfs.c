// SPDX-License-Identifier: GPL-2.0-only
#include "procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "cursor.h"

#define PATH_SIZE 64	   /* "PID/task/TID/status" */
#define TEXT_FIRST 4096	   /* room for a stat, a statm and a status */
#define LISTING_SIZE 32768 /* one getdents64(); a /proc entry takes 24 to 32 bytes of it */
#define PIDS_FIRST 512
#define MAPPINGS_FIRST 128
#define KB 1024

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A growing list of anything: pids, mappings, the bytes of a file. */
struct array {
	void *data;
	size_t count, size; /* elements: in use, allocated */
};

static void array_free(const struct array *array)
{
	free(array->data);
}

#define _cleanup_array_ __attribute__((cleanup(array_free)))

/* Room for two more: whoever reads text adds a NUL at its end. */
static int array_grow(struct array *array, size_t element, size_t first)
{
	size_t size = array->size ? array->size * 2 : first;
	void *data;

	if (array->count + 1 < array->size)
		return 0;
	data = reallocarray(array->data, size, element);
	if (!data)
		return -ENOMEM;
	array->data = data;
	array->size = size;
	return 0;
}

/* --- files ---------------------------------------------------------------------------- */

int procfs_open(const char *path, struct procfs *ret_procfs)
{
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	*ret_procfs = (struct procfs){.root = root, .calls = 1};
	return 0;
}

void procfs_close(struct procfs *procfs)
{
	if (procfs->root < 0)
		return;
	close(procfs->root);
	procfs->calls++;
	procfs->root = -1;
}

/* PROC_PID_INIT_INO and PROC_CGROUP_INIT_INO of include/linux/proc_ns.h: fixed numbers. */
bool procfs_namespace_is_initial(struct procfs *procfs, enum procfs_namespace kind)
{
	bool pid = kind == PROCFS_NAMESPACE_PID;
	struct stat namespace;

	procfs->calls++;
	return !fstatat(procfs->root, pid ? "self/ns/pid" : "self/ns/cgroup", &namespace, 0) &&
	       namespace.st_ino == (pid ? 0xEFFFFFFC : 0xEFFFFFFB);
}

/* Whatever says that a process is gone becomes one word. */
static int error_of(int number)
{
	return number == ENOENT ? -ESRCH : -number;
}

static int file_open(struct procfs *procfs, const char *path, int flags)
{
	int fd = openat(procfs->root, path, O_RDONLY | O_CLOEXEC | flags);
	int err = fd < 0 ? error_of(errno) : 0;

	procfs->calls++;
	return err ? err : fd;
}

static void file_close(struct procfs *procfs, int fd)
{
	close(fd);
	procfs->calls++;
}

/* How a file ends. */
enum ending {
	/* stat, statm and status are one record each (proc_single_show()): seq_read_iter() hands
	 * a record out whole, so a read that leaves room is the last. Saves every fourth call. */
	AT_SHORT_READ,
	/* smaps has a record per mapping and comes in portions; cmdline stops where it likes. */
	AT_EMPTY_READ,
};

static int text_fill(struct procfs *procfs, int fd, enum ending ending, struct array *text)
{
	text->count = 0;
	for (;;) {
		size_t room;
		ssize_t got;
		int err = array_grow(text, 1, TEXT_FIRST);

		if (err)
			return err;
		room = text->size - text->count - 1;
		got = read(fd, (char *)text->data + text->count, room);
		err = got < 0 ? error_of(errno) : 0;
		procfs->calls++;
		if (err)
			return err;
		text->count += (size_t)got;
		if (!got || (ending == AT_SHORT_READ && (size_t)got < room))
			return 0;
	}
}

static int text_read(struct procfs *procfs, const char *path, enum ending ending,
		     struct array *text)
{
	int fd = file_open(procfs, path, 0);
	int err;

	if (fd < 0)
		return fd;
	err = text_fill(procfs, fd, ending, text);
	file_close(procfs, fd);
	return err;
}

static int thread_read(struct procfs *procfs, pid_t pid, pid_t tid, const char *file,
		       enum ending ending, struct array *text)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%d/task/%d/%s", pid, tid, file);
	return text_read(procfs, path, ending, text);
}

/* --- stat ----------------------------------------------------------------------------- */

/* Numbers of stat and statm, each after one blank. */
static bool next_count(struct cursor *cursor, uint64_t *ret_count)
{
	return cursor_take(cursor, ' ') && cursor_count(cursor, ret_count);
}

/* do_task_stat() leaves group and session at -1 when the process is just being released. */
static bool next_id(struct cursor *cursor, pid_t *ret_id)
{
	bool negative;
	uint64_t id;

	if (!cursor_take(cursor, ' '))
		return false;
	negative = cursor_take(cursor, '-');
	if (!cursor_count(cursor, &id) || id > INT_MAX)
		return false;
	*ret_id = negative ? -(pid_t)id : (pid_t)id;
	return true;
}

static bool numbers_skip(struct cursor *cursor, int count)
{
	while (count--) {
		const char *start;

		if (!cursor_take(cursor, ' '))
			return false;
		start = cursor->at;
		while (cursor->at < cursor->end &&
		       (cursor_is_digit(*cursor->at) || *cursor->at == '-'))
			cursor->at++;
		if (cursor->at == start)
			return false;
	}
	return true;
}

/* "PID (NAME)"; a name may hold anything but NUL, what follows it holds no ')'. */
static bool name_take(struct cursor *cursor, struct procfs_stat *stat)
{
	const char *name, *end;
	uint64_t pid;
	size_t length;

	if (!cursor_count(cursor, &pid) || !pid || pid > INT_MAX || !cursor_take(cursor, ' ') ||
	    !cursor_take(cursor, '('))
		return false;
	name = cursor->at;
	end = memrchr(name, ')', (size_t)(cursor->end - name));
	if (!end)
		return false;
	length = (size_t)(end - name);
	if (length > sizeof(stat->comm) - 1)
		length = sizeof(stat->comm) - 1;
	memcpy(stat->comm, name, length);
	stat->pid = (pid_t)pid;
	cursor->at = end + 1;
	return true;
}

static bool state_take(struct cursor *cursor, char *ret_state)
{
	if (cursor->at == cursor->end || *cursor->at <= ' ')
		return false;
	*ret_state = *cursor->at++;
	return true;
}

int procfs_stat_parse(const char *text, size_t length, struct procfs_stat *ret_stat)
{
	struct cursor cursor = {.at = text, .end = text + length};
	struct procfs_stat stat = {};
	uint64_t threads, page = (uint64_t)sysconf(_SC_PAGESIZE);
	bool whole;

	whole = name_take(&cursor, &stat) && cursor_take(&cursor, ' ') &&
		state_take(&cursor, &stat.state) && next_id(&cursor, &stat.ppid) &&
		next_id(&cursor, &stat.pgrp) && next_id(&cursor, &stat.session) &&
		numbers_skip(&cursor, 7) && /* tty_nr .. cmajflt */
		next_count(&cursor, &stat.utime_ticks) && next_count(&cursor, &stat.stime_ticks) &&
		numbers_skip(&cursor, 4) && /* cutime .. nice */
		next_count(&cursor, &threads) && threads <= UINT32_MAX &&
		numbers_skip(&cursor, 1) && /* itrealvalue */
		next_count(&cursor, &stat.start_ticks) && next_count(&cursor, &stat.vsize_bytes) &&
		cursor_take(&cursor, ' ') && cursor_bytes(&cursor, page, &stat.rss_bytes) &&
		/* Otherwise a file cut within rss would tell a smaller one; YARN asks for 15. */
		numbers_skip(&cursor, 15);
	if (!whole)
		return -EPROTO;
	stat.threads = (uint32_t)threads;
	*ret_stat = stat;
	return 0;
}

static int stat_read(struct procfs *procfs, pid_t pid, struct array *text,
		     struct procfs_stat *ret_stat)
{
	struct procfs_stat stat;
	char path[PATH_SIZE];
	int err;

	snprintf(path, sizeof(path), "%d/stat", pid);
	err = text_read(procfs, path, AT_SHORT_READ, text);
	if (!err)
		err = procfs_stat_parse(text->data, text->count, &stat);
	if (err)
		return err;
	if (stat.pid != pid)
		return -EPROTO;
	*ret_stat = stat;
	return 0;
}

int procfs_stat_read(struct procfs *procfs, pid_t pid, struct procfs_stat *ret_stat)
{
	_cleanup_array_ struct array text = {};

	return stat_read(procfs, pid, &text, ret_stat);
}

/* --- folders -------------------------------------------------------------------------- */

/* 0 when the entry is no pid's folder. Not every file system tells types. */
static pid_t entry_pid(const struct dirent64 *entry)
{
	struct cursor name = {.at = entry->d_name, .end = entry->d_name + strlen(entry->d_name)};
	uint64_t pid;

	if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
		return 0;
	if (*name.at == '0' || !cursor_count(&name, &pid) || name.at != name.end || pid > INT_MAX)
		return 0;
	return (pid_t)pid;
}

static int pids_fill(struct procfs *procfs, int fd, struct array *pids)
{
	_Alignas(struct dirent64) char listing[LISTING_SIZE];
	int err = 0;

	while (!err) {
		ssize_t got = getdents64(fd, listing, sizeof(listing));

		err = got < 0 ? error_of(errno) : 0;
		procfs->calls++;
		if (got <= 0)
			return err;
		for (ssize_t at = 0; at < got && !err;) {
			const struct dirent64 *entry = (const void *)(listing + at);
			pid_t pid = entry_pid(entry);

			if (pid)
				err = array_grow(pids, sizeof(pid), PIDS_FIRST);
			if (pid && !err)
				((pid_t *)pids->data)[pids->count++] = pid;
			at += entry->d_reclen;
		}
	}
	return err;
}

static int pids_list(struct procfs *procfs, const char *path, struct array *pids)
{
	int fd = file_open(procfs, path, O_DIRECTORY);
	int err;

	if (fd < 0)
		return fd;
	err = pids_fill(procfs, fd, pids);
	file_close(procfs, fd);
	return err;
}

int procfs_scan(struct procfs *procfs, struct procfs_stat **ret_stats, size_t *ret_count,
		size_t *ret_unread)
{
	_cleanup_array_ struct array pids = {};
	_cleanup_array_ struct array text = {};
	_cleanup_free_ struct procfs_stat *stats = NULL;
	size_t count = 0, unread = 0;
	int err = pids_list(procfs, ".", &pids);

	if (err)
		return err;
	stats = malloc((pids.count + 1) * sizeof(*stats));
	if (!stats)
		return -ENOMEM;
	for (size_t i = 0; i < pids.count; i++) {
		err = stat_read(procfs, ((pid_t *)pids.data)[i], &text, &stats[count]);
		/* Of ourselves, not of the process. */
		if (err == -ENOMEM || err == -EMFILE || err == -ENFILE)
			return err;
		if (!err)
			count++;
		else if (err != -ESRCH)
			unread++;
	}
	*ret_stats = take_pointer(stats);
	*ret_count = count;
	*ret_unread = unread;
	return 0;
}

/* What has exited, or is about to be released. */
static bool is_over(char state)
{
	return state == 'Z' || state == 'X' || state == 'x';
}

int procfs_thread_find(struct procfs *procfs, pid_t pid, pid_t *ret_tid)
{
	_cleanup_array_ struct array threads = {};
	_cleanup_array_ struct array text = {};
	struct procfs_stat stat;
	char path[PATH_SIZE];
	int err = stat_read(procfs, pid, &text, &stat);

	if (err)
		return err;
	if (!is_over(stat.state)) {
		*ret_tid = pid;
		return 0;
	}
	snprintf(path, sizeof(path), "%d/task", pid);
	err = pids_list(procfs, path, &threads);
	if (err)
		return err;
	for (size_t i = 0; i < threads.count; i++) {
		pid_t tid = ((pid_t *)threads.data)[i];

		if (tid == pid || thread_read(procfs, pid, tid, "stat", AT_SHORT_READ, &text) ||
		    procfs_stat_parse(text.data, text.count, &stat) || is_over(stat.state))
			continue;
		*ret_tid = tid;
		return 0;
	}
	return -ESRCH;
}

/* --- statm, status, smaps, cmdline ---------------------------------------------------- */

int procfs_statm_read(struct procfs *procfs, pid_t pid, pid_t tid, struct procfs_statm *ret_statm)
{
	_cleanup_array_ struct array text = {};
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct procfs_statm statm;
	struct cursor cursor;
	int err = thread_read(procfs, pid, tid, "statm", AT_SHORT_READ, &text);

	if (err)
		return err;
	cursor = (struct cursor){.at = text.data, .end = (char *)text.data + text.count};
	if (!cursor_bytes(&cursor, page, &statm.size) || !cursor_take(&cursor, ' ') ||
	    !cursor_bytes(&cursor, page, &statm.resident) || !cursor_take(&cursor, ' ') ||
	    !cursor_bytes(&cursor, page, &statm.shared) || !numbers_skip(&cursor, 4))
		return -EPROTO;
	*ret_statm = statm;
	return 0;
}

/* "KEY:     123 kB" and where its bytes go. */
struct field {
	const char *key;
	size_t key_length, offset;
};

#define FIELD(type, key, member)                                    \
	{                                                           \
		key, sizeof(key) - 1, offsetof(struct type, member) \
	}

/* NULL when the line has no key, or one that is not asked for. */
static const struct field *field_find(const struct cursor *line, const struct field *fields,
				      size_t count)
{
	const char *colon = memchr(line->at, ':', (size_t)(line->end - line->at));
	size_t length = colon ? (size_t)(colon - line->at) : 0;

	for (size_t i = 0; i < count; i++)
		if (fields[i].key_length == length && !memcmp(fields[i].key, line->at, length))
			return &fields[i];
	return NULL;
}

/* False when it is cut, or no number of kB. */
static bool field_take(struct cursor line, const struct field *field, void *target)
{
	line.at += field->key_length + 1;
	while (line.at < line.end && (*line.at == ' ' || *line.at == '\t'))
		line.at++;
	return cursor_bytes(&line, KB, (int64_t *)((char *)target + field->offset)) &&
	       cursor_take(&line, ' ') && cursor_take(&line, 'k') && cursor_take(&line, 'B') &&
	       line.at == line.end;
}

/* A thread without an address space has none of the lines. */
static const struct field kinds_fields[] = {
	FIELD(procfs_kinds, "RssAnon", anon),
	FIELD(procfs_kinds, "RssFile", file),
	FIELD(procfs_kinds, "RssShmem", shmem),
	FIELD(procfs_kinds, "VmSwap", swap),
};

int procfs_kinds_read(struct procfs *procfs, pid_t pid, pid_t tid, struct procfs_kinds *ret_kinds)
{
	_cleanup_array_ struct array text = {};
	struct procfs_kinds kinds = {};
	struct cursor cursor, line;
	int err = thread_read(procfs, pid, tid, "status", AT_SHORT_READ, &text);

	if (err)
		return err;
	if (!text.count)
		return -EPROTO;
	cursor = (struct cursor){.at = text.data, .end = (char *)text.data + text.count};
	while (cursor_line(&cursor, &line)) {
		const struct field *field = field_find(&line, kinds_fields, COUNT(kinds_fields));

		if (field && !field_take(line, field, &kinds))
			return -EPROTO;
	}
	*ret_kinds = kinds;
	return 0;
}

static const struct field mapping_fields[] = {
	FIELD(procfs_mapping, "Rss", rss),
	FIELD(procfs_mapping, "Pss", pss),
	FIELD(procfs_mapping, "Shared_Clean", shared_clean),
	FIELD(procfs_mapping, "Shared_Dirty", shared_dirty),
	FIELD(procfs_mapping, "Private_Clean", private_clean),
	FIELD(procfs_mapping, "Private_Dirty", private_dirty),
	FIELD(procfs_mapping, "Anonymous", anonymous),
	FIELD(procfs_mapping, "Swap", swap),
	FIELD(procfs_mapping, "SwapPss", swap_pss),
};

static bool address_take(struct cursor *cursor)
{
	const char *start = cursor->at;

	while (cursor->at < cursor->end && isxdigit((unsigned char)*cursor->at))
		cursor->at++;
	return cursor->at > start;
}

/* "START-END rw-p ...", what begins a mapping. */
static bool is_mapping(struct cursor line, const char **ret_permissions)
{
	bool is = address_take(&line) && cursor_take(&line, '-') && address_take(&line) &&
		  cursor_take(&line, ' ') && line.end - line.at >= 4;

	if (is)
		*ret_permissions = line.at;
	return is;
}

static int mapping_line(struct array *mappings, const struct cursor *line)
{
	struct procfs_mapping *mapping = mappings->data;
	const struct field *field;
	const char *permissions;
	int err;

	if (is_mapping(*line, &permissions)) {
		err = array_grow(mappings, sizeof(*mapping), MAPPINGS_FIRST);
		if (err)
			return err;
		mapping = (struct procfs_mapping *)mappings->data + mappings->count++;
		*mapping = (struct procfs_mapping){};
		memcpy(mapping->permissions, permissions, 4);
		return 0;
	}
	field = field_find(line, mapping_fields, COUNT(mapping_fields));
	if (!field)
		return 0;
	if (!mappings->count)
		return -EPROTO;
	return field_take(*line, field, mapping + mappings->count - 1) ? 0 : -EPROTO;
}

int procfs_mappings_parse(const char *text, size_t length, struct procfs_mapping **ret_mappings,
			  size_t *ret_count)
{
	struct cursor cursor = {.at = text, .end = text + length}, line;
	_cleanup_array_ struct array mappings = {};

	while (cursor_line(&cursor, &line)) {
		int err = mapping_line(&mappings, &line);

		if (err)
			return err;
	}
	*ret_mappings = take_pointer(mappings.data);
	*ret_count = mappings.count;
	return 0;
}

int procfs_mappings_read(struct procfs *procfs, pid_t pid, pid_t tid,
			 struct procfs_mapping **ret_mappings, size_t *ret_count)
{
	_cleanup_array_ struct array text = {};
	int err = thread_read(procfs, pid, tid, "smaps", AT_EMPTY_READ, &text);

	return err ? err : procfs_mappings_parse(text.data, text.count, ret_mappings, ret_count);
}

int procfs_cmdline_read(struct procfs *procfs, pid_t pid, char **ret_text, size_t *ret_length)
{
	_cleanup_array_ struct array text = {};
	char path[PATH_SIZE];
	int err;

	snprintf(path, sizeof(path), "%d/cmdline", pid);
	err = text_read(procfs, path, AT_EMPTY_READ, &text);
	if (err)
		return err;
	((char *)text.data)[text.count] = '\0';
	*ret_text = take_pointer(text.data);
	*ret_length = text.count;
	return 0;
}
