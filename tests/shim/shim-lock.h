/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Userspace twin: locks that know their owner, so that lockdep_assert_held(),
 * a second lock by the same thread, an unlock by another one, and sleeping
 * under a spinlock are noticed.
 */
#ifndef PDATA_SHIM_LOCK_H
#define PDATA_SHIM_LOCK_H

typedef struct {
	const void *owner;	/* address that stands for a thread, NULL = free */
} spinlock_t;

struct mutex {
	pthread_mutex_t m;
	const void *owner;
};

struct rw_semaphore {
	pthread_rwlock_t rw;
	const void *owner;	/* of the write side */
	int readers;
};

/* Has no owner: whoever likes may release it. */
struct semaphore {
	sem_t s;
};

#define __SPIN_LOCK_UNLOCKED(name)	(spinlock_t){ NULL }
#define DEFINE_SPINLOCK(name)	spinlock_t name = { NULL }
#define DEFINE_MUTEX(name)	struct mutex name = { PTHREAD_MUTEX_INITIALIZER, NULL }
#define DECLARE_RWSEM(name)						\
	struct rw_semaphore name = { PTHREAD_RWLOCK_INITIALIZER, NULL, 0 }

void pdata_shim_spin_lock(spinlock_t *lock);
bool pdata_shim_spin_trylock(spinlock_t *lock);
void pdata_shim_spin_unlock(spinlock_t *lock);
bool pdata_shim_spin_held(const spinlock_t *lock);
bool pdata_shim_mutex_held(const struct mutex *lock);
bool pdata_shim_rwsem_held(const struct rw_semaphore *sem);
bool pdata_shim_rwsem_held_write(const struct rw_semaphore *sem);

/*
 * For tests of one thread: called when it has released its last spinlock, to do
 * what another thread may do at that moment.
 */
extern void (*pdata_shim_unlocked)(void);

/* Aborts if the calling thread holds a spinlock. */
void pdata_shim_might_sleep(const char *file, int line);

#define might_sleep()		pdata_shim_might_sleep(__FILE__, __LINE__)
#define might_sleep_if(cond)	do { if (cond) might_sleep(); } while (0)
#define cond_resched()		({ might_sleep(); 0; })
#define cpu_relax()		barrier()

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->owner = NULL;
}

#define spin_lock(l)		pdata_shim_spin_lock(l)
#define spin_trylock(l)		pdata_shim_spin_trylock(l)
#define spin_unlock(l)		pdata_shim_spin_unlock(l)
#define spin_lock_nested(l, c)	pdata_shim_spin_lock(l)
#define spin_lock_irq(l)	pdata_shim_spin_lock(l)
#define spin_unlock_irq(l)	pdata_shim_spin_unlock(l)
#define spin_lock_bh(l)		pdata_shim_spin_lock(l)
#define spin_unlock_bh(l)	pdata_shim_spin_unlock(l)
#define spin_lock_irqsave(l, flags) do {				\
	typecheck(unsigned long, flags);				\
	(flags) = 0;							\
	pdata_shim_spin_lock(l);					\
} while (0)
#define spin_unlock_irqrestore(l, flags) do {				\
	typecheck(unsigned long, flags);				\
	(void)(flags);							\
	pdata_shim_spin_unlock(l);					\
} while (0)
#define spin_trylock_irqsave(l, flags) ({				\
	typecheck(unsigned long, flags);				\
	(flags) = 0;							\
	pdata_shim_spin_trylock(l);					\
})

void mutex_init(struct mutex *lock);
void mutex_destroy(struct mutex *lock);
void mutex_lock(struct mutex *lock);
int __must_check mutex_trylock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);
bool mutex_is_locked(struct mutex *lock);

#define mutex_lock_nested(l, c)	mutex_lock(l)

void sema_init(struct semaphore *sem, int val);
void down(struct semaphore *sem);
int __must_check down_trylock(struct semaphore *sem);
void up(struct semaphore *sem);

void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
int __must_check down_read_trylock(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
int __must_check down_write_trylock(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
int rwsem_is_locked(struct rw_semaphore *sem);

#define lockdep_is_held(l) _Generic((l),				\
	spinlock_t *: pdata_shim_spin_held,				\
	const spinlock_t *: pdata_shim_spin_held,			\
	struct mutex *: pdata_shim_mutex_held,				\
	const struct mutex *: pdata_shim_mutex_held,			\
	struct rw_semaphore *: pdata_shim_rwsem_held,			\
	const struct rw_semaphore *: pdata_shim_rwsem_held)(l)
#define lockdep_assert(cond)		((void)WARN_ON(!(cond)))
#define lockdep_assert_held(l)		lockdep_assert(lockdep_is_held(l))
#define lockdep_assert_not_held(l)	lockdep_assert(!lockdep_is_held(l))
#define lockdep_assert_held_write(l) _Generic((l),			\
	struct rw_semaphore *: lockdep_assert(pdata_shim_rwsem_held_write((void *)(l))), \
	default: lockdep_assert_held(l))
#define lockdep_assert_held_read(l)	lockdep_assert_held(l)

struct lock_class_key {
	char unused;
};

#define lockdep_set_class(l, key)	((void)(l), (void)(key))

#endif
