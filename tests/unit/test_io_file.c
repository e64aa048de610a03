// SPDX-License-Identifier: GPL-2.0-only
/* File backend: content, cache, errors. */
#include "testlib.h"

#include "io-file.h"

#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS	256

struct fixture {
	char path[64];
	struct pdata_io *io;
	void *buf;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	strcpy(f->path, "/tmp/thin2-test-XXXXXX");
	fd = mkstemp(f->path);
	if (fd < 0)
		return -1;
	close(fd);
	f->buf = test_block();
	*state = f;
	pdata_shim_quiet = true;
	return pdata_io_file_create(f->path, BLOCKS, 0, &f->io);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = pdata_io_file_close(f->io);

	unlink(f->path);
	pdata_block_free(f->buf);
	free(f);
	pdata_shim_quiet = false;
	return r;
}

static int put(struct fixture *f, u64 block, u64 tag, bool fua)
{
	struct pdata_io_vec vec = { block, f->buf };

	test_fill(f->buf, tag);
	return pdata_io_write(f->io, &vec, 1, fua);
}

static void random_io(void **state)
{
	struct fixture *f = *state;
	struct pdata_io_vec vec[100];
	u64 rnd = test_seed() + 1, tag[BLOCKS] = { 0 }, next = 0;
	struct pdata_io_ref ref[8];
	unsigned int i, k, n, start;

	pdata_io_file_set_cache(f->io, 20);
	for (i = 0; i < ARRAY_SIZE(vec); i++)
		vec[i].data = test_block();
	for (i = 0; i < test_rounds(300); i++) {
		/* a run, sometimes broken, so that batches of all kinds happen */
		n = 1 + rnd_below(&rnd, ARRAY_SIZE(vec));
		start = rnd_below(&rnd, BLOCKS - ARRAY_SIZE(vec) - 30);
		for (k = 0; k < n; k++) {
			vec[k].block = start + k;
			start += rnd_one_in(&rnd, 10);
			if (start > BLOCKS - ARRAY_SIZE(vec) - 1)
				start = BLOCKS - ARRAY_SIZE(vec) - 1;
			if (k && vec[k].block <= vec[k - 1].block)
				break;
			tag[vec[k].block] = ++next;
			test_fill((void *)vec[k].data, next);
		}
		assert_ok(pdata_io_write(f->io, vec, k, rnd_one_in(&rnd, 20)));
		for (k = 0; k < ARRAY_SIZE(ref); k++) {
			u64 b = rnd_below(&rnd, BLOCKS);

			assert_ok(pdata_io_get(f->io, b, &ref[k]));
			if (tag[b])
				assert_true(test_filled(ref[k].data, tag[b]));
			else
				assert_null(memchr_inv(ref[k].data, 0, PDATA_BLOCK_SIZE));
		}
		assert_true(pdata_io_file_cached(f->io) <= 20 + ARRAY_SIZE(ref));
		for (k = 0; k < ARRAY_SIZE(ref); k++)
			pdata_io_put(f->io, &ref[k]);
		assert_true(pdata_io_file_cached(f->io) <= 20);
	}
	assert_ok(pdata_io_flush(f->io));
	for (i = 0; i < BLOCKS; i++) {
		assert_ok(pdata_io_read(f->io, i, f->buf));
		assert_true(tag[i] ? test_filled(f->buf, tag[i]) :
				     !memchr_inv(f->buf, 0, PDATA_BLOCK_SIZE));
	}
	for (i = 0; i < ARRAY_SIZE(vec); i++)
		pdata_block_free((void *)vec[i].data);
}

static void cache(void **state)
{
	struct fixture *f = *state;
	struct pdata_io_ref a, b;
	u64 reads;

	assert_ok(put(f, 7, 1, false));
	assert_ok(pdata_io_get(f->io, 7, &a));
	assert_int_equal(*a.checked, 0);
	*a.checked = 1;
	reads = pdata_io_file_reads(f->io);
	assert_ok(pdata_io_get(f->io, 7, &b));
	assert_u64(pdata_io_file_reads(f->io), reads);
	assert_int_equal(*b.checked, 1);
	pdata_io_put(f->io, &b);

	/* overwritten while held: the holder keeps what it has, others see the new */
	assert_ok(put(f, 7, 2, false));
	assert_true(test_filled(a.data, 1));
	assert_ok(pdata_io_get(f->io, 7, &b));
	assert_true(test_filled(b.data, 2));
	assert_int_equal(*b.checked, 0);
	pdata_io_put(f->io, &a);
	*b.checked = 1;
	pdata_io_put(f->io, &b);

	pdata_io_file_forget(f->io);
	assert_int_equal(pdata_io_file_cached(f->io), 0);
	assert_ok(pdata_io_get(f->io, 7, &a));
	assert_int_equal(*a.checked, 0);
	pdata_io_put(f->io, &a);
}

static void errors(void **state)
{
	struct fixture *f = *state;
	struct pdata_io *io;
	struct pdata_io_vec vec = { 0, f->buf };
	struct pdata_io_ref ref;

	assert_err(put(f, BLOCKS, 1, false), EIO);
	assert_err(pdata_io_read(f->io, BLOCKS, f->buf), EIO);
	assert_err(pdata_io_get(f->io, BLOCKS, &ref), EIO);
	assert_err(pdata_io_file_open("/nonexistent/file", 0, &io), ENOENT);
	assert_null(io);
	assert_err(pdata_io_file_open("/tmp", 0, &io), EINVAL);
	assert_err(pdata_io_file_open("/dev/null", 0, &io), EINVAL);
	assert_err(pdata_io_file_create("/dev/null", 1, 0, &io), EINVAL);

	assert_ok(put(f, 3, 9, true));
	assert_ok(pdata_io_file_open(f->path, PDATA_IO_FILE_READ_ONLY, &io));
	assert_u64(io->nr_blocks, BLOCKS);
	assert_ok(pdata_io_read(io, 3, f->buf));
	assert_true(test_filled(f->buf, 9));
	assert_err(pdata_io_write(io, &vec, 1, false), EROFS);
	assert_err(pdata_io_flush(io), EROFS);
	assert_ok(pdata_io_file_close(io));

	/* the file shrinks behind our back */
	assert_int_equal(truncate(f->path, 10 * PDATA_BLOCK_SIZE), 0);
	assert_err(pdata_io_read(f->io, 10, f->buf), EIO);
	assert_err(pdata_io_get(f->io, 10, &ref), EIO);
	assert_ok(pdata_io_read(f->io, 9, f->buf));
}

static void no_memory(void **state)
{
	struct fixture *f = *state;
	struct pdata_io_ref ref;
	struct pdata_io *io;
	int i, r;

	for (i = 0; i < 2; i++) {
		pdata_shim_fail_alloc_after(i);
		assert_err(pdata_io_get(f->io, 1, &ref), ENOMEM);
		pdata_shim_fail_alloc_after(i);
		assert_err(pdata_io_file_open(f->path, 0, &io), ENOMEM);
	}
	pdata_shim_fail_alloc_after(-1);
	r = pdata_io_get(f->io, 1, &ref);
	assert_ok(r);
	pdata_io_put(f->io, &ref);
}

static void direct(void **state)
{
	struct fixture *f = *state;
	struct pdata_io *io;

	assert_ok(put(f, 5, 5, true));
	if (pdata_io_file_open(f->path, PDATA_IO_FILE_DIRECT, &io)) {
		print_message("no O_DIRECT here\n");
		skip();
	}
	assert_ok(pdata_io_read(io, 5, f->buf));
	assert_true(test_filled(f->buf, 5));
	assert_ok(pdata_io_file_close(io));
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(random_io),
		T(cache),
		T(errors),
		T(no_memory),
		T(direct),
	};

	return cmocka_run_group_tests_name("file backend", tests, NULL, NULL);
}
