// SPDX-License-Identifier: GPL-2.0-only
#include "eater.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scene.h"
#include "units.h"

#define POKE_PAGES 64

/* What was eaten last. */
static char *eaten;
static size_t eaten_bytes;

static char *next(char ***words)
{
	require(**words != NULL, "a word is missing");
	return *(*words)++;
}

static size_t next_size(char ***words)
{
	uint64_t bytes;

	require(units_parse_size(next(words), &bytes), "no size");
	return bytes;
}

static unsigned int next_number(char ***words)
{
	uint32_t number;

	require(units_parse_count(next(words), &number), "no number");
	return number;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left))
		;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *map(size_t bytes, int flags, int fd)
{
	eaten_bytes = bytes;
	eaten = mmap(NULL, bytes, PROT_READ | (fd < 0 ? PROT_WRITE : 0), flags, fd, 0);
	require(eaten != MAP_FAILED, "mmap");
	return eaten;
}

static void eat_anon(size_t bytes)
{
	madvise(map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1), bytes, MADV_NOHUGEPAGE);
	touch(eaten, bytes / PAGE);
}

static void eat_nothing(size_t bytes)
{
	map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static void eat_huge(size_t bytes)
{
	madvise(map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1), bytes, MADV_HUGEPAGE);
	touch(eaten, bytes / PAGE);
}

static void eat_shmem(size_t bytes)
{
	touch(map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1), bytes / PAGE);
}

/* Holes of a file that has no name any more. */
static void eat_file(size_t bytes)
{
	char path[] = "/tmp/memtree-eat-XXXXXX";
	int fd = mkstemp(path);
	volatile char sum = 0;

	require(fd >= 0 && !unlink(path) && !ftruncate(fd, (off_t)bytes), path);
	map(bytes, MAP_SHARED, fd);
	close(fd);
	for (size_t i = 0; i < bytes; i += PAGE)
		sum = (char)(sum + eaten[i]);
}

static void poke(pid_t pid, char *memory, size_t bytes)
{
	static char page[PAGE * POKE_PAGES];

	for (size_t i = 0; i + sizeof(page) <= bytes; i += sizeof(page)) {
		struct iovec from = {page, sizeof(page)}, to = {memory + i, sizeof(page)};

		require(process_vm_writev(pid, &from, 1, &to, 1, 0) == sizeof(page), "poke");
	}
}

static void eat_poked(size_t bytes)
{
	pid_t self = getpid(), child;

	madvise(map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1), bytes, MADV_NOHUGEPAGE);
	child = fork();
	require(child >= 0, "fork");
	if (!child) {
		poke(self, eaten, bytes);
		_exit(0);
	}
	reap(child);
}

static pthread_barrier_t all_threads;

static void *thread_eats(void *bytes)
{
	char *memory = reserve(*(size_t *)bytes / PAGE);

	pthread_barrier_wait(&all_threads);
	touch(memory, *(size_t *)bytes / PAGE);
	for (;;)
		pause();
	return NULL;
}

static void eat_threads(char ***words)
{
	unsigned int count = next_number(words);
	static size_t bytes;
	pthread_attr_t small;
	pthread_t thread;

	bytes = next_size(words);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&all_threads, NULL, count);
	for (unsigned int i = 0; i < count; i++)
		require(!pthread_create(&thread, &small, thread_eats, &bytes), "pthread_create");
}

static void eat_children(char ***words)
{
	unsigned int count = next_number(words);
	size_t bytes = next_size(words);
	pid_t parent = getpid();

	for (unsigned int i = 0; i < count; i++) {
		pid_t child = fork();

		require(child >= 0, "fork");
		if (child)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		eat_anon(bytes);
		for (;;)
			pause();
	}
}

static void chain(char ***words)
{
	unsigned int count = next_number(words), ms = next_number(words);
	size_t bytes = next_size(words);

	for (unsigned int i = 0; i < count; i++) {
		pid_t child;

		eat_anon(bytes);
		sleep_ms(ms);
		child = fork();
		require(child >= 0, "fork");
		if (child)
			_exit(0);
	}
}

static pid_t exec_small(void)
{
	pid_t child = fork();

	require(child >= 0, "fork");
	if (child)
		return child;
	execl("/proc/self/exe", "memtree-live", "--eat", "exit", "0", NULL);
	_exit(99);
}

static void wait_all(void)
{
	while (wait(NULL) > 0)
		;
}

static void execs(char ***words)
{
	unsigned int count = next_number(words);
	bool at_once = **words && !strcmp(**words, "at-once");

	*words += at_once;
	for (unsigned int i = 0; i < count; i++) {
		pid_t child = exec_small();

		if (!at_once)
			reap(child);
	}
	wait_all();
}

/* Every process of it ends by itself, should nobody end it. */
static void bomb(unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		if (!fork())
			eat_anon(1 << 20);
	_exit(0);
}

static void await_file(const char *path)
{
	while (access(path, F_OK))
		sleep_ms(2);
}

static void make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	require(fd >= 0, path);
	close(fd);
}

static void churn(const char *path)
{
	while (access(path, F_OK)) {
		pid_t child = fork();

		require(child >= 0, "fork");
		if (!child) {
			eat_anon(1 << 20);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

/* Past the bracket that closes the one behind which it stands. */
static char **block_end(char **words)
{
	for (int depth = 1; *words; words++) {
		depth += !strcmp(*words, "{") - !strcmp(*words, "}");
		if (!depth)
			return words + 1;
	}
	require(0, "a bracket is not closed");
	return words;
}

/* Each child goes on with the block, the parent behind it. */
static void forks(char ***words, unsigned int count)
{
	require(!strcmp(next(words), "{"), "fork {");
	for (unsigned int i = 0; i < count; i++) {
		pid_t child = fork();

		require(child >= 0, "fork");
		if (!child)
			return;
	}
	*words = block_end(*words);
}

static void fork_block(char ***words)
{
	forks(words, 1);
}

static void forks_block(char ***words)
{
	forks(words, next_number(words));
}

static bool eat(const char *word, char ***words)
{
	static const struct {
		const char *name;
		void (*play)(size_t bytes);
	} foods[] = {
		{"anon", eat_anon}, {"huge", eat_huge},	  {"shmem", eat_shmem},
		{"file", eat_file}, {"poked", eat_poked}, {"reserve", eat_nothing},
	};

	for (size_t i = 0; i < sizeof(foods) / sizeof(foods[0]); i++)
		if (!strcmp(word, foods[i].name)) {
			foods[i].play(next_size(words));
			return true;
		}
	return false;
}

static bool spread(const char *word, char ***words)
{
	static const struct {
		const char *name;
		void (*play)(char ***words);
	} steps[] = {
		{"threads", eat_threads}, {"children", eat_children}, {"chain", chain},
		{"execs", execs},	  {"fork", fork_block},	      {"forks", forks_block},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (!strcmp(word, steps[i].name)) {
			steps[i].play(words);
			return true;
		}
	return false;
}

static void rest(const char *word, char ***words)
{
	if (!strcmp(word, "sleep"))
		sleep_ms(next_number(words));
	else if (!strcmp(word, "say"))
		dprintf(1, "%s\n", next(words));
	else if (!strcmp(word, "await"))
		await_file(next(words));
	else if (!strcmp(word, "churn"))
		churn(next(words));
	else if (!strcmp(word, "bomb"))
		bomb(next_number(words));
	else if (!strcmp(word, "make"))
		make_file(next(words));
	else if (!strcmp(word, "again"))
		touch(eaten, eaten_bytes / PAGE);
	else if (!strcmp(word, "wait"))
		wait_all();
	else if (!strcmp(word, "setsid"))
		setsid();
	else if (!strcmp(word, "ignore-term"))
		signal(SIGTERM, SIG_IGN);
	else if (!strcmp(word, "free"))
		munmap(eaten, eaten_bytes);
	else if (!strcmp(word, "exit"))
		_exit((int)next_number(words));
	else
		require(!strcmp(word, "}"), word);
}

int eater_main(char **words)
{
	while (*words) {
		const char *word = next(&words);

		if (!eat(word, &words) && !spread(word, &words))
			rest(word, &words);
		/* The end of a child's block. */
		if (!strcmp(word, "}"))
			_exit(0);
	}
	return 0;
}
