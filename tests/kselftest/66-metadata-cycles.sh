#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# timeout: 400
#
# The test of that name in long/, with fewer of them.
CYCLES=${CYCLES:-4}
. "$(dirname "$0")/long/30-metadata-cycles.sh"
