// SPDX-License-Identifier: GPL-2.0-only
/* The configuration: what is taken, what overrides what, and what is refused in which line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "folder.h"

static struct folder folder;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(folder.path);
	return 0;
}

static struct config config_of(const char *text)
{
	struct config config = {};
	char why[CONFIG_WHY] = "";

	folder_write(&folder, "memtree.conf", text);
	if (config_read(folder_path(&folder, "memtree.conf"), true, &config, why))
		fail_msg("%s", why);
	return config;
}

/* Nothing changes, and the reason is one line. */
static void assert_fails(const char *file, bool must_exist, int err, const char *reason)
{
	struct config config, before;
	char why[CONFIG_WHY] = "";
	int got;

	memset(&config, 0x5a, sizeof(config));
	before = config;
	got = config_read(folder_path(&folder, file), must_exist, &config, why);
	if (got != err || !strstr(why, reason))
		fail_msg("%d: '%s' does not say '%s'", got, why, reason);
	assert_memory_equal(&config, &before, sizeof(config));
	assert_null(strpbrk(why, "\n\r\t\033"));
}

static void assert_refused(const char *text, const char *reason)
{
	folder_write(&folder, "memtree.conf", text);
	assert_fails("memtree.conf", true, -EINVAL, reason);
}

static void assert_is_default(const struct config *config)
{
	struct config initial;

	config_default(&initial);
	assert_memory_equal(config, &initial, sizeof(*config));
}

static void test_defaults_are_those_of_the_contract(void **state)
{
	struct config config;

	(void)state;
	memset(&config, 0x5a, sizeof(config));
	config_default(&config);
	assert_string_equal(config.pin_folder, "/sys/fs/bpf/memtree");
	assert_string_equal(config.socket, "/run/memtree/memtree.sock");
	assert_string_equal(config.group, "");
	assert_int_equal(config.processes, 8192);
	assert_int_equal(config.trees, 256);
	assert_int_equal(config.max_kills, 30);
	assert_string_equal(config.log, "/var/lib/memtree/verdicts.log");
	assert_int_equal(config.log_bytes, 16 << 20);
	assert_memory_equal(&config.tree, &choice_default, sizeof(config.tree));
}

static void test_nothing_said_is_all_defaults(void **state)
{
	static const char *const nothings[] = {
		"",	 "\n\n",	   "# nothing\n",
		"---\n", "---\n...\n",	   "defaults:\n",
		"{}\n",	 "defaults: {}\n", "\xef\xbb\xbf# a byte order mark\n"};
	struct config config;
	char why[CONFIG_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(nothings) / sizeof(nothings[0]); i++) {
		config = config_of(nothings[i]);
		assert_is_default(&config);
	}
	unlink(folder_path(&folder, "memtree.conf"));
	assert_int_equal(config_read(folder_path(&folder, "memtree.conf"), false, &config, why), 0);
	assert_is_default(&config);
}

/* As editors of other systems, and programs, write it. */
static void test_other_ways_to_write_it(void **state)
{
	static const char *const ways[] = {
		"trees: 5\r\nmax-kills: 7\r\n",
		"trees: 5   # five\nmax-kills:\t7",
		"{\"trees\": \"5\", \"max-kills\": 7}",
		"%YAML 1.1\n---\ntrees: 5\nmax-kills: 7\n...\n",
		"? trees\n: 5\n? max-kills\n: 7\n",
		"\xef\xbb\xbftrees: 5\nmax-kills: 7\n",
		"max-kills: >-\n  7\ntrees: |-\n  5\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct config config = config_of(ways[i]);

		assert_int_equal(config.trees, 5);
		assert_int_equal(config.max_kills, 7);
	}
}

static void test_every_key_is_taken(void **state)
{
	struct config config = config_of("pin-folder: /sys/fs/bpf/x\n"
					 "socket: \"/run/x y\"\n"
					 "group: ops\n"
					 "processes: 100\n"
					 "trees: '3'\n"
					 "max-kills: 0\n"
					 "log: /x/y\n"
					 "log-size: 64K\n"
					 "defaults:\n"
					 "  limit: 1M\n"
					 "  warn: 80%\n"
					 "  on-limit: warn\n"
					 "  grace: 1s\n"
					 "  hard-factor: 1.5\n"
					 "  window: 5s\n"
					 "  confirm: never\n"
					 "  hook: 'echo \"a: b\"' # a comment\n"
					 "  hook-timeout: 1m\n"
					 "  metric: anon+swap\n"
					 "  kill-scope: process\n"
					 "  policy: exact\n"
					 "  vmem-limit: 2G\n");

	(void)state;
	assert_string_equal(config.pin_folder, "/sys/fs/bpf/x");
	assert_string_equal(config.socket, "/run/x y");
	assert_string_equal(config.group, "ops");
	assert_int_equal(config.processes, 100);
	assert_int_equal(config.trees, 3);
	assert_int_equal(config.max_kills, 0);
	assert_string_equal(config.log, "/x/y");
	assert_int_equal(config.log_bytes, 65536);
	assert_int_equal(config.tree.policy.limit, 1 << 20);
	assert_int_equal(config.tree.policy.warn_permille, 800);
	assert_int_equal(config.tree.policy.on_limit, MT_ON_LIMIT_WARN);
	assert_int_equal(config.tree.policy.grace_ns, 1000000000);
	assert_int_equal(config.tree.policy.hard_permille, 1500);
	assert_int_equal(config.tree.window_ns, 5000000000);
	assert_int_equal(config.tree.policy.confirm, MT_CONFIRM_NEVER);
	assert_string_equal(config.tree.policy.hook, "echo \"a: b\"");
	assert_int_equal(config.tree.policy.hook_timeout_ns, 60000000000);
	assert_int_equal(config.tree.metric, 1U << MT_ANON | 1U << MT_SWAP);
	assert_int_equal(config.tree.policy.kill_process, 1);
	assert_int_equal(config.tree.policy.rule, MT_RULE_EXACT);
	assert_int_equal(config.tree.policy.vmem_limit, 2ULL << 30);
	assert_int_equal(config.tree.said, (1U << CHOICES) - 1);
}

static void test_later_dropins_override_key_by_key(void **state)
{
	struct config config;

	(void)state;
	mkdir(folder_path(&folder, "memtree.conf.d"), 0755);
	folder_write(&folder, "memtree.conf.d/20-b.conf",
		     "trees: 20\ndefaults: {grace: 2s, metric: anon}\n");
	folder_write(&folder, "memtree.conf.d/10-a.conf",
		     "trees: 10\nprocesses: 10\ndefaults: {grace: 1s, window: 1s}\n");
	folder_write(&folder, "memtree.conf.d/30-c.conf", "processes: 30\n");
	folder_write(&folder, "memtree.conf.d/40.conf~", "trees: 40\n");
	folder_write(&folder, "memtree.conf.d/.50.conf", "bogus: 50\n");
	folder_write(&folder, "memtree.conf.d/.conf", "trees: 60\n");
	config = config_of("trees: 1\nmax-kills: 1\ndefaults: {grace: 5s, hook: x}\n");
	assert_int_equal(config.trees, 20);
	assert_int_equal(config.processes, 30);
	assert_int_equal(config.max_kills, 1);
	assert_int_equal(config.tree.policy.grace_ns, 2000000000);
	assert_int_equal(config.tree.window_ns, 1000000000);
	assert_int_equal(config.tree.metric, 1U << MT_ANON);
	assert_string_equal(config.tree.policy.hook, "x");
	/* One that is wrong spoils all, and is named. */
	folder_write(&folder, "memtree.conf.d/30-c.conf", "\n\ntress: 3\n");
	assert_fails("memtree.conf", true, -EINVAL, "30-c.conf: line 3: there is no key 'tress'");
	unlink(folder_path(&folder, "memtree.conf.d/30-c.conf"));
	/* Without the file itself they count, too. */
	unlink(folder_path(&folder, "memtree.conf"));
	assert_int_equal(config_read(folder_path(&folder, "memtree.conf"), false, &config,
				     (char[CONFIG_WHY]){}),
			 0);
	assert_int_equal(config.trees, 20);
	assert_fails("memtree.conf", true, -ENOENT, "there is no such file");
}

/* In each of two files alone it is right. */
static void test_a_contradiction_is_found_across_files(void **state)
{
	(void)state;
	mkdir(folder_path(&folder, "memtree.conf.d"), 0755);
	folder_write(&folder, "memtree.conf.d/a.conf", "defaults:\n  on-limit: kill\n");
	assert_refused("defaults: {policy: yarn}\n", "a.conf: line 2: on-limit: kill acts at");
	folder_write(&folder, "memtree.conf.d/a.conf", "# nothing\n");
	assert_refused("defaults:\n  policy: yarn\n\n  metric: anon\n",
		       "memtree.conf: line 4: metric: the policy yarn counts rss");
}

static void test_what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"trees: 1\nbogus: 2\n", "line 2: there is no key 'bogus'"},
		{"defaults:\n  limit: 0\n  bogus: 2\n", "line 3: there is no key 'bogus'"},
		{"limit: 1G\n", "line 1: there is no key 'limit'"},
		{"trees: 1\n\ntrees: 1\n", "line 3: trees is said twice, in line 1 before"},
		{"defaults: {limit: 0, limit: 1M}\n", "limit is said twice"},
		{"trees: 0\n", "line 1: trees: '0' is no number from 1 to 65536"},
		{"\ntrees: 65537\n", "line 2: trees: '65537' is no number"},
		{"trees: -1\n", "is no number"},
		{"trees: 1.5\n", "is no number"},
		{"trees: lots\n", "is no number"},
		{"trees: 99999999999999999999\n", "is no number"},
		{"processes: 4194305\n", "is no number from 1 to 4194304"},
		{"max-kills: 1001\n", "is no number from 0 to 1000"},
		{"log-size: 63K\n", "63K is not between 64K and 1T"},
		{"log-size: 2T\n", "is not between"},
		{"log-size: big\n", "'big' is no size"},
		{"log: verdicts.log\n", "'verdicts.log' is no absolute path"},
		{"log: ''\n", "is no absolute path"},
		{"pin-folder: /sys/fs/bpf/\n", "ends with '/'"},
		{"socket: \"/run/a\\nb\"\n", "no control characters"},
		{"group: 'a b'\n", "is no group"},
		{"group: -x\n", "is no group"},
		{"defaults:\n  limit: 12X\n", "line 2: limit: '12X' is no size"},
		{"defaults:\n  hook-timeout: 0\n", "line 2: hook-timeout: a hook that may take no"},
		{"defaults:\n  on-limit: [term]\n", "line 2: on-limit takes one value"},
		{"trees: {a: b}\n", "trees takes one value"},
		{"trees:\n", "line 1: trees has no value"},
		{"defaults: {hook: null}\n", "hook has no value"},
		{"defaults: {hook: ~}\n", "hook has no value"},
		{"defaults: 5\n", "line 1: defaults takes keys and values"},
		{"defaults: [limit]\n", "defaults takes keys and values"},
		{"defaults: ''\n", "defaults takes keys and values"},
		{"- trees\n", "keys and values are expected"},
		{"trees\n", "keys and values are expected"},
		{"[1]: 2\n", "a key is a word"},
		{"? {a: b}\n: c\n", "a key is a word"},
		{"trees: 1\n---\ntrees: 2\n", "line 2: a second document is not taken"},
		{"trees: !!int 5\n", "tags are not taken"},
		{"!x {trees: 5}\n", "tags are not taken"},
		{"trees: &a 5\n", "anchors and aliases are not taken"},
		{"trees: 5\nprocesses: *a\n", "line 2: anchors and aliases are not taken"},
		{"trees: \"5\\0\"\n", "trees has a NUL in its value"},
		{"\"trees\\0x\": 5\n", "there is no key 'trees'"},
		{"trees: 1\n  processes: 2\n", "line 2: this is no YAML: "},
		{"trees: 1\n\tprocesses: 2\n", "this is no YAML: "},
		{"defaults: {limit: 0\n", "this is no YAML: "},
		{"trees: 'x\n", "this is no YAML: "},
		{"# \xff\n", "line 1: this is no YAML: "},
		{"trees: 1\n# \xc0\xaf\n", "line 2: this is no YAML: "},
		{"trees: 1\n\001: 2\n", "line 2: this is no YAML: control characters"},
		{"\"\\e[2J\\n\": 5\n", "there is no key '?[2J?'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].text, cases[i].reason);
}

/* Each level ten times the one before: text as large as all memory, if it were followed. */
static void test_a_bomb_of_aliases_does_not_go_off(void **state)
{
	char text[4096] = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";

	(void)state;
	for (char c = 'b'; c < 'z'; c++)
		sprintf(text + strlen(text), "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n",
			c, c, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	assert_refused(text, "line 1: there is no key 'a'");
	assert_refused("defaults: &a\n  limit: 0\n", "anchors and aliases");
	assert_refused("defaults: {<<: *a}\n", "there is no key '<<'");
}

static void test_sizes_are_bounded(void **state)
{
	char *text = malloc(CONFIG_SIZE_MAX + 2);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', CONFIG_SIZE_MAX + 1);
	folder_write_bytes(&folder, "memtree.conf", text, CONFIG_SIZE_MAX + 1);
	assert_fails("memtree.conf", true, -EINVAL, "it has more than 65536 bytes");
	/* Just as much as may be: deep, long and without an end. */
	memset(text, '[', CONFIG_SIZE_MAX);
	memcpy(text, "trees: ", 7);
	folder_write_bytes(&folder, "memtree.conf", text, CONFIG_SIZE_MAX);
	assert_fails("memtree.conf", true, -EINVAL, "trees takes one value");
	memset(text, 'x', CONFIG_SIZE_MAX);
	memcpy(text, "log: /", 6);
	folder_write_bytes(&folder, "memtree.conf", text, CONFIG_SIZE_MAX);
	assert_fails("memtree.conf", true, -EINVAL, "log: a path has at most 255 bytes here");
	memcpy(text, "socket: /", 9);
	folder_write_bytes(&folder, "memtree.conf", text, 8 + 108);
	assert_fails("memtree.conf", true, -EINVAL, "socket: a path has at most 107 bytes here");
	memcpy(text, "group: ", 7);
	folder_write_bytes(&folder, "memtree.conf", text, 7 + 33);
	assert_fails("memtree.conf", true, -EINVAL, "is no group");
	/* UTF-16, by its mark. */
	folder_write_bytes(&folder, "memtree.conf",
			   "\xff\xfe"
			   "a\0:\0 \0"
			   "1\0\n",
			   12);
	assert_fails("memtree.conf", true, -EINVAL, "this is no YAML: invalid leading UTF-8");
	folder_write_bytes(&folder, "memtree.conf", "trees\0: 1\n", 10);
	assert_fails("memtree.conf", true, -EINVAL, "control characters are not allowed");
	free(text);
}

static void test_what_is_no_file_of_ours_is_refused(void **state)
{
	char name[64];

	(void)state;
	assert_fails("memtree.conf", true, -ENOENT, "memtree.conf: there is no such file");
	mkdir(folder_path(&folder, "memtree.conf"), 0755);
	assert_fails("memtree.conf", true, -EINVAL, "it is no regular file");
	rmdir(folder_path(&folder, "memtree.conf"));
	/* A pipe that nobody writes does not hold it up. */
	assert_int_equal(mkfifo(folder_path(&folder, "memtree.conf"), 0600), 0);
	assert_fails("memtree.conf", true, -EINVAL, "it is no regular file");
	unlink(folder_path(&folder, "memtree.conf"));
	folder_write(&folder, "memtree.conf", "");
	chmod(folder_path(&folder, "memtree.conf"), 0666);
	assert_fails("memtree.conf", true, -EPERM, "others than its owner may write it");
	chmod(folder_path(&folder, "memtree.conf"), 0664);
	assert_fails("memtree.conf", true, -EPERM, "others than its owner may write it");
	chmod(folder_path(&folder, "memtree.conf"), 0644);
	mkdir(folder_path(&folder, "memtree.conf.d"), 0755);
	chmod(folder_path(&folder, "memtree.conf.d"), 0777);
	assert_fails("memtree.conf", true, -EPERM, "memtree.conf.d: others than its owner");
	chmod(folder_path(&folder, "memtree.conf.d"), 0755);
	assert_int_equal(symlink("nowhere", folder_path(&folder, "memtree.conf.d/x.conf")), 0);
	assert_fails("memtree.conf", true, -ENOENT, "x.conf: it is gone");
	for (int i = 0; i < CONFIG_DROPINS_MAX + 1; i++) {
		snprintf(name, sizeof(name), "memtree.conf.d/%d.conf", i);
		folder_write(&folder, name, "");
	}
	assert_fails("memtree.conf", true, -EINVAL, "it has more than 64 files");
	if (geteuid())
		return;
	assert_int_equal(chown(folder_path(&folder, "memtree.conf"), 1, 1), 0);
	folder_remove(folder_path(&folder, "memtree.conf.d"));
	assert_fails("memtree.conf", true, -EPERM, "it belongs to user 1");
}

/* By way of its YAML, as --check -v prints it. */
static void assert_prints_as_itself(const struct config *config)
{
	FILE *out = fopen(folder_path(&folder, "printed"), "w+");
	struct config again;
	char why[CONFIG_WHY];

	assert_non_null(out);
	assert_int_equal(config_print(config, out), 0);
	fclose(out);
	if (config_read(folder_path(&folder, "printed"), true, &again, why))
		fail_msg("%s", why);
	again.tree.said = config->tree.said;
	assert_memory_equal(&again, config, sizeof(again));
}

static void test_it_prints_as_what_it_is(void **state)
{
	struct config config;

	(void)state;
	config_default(&config);
	assert_prints_as_itself(&config);
	config = config_of("group: '007'\nlog-size: 65537\nlog: '/x: y #z'\n"
			   "defaults:\n  warn: 33.3%\n  grace: 1234567ms\n"
			   "  hook: \"a: 'b' #c\\n\\td \\\"e\\\" \\u20ac \"\n  limit: 1234567\n");
	assert_int_equal(config.log_bytes, 65537);
	assert_prints_as_itself(&config);
	config = config_of("defaults: {hook: 'null'}\n");
	assert_string_equal(config.tree.policy.hook, "null");
	assert_prints_as_itself(&config);
	config = config_of("defaults: {hook: '   '}\n");
	assert_prints_as_itself(&config);
	config = config_of("defaults:\n  hook: |\n    a\n\n    b\n");
	assert_string_equal(config.tree.policy.hook, "a\n\nb\n");
	assert_prints_as_itself(&config);
}

static void test_what_a_running_daemon_cannot_change(void **state)
{
	struct config running = config_of("trees: 5\n"), read;

	(void)state;
	read = config_of("trees: 5\nmax-kills: 3\nlog-size: 1M\ngroup: x\ndefaults: {hook: y}\n");
	assert_null(config_fixed(&running, &read));
	read = config_of("trees: 6\nlog: /x\n");
	assert_string_equal(config_fixed(&running, &read), "trees");
	read = config_of("trees: 5\nlog: /x\n");
	assert_string_equal(config_fixed(&running, &read), "log");
	read = config_of("trees: 5\nprocesses: 1\n");
	assert_string_equal(config_fixed(&running, &read), "processes");
}

/* "#key: value" or "#  key: value", unlike words for people. */
static bool is_key(const char *line)
{
	size_t indent = strspn(line + (line[0] == '#'), " ");
	char first = line[(line[0] == '#') + indent];

	return line[0] == '#' && (!indent || indent == 2) && first >= 'a' && first <= 'z';
}

/* As it is shipped, and with every key in it uncommented. */
static void test_the_example_says_the_defaults(void **state)
{
	char shipped[CONFIG_SIZE_MAX] = "", uncommented[CONFIG_SIZE_MAX] = "", line[512];
	FILE *file = fopen("deploy/memtree.conf", "r");
	struct config config;
	unsigned int keys = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		keys += is_key(line);
		strcat(shipped, line);
		strcat(uncommented, line + is_key(line));
	}
	fclose(file);
	assert_int_equal(keys, 8 + CHOICES);
	config = config_of(shipped);
	assert_is_default(&config);
	config = config_of(uncommented);
	assert_int_equal(config.tree.said, (1U << CHOICES) - 1);
	config.tree.said = 0;
	assert_is_default(&config);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_defaults_are_those_of_the_contract),
		TEST(test_nothing_said_is_all_defaults),
		TEST(test_other_ways_to_write_it),
		TEST(test_every_key_is_taken),
		TEST(test_later_dropins_override_key_by_key),
		TEST(test_a_contradiction_is_found_across_files),
		TEST(test_what_is_wrong_is_told_with_its_line),
		TEST(test_a_bomb_of_aliases_does_not_go_off),
		TEST(test_sizes_are_bounded),
		TEST(test_what_is_no_file_of_ours_is_refused),
		TEST(test_it_prints_as_what_it_is),
		TEST(test_what_a_running_daemon_cannot_change),
		TEST(test_the_example_says_the_defaults),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
