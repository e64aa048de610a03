// SPDX-License-Identifier: GPL-2.0-only
/* Internal error codes: errno and text of each. */
#include "pdata-error.h"

struct error_info {
	int err;
	const char *text;
};

static const struct error_info error_infos[] = {
#define X(code, err, text) { err, text },
	PDATA_ERRORS(X)
#undef X
};

static const struct error_info *error_find(int r)
{
	if (r >= -PDATA_E_FIRST || r <= -PDATA_E_END)
		return NULL;
	return &error_infos[-r - PDATA_E_FIRST - 1];
}

int pdata_to_errno(int r)
{
	const struct error_info *info = error_find(r);

	return info ? -info->err : r;
}

const char *pdata_error_text(int r)
{
	const struct error_info *info = error_find(r);

	if (info)
		return info->text;
	switch (r) {
	case 0:
		return "success";
	case -EIO:
		return "input/output error";
	case -ENOMEM:
		return "out of memory";
	default:
		return "system error";
	}
}

bool pdata_error_is_damage(int r)
{
	const struct error_info *info = error_find(r);

	return info && info->err == EILSEQ;
}
