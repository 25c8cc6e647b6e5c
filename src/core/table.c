/* table.c - what a file is, and which reader takes it. */
#include "core/table.h"

#include "core/buf.h"
#include "table_impl.h"
#include "zip_guard.h"

#include <stdlib.h>
#include <string.h>

const struct table_limits TABLE_DEFAULT = {
    .max_bytes = (size_t)256 << 20,
    .max_cell = (size_t)1 << 20,
    .max_columns = 4096,
    .max_rows = 5000000,
    .max_unzipped = (size_t)1 << 30,
    .max_ratio = 200,
    .max_members = 2000,
    .max_row = (size_t)16 << 20,
};

struct table {
    struct table_info info;
    struct table_limits limits;
    struct csv_reader *csv; /* one of the two */
    struct xlsx_reader *xlsx;
    struct buf unzipped; /* the CSV that came in a ZIP */
};

static bool is_zip(struct str bytes)
{
    return str_starts(bytes, S("PK\3\4")) || str_starts(bytes, S("PK\5\6"));
}

/* Files that people upload by mistake get told what they are. */
static enum err refuse_other_kinds(struct str bytes, struct error *e)
{
    if (str_starts(bytes, S("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")))
        return error_set(e, ERR_UNSUPPORTED,
                         "an Excel file of the old kind (.xls) or one with a password; "
                         "save it as .xlsx without a password");
    if (str_starts(bytes, S("%PDF-")))
        return error_set(e, ERR_UNSUPPORTED, "a PDF, not a table");
    if (str_starts(bytes, S("\x1F\x8B")))
        return error_set(e, ERR_UNSUPPORTED, "a gzip file; unpack it first");
    return OK;
}

static bool ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq_nocase(str_from(s, s.n - suffix.n), suffix);
}

/* The archives of macOS carry a shadow "__MACOSX/._name.csv" beside each file. */
static bool is_text_table(struct str name)
{
    if (str_starts(name, S("__MACOSX/")) || str_find(name, S("._")) == 0)
        return false;
    return ends_nocase(name, S(".csv")) || ends_nocase(name, S(".tsv"));
}

static enum err unzip(struct table *t, struct zip_guard *zip, ptrdiff_t index, struct error *e)
{
    struct zip_member m;
    enum err err = zip_member_open(&m, zip, index, e);
    while (!err) {
        size_t n = 0;
        buf_reserve(&t->unzipped, 64 * 1024);
        err = zip_member_read(&m, t->unzipped.p + t->unzipped.n, 64 * 1024, &n, e);
        if (err || !n)
            break;
        t->unzipped.n += n;
        if (t->unzipped.n > t->limits.max_bytes)
            err =
                error_set(e, ERR_TOO_LARGE, "zip member '%" STR_F "' grows to more than %zu bytes",
                          STR_A(m.name), t->limits.max_bytes);
    }
    zip_member_close(&m);
    return err;
}

static enum err open_zipped_csv(struct table *t, struct zip_guard *zip, struct error *e)
{
    ptrdiff_t found = -1;
    size_t count = 0, n = zip_guard_count(zip);
    for (size_t i = 0; i < n; i++)
        if (is_text_table(zip_guard_name(zip, i))) {
            found = (ptrdiff_t)i;
            count++;
        }
    if (count != 1)
        return error_set(e, ERR_UNSUPPORTED,
                         "zip is neither an Excel workbook nor holds exactly one CSV (%zu found)",
                         count);
    enum err err = unzip(t, zip, found, e);
    if (err)
        return err;
    t->info.zipped = true;
    t->csv = csv_open(buf_view(&t->unzipped), &t->limits, &t->info);
    return OK;
}

static enum err open_zip(struct table *t, struct str bytes, struct error *e)
{
    struct zip_guard *zip = zip_guard_open(bytes, &t->limits, e);
    if (!zip)
        return ERR_INVALID;
    if (zip_guard_find(zip, "[Content_Types].xml") >= 0) {
        t->xlsx = xlsx_open(zip, &t->limits, &t->info, e);
        if (t->xlsx)
            return OK;
        zip_guard_close(zip);
        return ERR_INVALID;
    }
    enum err err = open_zipped_csv(t, zip, e);
    zip_guard_close(zip);
    return err;
}

static enum err open_any(struct table *t, struct str bytes, struct error *e)
{
    if (bytes.n > t->limits.max_bytes)
        return error_set(e, ERR_TOO_LARGE, "file of %zu bytes, more than %zu", bytes.n,
                         t->limits.max_bytes);
    enum err err = refuse_other_kinds(bytes, e);
    if (err)
        return err;
    if (is_zip(bytes))
        return open_zip(t, bytes, e);
    t->csv = csv_open(bytes, &t->limits, &t->info);
    return OK;
}

struct table *table_open(struct str bytes, struct str name, const struct table_limits *l,
                         struct error *e)
{
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->limits = *l;
    struct error why = {.code = OK};
    if (!open_any(t, bytes, &why))
        return t;
    error_set(e, why.code, "'%" STR_F "': %s", STR_A(name), why.text);
    table_close(t);
    return NULL;
}

const struct table_info *table_info(const struct table *t)
{
    return &t->info;
}

enum table_step table_next(struct table *t, struct arena *a, struct table_row *row, struct error *e)
{
    return t->csv ? csv_next(t->csv, a, row, e) : xlsx_next(t->xlsx, a, row, e);
}

void table_close(struct table *t)
{
    if (!t)
        return;
    csv_close(t->csv);
    xlsx_close(t->xlsx);
    buf_release(&t->unzipped);
    free(t);
}

/* One character that says the decoding went wrong: controls, private use, non-characters, and the
 * three kanji that nobody writes but every kana of UTF-8 shows when it is read as CP932. */
static bool never_japanese(uint32_t cp)
{
    if (cp < 0x20)
        return cp != '\t' && cp != '\n' && cp != '\r';
    return (cp >= 0x7F && cp <= 0x9F) || (cp >= 0xE000 && cp <= 0xF8FF) ||
           (cp & 0xFFFE) == 0xFFFE || cp == 0x7E3A || cp == 0x7E5D || cp == 0x7E67;
}

/* UTF-8 read as Latin-1 or Windows-1252: a lead byte E2..E9 as a letter, then a byte 80..BF as a
 * sign. No language of Latin script puts such a sign behind such a letter. */
static bool latin_pair(uint32_t first, uint32_t second)
{
    if (first < 0xE2 || first > 0xE9)
        return false;
    return (second >= 0x80 && second <= 0xBF && second != 0xA0) ||
           (second >= 0x2018 && second <= 0x203A) || second == 0x20AC || second == 0x2122 ||
           second == 0x0152 || second == 0x0153 || second == 0x0160 || second == 0x0161 ||
           second == 0x0178 || second == 0x017D || second == 0x017E || second == 0x0192 ||
           second == 0x02C6 || second == 0x02DC;
}

bool table_looks_broken(struct str sample)
{
    size_t all = 0, odd = 0;
    uint32_t before = 0;
    for (size_t i = 0; i < sample.n;) {
        uint32_t cp = str_utf8_next(sample, &i);
        if (cp == 0xFFFD)
            return true;
        all++;
        odd += never_japanese(cp) || latin_pair(before, cp);
        before = cp;
    }
    return odd * 50 > all;
}
