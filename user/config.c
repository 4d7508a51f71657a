// SPDX-License-Identifier: GPL-2.0-only
#include "config.h"

#include <cyaml/cyaml.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blast.h"
#include "cleanup.h"
#include "shape.h"
#include "units.h"

#define PROCESSES_MAX 4194304
#define TREES_MAX 65536
#define LOG_LEAST (64UL << 10)
#define LOG_MOST (1ULL << 40)

/* --- the schema ---------------------------------------------------------------------------- */

/* Every value as it was written, NULL where it was not: units, ranges and their words are ours. */
struct tree_texts {
	char *choices[CHOICES];
};

enum key {
	KEY_PIN_FOLDER,
	KEY_SOCKET,
	KEY_GROUP,
	KEY_PROCESSES,
	KEY_TREES,
	KEY_MAX_KILLS,
	KEY_LOG,
	KEY_LOG_SIZE,
	KEYS,
};

struct texts {
	char *keys[KEYS];
	struct tree_texts *defaults;
};

#define STRING (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
/* What may be empty, and is no value then if it stands without quotes. */
#define QUOTED (STRING | CYAML_FLAG_SCALAR_QUOTE_SINGLE)
#define FIELD(name, flags, type, member) \
	CYAML_FIELD_STRING_PTR(name, flags, type, member, 0, CONFIG_SIZE_MAX)
#define CHOICE(name, flags, choice) FIELD(name, flags, struct tree_texts, choices[choice])
#define KEY(name, flags, key) FIELD(name, flags, struct texts, keys[key])

static const cyaml_schema_field_t tree_fields[] = {
	CHOICE("limit", STRING, CHOICE_LIMIT),
	CHOICE("warn", STRING, CHOICE_WARN),
	CHOICE("on-limit", STRING, CHOICE_ON_LIMIT),
	CHOICE("grace", STRING, CHOICE_GRACE),
	CHOICE("hard-factor", STRING, CHOICE_HARD_FACTOR),
	CHOICE("window", STRING, CHOICE_WINDOW),
	CHOICE("confirm", STRING, CHOICE_CONFIRM),
	CHOICE("hook", QUOTED, CHOICE_HOOK),
	CHOICE("hook-timeout", STRING, CHOICE_HOOK_TIMEOUT),
	CHOICE("metric", STRING, CHOICE_METRIC),
	CHOICE("kill-scope", STRING, CHOICE_KILL_SCOPE),
	CHOICE("policy", STRING, CHOICE_POLICY),
	CHOICE("vmem-limit", STRING, CHOICE_VMEM_LIMIT),
	CYAML_FIELD_END,
};
_Static_assert(sizeof(tree_fields) / sizeof(tree_fields[0]) == CHOICES + 1,
	       "each choice has its key, in order");

static const cyaml_schema_field_t fields[] = {
	KEY("pin-folder", STRING, KEY_PIN_FOLDER),
	KEY("socket", STRING, KEY_SOCKET),
	KEY("group", QUOTED, KEY_GROUP),
	KEY("processes", STRING, KEY_PROCESSES),
	KEY("trees", STRING, KEY_TREES),
	KEY("max-kills", STRING, KEY_MAX_KILLS),
	KEY("log", STRING, KEY_LOG),
	KEY("log-size", STRING, KEY_LOG_SIZE),
	/* Empty, or with nothing but comments in it, it says nothing. */
	CYAML_FIELD_MAPPING_PTR("defaults", CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL,
				struct texts, defaults, tree_fields),
	CYAML_FIELD_END,
};
_Static_assert(sizeof(fields) / sizeof(fields[0]) == KEYS + 2, "each key has its field, in order");

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct texts, fields),
};

static const cyaml_config_t cyaml = {
	.mem_fn = cyaml_mem,
	.flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_STYLE_BLOCK,
};

/* --- values -------------------------------------------------------------------------------- */

static const char *const initial[KEYS] = {
	[KEY_PIN_FOLDER] = "/sys/fs/bpf/memtree",
	[KEY_SOCKET] = "/run/memtree/memtree.sock",
	[KEY_GROUP] = "",
	[KEY_PROCESSES] = "8192",
	[KEY_TREES] = "256",
	[KEY_MAX_KILLS] = "30",
	[KEY_LOG] = "/var/lib/memtree/verdicts.log",
	[KEY_LOG_SIZE] = "16M",
};

/* In `why`, of CHOICE_WHY bytes. */
__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CHOICE_WHY, format, args);
	va_end(args);
	return -EINVAL;
}

static int path_parse(const char *text, char *ret_path, size_t size, char *why)
{
	size_t length = strlen(text);

	if (text[0] != '/')
		return refuse(why, "'%.80s' is no absolute path", text);
	if (length >= size)
		return refuse(why, "a path has at most %zu bytes here", size - 1);
	if (text[length - 1] == '/')
		return refuse(why, "'%.80s' ends with '/'", text);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return refuse(why, "a path has no control characters");
	memset(ret_path, 0, size);
	memcpy(ret_path, text, length);
	return 0;
}

/* Whether there is such a group is asked when it is needed. */
static int group_parse(const char *text, char ret_group[CONFIG_GROUP], char *why)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789._-");

	if (text[length] || length >= CONFIG_GROUP || text[0] == '-')
		return refuse(why, "'%.80s' is no group: its name (at most %d bytes) or number",
			      text, CONFIG_GROUP - 1);
	memset(ret_group, 0, CONFIG_GROUP);
	memcpy(ret_group, text, length);
	return 0;
}

static int count_parse(const char *text, uint32_t least, uint32_t most, uint32_t *ret_count,
		       char *why)
{
	uint32_t count;

	if (!units_parse_count(text, &count) || count < least || count > most)
		return refuse(why, "'%.80s' is no number from %u to %u", text, least, most);
	*ret_count = count;
	return 0;
}

static int log_size_parse(const char *text, uint64_t *ret_bytes, char *why)
{
	uint64_t bytes;

	if (!units_parse_size(text, &bytes))
		return refuse(why, "'%.80s' is no size", text);
	if (bytes < LOG_LEAST || bytes > LOG_MOST)
		return refuse(why, "%.80s is not between 64K and 1T", text);
	*ret_bytes = bytes;
	return 0;
}

static int key_parse(struct config *config, enum key key, const char *text, char *why)
{
	switch (key) {
	case KEY_PIN_FOLDER:
		return path_parse(text, config->pin_folder, sizeof(config->pin_folder), why);
	case KEY_SOCKET:
		return path_parse(text, config->socket, sizeof(config->socket), why);
	case KEY_GROUP:
		return group_parse(text, config->group, why);
	case KEY_PROCESSES:
		return count_parse(text, 1, PROCESSES_MAX, &config->processes, why);
	case KEY_TREES:
		return count_parse(text, 1, TREES_MAX, &config->trees, why);
	case KEY_MAX_KILLS:
		return count_parse(text, 0, BLAST_MOST, &config->max_kills, why);
	case KEY_LOG:
		return path_parse(text, config->log, sizeof(config->log), why);
	case KEY_LOG_SIZE:
		return log_size_parse(text, &config->log_bytes, why);
	default:
		return refuse(why, "there is no such key");
	}
}

static const char *key_format(const struct config *config, enum key key, char buffer[CHOICE_TEXT])
{
	switch (key) {
	case KEY_PIN_FOLDER:
		return config->pin_folder;
	case KEY_SOCKET:
		return config->socket;
	case KEY_GROUP:
		return config->group;
	case KEY_PROCESSES:
		snprintf(buffer, CHOICE_TEXT, "%u", config->processes);
		return buffer;
	case KEY_TREES:
		snprintf(buffer, CHOICE_TEXT, "%u", config->trees);
		return buffer;
	case KEY_MAX_KILLS:
		snprintf(buffer, CHOICE_TEXT, "%u", config->max_kills);
		return buffer;
	case KEY_LOG:
		return config->log;
	default:
		return choice_format_size(config->log_bytes, buffer);
	}
}

void config_default(struct config *ret_config)
{
	char why[CHOICE_WHY];

	memset(ret_config, 0, sizeof(*ret_config));
	for (enum key key = 0; key < KEYS; key++)
		key_parse(ret_config, key, initial[key], why);
	ret_config->tree = choice_default;
}

const char *config_fixed(const struct config *running, const struct config *read)
{
	static const enum key fixed[] = {KEY_PIN_FOLDER, KEY_SOCKET, KEY_PROCESSES, KEY_TREES,
					 KEY_LOG};
	char one[CHOICE_TEXT], other[CHOICE_TEXT];

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(key_format(running, fixed[i], one), key_format(read, fixed[i], other)))
			return fields[fixed[i]].key;
	return NULL;
}

/* --- files --------------------------------------------------------------------------------- */

/* Where a choice was said last. */
struct origin {
	const char *file; /* NULL: nowhere */
	unsigned int line;
};

struct reading {
	struct config config;
	struct origin origins[CHOICES];
	char *why;
};

/* One line for people; what it quotes may hold anything. Returns `err`. */
__attribute__((format(printf, 5, 6))) static int fail(const struct reading *reading, int err,
						      const char *file, unsigned int line,
						      const char *format, ...)
{
	char reason[CONFIG_WHY / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (line)
		snprintf(reading->why, CONFIG_WHY, "%.300s: line %u: %s", file, line, reason);
	else
		snprintf(reading->why, CONFIG_WHY, "%.300s: %s", file, reason);
	for (char *c = reading->why; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return err;
}

/* What it says ends processes and runs commands as root: nobody else may have written it. */
static int owner_check(const struct reading *reading, const char *path, const struct stat *status)
{
	if (status->st_uid && status->st_uid != geteuid())
		return fail(reading, -EPERM, path, 0,
			    "it belongs to user %u: chown it to root, or to who runs memtree",
			    status->st_uid);
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return fail(reading, -EPERM, path, 0,
			    "others than its owner may write it: chmod go-w");
	return 0;
}

/* At most CONFIG_SIZE_MAX bytes into `text`. */
static int bytes_read(const struct reading *reading, const char *path, int fd, char *text,
		      size_t *ret_length)
{
	size_t length = 0;
	ssize_t got;

	do {
		got = read(fd, text + length, CONFIG_SIZE_MAX + 1 - length);
		if (got < 0 && errno != EINTR)
			return fail(reading, -errno, path, 0, "it cannot be read: %s",
				    strerror(errno));
		length += got > 0 ? (size_t)got : 0;
	} while (got && length <= CONFIG_SIZE_MAX);
	if (length > CONFIG_SIZE_MAX)
		return fail(reading, -EINVAL, path, 0, "it has more than %lu bytes",
			    CONFIG_SIZE_MAX);
	*ret_length = length;
	return 0;
}

/* -ENOENT without a word; the caller frees. */
static int file_read(const struct reading *reading, const char *path, char **ret_text,
		     size_t *ret_length)
{
	/* Neither a pipe nor a terminal holds it up. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat status;
	int err;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &status))
		return fail(reading, -errno, path, 0, "it cannot be opened: %s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return fail(reading, -EINVAL, path, 0, "it is no regular file");
	err = owner_check(reading, path, &status);
	if (err)
		return err;
	text = malloc(CONFIG_SIZE_MAX + 1);
	if (!text)
		return fail(reading, -ENOMEM, path, 0, "out of memory");
	err = bytes_read(reading, path, fd, text, ret_length);
	if (!err)
		*ret_text = take_pointer(text);
	return err;
}

/* What one file says, on top of what stands. */
static int texts_take(struct reading *reading, const char *path, const struct texts *texts,
		      const struct shape *shape)
{
	char why[CHOICE_WHY];

	for (enum key key = 0; key < KEYS; key++)
		if (texts->keys[key] && key_parse(&reading->config, key, texts->keys[key], why))
			return fail(reading, -EINVAL, path, shape_line(shape, &fields[key]),
				    "%s: %s", fields[key].key, why);
	for (enum choice which = 0; texts->defaults && which < CHOICES; which++) {
		const char *text = texts->defaults->choices[which];
		unsigned int line = shape_line(shape, &tree_fields[which]);

		if (text && choice_parse(&reading->config.tree, which, text, why))
			return fail(reading, -EINVAL, path, line, "%s: %s", tree_fields[which].key,
				    why);
		if (text)
			reading->origins[which] = (struct origin){.file = path, .line = line};
	}
	return 0;
}

static int text_take(struct reading *reading, const char *path, const char *text, size_t length)
{
	struct texts *texts = NULL;
	char why[SHAPE_WHY];
	struct shape shape;
	unsigned int line;
	cyaml_err_t wrong;
	int err = shape_read(text, length, &schema, &shape, why, &line);

	if (err)
		return fail(reading, err, path, line, "%s", why);
	if (!shape.count)
		return 0;
	wrong = cyaml_load_data((const uint8_t *)text, length, &cyaml, &schema,
				(cyaml_data_t **)&texts, NULL);
	if (wrong || !texts)
		return fail(reading, wrong == CYAML_ERR_OOM ? -ENOMEM : -EINVAL, path, 0, "%s",
			    cyaml_strerror(wrong));
	err = texts_take(reading, path, texts, &shape);
	cyaml_free(&cyaml, &schema, texts, 0);
	return err;
}

static int file_take(struct reading *reading, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int err = file_read(reading, path, &text, &length);

	return err ? err : text_take(reading, path, text, length);
}

/* --- drop-ins ------------------------------------------------------------------------------ */

static int is_dropin(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static void paths_free(char **paths)
{
	for (char **path = paths; path && *path; path++)
		free(*path);
	free(paths);
}

/* The paths of the drop-ins in order, ended by NULL; the caller frees. */
static int dropins_list(const struct reading *reading, const char *folder, char ***ret_paths)
{
	struct dirent **entries = NULL;
	char **paths = calloc(CONFIG_DROPINS_MAX + 1, sizeof(*paths));
	int count = paths ? scandir(folder, &entries, is_dropin, by_name) : 0, err = 0;

	if (count < 0 && errno != ENOENT)
		err = fail(reading, -errno, folder, 0, "it cannot be read: %s", strerror(errno));
	else if (count > CONFIG_DROPINS_MAX)
		err = fail(reading, -EINVAL, folder, 0, "it has more than %d files",
			   CONFIG_DROPINS_MAX);
	for (int i = 0; i < count; i++) {
		if (!err && asprintf(&paths[i], "%s/%s", folder, entries[i]->d_name) < 0) {
			paths[i] = NULL;
			err = fail(reading, -ENOMEM, folder, 0, "out of memory");
		}
		free(entries[i]);
	}
	free(entries);
	if (!paths)
		return fail(reading, -ENOMEM, folder, 0, "out of memory");
	if (err)
		paths_free(paths);
	else
		*ret_paths = paths;
	return err;
}

/* Who may put files there may say anything. */
static int folder_check(const struct reading *reading, const char *folder)
{
	struct stat status;

	return stat(folder, &status) ? 0 : owner_check(reading, folder, &status);
}

/* What can be said in two files is looked at in the end. */
static int whole_check(const struct reading *reading)
{
	const struct origin *origin;
	enum choice which;
	const char *why = choice_contradiction(&reading->config.tree, &which);

	if (!why)
		return 0;
	origin = &reading->origins[which];
	return fail(reading, -EINVAL, origin->file, origin->line, "%s: %s", choice_name(which),
		    why);
}

static int files_take(struct reading *reading, const char *path, bool must_exist, char **dropins)
{
	int err = file_take(reading, path);

	if (err == -ENOENT && must_exist)
		return fail(reading, err, path, 0, "there is no such file");
	if (err == -ENOENT)
		err = 0;
	for (char **dropin = dropins; !err && *dropin; dropin++) {
		err = file_take(reading, *dropin);
		if (err == -ENOENT)
			fail(reading, err, *dropin, 0, "it is gone, or names a file that is");
	}
	return err ? err : whole_check(reading);
}

int config_read(const char *path, bool must_exist, struct config *ret_config,
		char ret_why[CONFIG_WHY])
{
	struct reading reading = {.why = ret_why};
	_cleanup_free_ char *folder = NULL;
	char **dropins = NULL;
	int err;

	if (asprintf(&folder, "%s.d", path) < 0) {
		folder = NULL;
		return fail(&reading, -ENOMEM, path, 0, "out of memory");
	}
	config_default(&reading.config);
	err = folder_check(&reading, folder);
	if (!err)
		err = dropins_list(&reading, folder, &dropins);
	if (err)
		return err;
	err = files_take(&reading, path, must_exist, dropins);
	paths_free(dropins);
	if (!err)
		*ret_config = reading.config;
	return err;
}

/* --- out ----------------------------------------------------------------------------------- */

int config_print(const struct config *config, FILE *out)
{
	char buffers[KEYS][CHOICE_TEXT], tree_buffers[CHOICES][CHOICE_TEXT];
	struct tree_texts tree;
	struct texts texts = {.defaults = &tree};
	char *yaml = NULL;
	size_t length = 0;

	/* Only written from, whatever the pointers' type. */
	for (enum key key = 0; key < KEYS; key++)
		texts.keys[key] = (char *)key_format(config, key, buffers[key]);
	for (enum choice which = 0; which < CHOICES; which++)
		tree.choices[which] = (char *)choice_format(&config->tree, which,
							    tree_buffers[which]);
	if (cyaml_save_data(&yaml, &length, &cyaml, &schema, &texts, 0))
		return -ENOMEM;
	length -= fwrite(yaml, 1, length, out);
	free(yaml);
	return length ? -EIO : 0;
}
