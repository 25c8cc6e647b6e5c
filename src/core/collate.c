/* collate.c - ICU's collator behind four functions, found when they are first needed. */
#include "core/collate.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucol.h>
#include <unicode/uloc.h>

/* ICU puts its version behind every name; the headers know which. */
#define NAME_OF(function)  NAME_TEXT(function)
#define NAME_TEXT(renamed) #renamed
#define LIBRARY            "libicui18n.so." U_ICU_VERSION_SHORT

enum { TAG_MAX = 100 };

struct collation {
    UCollator *icu;
};

static struct {
    __typeof__(ucol_open) *open;
    __typeof__(ucol_close) *close;
    __typeof__(ucol_getSortKey) *sort_key;
    __typeof__(uloc_forLanguageTag) *for_tag;
    bool there;
} icu;

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    *(void **)&icu.open = dlsym(library, NAME_OF(ucol_open));
    *(void **)&icu.close = dlsym(library, NAME_OF(ucol_close));
    *(void **)&icu.sort_key = dlsym(library, NAME_OF(ucol_getSortKey));
    *(void **)&icu.for_tag = dlsym(library, NAME_OF(uloc_forLanguageTag));
    icu.there = icu.open && icu.close && icu.sort_key && icu.for_tag;
}

/* A collation that ICU does not have would silently be the root's. */
static bool is_known(UErrorCode status, struct str tag)
{
    return U_SUCCESS(status) && !(status == U_USING_DEFAULT_WARNING && str_find(tag, S("-u-")) > 0);
}

struct collation *collation_open(struct str tag, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[TAG_MAX + 1] = "", locale[2 * TAG_MAX];
    int32_t parsed = 0;
    UErrorCode status = U_ZERO_ERROR;
    pthread_once(&once, load);
    if (!icu.there) {
        error_set(e, ERR_UNAVAILABLE, "collation: %s is not installed", LIBRARY);
        return NULL;
    }
    if (tag.n <= TAG_MAX && tag.n)
        memcpy(text, tag.p, tag.n);
    text[tag.n <= TAG_MAX ? tag.n : 0] = '\0';
    icu.for_tag(text, locale, sizeof(locale), &parsed, &status);
    UCollator *found = NULL;
    if (U_SUCCESS(status) && (size_t)parsed == tag.n)
        found = icu.open(locale, &status);
    if (found && is_known(status, tag)) {
        struct collation *c = malloc(sizeof(*c));
        if (!c)
            abort();
        c->icu = found;
        return c;
    }
    if (found)
        icu.close(found);
    error_set(e, ERR_INVALID,
              "collation: '%" STR_F "' is not one (RFC 6067: such as de-u-co-phonebk)",
              STR_A(str_cut(tag, TAG_MAX)));
    return NULL;
}

void collation_free(struct collation *c)
{
    if (!c)
        return;
    icu.close(c->icu);
    free(c);
}

static int32_t to_utf16(struct str text, UChar out[2 * COLLATE_MAX_CHARS])
{
    int32_t n = 0;
    size_t i = 0;
    for (int chars = 0; i < text.n && chars < COLLATE_MAX_CHARS; chars++) {
        uint32_t c = str_utf8_next(text, &i);
        if (c < 0x10000) {
            out[n++] = (UChar)c;
            continue;
        }
        out[n++] = (UChar)(0xd7c0 + (c >> 10));
        out[n++] = (UChar)(0xdc00 | (c & 0x3ff));
    }
    return n;
}

void collation_key(const struct collation *c, struct str text, struct buf *out)
{
    UChar wide[2 * COLLATE_MAX_CHARS];
    int32_t n = to_utf16(text, wide);
    buf_reserve(out, 64);
    int32_t need =
        icu.sort_key(c->icu, wide, n, (uint8_t *)out->p + out->n, (int32_t)(out->cap - out->n));
    if ((size_t)need > out->cap - out->n) {
        buf_reserve(out, (size_t)need);
        need = icu.sort_key(c->icu, wide, n, (uint8_t *)out->p + out->n, need);
    }
    out->n += (size_t)need; /* its last byte is 0 */
}
