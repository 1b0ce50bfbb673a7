/* SPDX-License-Identifier: MIT */
/* Version of the library. */
#include <weft/version.h>

#include <errno.h>

int weft_version_number(void)
{
    return WEFT_VERSION_NUMBER;
}

const char *weft_version_string(void)
{
    return WEFT_VERSION_STRING;
}

int weft_version_compatible(int headers, int library)
{
    int headers_major = headers / 1000000;
    bool is_early = headers_major == 0; /* before 1.0 a minor number may change anything */
    bool is_same = headers_major == library / 1000000 &&
                   (!is_early || headers / 1000 == library / 1000);
    return is_same && library >= headers ? 0 : -EPROTO;
}
