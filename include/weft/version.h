/* SPDX-License-Identifier: MIT */
/*
 * Version of the headers a program was compiled against, and of the library it runs with.
 *
 *     if (weft_version_check() < 0) ... the library is older than the headers
 *
 * The major number changes when a program has to be compiled anew, the minor one when calls or
 * option fields were added, the patch number otherwise.
 */
#ifndef WEFT_VERSION_H
#define WEFT_VERSION_H

#include <weft/base.h>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION_STRING "0.1.0"

#define WEFT_VERSION_NUMBER \
    (WEFT_VERSION_MAJOR * 1000000 + WEFT_VERSION_MINOR * 1000 + WEFT_VERSION_PATCH)

WEFT_BEGIN_DECLS

/*
 * The version of the library in use, as major * 1000000 + minor * 1000 + patch.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC int weft_version_number(void);

/*
 * The same as text, for example "0.1.0". Static storage, never freed.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC const char *weft_version_string(void);

/*
 * Whether a library of version `library` can serve a program compiled against `headers`:
 * the same major number, and not older. While the major number is 0, the minor ones must agree.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EPROTO when they do not fit.
 */
WEFT_PUBLIC int weft_version_compatible(int headers, int library);

/*
 * weft_version_compatible for the headers this was compiled with and the library that is loaded.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EPROTO when they do not fit.
 */
static inline int weft_version_check(void)
{
    return weft_version_compatible(WEFT_VERSION_NUMBER, weft_version_number());
}

WEFT_END_DECLS

#endif
