// SPDX-License-Identifier: GPL-2.0-only
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figures.h"

#define PAGE 4096L
#define WARM_PASSES 4

struct request {
	enum worker_order order;
	int threads, count;
};

struct thread {
	char *region;
	int cpu, passes, failed;
	struct samples samples;
	pthread_barrier_t *start;
};

int worker_ask(int socket, enum worker_order order, int threads, int count, int64_t *ret_value)
{
	const struct request request = {.order = order, .threads = threads, .count = count};
	int64_t value;

	if (send(socket, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		return -EIO;
	if (recv(socket, &value, sizeof(value), 0) != sizeof(value) || value < 0)
		return -EIO;
	*ret_value = value;
	return 0;
}

/* The last allowed CPUs first: interrupts prefer the first. */
static int cpu_pin(int place)
{
	cpu_set_t allowed, one;
	int cpu = CPU_SETSIZE;

	if (sched_getaffinity(getpid(), sizeof(allowed), &allowed))
		return -errno;
	place %= CPU_COUNT(&allowed);
	for (int left = place; left >= 0; left--)
		do
			cpu--;
		while (cpu > 0 && !CPU_ISSET(cpu, &allowed));
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

/* 4K pages, also where huge ones are always on. */
static char *region_map(void)
{
	char *region = mmap(NULL, WORKER_REGION, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED)
		return NULL;
	madvise(region, WORKER_REGION, MADV_NOHUGEPAGE);
	return region;
}

static void region_touch(char *region)
{
	for (long page = 0; page < WORKER_REGION; page += PAGE)
		*(volatile char *)(region + page) = 1;
}

/* Only the faults are timed, pass by pass: a pass that was interrupted is an outlier. */
static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->failed = cpu_pin(thread->cpu);
	pthread_barrier_wait(thread->start);
	for (int pass = -WARM_PASSES; pass < thread->passes; pass++) {
		uint64_t start_ns, end_ns;

		if (madvise(thread->region, WORKER_REGION, MADV_DONTNEED))
			thread->failed = -errno;
		start_ns = figures_now_ns();
		region_touch(thread->region);
		end_ns = figures_now_ns();
		if (pass >= 0)
			samples_add(&thread->samples,
				    (double)(end_ns - start_ns) * PAGE / WORKER_REGION);
	}
	return NULL;
}

static int64_t faults_measure(char *const *regions, int threads, int passes)
{
	struct thread all[WORKER_THREADS_MAX] = {};
	pthread_t ids[WORKER_THREADS_MAX];
	struct samples together = {};
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, (unsigned int)threads);
	for (int i = 0; i < threads; i++) {
		all[i] = (struct thread){
			.region = regions[i], .cpu = i, .passes = passes, .start = &start};
		if (i && pthread_create(&ids[i], NULL, thread_main, &all[i]))
			_exit(1);
	}
	thread_main(&all[0]);
	for (int i = 0; i < threads; i++) {
		if (i)
			pthread_join(ids[i], NULL);
		if (all[i].failed)
			return all[i].failed;
		for (size_t j = 0; j < all[i].samples.count; j++)
			samples_add(&together, all[i].samples.values[j]);
	}
	pthread_barrier_destroy(&start);
	return (int64_t)(samples_spread(&together).median * 1000);
}

static int64_t spawn_measure(int count)
{
	struct samples samples = {};

	for (int i = 0; i < count; i++) {
		uint64_t start_ns = figures_now_ns();
		int status;
		pid_t child = fork();

		if (!child) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			return -ECHILD;
		samples_add(&samples, (double)(figures_now_ns() - start_ns));
	}
	return (int64_t)samples_spread(&samples).median;
}

static int64_t order_do(char *const *regions, const struct request *request)
{
	switch (request->order) {
	case WORKER_FAULTS:
		return faults_measure(regions, request->threads, request->count);
	case WORKER_SPAWN:
		return spawn_measure(request->count);
	case WORKER_HOLD:
		region_touch(regions[0]);
		return 0;
	case WORKER_DROP:
		return madvise(regions[0], WORKER_REGION, MADV_DONTNEED) ? -errno : 0;
	}
	return -EINVAL;
}

int worker_main(int argc, char **argv)
{
	char *regions[WORKER_THREADS_MAX];
	struct request request;
	int socket = argc > 1 ? atoi(argv[1]) : -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < WORKER_THREADS_MAX; i++) {
		regions[i] = region_map();
		if (!regions[i])
			return 1;
	}
	cpu_pin(0);
	while (recv(socket, &request, sizeof(request), 0) == sizeof(request)) {
		int64_t value = order_do(regions, &request);

		if (send(socket, &value, sizeof(value), MSG_NOSIGNAL) != sizeof(value))
			return 1;
	}
	return 0;
}
