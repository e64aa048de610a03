/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Userspace twin: memory. All of it comes from malloc(), so that ASan sees
 * overruns, leaks and use after free. Allocations that may sleep check that no
 * spinlock is held; all but __GFP_NOFAIL ones can be made to fail.
 */
#ifndef PDATA_SHIM_MEMORY_H
#define PDATA_SHIM_MEMORY_H

#define __GFP_ZERO		0x01u
#define __GFP_NOFAIL		0x02u
#define __GFP_NOWARN		0x04u
#define __GFP_NORETRY		0x08u
#define __GFP_HIGH		0x10u
#define __GFP_DIRECT_RECLAIM	0x20u	/* may sleep */
#define __GFP_IO		0x40u
#define __GFP_FS		0x80u
#define __GFP_KSWAPD_RECLAIM	0x100u
#define __GFP_RETRY_MAYFAIL	0x200u
#define __GFP_NOMEMALLOC	0x400u
#define __GFP_RECLAIM		(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT		__GFP_KSWAPD_RECLAIM
#define GFP_ATOMIC		(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOIO		__GFP_RECLAIM
#define GFP_NOFS		(__GFP_RECLAIM | __GFP_IO)
#define GFP_KERNEL		(__GFP_RECLAIM | __GFP_IO | __GFP_FS)

/*
 * After @n good allocations the next one fails, once. Negative: never.
 * pdata_shim_fail_alloc_from(): that one and all that follow, until told
 * otherwise. Both count this thread's allocations only.
 */
void pdata_shim_fail_alloc_after(long n);
void pdata_shim_fail_alloc_from(long n);
/* Allocations made by this thread so far, and how many failed by injection. */
unsigned long pdata_shim_allocs(void);
unsigned long pdata_shim_failed_allocs(void);

void *pdata_shim_alloc(size_t size, size_t align, gfp_t gfp) __attribute__((__malloc__));
void *pdata_shim_realloc(const void *p, size_t size, gfp_t gfp);
void pdata_shim_free(const void *p);
void pdata_shim_kvfree(const void *p);

#define kmalloc(size, gfp)		pdata_shim_alloc(size, 0, gfp)
#define kzalloc(size, gfp)		pdata_shim_alloc(size, 0, (gfp) | __GFP_ZERO)
#define kmalloc_array(n, size, gfp)	pdata_shim_alloc(size_mul(n, size), 0, gfp)
#define kcalloc(n, size, gfp)		kmalloc_array(n, size, (gfp) | __GFP_ZERO)
#define krealloc(p, size, gfp)		pdata_shim_realloc(p, size, gfp)
#define krealloc_array(p, n, size, gfp)	pdata_shim_realloc(p, size_mul(n, size), gfp)
#define kfree(p)			pdata_shim_free(p)
#define kvmalloc(size, gfp)		pdata_shim_alloc(size, 0, gfp)
#define kvzalloc(size, gfp)		pdata_shim_alloc(size, 0, (gfp) | __GFP_ZERO)
#define kvmalloc_array(n, size, gfp)	pdata_shim_alloc(size_mul(n, size), 0, gfp)
#define kvcalloc(n, size, gfp)		kvmalloc_array(n, size, (gfp) | __GFP_ZERO)
#define kvfree(p)			pdata_shim_kvfree(p)
#define vmalloc(size)			pdata_shim_alloc(size, 0, GFP_KERNEL)
#define vzalloc(size)			pdata_shim_alloc(size, 0, GFP_KERNEL | __GFP_ZERO)
#define vfree(p)			pdata_shim_kvfree(p)
#define kfree_rcu(p, field)		pdata_shim_free(p)

void *kmemdup(const void *src, size_t len, gfp_t gfp);
char *kstrdup(const char *s, gfp_t gfp);
char *kasprintf(gfp_t gfp, const char *fmt, ...) __printf(2, 3);

struct kmem_cache {
	const char *name;
	size_t size;
	size_t align;
	void (*ctor)(void *p);
	long in_use;
};

#define SLAB_HWCACHE_ALIGN	0x1u
#define SLAB_RECLAIM_ACCOUNT	0x2u
#define SLAB_MEM_SPREAD		0u

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *p));
void kmem_cache_destroy(struct kmem_cache *cache);	/* aborts if objects are left */
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *p);

#define KMEM_CACHE(type, flags)						\
	kmem_cache_create(#type, sizeof(struct type), _Alignof(struct type), flags, NULL)

/* One metadata block of memory, suitable for direct I/O. */
static inline void *pdata_block_alloc(gfp_t gfp)
{
	return pdata_shim_alloc(PAGE_SIZE, PAGE_SIZE, gfp);
}

static inline void pdata_block_free(void *p)
{
	pdata_shim_free(p);
}

#endif
