/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one platform header of the shared core, userspace side.
 *
 * Twin of drivers/md/persistent-data/pdata-platform.h: same include guard,
 * same names. Shared code that does not compile in a kernel must not compile
 * here only because this header is more generous, so it offers what the
 * kernel's headers offer, and where it is cheap it checks what lockdep and
 * might_sleep() would: sleeping under a spinlock, unlocking what is not held.
 *
 * What only tests and tools use is named pdata_shim_*.
 */
#ifndef PDATA_PLATFORM_H
#define PDATA_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <linux/types.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#include "shim-types.h"
#include "shim-lock.h"
#include "shim-memory.h"
#include "shim-list.h"
#include "shim-rbtree.h"

/* ---- log ---- */

/* Nothing is written to stderr while this is set; pdata_shim_log_lines counts on. */
extern bool pdata_shim_quiet;
extern unsigned long pdata_shim_log_lines;

/* If set it gets each line, quiet or not. */
extern void (*pdata_shim_log_hook)(const char *line);

void __printf(1, 2) pdata_shim_log(const char *fmt, ...);

#define pdata_err(fmt, ...)	pdata_shim_log("thin2: " fmt "\n", ##__VA_ARGS__)
#define pdata_warn(fmt, ...)	pdata_shim_log("thin2: " fmt "\n", ##__VA_ARGS__)
#define pdata_info(fmt, ...)	pdata_shim_log("thin2: " fmt "\n", ##__VA_ARGS__)
#define pdata_err_limit(fmt, ...)	pdata_shim_log("thin2: " fmt "\n", ##__VA_ARGS__)

/* ---- what must not happen ---- */

/* A WARN_ON() that is true aborts (tests); tools on damaged pools may clear this. */
extern bool pdata_shim_warn_fatal;

void pdata_shim_warned(const char *what, const char *file, int line);

#define WARN_ON(cond) ({						\
	bool __warn = !!(cond);						\
	if (unlikely(__warn))						\
		pdata_shim_warned(#cond, __FILE__, __LINE__);		\
	unlikely(__warn);						\
})
#define WARN_ON_ONCE(cond)	WARN_ON(cond)
#define WARN(cond, ...) ({						\
	bool __warn2 = !!(cond);					\
	if (unlikely(__warn2))						\
		pdata_shim_log(__VA_ARGS__);				\
	WARN_ON(__warn2);						\
})
#define WARN_ONCE(cond, ...)	WARN(cond, __VA_ARGS__)

/* ---- error pointers ---- */

#define MAX_ERRNO	4095
#define IS_ERR_VALUE(x)	unlikely((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)

static inline void * __must_check ERR_PTR(long error)
{
	return (void *)error;
}

static inline long __must_check PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool __must_check IS_ERR(const void *ptr)
{
	return IS_ERR_VALUE((unsigned long)ptr);
}

static inline bool __must_check IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR(ptr);
}

static inline void * __must_check ERR_CAST(const void *ptr)
{
	return (void *)ptr;
}

static inline int __must_check PTR_ERR_OR_ZERO(const void *ptr)
{
	return IS_ERR(ptr) ? (int)PTR_ERR(ptr) : 0;
}

/* ---- checksums, sorting, strings ---- */

/* The kernel's: no inversion before or after. */
u32 crc32c(u32 crc, const void *data, size_t len);

typedef int (*cmp_func_t)(const void *a, const void *b);
typedef int (*cmp_r_func_t)(const void *a, const void *b, const void *priv);
typedef void (*swap_func_t)(void *a, void *b, int size);
typedef void (*swap_r_func_t)(void *a, void *b, int size, const void *priv);

/* Not stable, as the kernel's. */
void sort(void *base, size_t num, size_t size, cmp_func_t cmp, swap_func_t swap_fn);
void sort_r(void *base, size_t num, size_t size, cmp_r_func_t cmp, swap_r_func_t swap_fn,
	    const void *priv);

void *memchr_inv(const void *p, int c, size_t n);
ssize_t strscpy(char *dst, const char *src, size_t size);
int __printf(3, 4) scnprintf(char *buf, size_t size, const char *fmt, ...);
int __printf(3, 0) vscnprintf(char *buf, size_t size, const char *fmt, va_list args);

/* ---- time and chance ---- */

/* From now on random numbers follow from @seed; before, they are the system's. */
void pdata_shim_seed(u64 seed);

void get_random_bytes(void *buf, size_t len);
u64 get_random_u64(void);
u32 get_random_u32(void);

typedef s64 ktime_t;
typedef s64 time64_t;

u64 ktime_get_ns(void);
u64 ktime_get_real_ns(void);
time64_t ktime_get_real_seconds(void);

/* ---- uuid ---- */

#define UUID_SIZE	16

typedef struct {
	__u8 b[UUID_SIZE];
} uuid_t;

void generate_random_uuid(unsigned char uuid[16]);

static inline void uuid_gen(uuid_t *u)
{
	generate_random_uuid(u->b);
}

static inline bool uuid_equal(const uuid_t *a, const uuid_t *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline bool uuid_is_null(const uuid_t *u)
{
	return !memchr_inv(u, 0, sizeof(*u));
}

static inline void uuid_copy(uuid_t *dst, const uuid_t *src)
{
	*dst = *src;
}

static inline void export_uuid(__u8 *dst, const uuid_t *src)
{
	memcpy(dst, src, sizeof(*src));
}

static inline void import_uuid(uuid_t *dst, const __u8 *src)
{
	memcpy(dst, src, sizeof(*dst));
}

/* ---- module ---- */

#define EXPORT_SYMBOL(sym)	static_assert(1)
#define EXPORT_SYMBOL_GPL(sym)	static_assert(1)
#define MODULE_LICENSE(text)	static_assert(1)
#define MODULE_AUTHOR(text)	static_assert(1)
#define MODULE_DESCRIPTION(text)	static_assert(1)
#define MODULE_ALIAS(text)	static_assert(1)
#define THIS_MODULE		NULL
#define __init
#define __exit

#endif
