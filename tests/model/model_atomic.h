/* SPDX-License-Identifier: MIT */
/* What runtime/atomic.h includes in a model test. */
#include "explorer/model_atomic.h"
