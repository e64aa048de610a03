/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internal error codes.
 *
 * Inside the core every failure has a code that means exactly one thing; it is
 * returned negated (-PDATA_E_CSUM). pdata_to_errno() maps to errno once, where
 * a message, a table or a bio leaves the core. Plain errnos from the platform
 * (-EIO of a device, -ENOMEM) may travel through and map to themselves.
 */
#ifndef PDATA_ERROR_H
#define PDATA_ERROR_H

#include "pdata-platform.h"

/*	code		errno		text */
#define PDATA_ERRORS(X) \
	X(CSUM,		EILSEQ,	"checksum does not match") \
	X(MAGIC,	EILSEQ,	"block is not of the expected type") \
	X(BLOCKNR,	EILSEQ,	"block was written for another place") \
	X(UUID,		EILSEQ,	"block belongs to another pool") \
	X(GENERATION,	EILSEQ,	"block is newer than the checkpoint") \
	X(OWNER,	EILSEQ,	"block belongs to another owner") \
	X(STALE,	EILSEQ,	"block is not the version that its parent points to") \
	X(INTERVAL,	EILSEQ,	"block covers another key interval") \
	X(CONTENT,	EILSEQ,	"block content breaks the format's rules") \
	X(COUNT,	EILSEQ,	"reference count would leave its limits") \
	X(OUT_OF_RANGE,	EILSEQ,	"block number beyond the end of the device") \
	X(STALE_SB,	EILSEQ,	"superblock is older than the journal") \
	X(JOURNAL_GAP,	EILSEQ,	"hole in the part of the journal known to be durable") \
	X(NOT_V2,	EINVAL,	"superblock is not one of thin-pool2") \
	X(VERSION,	EINVAL,	"unknown format version or incompatible feature") \
	X(TOO_SMALL,	EINVAL,	"device is too small") \
	X(SHRUNK,	EINVAL,	"device is smaller than recorded") \
	X(UNFORMATTED_RO, EPERM, "read-only pool on unformatted metadata") \
	X(META_NOSPC,	ENOSPC,	"metadata space is exhausted") \
	X(DATA_NOSPC,	ENOSPC,	"data space is exhausted") \
	X(JOURNAL_FULL,	EAGAIN,	"journal is full until the next checkpoint") \
	X(DIRTY_LIMIT,	EAGAIN,	"too many records wait for their merge") \
	X(WOULD_SLEEP,	EAGAIN,	"the operation would have to sleep") \
	X(PENDING,	EAGAIN,	"range overlaps a write in flight") \
	X(RETRY,	EAGAIN,	"state changed meanwhile, look up again") \
	X(MISS,		EAGAIN,	"range is not in the range map") \
	X(NOT_FOUND,	ENODATA, "no such entry") \
	X(EXISTS,	EEXIST,	"entry exists already") \
	X(BUSY,		EBUSY,	"device is in use") \
	X(NOT_HELD,	EINVAL,	"no checkpoint is held") \
	X(TXN_ID,	EINVAL,	"transaction id does not match") \
	X(LIMIT,	ENOSPC,	"a limit of the format is reached") \
	X(DAMAGED,	EIO,	"mapping is marked damaged") \
	X(FAILED,	EIO,	"metadata has failed, the pool is read-only") \
	X(READ_ONLY,	EROFS,	"metadata was opened read-only") \
	X(FAULT,	EIO,	"injected fault")

enum pdata_error {
	PDATA_E_FIRST = 2048,
#define X(code, err, text) PDATA_E_##code,
	PDATA_ERRORS(X)
#undef X
	PDATA_E_END
};

/**
 * pdata_to_errno - map an internal code to the errno shown outside
 * @r: 0, a positive value, a negated errno or a negated internal code
 *
 * Return: @r itself unless it is an internal code, then its negated errno.
 */
int pdata_to_errno(int r);

/**
 * pdata_error_text - what a code means, for log lines and tools
 * @r: 0, a negated errno or a negated internal code
 *
 * Return: a constant string, never NULL.
 */
const char *pdata_error_text(int r);

/* True if @r says that a block's content, not the device, is at fault. */
bool pdata_error_is_damage(int r);

/* True if what was to be read is lost, to damage or to the device. */
static inline bool pdata_error_is_unreadable(int r)
{
	return r == -EIO || pdata_error_is_damage(r);
}

#endif
