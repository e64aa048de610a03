// SPDX-License-Identifier: GPL-2.0-only
/* Userspace twin: log, warnings, sorting, strings, randomness, time, bits. */
#include "pdata-platform.h"

#include <sys/random.h>
#include <time.h>

bool pdata_shim_quiet;
bool pdata_shim_warn_fatal = true;
unsigned long pdata_shim_log_lines;
void (*pdata_shim_log_hook)(const char *line);

static void log_hook(const char *fmt, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, args);
	pdata_shim_log_hook(line);
}

void pdata_shim_log(const char *fmt, ...)
{
	va_list args;

	__atomic_fetch_add(&pdata_shim_log_lines, 1, __ATOMIC_RELAXED);
	if (pdata_shim_log_hook) {
		va_start(args, fmt);
		log_hook(fmt, args);
		va_end(args);
	}
	if (pdata_shim_quiet)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
}

void pdata_shim_warned(const char *what, const char *file, int line)
{
	fprintf(stderr, "thin2: WARNING: %s:%d: %s\n", file, line, what);
	if (pdata_shim_warn_fatal)
		abort();
}

/* ---- sorting ---- */

static void sort_swap(char *a, char *b, size_t size, swap_r_func_t swap_fn, const void *priv)
{
	if (swap_fn) {
		swap_fn(a, b, size, priv);
		return;
	}
	while (size--) {
		char c = *a;

		*a++ = *b;
		*b++ = c;
	}
}

/* Let the element at @i sink to its place in the heap of @num elements. */
static void sort_sink(char *base, size_t i, size_t num, size_t size, cmp_r_func_t cmp,
		      swap_r_func_t swap_fn, const void *priv)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= num)
			return;
		if (child + 1 < num &&
		    cmp(base + child * size, base + (child + 1) * size, priv) < 0)
			child++;
		if (cmp(base + i * size, base + child * size, priv) >= 0)
			return;
		sort_swap(base + i * size, base + child * size, size, swap_fn, priv);
		i = child;
	}
}

void sort_r(void *base, size_t num, size_t size, cmp_r_func_t cmp, swap_r_func_t swap_fn,
	    const void *priv)
{
	size_t i;

	for (i = num / 2; i > 0; i--)
		sort_sink(base, i - 1, num, size, cmp, swap_fn, priv);
	for (i = num; i > 1; i--) {
		sort_swap(base, (char *)base + (i - 1) * size, size, swap_fn, priv);
		sort_sink(base, 0, i - 1, size, cmp, swap_fn, priv);
	}
}

struct sort_plain {
	cmp_func_t cmp;
	swap_func_t swap_fn;
};

static int sort_plain_cmp(const void *a, const void *b, const void *priv)
{
	const struct sort_plain *p = priv;

	return p->cmp(a, b);
}

static void sort_plain_swap(void *a, void *b, int size, const void *priv)
{
	const struct sort_plain *p = priv;

	p->swap_fn(a, b, size);
}

void sort(void *base, size_t num, size_t size, cmp_func_t cmp, swap_func_t swap_fn)
{
	struct sort_plain p = { cmp, swap_fn };

	sort_r(base, num, size, sort_plain_cmp, swap_fn ? sort_plain_swap : NULL, &p);
}

/* Merge two sorted chains (linked by next, ended by NULL); @a's come first among equals. */
static struct list_head *list_merge(void *priv, list_cmp_func_t cmp, struct list_head *a,
				    struct list_head *b)
{
	struct list_head *first = NULL, **tail = &first;

	while (a && b) {
		struct list_head **from = cmp(priv, a, b) <= 0 ? &a : &b;

		*tail = *from;
		tail = &(*from)->next;
		*from = *tail;
	}
	*tail = a ? a : b;
	return first;
}

void list_sort(void *priv, struct list_head *head, list_cmp_func_t cmp)
{
	struct list_head *runs[64] = { NULL };	/* runs[i]: 2^i nodes, older than runs[i - 1] */
	struct list_head *n, *next, *all = NULL, *prev;
	unsigned int i;

	if (list_empty(head))
		return;
	head->prev->next = NULL;
	for (n = head->next; n; n = next) {
		next = n->next;
		n->next = NULL;
		for (i = 0; runs[i]; i++) {
			n = list_merge(priv, cmp, runs[i], n);
			runs[i] = NULL;
		}
		runs[i] = n;
	}
	for (i = 0; i < ARRAY_SIZE(runs); i++)
		if (runs[i])
			all = all ? list_merge(priv, cmp, runs[i], all) : runs[i];
	head->next = all;
	for (prev = head, n = all; n; prev = n, n = n->next)
		n->prev = prev;
	prev->next = head;
	head->prev = prev;
}

/* ---- strings ---- */

void *memchr_inv(const void *p, int c, size_t n)
{
	const u8 *b = p;

	for (; n; n--, b++)
		if (*b != (u8)c)
			return (void *)b;
	return NULL;
}

ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t len = strnlen(src, size);

	if (!size)
		return -E2BIG;
	if (len < size) {
		memcpy(dst, src, len + 1);
		return len;
	}
	memcpy(dst, src, size - 1);
	dst[size - 1] = 0;
	return -E2BIG;
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int n;

	if (!size)
		return 0;
	n = vsnprintf(buf, size, fmt, args);
	return n < (int)size ? n : (int)size - 1;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

/* ---- randomness: the system's, or a counter through splitmix64 ---- */

static DEFINE_MUTEX(random_lock);
static bool random_seeded;
static u64 random_state;

void pdata_shim_seed(u64 seed)
{
	pthread_mutex_lock(&random_lock.m);
	random_seeded = true;
	random_state = seed;
	pthread_mutex_unlock(&random_lock.m);
}

static u64 random_next(void)
{
	u64 z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void random_system(void *buf, size_t len)
{
	u8 *p = buf;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			perror("thin2: getrandom");
			abort();
		}
		p += n;
		len -= n;
	}
}

void get_random_bytes(void *buf, size_t len)
{
	u8 *p = buf;

	pthread_mutex_lock(&random_lock.m);
	if (!random_seeded) {
		random_system(buf, len);
		len = 0;
	}
	while (len) {
		u64 v = random_next();
		size_t n = len < sizeof(v) ? len : sizeof(v);

		memcpy(p, &v, n);
		p += n;
		len -= n;
	}
	pthread_mutex_unlock(&random_lock.m);
}

u64 get_random_u64(void)
{
	u64 v;

	get_random_bytes(&v, sizeof(v));
	return v;
}

u32 get_random_u32(void)
{
	return get_random_u64();
}

void generate_random_uuid(unsigned char uuid[16])
{
	get_random_bytes(uuid, 16);
	uuid[6] = (uuid[6] & 0x0f) | 0x40;	/* version 4 */
	uuid[8] = (uuid[8] & 0x3f) | 0x80;	/* variant of RFC 4122 */
}

/* ---- time ---- */

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

u64 ktime_get_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

u64 ktime_get_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

time64_t ktime_get_real_seconds(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000000ull;
}

/* ---- bits ---- */

unsigned long pdata_shim_find_bit(const unsigned long *p, unsigned long size,
				  unsigned long from, bool set)
{
	while (from < size) {
		unsigned long word = p[BIT_WORD(from)];

		if (!set)
			word = ~word;
		word &= ~0UL << (from % BITS_PER_LONG);
		if (word) {
			from = from / BITS_PER_LONG * BITS_PER_LONG + __ffs(word);
			return from < size ? from : size;
		}
		from = (from / BITS_PER_LONG + 1) * BITS_PER_LONG;
	}
	return size;
}

/* The bits of word @word that lie in [start, start + len). */
static unsigned long bitmap_mask(unsigned long word, unsigned long start, unsigned long len)
{
	const unsigned long first = word * BITS_PER_LONG;
	unsigned long mask = ~0UL;

	if (start > first)
		mask &= ~0UL << (start - first);
	if (start + len < first + BITS_PER_LONG)
		mask &= ~0UL >> (first + BITS_PER_LONG - start - len);
	return mask;
}

void bitmap_set(unsigned long *map, unsigned int start, unsigned int len)
{
	unsigned long w;

	for (w = BIT_WORD(start); len && w <= BIT_WORD((unsigned long)start + len - 1); w++)
		map[w] |= bitmap_mask(w, start, len);
}

void bitmap_clear(unsigned long *map, unsigned int start, unsigned int len)
{
	unsigned long w;

	for (w = BIT_WORD(start); len && w <= BIT_WORD((unsigned long)start + len - 1); w++)
		map[w] &= ~bitmap_mask(w, start, len);
}

unsigned int bitmap_weight(const unsigned long *map, unsigned int bits)
{
	unsigned int sum = 0;
	unsigned long w;

	for (w = 0; w * BITS_PER_LONG < bits; w++)
		sum += hweight_long(map[w] & bitmap_mask(w, 0, bits));
	return sum;
}
