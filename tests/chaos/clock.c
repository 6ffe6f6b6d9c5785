/* A wall clock that is the machine's plus an offset, for whole processes: preloaded.
 *
 * CHAOS_CLOCK names a file of one 64-bit number, the offset in seconds. It is mapped, so that it may
 * be changed at any time and is read by any number of threads. Only the wall clock moves: a monotonic
 * one is never set, on any machine. Whoever waits up to a wall-clock time is served by the real one. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const time_t WALL = 1000000000; /* a time since the machine's start is not as large */
static const int64_t nothing = 0;
static const volatile int64_t *offset = &nothing;

__attribute__((constructor)) static void map(void) {
  const char *name = getenv("CHAOS_CLOCK");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) abort();
  void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  offset = mapped;
  close(file);
}

static void *next(const char *name) {
  /* The first version of condition variables in glibc is another type. */
  void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
  return found ? found : dlsym(RTLD_NEXT, name);
}

#define REAL(result, name, ...)                        \
  static result (*real)(__VA_ARGS__);                  \
  if (!real) real = (result(*)(__VA_ARGS__))next(name)

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int error = real(clock, now);
  if (!error && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
  return error;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(int, "gettimeofday", struct timeval *, void *);
  int error = real(now, zone);
  if (!error) now->tv_sec += *offset;
  return error;
}

time_t time(time_t *told) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (told) *told = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
  REAL(int, "timespec_get", struct timespec *, int);
  int found = real(now, base);
  if (found == TIME_UTC) now->tv_sec += *offset;
  return found;
}

static struct timespec machines(const struct timespec *until) {
  struct timespec real = *until;
  if (real.tv_sec > WALL) real.tv_sec -= *offset;
  return real;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  REAL(int, "pthread_cond_timedwait", pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  struct timespec limit = machines(until);
  return real(condition, mutex, &limit);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
  REAL(int, "cnd_timedwait", cnd_t *, mtx_t *, const struct timespec *);
  struct timespec limit = machines(until);
  return real(condition, mutex, &limit);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  REAL(int, "sem_timedwait", sem_t *, const struct timespec *);
  struct timespec limit = machines(until);
  return real(semaphore, &limit);
}
