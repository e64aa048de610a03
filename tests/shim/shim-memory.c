// SPDX-License-Identifier: GPL-2.0-only
/* Userspace twin: memory, and its failures on request. */
#include "pdata-platform.h"

static _Thread_local unsigned long allocs, allocs_failed;
static _Thread_local long fail_after = -1;
static _Thread_local bool fail_on;	/* goes on failing */

void pdata_shim_fail_alloc_after(long n)
{
	fail_after = n;
	fail_on = false;
}

void pdata_shim_fail_alloc_from(long n)
{
	fail_after = n;
	fail_on = n >= 0;
}

unsigned long pdata_shim_allocs(void)
{
	return allocs;
}

unsigned long pdata_shim_failed_allocs(void)
{
	return allocs_failed;
}

/* Count one allocation; true if it has to fail. */
static bool alloc_fails(gfp_t gfp)
{
	might_sleep_if(gfp & __GFP_DIRECT_RECLAIM);
	allocs++;
	if (likely(fail_after < 0) || (gfp & __GFP_NOFAIL))
		return false;
	if (fail_after) {
		fail_after--;
		return false;
	}
	if (!fail_on)
		fail_after = -1;
	allocs_failed++;
	return true;
}

void *pdata_shim_alloc(size_t size, size_t align, gfp_t gfp)
{
	void *p;

	if (alloc_fails(gfp))
		return NULL;
	if (size > PTRDIFF_MAX)
		return NULL;
	if (align > sizeof(void *) * 2)
		p = aligned_alloc(align, round_up(size, align));
	else
		p = malloc(size ? size : 1);
	if (!p && (gfp & __GFP_NOFAIL)) {
		fprintf(stderr, "thin2: out of memory: %zu bytes\n", size);
		abort();
	}
	if (p && (gfp & __GFP_ZERO))
		memset(p, 0, size);
	return p;
}

void *pdata_shim_realloc(const void *p, size_t size, gfp_t gfp)
{
	if (alloc_fails(gfp) || size > PTRDIFF_MAX)
		return NULL;
	return realloc((void *)p, size ? size : 1);
}

void pdata_shim_free(const void *p)
{
	free((void *)p);
}

void pdata_shim_kvfree(const void *p)
{
	might_sleep_if(p);
	free((void *)p);
}

void *kmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *p = kmalloc(len, gfp);

	if (p)
		memcpy(p, src, len);
	return p;
}

char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? kmemdup(s, strlen(s) + 1, gfp) : NULL;
}

char *kasprintf(gfp_t gfp, const char *fmt, ...)
{
	va_list args;
	char *p;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	p = kmalloc(n + 1, gfp);
	if (!p)
		return NULL;
	va_start(args, fmt);
	vsnprintf(p, n + 1, fmt, args);
	va_end(args);
	return p;
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *p))
{
	struct kmem_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	cache->name = name;
	cache->size = size;
	cache->align = align;
	cache->ctor = ctor;
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	if (!cache)
		return;
	if (cache->in_use) {
		fprintf(stderr, "thin2: cache %s is destroyed with %ld objects in use\n",
			cache->name, cache->in_use);
		abort();
	}
	kfree(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *p = pdata_shim_alloc(cache->size, cache->align, gfp);

	if (!p)
		return NULL;
	if (cache->ctor)
		cache->ctor(p);
	__atomic_fetch_add(&cache->in_use, 1, __ATOMIC_RELAXED);
	return p;
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	return kmem_cache_alloc(cache, gfp | __GFP_ZERO);
}

void kmem_cache_free(struct kmem_cache *cache, void *p)
{
	if (!p)
		return;
	__atomic_fetch_sub(&cache->in_use, 1, __ATOMIC_RELAXED);
	pdata_shim_free(p);
}
