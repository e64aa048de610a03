// SPDX-License-Identifier: GPL-2.0-only
/* Userspace twin: locks that know their owner. */
#include "pdata-platform.h"

#include <sched.h>

static _Thread_local char lock_self;	/* its address stands for this thread */
static _Thread_local int spinlocks_held;

void (*pdata_shim_unlocked)(void);

static void __cold lock_bad(const char *what, const void *lock)
{
	fprintf(stderr, "thin2: lock %p: %s\n", lock, what);
	abort();
}

void pdata_shim_might_sleep(const char *file, int line)
{
	if (unlikely(spinlocks_held)) {
		fprintf(stderr, "thin2: %s:%d: may sleep, but %d spinlocks are held\n",
			file, line, spinlocks_held);
		abort();
	}
}

/* ---- semaphores ---- */

void sema_init(struct semaphore *sem, int val)
{
	sem_init(&sem->s, 0, val);
}

void down(struct semaphore *sem)
{
	might_sleep();
	while (sem_wait(&sem->s))
		;	/* interrupted by a signal */
}

/* As the kernel's: 0 if it was taken. */
int down_trylock(struct semaphore *sem)
{
	return sem_trywait(&sem->s) ? 1 : 0;
}

void up(struct semaphore *sem)
{
	sem_post(&sem->s);
}

/* ---- spinlocks ---- */

bool pdata_shim_spin_trylock(spinlock_t *lock)
{
	const void *free = NULL;

	if (!__atomic_compare_exchange_n(&lock->owner, &free, &lock_self, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	spinlocks_held++;
	return true;
}

void pdata_shim_spin_lock(spinlock_t *lock)
{
	unsigned int tries = 0;

	while (!pdata_shim_spin_trylock(lock)) {
		if (pdata_shim_spin_held(lock))
			lock_bad("spinlock taken twice by one thread", lock);
		if (++tries % 64 == 0)
			sched_yield();
	}
}

void pdata_shim_spin_unlock(spinlock_t *lock)
{
	if (!pdata_shim_spin_held(lock))
		lock_bad("spinlock is not held by its unlocker", lock);
	spinlocks_held--;
	__atomic_store_n(&lock->owner, NULL, __ATOMIC_RELEASE);
	if (unlikely(pdata_shim_unlocked) && !spinlocks_held)
		pdata_shim_unlocked();
}

bool pdata_shim_spin_held(const spinlock_t *lock)
{
	return __atomic_load_n((const void **)&lock->owner, __ATOMIC_RELAXED) == &lock_self;
}

/* ---- mutexes ---- */

static void mutex_owner(struct mutex *lock, const void *owner)
{
	__atomic_store_n(&lock->owner, owner, __ATOMIC_RELAXED);
}

bool pdata_shim_mutex_held(const struct mutex *lock)
{
	return __atomic_load_n((const void **)&lock->owner, __ATOMIC_RELAXED) == &lock_self;
}

void mutex_init(struct mutex *lock)
{
	pthread_mutex_init(&lock->m, NULL);
	mutex_owner(lock, NULL);
}

void mutex_destroy(struct mutex *lock)
{
	if (mutex_is_locked(lock))
		lock_bad("mutex is destroyed while held", lock);
	pthread_mutex_destroy(&lock->m);
}

void mutex_lock(struct mutex *lock)
{
	might_sleep();
	if (pdata_shim_mutex_held(lock))
		lock_bad("mutex taken twice by one thread", lock);
	pthread_mutex_lock(&lock->m);
	mutex_owner(lock, &lock_self);
}

int mutex_trylock(struct mutex *lock)
{
	if (pthread_mutex_trylock(&lock->m))
		return 0;
	mutex_owner(lock, &lock_self);
	return 1;
}

void mutex_unlock(struct mutex *lock)
{
	if (!pdata_shim_mutex_held(lock))
		lock_bad("mutex is not held by its unlocker", lock);
	mutex_owner(lock, NULL);
	pthread_mutex_unlock(&lock->m);
}

bool mutex_is_locked(struct mutex *lock)
{
	return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
}

/* ---- rw semaphores ---- */

void init_rwsem(struct rw_semaphore *sem)
{
	pthread_rwlock_init(&sem->rw, NULL);
	sem->owner = NULL;
	sem->readers = 0;
}

bool pdata_shim_rwsem_held_write(const struct rw_semaphore *sem)
{
	return __atomic_load_n((const void **)&sem->owner, __ATOMIC_RELAXED) == &lock_self;
}

/* Who reads is not recorded: somebody does. */
bool pdata_shim_rwsem_held(const struct rw_semaphore *sem)
{
	return pdata_shim_rwsem_held_write(sem) ||
	       __atomic_load_n((int *)&sem->readers, __ATOMIC_RELAXED) > 0;
}

void down_read(struct rw_semaphore *sem)
{
	might_sleep();
	if (pdata_shim_rwsem_held_write(sem))
		lock_bad("down_read() under down_write()", sem);
	pthread_rwlock_rdlock(&sem->rw);
	__atomic_fetch_add(&sem->readers, 1, __ATOMIC_RELAXED);
}

int down_read_trylock(struct rw_semaphore *sem)
{
	if (pthread_rwlock_tryrdlock(&sem->rw))
		return 0;
	__atomic_fetch_add(&sem->readers, 1, __ATOMIC_RELAXED);
	return 1;
}

void up_read(struct rw_semaphore *sem)
{
	if (__atomic_fetch_sub(&sem->readers, 1, __ATOMIC_RELAXED) <= 0)
		lock_bad("up_read() without down_read()", sem);
	pthread_rwlock_unlock(&sem->rw);
}

void down_write(struct rw_semaphore *sem)
{
	might_sleep();
	if (pdata_shim_rwsem_held_write(sem))
		lock_bad("down_write() twice by one thread", sem);
	pthread_rwlock_wrlock(&sem->rw);
	__atomic_store_n(&sem->owner, &lock_self, __ATOMIC_RELAXED);
}

int down_write_trylock(struct rw_semaphore *sem)
{
	if (pthread_rwlock_trywrlock(&sem->rw))
		return 0;
	__atomic_store_n(&sem->owner, &lock_self, __ATOMIC_RELAXED);
	return 1;
}

void up_write(struct rw_semaphore *sem)
{
	if (!pdata_shim_rwsem_held_write(sem))
		lock_bad("up_write() by one who does not hold it", sem);
	__atomic_store_n(&sem->owner, NULL, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&sem->rw);
}

int rwsem_is_locked(struct rw_semaphore *sem)
{
	return __atomic_load_n(&sem->owner, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&sem->readers, __ATOMIC_RELAXED) > 0;
}
