/* What libfaketime leaves out: librdkafka waits with C11's cnd_timedwait, up to a wall-clock time.
 * POSIX's function does the same and is one that libfaketime translates. In glibc the two kinds of
 * condition and of mutex are one. */

#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
  int error = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
  return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}
