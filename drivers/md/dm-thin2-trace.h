/* SPDX-License-Identifier: GPL-2.0-only */
/* A tracepoint at each arrow of a bio's way (see dm-thin2.h). */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM thin2

#if !defined(DM_THIN2_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DM_THIN2_TRACE_H

#include <linux/bio.h>
#include <linux/tracepoint.h>

/* map() and the worker: what the range map says of a bio. */
TRACE_EVENT(thin2_map,
	    TP_PROTO(u32 thin, struct bio *bio, int action),
	    TP_ARGS(thin, bio, action),
	    TP_STRUCT__entry(__field(u32, thin)
			     __field(u32, op)
			     __field(u64, sector)
			     __field(u32, sectors)
			     __field(int, action)),
	    TP_fast_assign(__entry->thin = thin;
			   __entry->op = (__force u32)bio_op(bio);
			   __entry->sector = bio->bi_iter.bi_sector;
			   __entry->sectors = bio_sectors(bio);
			   __entry->action = action;),
	    TP_printk("thin %u op %u sector %llu + %u: %s", __entry->thin, __entry->op,
		      __entry->sector, __entry->sectors,
		      __print_symbolic(__entry->action,
				       { 0, "remap" }, { 1, "zero" }, { 2, "provision" },
				       { 3, "unshare" }, { 4, "fill" }, { 5, "wait" },
				       { 6, "damaged" })));

/* A bio goes to a worker. */
TRACE_EVENT(thin2_defer,
	    TP_PROTO(u32 thin, struct bio *bio),
	    TP_ARGS(thin, bio),
	    TP_STRUCT__entry(__field(u32, thin)
			     __field(u32, op)
			     __field(u64, sector)
			     __field(u32, sectors)),
	    TP_fast_assign(__entry->thin = thin;
			   __entry->op = (__force u32)bio_op(bio);
			   __entry->sector = bio->bi_iter.bi_sector;
			   __entry->sectors = bio_sectors(bio);),
	    TP_printk("thin %u op %u sector %llu + %u", __entry->thin, __entry->op,
		      __entry->sector, __entry->sectors));

DECLARE_EVENT_CLASS(thin2_range,
		    TP_PROTO(u32 thin, u64 unit, u64 len, u64 phys),
		    TP_ARGS(thin, unit, len, phys),
		    TP_STRUCT__entry(__field(u32, thin)
				     __field(u64, unit)
				     __field(u64, len)
				     __field(u64, phys)),
		    TP_fast_assign(__entry->thin = thin;
				   __entry->unit = unit;
				   __entry->len = len;
				   __entry->phys = phys;),
		    TP_printk("thin %u units %llu + %llu at %llu", __entry->thin, __entry->unit,
			      __entry->len, __entry->phys));

/* Space was taken for a write: into a hole, out of a shared range, by a copy. */
DEFINE_EVENT(thin2_range, thin2_provision,
	     TP_PROTO(u32 thin, u64 unit, u64 len, u64 phys),
	     TP_ARGS(thin, unit, len, phys));
DEFINE_EVENT(thin2_range, thin2_unshare,
	     TP_PROTO(u32 thin, u64 unit, u64 len, u64 phys),
	     TP_ARGS(thin, unit, len, phys));
DEFINE_EVENT(thin2_range, thin2_copy,
	     TP_PROTO(u32 thin, u64 unit, u64 len, u64 phys),
	     TP_ARGS(thin, unit, len, phys));

DECLARE_EVENT_CLASS(thin2_result,
		    TP_PROTO(u32 thin, u64 unit, u64 len, int result),
		    TP_ARGS(thin, unit, len, result),
		    TP_STRUCT__entry(__field(u32, thin)
				     __field(u64, unit)
				     __field(u64, len)
				     __field(int, result)),
		    TP_fast_assign(__entry->thin = thin;
				   __entry->unit = unit;
				   __entry->len = len;
				   __entry->result = result;),
		    TP_printk("thin %u units %llu + %llu: %d", __entry->thin, __entry->unit,
			      __entry->len, __entry->result));

/* The data of such a write is there, or not. */
DEFINE_EVENT(thin2_result, thin2_write_end,
	     TP_PROTO(u32 thin, u64 unit, u64 len, int result),
	     TP_ARGS(thin, unit, len, result));
/* A range was unmapped or zeroed (up to the first unit not done, and why). */
DEFINE_EVENT(thin2_result, thin2_unmapped,
	     TP_PROTO(u32 thin, u64 unit, u64 len, int result),
	     TP_ARGS(thin, unit, len, result));
/* A write was not given space for now. */
DEFINE_EVENT(thin2_result, thin2_refused,
	     TP_PROTO(u32 thin, u64 unit, u64 len, int result),
	     TP_ARGS(thin, unit, len, result));

/* A batch of FLUSH and FUA bios is done. */
TRACE_EVENT(thin2_commit,
	    TP_PROTO(unsigned int nr, int result),
	    TP_ARGS(nr, result),
	    TP_STRUCT__entry(__field(unsigned int, nr)
			     __field(int, result)),
	    TP_fast_assign(__entry->nr = nr;
			   __entry->result = result;),
	    TP_printk("%u bios: %d", __entry->nr, __entry->result));

/* Freed units are passed down. */
TRACE_EVENT(thin2_passdown,
	    TP_PROTO(u64 begin, u64 len),
	    TP_ARGS(begin, len),
	    TP_STRUCT__entry(__field(u64, begin)
			     __field(u64, len)),
	    TP_fast_assign(__entry->begin = begin;
			   __entry->len = len;),
	    TP_printk("units %llu + %llu", __entry->begin, __entry->len));

/* The pool's mode changed (enum thin2_mode). */
TRACE_EVENT(thin2_mode,
	    TP_PROTO(int from, int to),
	    TP_ARGS(from, to),
	    TP_STRUCT__entry(__field(int, from)
			     __field(int, to)),
	    TP_fast_assign(__entry->from = from;
			   __entry->to = to;),
	    TP_printk("%d to %d", __entry->from, __entry->to));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE dm-thin2-trace
#include <trace/define_trace.h>
