// SPDX-License-Identifier: GPL-2.0-only
/* The userspace twin of the platform: does it do what the kernel's names promise? */
#include "testlib.h"

u32 pdata_shim_crc32c_table(u32 crc, const void *data, size_t len);

static void crc32c_known(void **state)
{
	/* check value of CRC-32C, which the catalogue gives inverted */
	assert_int_equal(~crc32c(~0u, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0x1234, "", 0), 0x1234);
}

static void crc32c_both_ways(void **state)
{
	u64 rnd = test_seed();
	u8 buf[600];
	unsigned int i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = rnd_u64(&rnd);
	for (i = 0; i < 2000; i++) {
		u32 crc = rnd_u64(&rnd);
		unsigned int at = rnd_below(&rnd, 64);
		unsigned int len = rnd_below(&rnd, sizeof(buf) - at);
		unsigned int cut = rnd_below(&rnd, len + 1);
		u32 whole = crc32c(crc, buf + at, len);

		assert_int_equal(whole, pdata_shim_crc32c_table(crc, buf + at, len));
		assert_int_equal(whole, crc32c(crc32c(crc, buf + at, cut), buf + at + cut,
					       len - cut));
	}
}

static void arithmetic(void **state)
{
	u64 v = 1;
	u32 rest;
	u64 r;

	assert_int_equal(min(3, 4), 3);
	assert_int_equal(max(3, 4), 4);
	assert_int_equal(clamp(9, 1, 5), 5);
	assert_int_equal(clamp_t(u64, 0, 1, 5), 1);
	assert_int_equal(min_t(u8, 0x102, 0x1f0), 2);
	assert_u64(min_not_zero(v - 1, (u64)7), 7);
	assert_int_equal(DIV_ROUND_UP(9, 4), 3);
	assert_int_equal(round_up(9, 8), 16);
	assert_int_equal(round_up(16, 8), 16);
	assert_int_equal(round_down(15, 8), 8);
	assert_int_equal(roundup(10, 3), 12);
	assert_true(IS_ALIGNED(4096ull, 4096));
	assert_false(IS_ALIGNED(4097ull, 4096));
	assert_int_equal(ilog2(1), 0);
	assert_int_equal(ilog2(4097), 12);
	assert_int_equal(ilog2(1ull << 63), 63);
	assert_true(is_power_of_2(64));
	assert_false(is_power_of_2(0));
	assert_int_equal(roundup_pow_of_two(65), 128);
	assert_int_equal(rounddown_pow_of_two(65), 64);
	assert_u64(div_u64_rem(1000000000007ull, 10, &rest), 100000000000ull);
	assert_int_equal(rest, 7);
	assert_u64(mul_u64_u64_div_u64(U64_MAX, 6, 3), (u64)(U64_MAX * (unsigned __int128)2));
	assert_true(check_add_overflow(U64_MAX, v, &r));
	assert_false(check_add_overflow(U64_MAX - 1, v, &r));
	assert_true(check_mul_overflow(1ull << 32, 1ull << 32, &r));
	assert_true(size_mul(SIZE_MAX, 2) == SIZE_MAX);
	assert_true(abs((s64)-5000000000ll) == 5000000000ll);
	assert_u64(GENMASK_ULL(7, 4), 0xf0);
	assert_true(sign_extend64(0x80, 7) == -128);
}

static void byte_order(void **state)
{
	__le64 v64 = cpu_to_le64(0x0102030405060708ull);
	__le32 v32 = cpu_to_le32(0x01020304);
	__le16 v16 = cpu_to_le16(0x0102);

	assert_memory_equal(&v64, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_memory_equal(&v32, "\x04\x03\x02\x01", 4);
	assert_memory_equal(&v16, "\x02\x01", 2);
	le32_add_cpu(&v32, 0xff);
	assert_int_equal(le32_to_cpu(v32), 0x01020403);
	assert_u64(le64_to_cpu(v64), 0x0102030405060708ull);
}

static void bits(void **state)
{
	u64 rnd = test_seed() + 1;
	DECLARE_BITMAP(map, 300) = { 0 };
	bool model[300] = { false };
	unsigned int i, k;

	for (i = 0; i < 500; i++) {
		unsigned int at = rnd_below(&rnd, 300), from = rnd_below(&rnd, 300);

		if (rnd_one_in(&rnd, 2)) {
			assert_int_equal(test_and_set_bit(at, map), model[at]);
			model[at] = true;
		} else {
			assert_int_equal(test_and_clear_bit(at, map), model[at]);
			model[at] = false;
		}
		for (k = from; k < 300 && !model[k]; k++)
			;
		assert_int_equal(find_next_bit(map, 300, from), k);
		for (k = from; k < 300 && model[k]; k++)
			;
		assert_int_equal(find_next_zero_bit(map, 300, from), k);
	}
}

static int cmp_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void swap_u64(void *a, void *b, int size)
{
	u64 *x = a, *y = b;

	assert_int_equal(size, sizeof(u64));
	swap(*x, *y);
}

static void sorting(void **state)
{
	u64 rnd = test_seed() + 2;
	u64 a[257], b[257];
	unsigned int round, i, n;

	for (round = 0; round < 200; round++) {
		n = rnd_below(&rnd, ARRAY_SIZE(a) + 1);
		for (i = 0; i < n; i++)
			a[i] = b[i] = rnd_below(&rnd, 1 + rnd_below(&rnd, 300));
		sort(a, n, sizeof(a[0]), cmp_u64, round & 1 ? swap_u64 : NULL);
		qsort(b, n, sizeof(b[0]), cmp_u64);
		assert_memory_equal(a, b, n * sizeof(a[0]));
	}
}

struct item {
	struct list_head list;
	unsigned int key;
	unsigned int born;
};

static int cmp_item(void *priv, const struct list_head *a, const struct list_head *b)
{
	assert_ptr_equal(priv, &cmp_u64);
	return (int)list_entry(a, struct item, list)->key -
	       (int)list_entry(b, struct item, list)->key;
}

static void list_sorting_is_stable(void **state)
{
	u64 rnd = test_seed() + 3;
	struct item items[200], *it, *last;
	unsigned int round, i, n;

	for (round = 0; round < 200; round++) {
		LIST_HEAD(list);

		n = rnd_below(&rnd, ARRAY_SIZE(items) + 1);
		for (i = 0; i < n; i++) {
			items[i].key = rnd_below(&rnd, 20);
			items[i].born = i;
			list_add_tail(&items[i].list, &list);
		}
		list_sort(&cmp_u64, &list, cmp_item);
		last = NULL;
		list_for_each_entry(it, &list, list) {
			if (last) {
				assert_true(last->key <= it->key);
				assert_true(last->key < it->key || last->born < it->born);
				assert_ptr_equal(it->list.prev, &last->list);
			}
			last = it;
			n--;
		}
		assert_int_equal(n, 0);
		assert_true(!last || list_is_last(&last->list, &list));
	}
}

static void lists(void **state)
{
	struct item a = { .key = 1 }, b = { .key = 2 }, c = { .key = 3 }, *it, *n;
	LIST_HEAD(x);
	LIST_HEAD(y);
	unsigned int sum = 0;

	list_add(&b.list, &x);
	list_add(&a.list, &x);
	list_add_tail(&c.list, &y);
	list_splice_tail_init(&y, &x);
	assert_true(list_empty(&y));
	list_for_each_entry(it, &x, list)
		sum = sum * 10 + it->key;
	list_for_each_entry_reverse(it, &x, list)
		sum = sum * 10 + it->key;
	assert_int_equal(sum, 123321);
	list_move(&c.list, &x);
	assert_ptr_equal(list_first_entry(&x, struct item, list), &c);
	assert_ptr_equal(list_last_entry(&x, struct item, list), &b);
	list_for_each_entry_safe(it, n, &x, list)
		list_del_init(&it->list);
	assert_true(list_empty(&x));
	assert_null(list_first_entry_or_null(&x, struct item, list));
}

struct node {
	struct rb_node rb;
	unsigned int key;
	bool in;
};

#define NODES	500

static void tree_insert(struct rb_root *root, struct node *n)
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = n->key < rb_entry(parent, struct node, rb)->key ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&n->rb, parent, link);
	rb_insert_color(&n->rb, root);
	n->in = true;
}

static void tree_check(struct rb_root *root, struct node *nodes)
{
	struct rb_node *p = rb_first(root), *last = NULL;
	struct node *n, *next;
	unsigned int i, count = 0;

	for (i = 0; i < NODES; i++) {
		if (!nodes[i].in)
			continue;
		assert_ptr_equal(p, &nodes[i].rb);
		assert_ptr_equal(rb_prev(p), last);
		last = p;
		p = rb_next(p);
		count++;
	}
	assert_null(p);
	assert_ptr_equal(rb_last(root), last);
	rbtree_postorder_for_each_entry_safe(n, next, root, rb) {
		/* children come before their parent */
		if (rb_parent(&n->rb))
			assert_true(container_of(rb_parent(&n->rb), struct node, rb)->in);
		n->in = false;
		count--;
	}
	assert_int_equal(count, 0);
	for (p = rb_first(root); p; p = rb_next(p))
		rb_entry(p, struct node, rb)->in = true;
}

static void trees(void **state)
{
	u64 rnd = test_seed() + 4;
	struct node *nodes = calloc(NODES, sizeof(*nodes));
	struct rb_root root = RB_ROOT;
	unsigned int i, depth, deepest = 0;
	struct rb_node *p;

	assert_non_null(nodes);
	for (i = 0; i < NODES; i++)
		nodes[i].key = i;
	for (i = 0; i < 20000; i++) {
		struct node *n = &nodes[rnd_below(&rnd, NODES)];

		if (n->in) {
			rb_erase(&n->rb, &root);
			n->in = false;
		} else {
			tree_insert(&root, n);
		}
		if (i % 100 == 0)
			tree_check(&root, nodes);
	}
	/* in order, the worst case of a tree that does not balance */
	root = RB_ROOT;
	for (i = 0; i < NODES; i++)
		tree_insert(&root, &nodes[i]);
	for (i = 0; i < NODES; i++) {
		for (depth = 0, p = &nodes[i].rb; p; p = rb_parent(p))
			depth++;
		deepest = max(deepest, depth);
	}
	assert_true(deepest < 60);
	free(nodes);
}

static void strings(void **state)
{
	char buf[4];
	u8 zeroes[100] = { 0 };

	assert_int_equal(strscpy(buf, "abc", sizeof(buf)), 3);
	assert_int_equal(strscpy(buf, "abcd", sizeof(buf)), -E2BIG);
	assert_string_equal(buf, "abc");
	assert_int_equal(scnprintf(buf, sizeof(buf), "%s", "longer"), 3);
	assert_string_equal(buf, "lon");
	assert_null(memchr_inv(zeroes, 0, sizeof(zeroes)));
	zeroes[99] = 1;
	assert_ptr_equal(memchr_inv(zeroes, 0, sizeof(zeroes)), &zeroes[99]);
}

static void randomness(void **state)
{
	u64 a, b, c;
	u8 uuid[16];

	pdata_shim_seed(7);
	a = get_random_u64();
	b = get_random_u64();
	pdata_shim_seed(7);
	assert_u64(get_random_u64(), a);
	get_random_bytes(&c, sizeof(c));
	assert_u64(c, b);
	assert_true(a != b);
	generate_random_uuid(uuid);
	assert_int_equal(uuid[6] >> 4, 4);
	assert_int_equal(uuid[8] >> 6, 2);
}

static void memory_fails_on_request(void **state)
{
	unsigned long before = pdata_shim_failed_allocs();
	void *p, *q;

	pdata_shim_fail_alloc_after(1);
	p = kmalloc(10, GFP_NOIO);
	assert_non_null(p);
	assert_null(kvmalloc(10, GFP_NOIO));
	q = kzalloc(10, GFP_NOWAIT);
	assert_non_null(q);
	assert_null(memchr_inv(q, 0, 10));
	kfree(q);

	pdata_shim_fail_alloc_from(0);
	assert_null(kcalloc(1, 2, GFP_NOIO));
	assert_null(pdata_block_alloc(GFP_NOIO));
	assert_null(krealloc(p, 20, GFP_NOIO));
	q = kmalloc(10, GFP_NOIO | __GFP_NOFAIL);
	assert_non_null(q);
	kfree(q);
	pdata_shim_fail_alloc_after(-1);
	assert_int_equal(pdata_shim_failed_allocs() - before, 4);
	kfree(p);

	assert_null(kmalloc_array(SIZE_MAX / 2, 3, GFP_NOIO));
	p = pdata_block_alloc(GFP_NOIO);
	assert_true(IS_ALIGNED((unsigned long)p, 4096));
	pdata_block_free(p);
}

static spinlock_t spin;
static DEFINE_MUTEX(mutex);

static void die_sleep(void *arg)
{
	spin_lock(&spin);
	kfree(kmalloc(1, GFP_NOIO));
}

static void die_mutex_under_spin(void *arg)
{
	spin_lock(&spin);
	mutex_lock(&mutex);
}

static void die_spin_twice(void *arg)
{
	spin_lock(&spin);
	spin_lock(&spin);
}

static void die_mutex_twice(void *arg)
{
	mutex_lock(&mutex);
	mutex_lock(&mutex);
}

static void die_unlock(void *arg)
{
	mutex_unlock(&mutex);
}

static void die_assert_held(void *arg)
{
	lockdep_assert_held(&mutex);
}

static void die_warn(void *arg)
{
	WARN_ON_ONCE(true);
}

static void lives(void *arg)
{
	unsigned long flags;

	mutex_lock(&mutex);
	lockdep_assert_held(&mutex);
	spin_lock_irqsave(&spin, flags);
	lockdep_assert_held(&spin);
	kfree(kmalloc(1, GFP_NOWAIT));
	spin_unlock_irqrestore(&spin, flags);
	lockdep_assert_not_held(&spin);
	might_sleep();
	mutex_unlock(&mutex);
	assert_false(WARN_ON_ONCE(false));
}

static void misuse_of_locks_dies(void **state)
{
	assert_true(test_dies(die_sleep, NULL));
	assert_true(test_dies(die_mutex_under_spin, NULL));
	assert_true(test_dies(die_spin_twice, NULL));
	assert_true(test_dies(die_mutex_twice, NULL));
	assert_true(test_dies(die_unlock, NULL));
	assert_true(test_dies(die_assert_held, NULL));
	assert_true(test_dies(die_warn, NULL));
	assert_false(test_dies(lives, NULL));
}

static struct {
	spinlock_t spin;
	struct mutex mutex;
	struct rw_semaphore sem;
	u64 by_spin, by_mutex, by_sem;
	atomic_t by_atomic;
	atomic64_t by_atomic64;
} shared;

static void *add_up(void *arg)
{
	unsigned int i;

	for (i = 0; i < 5000; i++) {
		spin_lock(&shared.spin);
		shared.by_spin++;
		spin_unlock(&shared.spin);
		mutex_lock(&shared.mutex);
		shared.by_mutex++;
		mutex_unlock(&shared.mutex);
		down_write(&shared.sem);
		shared.by_sem++;
		up_write(&shared.sem);
		atomic_inc(&shared.by_atomic);
		atomic64_add_unless(&shared.by_atomic64, 2, -1);
	}
	return NULL;
}

static void locks_exclude(void **state)
{
	pthread_t thread[4];
	unsigned int i;

	spin_lock_init(&shared.spin);
	mutex_init(&shared.mutex);
	init_rwsem(&shared.sem);
	for (i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add_up, NULL), 0);
	for (i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	assert_u64(shared.by_spin, 20000);
	assert_u64(shared.by_mutex, 20000);
	assert_u64(shared.by_sem, 20000);
	assert_int_equal(atomic_read(&shared.by_atomic), 20000);
	assert_int_equal(atomic64_read(&shared.by_atomic64), 40000);
	mutex_destroy(&shared.mutex);
}

static void error_pointers(void **state)
{
	int x;

	assert_true(IS_ERR(ERR_PTR(-ENOMEM)));
	assert_int_equal(PTR_ERR(ERR_PTR(-PDATA_E_CSUM)), -PDATA_E_CSUM);
	assert_false(IS_ERR(&x));
	assert_true(IS_ERR_OR_NULL(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_known),
		cmocka_unit_test(crc32c_both_ways),
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(byte_order),
		cmocka_unit_test(bits),
		cmocka_unit_test(sorting),
		cmocka_unit_test(list_sorting_is_stable),
		cmocka_unit_test(lists),
		cmocka_unit_test(trees),
		cmocka_unit_test(strings),
		cmocka_unit_test(randomness),
		cmocka_unit_test(memory_fails_on_request),
		cmocka_unit_test(misuse_of_locks_dies),
		cmocka_unit_test(locks_exclude),
		cmocka_unit_test(error_pointers),
	};

	return cmocka_run_group_tests_name("shim", tests, NULL, NULL);
}
