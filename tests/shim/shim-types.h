/* SPDX-License-Identifier: GPL-2.0-only */
/* Userspace twin: types, byte order, arithmetic, bits, barriers, atomics. */
#ifndef PDATA_SHIM_TYPES_H
#define PDATA_SHIM_TYPES_H

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef u64 sector_t;
typedef unsigned int gfp_t;

#define U8_MAX		((u8)~0U)
#define S8_MAX		((s8)(U8_MAX >> 1))
#define U16_MAX		((u16)~0U)
#define S16_MAX		((s16)(U16_MAX >> 1))
#define U32_MAX		((u32)~0U)
#define U32_MIN		((u32)0)
#define S32_MAX		((s32)(U32_MAX >> 1))
#define S32_MIN		((s32)(-S32_MAX - 1))
#define U64_MAX		((u64)~0ULL)
#define S64_MAX		((s64)(U64_MAX >> 1))
#define S64_MIN		((s64)(-S64_MAX - 1))
#ifndef INT_MAX
#define INT_MAX		__INT_MAX__	/* good in #if, where headers of libraries use it */
#define INT_MIN		(-INT_MAX - 1)
#define UINT_MAX	(~0U)
#define LONG_MAX	__LONG_MAX__
#define LONG_MIN	(-LONG_MAX - 1)
#define ULONG_MAX	(~0UL)
#endif
#ifndef LLONG_MAX
#define LLONG_MAX	((long long)(~0ULL >> 1))
#define LLONG_MIN	(-LLONG_MAX - 1)
#define ULLONG_MAX	(~0ULL)
#endif

#define PAGE_SHIFT	12
#define PAGE_SIZE	4096UL
#define SECTOR_SHIFT	9
#define SECTOR_SIZE	512
#define BITS_PER_BYTE	8
#define BITS_PER_LONG	64

/* ---- the compiler ---- */

#undef __packed
#undef __always_inline
#undef __counted_by
#define __packed		__attribute__((__packed__))
#define __aligned(x)		__attribute__((__aligned__(x)))
#define __must_check		__attribute__((__warn_unused_result__))
#define __maybe_unused		__attribute__((__unused__))
#define __always_unused		__attribute__((__unused__))
#define __always_inline		inline __attribute__((__always_inline__))
#define noinline		__attribute__((__noinline__))
#define noinline_for_stack	noinline
#define __cold			__attribute__((__cold__))
#define __printf(a, b)		__attribute__((__format__(printf, a, b)))
#define __counted_by(member)
#define __read_mostly
#define __ro_after_init
#ifndef __force
#define __force
#endif
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __rcu
#define fallthrough		__attribute__((__fallthrough__))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define unreachable()		__builtin_unreachable()
#define typecheck(type, x)	({ type __tc; typeof(x) *__tc2 = &__tc; (void)__tc2; 1; })

#undef static_assert
#define static_assert(expr, ...)	__static_assert(expr, ##__VA_ARGS__, #expr)
#define __static_assert(expr, msg, ...)	_Static_assert(expr, msg)
#define BUILD_BUG_ON(cond)		_Static_assert(!(cond), "BUILD_BUG_ON: " #cond)
#define BUILD_BUG_ON_MSG(cond, msg)	_Static_assert(!(cond), msg)
#define BUILD_BUG_ON_ZERO(e)		((int)sizeof(struct { int:(-!!(e)); }))

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define sizeof_field(t, m)	sizeof(((t *)0)->m)
#define offsetofend(t, m)	(offsetof(t, m) + sizeof_field(t, m))
#define container_of(ptr, type, member) ({				\
	void *__mptr = (void *)(ptr);					\
	_Static_assert(__builtin_types_compatible_p(typeof(*(ptr)),	\
			typeof(((type *)0)->member)) ||			\
		       __builtin_types_compatible_p(typeof(*(ptr)), void), \
		       "pointer is not to that member");		\
	(type *)(__mptr - offsetof(type, member));			\
})

/* ---- byte order ---- */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define __shim_le16(x)	((u16)(x))
#define __shim_le32(x)	((u32)(x))
#define __shim_le64(x)	((u64)(x))
#define __shim_be16(x)	__builtin_bswap16(x)
#define __shim_be32(x)	__builtin_bswap32(x)
#define __shim_be64(x)	__builtin_bswap64(x)
#else
#define __shim_le16(x)	__builtin_bswap16(x)
#define __shim_le32(x)	__builtin_bswap32(x)
#define __shim_le64(x)	__builtin_bswap64(x)
#define __shim_be16(x)	((u16)(x))
#define __shim_be32(x)	((u32)(x))
#define __shim_be64(x)	((u64)(x))
#endif

#define cpu_to_le16(x)	((__le16)__shim_le16(x))
#define cpu_to_le32(x)	((__le32)__shim_le32(x))
#define cpu_to_le64(x)	((__le64)__shim_le64(x))
#define le16_to_cpu(x)	((u16)__shim_le16((__le16)(x)))
#define le32_to_cpu(x)	((u32)__shim_le32((__le32)(x)))
#define le64_to_cpu(x)	((u64)__shim_le64((__le64)(x)))
#define cpu_to_be32(x)	((__be32)__shim_be32(x))
#define cpu_to_be64(x)	((__be64)__shim_be64(x))
#define be32_to_cpu(x)	((u32)__shim_be32((__be32)(x)))
#define be64_to_cpu(x)	((u64)__shim_be64((__be64)(x)))

static inline u16 le16_to_cpup(const __le16 *p)
{
	return le16_to_cpu(*p);
}

static inline u32 le32_to_cpup(const __le32 *p)
{
	return le32_to_cpu(*p);
}

static inline u64 le64_to_cpup(const __le64 *p)
{
	return le64_to_cpu(*p);
}

static inline void le16_add_cpu(__le16 *p, u16 val)
{
	*p = cpu_to_le16(le16_to_cpu(*p) + val);
}

static inline void le32_add_cpu(__le32 *p, u32 val)
{
	*p = cpu_to_le32(le32_to_cpu(*p) + val);
}

static inline void le64_add_cpu(__le64 *p, u64 val)
{
	*p = cpu_to_le64(le64_to_cpu(*p) + val);
}

/* ---- arithmetic: min() and max() refuse mixed types, as in 6.1 ---- */

#define __shim_cmp(x, y, op) ({						\
	typeof(x) __x = (x);						\
	typeof(y) __y = (y);						\
	(void)(&__x == &__y);						\
	__x op __y ? __x : __y;						\
})
#define __shim_cmp_t(type, x, y, op) ({					\
	type __tx = (type)(x);						\
	type __ty = (type)(y);						\
	__tx op __ty ? __tx : __ty;					\
})
#define min(x, y)		__shim_cmp(x, y, <)
#define max(x, y)		__shim_cmp(x, y, >)
#define min3(x, y, z)		min((typeof(x))min(x, y), z)
#define max3(x, y, z)		max((typeof(x))max(x, y), z)
#define min_t(type, x, y)	__shim_cmp_t(type, x, y, <)
#define max_t(type, x, y)	__shim_cmp_t(type, x, y, >)
#define clamp(val, lo, hi)	min((typeof(val))max(val, lo), hi)
#define clamp_t(type, val, lo, hi)	min_t(type, max_t(type, val, lo), hi)
#define clamp_val(val, lo, hi)	clamp_t(typeof(val), val, lo, hi)
#define min_not_zero(x, y) ({						\
	typeof(x) __nx = (x);						\
	typeof(y) __ny = (y);						\
	__nx == 0 ? __ny : (__ny == 0 ? __nx : min(__nx, __ny));	\
})
#define swap(a, b) do {							\
	typeof(a) __swap = (a);						\
	(a) = (b);							\
	(b) = __swap;							\
} while (0)
#undef abs
#define abs(x) ({							\
	typeof(x) __ax = (x);						\
	__ax < 0 ? -__ax : __ax;					\
})

#define DIV_ROUND_UP(n, d)		(((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(n, d)		DIV_ROUND_UP((unsigned long long)(n), d)
#define DIV_ROUND_CLOSEST_ULL(n, d)	(((unsigned long long)(n) + (d) / 2) / (d))
#define round_up(x, y)		((((x) - 1) | (typeof(x))((y) - 1)) + 1)
#define round_down(x, y)	((x) & ~(typeof(x))((y) - 1))
#define roundup(x, y) ({						\
	typeof(y) __ry = (y);						\
	(((x) + (__ry - 1)) / __ry) * __ry;				\
})
#define rounddown(x, y) ({						\
	typeof(x) __rx = (x);						\
	__rx - __rx % (y);						\
})
#define ALIGN(x, a)		round_up(x, a)
#define ALIGN_DOWN(x, a)	round_down(x, a)
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)
#define upper_32_bits(n)	((u32)((n) >> 32))
#define lower_32_bits(n)	((u32)((n) & 0xffffffff))

static inline u64 div_u64_rem(u64 dividend, u32 divisor, u32 *remainder)
{
	*remainder = dividend % divisor;
	return dividend / divisor;
}

static inline u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *remainder)
{
	*remainder = dividend % divisor;
	return dividend / divisor;
}

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

static inline s64 div_s64(s64 dividend, s32 divisor)
{
	return dividend / divisor;
}

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 c)
{
	return (unsigned __int128)a * b / c;
}

static inline u64 mul_u64_u32_div(u64 a, u32 b, u32 c)
{
	return (unsigned __int128)a * b / c;
}

/* ---- overflow ---- */

#define check_add_overflow(a, b, d)	((bool)__builtin_add_overflow(a, b, d))
#define check_sub_overflow(a, b, d)	((bool)__builtin_sub_overflow(a, b, d))
#define check_mul_overflow(a, b, d)	((bool)__builtin_mul_overflow(a, b, d))

static inline size_t __must_check size_mul(size_t a, size_t b)
{
	size_t r;

	return check_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

static inline size_t __must_check size_add(size_t a, size_t b)
{
	size_t r;

	return check_add_overflow(a, b, &r) ? SIZE_MAX : r;
}

#define array_size(a, b)		size_mul(a, b)
#define array3_size(a, b, c)		size_mul(size_mul(a, b), c)
#define flex_array_size(p, member, n)	size_mul(n, sizeof(*(p)->member))
#define struct_size(p, member, n)					\
	size_add(sizeof(*(p)), flex_array_size(p, member, n))

/* ---- bits ---- */

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define BIT_MASK(n)		(1UL << ((n) % BITS_PER_LONG))
#define BIT_WORD(n)		((n) / BITS_PER_LONG)
#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits)	unsigned long name[BITS_TO_LONGS(bits)]
#define GENMASK(h, l)		((~0UL << (l)) & (~0UL >> (BITS_PER_LONG - 1 - (h))))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static inline unsigned long __ffs(unsigned long x)
{
	return __builtin_ctzl(x);
}

static inline unsigned long __fls(unsigned long x)
{
	return 63 - __builtin_clzl(x);
}

#define ffz(x)		__ffs(~(x))
#define hweight8(x)	((unsigned int)__builtin_popcount((u8)(x)))
#define hweight32(x)	((unsigned int)__builtin_popcount((u32)(x)))
#define hweight64(x)	((unsigned long)__builtin_popcountll(x))
#define hweight_long(x)	((unsigned long)__builtin_popcountl(x))
#define ilog2(n)	(fls64(n) - 1)

static inline __attribute__((const)) bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return n <= 1 ? 1 : 1UL << fls64(n - 1);
}

static inline unsigned long rounddown_pow_of_two(unsigned long n)
{
	return 1UL << (fls64(n) - 1);
}

#define order_base_2(n)	((n) > 1 ? ilog2((n) - 1) + 1 : 0)

static inline s64 sign_extend64(u64 value, int index)
{
	int shift = 63 - index;

	return (s64)(value << shift) >> shift;
}

static inline bool test_bit(unsigned long nr, const volatile unsigned long *p)
{
	return (p[BIT_WORD(nr)] >> (nr % BITS_PER_LONG)) & 1;
}

static inline void __set_bit(unsigned long nr, unsigned long *p)
{
	p[BIT_WORD(nr)] |= BIT_MASK(nr);
}

static inline void __clear_bit(unsigned long nr, unsigned long *p)
{
	p[BIT_WORD(nr)] &= ~BIT_MASK(nr);
}

static inline void __change_bit(unsigned long nr, unsigned long *p)
{
	p[BIT_WORD(nr)] ^= BIT_MASK(nr);
}

static inline void set_bit(unsigned long nr, volatile unsigned long *p)
{
	__atomic_fetch_or(p + BIT_WORD(nr), BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long nr, volatile unsigned long *p)
{
	__atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(unsigned long nr, volatile unsigned long *p)
{
	return __atomic_fetch_or(p + BIT_WORD(nr), BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}

static inline bool test_and_clear_bit(unsigned long nr, volatile unsigned long *p)
{
	return __atomic_fetch_and(p + BIT_WORD(nr), ~BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}

/* First bit at or after @from whose value is @set; @size if there is none. */
unsigned long pdata_shim_find_bit(const unsigned long *p, unsigned long size,
				  unsigned long from, bool set);

#define find_first_bit(p, size)		pdata_shim_find_bit(p, size, 0, true)
#define find_next_bit(p, size, from)	pdata_shim_find_bit(p, size, from, true)
#define find_first_zero_bit(p, size)	pdata_shim_find_bit(p, size, 0, false)
#define find_next_zero_bit(p, size, from)	pdata_shim_find_bit(p, size, from, false)
#define for_each_set_bit(bit, p, size)					\
	for ((bit) = find_first_bit(p, size); (bit) < (size);		\
	     (bit) = find_next_bit(p, size, (bit) + 1))

void bitmap_set(unsigned long *map, unsigned int start, unsigned int len);
void bitmap_clear(unsigned long *map, unsigned int start, unsigned int len);
unsigned int bitmap_weight(const unsigned long *map, unsigned int bits);

/* ---- memory order ---- */

#define barrier()		__asm__ __volatile__("" ::: "memory")
#define READ_ONCE(x)		(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val)	do { *(volatile typeof(x) *)&(x) = (val); } while (0)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new) ({						\
	typeof(*(p)) __old = (old);					\
	__atomic_compare_exchange_n(p, &__old, new, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	__old;								\
})

#define rcu_read_lock()			barrier()
#define rcu_read_unlock()		barrier()
#define synchronize_rcu()		might_sleep()
#define rcu_dereference(p)		smp_load_acquire(&(p))
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

#define ATOMIC_INIT(i)		{ (i) }
#define ATOMIC64_INIT(i)	{ (i) }

#define SHIM_ATOMIC(name, type)						\
static inline type name##_read(const name##_t *v)			\
{									\
	return __atomic_load_n((type *)&v->counter, __ATOMIC_RELAXED);	\
}									\
static inline void name##_set(name##_t *v, type i)			\
{									\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);		\
}									\
static inline type name##_add_return(type i, name##_t *v)		\
{									\
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline type name##_sub_return(type i, name##_t *v)		\
{									\
	return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline type name##_fetch_add(type i, name##_t *v)		\
{									\
	return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline type name##_fetch_sub(type i, name##_t *v)		\
{									\
	return __atomic_fetch_sub(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline type name##_xchg(name##_t *v, type i)			\
{									\
	return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline type name##_cmpxchg(name##_t *v, type old, type new_)	\
{									\
	__atomic_compare_exchange_n(&v->counter, &old, new_, false,	\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	return old;							\
}									\
static inline bool name##_try_cmpxchg(name##_t *v, type *old, type new_) \
{									\
	return __atomic_compare_exchange_n(&v->counter, old, new_, false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
}									\
static inline bool name##_add_unless(name##_t *v, type a, type u)	\
{									\
	type c = name##_read(v);					\
									\
	do {								\
		if (c == u)						\
			return false;					\
	} while (!name##_try_cmpxchg(v, &c, c + a));			\
	return true;							\
}

SHIM_ATOMIC(atomic, int)
SHIM_ATOMIC(atomic64, s64)

#define atomic_read_acquire(v)		smp_load_acquire(&(v)->counter)
#define atomic_set_release(v, i)	smp_store_release(&(v)->counter, i)
#define atomic64_read_acquire(v)	smp_load_acquire(&(v)->counter)
#define atomic64_set_release(v, i)	smp_store_release(&(v)->counter, i)
#define atomic_add(i, v)		((void)atomic_add_return(i, v))
#define atomic_sub(i, v)		((void)atomic_sub_return(i, v))
#define atomic_inc(v)			((void)atomic_add_return(1, v))
#define atomic_dec(v)			((void)atomic_sub_return(1, v))
#define atomic_inc_return(v)		atomic_add_return(1, v)
#define atomic_dec_return(v)		atomic_sub_return(1, v)
#define atomic_dec_and_test(v)		(atomic_sub_return(1, v) == 0)
#define atomic_sub_and_test(i, v)	(atomic_sub_return(i, v) == 0)
#define atomic_inc_not_zero(v)		atomic_add_unless(v, 1, 0)
#define atomic64_add(i, v)		((void)atomic64_add_return(i, v))
#define atomic64_sub(i, v)		((void)atomic64_sub_return(i, v))
#define atomic64_inc(v)			((void)atomic64_add_return(1, v))
#define atomic64_dec(v)			((void)atomic64_sub_return(1, v))
#define atomic64_inc_return(v)		atomic64_add_return(1, v)
#define atomic64_dec_return(v)		atomic64_sub_return(1, v)
#define atomic64_dec_and_test(v)	(atomic64_sub_return(1, v) == 0)
#define atomic64_sub_and_test(i, v)	(atomic64_sub_return(i, v) == 0)
#define atomic64_inc_not_zero(v)	atomic64_add_unless(v, 1, 0)

#endif
