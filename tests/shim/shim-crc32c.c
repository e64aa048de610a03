// SPDX-License-Identifier: GPL-2.0-only
/* Userspace twin: crc32c by the processor's instruction, or eight bytes at a time by table. */
#include "pdata-platform.h"

#define CRC32C_POLY	0x82f63b78u	/* Castagnoli, bits reversed */

static u32 crc_table[8][256];
static u32 (*crc_fn)(u32 crc, const u8 *p, size_t len);

static u32 crc_by_table(u32 crc, const u8 *p, size_t len)
{
	u64 v;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&v, p, 8);
		v = le64_to_cpu(v) ^ crc;
		crc = crc_table[7][v & 255] ^ crc_table[6][v >> 8 & 255] ^
		      crc_table[5][v >> 16 & 255] ^ crc_table[4][v >> 24 & 255] ^
		      crc_table[3][v >> 32 & 255] ^ crc_table[2][v >> 40 & 255] ^
		      crc_table[1][v >> 48 & 255] ^ crc_table[0][v >> 56];
	}
	while (len--)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 255];
	return crc;
}

#ifdef __x86_64__
__attribute__((__target__("sse4.2")))
static u32 crc_by_instruction(u32 crc, const u8 *p, size_t len)
{
	u64 c = crc, v;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&v, p, 8);
		c = __builtin_ia32_crc32di(c, v);
	}
	crc = c;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

__attribute__((__constructor__))
static void crc_init(void)
{
	unsigned int i, k;

	for (i = 0; i < 256; i++) {
		u32 c = i;

		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? CRC32C_POLY : 0);
		crc_table[0][i] = c;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 8; k++)
			crc_table[k][i] = crc_table[k - 1][i] >> 8 ^
					  crc_table[0][crc_table[k - 1][i] & 255];
	crc_fn = crc_by_table;
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		crc_fn = crc_by_instruction;
#endif
}

u32 crc32c(u32 crc, const void *data, size_t len)
{
	return crc_fn(crc, data, len);
}

/* For the test that both ways agree. */
u32 pdata_shim_crc32c_table(u32 crc, const void *data, size_t len);
u32 pdata_shim_crc32c_table(u32 crc, const void *data, size_t len)
{
	return crc_by_table(crc, data, len);
}
