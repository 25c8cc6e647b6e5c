/*
 * Lines of an export of everything, as the import checks them before it writes, and marks to go on
 * from. A file that is taken as whole is taken as whole again, with the same counts; a mark that is
 * taken begins with the name of a kind.
 */
#include "everything_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_everything: %s\n", what);
    abort();
}

static enum err look(const uint8_t *data, size_t size, struct everything_report *out)
{
    struct error e = {0};
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "r");
    check(file != NULL, "no memory file");
    enum err err = everything_check(file, out, &e);
    check(!err || e.text[0], "an error without a word");
    fclose(file);
    return err;
}

static void look_at_mark(struct str text)
{
    struct everything x = {0};
    struct error e;
    struct str name;
    if (!everything_after(&x, text, &e)) {
        check(x.kind < n_kinds, "a mark of no kind");
        check(str_split(&text, '.', &name) && str_eq(name, str_c(kinds[x.kind].name)),
              "a mark of another kind");
    }
    everything_release(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct everything_report first, again;
    if (size) {
        enum err err = look(data, size, &first);
        check(err == look(data, size, &again), "two answers to one file");
        check(first.lines == again.lines && first.records == again.records, "other counts");
    }
    look_at_mark(str_n((const char *)data, size));
    return 0;
}
