// SPDX-License-Identifier: GPL-2.0-only
#include "cgroupfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

#define TEXT_MAX ((size_t)16 << 20) /* of one file; mountinfo is the longest */
#define CGROUPS_MAX 4096
#define DEPTH_MAX 64

/* Version 1 prints LONG_MAX in whole pages for no limit; pages have up to 64 KiB. */
#define UNLIMITED_FROM ((uint64_t)INT64_MAX - 65535)

/* key NULL: the file is the number. */
struct source {
	const char *file, *key;
};

static const struct source sources[][CGROUPFS_FIELDS] = {
	[CGROUPFS_V1] =
		{
			[CGROUPFS_USAGE] = {"memory.usage_in_bytes", NULL},
			[CGROUPFS_PEAK] = {"memory.max_usage_in_bytes", NULL},
			[CGROUPFS_ANON] = {"memory.stat", "total_rss"},
			[CGROUPFS_CACHE] = {"memory.stat", "total_cache"},
			[CGROUPFS_SHMEM] = {"memory.stat", "total_shmem"},
			[CGROUPFS_MAPPED] = {"memory.stat", "total_mapped_file"},
			[CGROUPFS_INACTIVE_FILE] = {"memory.stat", "total_inactive_file"},
			[CGROUPFS_ACTIVE_FILE] = {"memory.stat", "total_active_file"},
			[CGROUPFS_DIRTY] = {"memory.stat", "total_dirty"},
			[CGROUPFS_WRITEBACK] = {"memory.stat", "total_writeback"},
			[CGROUPFS_KERNEL] = {"memory.kmem.usage_in_bytes", NULL},
			[CGROUPFS_SWAP] = {"memory.stat", "total_swap"},
			[CGROUPFS_LIMIT] = {"memory.limit_in_bytes", NULL},
			[CGROUPFS_LIMIT_ABOVE] = {"memory.stat", "hierarchical_memory_limit"},
			[CGROUPFS_SWAP_LIMIT] = {"memory.memsw.limit_in_bytes", NULL},
			[CGROUPFS_FAILURES] = {"memory.failcnt", NULL},
			[CGROUPFS_OOM_KILLS] = {"memory.oom_control", "oom_kill"},
		},
	[CGROUPFS_V2] =
		{
			[CGROUPFS_USAGE] = {"memory.current", NULL},
			[CGROUPFS_PEAK] = {"memory.peak", NULL},
			[CGROUPFS_ANON] = {"memory.stat", "anon"},
			[CGROUPFS_CACHE] = {"memory.stat", "file"},
			[CGROUPFS_SHMEM] = {"memory.stat", "shmem"},
			[CGROUPFS_MAPPED] = {"memory.stat", "file_mapped"},
			[CGROUPFS_INACTIVE_FILE] = {"memory.stat", "inactive_file"},
			[CGROUPFS_ACTIVE_FILE] = {"memory.stat", "active_file"},
			[CGROUPFS_DIRTY] = {"memory.stat", "file_dirty"},
			[CGROUPFS_WRITEBACK] = {"memory.stat", "file_writeback"},
			[CGROUPFS_KERNEL] = {"memory.stat", "kernel"},
			[CGROUPFS_SWAP] = {"memory.swap.current", NULL},
			[CGROUPFS_LIMIT] = {"memory.max", NULL},
			[CGROUPFS_HIGH] = {"memory.high", NULL},
			[CGROUPFS_SWAP_LIMIT] = {"memory.swap.max", NULL},
			[CGROUPFS_FAILURES] = {"memory.events", "max"},
			[CGROUPFS_OOM_KILLS] = {"memory.events", "oom_kill"},
		},
};

/* --- text ------------------------------------------------------------------------------ */

/* The next line, without its end; NULL after the last. */
static const char *line_next(const char **text, size_t *ret_length)
{
	const char *line = *text;

	if (!*line)
		return NULL;
	*ret_length = strcspn(line, "\n");
	*text = line + *ret_length + (line[*ret_length] == '\n');
	return line;
}

/* The next of the fields that single blanks part; NULL after the last. */
static const char *field_next(const char **at, const char *end, size_t *ret_length)
{
	const char *field = *at;

	if (field >= end)
		return NULL;
	while (*at < end && **at != ' ')
		(*at)++;
	*ret_length = (size_t)(*at - field);
	*at += *at < end;
	return field;
}

/* Whether a list with commas has the word. */
static bool list_has(const char *list, size_t length, const char *word)
{
	size_t word_length = strlen(word);

	for (const char *at = list, *end = list + length; at < end;) {
		size_t part = 0;

		while (at + part < end && at[part] != ',')
			part++;
		if (part == word_length && !memcmp(at, word, part))
			return true;
		at += part + 1;
	}
	return false;
}

static bool field_is(const char *field, size_t length, const char *word)
{
	return field && length == strlen(word) && !memcmp(field, word, length);
}

/* "ID:CONTROLLERS:PATH" */
enum cgroupfs_version cgroupfs_version_parse(const char *text)
{
	enum cgroupfs_version version = CGROUPFS_NONE;
	const char *line;
	size_t length;

	while ((line = line_next(&text, &length))) {
		const char *controllers = memchr(line, ':', length);
		size_t rest = controllers ? length - (size_t)(++controllers - line) : 0;
		const char *end = controllers ? memchr(controllers, ':', rest) : NULL;

		if (!end)
			continue;
		if (list_has(controllers, (size_t)(end - controllers), "memory"))
			return CGROUPFS_V1;
		if (end == controllers && line[0] == '0')
			version = CGROUPFS_V2;
	}
	return version;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \ooo. */
static char *unescape(const char *from, size_t length)
{
	char *text = malloc(length + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < length; i++) {
		unsigned int digits[3];
		bool octal = from[i] == '\\' && i + 3 < length;

		for (size_t j = 0; octal && j < 3; j++) {
			digits[j] = (unsigned int)(from[i + 1 + j] - '0');
			octal = digits[j] < 8;
		}
		*to++ = octal ? (char)(digits[0] << 6 | digits[1] << 3 | digits[2]) : from[i];
		i += octal ? 3 : 0;
	}
	*to = '\0';
	return text;
}

/* Whether `path` is `root` or lies below it. */
static bool is_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	if (!strcmp(root, "/"))
		return path[0] == '/';
	return !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS" */
static bool mount_parse(const char *line, size_t line_length, enum cgroupfs_version version,
			struct cgroupfs_place *place)
{
	const char *fields[6], *at = line, *end = line + line_length, *field;
	size_t lengths[6], length = 0;
	unsigned int major, minor;

	for (int i = 0; i < 6; i++)
		if (!(fields[i] = field_next(&at, end, &lengths[i])))
			return false;
	do
		field = field_next(&at, end, &length);
	while (field && !field_is(field, length, "-"));
	field = field_next(&at, end, &length);
	if (!field_is(field, length, version == CGROUPFS_V1 ? "cgroup" : "cgroup2"))
		return false;
	field_next(&at, end, &length);
	field = field_next(&at, end, &length);
	if (version == CGROUPFS_V1 && (!field || !list_has(field, length, "memory")))
		return false;
	if (sscanf(fields[2], "%u:%u", &major, &minor) != 2)
		return false;
	place->version = version;
	place->device = makedev(major, minor);
	place->root = unescape(fields[3], lengths[3]);
	place->mount = unescape(fields[4], lengths[4]);
	return true;
}

int cgroupfs_place_parse(const char *text, enum cgroupfs_version version, const char *path,
			 struct cgroupfs_place *ret_place)
{
	struct cgroupfs_place best = {};
	const char *line;
	size_t length;
	int err = -ENOENT;

	if (!path || path[0] != '/')
		return -EINVAL;
	while (version && (line = line_next(&text, &length))) {
		struct cgroupfs_place place = {};

		if (!mount_parse(line, length, version, &place))
			continue;
		err = err == -ENOENT ? -EXDEV : err;
		/* The later of two at one mount point lies on top. */
		if (place.mount && place.root && is_below(path, place.root) &&
		    (!best.root || strlen(place.root) <= strlen(best.root))) {
			cgroupfs_place_free(&best);
			best = place;
			err = 0;
		} else {
			cgroupfs_place_free(&place);
		}
	}
	if (err)
		return err;
	best.path = strdup(path);
	if (!best.path) {
		cgroupfs_place_free(&best);
		return -ENOMEM;
	}
	*ret_place = best;
	return 0;
}

void cgroupfs_place_free(struct cgroupfs_place *place)
{
	free(place->mount);
	free(place->root);
	free(place->path);
	*place = (struct cgroupfs_place){};
}

static struct cgroupfs_figure number_parse(const char *text, size_t length)
{
	struct cgroupfs_figure figure = {};

	if (length == 3 && !memcmp(text, "max", 3)) {
		figure.unlimited = true;
		return figure;
	}
	for (size_t i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9' ||
		    __builtin_mul_overflow(figure.value, 10, &figure.value) ||
		    __builtin_add_overflow(figure.value, text[i] - '0', &figure.value))
			return (struct cgroupfs_figure){.err = -EPROTO};
	if (!length || figure.value > INT64_MAX)
		return (struct cgroupfs_figure){.err = -EPROTO};
	return figure;
}

struct cgroupfs_figure cgroupfs_figure_parse(const char *text, const char *key)
{
	size_t key_length = key ? strlen(key) : 0, length;
	const char *line;

	while ((line = line_next(&text, &length))) {
		if (!key)
			return *text ? (struct cgroupfs_figure){.err = -EPROTO}
				     : number_parse(line, length);
		/* Without its newline a line may be cut short. */
		if (length > key_length && !memcmp(line, key, key_length) &&
		    line[key_length] == ' ')
			return line[length] == '\n' ? number_parse(line + key_length + 1,
								   length - key_length - 1)
						    : (struct cgroupfs_figure){.err = -EPROTO};
	}
	return (struct cgroupfs_figure){.err = key ? -ENODATA : -EPROTO};
}

/* --- files ----------------------------------------------------------------------------- */

/* The whole file with a NUL after it; one with a NUL inside is not understood. */
static int text_read(int folder, const char *name, char **ret_text)
{
	_cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t size = 0, length = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		if (length + 1 >= size) {
			char *larger = size < TEXT_MAX ? realloc(text, size += size + 8192) : NULL;

			if (!larger)
				return -ENOMEM;
			text = larger;
		}
		got = read(fd, text + length, size - length - 1);
		if (got < 0 && errno != EINTR)
			return -errno;
		length += got > 0 ? (size_t)got : 0;
	} while (got);
	text[length] = '\0';
	if (strlen(text) != length)
		return -EPROTO;
	*ret_text = take_pointer(text);
	return 0;
}

int cgroupfs_place_find(const char *proc, const char *path, struct cgroupfs_place *ret_place)
{
	_cleanup_free_ char *cgroup = NULL, *mountinfo = NULL;
	_cleanup_close_ int folder = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (folder < 0)
		return -errno;
	err = text_read(folder, "self/cgroup", &cgroup);
	if (!err)
		err = text_read(folder, "self/mountinfo", &mountinfo);
	if (err)
		return err;
	return cgroupfs_place_parse(mountinfo, cgroupfs_version_parse(cgroup), path, ret_place);
}

/* The folder of `path`, which lies below the mount's root. */
static int folder_open(const struct cgroupfs_place *place, const char *path)
{
	const char *below = path + (strcmp(place->root, "/") ? strlen(place->root) : 0);
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (asprintf(&name, "%s/%s", place->mount, below) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status))
		return -errno;
	return status.st_dev == place->device ? take_fd(fd) : -ESTALE;
}

/* Cuts the last name off; false at the mount's root. */
static bool path_climb(const struct cgroupfs_place *place, char *path)
{
	char *slash = strrchr(path, '/');

	if (!strcmp(path, place->root) || !slash)
		return false;
	slash[slash == path] = '\0';
	return true;
}

/* A file that several figures come from is read once: the table has them side by side. */
static void figures_read(int folder, enum cgroupfs_version version,
			 struct cgroupfs_figure figures[CGROUPFS_FIELDS])
{
	_cleanup_free_ char *stat = NULL;
	int stat_err = text_read(folder, "memory.stat", &stat);

	for (int i = 0; i < CGROUPFS_FIELDS; i++) {
		const struct source *source = &sources[version][i];
		_cleanup_free_ char *own = NULL;
		const char *text = stat;
		int err = stat_err;

		if (!source->file) {
			figures[i] = (struct cgroupfs_figure){.err = -EOPNOTSUPP};
			continue;
		}
		if (strcmp(source->file, "memory.stat")) {
			err = text_read(folder, source->file, &own);
			text = own;
		}
		figures[i] = err ? (struct cgroupfs_figure){.err = err}
				 : cgroupfs_figure_parse(text, source->key);
		if (version == CGROUPFS_V1 && !figures[i].err && figures[i].value > UNLIMITED_FROM)
			figures[i] = (struct cgroupfs_figure){.unlimited = true};
	}
}

static bool is_smaller(const struct cgroupfs_figure *one, const struct cgroupfs_figure *other)
{
	if (one->unlimited || other->unlimited)
		return !one->unlimited;
	return one->value < other->value;
}

/* From the cgroup up; a limit that cannot be read may be the smallest one. */
static int limit_find(const struct cgroupfs_place *place, struct cgroupfs_memory *memory)
{
	const struct source *source = &sources[place->version][CGROUPFS_LIMIT];
	const struct cgroupfs_figure *above = &memory->figures[CGROUPFS_LIMIT_ABOVE];
	_cleanup_free_ char *path = strdup(memory->path), *owner = NULL;
	struct cgroupfs_figure limit = {.unlimited = true};

	if (!path)
		return -ENOMEM;
	do {
		_cleanup_close_ int folder = folder_open(place, path);
		_cleanup_free_ char *text = NULL;
		int err = folder < 0 ? folder : text_read(folder, source->file, &text);
		struct cgroupfs_figure one;

		if (err == -ENOENT && !strcmp(path, "/"))
			break; /* the root has none */
		one = err ? (struct cgroupfs_figure){.err = err}
			  : cgroupfs_figure_parse(text, NULL);
		if (one.value > UNLIMITED_FROM)
			one = (struct cgroupfs_figure){.unlimited = true};
		if (one.err) {
			memory->limit = one;
			return 0;
		}
		if (is_smaller(&one, &limit)) {
			free(owner);
			owner = strdup(path);
			limit = one;
		}
	} while (path_climb(place, path));
	/* Version 1 knows best: its memory.use_hierarchy (until 5.10) may be off, and what lies
	 * above a mount cannot be seen. */
	if (!above->err && (above->unlimited != limit.unlimited || above->value != limit.value)) {
		limit = *above;
		free(take_pointer(owner));
	}
	memory->limit = limit;
	memory->limit_path = take_pointer(owner);
	return 0;
}

int cgroupfs_memory_read(const struct cgroupfs_place *place, struct cgroupfs_memory *ret_memory)
{
	struct cgroupfs_memory memory = {.version = place->version};
	_cleanup_free_ char *path = strdup(place->path);
	_cleanup_close_ int folder = path ? folder_open(place, path) : -ENOMEM;
	int err;

	if (folder < 0)
		return folder;
	/* Version 2: the controller may be on for a cgroup above alone, which then counts. */
	while (faccessat(folder, sources[place->version][CGROUPFS_USAGE].file, F_OK, 0) &&
	       strcmp(path, "/")) {
		close(take_fd(folder));
		if (!path_climb(place, path))
			return -EOPNOTSUPP;
		folder = folder_open(place, path);
		if (folder < 0)
			return folder;
	}
	memory.is_root = !strcmp(path, "/");
	memory.path = take_pointer(path);
	figures_read(folder, place->version, memory.figures);
	err = limit_find(place, &memory);
	if (err)
		cgroupfs_memory_free(&memory);
	else
		*ret_memory = memory;
	return err;
}

void cgroupfs_memory_free(struct cgroupfs_memory *memory)
{
	free(memory->path);
	free(memory->limit_path);
	*memory = (struct cgroupfs_memory){};
}

/* --- processes ------------------------------------------------------------------------- */

struct crowd {
	pid_t *pids;
	size_t count, room;
	unsigned int cgroups;
};

static int crowd_add(struct crowd *crowd, pid_t pid)
{
	if (crowd->count == crowd->room) {
		size_t room = crowd->room * 2 + 64;
		pid_t *pids = realloc(crowd->pids, room * sizeof(*pids));

		if (!pids)
			return -ENOMEM;
		crowd->pids = pids;
		crowd->room = room;
	}
	crowd->pids[crowd->count++] = pid;
	return 0;
}

static int procs_add(struct crowd *crowd, int folder)
{
	_cleanup_free_ char *text = NULL;
	const char *rest, *line;
	size_t length;
	int err = text_read(folder, "cgroup.procs", &text);

	for (rest = text; !err && (line = line_next(&rest, &length));) {
		struct cgroupfs_figure pid = number_parse(line, length);

		if (pid.err || pid.value > INT32_MAX)
			return -EPROTO;
		err = crowd_add(crowd, (pid_t)pid.value);
	}
	return err;
}

/* Takes the fd. A cgroup that vanishes meanwhile has nobody in it. */
static int folder_add(struct crowd *crowd, int fd, int depth)
{
	struct dirent *entry;
	DIR *folder;
	int err;

	if (++crowd->cgroups > CGROUPS_MAX || depth > DEPTH_MAX) {
		close(fd);
		return -E2BIG;
	}
	err = procs_add(crowd, fd);
	folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return -errno;
	}
	while (!err && (entry = readdir(folder))) {
		int below;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below >= 0)
			err = folder_add(crowd, below, depth + 1);
		else if (errno != ENOENT)
			err = -errno;
	}
	closedir(folder);
	return (err == -ENOENT || err == -ENODEV) && depth ? 0 : err;
}

static int pid_compare(const void *a, const void *b)
{
	pid_t one = *(const pid_t *)a, other = *(const pid_t *)b;

	return (one > other) - (one < other);
}

int cgroupfs_processes_read(const struct cgroupfs_place *place, const char *path, pid_t **ret_pids,
			    size_t *ret_count)
{
	struct crowd crowd = {};
	size_t kept = 0;
	int fd = folder_open(place, path), err;

	if (fd < 0)
		return fd;
	err = folder_add(&crowd, fd, 0);
	if (err) {
		free(crowd.pids);
		return err;
	}
	if (crowd.count)
		qsort(crowd.pids, crowd.count, sizeof(*crowd.pids), pid_compare);
	for (size_t i = 0; i < crowd.count; i++)
		if (!kept || crowd.pids[kept - 1] != crowd.pids[i])
			crowd.pids[kept++] = crowd.pids[i];
	*ret_pids = crowd.pids;
	*ret_count = kept;
	return 0;
}
